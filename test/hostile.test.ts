/**
 * Every function, method and option of the package against hostile values: it either works or throws a LightGPTError with a
 * code that names what was wrong. The entries come from what the package exports: an export without an entry fails. Which
 * options there are, and of which kind, the schemas say. Each runtime tries half of the values on each entry, in turn.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import * as face from "../mod.ts";
import { prefixCacheFields } from "../src/batching/options.ts";
import { mapFields, mapRequestFields } from "../src/batching/map_options.ts";
import { generateFields, requestFields } from "../src/batching/request_options.ts";
import { cacheStreamFields, scopeFields, tokenCacheFields } from "../src/cache/options.ts";
import { collectFields } from "../src/converting/collect_importance.ts";
import { quantizeFileFields } from "../src/converting/convert.ts";
import {
  dequantizeFields,
  errorFields,
  productFields,
  quantizeFields,
  quantizerFields,
} from "../src/converting/quantizer_options.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { fetchModelFields } from "../src/files/model_file.ts";
import { chatFields, infillFields, lightGptFields, logitsFields } from "../src/lightgpt/options.ts";
import { accuracyFields } from "../src/measuring/accuracy.ts";
import { Embedder } from "../src/embedding/embedder.ts";
import { indexLoadFields, searchFields, vectorIndexFields } from "../src/embedding/index_options.ts";
import { embedFields } from "../src/embedding/options.ts";
import { VectorIndex } from "../src/embedding/vector_index.ts";
import { perplexityFields } from "../src/measuring/perplexity.ts";
import { loadFields } from "../src/model/model.ts";
import type { Fields, OptionKind } from "../src/options/schema.ts";
import { conversationFields, renderFields } from "../src/text/chat/options.ts";
import * as vocabulary from "../src/text/tokenizer/options.ts";
import { optimizerFields, tuneFields } from "../src/tuning/options.ts";
import { argument, drain, entries, type Entry, options } from "./hostile_entries.ts";
import { grammarEntries } from "./hostile_grammars.ts";
import { conversationEntries } from "./hostile_conversations.ts";
import { toolEntries } from "./hostile_tools.ts";
import { half } from "./halves.ts";
import { hostileValues } from "./hostile_values.ts";

const scratch = mkdtempSync(join(tmpdir(), "lightgpt-hostile-"));
const model = embeddedModel();
/** No call takes longer than this unless it hangs. */
const hangMs = 20_000;

/** Exports that take nothing from a caller: lists, and classes whose objects only LightGPT makes. */
const takeNothing: Readonly<Record<string, string>> = {
  SAMPLING_METHODS: "a list",
  Piece: "made by a request",
  CancelledError: "thrown",
  ClosedError: "thrown",
  InvalidArgumentError: "thrown",
  LightGPTError: "thrown",
  ModelFormatError: "thrown",
  OutOfMemoryError: "thrown",
  ObjectError: "thrown",
  QueueFullError: "thrown",
  UnsupportedError: "thrown",
  "Metadata.add": "called by the parser",
  "Metadata.seal": "called by the parser",
  "Metadata.wrong": "makes an error for what reads a file",
  "Metadata.wrongType": "makes an error for what reads a file",
  "Metadata.unsupported": "makes an error for what reads a file",
};

/** Whether a value is of the kind that an option takes; what is not must be refused. */
function isOfKind(kind: OptionKind, value: unknown): boolean {
  switch (kind) {
    case "boolean":
      return typeof value === "boolean";
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number" && !Number.isNaN(value);
    case "text":
      return typeof value === "string";
    case "seed":
      return typeof value === "number" || typeof value === "bigint";
    case "group":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      return true;
  }
}

/** The results of `map`; what became of the first request decides. */
async function results(source: AsyncIterable<face.MapResult>): Promise<void> {
  for await (const { error } of source) if (error !== undefined) throw error;
}

