/**
 * In which way arguments are written that stand as one whole: as JSON, between quotes of a format's own, or as Python does.
 *
 * @module
 */
import type { ArgumentsFormat } from "./types.ts";
import { isRead, scanJsonObject } from "./values.ts";
import { textOfWire, wireOfText } from "./wire.ts";

/** Arguments that were found behind a name. */
export interface Located {
  readonly format: ArgumentsFormat;
  /** What stands between name and arguments. */
  readonly between: string;
  /** What stands behind them. */
  readonly tail: string;
  /** What stands behind the arguments of another call, by all that stands behind its name. */
  tailOf(rest: string, key: string, value: string): string | undefined;
  /** What stands between name and arguments of another call. */
  betweenOf(rest: string, key: string, value: string): string | undefined;
}

/** Looks for arguments of one string behind a name. */
export function locateArguments(rest: string, key: string, value: string): Located | undefined {
  for (const find of [json, quoted, pythonic]) {
    const found = find(rest, key, value);
    if (found === undefined) continue;
    return {
      format: found.format,
      between: rest.slice(0, found.from),
      tail: rest.slice(found.to),
      tailOf: (rest, key, value) => {
        const place = find(rest, key, value);
        return place && rest.slice(place.to);
      },
      betweenOf: (rest, key, value) => {
        const place = find(rest, key, value);
        return place && rest.slice(0, place.from);
      },
    };
  }
  return undefined;
}

interface Place {
  readonly format: ArgumentsFormat;
  readonly from: number;
  readonly to: number;
}

function json(rest: string, key: string, value: string): Place | undefined {
  const most = rest.indexOf(value);
  for (let from = rest.indexOf("{"); from >= 0 && from < most; from = rest.indexOf("{", from + 1)) {
    const found = scanJsonObject(wireOfText(rest.slice(from)), 0);
    if (!isRead(found)) continue;
    if (JSON.stringify(found.value) !== JSON.stringify({ [key]: value })) continue;
    const length = textOfWire(wireOfText(rest.slice(from)).slice(0, found.end)).length;
    return { format: { kind: "json" }, from, to: from + length };
  }
  return undefined;
}

function quoted(rest: string, key: string, value: string): Place | undefined {
  const open = `{${key}:`;
  const from = rest.indexOf(open);
  const at = rest.indexOf(value);
  if (from < 0 || at < from) return undefined;
  const quote = rest.slice(from + open.length, at);
  const behind = `${quote}}`;
  if (quote.trim() === "" || !rest.startsWith(behind, at + value.length)) return undefined;
  return { format: { kind: "quoted", quote }, from, to: at + value.length + behind.length };
}

function pythonic(rest: string, key: string, value: string): Place | undefined {
  for (const format of [{ kind: "pythonic" }, { kind: "pythonic", values: "json" }] as const) {
    const quote = "values" in format ? '"' : "'";
    const text = `(${key}=${quote}${value}${quote})`;
    const from = rest.indexOf(text);
    if (from >= 0) return { format, from, to: from + text.length };
  }
  return undefined;
}
