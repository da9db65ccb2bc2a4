/**
 * Pages that windowed layers leave behind. A page has a part for layers that see all positions and one for those that see a
 * window. Once no query to come sees a page through the window, its windowed part is given back, and the page weighs less; its
 * number stays. How many pages that is, and what they weigh, is said here.
 *
 * @module
 */
import { pagesFor } from "../engine/page_pool.ts";
import { chunkMost } from "../engine/step_times.ts";
import type { LayerParameters } from "../model/architectures/types.ts";

/** How a model's pages are left behind. */
export interface Windows {
  /** Positions, its own included, that a query of windowed layers sees; 0: no layer leaves anything behind. */
  readonly window: number;
  /** What a page weighs that was left behind, as a share of a whole one. */
  readonly behind: number;
}

/** Of a model that leaves nothing behind. */
export const noWindows: Windows = { window: 0, behind: 1 };

/** The windows of a model whose pages take `pageBytes`, and `behindBytes` once windowed layers have left them behind. */
export function windowsOf(
  perLayer: readonly Pick<LayerParameters, "window" | "keysLayer">[],
  { pageBytes, behindBytes }: { readonly pageBytes: number; readonly behindBytes: number },
): Windows {
  // What a windowed layer keeps stays where one that sees all positions reads it.
  const isSeen = perLayer.some(({ window, keysLayer }) => window === 0 && (perLayer[keysLayer]?.window ?? 0) > 0);
  if (isSeen || behindBytes >= pageBytes) return noWindows;
  return { window: Math.max(...perLayer.map(({ window }) => window)), behind: behindBytes / pageBytes };
}

/** The first page that the query at `position`, or one after it, sees through the window. */
export function firstSeen(position: number, { window }: Windows, pageSize: number): number {
  return window === 0 ? 0 : Math.max(0, Math.floor((position - window + 1) / pageSize));
}

/** What the pages of `positions` positions of one sequence weigh at most, in whole pages. */
export function weightOf(positions: number, { window, behind }: Windows, pageSize: number): number {
  const pages = pagesFor(positions, pageSize);
  if (window === 0) return pages;
  // A step reads at most a chunk; its first query sees a window before it, and both ends lie within a page.
  const seen = Math.min(pages, pagesFor(window + chunkMost, pageSize) + 2);
  return pages * behind + seen * (1 - behind);
}
