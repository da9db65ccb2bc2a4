/**
 * Turns tokens into text while they arrive. A character with bytes in several tokens waits until it is whole. Bytes that are
 * no character become U+FFFD, as if all were decoded at once.
 *
 * @module
 */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes bytes; those that are not UTF-8 become U+FFFD. */
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
  /**
   * Takes a token.
   *
   * @returns the text that the token completes; empty while a character is unfinished
   */
  push(token: number): string;
  /**
   * Ends the text.
   *
   * @returns U+FFFD for an unfinished character, else the empty string
   */
  end(): string;
}

/** Decodes UTF-8 in pieces; an unfinished character waits for the next piece. */
export class Utf8Stream {
  #rest = new Uint8Array(0);

  /** Whether a character is unfinished. */
  get isHolding(): boolean {
    return this.#rest.length > 0;
  }

  /** Decodes the bytes that wait and these, without an unfinished character at the end. */
  push(bytes: Uint8Array): string {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const whole = all.length - unfinished(all);
    this.#rest = all.slice(whole);
    return decoder.decode(all.subarray(0, whole));
  }

  /** Decodes the bytes that wait. */
  end(): string {
    const text = decoder.decode(this.#rest);
    this.#rest = new Uint8Array(0);
    return text;
  }
}

/** How many bytes at the end may be the beginning of a character. */
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

/** Whether a second byte fits: it may not make an overlong form, a surrogate, or a code point above U+10FFFF. */
function isSecondByte(first: number, second: number): boolean {
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second < 0xa0;
  if (first === 0xf0) return second >= 0x90;
  if (first === 0xf4) return second < 0x90;
  return true;
}
