/**
 * Unigram (`t5`: T5, XLM-R, multilingual E5, BGE-M3): of all ways to cut the normalized text into pieces the one with the
 * greatest sum of scores, found place by place (Viterbi). A character without a piece becomes byte tokens, where the file has
 * them, or the unknown token, one for neighbours.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import { SharedWork, type Sliceable } from "../../options/sliced.ts";
import type { ModelOptions, TextModel } from "./model.ts";
import { withSpaces } from "./spm.ts";
import { Suffixes } from "./suffixes.ts";
import type { TokenList } from "./token_list.ts";
import { ByteTrie, ROOT } from "./trie.ts";
import { characterBytes, Normalizer } from "./unigram_text.ts";
import { KIND, readScores, type Vocabulary } from "./vocabulary.ts";

/** How far the score of an unknown character lies below the least score of a piece. */
const UNKNOWN_PENALTY = 10;
/** Bytes of a text between two places where the work may pause. */
const BYTES_AT_ONCE = 1 << 13;
const encoder = new TextEncoder();

/** Stands for a character without a piece. */
const UNKNOWN = -1;

/** What a text first makes: the pieces as a machine, and those that stay as they are. */
interface Pieces {
  readonly machine: Suffixes;
  /** Of user-defined tokens read backwards, so that a text read so tells where the longest begins. */
  readonly userDefined: Suffixes | undefined;
}

/** The Unigram model of a vocabulary. */
export class Unigram implements TextModel {
  readonly spacePrefix: boolean;
  /** Normalizing may drop any byte. */
  readonly spelled = new Uint8Array(256);
  readonly #vocabulary: Vocabulary;
  readonly #scores: Float32Array;
  readonly #normalizer: Normalizer;
  readonly #unknown: number | undefined;
  readonly #unknownScore: number;
  readonly #byteTokens = new Int32Array(256).fill(-1);
  readonly #pieces: SharedWork<Pieces>;

  private constructor(gguf: Gguf, vocabulary: Vocabulary, unknown: number | undefined) {
    const { metadata } = gguf;
    const scores = readScores(gguf, vocabulary.size);
    if (scores === undefined) throw metadata.wrongType("tokenizer.ggml.scores", "an array of float32");
    this.#vocabulary = vocabulary;
    this.#scores = scores;
    this.#unknown = unknown;
    this.#normalizer = new Normalizer(metadata);
    this.spacePrefix = this.#normalizer.addsSpace;
    let least = Infinity;
    for (let token = vocabulary.size - 1; token >= 0; token--) {
      const kind = vocabulary.kinds[token];
      if (kind === KIND.normal) least = Math.min(least, scores[token]);
      if (kind === KIND.byte) this.#byteTokens[vocabulary.byteOf(token)] = token;
    }
    this.#unknownScore = (least === Infinity ? 0 : least) - UNKNOWN_PENALTY;
    this.#pieces = new SharedWork(this.#prepare());
  }

  /**
   * Reads and checks what is special to this kind of vocabulary.
   *
   * @param options `unknown`: the token for characters without a piece; without it, such are dropped
   */
  // deno-lint-ignore require-yield
  static *read(gguf: Gguf, vocabulary: Vocabulary, { unknown }: ModelOptions): Sliceable<Unigram> {
    return new Unigram(gguf, vocabulary, unknown);
  }

