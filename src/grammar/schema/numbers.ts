/**
 * Numbers as texts: which decimal spellings have a value within bounds, or a multiple. A number has up to 17 digits before its
 * point and as many behind it, and no exponent, for a model that writes digits without end writes no JSON. Who reads a text takes
 * the double that is nearest to it, so a text is in a language where it is by its own digits and by those of its double: with 17
 * nines behind the point it is no number below 1.
 *
 * @module
 */
import { type Lexeme, type Lexemes, NOTHING } from "../lexemes.ts";

/** Digits on either side of the point; 17 tell any two doubles of ordinary size apart. */
const digitsMost = 17;

/** The greatest divisor: each remainder is a state. */
const divisorMost = 10_000;

/** Digits that no two doubles share: a decimal of as many comes back from its double. */
const exactMost = 15;

/** A number's digits. */
interface Decimal {
  readonly isNegative: boolean;
  readonly whole: string;
  /** Without zeros at its end. */
  readonly fraction: string;
}

/** Languages of numbers. */
export class Numbers {
  /** Any number. */
  readonly any: Lexeme;
  /** Numbers without a fraction, `1.0` among them. */
  readonly integer: Lexeme;
  readonly #lexemes: Lexemes;
  readonly #digit: Lexeme;
  readonly #unsigned: Lexeme;

