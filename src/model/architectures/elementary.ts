/**
 * Logarithm and power of our own: a result depends on them, and the last bits of `Math.log` depend on the engine. Sums,
 * products and quotients only, as in `kernels/op/math.zig`.
 *
 * @module
 */

const LN2 = 0.6931471805599453;

/** The natural logarithm of a positive, finite number. */
export function ln(x: number): number {
  let [mantissa, exponent] = [x, 0];
  for (; mantissa > Math.SQRT2; mantissa /= 2) exponent++;
  for (; mantissa < Math.SQRT1_2; mantissa *= 2) exponent--;
  // 2 atanh(s), s at most 0.172: 12 terms leave 1e-19.
  const s = (mantissa - 1) / (mantissa + 1);
  let sum = 0;
  for (let k = 11; k >= 0; k--) sum = sum * s * s + 1 / (2 * k + 1);
  return exponent * LN2 + 2 * s * sum;
}

/** base^y for a positive base; the exponent of the result is moderate. */
export function pow(base: number, y: number): number {
  const x = y * ln(base);
  const n = Math.round(x / LN2);
  const r = x - n * LN2;
  let sum = 1;
  for (let k = 18; k >= 1; k--) sum = 1 + sum * r / k;
  return sum * 2 ** n;
}