  *encode(text: string, out: TokenList): Sliceable<void> {
    if (text === "") return;
    const { machine, userDefined } = yield* this.#pieces.get();
    const raw = encoder.encode(text);
    const kept = userDefined && (yield* this.#keptAt(userDefined, raw));
    const bytes = yield* this.#normalizer.normalize(raw, kept);
    const { lengths, tokens } = yield* this.#bestPath(machine, bytes);
    // Read back from the end.
    const found: number[] = [];
    for (let end = bytes.length; end > 0; end -= lengths[end]) {
      const token = tokens[end];
      if (token !== UNKNOWN) found.push(token);
      else this.#writeUnknown(bytes, end - lengths[end], end, found);
      if (found.length % BYTES_AT_ONCE === 0) yield;
    }
    for (let index = found.length - 1; index >= 0; index--) out.push(found[index]);
  }

  piece(token: number): Uint8Array {
    const { kinds } = this.#vocabulary;
    if (kinds[token] === KIND.byte) return Uint8Array.of(this.#vocabulary.byteOf(token));
    const bytes = this.#vocabulary.bytes(token);
    return kinds[token] === KIND.normal || kinds[token] === KIND.unused ? withSpaces(bytes) : bytes.slice();
  }

  *#prepare(): Sliceable<Pieces> {
    const { kinds } = this.#vocabulary;
    const isPiece = (token: number) =>
      kinds[token] === KIND.normal || kinds[token] === KIND.unused || kinds[token] === KIND.userDefined;
    const machine = yield* Suffixes.of(yield* ByteTrie.of(this.#vocabulary, isPiece));
    if (!kinds.includes(KIND.userDefined)) return { machine, userDefined: undefined };
    const isUserDefined = (token: number) => kinds[token] === KIND.userDefined;
    return { machine, userDefined: yield* Suffixes.of(yield* ByteTrie.of(this.#vocabulary, isUserDefined, true)) };
  }

  /** For each place the bytes of the longest user-defined token that begins there, or 0. */
  *#keptAt(machine: Suffixes, bytes: Uint8Array): Sliceable<Int32Array> {
    const { texts: { starts } } = this.#vocabulary;
    const lengths = new Int32Array(bytes.length);
    let node = ROOT;
    for (let at = bytes.length - 1; at >= 0; at--) {
      node = machine.step(node, bytes[at]);
      const longest = machine.longest(node);
      if (longest !== ROOT) {
        const token = machine.tokenAt(longest);
        lengths[at] = this.#vocabulary.endOf(token) - starts[token];
      }
      if (at % BYTES_AT_ONCE === 0) yield;
    }
    return lengths;
  }

  /** For each place at which a piece of the best way ends, that piece and its length. */
  *#bestPath(machine: Suffixes, bytes: Uint8Array): Sliceable<{ lengths: Int32Array; tokens: Int32Array }> {
    const { kinds, texts: { starts } } = this.#vocabulary;
    const best = new Float64Array(bytes.length + 1).fill(-Infinity);
    const lengths = new Int32Array(bytes.length + 1);
    const tokens = new Int32Array(bytes.length + 1).fill(UNKNOWN);
    best[0] = 0;
    let node = ROOT;
    for (let start = 0, pause = BYTES_AT_ONCE; start < bytes.length;) {
      const end = start + characterBytes(bytes[start]);
      for (let at = start; at < end; at++) node = machine.step(node, bytes[at]);
      let covered = false;
      // The longest begins first: of equal sums the first is kept.
      for (let at = machine.longest(node); at !== ROOT; at = machine.shorter(at)) {
        const token = machine.tokenAt(at);
        const length = this.#vocabulary.endOf(token) - starts[token];
        if (length === end - start) covered = true;
        const sum = best[end - length] + (kinds[token] === KIND.userDefined ? 0 : this.#scores[token]);
        if (!(sum > best[end])) continue; // nor where scores are not finite
        best[end] = sum;
        lengths[end] = length;
        tokens[end] = token;
      }
      if (lengths[end] === 0 || !covered && best[start] + this.#unknownScore > best[end]) {
        best[end] = best[start] + this.#unknownScore;
        lengths[end] = end - start;
      }
      start = end;
      if (start < pause) continue;
      yield;
      pause = start + BYTES_AT_ONCE;
    }
    return { lengths, tokens };
  }

  /** Appends what an unknown character becomes to tokens that are found from the end on. */
  #writeUnknown(bytes: Uint8Array, start: number, end: number, found: number[]): void {
    let spelled = true;
    for (let at = start; at < end; at++) spelled &&= this.#byteTokens[bytes[at]] >= 0;
    if (spelled) { for (let at = end - 1; at >= start; at--) found.push(this.#byteTokens[bytes[at]]); }
    else if (this.#unknown !== undefined && found.at(-1) !== this.#unknown) found.push(this.#unknown);
  }
}