let lm: face.LightGPT;
let embedder: Embedder;

function requests(): void {
  const prompt = "Once";
  const few = { maxTokens: 1 };
  const load = async (path: never, options: never) => await (await face.LightGPT.load(path, options)).dispose();
  argument("LightGPT.load path", (path) => load(path, {} as never));
  options("LightGPT.load", lightGptFields, (options) => load(undefined as never, options), { context: 64, threads: 1 });
  const loadModel = async (path: unknown, options: unknown) =>
    (await face.Model.load(path as never, options as never)).dispose();
  argument("Model.load path", (path) => loadModel(path, {}));
  argument("fetchModel model", (value) => face.fetchModel(value));
  options("fetchModel", fetchModelFields, (options) => face.fetchModel(model, options));
  options("Model.load", loadFields, (options) => loadModel(model, options));
  for (const [name, runner] of [["LightGPT", () => lm], ["Batcher", () => lm.batcher]] as const) {
    argument(`${name}.complete prompt`, (value) => runner().complete(value, few));
    options(`${name}.complete`, generateFields, (value) => runner().complete(prompt, value), few);
    argument(`${name}.generate prompt`, (value) => drain(runner().generate(value, few)));
    options(`${name}.generate`, generateFields, (value) => drain(runner().generate(prompt, value)), few);
  }
  options("LightGPT.infill", infillFields, (value) => lm.infill(value), { prefix: prompt, suffix: "." });
  options("Batcher.submit", requestFields, (value) => drain(lm.batcher.submit(value)), { prompt, ...few });
  argument("Batcher.map source", (value) => results(lm.batcher.map(value, few)));
  argument("Batcher.map prompt", (value) => results(lm.batcher.map([value], few)));
  options("Batcher.map", mapFields, (value) => results(lm.batcher.map([prompt], value)), few);
  options("Batcher.map request", mapRequestFields, (value) => results(lm.batcher.map([value])), { prompt, ...few });
  argument("Batcher model", (value) => new face.Batcher(value).dispose());
  options("Batcher", batcherFieldsOf(), (value) => new face.Batcher(lm.model, value).dispose());
  options("Batcher cache", prefixCacheFields, (cache) => new face.Batcher(lm.model, { cache }).dispose());
  argument("Optimizer.open model", async (value) => await (await face.Optimizer.open(value)).dispose());
  options(
    "Optimizer.open",
    optimizerFields,
    async (value) => await (await face.Optimizer.open(lm.model, value)).dispose(),
  );
  options("Optimizer.tune", tuneFields, (value) => lm.optimizer.tune(value), { tuneMs: 100 });
  argument("Optimizer.listen", (value) => lm.optimizer.listen(value)());
}

/** Options of the batcher, as far as they need no other. */
function batcherFieldsOf(): Fields {
  return Object.fromEntries(
    Object.entries(optimizerFields).filter(([name]) =>
      !Object.hasOwn(tuneFields, name) &&
      !["tune", "memory", "targetTokenMs", "adapt"].includes(name)
    ),
  );
}

