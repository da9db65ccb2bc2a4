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

/** One of what may stand among the parts: what is needed and came before it, and came with it, as bits. */
export interface OtherPart extends ShuffledPart {
  readonly before: number;
  readonly with: number;
}

/** Of the others so many at most are needed, each by itself. */
export const neededMost = 4;
const neededSets = 1 << neededMost;

/** Parts in any order. */
export interface Shuffle {
  /** Parts of which each comes once at most; {@link shuffledMost} of them at most. */
  readonly members: readonly (ShuffledPart & { readonly isRequired: boolean })[];
  /** Which members were there, where they are many. */
  readonly sets: UsedSets;
  /** What may stand among them, again and again. */
  readonly others: readonly OtherPart[];
  /** The bits of those of the others that must come. */
  readonly needed: number;
  /** How many there are; of the others only one counts towards the least. */
  readonly least: number;
  readonly most: number;
}

/**
 * Which parts were there: a bit of `used` for each member, or the number of a set of many; in `tail` the bits of the needed ones,
 * and above them how many others there were.
 */
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
  const members = shuffle.members.filter((member) => fits(member.next));
  const required = ({ members }: Shuffle) => members.filter(({ isRequired }) => isRequired).length;
  const left = { ...shuffle, members, others: shuffle.others.filter((part) => fits(part.next)) };
  return required(left) === required(shuffle) && canBeMet(left, NONE) ? left : undefined;
}

/** The rules of a shuffle. */
export function rulesIn({ members, others }: Shuffle): number[] {
  return [...members, ...others].flatMap((part) => [part.first, part.next]);
}

/** Whether nothing more has to come. */
export function canEnd(shuffle: Shuffle, count: ShuffleCount): boolean {
  const { missing, distinct } = left(shuffle, count);
  return missing === 0 && distinct >= shuffle.least;
}

/** What may come behind a count. */
export function nextSteps(shuffle: Shuffle, count: ShuffleCount): ShuffleStep[] {
  const { members, others, most } = shuffle;
  const { used, tail } = count;
  const side = used === 0 && tail === 0 ? "first" : "next";
  const steps: ShuffleStep[] = [];
  // It makes no difference which one comes of those that are required, or of the optional ones.
  const canCome = [true, false].map((isRequired) => {
    const index = members.findIndex((member, at) => member.isRequired === isRequired && !isUsed(shuffle, used, at));
    return index >= 0 && canBeMet(shuffle, { used: using(shuffle, used, index), tail });
  });
  members.forEach((member, index) => {
    if (!canCome[member.isRequired ? 0 : 1] || isUsed(shuffle, used, index)) return;
    steps.push([member[side], { used: using(shuffle, used, index), tail }]);
  });
  const came = tail % neededSets;
  for (const part of others) {
    if (part.before !== came) continue;
    // Without a greatest number it makes no difference how many others there are.
    const before = most === Infinity ? 0 : tail - came;
    const behind = { used, tail: before + neededSets + (came | part.with) };
    if (canBeMet(shuffle, behind)) steps.push([part[side], behind]);
  }
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
  let [there, required, optional] = [0, 0, 0];
  shuffle.members.forEach(({ isRequired }, index) => {
    if (isUsed(shuffle, used, index)) there++;
    else if (isRequired) required++;
    else optional++;
  });
  const needed = neededAfter(shuffle, tail % neededSets);
  return {
    /** Of different names. */
    distinct: there + Math.min(1, tail),
    all: there + Math.floor(tail / neededSets),
    missing: required + needed,
    required,
    optional,
    needed,
  };
}

/** How many others must come before all are there that are needed; Infinity where they cannot. */
function neededAfter({ needed, others }: Pick<Shuffle, "needed" | "others">, came: number): number {
  if (came === needed) return 0;
  const next = others.filter((part) => part.before === came && (came | part.with) !== came);
  return next.reduce((least, part) => Math.min(least, 1 + neededAfter({ needed, others }, came | part.with)), Infinity);
}

function canBeMet(shuffle: Shuffle, count: ShuffleCount): boolean {
  const { distinct, all, missing, required, optional, needed } = left(shuffle, count);
  const noOther = count.tail === 0;
  const short = shuffle.least - distinct - required - Number(needed > 0 && noOther);
  const more = optional + Number(needed === 0 && noOther && shuffle.others.length > 0);
  return missing < Infinity && short <= more && all + missing + Math.max(0, short) <= shuffle.most;
}
