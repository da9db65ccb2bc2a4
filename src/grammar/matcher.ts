/**
 * A text on its way through a grammar, token by token. It is the constraint of one sequence; what it learns on the way (states,
 * masks) belongs to the grammar and serves the next sequence too.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { checkBuffer } from "../../ffi/native.ts";
import { checkInteger } from "../options/checks.ts";
import { hasBit } from "../sampling/bits.ts";
import type { Constraint, TokenGuess } from "../sampling/constraint.ts";
import { type Automaton, DEAD, type State } from "./automaton.ts";
import type { GrammarBudget } from "./budget.ts";
import type { Masks } from "./masks.ts";
import type { Slices } from "./slices.ts";
import type { Spellings } from "./spellings.ts";
import type { Steps } from "./steps.ts";

/** Bytes of a table of transitions above which a grammar is compiled anew for the texts that come. */
const tableBytesMost = 32 << 20;

/** How many masks the grammar of a matcher keeps; a bench sees by it which were walked for. */
export let keptMasks: (matcher: Matcher) => number;

/** No state. */
const NONE: State = -1;

/** What the matchers of one grammar share. */
export interface Compiled {
  readonly automaton: Automaton;
  readonly masks: Masks;
  readonly spellings: Spellings;
  /** By tokens. */
  readonly steps: Steps;
  readonly budget: GrammarBudget;
  readonly slices: Slices;
  /** The bytes that a token adds to a text. */
  bytesOf(token: number): Uint8Array;
}

/**
 * A text on its way through a {@link Grammar}.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const matcher = (await Grammar.regex("[0-9]{4}", lm.model.tokenizer)).matcher();
 * for (const token of lm.tokenize("19", { addSpecial: false })) if (matcher.allows(token)) matcher.accept(token);
 * console.log(matcher.isComplete); // two digits are missing
 * ```
 */
export class Matcher implements Constraint {
  static {
    keptMasks = (matcher) => matcher.#compiled.masks.kept;
  }
  readonly #compiled: Compiled;
  #state: State;
  #hasEnded = false;
  /** The mask of the state {@link #maskOf}, and the state that was last found to have it. */
  #mask: Uint32Array | undefined;
  #maskOf: State = NONE;
  #maskedState: State = NONE;

  /** A matcher in a state; `Grammar.matcher()` gives one at the beginning. */
  constructor(compiled: Compiled, state: State = compiled.automaton.start, hasEnded = false) {
    this.#compiled = compiled;
    this.#state = state;
    this.#hasEnded = hasEnded;
  }

  /** Whether the text is a whole one as it is. */
  get isComplete(): boolean {
    return this.#compiled.automaton.accepts(this.#state);
  }

  /** Whether nothing may follow. */
  get isDone(): boolean {
    return this.#hasEnded || !this.#compiled.automaton.goesOn(this.#state);
  }

  /** Whether what the matchers of this grammar share has become so large that new ones had better begin anew. */
  get isWorn(): boolean {
    const { masks, budget } = this.#compiled;
    return masks.tableBytes > tableBytesMost || budget.isHalfUsed;
  }

  /**
   * The tokens that may come next: bit t % 32 of word floor(t / 32) is token t. A view that must not be written to,
   * valid until the next {@link Matcher.accept}.
   */
  words(): Uint32Array {
    const state = this.#state;
    if (this.#mask && state === this.#maskedState) return this.#mask;
    const { masks } = this.#compiled;
    const same = masks.same(state);
    this.#mask ??= new Uint32Array(Math.ceil(masks.tokens / 32));
    if (same !== this.#maskOf) {
      this.#maskedState = this.#maskOf = NONE; // what follows may come to a limit
      masks.write(same, this.#mask);
      this.#maskOf = same;
    }
    this.#maskedState = state;
    return this.#mask;
  }

  /**
   * Makes what {@link Matcher.words} gives, for a few milliseconds.
   *
   * @returns whether it is there; if not, another call goes on
   */
  prepare(): boolean {
    return this.#state === this.#maskedState || this.#compiled.slices.attempt(() => this.words());
  }

  /** Whether a token may come next. */
  allows(token: number): boolean {
    checkInteger("token", token, 0, this.#compiled.masks.tokens - 1);
    return hasBit(this.words(), token);
  }

  /**
   * Goes on by a token.
   *
   * @param isGuess it is a guess: what likely comes is learned of chosen tokens alone
   * @throws {InvalidArgumentError} for a token that may not come.
   */
  accept(token: number, isGuess = false): void {
    checkInteger("token", token, 0, this.#compiled.masks.tokens - 1);
    const { automaton, masks, steps, spellings } = this.#compiled;
    const before = this.#state;
    const known = this.#hasEnded ? undefined : steps.get(before, token);
    if (known !== undefined) this.#state = known;
    else if (masks.ends.includes(token) && automaton.accepts(before) && !this.#hasEnded) {
      this.#hasEnded = true;
      return;
    } else {
      this.#goOn(token);
      steps.keep(before, token, this.#state);
    }
    if (!isGuess) spellings.learn(before, token);
  }

  #goOn(token: number): void {
    const bytes = this.#compiled.bytesOf(token);
    if (bytes.length > 0 && this.#follow(bytes)) return;
    throw new InvalidArgumentError(`token: expected one that the grammar allows here, got ${token}.`, {
      what: "a token that a grammar does not allow",
      where: "token",
      expected: "a token of the mask",
      got: String(token),
    });
  }

  /** Goes on by bytes of the text, where they may come; where not, it says so and stays. */
  follow(bytes: Uint8Array): boolean {
    checkBuffer("Uint8Array", bytes, "bytes");
    return this.#follow(bytes);
  }

  #follow(bytes: Uint8Array): boolean {
    const next = this.#hasEnded ? DEAD : this.#compiled.masks.follow(this.#state, bytes);
    if (next !== DEAD) this.#state = next;
    return next !== DEAD;
  }

  /** The bytes that must come next, whatever the rest of the text is; at most 256 of them. */
  forced(): Uint8Array {
    return this.#compiled.automaton.forced(this.#state, 256);
  }

  /** The token that likely comes next, where the text that comes is certain. */
  guess(): TokenGuess | undefined {
    return this.#hasEnded ? undefined : this.#compiled.spellings.guess(this.#state);
  }

  /** A matcher at the same place, which goes on alone. */
  clone(): Matcher {
    return new Matcher(this.#compiled, this.#state, this.#hasEnded);
  }
}
