/**
 * A cache as a stream of bytes: "LGTCACHE", a version, a JSON header that says what the values belong to, then the pages, each
 * after its parent, then an end mark. Words are little-endian u32. Everything carries a CRC-32, and every length is checked
 * before memory is taken: a stream that was cut, changed or made by another model is refused.
 *
 *   page: parent (its number in the stream, or 0xffffffff), salt (number in the header), tokens, ends, parts,
 *         bytes of each part, tokens, ends, CRC of all that; each part, then its CRC
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { node } from "../../ffi/runtime/builtins.ts";

const magic = "LGTCACHE";
const version = 1;
const noParent = 0xffff_ffff;
const endMark = 0x444e_4521; // "!END"
const headerBytesMax = 1 << 24;
/** Parts of a value. */
const partsMax = 64;

function crc32(bytes: Uint8Array): number {
  return node("node:zlib").crc32(bytes);
}

/** What the values of a cache belong to: a stream of another identity is refused. */
export type CacheIdentity = Readonly<Record<string, string | number | boolean>>;

/** A page as it goes into a stream. */
export interface SavedPage {
  /** The number of its parent in the stream; -1: it begins a salt. */
  readonly parent: number;
  /** The salt that it lies under. */
  readonly salt: string;
  /** The tokens that it covers. */
  readonly tokens: Uint32Array;
  /** Lengths, besides multiples of 8, at which it is found. */
  readonly ends: readonly number[];
  /** Its value, as bytes in one or more parts. */
  readonly parts: readonly Uint8Array[];
}

/** Writes pages; returns the bytes. `pages` gives them in order, `salts` names all that occur. */
export async function writePages(
  stream: WritableStream<Uint8Array>,
  identity: CacheIdentity,
  pageSize: number,
  salts: readonly string[],
  count: number,
  pages: AsyncIterable<SavedPage>,
): Promise<number> {
  const writer = stream.getWriter();
  let bytes = 0;
  const write = async (chunk: Uint8Array) => {
    bytes += chunk.length;
    await writer.ready;
    // A failure shows at the next `ready` or at `close`; waiting here would stop the pipe after every chunk.
    writer.write(chunk).catch(() => {});
  };
  try {
    const header = new TextEncoder().encode(JSON.stringify({ identity, pageSize, salts, pages: count }));
    await write(new TextEncoder().encode(magic));
    await write(words(version, header.length, crc32(header)));
    await write(header);
    const numbers = new Map(salts.map((salt, index) => [salt, index]));
    for await (const { parent, salt, tokens, ends, parts } of pages) {
      const head = words(
        parent < 0 ? noParent : parent,
        numbers.get(salt) as number,
        tokens.length,
        ends.length,
        parts.length,
        ...parts.map((part) => part.length),
        ...tokens,
        ...ends,
      );
      await write(head);
      await write(words(crc32(head)));
      for (const part of parts) {
        await write(part);
        await write(words(crc32(part)));
      }
    }
    await write(words(endMark, count));
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {}); // the first error is the one to report
    throw error;
  } finally {
    writer.releaseLock();
  }
  return bytes;
}

/**
 * Reads what {@link writePages} wrote and hands over one page after the other, with the number that its children name.
 * Throws an {@link InvalidArgumentError} for anything else; what was handed over by then is whole.
 */
export async function readPages(
  stream: ReadableStream<Uint8Array>,
  identity: CacheIdentity,
  pageSize: number,
  partBytesMax: number,
  receive: (page: SavedPage, number: number) => void | Promise<void>,
): Promise<number> {
  const reader = new ByteReader(stream);
  try {
    if (new TextDecoder().decode(await reader.read(magic.length)) !== magic) {
      refuse("the beginning", `"${magic}", which a saved cache begins with`, "something else");
    }
    const [found, headerBytes, headerSum] = await reader.words(3) as unknown as [number, number, number];
    if (found !== version) refuse("the version", `${version}`, `${found}`);
    if (headerBytes > headerBytesMax) refuse("the header", `at most ${headerBytesMax} bytes`, `${headerBytes}`);
    const header = await reader.read(headerBytes);
    if (crc32(header) !== headerSum) refuse("the header", "the checksum that it was written with", "another");
    const { salts, count } = checkHeader(new TextDecoder().decode(header), identity, pageSize);
    for (let number = 0; number < count; number++) {
      await receive(await readPage(reader, number, salts, pageSize, partBytesMax), number);
    }
    const [mark, total] = await reader.words(2);
    if (mark !== endMark || total !== count) refuse("the end", "the mark that ends a saved cache", "something else");
    if (!await reader.isAtEnd()) refuse("the end", "nothing after the end mark", "more bytes");
    return reader.bytes;
  } finally {
    await reader.cancel();
  }
}

