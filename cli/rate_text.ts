/**
 * Rates for people.
 *
 * @module
 */

/** Tokens a second, without digits that say nothing. */
export function rateText(tokensPerSecond: number): string {
  const rate = tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : String(Number(tokensPerSecond.toPrecision(2)));
  return `${rate} tokens/s`;
}
