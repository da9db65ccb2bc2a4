/**
 * What a constraint costs. Masks: how long schemas take to compile and each mask takes, on real schemas with their valid values over
 * a vocabulary of 128 000 tokens, the first time and once more. Decoding: tokens a second with a schema against without, of one
 * sequence or several with schemas of their own, by turns, so that a busy moment meets both; the same with guesses; and how late a
 * timer is meanwhile. Forced: tokens a second of calls of a tool,
 * as compact JSON, with guesses (`draft: "auto"`: what the schema leaves no choice about, and lookup) against without.
 *
 *     bun bench/constraints.ts masks [EVERY] [ORDER]          deno run -A bench/constraints.ts masks [EVERY] [ORDER]
 *     bun bench/constraints.ts decode [MODEL] [ROUNDS] [TOKENS] [SEQUENCES]    deno run -A ... decode ...
 *     bun bench/constraints.ts forced [MODEL] [ROUNDS]        deno run -A bench/constraints.ts forced [MODEL] [ROUNDS]
 *
 * Masks come from the conformance kit, one of EVERY 20 schemas, with properties in the ORDER of the schema, as requests have them
 * (and as llguidance, whose masks "all masks, cold" is to be compared with, for it keeps none), or in "any". Without a model decoding is measured on the
 * TinyLlama-shaped file of `tinyllama.ts`. `others` is how many cores other programs kept busy meanwhile.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gunzipSync } from "node:zlib";
import { median } from "../src/engine/median.ts";
import { type Completion, Grammar, LightGPT, LightGPTError, loadTokenizer, readGguf, type Tokenizer } from "../mod.ts";
import { keptMasks } from "../src/grammar/matcher.ts";
import { kitDirectory } from "../test/kit.ts";
import { defaultPath, makeTinyLlama } from "./tinyllama.ts";
import { startTiming } from "./timing.mjs";

const round = (value: number) => Math.round(value * 100) / 100;

/** A list of milliseconds as quantiles in microseconds. */
function quantiles(ms: number[]): Record<string, number> {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => round(1000 * (sorted[Math.floor(share * (sorted.length - 1))] ?? NaN));
  const mean = round(1000 * ms.reduce((sum, one) => sum + one, 0) / ms.length);
  return { count: ms.length, mean, p50: at(0.5), p90: at(0.9), p99: at(0.99), "p99.9": at(0.999), max: at(1) };
}

/** Times of masks: of the first of a text, of others that the trie was walked for, and of those that were there already. */
interface Times {
  readonly first: number[];
  readonly walked: number[];
  readonly kept: number[];
}

/** Walks texts, with a mask before each token. */
function walk(grammar: Grammar, texts: readonly (readonly number[])[], times: Times): void {
  for (const tokens of texts) {
    const matcher = grammar.matcher();
    for (const [index, token] of tokens.entries()) {
      const before = keptMasks(matcher);
      const begin = performance.now();
      matcher.words();
      const took = performance.now() - begin;
      if (index === 0) times.first.push(took);
      else times[keptMasks(matcher) > before ? "walked" : "kept"].push(took);
      if (!matcher.allows(token)) return;
      matcher.accept(token);
    }
  }
}

interface Group {
  readonly schema: unknown;
  readonly tests: readonly { readonly data: unknown; readonly valid: boolean }[];
}

