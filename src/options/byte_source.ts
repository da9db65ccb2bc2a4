/**
 * Bytes that come in pieces of any size, read in the numbers that are asked for. Memory grows with what has come, not with what a
 * length claims; how it is told that something is wrong is for those that read to say.
 *
 * @module
 */

/** How it is told what is wrong with a source. */
export interface SourceFaults {
  /** It ended, and bytes of `what` are missing. */
  ended(missing: number, what: string): never;
  /** A piece was something else. */
  notBytes(value: unknown): never;
}

type Next = () => ReadPiece | Promise<ReadPiece>;

/** A piece, or the end; as an iterator and a reader of a stream give it. */
interface ReadPiece {
  readonly done?: boolean;
  readonly value?: unknown;
}

/** Reads exact numbers of bytes. */
export class ByteSource {
  readonly #next: Next;
  readonly #faults: SourceFaults;
  #piece: Uint8Array<ArrayBufferLike> = new Uint8Array();
  /** Bytes read so far. */
  bytes = 0;

  /** Over what `next` gives, piece by piece. */
  constructor(next: Next, faults: SourceFaults) {
    this.#next = next;
    this.#faults = faults;
  }

  /** The next `count` bytes; of one piece without a copy. */
  async read(count: number, what: string = ""): Promise<Uint8Array> {
    if (this.#piece.length < count) await this.#gather(count, what);
    const bytes = this.#piece.subarray(0, count);
    this.#piece = this.#piece.subarray(count);
    this.bytes += count;
    return bytes;
  }

  /** Whether nothing follows. */
  async isAtEnd(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const piece = await this.#more();
      if (piece === undefined) return true;
      this.#piece = piece;
    }
    return false;
  }

  async #gather(count: number, what: string): Promise<void> {
    const pieces = [this.#piece];
    let have = this.#piece.length;
    while (have < count) {
      const piece = await this.#more();
      if (piece === undefined) this.#faults.ended(count - have, what);
      pieces.push(piece);
      have += piece.length;
    }
    this.#piece = joined(pieces);
  }

  async #more(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#next();
    if (done) return undefined;
    if (!(value instanceof Uint8Array)) this.#faults.notBytes(value);
    // A Buffer of Node's copies nothing where a Uint8Array does.
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
}

/** Some bytes as one array. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Little-endian words, as every machine that this runs on stores them, in memory of their own. */
export function wordsOf(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array(joined([bytes]).buffer);
}