  constructor(lexemes: Lexemes) {
    this.#lexemes = lexemes;
    this.#digit = lexemes.range(0x30, 0x39);
    const whole = lexemes.either(
      lexemes.range(0x30),
      lexemes.then(lexemes.range(0x31, 0x39), lexemes.repeat(this.#digit, 0, digitsMost - 1)),
    );
    this.#unsigned = lexemes.then(whole, this.#fraction(lexemes.repeat(this.#digit, 1, digitsMost)));
    this.any = this.#signed(this.#unsigned);
    this.integer = this.#signed(
      lexemes.then(whole, this.#fraction(lexemes.repeat(lexemes.range(0x30), 1, digitsMost))),
    );
  }

  /** The spellings of a value, and the one of `JSON.stringify`. */
  literal(value: number): Lexeme {
    const own = this.#lexemes.literal(new TextEncoder().encode(JSON.stringify(value)));
    return this.#lexemes.either(own, this.#lexemes.both(this.atLeast(value), this.atMost(value)));
  }

  /** Values of `bound` and more. */
  atLeast(bound: number): Lexeme {
    return this.#above(decimal(bound), true);
  }

  /** Values above `bound`. */
  above(bound: number): Lexeme {
    // Below the least of doubles above 0 are no texts.
    if (bound === 0) return this.#above(decimal(bound), false);
    const next = neighbour(bound, 1);
    return next === Infinity ? NOTHING : this.atLeast(next);
  }

  /** Values of `bound` and less. */
  atMost(bound: number): Lexeme {
    const lexemes = this.#lexemes;
    const { isNegative, whole } = decimal(bound);
    // As many digits as the bound has at most: what has more need not be looked through for that.
    const sized = lexemes.either(
      isNegative ? NOTHING : this.#unsignedOf(whole.length),
      lexemes.then(lexemes.range(0x2d), this.#unsigned),
    );
    return lexemes.both(sized, lexemes.not(this.#above(decimal(bound), false)));
  }

  /** Values below `bound`. */
  below(bound: number): Lexeme {
    if (bound === 0) return this.#lexemes.both(this.any, this.#lexemes.not(this.atLeast(0)));
    const next = neighbour(bound, -1);
    return next === -Infinity ? NOTHING : this.atMost(next);
  }

  /** Values that are another. */
  otherThan(value: number): Lexeme {
    return this.#lexemes.either(this.above(value), this.below(value));
  }

  /** Whether multiples of a positive value can be told from others: not where its digits are too many. */
  hasMultiplesOf(value: number): boolean {
    const { whole, fraction } = decimal(value);
    return Number(whole + fraction) <= divisorMost && fraction.length <= digitsMost;
  }

  /** Multiples of a positive value. */
  multipleOf(value: number): Lexeme {
    const multiples = this.#multiplesOf(value);
    // All doubles above are whole.
    if (value === 1) return multiples;
    const [whole, told] = [2 ** 53, Math.floor(2 ** 53 / 10 ** decimal(value).fraction.length)];
    const within = (most: number) => this.#lexemes.both(this.atLeast(-most), this.atMost(most));
    const exact = told === whole
      ? within(whole)
      : this.#lexemes.either(within(told), this.#lexemes.both(this.integer, within(whole)));
    return this.#lexemes.both(multiples, exact);
  }

  /** Values that are no multiples of a positive one, of so many digits that their doubles are none either. */
  noMultipleOf(value: number): Lexeme {
    const lexemes = this.#lexemes;
    const [digit, zero, nine] = [this.#digit, lexemes.range(0x30), lexemes.range(0x39)];
    const point = lexemes.range(0x2e);
    const few = lexemes.both(
      lexemes.repeat(lexemes.either(digit, point), 1, exactMost + 1),
      lexemes.not(lexemes.repeat(digit, exactMost + 1)),
    );
    // More digits, where the first ones behind the point are far from those of a whole number.
    const clear = (whole: number, digits: number) =>
      lexemes.then(
        lexemes.repeat(digit, 1, whole),
        point,
        lexemes.both(
          lexemes.repeat(digit, digits, digits),
          lexemes.not(lexemes.either(lexemes.repeat(zero, digits, digits), lexemes.repeat(nine, digits, digits))),
        ),
        lexemes.repeat(digit, 0),
      );
    const isWhole = decimal(value).fraction === "";
    const told = isWhole ? lexemes.either(few, clear(exactMost - 1, 1), clear(exactMost - 8, 8)) : few;
    return lexemes.both(this.#signed(lexemes.both(this.#unsigned, told)), lexemes.not(this.#multiplesOf(value)));
  }

  /** By their digits. */
  #multiplesOf(value: number): Lexeme {
    const { whole, fraction } = decimal(value);
    const lexemes = this.#lexemes;
    const multiples = lexemes.multiple(Number(whole + fraction), fraction.length);
    return lexemes.both(this.any, this.#signed(lexemes.both(this.#unsigned, multiples)));
  }

  #above({ isNegative, whole, fraction }: Decimal, orEqual: boolean): Lexeme {
    const lexemes = this.#lexemes;
    const isZero = whole === "0" && fraction === "";
    if (!isNegative && !(isZero && orEqual)) return this.#unsignedAbove(whole, fraction, orEqual);
    // All that have no sign, and those of a sign whose size is less.
    const less = lexemes.both(
      this.#unsignedOf(whole.length),
      lexemes.not(this.#unsignedAbove(whole, fraction, !orEqual)),
    );
    return lexemes.either(this.#unsigned, lexemes.then(lexemes.range(0x2d), less));
  }

  #unsignedAbove(whole: string, fraction: string, orEqual: boolean): Lexeme {
    const lexemes = this.#lexemes;
    const digits = (least: number, most = least) => lexemes.repeat(this.#digit, least, most);
    const anyFraction = this.#fraction(digits(1, digitsMost));
    const parts: Lexeme[] = [];
    // More digits before the point.
    if (whole.length < digitsMost) {
      parts.push(lexemes.then(lexemes.range(0x31, 0x39), digits(whole.length, digitsMost - 1), anyFraction));
    }
    for (let at = 0; at < whole.length; at++) {
      parts.push(
        lexemes.then(
          this.#text(whole.slice(0, at)),
          this.#greater(whole, at),
          digits(whole.length - at - 1),
          anyFraction,
        ),
      );
    }
    for (let at = 0; at < fraction.length; at++) {
      const begin = this.#text(`${whole}.${fraction.slice(0, at)}`);
      parts.push(lexemes.then(begin, this.#greater(fraction, at), digits(0, digitsMost)));
    }
    const zeros = lexemes.repeat(lexemes.range(0x30), 0);
    const equal = fraction === ""
      ? lexemes.then(this.#text(whole), this.#fraction(lexemes.repeat(lexemes.range(0x30), 1)))
      : lexemes.then(this.#text(`${whole}.${fraction}`), zeros);
    const longer = lexemes.then(
      this.#text(`${whole}.${fraction}`),
      zeros,
      lexemes.range(0x31, 0x39),
      digits(0, digitsMost),
    );
    parts.push(longer);
    if (orEqual) parts.push(equal);
    return lexemes.both(this.#unsigned, lexemes.either(...parts));
  }

  #greater(digits: string, at: number): Lexeme {
    const digit = digits.charCodeAt(at);
    return digit === 0x39 ? NOTHING : this.#lexemes.range(digit + 1, 0x39);
  }

  #text(text: string): Lexeme {
    return this.#lexemes.literal(new TextEncoder().encode(text));
  }

  #fraction(digits: Lexeme): Lexeme {
    return this.#lexemes.maybe(this.#lexemes.then(this.#lexemes.range(0x2e), digits));
  }

  /** Numbers of up to so many digits before the point. */
  #unsignedOf(most: number): Lexeme {
    const lexemes = this.#lexemes;
    const digits = lexemes.repeat(this.#digit, 0, Math.min(most, digitsMost) - 1);
    const whole = lexemes.either(lexemes.range(0x30), lexemes.then(lexemes.range(0x31, 0x39), digits));
    return lexemes.then(whole, this.#fraction(lexemes.repeat(this.#digit, 1, digitsMost)));
  }

  #signed(unsigned: Lexeme): Lexeme {
    return this.#lexemes.then(this.#lexemes.maybe(this.#lexemes.range(0x2d)), unsigned);
  }
}

/** The double next to one that is not 0, above it or below it. */
function neighbour(value: number, direction: 1 | -1): number {
  const bits = new BigInt64Array(Float64Array.of(value).buffer);
  bits[0] += BigInt(value > 0 ? direction : -direction);
  return new Float64Array(bits.buffer)[0];
}

/** The digits of a value, without an exponent. */
function decimal(value: number): Decimal {
  const [mantissa, exponent = "0"] = String(Math.abs(value)).split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  const shift = Number(exponent);
  const digits = whole + fraction;
  const point = whole.length + shift;
  const padded = point <= 0 ? "0".repeat(1 - point) + digits : digits.padEnd(point, "0");
  const at = Math.max(1, point);
  return {
    isNegative: value < 0,
    whole: padded.slice(0, at).replace(/^0+(?=.)/, ""),
    fraction: padded.slice(at).replace(/0+$/, ""),
  };
}
