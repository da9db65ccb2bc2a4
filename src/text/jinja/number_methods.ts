/**
 * The attributes and methods of numbers.
 *
 * @module
 */
import { bind } from "./arguments.ts";
import { bitsOf, fractionOf } from "./exact.ts";
import { Failure, unsupported } from "./failure.ts";
import { integer, numberOf } from "./numbers.ts";
import type { Run } from "./types.ts";
import { Builtin, Num, Tuple, type Value } from "./values.ts";

/** `number.name`; undefined where there is none. */
export function numberAttribute(run: Run, value: Num | boolean, name: string): Value | undefined {
  const number = numberOf(value) as Num;
  const method = (result: () => Value) =>
    new Builtin(name, (args, keywords) => {
      bind(name, { names: [] }, args, keywords);
      run.budget.step();
      return result();
    });
  if (name === "real") return number;
  if (name === "imag") return new Num(0, number.float, false);
  if (name === "conjugate") return method(() => number);
  if (name === "as_integer_ratio") return method(() => ratio(number));
  return number.float ? floatAttribute(number, name, method) : integerAttribute(number, name, method);
}

type MakeMethod = (result: () => Value) => Builtin;

function floatAttribute(number: Num, name: string, method: MakeMethod): Value | undefined {
  if (name === "is_integer") return method(() => Number.isInteger(number.value));
  if (name === "hex" || name === "fromhex") throw unsupported(`float.${name}`, "a prompt has no use for it");
  return undefined;
}

function integerAttribute(number: Num, name: string, method: MakeMethod): Value | undefined {
  const size = () => number.value < 0 ? -BigInt(number.value) : BigInt(number.value);
  switch (name) {
    case "numerator":
      return number;
    case "denominator":
      return new Num(1, false, false);
    case "bit_length":
      return method(() => new Num(size() === 0n ? 0 : bitsOf(size()), false, number.foreign));
    case "bit_count":
      return method(() => new Num(size().toString(2).replaceAll("0", "").length, false, number.foreign));
    case "to_bytes":
    case "from_bytes":
      throw unsupported(`int.${name}`, "a prompt has no use for bytes");
    default:
      return undefined;
  }
}

function ratio(number: Num): Tuple {
  if (!number.float) return new Tuple([number, new Num(1, false, number.foreign)]);
  const value = Number(number.value);
  if (!Number.isFinite(value)) {
    throw new Failure(Number.isNaN(value) ? "ValueError" : "OverflowError", "cannot convert to integer ratio");
  }
  let { over, under } = fractionOf(value);
  while (under > 1n && over % 2n === 0n) [over, under] = [over / 2n, under / 2n];
  return new Tuple([integer(over, number.foreign), integer(under, number.foreign)]);
}
