/**
 * Keywords of strings and numbers as languages: a value meets a keyword where its spelling is in the language.
 *
 * @module
 */
import type { Lexeme } from "../lexemes.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import { type CaseTools, count } from "./tools.ts";
import type { SchemaObject } from "./types.ts";

/** The languages of keywords of strings. */
export function textLanguages(schema: SchemaObject, place: SchemaPlace, { strings }: CaseTools): Lexeme[] {
  const found: Lexeme[] = [];
  const [least, most] = [count(schema, "minLength", place), count(schema, "maxLength", place)];
  if (least !== undefined) found.push(strings.length(least, Infinity));
  if (most !== undefined) found.push(strings.length(0, most));
  if (schema.pattern !== undefined) {
    if (typeof schema.pattern !== "string") {
      refuseSchema(`${place.where}/pattern`, "a text", JSON.stringify(schema.pattern));
    }
    found.push(strings.pattern(schema.pattern, `${place.where}/pattern`));
  }
  if (schema.format !== undefined && mayBeText(schema)) {
    const format = strings.format(String(schema.format));
    if (format === undefined) {
      refuseUnsupported(`${place.where}/format`, "a format that is enforced, or a pattern", `format ${schema.format}`);
    }
    found.push(format);
  }
  return found;
}

/** Formats say nothing about other values than strings. */
function mayBeText({ type }: SchemaObject): boolean {
  return type === undefined || type === "string" || Array.isArray(type) && type.includes("string");
}

/** The numbers that meet a keyword, and those that break it. */
interface NumberLanguages {
  readonly met: () => Lexeme;
  readonly broken: () => Lexeme;
}

/** The languages of keywords of numbers. */
export function numberLanguages(schema: SchemaObject, place: SchemaPlace, { numbers }: CaseTools): NumberLanguages[] {
  const found: NumberLanguages[] = [];
  const bound = (name: string): number | undefined => {
    const value = schema[name];
    if (value === undefined || typeof value === "boolean") return undefined;
    if (typeof value !== "number") refuseSchema(`${place.where}/${name}`, "a number", JSON.stringify(value));
    return value;
  };
  const lower = (value: number, isExclusive: boolean) =>
    found.push(
      isExclusive
        ? { met: () => numbers.above(value), broken: () => numbers.atMost(value) }
        : { met: () => numbers.atLeast(value), broken: () => numbers.below(value) },
    );
  const upper = (value: number, isExclusive: boolean) =>
    found.push(
      isExclusive
        ? { met: () => numbers.below(value), broken: () => numbers.atLeast(value) }
        : { met: () => numbers.atMost(value), broken: () => numbers.above(value) },
    );
  const [least, most] = [bound("minimum"), bound("maximum")];
  const [above, below] = [bound("exclusiveMinimum"), bound("exclusiveMaximum")];
  // Draft 4 has booleans that make the bounds beside them exclusive.
  if (least !== undefined) lower(least, schema.exclusiveMinimum === true);
  if (most !== undefined) upper(most, schema.exclusiveMaximum === true);
  if (above !== undefined) lower(above, true);
  if (below !== undefined) upper(below, true);
  const step = bound("multipleOf");
  if (step !== undefined) {
    if (!(step > 0)) refuseSchema(`${place.where}/multipleOf`, "a number above 0", String(step));
    if (!numbers.hasMultiplesOf(step)) {
      refuseUnsupported(
        `${place.where}/multipleOf`,
        "a number of up to 10000, or as many tenths, hundredths",
        `multipleOf ${step}`,
      );
    }
    found.push({ met: () => numbers.multipleOf(step), broken: () => numbers.noMultipleOf(step) });
  }
  return found;
}
