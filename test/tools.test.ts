/**
 * Calls of tools: formats derived from published templates, calls that are rendered and read back, answers at random that the
 * grammar holds, and what is refused.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { describe, it } from "node:test";
import {
  type ArgumentsFormat,
  InvalidArgumentError,
  type Tokenizer,
  type ToolFormat,
  UnsupportedError,
} from "../mod.ts";
import { compiler, type RuleWriter } from "../src/grammar/compile.ts";
import type { Matcher } from "../src/grammar/matcher.ts";
import { bytesOf } from "../src/grammar/token_trie.ts";
import { atOnce } from "../src/options/sliced.ts";
import type { JsonValue } from "../src/text/chat/inputs.ts";
import { type AnswerEvent, AnswerReader } from "../src/tools/answer_reader.ts";
import { answerRules, type CallRules } from "../src/tools/answer_rules.ts";
import { findFormat, type FormatSource } from "../src/tools/find_format.ts";
import { type WireFormat, wireFormat } from "../src/tools/format.ts";
import { verifyFormat } from "../src/tools/verify.ts";
import { controlTokensOf, wireOfBytes, wireOfText } from "../src/tools/wire.ts";
import { describeKit } from "./kit.ts";
import { randomFrom } from "./simulation.ts";
import { own, templateOf, templatesIn, vocabularyWith } from "./tool-templates.ts";

/** Calls that are rendered and read for each format; 1000 when the whole is looked at. */
const rounds = Number(process.env.LIGHTGPT_TOOL_CALLS ?? 4);

/** Templates that show no calls, and why the others have no format. */
const unsupported: Readonly<Record<string, RegExp>> = {
  "HuggingFaceTB-SmolLM3-3B": /does not show calls/,
  "Kimi-K3": /a call stands behind an empty text/,
  "common-chatml": /does not show calls/,
  "common-gemma": /does not show calls/,
  "common-llama3": /does not show calls/,
  "common-mistral": /does not show calls/,
  "common-qwen": /does not show calls/,
  "common-zephyr": /does not show calls/,
  "google-gemma-2-2b-it": /does not show calls/,
  "llama-cpp-rwkv-world": /does not show calls/,
  "openbmb-MiniCPM5-1B": /read as another one/,
};

/** Formats of families, whose templates do not write calls. */
const families: Readonly<Record<string, ArgumentsFormat["kind"]>> = {
  "GigaChat3-10B-A1.8B": "json",
  "Kimi-K2-Instruct": "json",
  "Kimi-K2-Thinking": "json",
  "LFM2-8B-A1B": "pythonic",
  "LFM2.5-Instruct": "pythonic",
  "ibm-granite-granite-3.3-2B-Instruct": "json",
};

const parameters = {
  type: "object",
  properties: {
    text: { type: "string", maxLength: 16 },
    count: { type: "integer", minimum: 0, maximum: 99 },
    flag: { type: "boolean" },
  },
  required: ["text", "count"],
  additionalProperties: false,
} as const;
const declared = ["weather", "time"].map((name) => ({ name, description: "A tool.", parameters }));

async function compile(tokenizer: Tokenizer, rules: RuleWriter): Promise<Matcher> {
  return atOnce((await compiler(tokenizer, rules))());
}

function callRules(format: WireFormat, changes: Partial<CallRules> = {}): CallRules {
  const tools = declared.map((declaration) => ({ declaration, schema: declaration.parameters }));
  return { format, tools, choice: "required", parallel: true, ...changes };
}

/** An answer of tokens at random, of those that the grammar allows: what a model of random weights writes. */
function walk(
  matcher: Matcher,
  { tokenizer }: FormatSource,
  random: (below: number) => number,
  most: number,
): number[] {
  const tokens: number[] = [];
  while (!matcher.isDone && tokens.length < most) {
    const words = matcher.words();
    const open: number[] = [];
    for (let token = 0; token < tokenizer.vocabularySize; token++) {
      if ((words[token >>> 5] >>> (token & 31)) & 1) open.push(token);
    }
    const token = open[random(open.length)];
    if (tokenizer.endOfGeneration.has(token)) break;
    matcher.accept(token);
    tokens.push(token);
  }
  return tokens;
}

