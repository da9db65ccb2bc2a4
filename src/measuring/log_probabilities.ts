/**
 * From logits to logarithms of probabilities, in double precision. They are for reports, and no result depends on them; so they
 * use `Math.exp` and `Math.log`.
 *
 * @module
 */

/**
 * The surprise at a token: the negative logarithm of the probability that logits give to it.
 *
 * @param logits of all tokens
 * @returns the surprise, in nats
 */
export function surprise(logits: Float32Array, token: number): number {
  return logarithmOfSum(logits) - logits[token];
}

/** ln(sum(exp(logits))). */
export function logarithmOfSum(logits: Float32Array): number {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most;
}
