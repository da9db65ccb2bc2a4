/**
 * The file that llama-perplexity calls `--kl-divergence-base`: what a model, the base, says of each token of a text, so that others can
 * be compared with it later. After the mark `_logits_` it has three numbers of 32 bits (tokens of a window, of the
 * vocabulary, windows), the tokens, and a row for each counted one: the step of its log probabilities and the least of them
 * as f32, then for each token of the vocabulary a number of 16 bits, padded to an even count. Numbers are little-endian.
 *
 * @module
 */
import { InvalidArgumentError, ModelFormatError } from "../../ffi/errors.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { readFailure } from "../../ffi/system_errors.ts";
import { OutputFile } from "../files/output_file.ts";
import type { Sliceable } from "../options/sliced.ts";
import { logarithmOfSum } from "./log_probabilities.ts";
import { countedOf } from "./window.ts";

const mark = "_logits_";
const headerBytes = mark.length + 12;
/** Log probabilities further below the greatest than this, in nats, are kept as that far below. */
const depth = 16;
/** The greatest number of a row. */
const steps = 65535;
/** Words of 16 bits before a row's numbers. */
const rowHead = 4;
/** The least log probability that counts; less are kept as equal, whatever they were. */
export const baseFloor = -depth;
/** The widest window and the largest vocabulary that are believed: beyond, a file is broken. */
const windowMost = 1 << 20;
const vocabularyMost = 1 << 24;

/** What a file is about. */
export interface BaseHeader {
  /** Tokens of a window. */
  readonly window: number;
  /** Tokens of the vocabulary. */
  readonly vocabulary: number;
  /** The tokens of all windows, one after the other. */
  readonly tokens: Uint32Array;
}

function rowWords(vocabulary: number): number {
  return 2 * Math.ceil(vocabulary / 2) + rowHead;
}

/** Bytes of a whole file. */
function fileBytes(window: number, vocabulary: number, windows: number): number {
  return headerBytes + 4 * window * windows + windows * countedOf(window).count * 2 * rowWords(vocabulary);
}

/** Writes such a file, row after row. */
export class BaseWriter implements Disposable {
  readonly #out: OutputFile;
  readonly #row: Uint16Array;
  readonly #scale: DataView;

  /** Begins the file. */
  constructor(path: string, { window, vocabulary, tokens }: BaseHeader) {
    const windows = tokens.length / window;
    this.#row = new Uint16Array(rowWords(vocabulary));
    this.#scale = new DataView(this.#row.buffer);
    this.#out = new OutputFile(path, fileBytes(window, vocabulary, windows));
    try {
      this.#out.write(new TextEncoder().encode(mark));
      this.#out.write(bytesOf(Uint32Array.of(window, vocabulary, windows)));
      this.#out.write(bytesOf(tokens));
    } catch (error) {
      this.#out.abort();
      throw error;
    }
  }

  /** Writes the row of one position, in the single precision of the program whose file it is. */
  *write(logits: Float32Array): Sliceable<void> {
    const single = Math.fround;
    const sum = logarithmOfSum(logits);
    yield;
    let [most, least] = [-Infinity, Infinity];
    for (const logit of logits) {
      if (logit > most) most = logit;
      if (logit < least) least = logit;
    }
    least = Math.max(least, single(most - depth));
    const scale = single(single(most - least) / steps);
    this.#scale.setFloat32(0, scale, true);
    this.#scale.setFloat32(4, least - sum, true);
    const inverse = scale === 0 ? 0 : single(1 / scale);
    const row = this.#row;
    for (let token = 0; token < logits.length; token++) {
      row[rowHead + token] = logits[token] > least ? nearest(single(inverse * single(logits[token] - least))) : 0;
    }
    this.#out.write(bytesOf(row));
    yield;
  }

  /** Gives the file its name. */
  finish(): void {
    this.#out.finish();
  }

  /** Removes what is not finished. */
  [Symbol.dispose](): void {
    this.#out.abort();
  }
}

/** To the nearest integer, halves to the even one. */
function nearest(value: number): number {
  const magic = 1.5 * 2 ** 23;
  return Math.fround(value + magic) - magic;
}

/** Reads such a file. */
export class BaseReader implements Disposable, BaseHeader {
  readonly window: number;
  readonly vocabulary: number;
  readonly tokens: Uint32Array;
  readonly #path: string;
  readonly #fs = node("node:fs");
  readonly #descriptor: number;

