/**
 * A cache as a stream of bytes: "LGTCACHE", a version, a JSON header that says what the values belong to, then the pages, each
 * after its parent, then an end mark. Words are little-endian u32. Everything carries a sum (`sums.ts`), and every length is
 * checked before memory is taken: a stream that was cut, changed or made by another model is refused.
 *
 *   head: "LGTCACHE", version, kind of the sums, bytes of the header; the header; sum of all that
 *   page: parent (its number in the stream, or 0xffffffff), salt (number in the header), tokens, ends, parts,
 *         bytes of each part, tokens, ends; sum of all that; each part, then its sum
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { ByteSource, joined, wordsOf } from "../options/byte_source.ts";
import { sameSum, type Sums } from "./sums.ts";
import type { CacheIdentity, SavedPage } from "./types.ts";

const magic = "LGTCACHE";
const version = 3;
const noParent = 0xffff_ffff;
const endMark = 0x444e_4521; // "!END"
const headerBytesMax = 1 << 24;
/** Parts of a value. */
const partsMax = 256;

/** What every stream of one cache has in common. */
export interface StreamForm {
  /** What its values belong to. */
  readonly identity: CacheIdentity;
  /** Tokens of a page. */
  readonly pageSize: number;
  /** How it is checked. */
  readonly sums: Sums;
}

/** What is written: pages in order, how many, and all salts that occur. */
export interface PagesToSave {
  /** Names of all salts. */
  readonly salts: readonly string[];
  /** How many pages there are. */
  readonly count: number;
  /** The pages, each after its parent. */
  readonly pages: AsyncIterable<SavedPage>;
}

