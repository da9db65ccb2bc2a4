/**
 * The pages that a plan gives out: free pages and those that the cache can evict, then those of sequences that give way
 * (`precedence.ts`). Nothing is taken or evicted here, only counted, so that a plan is a value. To count what the cache can
 * evict takes a look at every page in use; that is done only where the free pages are not enough.
 *
 * @module
 */
import type { Precedence } from "./precedence.ts";
import type { SequenceView } from "./types.ts";
import { pagesFor, weightSlack } from "../engine/page_pool.ts";

/** The pages of a store, as a plan needs them. */
export interface PageState {
  /** Pages, and positions of each. */
  readonly size: number;
  readonly pageSize: number;
  /** Pages that hold the state of a sequence; 0 where the model keeps none. */
  readonly statePages: number;
  /** Pages that can be taken without evicting anything. */
  readonly available: number;
  /** What the pages that are held may weigh, in whole pages. */
  readonly limit: number;
  /** What a page that is held weighs. */
  weightOf(page: number): number;
  /** Pages that the cache must keep, in use or not. */
  pinned(): Iterable<number>;
}

/** Gives out the pages of one plan. */
export class PageClaims<S extends SequenceView> {
  /** Sequences that give their pages up, in order. */
  readonly preempted: S[] = [];
  readonly #pages: PageState;
  readonly #precedence: Precedence;
  /** All sequences that have pages, and those whose pages can be had. */
  readonly #placed: readonly S[];
  readonly #candidates: Set<S>;
  /** Pages given out so far: in all, and to each sequence. */
  #given = 0;
  readonly #givenTo = new Map<S, number>();
  /** Pages that are left, as far as that is known, and what they may weigh, in whole pages. */
  #left: number;
  #weightLeft: number;
  /** How many sequences hold each page, or the cache where it must; once that had to be counted. */
  #references: Uint32Array | undefined;

  /** `placed`: all sequences that have pages. */
  constructor(pages: PageState, precedence: Precedence, placed: readonly S[]) {
    this.#pages = pages;
    this.#precedence = precedence;
    this.#placed = placed;
    this.#candidates = new Set(placed);
    this.#left = this.#weightLeft = pages.available;
  }

  /**
   * Gives `sequence` pages for its first `positions` positions, or for as many as there are pages for; returns how many its pages
   * then cover. The pages of others are taken by the rank of `claimant`. A sequence that got something keeps what it has.
   */
  cover(sequence: S, positions: number, claimant: S, isForced: boolean): number {
    const { pageSize, statePages } = this.#pages;
    const before = this.#givenTo.get(sequence) ?? 0;
    const wanted = statePages + pagesFor(positions, pageSize) - sequence.pages.length - before;
    // It must not give way to itself.
    const wasCandidate = this.#candidates.delete(sequence);
    let got = 0;
    while (got < wanted) {
      const taken = this.#take(wanted - got);
      got += taken;
      if (taken === 0 && !this.#preempt(claimant, isForced)) break;
    }
    if (got > 0) this.#givenTo.set(sequence, before + got);
    const covered = (sequence.pages.length + before + got - statePages) * pageSize;
    if (wasCandidate && covered <= sequence.position && sequence.unread > 0) this.#candidates.add(sequence);
    return Math.min(positions, covered);
  }

  #preempt(claimant: S, isForced: boolean): boolean {
    const holders = [...this.#candidates].filter(({ pages }) => pages.length > 0);
    const victim = this.#precedence.victim(claimant, holders, isForced);
    if (!victim) return false;
    this.#candidates.delete(victim);
    this.preempted.push(victim);
    const references = this.#references as Uint32Array;
    for (const page of victim.pages) {
      if (--(references[page] as number) > 0) continue;
      this.#left++;
      this.#weightLeft += this.#pages.weightOf(page);
    }
    return true;
  }

  /** Gives out up to `count` pages. */
  #take(count: number): number {
    if (count > this.#most && !this.#references) this.#count();
    const taken = Math.max(0, Math.min(count, this.#most));
    this.#left -= taken;
    this.#weightLeft -= taken;
    this.#given += taken;
    return taken;
  }

  /** Pages that can be given out: whole ones. */
  get #most(): number {
    return Math.min(this.#left, Math.floor(this.#weightLeft + weightSlack));
  }

  /** Whatever no sequence uses, and the cache need not keep, can be had. */
  #count(): void {
    const references = new Uint32Array(this.#pages.size);
    let held = 0;
    let weight = 0;
    const hold = (page: number) => {
      if (references[page] === 0) {
        held++;
        weight += this.#pages.weightOf(page);
      }
      (references[page] as number)++;
    };
    for (const { pages } of this.#placed) pages.forEach(hold);
    for (const page of this.#pages.pinned()) hold(page);
    this.#references = references;
    this.#left = this.#pages.size - held - this.#given;
    this.#weightLeft = this.#pages.limit - weight - this.#given;
  }
}