function texts(): void {
  const template = "{% for m in messages %}{{ m.content }}{% endfor %}";
  const messages: face.ChatMessage[] = [{ role: "user", content: "a" }];
  const few = { template, maxTokens: 1 };
  for (const name of ["chat", "reply", "chatTokens"] as const) {
    const fields = name === "chatTokens" ? conversationFields : chatFields;
    const base = name === "chatTokens" ? { template } : few;
    const call = (messages: unknown, options: unknown) =>
      name === "chat"
        ? drain(lm.chat(messages as never, options as never))
        : lm[name](messages as never, options as never);
    argument(`LightGPT.${name} messages`, (value) => call(value, base));
    argument(`LightGPT.${name} message`, (value) => call([value], base));
    argument(`LightGPT.${name} content`, (content) => call([{ role: "user", content }], base));
    argument(`LightGPT.${name} role`, (role) => call([{ role, content: "a" }], base));
    options(`LightGPT.${name}`, fields, (options) => call(messages, options), base);
  }
  conversationEntries(lm, few);
  argument("ChatTemplate.parse", (value) => face.ChatTemplate.parse(value));
  for (const name of ["render", "runs"] as const) {
    argument(`ChatTemplate.${name} messages`, async (value) => (await face.ChatTemplate.parse(template))[name](value));
    options(
      `ChatTemplate.${name}`,
      renderFields,
      async (value) => (await face.ChatTemplate.parse(template))[name](messages, value),
    );
  }
  argument("LightGPT.tokenize text", (value) => lm.tokenize(value));
  options("LightGPT.tokenize", vocabulary.encodeFields, (value) => lm.tokenize("a", value));
  const { tokenizer } = lm.model;
  grammarEntries(lm);
  toolEntries(lm);
  for (const name of ["encode", "encodeAsync"] as const) {
    const fields = name === "encode" ? vocabulary.encodeFields : vocabulary.encodeAsyncFields;
    argument(`loadTokenizer ${name} text`, (value) => tokenizer[name](value));
    options(`loadTokenizer ${name}`, fields, (value) => tokenizer[name]("a", value));
  }
  argument("loadTokenizer encodeRuns runs", (value) => tokenizer.encodeRuns(value));
  argument("loadTokenizer encodeRuns run", (value) => tokenizer.encodeRuns([value]));
  options("loadTokenizer encodeRuns", vocabulary.encodeRunsFields, (value) => tokenizer.encodeRuns([], value));
  argument("loadTokenizer decode tokens", (value) => tokenizer.decode(value));
  options("loadTokenizer decode", vocabulary.decodeFields, (value) => tokenizer.decode([1], value));
  argument("loadTokenizer piece", (value) => tokenizer.piece(value));
  options("loadTokenizer stream", vocabulary.decodeFields, (value) => tokenizer.stream(value));
  argument("loadTokenizer stream token", (value) => tokenizer.stream().push(value));
  argument("LightGPT.detokenize", (value) => lm.detokenize(value));
  argument("LightGPT.logits tokens", (value) => lm.logits(value));
  options("LightGPT.logits", logitsFields, (value) => lm.logits([1], value));
  argument("LightGPT.embed inputs", (value) => lm.embed(value, { pooling: "mean" }));
  options("LightGPT.embed", embedFields, (value) => lm.embed("Once", value), { pooling: "mean" });
  argument("LightGPT.rerank query", (value) => lm.rerank(value, []));
  argument("Embedder.load model", (value) => Embedder.load(value));
  argument("Embedder.over model", (value) => Embedder.over(value));
  embedder = Embedder.over(lm.model);
  argument("Embedder.embed inputs", (value) => embedder.embed(value, { pooling: "mean" }));
  options("Embedder.embedParts", embedFields, (value) => embedder.embedParts(["Once"], value).next(), {
    pooling: "mean",
  });
  argument("Embedder.rerank query", (value) => embedder.rerank(value, []));
  options("VectorIndex", vectorIndexFields, (value) => new VectorIndex(value), { dimensions: 8 });
  const index = new VectorIndex({ dimensions: 8 });
  argument("VectorIndex.add vectors", (value) => index.add(value));
  argument("VectorIndex.remove ids", (value) => index.remove(value));
  argument("VectorIndex.has id", (value) => index.has(value));
  argument("VectorIndex.vector id", (value) => index.vector(value));
  argument("VectorIndex.mask ids", (value) => index.mask(value));
  argument("VectorIndex.search query", (value) => index.search(value));
  options("VectorIndex.search", searchFields, (value) => index.search(new Float32Array(8), value));
  argument("VectorIndex.load source", (value) => VectorIndex.load(value));
  options("VectorIndex.load", indexLoadFields, (value) => VectorIndex.load(index.save(), value));
  argument("LightGPT.perplexity text", (value) => lm.perplexity(value));
  options("LightGPT.perplexity", perplexityFields, (value) => lm.perplexity("Once upon a time", value));
  const measured = { reference: lm, text: "Once upon a time" };
  argument("LightGPT.accuracy file", (reference) => lm.accuracy({ ...measured, reference }));
  options("LightGPT.accuracy", accuracyFields, (value) => lm.accuracy(value), measured);
  options("Optimizer.accuracy", accuracyFields, (value) => lm.optimizer.accuracy(value), measured);
}

