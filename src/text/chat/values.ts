/**
 * What goes into a chat template: plain data only. Everything that a caller passes is copied and checked, so that no host
 * object, getter or function is ever within a template's reach, and so that a mistake is named by its place.
 *
 * @module
 */
import { refuseOption } from "../../options/checks.ts";

/** Data as JSON has it. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

const depthMost = 64;

/** A copy of `value`; every text in it goes through `text`. */
export function plainCopy(value: unknown, where: string, text: (value: string) => string, depth = 0): JsonValue {
  if (depth > depthMost) refuseOption(where, `data at most ${depthMost} levels deep`, "more");
  if (typeof value === "string") return text(value);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) refuseOption(where, "a finite number", value);
    return value;
  }
  if (Array.isArray(value)) return value.map((item, index) => plainCopy(item, `${where}[${index}]`, text, depth + 1));
  if (typeof value !== "object" || !isPlain(value)) refuseOption(where, "data as in JSON", value);
  const copy: Record<string, JsonValue> = Object.create(null);
  for (const [key, inner] of Object.entries(value as object)) {
    if (inner !== undefined) copy[key] = plainCopy(inner, `${where}.${key}`, text, depth + 1);
  }
  return copy;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** `date` in its local time by a format of C's strftime; English names whatever the system speaks. */
export function formatTime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const hour = date.getHours() % 12 || 12;
  const startOfYear = new Date(date.getFullYear(), 0, 1);
  const dayOfYear = Math.round((midnight(date).getTime() - startOfYear.getTime()) / 86_400_000) + 1;
  const parts: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2),
    B: MONTHS[date.getMonth()],
    b: MONTHS[date.getMonth()].slice(0, 3),
    A: DAYS[date.getDay()],
    a: DAYS[date.getDay()].slice(0, 3),
    H: two(date.getHours()),
    I: two(hour),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? "AM" : "PM",
    j: String(dayOfYear).padStart(3, "0"),
    "%": "%",
  };
  return format.replace(/%-?([A-Za-z%])/g, (directive, letter: string) => {
    const part = parts[letter];
    if (part === undefined) return directive;
    return directive.startsWith("%-") ? part.replace(/^[0 ]+(?=.)/, "") : part;
  });
}

function midnight(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}