type Five = readonly [number, number, number, number, number];

async function readPage(
  reader: ByteReader,
  number: number,
  salts: readonly string[],
  pageSize: number,
  partBytesMax: number,
): Promise<SavedPage> {
  const where = `page ${number}`;
  const first = await reader.words(5);
  const [parent, saltNumber, tokenCount, endCount, partCount] = first as unknown as Five;
  const salt = salts[saltNumber];
  if (parent !== noParent && parent >= number) refuse(where, "a parent that comes before it", `${parent}`);
  if (salt === undefined) refuse(where, `a salt below ${salts.length}`, `${saltNumber}`);
  if (tokenCount < 1 || tokenCount > pageSize) refuse(where, `1 to ${pageSize} tokens`, `${tokenCount}`);
  if (endCount > tokenCount) refuse(where, `at most ${tokenCount} ends`, `${endCount}`);
  if (partCount < 1 || partCount > partsMax) refuse(where, `1 to ${partsMax} parts`, `${partCount}`);
  const rest = await reader.words(partCount + tokenCount + endCount + 1);
  const head = words(...first, ...rest.subarray(0, -1));
  if (crc32(head) !== rest.at(-1)) refuse(where, "the checksum that it was written with", "another");
  const ends = [...rest.subarray(partCount + tokenCount, -1)];
  if (ends.some((end) => end < 1 || end > tokenCount)) refuse(where, `ends within ${tokenCount} tokens`, `${ends}`);
  const parts: Uint8Array[] = [];
  for (const length of rest.subarray(0, partCount)) {
    if (length > partBytesMax) refuse(where, `at most ${partBytesMax} bytes`, `${length}`);
    const part = await reader.read(length);
    if (crc32(part) !== (await reader.words(1))[0]) refuse(where, "the checksum that it was written with", "another");
    parts.push(part);
  }
  return {
    parent: parent === noParent ? -1 : parent,
    salt,
    tokens: rest.slice(partCount, partCount + tokenCount),
    ends,
    parts,
  };
}

function checkHeader(text: string, identity: CacheIdentity, pageSize: number): { salts: string[]; count: number } {
  const header = JSON.parse(text) as { identity: CacheIdentity; pageSize: number; salts: string[]; pages: number };
  for (const key of new Set([...Object.keys(identity), ...Object.keys(header.identity)])) {
    if (header.identity[key] === identity[key]) continue;
    refuse(key, `${identity[key]}, as this cache has it`, `${header.identity[key]}`);
  }
  if (header.pageSize !== pageSize) refuse("pageSize", `${pageSize}`, `${header.pageSize}`);
  const isWhole = Array.isArray(header.salts) && header.salts.every((salt) => typeof salt === "string") &&
    Number.isSafeInteger(header.pages) && header.pages >= 0;
  if (!isWhole) refuse("the header", "salts and the number of pages", "something else");
  return { salts: header.salts, count: header.pages };
}

function refuse(where: string, expected: string, got: string): never {
  throw new InvalidArgumentError(`A saved cache that can't be used: ${where}: expected ${expected}, got ${got}.`, {
    what: "a saved cache that can't be used",
    where,
    expected,
    got,
  });
}

/** Little-endian words as bytes; every machine that this runs on stores them so. */
function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Reads exact numbers of bytes from a stream of chunks of any size. */
class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Bytes read so far. */
  bytes = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next `count` bytes; of one chunk without a copy. */
  async read(count: number): Promise<Uint8Array> {
    if (this.#chunk.length < count) await this.#gather(count);
    const bytes = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(count);
    this.bytes += count;
    return bytes;
  }

  async words(count: number): Promise<Uint32Array> {
    const bytes = await this.read(4 * count);
    return new Uint32Array(bytes.slice().buffer);
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return true;
      this.#chunk = value;
    }
    return false;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}); // a stream that failed has told its reader already
    this.#reader.releaseLock();
  }

  /** Chunks until there are `count` bytes, joined. Memory grows with what has come, not with what a length claims. */
  async #gather(count: number): Promise<void> {
    const chunks = [this.#chunk];
    let have = this.#chunk.length;
    while (have < count) {
      const { done, value } = await this.#reader.read();
      if (done) refuse("the end", `${count - have} bytes more`, "the end of the stream");
      if (!(value instanceof Uint8Array)) refuse("a chunk", "a Uint8Array", typeof value);
      chunks.push(value);
      have += value.length;
    }
    const joined = new Uint8Array(have);
    let at = 0;
    for (const chunk of chunks) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    this.#chunk = joined;
  }
}