type WholeEvent = Exclude<AnswerEvent, { type: "toolCallDelta" }>;

/** The answer as a reader tells it that gets token by token; of each call the parts that came before it are the whole. */
function read(
  tokens: readonly number[],
  { tokenizer }: FormatSource,
  format: WireFormat,
): [WholeEvent[], AnswerReader] {
  const reader = new AnswerReader({ thoughts: undefined, format, tools: declared });
  const events = [
    ...tokens.flatMap((token) => reader.push(wireOfBytes(bytesOf(tokenizer, token)))),
    ...reader.end(),
  ];
  const grown: string[] = [];
  return [
    events.flatMap((event): WholeEvent[] => {
      if (event.type === "toolCallDelta") {
        grown[event.index] = (grown[event.index] ?? "") + event.text;
        return [];
      }
      if (event.type === "toolCall") {
        assertEquals(event.call.text, grown[event.index]);
        assertEquals(JSON.parse(event.call.text), event.call.arguments);
      }
      return [event];
    }),
    reader,
  ];
}

function assertIsInput(given: Readonly<Record<string, JsonValue | undefined>>): void {
  const { text, count, flag, ...others } = given;
  assertEquals(others, {});
  assert(typeof text === "string" && Array.from(text).length <= 16, `text: ${text}`);
  assert(Number.isInteger(count) && (count as number) >= 0 && (count as number) <= 99, `count: ${count}`);
  assert(flag === undefined || typeof flag === "boolean", `flag: ${flag}`);
}

/** Answers at random in a format: all have calls, and all calls are valid. */
async function assertCallsAreValid(source: FormatSource, format: WireFormat, answers: number): Promise<void> {
  const random = randomFrom(11);
  const make = (changes: Partial<CallRules>) =>
    compile(source.tokenizer, answerRules({ thoughts: undefined, body: undefined, calls: callRules(format, changes) }));
  const required = await make({});
  for (let round = 0; round < answers; round++) {
    const [events, reader] = read(walk(required.clone(), source, random, 4000), source, format);
    const calls = events.flatMap((event) => event.type === "toolCall" ? [event.call] : []);
    assert(calls.length > 0 && !reader.isCut, JSON.stringify(events));
    assertEquals(calls.length, events.length);
    for (const call of calls) assertIsInput(call.arguments);
    if (format.separator === undefined) assertEquals(calls.length, 1);
  }
  const one = await make({ tools: callRules(format).tools.slice(1), parallel: false });
  const [events] = read(walk(one, source, random, 4000), source, format);
  assertEquals(events.map((event) => event.type === "toolCall" ? event.call.name : event.text), ["time"]);
  const none = await make({ choice: "none" });
  const [texts] = read(walk(none, source, random, 150), source, format);
  assertEquals(texts.filter((event) => event.type === "toolCall"), []);
}

const done = new Set<string>();
for (const part of ["templates", "templates2"]) {
  describeKit(`formats of tools in ${part}`, part, (directory) => {
    for (const [name, template] of templatesIn(directory)) {
      if (done.has(template)) continue;
      done.add(template);
      it(name, async () => {
        const controls = name in families ? ["<|tool_call_start|>", "<|tool_call_end|>", "<|tool_call|>"] : [];
        const source = await templateOf(template, controls);
        if (name in unsupported) {
          const error = await assertRejects(() => findFormat(source, undefined), UnsupportedError);
          assert(unsupported[name].test(error.message), error.message);
          return;
        }
        const { format, isRendered } = await findFormat(source, undefined);
        assertEquals(isRendered, !(name in families));
        const key = JSON.stringify(format.format);
        if (done.has(key)) return;
        done.add(key);
        if (isRendered) await verifyFormat({ ...source, format }, rounds, randomFrom(5));
        else assertEquals(format.format.arguments.kind, families[name]);
        // Its template writes calls, only not as an answer that one could tell from another's end.
        if (name.startsWith("GigaChat")) await verifyFormat({ ...source, format }, rounds, randomFrom(5));
        await assertCallsAreValid(source, format, 3);
      });
    }
  });
}