function files(): void {
  argument("readGguf", (value) => face.readGguf(value));
  argument("loadTokenizer gguf", (value) => face.loadTokenizer(value));
  options("loadTokenizer", vocabulary.tokenizerFields, (value) => face.loadTokenizer(lm.model.gguf, value));
  const { metadata } = lm.model.gguf;
  for (
    const name of ["has", "get", "text", "flag", "count", "number", "positive", "array", "offsetOf", "typeOf"] as const
  ) {
    argument(`Metadata.${name}`, (value) => (metadata[name] as (key: unknown) => unknown)(value));
  }
  const array = metadata.get("tokenizer.ggml.tokens") as face.MetadataArray;
  argument("MetadataArray.at", (value) => array.at(value));
  const small = { type: "q4_0" };
  argument("quantizeFile input", (value) => face.quantizeFile(value, join(scratch, "a.gguf"), small));
  argument("quantizeFile output", (value: unknown) => {
    // A text or a number may be the name of a file here.
    if (typeof value === "string" && value !== "" && value.length < 256 && !value.includes("\0")) return;
    return face.quantizeFile(model, value as never, small);
  });
  options(
    "quantizeFile",
    quantizeFileFields,
    (value) => face.quantizeFile("/nonexistent.gguf", join(scratch, "b.gguf"), value),
    small,
  );
  argument(
    "quantizeFile rule",
    (rule) => face.quantizeFile("/nonexistent.gguf", join(scratch, "b.gguf"), { ...small, tensorTypes: [rule] }),
  );
  argument("collectImportance model", (value) => face.collectImportance(value, "Once"));
  argument("collectImportance text", (value) => face.collectImportance(lm.model, value));
  options("collectImportance", collectFields, (value) => face.collectImportance(lm.model, "Once", value), {
    window: 8,
  });
  argument("ImportanceMatrix entries", (value) => new face.ImportanceMatrix(value));
  argument("ImportanceMatrix entry", (value) => new face.ImportanceMatrix(new Map([["a", value]])));
  argument("ImportanceMatrix origin", (value) => new face.ImportanceMatrix(new Map(), value));
  argument("ImportanceMatrix.read", (value) => face.ImportanceMatrix.read(value));
  argument("ImportanceMatrix.write", (value: unknown) => {
    if (typeof value === "string" && value !== "" && value.length < 256 && !value.includes("\0")) return;
    new face.ImportanceMatrix(new Map()).write(value as never);
  });
}

