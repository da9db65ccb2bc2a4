/**
 * Paths of files as callers give them: a path, a `file:` URL as a string, or a `URL`.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { guarded, refuseOption } from "./checks.ts";

/** The path that `value` names; throws for what names no file: `what` says what would, such as "a GGUF file". */
export function pathOf(name: string, value: unknown, what: string): string {
  const expected = `the path or file: URL of ${what}`;
  return guarded(name, () => {
    if (value instanceof URL || (typeof value === "string" && /^file:/i.test(value))) {
      return fromUrl(name, value, expected);
    }
    // A path ends at its first NUL for the system, and would name another file.
    if (typeof value !== "string" || value === "" || value.includes("\0")) refuseOption(name, expected, value);
    return value;
  });
}

function fromUrl(name: string, value: URL | string, expected: string): string {
  const url = typeof value === "string" ? URL.parse(value) : value;
  if (url?.protocol !== "file:" || /%00/.test(url.pathname)) refuseOption(name, expected, url?.href ?? value);
  return node("node:url").fileURLToPath(url);
}
