/**
 * What a saved cache is checked by, chunk after chunk: a CRC-32, which finds accidents, or, with a key, a MAC that nothing
 * without the key can make. The MACs are a chain: each covers the one before it, so that chunks that were left out, moved, or
 * taken from another stream are found at once, before anything of them is used.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";

/** Sums of the chunks of one stream, in their order. */
export interface Sums {
  /** What the stream says about them: 0 CRC-32, 1 HMAC-SHA-256. */
  readonly kind: 0 | 1;
  /** Bytes of one sum. */
  readonly length: number;
  /** The sum of the next chunk. */
  next(chunk: Uint8Array): Uint8Array;
}

/** Bytes that begin the chain of MACs, so that no other use of a key makes the same ones. */
const domain = "LightGPT saved cache 3";

/** Sums with a key, or without one. */
export function sumsWith(key: Uint8Array | undefined): Sums {
  return key === undefined ? checksums : new MacChain(key);
}

/** Whether two sums are equal, in a time that does not say where they differ. */
export function sameSum(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && node("node:crypto").timingSafeEqual(a, b);
}

const checksums: Sums = {
  kind: 0,
  length: 4,
  next: (chunk) => new Uint8Array(Uint32Array.of(node("node:zlib").crc32(chunk)).buffer),
};

class MacChain implements Sums {
  readonly kind = 1;
  readonly length = 32;
  readonly #key: Uint8Array;
  #last: Uint8Array = new TextEncoder().encode(domain);

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  next(chunk: Uint8Array): Uint8Array {
    const mac = node("node:crypto").createHmac("sha256", this.#key);
    this.#last = new Uint8Array(mac.update(this.#last).update(chunk).digest());
    return this.#last;
  }
}
