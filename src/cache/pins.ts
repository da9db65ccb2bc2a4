/**
 * The pages of a cache that must not be evicted: those that a caller has pinned, and, for a while, those that are being moved or
 * saved. A page that is pinned keeps all that come before it.
 *
 * @module
 */
import type { CachePage } from "./page.ts";

/** Which pages are pinned. */
export class Pins<T> {
  readonly #pages = new Set<CachePage<T>>();
  #transfers = 0;
  /** Called at the end of each {@link Pins.transfer}. */
  transferred: (() => void) | undefined;

  /** Forbids the eviction of a page, and so of those before it, until {@link Pins.remove}. */
  add(page: CachePage<T>): void {
    if (page.pins++ === 0) this.#pages.add(page);
  }

  /** Takes one {@link Pins.add} back. */
  remove(page: CachePage<T>): void {
    if (--page.pins === 0) this.#pages.delete(page);
  }

  /** The pages that can't be evicted because they, or pages after them, are pinned. */
  all(): Set<CachePage<T>> {
    const pages = new Set<CachePage<T>>();
    for (const pinned of this.#pages) {
      for (let page = pinned; page.parent && !page.isGone && !pages.has(page); page = page.parent) pages.add(page);
    }
    return pages;
  }

  /** Whether pages are pinned that will not be soon. */
  get isTransferring(): boolean {
    return this.#transfers > 0;
  }

  /** Pins pages until `work` is done with them. */
  async transfer<R>(pages: readonly CachePage<T>[], work: () => Promise<R>): Promise<R> {
    this.#transfers++;
    for (const page of pages) this.add(page);
    try {
      return await work();
    } finally {
      for (const page of pages) this.remove(page);
      this.#transfers--;
      this.transferred?.();
    }
  }
}