/** Writes pages; returns the bytes. */
export async function writePages(
  stream: WritableStream<Uint8Array>,
  { identity, pageSize, sums }: StreamForm,
  { salts, count, pages }: PagesToSave,
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
    // No two streams with a key begin alike, so that no chunk of one is right in another.
    const nonce = sums.kind === 1 ? crypto.randomUUID() : undefined;
    const header = new TextEncoder().encode(JSON.stringify({ identity, pageSize, salts, pages: count, nonce }));
    const head = joined([new TextEncoder().encode(magic), words(version, sums.kind, header.length), header]);
    await write(head);
    await write(sums.next(head));
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
      await write(sums.next(head));
      for (const part of parts) {
        await write(part);
        await write(sums.next(part));
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
  form: StreamForm,
  partBytesMax: number,
  receive: (page: SavedPage, number: number) => void | Promise<void>,
): Promise<number> {
  const reader = new SavedReader(stream, form.sums);
  try {
    const { salts, count } = await readHeader(reader, form);
    for (let number = 0; number < count; number++) {
      await receive(await readPage(reader, number, salts, form.pageSize, partBytesMax), number);
    }
    const [mark, total] = await reader.words(2);
    if (mark !== endMark || total !== count) refuse("the end", "the mark that ends a saved cache", "something else");
    if (!await reader.isAtEnd()) refuse("the end", "nothing after the end mark", "more bytes");
    return reader.bytes;
  } finally {
    await reader.cancel();
  }
}

async function readHeader(reader: SavedReader, form: StreamForm): Promise<{ salts: string[]; count: number }> {
  const begin = await reader.read(magic.length);
  if (new TextDecoder().decode(begin) !== magic) {
    refuse("the beginning", `"${magic}", which a saved cache begins with`, "something else");
  }
  const [found, kind, headerBytes] = await reader.words(3) as unknown as [number, number, number];
  if (found !== version) refuse("the version", `${version}`, `${found}`);
  if (kind !== form.sums.kind) {
    if (kind === 0) refuse("key", "a stream that was saved with a key, since one is given", "one saved without");
    if (kind === 1) refuse("key", "the key that the stream was saved with", "no key");
    refuse("the kind of its sums", "0 or 1", `${kind}`);
  }
  if (headerBytes > headerBytesMax) refuse("the header", `at most ${headerBytesMax} bytes`, `${headerBytes}`);
  const header = await reader.read(headerBytes);
  await reader.checkSum(joined([begin, words(found, kind, headerBytes), header]), "the header");
  return checkHeader(parseHeader(header), form.identity, form.pageSize);
}

type Five = readonly [number, number, number, number, number];

async function readPage(
  reader: SavedReader,
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
  const rest = await reader.words(partCount + tokenCount + endCount);
  await reader.checkSum(words(...first, ...rest), where);
  const ends = [...rest.subarray(partCount + tokenCount)];
  if (ends.some((end) => end < 1 || end > tokenCount)) refuse(where, `ends within ${tokenCount} tokens`, `${ends}`);
  const parts: Uint8Array[] = [];
  for (const length of rest.subarray(0, partCount)) {
    if (length > partBytesMax) refuse(where, `at most ${partBytesMax} bytes`, `${length}`);
    const part = await reader.read(length);
    await reader.checkSum(part, where);
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

/** A header's JSON as an object, whatever else stands there. */
function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    refuse("the header", "an object as JSON in UTF-8", "something else");
  }
  if (!isTable(header)) refuse("the header", "an object", show(header));
  return header;
}

function checkHeader(
  { identity: found, pageSize: foundSize, salts, pages }: Readonly<Record<string, unknown>>,
  identity: CacheIdentity,
  pageSize: number,
): { salts: string[]; count: number } {
  if (!isTable(found)) refuse("identity", "an object", show(found));
  for (const key of new Set([...Object.keys(identity), ...Object.keys(found)])) {
    const is = Object.hasOwn(found, key) ? found[key] : undefined;
    const wanted = Object.hasOwn(identity, key) ? identity[key] : undefined;
    if (is === wanted && is !== undefined) continue;
    refuse(show(key), `${show(wanted)}, as this cache has it`, show(is));
  }
  if (foundSize !== pageSize) refuse("pageSize", `${pageSize}`, show(foundSize));
  if (!Array.isArray(salts) || !salts.every((salt): salt is string => typeof salt === "string")) {
    refuse("salts", "an array of strings", show(salts));
  }
  if (!Number.isSafeInteger(pages) || pages as number < 0) refuse("pages", "how many pages there are", show(pages));
  return { salts, count: pages as number };
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A value of a header, for a message: short, and without calling anything that it brings. */
function show(value: unknown): string {
  if (value !== null && typeof value === "object") return Array.isArray(value) ? "an array" : "an object";
  const text = String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
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

/** Reads a saved cache, and the sums in it. */
class SavedReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #source: ByteSource;
  readonly #sums: Sums;

  constructor(stream: ReadableStream<Uint8Array>, sums: Sums) {
    const reader = stream.getReader();
    this.#reader = reader;
    this.#source = new ByteSource(() => reader.read(), {
      ended: (missing) => refuse("the end", `${missing} bytes more`, "the end of the stream"),
      notBytes: (value) => refuse("a chunk", "a Uint8Array", typeof value),
    });
    this.#sums = sums;
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#source.bytes;
  }

  /** Reads the sum of what was read before it, `chunk`. */
  async checkSum(chunk: Uint8Array, where: string): Promise<void> {
    const found = await this.read(this.#sums.length);
    if (sameSum(found, this.#sums.next(chunk))) return;
    const [sum, made] = this.#sums.kind === 0 ? ["checksum", "that"] : ["MAC", "of the given key that"];
    refuse(where, `the ${sum} ${made} it was written with`, "another");
  }

  read(count: number): Promise<Uint8Array> {
    return this.#source.read(count);
  }

  async words(count: number): Promise<Uint32Array> {
    return wordsOf(await this.read(4 * count));
  }

  isAtEnd(): Promise<boolean> {
    return this.#source.isAtEnd();
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}); // a stream that failed has told its reader already
    this.#reader.releaseLock();
  }
}