/** The tokenizer of a file's bytes. */
async function tokenizerOf(bytes: Uint8Array): Promise<Tokenizer> {
  const directory = mkdtempSync(join(tmpdir(), "lightgpt-constraints-"));
  try {
    writeFileSync(join(directory, "vocabulary.gguf"), bytes);
    return await loadTokenizer(readGguf(join(directory, "vocabulary.gguf")));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function masks(every: number, order: "any" | "schema"): Promise<void> {
  if (kitDirectory === undefined) throw new Error("masks are measured on the conformance kit: say where it lies");
  const unpacked = (path: string) => gunzipSync(readFileSync(join(kitDirectory as string, path)));
  const tokenizer = await tokenizerOf(unpacked("tokenizers/llama-bpe.gguf.gz"));
  const begin = performance.now();
  await Grammar.choice(["a"], tokenizer);
  const trieMs = performance.now() - begin;
  const compile: number[] = [];
  const [cold, warm] = [0, 1].map((): Times => ({ first: [], walked: [], kept: [] }));
  const lines = unpacked("maskbench/maskbench.jsonl.gz").toString().trim().split("\n");
  let refused = 0;
  const timing = startTiming();
  for (const line of lines.filter((_, index) => index % every === 0)) {
    const { schema, tests }: Group = JSON.parse(line);
    const texts = tests.filter(({ valid }) => valid)
      .map(({ data }) => [...tokenizer.encode(JSON.stringify(data), { addSpecial: false })]);
    const start = performance.now();
    try {
      const grammar = await Grammar.schema(schema, tokenizer, { order });
      compile.push(performance.now() - start);
      walk(grammar, texts, cold);
      walk(grammar, texts, warm);
    } catch (error) {
      if (!(error instanceof LightGPTError)) throw error;
      refused++;
    }
  }
  const { others } = timing();
  console.log(`${tokenizer.vocabularySize} tokens; trie made in ${round(trieMs)} ms; ${refused} schemas refused`);
  console.log(`microseconds; others ${others === null ? "unknown" : round(others)}`);
  console.table({
    compile: quantiles(compile),
    "first mask of a text": quantiles(cold.first),
    "masks walked for": quantiles(cold.walked),
    "all masks, cold": quantiles([...cold.walked, ...cold.kept]),
    "all masks, warm": quantiles([...warm.walked, ...warm.kept]),
  });
}

/** A schema whose values never end, so that answers are as long as asked for; each `kind` is another one. */
function endless(kind: number): Record<string, unknown> {
  const item = {
    type: "object",
    properties: { [`name${kind}`]: { type: "string", maxLength: 12 + kind }, size: { type: "integer", maximum: 999 } },
    required: [`name${kind}`, "size"],
    additionalProperties: false,
  };
  return { type: "array", minItems: 100_000, items: item };
}

/** Never meets the end of a text. */
const sampling = (seed: number) => ({ temperature: 1.5, topK: 40, seed });

function rate(completions: readonly Completion[]): number {
  const ms = Math.max(...completions.map(({ decodeMs }) => decodeMs));
  return 1000 * completions.reduce((sum, { generatedTokens }) => sum + generatedTokens - 1, 0) / ms;
}

/** Turns before those that count: by then code and masks are those of a program that has run for a while. */
const warmTurns = 4;

/** How late a timer of a millisecond was, again and again until `work` is done, in milliseconds. */
async function lateness(work: Promise<unknown>): Promise<number[]> {
  let isDone = false;
  const done = work.finally(() => isDone = true);
  const late: number[] = [];
  while (!isDone) {
    const begin = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
    late.push(performance.now() - begin - 1);
  }
  await done;
  return late;
}

/**
 * Answers of both kinds have as many tokens, chosen by the same methods with a mask: without a schema it is one for the whole answer,
 * which lets no text end. A turn has prompts of its own, so its texts, and most states of its schemas, are new.
 */
async function decode(path: string, rounds: number, tokensEach: number, count: number): Promise<void> {
  await using lm = await LightGPT.load(path, { threads: 2, context: 16 * 256, cache: false });
  const end = [...lm.model.tokenizer.endOfGeneration];
  const answers = (isHeld: boolean, seed: number, draft: "auto" | "off" = "off") =>
    Promise.all(Array.from({ length: count }, (_, index) =>
      lm.complete(`Once upon a time ${seed}.${index} `, {
        maxTokens: tokensEach,
        draft,
        sampling: { ...sampling(seed + index), ...(isHeld ? {} : { banned: end }) },
        ...(isHeld ? { constraint: { schema: endless(index), whitespace: "compact" } } : {}),
      })));
  const ratio = async (turn: number, draft?: "auto" | "off") => {
    const isFirst = turn % 2 === 0;
    const one = rate(await answers(isFirst, turn, draft));
    const other = rate(await answers(!isFirst, turn, draft));
    return isFirst ? one / other : other / one;
  };
  const ratios = async (turns: number[], draft?: "auto" | "off") => {
    const all: number[] = [];
    for (const turn of turns) all.push(await ratio(turn, draft));
    return `${round(100 * median(all))} % of the rate without (${all.map((one) => round(100 * one)).join(", ")})`;
  };
  const turns = (begin: number, count: number) => Array.from({ length: count }, (_, index) => begin + index);
  console.log(`${count} ${count > 1 ? "sequences with schemas of their own" : "sequence"}`);
  console.log(`the first turns: ${await ratios(turns(0, warmTurns))}`);
  const timing = startTiming();
  console.log(`then: ${await ratios(turns(warmTurns, rounds))}; others ${round(timing().others ?? NaN)}`);
  const guessed = await ratios(turns(warmTurns + rounds, Math.ceil(rounds / 4)), "auto");
  console.log(`with guesses: ${guessed}; ${JSON.stringify(lm.batcher.stats().drafts)}`);
  for (const isHeld of [true, false]) {
    const late = quantiles(await lateness(answers(isHeld, warmTurns + rounds)));
    console.log(`a timer, ${isHeld ? "with" : "without"} a schema, is late by (us): ${JSON.stringify(late)}`);
  }
}

/** The arguments of a call, as tools have them: names that are written out, and values that are chosen. */
const call = {
  type: "object",
  properties: {
    destination_city: { enum: ["Amsterdam", "Copenhagen", "Lisbon", "Reykjavik"] },
    departure_date: { type: "string", format: "date" },
    number_of_passengers: { type: "integer", minimum: 1, maximum: 9 },
    cabin_class: { enum: ["economy", "premium_economy", "business"] },
    needs_wheelchair: { type: "boolean" },
    remarks: { type: "string", maxLength: 40 },
  },
  required: [
    "destination_city",
    "departure_date",
    "number_of_passengers",
    "cabin_class",
    "needs_wheelchair",
    "remarks",
  ],
  additionalProperties: false,
};

/** A prompt with a tool in it, as templates write it. */
function callPrompt(turn: number): string {
  const tool = { type: "function", function: { name: "book", description: "Books a flight.", parameters: call } };
  return "<|im_start|>system\nYou may call functions.\n<tools>\n" +
    JSON.stringify(tool).replaceAll(/(?<=")([:,])/g, "$1 ") +
    '\n</tools>\nA call: <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\n<|im_start|>user\n' +
    `Book flight number ${turn} from Lisbon for two, on the 3rd of May.<|im_end|>\n<|im_start|>assistant\n` +
    '<tool_call>\n{"name": "book", "arguments": ';
}

async function forced(path: string, rounds: number): Promise<void> {
  await using lm = await LightGPT.load(path, { threads: 2, cache: false });
  const constraint = { schema: call, whitespace: "compact" } as const;
  const ratios: number[] = [];
  const timing = startTiming();
  for (let turn = -1; turn < rounds; turn++) {
    const answer = (draft: "auto" | "off") =>
      lm.complete(callPrompt(turn), {
        constraint,
        draft,
        maxTokens: 200,
        sampling: { temperature: 0 },
      });
    const isFirst = turn % 2 === 0;
    const [a, b] = [await answer(isFirst ? "auto" : "off"), await answer(isFirst ? "off" : "auto")];
    if (a.text !== b.text) throw new Error(`guesses changed a text: ${a.text} and ${b.text}`);
    const ratio = rate([a]) / rate([b]);
    if (turn >= 0) ratios.push(isFirst ? ratio : 1 / ratio);
  }
  const { drafts } = lm.batcher.stats();
  console.log(
    `calls with guesses: ${round(100 * median(ratios))} % of the rate without (${
      ratios.map((ratio) => round(100 * ratio)).join(", ")
    }); ${JSON.stringify(drafts)}; others ${timing().others}`,
  );
}

const [what = "masks", first, second, third, fourth] = process.argv.slice(2);
if (what === "masks") await masks(Number(first ?? 20), second === "any" ? "any" : "schema");
else if (what === "decode") {
  const path = first || makeTinyLlama("q4_0", defaultPath("q4_0"));
  await decode(path, Number(second ?? 8), Number(third ?? 96), Number(fourth ?? 1));
} else if (what === "forced") await forced(first ?? makeTinyLlama("q4_0", defaultPath("q4_0")), Number(second ?? 8));
else throw new Error(`masks, decode or forced, got ${what}`);
