/**
 * How a model writes calls, found out by rendering some: conversations with fresh names and values go through its template, and
 * what stands around them is the format. What it comes to is only a guess until `verify.ts` has read other calls by it.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { unified, withHoles, withIndex } from "./patterns.ts";
import { ProbeFailure } from "./probe_failure.ts";
import { Prober } from "./prober.ts";
import { locateArguments, type Located } from "./probe_arguments.ts";
import { taggedArguments } from "./probe_tags.ts";
import { Turn } from "./probe_turn.ts";
import type { FormatPattern, Render, ToolFormat } from "./types.ts";
import type { ControlTokens } from "./wire.ts";

/** An id that some families make of name and number, and show in place of the name. */
const namedId: FormatPattern = ["functions.", { hole: "name" }, ":", { hole: "index" }];

/** Finds the format, or throws a `ProbeFailure`. */
export function probeFormat(render: Render, controls: ControlTokens): ToolFormat {
  const prober = new Prober(render);
  try {
    return derive(prober, controls);
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    throw new ProbeFailure(`the template refuses a call: ${error.message}`);
  }
}

function derive(prober: Prober, controls: ControlTokens): ToolFormat {
  const { names, keys, values } = prober.words;
  const first = { [keys[0]]: values[0] };
  let rendered = prober.calls([first]);
  let id: FormatPattern | undefined;
  if (!rendered.includes(names[0])) {
    id = namedId;
    prober.ids = names.map((name, index) => `functions.${name}:${index}`);
    rendered = prober.calls([first]);
    if (!rendered.includes(names[0])) throw new ProbeFailure("the template does not show calls");
  }
  const at = rendered.indexOf(names[0]);
  const rest = rendered.slice(at + names[0].length);
  const located = locateArguments(rest, keys[0], values[0]) ?? taggedArguments(prober, rest);
  const turn = new Turn(prober, controls);
  const before = turn.before(rendered.slice(0, at));
  const text = turn.textBeside(before);
  const many = severalCalls(prober, located);
  const holes = (part: string, index: number) => withHoles(part, id ? "" : prober.ids[index], names[index]);
  const between = unified([located.between, ...many.map((one) => one.between)].map(holes));
  if (between === undefined) throw new ProbeFailure("what stands behind the names of calls differs");
  const separator = many.length < 2
    ? undefined
    : unified(many.map((one, index) => holesOf(one.lead, index, prober, id)));
  return {
    before: withIndex(holes(before, 0), separator),
    between,
    arguments: located.format,
    ...(separator ? { separator } : {}),
    end: holes(turn.end(located.tail), 0),
    ...(id ? { id } : {}),
    ...(text ? { text } : {}),
  };
}

/** What stands between two calls may have the id of both. */
function holesOf(lead: string, index: number, prober: Prober, id: FormatPattern | undefined): FormatPattern {
  const { names } = prober.words;
  const [earlier, later] = [prober.ids[index], prober.ids[index + 1]];
  const one = id || !lead.includes(earlier) ? later : earlier;
  return withHoles(lead, id ? "" : one, names[index + 1]);
}

/** What stands between the calls of an answer with three; none where a template shows one at most. */
function severalCalls(prober: Prober, located: Located): { lead: string; between: string }[] {
  const { names, keys, values } = prober.words;
  let rendered: string;
  try {
    rendered = prober.calls(names.map((_, index) => ({ [keys[0]]: values[index] })));
  } catch (error) {
    if (error instanceof LightGPTError && error.code !== "limit") return []; // "only single tool-calls at once"
    throw error;
  }
  const found: { lead: string; between: string }[] = [];
  let rest = rendered.slice(rendered.indexOf(names[0]) + names[0].length);
  for (const index of [1, 2]) {
    const tail = located.tailOf(rest, keys[0], values[index - 1]);
    const at = tail?.indexOf(names[index]) ?? -1;
    if (tail === undefined || at < 0) return [];
    rest = tail.slice(at + names[index].length);
    const between = located.betweenOf(rest, keys[0], values[index]);
    if (between === undefined) return [];
    found.push({ lead: tail.slice(0, at), between });
  }
  return found;
}