  /**
   * Opens a file, and reads all but its rows.
   *
   * @throws {ModelFormatError} if it is no such file, or cut
   */
  constructor(path: string) {
    this.#path = path;
    this.#descriptor = this.#attempt(() => this.#fs.openSync(path, "r"));
    try {
      const bytes = this.#attempt(() => this.#fs.fstatSync(this.#descriptor).size);
      const header = new Uint8Array(headerBytes);
      if (bytes < headerBytes) this.#broken(`it has ${bytes} bytes, and its header alone ${headerBytes}`);
      this.#read(header, 0);
      const name = String.fromCharCode(...header.subarray(0, mark.length));
      if (name !== mark) this.#broken(`it does not begin with ${mark}, as files of llama-perplexity do`);
      const numbers = new DataView(header.buffer, mark.length);
      const [window, vocabulary, windows] = [0, 4, 8].map((at) => numbers.getUint32(at, true)) as [
        number,
        number,
        number,
      ];
      if (window < 3 || window > windowMost || vocabulary < 1 || vocabulary > vocabularyMost || windows < 1) {
        this.#broken(`it tells of ${windows} windows of ${window} tokens and a vocabulary of ${vocabulary}`);
      }
      const whole = fileBytes(window, vocabulary, windows);
      if (bytes !== whole) {
        this.#broken(`${windows} windows of ${window} tokens take ${whole} bytes, and it has ${bytes}: it was cut`);
      }
      this.window = window;
      this.vocabulary = vocabulary;
      this.tokens = new Uint32Array(window * windows);
      this.#read(bytesOf(this.tokens), headerBytes);
      const foreign = this.tokens.find((token) => token >= vocabulary);
      if (foreign !== undefined) this.#broken(`it has the token ${foreign} in a vocabulary of ${vocabulary}`);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Reads log probabilities.
   *
   * @param begin the first row, counted over all windows
   * @param out [rows][vocabulary]; those below {@link baseFloor} are not what they were
   */
  *rows(begin: number, out: Float32Array): Sliceable<void> {
    const { vocabulary } = this;
    const words = new Uint16Array(rowWords(vocabulary));
    const first = headerBytes + 4 * this.tokens.length;
    for (let row = 0; row < out.length / vocabulary; row++) {
      this.#read(bytesOf(words), first + (begin + row) * words.byteLength);
      yield;
      const head = new DataView(words.buffer);
      const [scale, least] = [head.getFloat32(0, true), head.getFloat32(4, true)];
      let sum = 0;
      for (let token = 0; token < vocabulary; token++) {
        const logarithm = Math.fround(scale * words[rowHead + token] + least);
        out[row * vocabulary + token] = logarithm;
        sum += Math.exp(logarithm);
      }
      yield;
      // What lies deeper was lifted, which is 0.03 of a large vocabulary at most.
      if (!(sum > 0.9 && sum < 1.1)) this.#broken(`the probabilities of row ${begin + row} add up to ${sum}`);
    }
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#fs.closeSync(this.#descriptor);
  }

  #read(into: Uint8Array, from: number): void {
    for (let at = 0; at < into.length;) {
      const got = this.#attempt(() => this.#fs.readSync(this.#descriptor, into, at, into.length - at, from + at));
      if (got === 0) this.#broken(`it ends at ${from + at} bytes: it was cut while it was read`);
      at += got;
    }
  }

  #broken(what: string): never {
    throw new ModelFormatError(`${this.#path}: ${what}; expected a whole file of --kl-divergence-base.`, {
      field: "klDivergenceBase",
      expected: "a whole file of --kl-divergence-base",
    });
  }

  #attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (cause) {
      throw readFailure(this.#path, cause, "a file of log probabilities");
    }
  }
}

/** What a file must fit. */
export interface BaseUse {
  readonly vocabulary: number;
  readonly context: number;
  /** The window that was asked for, and the text's tokens; undefined: those of the file. */
  readonly window: number | undefined;
  readonly tokens: Uint32Array | undefined;
}

/** Throws where a file was made with another vocabulary, window or text. */
export function checkBase(path: string, base: BaseHeader, { vocabulary, context, window, tokens }: BaseUse): void {
  const refuse = (what: string, expected: string, got: string): never => {
    throw new InvalidArgumentError(`klDivergenceBase: ${path} ${what}.`, {
      what: `a base file that ${what}`,
      where: path,
      expected,
      got,
    });
  };
  if (base.vocabulary !== vocabulary) {
    const what = `was made by a model with ${base.vocabulary} tokens; this one's vocabulary has ${vocabulary}`;
    refuse(what, `a vocabulary of ${vocabulary}`, String(base.vocabulary));
  }
  if (window !== undefined && window !== base.window) {
    const what = `was made with windows of ${base.window} tokens, not ${window}: leave the window out, or make it anew`;
    refuse(what, `windows of ${window}`, String(base.window));
  }
  if (base.window > context) {
    const what = `was made with windows of ${base.window} tokens, more than the context of ${context}: enlarge that`;
    refuse(what, `windows of at most ${context}`, String(base.window));
  }
  if (tokens === undefined) return;
  const differs = base.tokens.findIndex((token, index) => token !== tokens[index]);
  if (differs >= 0) {
    const [got, expected] = [String(base.tokens[differs]), String(tokens[differs] ?? "the end")];
    const what = `was made of another text, or with another vocabulary: its token ${differs} is ${got}, the text's ` +
      expected;
    refuse(what, `token ${expected}`, got);
  }
}

function bytesOf(array: Uint16Array | Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
