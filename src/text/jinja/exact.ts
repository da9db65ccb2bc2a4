/**
 * Exact arithmetic between floats, fractions and decimal digits, by large integers: rounding to even, and the digits of
 * `round`, `%f` and `{:.3f}` as Python has them.
 *
 * @module
 */

/** A float as `mantissa * 2 ** exponent`, exactly; finite ones only. */
export function decompose(value: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const raw = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = raw === 0 ? fraction : fraction | 0x10000000000000n;
  return { mantissa: value < 0 ? -mantissa : mantissa, exponent: (raw === 0 ? 1 : raw) - 1075 };
}

/** A float as a fraction. */
export function fractionOf(value: number): { over: bigint; under: bigint } {
  const { mantissa, exponent } = decompose(value);
  return exponent >= 0
    ? { over: mantissa << BigInt(exponent), under: 1n }
    : { over: mantissa, under: 1n << BigInt(-exponent) };
}

/** The integer nearest to a fraction; halves go to the even one. `under` is positive. */
export function divideRounded(over: bigint, under: bigint): bigint {
  const negative = over < 0n;
  const size = negative ? -over : over;
  let quotient = size / under;
  const twice = 2n * (size % under);
  if (twice > under || twice === under && (quotient & 1n) === 1n) quotient++;
  return negative ? -quotient : quotient;
}

/** How many bits a positive integer has. */
export function bitsOf(value: bigint): number {
  const digits = value.toString(16);
  return 4 * (digits.length - 1) + (32 - Math.clz32(parseInt(digits[0], 16)));
}

/** The float nearest to a fraction; `under` is positive. Infinity where there is none. */
export function toFloat(over: bigint, under: bigint): number {
  if (over === 0n) return 0;
  const negative = over < 0n;
  const size = negative ? -over : over;
  // As many bits as a float has, fewer below the smallest normal one.
  const shift = Math.max(bitsOf(size) - bitsOf(under) - 54, -1074);
  const quotient = shift >= 0
    ? divideSticky(size, under << BigInt(shift))
    : divideSticky(size << BigInt(-shift), under);
  // `quotient` has one or two bits more than a float and a last one that says whether anything was left.
  const [half, other] = [Math.trunc(shift / 2), shift - Math.trunc(shift / 2)];
  const value = Number(quotient) / 2 * powerOfTwo(half) * powerOfTwo(other);
  return negative ? -value : value;
}

/** Twice the quotient, and one more where it left a rest: so that rounding it rounds the fraction. */
function divideSticky(over: bigint, under: bigint): bigint {
  return 2n * (over / under) + (over % under === 0n ? 0n : 1n);
}

function powerOfTwo(exponent: number): number {
  return 2 ** exponent;
}

/** The digits of a finite float with so many places after the point (fewer than 0: before it), without sign and point. */
export function fixedDigits(value: number, places: number): bigint {
  const { over, under } = fractionOf(Math.abs(value));
  return places >= 0
    ? divideRounded(over * 10n ** BigInt(places), under)
    : divideRounded(over, under * 10n ** BigInt(-places));
}

/** So many significant digits of a finite float that is not 0, and the power of ten of the first. */
export function significantDigits(value: number, count: number): { digits: string; exponent: number } {
  let exponent = Number(Math.abs(value).toExponential().split("e")[1]);
  const digitsAt = (exponent: number) => fixedDigits(value, count - 1 - exponent).toString();
  let digits = digitsAt(exponent);
  if (digits.length > count) digits = digitsAt(++exponent);
  return { digits, exponent };
}

/** A finite float rounded to so many places, as Python's `round` does. */
export function roundFloat(value: number, places: number): number {
  // Beyond these no float changes, or all become 0.
  if (places > 323 || !Number.isFinite(value)) return value;
  if (places < -308) return value < 0 ? -0 : 0;
  const digits = fixedDigits(value, places);
  const size = places >= 0 ? toFloat(digits, 10n ** BigInt(places)) : toFloat(digits * 10n ** BigInt(-places), 1n);
  return value < 0 || Object.is(value, -0) ? -size : size;
}
