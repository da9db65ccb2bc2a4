/**
 * How much work a grammar may cause. Grammars come from users of a server, so all that grows is counted, and what is above its
 * limit is an error that says which limit it was. Time is never counted: a mask must not depend on how fast a machine is.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";

/** The limits, each for one compiled grammar. */
export const GRAMMAR_LIMITS = {
  /** Characters of a schema or grammar. */
  characters: 1 << 20,
  /** Terms of its regular parts, derivatives among them. */
  terms: 1_000_000,
  /** Positions in its rules. */
  positions: 400_000,
  /** States of its automaton. */
  states: 400_000,
  /** Rules inside rules while it is read. */
  depth: 256,
  /** Cases of a schema: what its keywords let a value be, in combination. */
  cases: 100_000,
  /** Derivatives in searches for a text that a language has, while a grammar is compiled. */
  searches: 1_000_000,
  /** The same while texts are on their way through it. */
  searchesOfTexts: 10_000_000,
  /** All that is counted while a grammar is compiled, each by the time that it takes: some tenths of a microsecond are a step. */
  steps: 800_000,
} as const;

/** What is counted. */
export type GrammarLimit = keyof typeof GRAMMAR_LIMITS;

/** Steps that compiling takes for each of what is counted. */
const STEPS: Partial<Record<GrammarLimit, number>> = { terms: 5, positions: 2, states: 4, cases: 1, searches: 1 };

const KINDS = Object.keys(GRAMMAR_LIMITS) as readonly GrammarLimit[];

/** Counts what one grammar takes. */
export class GrammarBudget {
  readonly #used: Record<GrammarLimit, number> = nothing();
  #hasStarted = false;
  #atStart: Readonly<Record<GrammarLimit, number>> = nothing();

  /** Counts the work of a search for a text, once it has ended: one that was broken off begins anew, and counts once all the same. */
  countSearch(steps: number): void {
    this.count(this.#search, steps);
  }

  /** Throws where a search that is going on has taken more than is left; then nothing is left for others. */
  checkSearch(steps: number): void {
    const what = this.#search;
    if (this.#used[what] + steps > GRAMMAR_LIMITS[what]) this.#refuse(what);
    const work = this.#hasStarted ? 0 : steps * (STEPS[what] ?? 0);
    if (this.#used.steps + work > GRAMMAR_LIMITS.steps) this.#refuse("steps");
  }

  #refuse(what: GrammarLimit): never {
    this.#used[what] = GRAMMAR_LIMITS[what];
    refuseSize(what, GRAMMAR_LIMITS[what] + 1);
  }

  get #search(): GrammarLimit {
    return this.#hasStarted ? "searchesOfTexts" : "searches";
  }

  /** Says that what was counted until now is the grammar itself; what comes is made by texts on their way through it. */
  start(): void {
    this.#atStart = { ...this.#used };
    this.#hasStarted = true;
  }

  /** Whether texts have taken half of what was left for them. */
  get isHalfUsed(): boolean {
    return KINDS.some((what) => 2 * this.#used[what] > GRAMMAR_LIMITS[what] + this.#atStart[what]);
  }

  /** Counts `more` of something; throws an error of the code `limit` where it is more than allowed. */
  count(what: GrammarLimit, more: number): void {
    this.work(more * (STEPS[what] ?? 0));
    this.#add(what, more);
  }

  /** Counts steps while the grammar is compiled; what texts cause is done in slices, and counted by what is kept of it. */
  work(steps: number): void {
    if (!this.#hasStarted) this.#add("steps", steps);
  }

  #add(what: GrammarLimit, more: number): void {
    const used = this.#used[what] + more;
    if (used > GRAMMAR_LIMITS[what]) refuseSize(what, used);
    this.#used[what] = used;
  }
}

/** Nothing of anything. */
function nothing(): Record<GrammarLimit, number> {
  const counts: Record<GrammarLimit, number> = { ...GRAMMAR_LIMITS };
  for (const what of KINDS) counts[what] = 0;
  return counts;
}

/** Throws the error of a limit that was passed. */
export function refuseSize(what: GrammarLimit, got: number): never {
  const most = GRAMMAR_LIMITS[what];
  throw new LightGPTError("limit", `The grammar is too large: more than ${most} ${what}.`, {
    what: "a grammar that is too large",
    where: what,
    expected: `at most ${most}`,
    got: String(got),
  });
}

/** Refuses rules that lie too deep inside each other. */
export function checkDepth(depth: number): void {
  if (depth > GRAMMAR_LIMITS.depth) refuseSize("depth", depth);
}
