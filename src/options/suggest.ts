/**
 * "Did you mean": the known name that is nearest to a misspelt one, by the number of letters that differ. Case, dashes and
 * underscores count nothing, so that `max_tokens` finds `maxTokens`.
 *
 * @module
 */

/** The one of `known` that `name` is probably meant to be; undefined where none is near. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  // A name of megabytes is no misspelling, and comparing costs the product of both lengths.
  if (name.length > 64) return undefined;
  const asked = plain(name);
  let best: string | undefined;
  let least = 1 + Math.floor(asked.length / 3);
  for (const candidate of known) {
    const distance = editDistance(asked, plain(candidate));
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  if (best !== undefined || asked.length < 3) return best;
  // A shortened name: `temp`.
  return [...known].find((candidate) => plain(candidate).startsWith(asked));
}

/** The least number of letters to insert, delete, replace or swap with a neighbour that turns `from` into `to`. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      let least = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + (isSame ? 0 : 1),
      );
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwapped) least = Math.min(least, (beforeLast[column - 2] as number) + 1);
      current.push(least);
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] as number;
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, "");
}