async function numbers(): Promise<void> {
  const quantizer = new face.Quantizer({ threads: 1 });
  const values = new Float32Array(64);
  const tensor = await quantizer.quantize(values, { format: "q4_0", shape: [2, 32] });
  options("Quantizer", quantizerFields, (value) => new face.Quantizer(value));
  argument("Quantizer.quantize values", (value) => quantizer.quantize(value, { format: "q4_0" }));
  options("Quantizer.quantize", quantizeFields, (value) => quantizer.quantize(values, value), { format: "q4_0" });
  for (const name of ["dequantize", "matvec", "matmul", "error"] as const) {
    argument(`Quantizer.${name} tensor`, (value) => quantizer[name](value, new Float32Array(32)));
    argument(`Quantizer.${name} values`, (value) => quantizer[name](tensor, value));
  }
  options("Quantizer.dequantize", dequantizeFields, (value) => quantizer.dequantize(tensor, undefined, value));
  options("Quantizer.matvec", productFields, (value) => quantizer.matvec(tensor, new Float32Array(32), value));
  options("Quantizer.matmul", productFields, (value) => quantizer.matmul(tensor, new Float32Array(32), value));
  options("Quantizer.error", errorFields, (value) => quantizer.error(tensor, values, value));
  argument("QuantizedTensor format", (value) => new face.QuantizedTensor(value, [2, 32], tensor.blocks));
  argument("QuantizedTensor shape", (value) => new face.QuantizedTensor("q4_0", value, tensor.blocks));
  argument("QuantizedTensor blocks", (value) => new face.QuantizedTensor("q4_0", [2, 32], value));
  const { sampling } = generateFields;
  options("Sampler", sampling.fields as Fields, (value) => new face.Sampler(value).sample(new Float32Array(64)));
  const sampler = new face.Sampler({ temperature: 0 });
  const logits = new Float32Array(64);
  for (const name of ["sample", "sampleMany", "distribution"] as const) {
    argument(`Sampler.${name}`, (value) => sampler[name](value));
  }
  argument("Sampler.choose logits", (value) => sampler.choose(value, 2));
  argument("Sampler.choose top", (value) => sampler.choose(logits, value));
  for (const name of ["accept", "recall"] as const) argument(`Sampler.${name}`, (id) => sampler.clone()[name](id));
  argument("TokenMask size", (value) => new face.TokenMask(value));
  argument("TokenMask tokens", (value) => new face.TokenMask(64, value));
  for (const name of ["add", "delete", "has", "fill"] as const) {
    argument(`TokenMask.${name}`, (value) => new face.TokenMask(64)[name](value));
  }
  argument("diversity", (value) => face.diversity(value));
  argument("diversity token", (value) => face.diversity([value]));
}

function caches(): void {
  const tokens = [1, 2, 3, 4, 5, 6, 7, 8];
  const cache = new face.TokenCache<string>({ pageSize: 8 });
  const use = (options: never) => {
    const made = new face.TokenCache<string>(options);
    made.insert(tokens, ["x"]);
    made.lookup(tokens);
  };
  options("TokenCache", tokenCacheFields<string>(), use, { pageSize: 8 });
  argument("TokenCache.lookup tokens", (value) => cache.lookup(value));
  options("TokenCache.lookup", scopeFields, (value) => cache.lookup(tokens, value));
  argument("TokenCache.insert tokens", (value) => cache.insert(value, ["x"]));
  argument("TokenCache.insert values", (value) => cache.insert(tokens, value));
  options("TokenCache.insert", scopeFields, (value) => cache.insert(tokens, ["x"], value));
  argument("TokenCache.pin tokens", (value) => cache.pin(value).release());
  options("TokenCache.pin", scopeFields, (value) => cache.pin(tokens, value).release());
  const kept = lm.cache;
  argument("TokenCache.listen", (value) => kept?.listen(value)());
  // A text names a file, which would be written.
  argument("TokenCache.save target", (value) => typeof value === "string" ? undefined : kept?.save(value));
  argument("TokenCache.load source", (value) => kept?.load(value));
  options("TokenCache.save", cacheStreamFields, (value) => kept?.save(new WritableStream(), value));
  options(
    "TokenCache.load",
    cacheStreamFields,
    (value) => kept?.load(new ReadableStream({ start: (c) => c.close() }), value),
  );
  argument("Metrics model", (value) => new face.Metrics(value, lm.batcher).report());
  argument("Metrics batcher", (value) => new face.Metrics(lm.model, value).report());
  argument("Metrics.values", (value) => lm.metrics.values(value));
  argument("Metrics.listen", (value) => lm.metrics.listen(value)());
  argument("Metrics.prometheus", (value) => lm.metrics.prometheus(value));
  argument("Metrics.openTelemetry meter", async (value) => (await lm.metrics.openTelemetry(value))());
  argument("Metrics.openTelemetry names", (value) => lm.metrics.openTelemetry({} as never, value));
  argument("probeMachine", (value) => (face.probeMachine as (value: unknown) => unknown)(value));
  argument("prepare", (value) => (face.prepare as (value: unknown) => unknown)(value));
}

