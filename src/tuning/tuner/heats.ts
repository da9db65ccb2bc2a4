/**
 * Chooses the few of many values that are worth a race. Values run in small heats, each beside the current value, so that a
 * machine that is slower for a while slows both. After all heats the slower half is out and the rest run again, until few are left
 * (successive halving; Karnin, Koren, Somekh, Almost optimal exploration in multi-armed bandits, ICML 2013). A chosen value has
 * won nothing yet: the race counts times of its own.
 *
 * @module
 */
import { type Race, shuffled } from "./race.ts";

/** Values that are left for the race, and of a heat. */
const few = 4;
const heatMost = 6;
/** Times of a value in a heat; the better one counts, for either may be disturbed. */
const rounds = 2;

/** The first of the values, and the few of the others that seem fastest; as many as there are where the time is over. */
export async function runHeats<T>(race: Race<T>): Promise<T[]> {
  const { values: [base, ...all], isAllowed = () => true, random } = race;
  if (base === undefined) return [];
  const gains = new Map<T, number>();
  let alive = all;
  while (alive.length > few) {
    const order = shuffled(alive, random);
    for (let begin = 0; begin < order.length; begin += heatMost) {
      const members = order.slice(begin, begin + heatMost);
      const times = await runHeat(race, [base, ...members]);
      if (!times) return [base, ...best(alive, gains).slice(0, few)];
      const [baseMs = NaN, ...membersMs] = times;
      members.forEach((value, index) => {
        gains.set(value, (gains.get(value) ?? 0) + Math.log(baseMs / (membersMs[index] as number)));
      });
    }
    alive = best(alive.filter(isAllowed), gains).slice(0, Math.max(few, Math.ceil(alive.length / 2)));
  }
  return [base, ...alive];
}

/** The best time of each; undefined where there is no time for them. */
async function runHeat<T>(
  { work, estimate = () => 0, units = () => 1, budget, random }: Race<T>,
  values: readonly T[],
): Promise<number[] | undefined> {
  const times = values.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const index of shuffled([...values.keys()], random)) {
      const value = values[index] as T;
      if (budget.isOver(estimate(value))) return undefined;
      const ms = await budget.time(() => work(value));
      if (ms !== undefined) times[index] = Math.min(times[index] as number, ms / units(value));
    }
  }
  return times;
}

/** The best first; a value that had no heat yet counts as much as the current one. */
function best<T>(values: readonly T[], gains: ReadonlyMap<T, number>): T[] {
  const gain = (value: T) => gains.get(value) || 0; // NaN where a clock gave no time
  return [...values].sort((a, b) => gain(b) - gain(a));
}
