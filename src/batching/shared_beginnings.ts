/**
 * Prompts that begin alike and are read at the same time: which sequence waits for which. A sequence at the end of its pages
 * waits if another one reads the same next tokens, and takes that page over from the cache. So a common beginning is read once,
 * whatever the chunk. Sequences with recurrent states wait for the whole of what they have in common: the one that reads it
 * leaves a copy of its state at the end of that.
 *
 * @module
 */
import type { Turns } from "./fairness.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceView } from "./types.ts";

/** A common beginning of at least so many tokens is waited for: as short a run as the cache finds. */
const tokensLeast = 8;
/** Of sequences that read after the same page, so many are compared with one that may wait. */
const leadersMost = 16;

/** Lets sequences that read take over what the cache has of their tokens; returns which of them wait for what another reads. */
export function takeOver(running: Iterable<Sequence>, turns: Turns, pageSize: number): Map<Sequence, Sequence> {
  const waiting = new Map<Sequence, Sequence>();
  const readers = [...running].filter(({ isReading }) => isReading);
  if (readers.length === 0) return waiting;
  readers.sort((a, b) => turns.compare(a, b));
  for (const sequence of readers) sequence.attachPages();
  if (readers.some(({ table }) => table?.hasState)) return waitForStates(readers, pageSize);
  const waits = waitsOf(readers.map((sequence) => ({ sequence, place: sequence.table?.place })), pageSize);
  for (const sequence of readers) {
    const wait = waits.get(sequence);
    const isRead = wait !== undefined && wait.leader.position >= wait.end;
    if (isRead) wait.leader.share();
    sequence.attachPart(wait ? wait.end - sequence.position : 1);
    if (wait && !isRead && sequence.position < wait.end) waiting.set(sequence, wait.leader);
  }
  return waiting;
}

/** The same for sequences with states, all of which have read up to a state by now. */
function waitForStates(readers: readonly Sequence[], pageSize: number): Map<Sequence, Sequence> {
  const waiting = new Map<Sequence, Sequence>();
  const sharing = readers.filter(({ table }) => table?.cursor !== undefined);
  const waits = stateWaitsOf(
    sharing.map((sequence) => ({ sequence, place: sequence.options.salt })),
    pageSize,
  );
  for (const [sequence, { leader, end }] of waits) {
    leader.partAt(end);
    waiting.set(sequence, leader);
  }
  return waiting;
}

/** A sequence that reads, and its place in the cache. */
export interface Reader<S extends SequenceView> {
  readonly sequence: S;
  /** Names the page in the cache after which it reads; undefined where it does not share. */
  readonly place: string | number | undefined;
}

/** What a sequence waits for. */
export interface Wait<S extends SequenceView> {
  /** The sequence that reads the common beginning. */
  readonly leader: S;
  /** Where the part ends that can be taken over from the leader's next page. */
  readonly end: number;
}

/** Which of `readers`, which come in turn, waits for which other one. */
export function waitsOf<S extends SequenceView>(readers: readonly Reader<S>[], pageSize: number): Map<S, Wait<S>> {
  const groups = new Map<string, S[]>();
  const groupOf = ({ sequence: { position, tokens }, place }: Reader<S>) => {
    const begin = position - (position % pageSize);
    const key = `${typeof place}${place}:${tokens.subarray(begin, begin + tokensLeast).join()}`;
    const group = groups.get(key);
    if (!group) groups.set(key, []);
    return group ?? groups.get(key) as S[];
  };
  const sharing = readers.filter(({ place }) => place !== undefined);
  // A sequence in the middle of a page is ahead of all that stand before the page, whatever the turn.
  for (const reader of sharing) if (reader.sequence.position % pageSize !== 0) groupOf(reader).push(reader.sequence);
  const waits = new Map<S, Wait<S>>();
  for (const reader of sharing) {
    const { sequence } = reader;
    if (sequence.position % pageSize !== 0) continue;
    const group = groupOf(reader);
    let best: Wait<S> | undefined;
    for (const leader of group.slice(0, leadersMost)) {
      const end = sequence.position + usable(sequence, leader, pageSize);
      if (end > (best?.end ?? sequence.position)) best = { leader, end };
    }
    if (best) waits.set(sequence, best);
    else group.push(sequence);
  }
  return waits;
}

/**
 * Which of `readers`, which come in turn, waits for which other one, where sequences have states: for the one under the same salt
 * with which it has the most whole pages in common, or all of that one's prompt, if that one has not read them yet.
 */
export function stateWaitsOf<S extends SequenceView>(
  readers: readonly Reader<S>[],
  pageSize: number,
): Map<S, Wait<S>> {
  const waits = new Map<S, Wait<S>>();
  const leaders: Reader<S>[] = [];
  // What has read more is ahead, whatever the turn.
  for (const reader of [...readers].sort((a, b) => b.sequence.position - a.sequence.position)) {
    const { sequence, place } = reader;
    let best: Wait<S> | undefined;
    for (const { sequence: leader } of leaders.filter((leader) => leader.place === place).slice(0, leadersMost)) {
      const end = stateEnd(sequence, leader, pageSize);
      const isAhead = end > leader.position && end - sequence.position >= pageSize;
      if (isAhead && end > (best?.end ?? 0)) best = { leader, end };
    }
    if (best) waits.set(sequence, best);
    else leaders.push(reader);
  }
  return waits;
}

/** Where `leader` can leave a state from which `sequence` goes on. */
function stateEnd({ tokens }: SequenceView, leader: SequenceView, pageSize: number): number {
  const most = Math.min(tokens.length, leader.tokens.length);
  let count = 0;
  while (count < most && tokens[count] === leader.tokens[count]) count++;
  // At the end of its prompt it leaves one anyway, and the hidden state with it.
  if (leader.choices === 0 && count === leader.tokens.length) return count;
  const last = Math.min(count, tokens.length - 1);
  return last - last % pageSize;
}

/** How many tokens after its position a sequence can take over from the page that `leader` reads. */
function usable({ tokens, position }: SequenceView, leader: SequenceView, pageSize: number): number {
  const most = Math.min(pageSize, tokens.length - position, leader.tokens.length - position);
  let count = 0;
  while (count < most && tokens[position + count] === leader.tokens[position + count]) count++;
  if (position + count < tokens.length) return count;
  // The last token is read for its hidden state, unless the leader ends there and leaves that.
  return leader.choices === 0 && leader.tokens.length === tokens.length ? count : count - 1;
}
