/**
 * Whether a format is right: calls with random arguments go through the template, and what it writes is read by the format and
 * followed by the grammar that is made of it. A format that loses or changes anything is none.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { compiler } from "../grammar/compile.ts";
import { closed } from "../grammar/standard/closed.ts";
import type { Json } from "../grammar/schema/types.ts";
import { inSlices } from "../options/sliced.ts";
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { answerRules, type CallableTool } from "./answer_rules.ts";
import type { WireFormat } from "./format.ts";
import { newId, newWord } from "./nonces.ts";
import { ProbeFailure } from "./probe_failure.ts";
import { RandomArguments } from "./random_arguments.ts";
import { CallReader } from "./read_calls.ts";
import type { ReadCall, Render } from "./types.ts";
import { writeCalls } from "./write_calls.ts";
import { bytesOfWire, controlTokensOf, type Wire, wireOfText } from "./wire.ts";

/** What a format is verified with. */
export interface Verifying {
  readonly render: Render;
  readonly format: WireFormat;
  readonly tokenizer: Tokenizer;
}

/** Renders `rounds` answers with random calls and reads them; throws a `ProbeFailure` for what is not read as it was. */
export async function verifyFormat(
  verifying: Verifying,
  rounds: number,
  random: (below: number) => number,
): Promise<void> {
  const { format, tokenizer } = verifying;
  const controls = controlTokensOf(tokenizer);
  const made = new RandomArguments(format, random);
  const tools: CallableTool[] = [newWord(), newWord()].map((name) => {
    const parameters = made.schema();
    return { declaration: { name, description: newWord(), parameters }, schema: closed(parameters as Json) };
  });
  const compile = await compiler(
    tokenizer,
    answerRules({ thoughts: undefined, body: undefined, calls: { format, tools, choice: "required", parallel: true } }),
  );
  const start = await inSlices(compile());
  for (let round = 0; round < rounds; round++) {
    const count = format.separator === undefined ? 1 : 1 + round % 2;
    const calls = Array.from({ length: count }, (_, index): ReadCall => {
      const { name } = tools[random(2)].declaration;
      const id = format.format.id?.map((part) => typeof part === "string" ? part : part.hole === "name" ? name : index);
      return { name, arguments: made.arguments(round), id: id?.join("") ?? newId() };
    });
    const wire = rendered(verifying, tools, calls);
    const reader = new CallReader(format, tools.map(({ declaration }) => declaration), 0);
    for (const [index, call] of calls.entries()) compare(call, reader.next(wire, index === count - 1), wire);
    // A template may spell what it writes in another way than the grammar, such as quotes in Python.
    const own = writeCalls(format.format, calls, { own: (text) => controls.read(text), given: wireOfText });
    const texts = [wire.slice(0, reader.place), own];
    if (!texts.some((text) => start.clone().follow(bytesOfWire(text)))) {
      throw new ProbeFailure(`the grammar does not have the call ${JSON.stringify(texts)}`);
    }
  }
}

/** What a template writes from the first call on. */
function rendered(
  { render, format, tokenizer }: Verifying,
  tools: readonly CallableTool[],
  calls: readonly ReadCall[],
): Wire {
  const user = newWord();
  const tool_calls = calls.map((call) => ({
    id: call.id as string,
    type: "function",
    function: { name: call.name, arguments: call.arguments },
  }));
  const messages: ChatMessage[] = [{ role: "user", content: user }, { role: "assistant", content: "", tool_calls }];
  const declared: JsonValue = tools.map(({ declaration }) => ({ type: "function", function: { ...declaration } }));
  try {
    const wire = controlTokensOf(tokenizer).readRuns(render(messages, { tools: declared, addGenerationPrompt: false }));
    const from = wire.indexOf(format.before[0] as Wire, wire.lastIndexOf(wireOfText(user)));
    if (from < 0) throw new ProbeFailure("a call does not begin as the others");
    return wire.slice(from);
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    throw new ProbeFailure(`the template refuses a call: ${error.message}`);
  }
}

function compare(call: ReadCall, read: ReadCall | string, wire: Wire): void {
  const shows = (one: ReadCall) =>
    JSON.stringify([one.name, Object.entries(one.arguments).sort(([a], [b]) => a < b ? -1 : 1)]);
  if (typeof read !== "string" && shows(read) === shows(call) && (read.id === undefined || read.id === call.id)) return;
  const got = typeof read === "string" ? `${read}: ${JSON.stringify(wire)}` : shows(read);
  throw new ProbeFailure(`a call is read as another one: ${shows(call)} as ${got}`);
}