describe("a format", () => {
  it("of a template of ours is what it writes", async () => {
    const { format } = await findFormat(await templateOf(own.json), undefined);
    const expected: ToolFormat = {
      before: ['<tool_call>\n{"name": "'],
      between: ['", "arguments": '],
      arguments: { kind: "json" },
      separator: ['}\n</tool_call>\n<tool_call>\n{"name": "'],
      end: ["}\n</tool_call>"],
    };
    assertEquals(format.format, expected);
  });

  it("is a list of Python's calls, with values as JSON, where a template writes one", async () => {
    const source = await templateOf(own.pythonic);
    const { format } = await findFormat(source, undefined);
    assertEquals([format.format.before, format.format.arguments], [["["], { kind: "pythonic", values: "json" }]);
    await verifyFormat({ ...source, format }, rounds, randomFrom(5));
    await assertCallsAreValid(source, format, 5);
  });

  it("is such a list, too, where a template tells it and loses the quotes of strings", async () => {
    const told = "{{ 'Respond in the format [func_name1(params_name1=params_value1, ...)]' }}";
    const lossy = own.pythonic.replace("{{ v | tojson }}", "{{ v }}");
    await assertRejects(async () => findFormat(await templateOf(lossy), undefined), UnsupportedError);
    const source = await templateOf(told + lossy);
    const { format, isRendered } = await findFormat(source, undefined);
    assertEquals([format.format.before, format.format.arguments, isRendered], [["["], { kind: "pythonic" }, false]);
    await assertCallsAreValid(source, format, 5);
  });

  it("is refused where a template changes what it writes", async () => {
    const source = await templateOf(
      own.json.replace("c.function.arguments | tojson", "c.function.arguments | tojson | replace('日', '')"),
    );
    await assertRejects(() => verifyAll(source), UnsupportedError, "read as another one");
  });

  it("is refused where a template trims what it writes", async () => {
    const value = "v if v is string else v | tojson";
    const source = await templateOf(own.tagged.replace(value, `(${value}) | trim`));
    await assertRejects(() => findFormat(source, undefined), UnsupportedError, "read as another");
  });

  it("may be a caller's, and is checked", async () => {
    const source = await templateOf("{{ messages[0].content }}");
    const { format } = await findFormat(source, {
      before: ["CALL "],
      between: [" WITH "],
      arguments: { kind: "json" },
      end: [";"],
    });
    await assertCallsAreValid(source, format, 5);
    const bad = { before: [{ hole: "id" }], between: [], arguments: { kind: "json" }, end: [] } as const;
    await assertRejects(() => findFormat(source, bad), InvalidArgumentError, "toolFormat.before");
  });

  it("has arguments as text, and calls without content, where a template has them so", async () => {
    const source = await templateOf(own.alone);
    const { format, isRendered } = await findFormat(source, undefined);
    assertEquals([format.format.before, format.format.end, isRendered], [
      ["<|calls_begin|><|call_begin|>"],
      ["<|call_end|><|calls_end|>"],
      true,
    ]);
    await verifyFormat({ ...source, format }, rounds, randomFrom(5));
    await assertCallsAreValid(source, format, 5);
  });

  it("has the head of a text that the prompt begins", async () => {
    const source = await templateOf(own.headed);
    const { format } = await findFormat(source, undefined);
    assertEquals([format.format.before, format.format.text?.before], [[">>>"], ">>>all\n"]);
    await verifyFormat({ ...source, format }, rounds, randomFrom(5));
  });

  it("begins with both marks of a text in marks of its own, and without empty thoughts", async () => {
    const before = async (template: string) =>
      (await findFormat(await templateOf(template), undefined)).format.format.before;
    const call = '<tool_call>\n{"name": "';
    const content = "{{ m.content }}";
    const within = "{% if m.tool_calls %}<|note|>{{ m.content }}<|noted|>{% else %}{{ m.content }}{% endif %}";
    const plain = own.json.replace('m.role + "\\n" + m.content }}', `m.role + "\\n" }}${content}`);
    assertEquals(await before(plain), [call]);
    assertEquals(await before(plain.replace(content, within)), [`<|note|><|noted|>${call}`]);
    const thoughts =
      "{% if m.tool_calls %}<|START_THINKING|>{{ m.plan }}<|END_THINKING|>{% else %}{{ m.content }}{% endif %}";
    assertEquals(await before(plain.replace(content, thoughts)), [call]);
  });

  it("is that of harmony where the vocabulary has it, however its template writes earlier calls", async () => {
    const source = await templateOf(own.harmony, ["<|constrain|>"]);
    const { format, isRendered } = await findFormat(source, undefined);
    assertEquals([format.format.before, isRendered], [["<|channel|>commentary to=functions."], true]);
    await assertCallsAreValid(source, format, 5);
    const { format: shown } = await findFormat(await templateOf(own.harmony), undefined);
    assertEquals(shown.format.before, ["to=functions."]);
  });

  it("is that of harmony where its template writes none", async () => {
    const template =
      "{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{% endfor %}" +
      "{% if add_generation_prompt %}<|start|>assistant{% endif %}";
    const source = await templateOf(template, ["<|constrain|>", "<|call|>", "<|return|>"]);
    const { format, isRendered } = await findFormat(source, undefined);
    assertEquals([format.format.before, isRendered], [["<|channel|>commentary to=functions."], false]);
    await assertCallsAreValid(source, format, 5);
  });
});

