/**
 * Special tokens: the texts that are cut out of a text before it is tokenized. Control tokens are only seen when the caller
 * asks for it, and never in foreign text or across its borders; user-defined ones always. Longer texts go before shorter
 * ones, measured in bytes.
 *
 * @module
 */
import { LENGTH_BYTES, type Metadata } from "../../files/gguf/read.ts";
import { SharedWork, type Sliceable } from "../../options/sliced.ts";
import { Automaton } from "./automaton.ts";
import { Cuts, type Word, type Words } from "./cuts.ts";
import { KIND, type Vocabulary } from "./vocabulary.ts";

/** A piece of a text: a token, or text between tokens. */
export type Fragment = number | string;

/** Characters (UTF-16) of all special tokens together: a hundred times what the largest vocabularies have. */
const UNITS_MOST = 1 << 22;

interface Special extends Word {
  readonly token: number;
}

/** Units of a text between two places where the work may pause. */
const UNITS_AT_ONCE = 1 << 15;

/** Models, by a part of their `general.name`, whose special tokens take the white space after them; files don't say so. */
const STRIPPING = /phi-?3/i;
const NOT_STRIPPING: ReadonlySet<string> = new Set(["<unk>", "<s>", "<|endoftext|>"]);

/** What pairs of characters special tokens begin with: any of them, and those that are cut out everywhere. */
const BEGINS = { any: 1, everywhere: 2 } as const;
/** Kinds of characters in such a pair: those of ASCII, all others as one, and the end of the text. */
const OTHER = 128, END = 129, CHARACTERS = 130;

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  /** Whether white space after some of them is no part of a text. */
  readonly strips: boolean;
  /** What of {@link BEGINS} is so of each pair. */
  readonly #begins: Uint8Array;
  /** Made when a text first needs it: few programs need it at once, and many texts have nothing that a token begins with. */
  readonly #words: SharedWork<SpecialWords>;

  private constructor(begins: Uint8Array, words: Sliceable<SpecialWords>, strips: boolean) {
    this.strips = strips;
    this.#begins = begins;
    this.#words = new SharedWork(words);
  }

  /**
   * The special tokens of a vocabulary; of two with the same text the first counts.
   *
   * @param withUserDefined whether user-defined tokens are among them
   */
  static *of(vocabulary: Vocabulary, metadata: Metadata, withUserDefined: boolean): Sliceable<SpecialTokens> {
    const name = metadata.get("general.name");
    const strips = typeof name === "string" && STRIPPING.test(name);
    const tokens: number[] = [];
    const begins = new Uint8Array(CHARACTERS * CHARACTERS);
    let bytes = 0;
    yield* vocabulary.inRanges((from, to) => bytes += note(vocabulary, from, to, withUserDefined, { tokens, begins }));
    // A character has at least as many bytes as units.
    if (bytes > UNITS_MOST) assertFew(tokens, vocabulary, metadata);
    return new SpecialTokens(begins, prepare(tokens, vocabulary, strips), strips);
  }

  /**
   * The text in pieces; control tokens are cut out only if `parse` is set, and only where no character is foreign:
   * `foreign` has the beginning and end of each foreign part, in order, without neighbours that touch.
   */
  *split(text: string, parse: boolean, foreign: readonly number[] = []): Sliceable<Fragment[]> {
    if (!(yield* this.#mayHold(text, parse ? BEGINS.any : BEGINS.everywhere))) return text === "" ? [] : [text];
    const { list, words } = yield* this.#words.get();
    const fragments = yield* new Cuts(text, words, parse, foreign).fragments();
    return fragments.map((fragment) => typeof fragment === "number" ? list[fragment].token : fragment);
  }

  /** Whether a special token may begin anywhere in a text. */
  *#mayHold(text: string, which: number): Sliceable<boolean> {
    if (text === "") return false;
    let first = Math.min(text.charCodeAt(0), OTHER);
    for (let at = 1; at < text.length; at++) {
      const second = Math.min(text.charCodeAt(at), OTHER);
      if ((this.#begins[first * CHARACTERS + second] & which) !== 0) return true;
      first = second;
      if (at % UNITS_AT_ONCE === 0) yield;
    }
    return (this.#begins[first * CHARACTERS + END] & which) !== 0;
  }
}

/** Notes the special tokens of a range, and what they begin with; returns how many bytes they have. */
function note(
  { kinds, texts: { bytes, starts } }: Vocabulary,
  from: number,
  to: number,
  withUserDefined: boolean,
  { tokens, begins }: { readonly tokens: number[]; readonly begins: Uint8Array },
): number {
  let all = 0;
  for (let token = from; token < to; token++) {
    const kind = kinds[token];
    if (kind === KIND.normal) continue;
    const isEverywhere = withUserDefined && kind === KIND.userDefined;
    if (!isEverywhere && kind !== KIND.control && kind !== KIND.unknown) continue;
    const start = starts[token];
    const length = starts[token + 1] - LENGTH_BYTES - start;
    if (length === 0) continue;
    tokens.push(token);
    all += length;
    const mark = isEverywhere ? BEGINS.any | BEGINS.everywhere : BEGINS.any;
    const first = bytes[start], row = Math.min(first, OTHER) * CHARACTERS;
    if (first < OTHER && length > 1) begins[row + Math.min(bytes[start + 1], OTHER)] |= mark;
    else for (let second = 0; second < CHARACTERS; second++) begins[row + second] |= mark;
  }
  return all;
}

/** Refuses special tokens that are too long together; of those with the same text, one counts. */
function assertFew(tokens: readonly number[], vocabulary: Vocabulary, metadata: Metadata): void {
  const texts = new Set(tokens.map((token) => vocabulary.text(token)));
  let units = 0;
  for (const text of texts) units += text.length;
  if (units <= UNITS_MOST) return;
  const most = `special tokens of at most ${UNITS_MOST} characters together`;
  throw metadata.wrong("tokenizer.ggml.tokens", most, "more");
}

/** The special tokens and what finds them. */
interface SpecialWords {
  readonly list: readonly Special[];
  readonly words: Words;
}

function* prepare(tokens: readonly number[], vocabulary: Vocabulary, strips: boolean): Sliceable<SpecialWords> {
  const { kinds, texts: { starts } } = vocabulary;
  const firsts = new Map<string, number>();
  for (const token of tokens) {
    const text = vocabulary.text(token);
    if (!firsts.has(text)) firsts.set(text, token);
  }
  yield;
  const list = Array.from(firsts, ([text, token]): Special => {
    const stripsRight = strips && !NOT_STRIPPING.has(text);
    return { token, text, stripsRight, isEverywhere: kinds[token] === KIND.userDefined };
  });
  const bytes = ({ token }: Special) => vocabulary.endOf(token) - starts[token];
  list.sort((left, right) => bytes(right) - bytes(left));
  const automaton = yield* Automaton.of(list.map(({ text }) => text));
  const words = {
    list,
    automaton,
    nodes: automaton.wordNodes(),
    all: automaton.chains(() => true),
    everywhere: automaton.chains((word) => list[word].isEverywhere),
  };
  return { list, words };
}
