/**
 * Turns tokens into text while they arrive. A character whose bytes are spread over several tokens waits until it is
 * whole; bytes that can't become one are given as U+FFFD, the same as if all were decoded at once.
 *
 * @module
 */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text of bytes; those that are not UTF-8 become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/**
 * Receives the tokens of a text one by one.
 *
 * @example
 * ```ts
 * import { LightGPT, type StreamDecoder } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const decoder: StreamDecoder = lm.model.tokenizer.stream();
 * for (const token of lm.tokenize("Once upon a time")) console.log(decoder.push(token));
 * console.log(decoder.end());
 * ```
 */
export interface StreamDecoder {
  /** Whether a character is unfinished. */
  readonly isHolding: boolean;
  /** The text that this token completes; empty while a character is unfinished. */
  push(token: number): string;
  /** What is left at the end: U+FFFD for an unfinished character, else nothing. */
  end(): string;
}

/** Decodes UTF-8 in pieces, keeping back an unfinished character. */
export class Utf8Stream {
  #rest = new Uint8Array(0);

  /** Whether a character is unfinished. */
  get isHolding(): boolean {
    return this.#rest.length > 0;
  }

  /** The text of these bytes and those kept back, without an unfinished character at the end. */
  push(bytes: Uint8Array): string {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const whole = all.length - unfinished(all);
    this.#rest = all.slice(whole);
    return decoder.decode(all.subarray(0, whole));
  }

  /** What is left. */
  end(): string {
    const text = decoder.decode(this.#rest);
    this.#rest = new Uint8Array(0);
    return text;
  }
}

/** How many bytes at the end could be the beginning of a character. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const at = bytes.length - back;
    const byte = bytes[at];
    if (byte >= 0x80 && byte < 0xc0) continue;
    const length = byte < 0xc2 || byte > 0xf4 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    if (length <= back) return 0;
    return back === 1 || isSecondByte(byte, bytes[at + 1]) ? back : 0;
  }
  return 0;
}

/** Some first bytes allow only part of the second bytes: no overlong forms, surrogates, or code points past U+10FFFF. */
function isSecondByte(first: number, second: number): boolean {
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second < 0xa0;
  if (first === 0xf0) return second >= 0x90;
  if (first === 0xf4) return second < 0x90;
  return true;
}