/** A template that fails only now and then is found out within a few formats. */
async function verifyAll(source: FormatSource): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await findFormat(source, undefined);
}

describe("an answer with calls", () => {
  /** Tokens of texts; of those in a list no control tokens are read. */
  const text = ({ tokenizer }: FormatSource, parts: readonly (string | readonly [string])[]) => {
    const runs = parts.map((part) =>
      typeof part === "string" ? { text: part, foreign: false } : { text: part[0], foreign: true }
    );
    return [...tokenizer.encodeRuns(runs, { addSpecial: false })];
  };

  it("has text before calls, and is read the same in any pieces", async () => {
    const source = await templateOf(own.json);
    const { format } = await findFormat(source, undefined);
    const [head, tail] = ['<tool_call>\n{"name": "time", "arguments": {"text": "', '", "count": 3}}\n</tool_call>'];
    const call = [head, ['<tool_call> é \\"'] as const, tail];
    const tokens = text(source, ["I look. 日本\n", ...call, "\n", ...call]);
    const [events] = read(tokens, source, format);
    assertEquals(
      events.filter(({ type }) => type === "text").map((event) => (event as { text: string }).text).join(""),
      "I look. 日本",
    );
    const calls = events.flatMap((event) => event.type === "toolCall" ? [event.call.arguments] : []);
    assertEquals(calls, [{ text: '<tool_call> é "', count: 3 }, { text: '<tool_call> é "', count: 3 }]);
    const auto = await compile(
      source.tokenizer,
      answerRules({ thoughts: undefined, body: undefined, calls: callRules(format, { choice: "auto" }) }),
    );
    for (const token of tokens) auto.accept(token);
    assert(auto.isComplete);
  });

  it("goes past the beginning of a mark as text, and never past a mark", async () => {
    const source = await templateOf(own.tagged);
    const format = wireFormat(
      (await findFormat(source, undefined)).format.format,
      controlTokensOf(await noControls(source)),
    );
    const tokenizer = { ...source, tokenizer: await noControls(source) };
    const rules = answerRules({ thoughts: undefined, body: undefined, calls: callRules(format, { choice: "auto" }) });
    const start = await compile(tokenizer.tokenizer, rules);
    const follows = (text: string) => start.clone().follow(new TextEncoder().encode(text));
    assertEquals([
      follows("a <call in"),
      follows("<callback=1"),
      follows("<call=x"),
      follows("<call=time>\n<arg=text>"),
    ], [
      true,
      true,
      false,
      true,
    ]);
  });

  it("has no mark of thoughts in its text, held to it or not", async () => {
    const [open, close] = ["<think>", "</think>"].map(wireOfText);
    const calls = callRules((await findFormat(await templateOf(own.json), undefined)).format, { choice: "auto" });
    for (const given of [undefined, calls]) {
      const rules = answerRules({ thoughts: { open, close, isForced: false }, body: undefined, calls: given });
      const start = await compile(await vocabularyWith([]), rules);
      const texts = ["<think>a</think> b", "b </thin", "<think>a</think> b</think>", "b</think>"];
      const follows = (text: string) => start.clone().follow(new TextEncoder().encode(text));
      assertEquals(texts.map(follows), [true, true, false, false]);
    }
    const reader = new AnswerReader({ thoughts: { open, close, isOpen: true }, format: undefined, tools: [] });
    const events = [
      ...Array.from(wireOfText("voil\u00e0 </think>b\u00e0</think> c </think></think>d"), (byte) => reader.push(byte))
        .flat(),
      ...reader.end(),
    ];
    const told = (wanted: string) =>
      events.map((event) => event.type === wanted && "text" in event ? event.text : "").join("");
    assertEquals([told("reasoning"), told("text")], ["voil\u00e0", "b\u00e0 cd"]);
  });

  it("has no control token in an argument", async () => {
    const source = await templateOf(own.json);
    const { format } = await findFormat(source, undefined);
    const start = await compile(
      source.tokenizer,
      answerRules({ thoughts: undefined, body: undefined, calls: callRules(format) }),
    );
    for (const token of text(source, ['<tool_call>\n{"name": "time", "arguments": {"text": "'])) start.accept(token);
    const [end] = source.tokenizer.encode("<|im_end|>", { parseSpecial: true, addSpecial: false });
    assertEquals(start.allows(end), false);
    for (const token of source.tokenizer.encode("<|im_", { addSpecial: false })) start.accept(token);
    assert(start.allows(source.tokenizer.encode("e", { addSpecial: false })[0])); // spelled, it is a text as any other
  });

  it("tells its arguments as they come, each character that is certain", async () => {
    const parts = async (template: string, text: string) => {
      const { format } = await findFormat(await templateOf(template), undefined);
      const own = wireFormat(format.format, controlTokensOf(await vocabularyWith([])));
      const reader = new AnswerReader({ thoughts: undefined, format: own, tools: declared });
      const told = Array.from(wireOfText(text), (byte) => reader.push(byte)).flat();
      return told.flatMap((event) => event.type === "toolCallDelta" ? [event.text] : []);
    };
    const tagged = await parts(own.tagged, '<call=time>\n<arg=text>é</a"</arg>\n<arg=count>12</arg>\n</call>');
    assertEquals(tagged, ["", '{"text":"', "é", '</a\\"', '"', ',"count":', "12", "}"]);
    const text = '<tool_call>\n{"name": "time", "arguments": {"text": "é\\n", "count": 12.0}}\n</tool_call>';
    const json = await parts(own.json, text);
    assertEquals(json.join(""), '{"text":"é\\n","count":12}');
    assertEquals(json.slice(0, 4), ["", "{", '"', "t"]);
  });

  it("cannot hold the tag that ends an argument", async () => {
    const source = await templateOf(own.tagged);
    const { format } = await findFormat(source, undefined);
    const [events] = read(
      text(source, ["<call=time>\n<arg=text>a</argu></arg>\n<arg=count>3</arg>\n</call>"]),
      source,
      format,
    );
    assertEquals(events.map((event) => event.type === "toolCall" && event.call.arguments), [{
      text: "a</argu>",
      count: 3,
    }]);
    assertStringIncludes(JSON.stringify(format.format.arguments), "</arg>");
  });
});

/** The same template with a vocabulary that spells all marks in bytes. */
async function noControls(_source: FormatSource) {
  return (await templateOf("{{ messages }}")).tokenizer;
}
