/**
 * Work that both runtimes need not do whole, since what it tests is the same library: each takes one half of the cases.
 *
 * @module
 */

/** Which half this runtime takes: 0 is Deno's, 1 every other's. */
export const half: 0 | 1 = "Deno" in globalThis ? 0 : 1;

/** The cases of this runtime's half: every second one. */
export function halfOf<T>(cases: readonly T[]): T[] {
  return cases.filter((_, index) => index % 2 === half);
}
