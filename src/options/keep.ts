/**
 * What takes long to make and is asked for again and again: made once for all that ask while it is being made, and kept.
 *
 * @module
 */

/** What was made for a key, or is being made; the oldest of more than `most` is forgotten, and so is what fails. */
export function keep<T>(
  made: Map<string, Promise<T>>,
  most: number,
  key: string,
  make: () => Promise<T>,
): Promise<T> {
  const known = made.get(key);
  if (known !== undefined) return known;
  const making = make();
  // The request that asked hears of it. Another may be under way by now, where this one was the oldest.
  making.catch(() => made.get(key) === making && made.delete(key));
  if (made.size >= most) made.delete(made.keys().next().value as string);
  made.set(key, making);
  return making;
}
