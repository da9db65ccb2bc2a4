/**
 * Finds the fastest of a few values: in every round each of them that is still in the race is measured once, in a random
 * order, so that what disturbs the machine disturbs all. A value that is surely not better drops out; the race ends as soon as it is
 * decided. The first value is the current one: it stays unless another is measurably better. Of many values, heats choose a few
 * (`heats.ts`).
 *
 * @module
 */
import type { Budget } from "./time_budget.ts";
import { compareTimes, type TimeComparison } from "./compare.ts";

/** A race to be run. */
export interface Race<T> {
  /** The values; the first is the one to beat. */
  readonly values: readonly T[];
  /** Does the work once with a value. */
  readonly work: (value: T) => Promise<void>;
  /** What the work will take with a value, as far as that is known, in milliseconds. */
  readonly estimate?: (value: T) => number;
  /** What the work is worth, where that is not the same for all: times are divided by it. */
  readonly units?: (value: T) => number;
  /** A gain below this is not worth a change to a value. */
  readonly gainLeast: (value: T) => number;
  /** Whether a value may win at all, as far as its work has shown so far; all may unless this is given. */
  readonly isAllowed?: (value: T) => boolean;
  /** The time that it may take. */
  readonly budget: Budget;
  /** Random numbers from 0 to 1. */
  readonly random: () => number;
}

/** How a race ended. */
export interface Outcome<T> {
  /** The current value, or the better one. */
  readonly value: T;
  /** How the winner, or the best of the others, compares with what was there; undefined where none was compared. */
  readonly best: { readonly value: T; readonly comparison: TimeComparison } | undefined;
  /** Rounds that were measured. */
  readonly rounds: number;
  /** Whether the race is decided: more rounds would not change it. */
  readonly isDecided: boolean;
}

/** Rounds before a value that is behind drops out, before one wins, and the most. */
const roundsLeast = 3;
const roundsToWin = 5;
const roundsMost = 16;
/** A smaller difference between two better values counts as none. */
const same = 0.02;
/** A value that takes so much longer than the best in the first two rounds, in the better of both, is not measured again. */
const hopeless = 2;

/** Runs a race. */
export async function runRace<T>(race: Race<T>): Promise<Outcome<T>> {
  const { values, work, estimate = () => 0, units = () => 1, isAllowed = () => true, budget, random } = race;
  const times = values.map((): number[] => []);
  let alive = values.map((_, index) => index);
  let warmUp = new Map<number, number>();
  let rounds = 0;
  let isDecided = alive.length < 2;
  let isOut = false;
  const against = (base: number, index: number) => compareTimes(times[base] as number[], times[index] as number[]);
  const gainLeast = (index: number) => race.gainLeast(values[index] as T);
  const isFit = (index: number) => index === 0 || isAllowed(values[index] as T);
  // The first round fills caches and starts threads: it counts for nothing but its length.
  for (let round = 0; !isDecided && round <= roundsMost; round++) {
    const found = new Map<number, number>();
    for (const index of shuffled(alive, random)) {
      const value = values[index] as T;
      isOut = budget.isOver(estimate(value));
      if (isOut) break;
      const ms = await budget.time(() => work(value));
      if (ms !== undefined) found.set(index, ms / units(value));
    }
    if (isOut) break;
    if (round === 0) warmUp = found;
    alive = alive.filter(isFit);
    if (round === 0 || !alive.every((index) => found.has(index))) continue; // a pair needs both
    for (const [index, ms] of found) (times[index] as number[]).push(ms);
    if (++rounds === 1) {
      const best = (index: number) => Math.min(found.get(index) as number, warmUp.get(index) ?? Infinity);
      const least = Math.min(...alive.map(best));
      alive = alive.filter((index) => index === 0 || best(index) < hopeless * least);
    }
    if (rounds >= roundsLeast) {
      alive = alive.filter((index) => index === 0 || against(0, index).high > gainLeast(index));
    }
    isDecided = alive.length < 2 || (rounds >= roundsToWin && isClear(alive, against, gainLeast));
  }
  const fit = values.map((_, index) => index).filter(isFit);
  return { ...decide(values, fit, times, against, gainLeast), rounds, isDecided: isDecided || rounds >= roundsMost };
}

/** Whether a value is surely better than the current one and as good as any other. */
function isClear(
  alive: readonly number[],
  against: (base: number, index: number) => TimeComparison,
  gainLeast: (index: number) => number,
): boolean {
  const others = alive.filter((index) => index !== 0);
  const leader = others.reduce(
    (best, index) => against(0, index).gain > against(0, best).gain ? index : best,
    others[0] ?? 0,
  );
  if (against(0, leader).low < gainLeast(leader)) return false;
  return others.every((index) => index === leader || against(index, leader).low > -same);
}

function decide<T>(
  values: readonly T[],
  fit: readonly number[],
  times: readonly (readonly number[])[],
  against: (base: number, index: number) => TimeComparison,
  gainLeast: (index: number) => number,
): Pick<Outcome<T>, "value" | "best"> {
  let best: { index: number; comparison: TimeComparison } | undefined;
  let winner: { index: number; comparison: TimeComparison } | undefined;
  for (const index of fit) {
    // A value that dropped out has times of the first rounds only: they are paired with those of the same rounds.
    if (index === 0 || (times[index]?.length ?? 0) < roundsLeast) continue;
    const comparison = against(0, index);
    if (!best || comparison.gain > best.comparison.gain) best = { index, comparison };
    const isBetter = comparison.low > gainLeast(index) / 2 && comparison.gain >= gainLeast(index);
    if (isBetter && (!winner || comparison.gain > winner.comparison.gain)) winner = { index, comparison };
  }
  const shown = winner ?? best;
  return {
    value: values[winner?.index ?? 0] as T,
    best: shown && { value: values[shown.index] as T, comparison: shown.comparison },
  };
}

/** A random order. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}

/** Random numbers from 0 to 1 by a seed (Vigna's SplitMix, in 32 bits): the order of measurements can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
