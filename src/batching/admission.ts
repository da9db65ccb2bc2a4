/**
 * Whether a sequence may begin. One that begins before there are pages for all that it has to read loses what it has computed
 * to those before it, and computes it again later.
 *
 * @module
 */
import type { KvStore } from "./kv_store.ts";
import { goesBefore } from "./precedence.ts";
import type { Sequence } from "./sequence.ts";

/**
 * Whether there are pages for all of `sequence` beside what those that run will want for what they have. It may take the pages of
 * a paused sequence, and of one that stands below it.
 */
export function hasPagesFor(sequence: Sequence, running: ReadonlySet<Sequence>, store: KvStore): boolean {
  const { pool, tree, windows } = store;
  const others = [...running];
  if (others.length === 0 || others.some((other) => goesBefore(other, sequence))) return true;
  const pagesOf = ({ position, unread }: Sequence) => store.weightOf(position + unread);
  const wanted = others.reduce((sum, other) => sum + pagesOf(other), pagesOf(sequence));
  if (wanted <= pool.limit) return true;
  // What several have in common is there once; of the rest, what windowed layers keep of it may not be.
  const held = others.flatMap(({ pages }) => pages);
  const { salt } = sequence.options;
  const known = salt === undefined ? 0 : tree?.match(salt, sequence.tokens).pages.length ?? 0;
  // Within one window nothing is left behind, so what is shared is shared whole.
  const isWithin = [sequence, ...others].every(({ position, unread }) => position + unread <= windows.window);
  return wanted - (known + held.length - new Set(held).size) * (isWithin ? 1 : windows.behind) <= pool.limit;
}

/** Whether there is room for all that `sequence` and those that are `placed` may ever hold: then it takes no page of another. */
export function hasRoomFor(sequence: Sequence, placed: readonly Sequence[], store: KvStore): boolean {
  const most = ({ options }: Sequence) => store.weightOf(options.positions);
  return placed.reduce((sum, other) => sum + most(other), most(sequence)) <= store.pool.limit;
}
