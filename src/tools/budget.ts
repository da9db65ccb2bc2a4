/**
 * A budget of tokens for thoughts: when it is used up, what ends them is all that may come. The mark comes through the same grammar as
 * if the model had written it, so the rest of the answer follows as usual.
 *
 * @module
 */
import type { Matcher } from "../grammar/matcher.ts";
import { bytesOf } from "../grammar/token_trie.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { bytesOfWire, type Wire, wireOfBytes } from "./wire.ts";

/** What a budget is about. */
export interface ThoughtBudget {
  readonly tokenizer: Tokenizer;
  readonly open: Wire;
  readonly close: Wire;
  /** The most tokens. */
  readonly most: number;
  /** An answer whose thoughts end at once. */
  readonly ending: Matcher;
}

type Phase = "before" | "thinking" | "behind";

/** The constraint of an answer whose thoughts have a budget, in place of a matcher. */
export class BudgetConstraint {
  readonly #budget: ThoughtBudget;
  #matcher: Matcher;
  #phase: Phase;
  #used = 0;
  /** The end of what came, as far as a mark may reach back. */
  #recent: Wire = "";

  /** Begins with `matcher`, which allows thoughts of any length. */
  constructor(budget: ThoughtBudget, matcher: Matcher, isOpen: boolean) {
    this.#budget = budget;
    this.#matcher = matcher;
    this.#phase = isOpen ? "thinking" : "before";
    this.#endIfUsed();
  }

  /** Whether nothing may come any more. */
  get isDone(): boolean {
    return this.#matcher.isDone;
  }

  /** The tokens that may come next. */
  words(): Uint32Array {
    return this.#matcher.words();
  }

  /** Makes them, for a few milliseconds; returns whether they are there. */
  prepare(): boolean {
    return this.#matcher.prepare();
  }

  /** The token that likely comes next, where the text that comes is certain. */
  guess(): ReturnType<Matcher["guess"]> {
    return this.#matcher.guess();
  }

  /** Goes on by a token. */
  accept(token: number, isGuess = false): void {
    this.#matcher.accept(token, isGuess);
    if (this.#phase === "behind") return;
    const { tokenizer, open, close } = this.#budget;
    this.#recent += wireOfBytes(bytesOf(tokenizer, token));
    const mark = this.#phase === "before" ? open : close;
    const at = this.#recent.indexOf(mark);
    if (at < 0) {
      this.#recent = this.#recent.slice(-mark.length);
      if (this.#phase === "thinking") this.#used++;
      else if (!this.#mayOpen()) this.#phase = "behind";
    } else if (this.#phase === "before") {
      this.#recent = this.#recent.slice(at + mark.length);
      this.#phase = "thinking";
    } else this.#phase = "behind";
    this.#endIfUsed();
  }

  /** A constraint in the same state, which goes on alone. */
  clone(): BudgetConstraint {
    const copy = new BudgetConstraint(this.#budget, this.#matcher.clone(), false);
    copy.#phase = this.#phase;
    copy.#used = this.#used;
    copy.#recent = this.#recent;
    return copy;
  }

  /** Whether what came so far may be the beginning of the mark that begins thoughts. */
  #mayOpen(): boolean {
    return this.#budget.open.startsWith(this.#recent.trimStart());
  }

  #endIfUsed(): void {
    const { close, most, ending } = this.#budget;
    // A character that is not whole comes first.
    if (this.#phase !== "thinking" || this.#used < most || isCut(this.#recent)) return;
    const matcher = ending.clone();
    for (let length = Math.min(close.length - 1, this.#recent.length); length > 0; length--) {
      if (!this.#recent.endsWith(close.slice(0, length))) continue;
      matcher.follow(bytesOfWire(close.slice(0, length)));
      break;
    }
    this.#matcher = matcher;
    this.#phase = "behind";
  }
}

/** Whether a text ends within a character. */
function isCut(wire: Wire): boolean {
  const [tail] = /[\xc0-\xf7][\x80-\xbf]{0,3}$/.exec(wire) ?? [""];
  if (tail === "") return false;
  const lead = tail.charCodeAt(0);
  return tail.length < (lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);
}
