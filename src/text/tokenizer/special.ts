/**
 * Special tokens: the texts that are cut out of a text before it is tokenized. Control tokens are only seen when the caller
 * asks for it, and never in foreign text or across its borders; user-defined ones always. Longer texts go before shorter
 * ones, measured in bytes.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
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

/** Models, by a part of their `general.name`, whose special tokens take the white space after them; files don't say so. */
const STRIPPING = /phi-?3/i;
const NOT_STRIPPING: ReadonlySet<string> = new Set(["<unk>", "<s>", "<|endoftext|>"]);

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  /** Whether white space after some of them is no part of a text. */
  readonly strips: boolean;
  readonly #list: readonly Special[];
  readonly #hasEverywhere: boolean;
  /** Made when a text first needs it: few programs need it at once. */
  readonly #words: SharedWork<Words>;

  private constructor(list: readonly Special[], strips: boolean) {
    this.#list = list;
    this.strips = strips;
    this.#words = new SharedWork(prepare(list));
    this.#hasEverywhere = list.some(({ isEverywhere }) => isEverywhere);
  }

  /**
   * The special tokens of a vocabulary; of two with the same text the first counts.
   *
   * @param withUserDefined whether user-defined tokens are among them
   */
  static *of(vocabulary: Vocabulary, metadata: Metadata, withUserDefined: boolean): Sliceable<SpecialTokens> {
    const name = metadata.get("general.name");
    const strips = typeof name === "string" && STRIPPING.test(name);
    const { kinds, texts: { starts } } = vocabulary;
    const list: Special[] = [];
    const seen = new Set<string>();
    let units = 0;
    const add = (token: number) => {
      const text = vocabulary.text(token);
      if (text === "" || seen.has(text)) return;
      seen.add(text);
      if ((units += text.length) > UNITS_MOST) {
        throw metadata.wrong(
          "tokenizer.ggml.tokens",
          `special tokens of at most ${UNITS_MOST} characters together`,
          "more",
        );
      }
      const stripsRight = strips && !NOT_STRIPPING.has(text);
      list.push({ token, text, stripsRight, isEverywhere: kinds[token] === KIND.userDefined });
    };
    yield* vocabulary.inRanges((from, to) => {
      for (let token = from; token < to; token++) {
        const kind = kinds[token];
        if (kind === KIND.control || kind === KIND.unknown || withUserDefined && kind === KIND.userDefined) add(token);
      }
    });
    const bytes = ({ token }: Special) => vocabulary.endOf(token) - starts[token];
    return new SpecialTokens(list.sort((left, right) => bytes(right) - bytes(left)), strips);
  }

  /**
   * The text in pieces; control tokens are cut out only if `parse` is set, and only where no character is foreign:
   * `foreign` has the beginning and end of each foreign part, in order, without neighbours that touch.
   */
  *split(text: string, parse: boolean, foreign: readonly number[] = []): Sliceable<Fragment[]> {
    if (parse ? this.#list.length === 0 : !this.#hasEverywhere) return text === "" ? [] : [text];
    const fragments = yield* new Cuts(text, yield* this.#words.get(), parse, foreign).fragments();
    return fragments.map((fragment) => typeof fragment === "number" ? this.#list[fragment].token : fragment);
  }
}

function* prepare(list: readonly Special[]): Sliceable<Words> {
  const automaton = yield* Automaton.of(list.map(({ text }) => text));
  return {
    list,
    automaton,
    nodes: automaton.wordNodes(),
    all: automaton.chains(() => true),
    everywhere: automaton.chains((word) => list[word].isEverywhere),
  };
}
