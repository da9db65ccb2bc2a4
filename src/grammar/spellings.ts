/**
 * By which tokens a text that must come is likely spelled. A mask has every token that such a text may begin with, and a model
 * takes the one that its tokenizer would, or the one that a model took there before. Both are guesses: they say what may be
 * verified together, and never what is chosen.
 *
 * @module
 */
import { hasBit } from "../sampling/bits.ts";
import type { TokenGuess } from "../sampling/constraint.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import type { Automaton, State } from "./automaton.ts";
import type { Masks } from "./masks.ts";

/** Bytes of a text ahead that are looked at. */
const aheadMost = 64;
/** What guesses are believed to be worth before any was seen, as if so many had been: the tokenizer's, and a model's own. */
const priors = [0.7, 0.9] as const;
const priorWeight = 4;
/** What older guesses count beside the newest one. */
const memory = 0.95;

/** A guess for a state. */
interface Spelling {
  token: number;
  /** Whether a model took it there. */
  wasTaken: boolean;
}

/** Guesses for the texts of one grammar; they learn from what is chosen. */
export class Spellings {
  readonly #automaton: Automaton;
  readonly #masks: Masks;
  readonly #tokenizer: Tokenizer;
  #mask: Uint32Array | undefined;
  readonly #known = new Map<State, Spelling>();
  readonly #right = priors.map((prior) => prior * priorWeight);
  readonly #seen = priors.map(() => priorWeight);

  /** Guesses for the states of `automaton`, whose masks are `masks`, as `tokenizer` spells texts. */
  constructor(automaton: Automaton, masks: Masks, tokenizer: Tokenizer) {
    this.#automaton = automaton;
    this.#masks = masks;
    this.#tokenizer = tokenizer;
  }

  /** The token that likely comes in a state, and its chance; none where more than one byte may come. */
  guess(state: State): TokenGuess | undefined {
    let known = this.#known.get(state);
    if (known === undefined) {
      const token = this.#spell(state);
      if (token === undefined) return undefined;
      this.#known.set(state, known = { token, wasTaken: false });
    }
    const own = Number(known.wasTaken);
    return { token: known.token, chance: this.#right[own] / this.#seen[own] };
  }

  /** A token was chosen in a state. */
  learn(state: State, token: number): void {
    const known = this.#known.get(state);
    if (known === undefined) return;
    const own = Number(known.wasTaken);
    this.#right[own] = this.#right[own] * memory + Number(known.token === token);
    this.#seen[own] = this.#seen[own] * memory + 1;
    known.token = token;
    known.wasTaken = true;
  }

  #spell(state: State): number | undefined {
    const ahead = this.#automaton.forced(state, aheadMost);
    if (ahead.length === 0) return undefined;
    const words = this.#mask ??= new Uint32Array(Math.ceil(this.#masks.tokens / 32));
    this.#masks.write(this.#masks.same(state), words);
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(ahead);
    // Some vocabularies put a blank before a text; where a line ends before it, the blank stands there.
    for (const before of ["", "\n"]) {
      const token = this.#at(this.#tokenizer.encode(before + text, { addSpecial: false }), ahead.length);
      if (token !== undefined && token < this.#masks.tokens && hasBit(words, token)) return token;
    }
    return undefined;
  }

  /** The token that begins so many bytes before the end. */
  #at(tokens: Uint32Array, bytes: number): number | undefined {
    let left = bytes;
    for (let index = tokens.length - 1; index >= 0; index--) {
      left -= this.#tokenizer.textBytes(tokens[index]).length;
      if (left <= 0) return left === 0 ? tokens[index] : undefined;
    }
    return undefined;
  }
}
