/**
 * Keywords of strings and numbers as languages: a value meets a keyword where its spelling is in the language.
 *
 * @module
 */
import { type Lexeme, NOTHING } from "../lexemes.ts";
import { integersOf, isSaidByPattern } from "./formats.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import type { TextLanguage } from "./strings.ts";
import { type CaseTools, count } from "./tools.ts";
import type { SchemaObject } from "./types.ts";

/** The languages of keywords of strings. */
export function textLanguages(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): TextLanguage[] {
  const { strings } = tools;
  const found: TextLanguage[] = [];
  const add = (met: Lexeme) => found.push({ met, wide: () => met });
  const [least, most] = [count(schema, "minLength", place), count(schema, "maxLength", place)];
  if (least !== undefined) add(strings.length(least, Infinity));
  if (most !== undefined) add(strings.length(0, most));
  if (schema.pattern !== undefined) {
    if (typeof schema.pattern !== "string") {
      refuseSchema(`${place.where}/pattern`, "a text", JSON.stringify(schema.pattern));
    }
    add(strings.pattern(schema.pattern, `${place.where}/pattern`));
  }
  const format = formatOf(schema, place, tools);
  if (format !== undefined) found.push(format);
  return found;
}

/** Formats say nothing about values of other types than their own. */
function formatOf(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): TextLanguage | undefined {
  if (schema.format === undefined || !mayBe(schema, "string")) return undefined;
  const name = String(schema.format);
  if (integersOf(name) && mayBe(schema, "number", "integer")) return undefined;
  const where = `${place.where}/format`;
  const format = tools.strings.format(name);
  if (format !== undefined) return format;
  if (schema.pattern === undefined || !isSaidByPattern(name)) {
    refuseUnsupported(where, "a format that is enforced, or a pattern", `format ${name}`);
  }
  tools.references.ignore(`format ${name}`, where);
  return undefined;
}

function mayBe({ type }: SchemaObject, ...types: readonly string[]): boolean {
  if (type === undefined) return true;
  return types.some((one) => type === one || Array.isArray(type) && type.includes(one));
}

/** The numbers that meet a keyword, and those that break it. */
interface NumberLanguages {
  readonly met: () => Lexeme;
  readonly broken: () => Lexeme;
}

/** The languages of keywords of numbers. */
export function numberLanguages(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): NumberLanguages[] {
  const { numbers, lexemes } = tools;
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
  const integers = integersOf(String(schema.format));
  if (integers) {
    const ends = [numbers.integer];
    if (integers[0] > -Infinity) ends.push(numbers.atLeast(integers[0]));
    if (integers[1] < Infinity) ends.push(numbers.atMost(integers[1]));
    // Not every validator knows the format: to one that does not, any number meets it.
    found.push({ met: () => lexemes.both(...ends), broken: () => NOTHING });
  }
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