describe("hostile values", () => {
  const { LIGHTGPT_CACHE: cacheBefore } = process.env;
  before(async () => {
    process.env.LIGHTGPT_CACHE = join(scratch, "cache"); // for what some values ask to be kept
    lm = await face.LightGPT.load(undefined, { threads: 1, context: 64 });
    requests();
    texts();
    files();
    await numbers();
    caches();
  });
  after(async () => {
    // Other tests run in this process, too.
    if (cacheBefore === undefined) delete process.env.LIGHTGPT_CACHE;
    else process.env.LIGHTGPT_CACHE = cacheBefore;
    await embedder.dispose();
    await lm.dispose();
    rmSync(scratch, { recursive: true });
  });

  it("have an entry for every export, and every method that takes something", () => {
    const named = new Set(entries.map(({ name }) => name.split(" ")[0] as string));
    const missing = Object.entries(face).flatMap(([name, value]) => {
      if (Object.hasOwn(takeNothing, name)) return [];
      const methods = typeof value === "function" ? methodsOf(value) : [];
      const all = [name, ...methods.map((method) => `${name}.${method}`)];
      return all.filter((each) =>
        !named.has(each) && !Object.hasOwn(takeNothing, each) &&
        !(each === name && methods.some((m) => named.has(`${name}.${m}`)))
      );
    });
    assertEquals(missing, []);
  });

  it("are taken, or refused by an error with a code that names the argument", async () => {
    const wrong: string[] = [];
    for (const [at, entry] of entries.entries()) {
      for (const [index, [shown, make]] of Object.entries(hostileValues).entries()) {
        if ((at + index) % 2 !== half) continue;
        const fault = await faultOf(entry, make);
        if (fault !== undefined) wrong.push(`${entry.name} <- ${shown}: ${fault}`);
      }
    }
    assertEquals(wrong, [], `${wrong.length} of ${entries.length} x ${Object.keys(hostileValues).length}`);
  });

  it("leave the model as it was", async () => {
    const { tokens } = await lm.complete("Once upon", { maxTokens: 4, sampling: { temperature: 0 } });
    assertEquals(lm.detokenize(tokens), "a time, there");
  });
});

/** Methods of a class that take an argument, static ones included. */
function methodsOf(type: object): string[] {
  const prototype = (type as { prototype?: object }).prototype;
  return [type, prototype].flatMap((owner) => {
    if (owner === undefined) return [];
    return Object.entries(Object.getOwnPropertyDescriptors(owner)).flatMap(([name, { value }]) => {
      const takes = typeof value === "function" && name !== "constructor" && value.length > 0;
      return takes ? [name] : [];
    });
  });
}

/** What is wrong with how a value was dealt with; undefined where nothing is. */
async function faultOf({ call, option }: Entry, make: () => unknown): Promise<string | undefined> {
  const value = make();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), hangMs);
  });
  try {
    await Promise.race([(async () => await call(value as never))(), late]);
    return option && !isOfKind(option.kind, value) ? `accepted for ${option.expected}` : undefined;
  } catch (error) {
    // What a function of the caller's throws is the caller's.
    if (option?.expected === "a function" && typeof value === "function") return undefined;
    if (!(error instanceof face.LightGPTError)) return `${error}`.slice(0, 200);
    const isNamed = error.code !== "invalidArgument" || error.detail.where !== undefined;
    return isNamed ? undefined : `no name in "${error.message}"`;
  } finally {
    clearTimeout(timer);
  }
}
