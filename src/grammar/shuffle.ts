/**
 * Parts in any order, each once at most, as the properties of an object are. The orders are never written out: a place of this
 * kind counts which parts were there, and says for each count which may come next. No count is entered from which the rest
 * cannot be met.
 *
 * @module
 */

/** The parts that may stand in any order: each behind any others is a state of its own. */
export const shuffledMost = 256;
/** Of so many parts a count says which were there by the bits of an exact number. */
const bitsMost = 48;

/** A part, by the rule that writes it as the first of all, and the one that writes it behind others. */
export interface ShuffledPart {
  readonly first: number;
  readonly next: number;
}

/** Parts in any order. */
export interface Shuffle {
  /** Parts of which each comes once at most; {@link shuffledMost} of them at most. */
  readonly members: readonly (ShuffledPart & { readonly isRequired: boolean })[];
  /** Which members were there, where they are many. */
  readonly sets: UsedSets;
  /** What may stand among them, again and again. */
  readonly others?: ShuffledPart;
  /** One of the others that must come; where it is last, no other one comes behind it. */
  readonly needed?: ShuffledPart & { readonly isLast: boolean };
  /** How many there are; of the others only one counts towards the least. */
  readonly least: number;
  readonly most: number;
}

/** Which parts were there: a bit of `used` for each member, or the number of a set of many; twice the others, and one more where the needed one came. */
export interface ShuffleCount {
  readonly used: number;
  readonly tail: number;
}

/** What may come next: a rule, and the count behind it. */
export type ShuffleStep = readonly [rule: number, behind: ShuffleCount];

/** Sets of members by number, for what a place counts are numbers. */
export class UsedSets {
  readonly #sets: bigint[] = [0n];
  readonly #numbers = new Map<bigint, number>([[0n, 0]]);

  /** Whether a set has a member. */
  has(set: number, index: number): boolean {
    return (this.#sets[set] >> BigInt(index)) % 2n === 1n;
  }

  /** The set that has one member more. */
  with(set: number, index: number): number {
    const more = this.#sets[set] | 1n << BigInt(index);
    const known = this.#numbers.get(more);
    if (known !== undefined) return known;
    const number = this.#sets.push(more) - 1;
    this.#numbers.set(more, number);
    return number;
  }
}

/** Nothing was there. */
const NONE: ShuffleCount = { used: 0, tail: 0 };

/** The shuffle of those parts that a text fits; `undefined` where it cannot be met by them. */
export function fitting(shuffle: Shuffle, fits: (rule: number) => boolean): Shuffle | undefined {
  const kept = <Part extends ShuffledPart>(part: Part | undefined) => part && fits(part.next) ? part : undefined;
  const members = shuffle.members.filter((member) => fits(member.next));
  const required = ({ members }: Shuffle) => members.filter(({ isRequired }) => isRequired).length;
  const left = { ...shuffle, members, others: kept(shuffle.others), needed: kept(shuffle.needed) };
  if (required(left) < required(shuffle) || (shuffle.needed && !left.needed)) return undefined;
  return canBeMet(left, NONE) ? left : undefined;
}

/** The rules of a shuffle. */
export function rulesIn({ members, others, needed }: Shuffle): number[] {
  return [...members, others, needed].flatMap((part) => part ? [part.first, part.next] : []);
}

/** Whether nothing more has to come. */
export function canEnd(shuffle: Shuffle, count: ShuffleCount): boolean {
  const { missing, distinct } = left(shuffle, count);
  return missing === 0 && distinct >= shuffle.least;
}

/** What may come behind a count. */
export function nextSteps(shuffle: Shuffle, count: ShuffleCount): ShuffleStep[] {
  const { members, others, needed, most } = shuffle;
  const { used, tail } = count;
  const side = used === 0 && tail === 0 ? "first" : "next";
  const steps: ShuffleStep[] = [];
  const add = (part: ShuffledPart, behind: ShuffleCount) => {
    if (canBeMet(shuffle, behind)) steps.push([part[side], behind]);
  };
  // It makes no difference which one comes of those that are required, or of the optional ones.
  const canCome = [true, false].map((isRequired) => {
    const index = members.findIndex((member, at) => member.isRequired === isRequired && !isUsed(shuffle, used, at));
    return index >= 0 && canBeMet(shuffle, { used: using(shuffle, used, index), tail });
  });
  members.forEach((member, index) => {
    if (!canCome[member.isRequired ? 0 : 1] || isUsed(shuffle, used, index)) return;
    steps.push([member[side], { used: using(shuffle, used, index), tail }]);
  });
  const cameNeeded = tail % 2;
  // Without a greatest number it makes no difference how many others there are.
  const another = most === Infinity ? 2 + cameNeeded : tail + 2;
  if (others && !(cameNeeded === 1 && needed?.isLast)) add(others, { used, tail: another });
  if (needed && cameNeeded === 0) add(needed, { used, tail: tail + 1 });
  return steps;
}

function isUsed({ members, sets }: Shuffle, used: number, index: number): boolean {
  return members.length > bitsMost ? sets.has(used, index) : Math.floor(used / 2 ** index) % 2 === 1;
}

/** With a member that was not there. */
function using({ members, sets }: Shuffle, used: number, index: number): number {
  return members.length > bitsMost ? sets.with(used, index) : used + 2 ** index;
}

/** What is left to come. */
function left(shuffle: Shuffle, { used, tail }: ShuffleCount) {
  const { members, needed } = shuffle;
  let [there, required, optional] = [0, 0, 0];
  members.forEach(({ isRequired }, index) => {
    if (isUsed(shuffle, used, index)) there++;
    else if (isRequired) required++;
    else optional++;
  });
  const cameNeeded = tail % 2;
  const isNeeded = needed !== undefined && cameNeeded === 0;
  return {
    /** Of different names. */
    distinct: there + Math.min(1, tail),
    all: there + (tail >> 1) + cameNeeded,
    missing: required + Number(isNeeded),
    required,
    optional,
    isNeeded,
  };
}

function canBeMet(shuffle: Shuffle, count: ShuffleCount): boolean {
  const { distinct, all, missing, required, optional, isNeeded } = left(shuffle, count);
  const noOther = count.tail === 0;
  const short = shuffle.least - distinct - required - Number(isNeeded && noOther);
  const more = optional + Number(!isNeeded && noOther && shuffle.others !== undefined);
  return short <= more && all + missing + Math.max(0, short) <= shuffle.most;
}
