/**
 * The exactness matrix of `docs/design/contract.md`: every model under every way to compute the same. The tokens and the
 * bits of the logits may depend on the model, the KV type and the activations, and on nothing else: not on threads, chunks, pages, or who
 * else is served. `exact.test.ts` compares what comes out with the hashes in `test/data/exact.json`, on every CPU level.
 *
 *     deno run -A test/exact.ts > test/data/exact.json
 *
 * writes those anew (with a word behind it, it prints those of the models whose names have the word). That is right after a model or format was added; a hash that changes is a change of results.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import process from "node:process";
import { type Completion, LightGPT, type LightGPTOptions, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { native } from "../ffi/native.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import { type AdapterShape, writeAdapter } from "./adapter-files.ts";
import { exactTexts } from "./exact_texts.ts";
import { kitDirectory, readJson, repository } from "./kit.ts";
import { withDirectory } from "./small-models.ts";

reckonProcessors(3);

/** A model of the matrix. */
export interface ExactModel {
  readonly name: string;
  readonly path: string;
  /** Tokens of its longest prompt: of several attention blocks of 64, and no multiple of anything. */
  readonly promptTokens: number;
  /** How many of the four chunk sizes each setting is computed with. */
  readonly chunks: number;
  /** An adapter that it is computed with. */
  readonly adapter?: AdapterShape;
  /** It reads whole texts: vectors and scores are compared. */
  readonly readsTexts?: true;
}

type Setting = Required<Pick<LightGPTOptions, "kv" | "activations">>;
type Way = Required<Pick<LightGPTOptions, "threads" | "chunkTokens" | "pageSize">> & { readonly beside: boolean };

/** Parts of the kit whose models are in the matrix: all, or one for each kind that no other has. */
const parts: readonly (readonly [part: string, names: readonly string[] | undefined])[] = [
  ["archs", undefined],
  ["quants", undefined],
  ["archs2", [
    "gemma3",
    "deepseek2_mla",
    "olmo2",
    "granite",
    "mistral3",
    "hunyuan_dense",
    "gemma4",
    "lfm2",
    "qwen35",
    "qwen35moe",
    "qwen3next",
    "granitehybrid",
    "falcon_h1",
    "nemotron_h",
    "mixtral",
    "glm4moe",
    "gptoss_mxfp4",
  ]],
  ["quants2", ["moe_Q4_K_M"]],
];
const chunkSizes = [1, 7, 64, 512];
const pageSizes = [16, 32, 64] as const;

/** The embedded model, and what the kit has that this library computes with. */
export function exactModels(): ExactModel[] {
  const path = join(repository, "models", "tinytales-q4_0.gguf");
  const models: ExactModel[] = [
    { name: "tinytales-q4_0", path, promptTokens: 147, chunks: chunkSizes.length },
    {
      name: "tinytales-q4_0 with an adapter",
      path,
      promptTokens: 73,
      chunks: 2,
      adapter: { rank: 21, alpha: 21, seed: 5 },
    },
  ];
  if (kitDirectory === undefined) return models;
  const known = new Set(native().formats.map(({ id }) => id));
  for (const [part, names] of parts) {
    const { models: listed } = readJson<{ models: { name: string; file: string }[] }>(
      kitDirectory,
      part,
      "manifest.json",
    );
    for (const { name, file } of listed) {
      const path = join(kitDirectory, part, file);
      if (names !== undefined && !names.includes(name)) continue;
      if (![...readGguf(path).tensors.values()].every(({ type }) => known.has(type))) continue;
      models.push({ name: `${part}/${name}`, path, promptTokens: 73, chunks: 2 });
    }
  }
  const { models: reading } = readJson<{ models: { name: string; file: string }[] }>(
    kitDirectory,
    "embed",
    "manifest.json",
  );
  for (const { name, file } of reading) {
    const path = join(kitDirectory, "embed", file);
    models.push({ name: `embed/${name}`, path, promptTokens: 90, chunks: 2, readsTexts: true });
  }
  return models;
}

/** The settings that may change results, of those that a model can have. */
function settingsOf(path: string): Setting[] {
  const plan = planModel(readGguf(path));
  const isWhole = plan.hyperparameters.perLayer.every(({ kDim, vDim }) => kDim % 32 === 0 && vDim % 32 === 0);
  const kvTypes = ["f16", "f32", "q8_0"] as const;
  // Only products with quantized weights round activations; only whole blocks of 32 can be q8_0.
  const isQuantized = plan.tensors.some(({ tensor }) => !["F32", "F16", "BF16"].includes(tensor.typeName));
  return kvTypes.filter((kv) => kv !== "q8_0" || isWhole).flatMap((kv) =>
    (isQuantized ? ["int8", "int16"] as const : ["int8"] as const).map((activations) => ({ kv, activations }))
  );
}

/**
 * The way of one setting and chunk size. Over six settings and four sizes, each number of threads meets each chunk size both
 * alone and beside others.
 */
function wayOf(setting: number, chunk: number): Way {
  const turn = setting + chunk;
  return {
    threads: 1 + turn % 3,
    chunkTokens: chunkSizes[chunk],
    pageSize: pageSizes[(turn + chunk + Math.floor(setting / 3)) % 3],
    beside: turn % 2 === 1,
  };
}

/** The SHA-256 of all that a model gives; throws where two ways to compute it differ. `most` limits the ways. */
async function exactHash(model: ExactModel, turn: number, most: number): Promise<string> {
  const { name, path, chunks, readsTexts } = model;
  if (readsTexts) return await exactTexts(path, most);
  const all = createHash("sha256");
  for (const [index, setting] of settingsOf(path).entries()) {
    let first: { hash: string; way: Way } | undefined;
    for (let step = 0; step < Math.min(chunks, most); step++) {
      const way = wayOf(index, (index + turn + step) % chunkSizes.length);
      const hash = await hashOf(model, setting, way);
      first ??= { hash, way };
      if (hash === first.hash) continue;
      const ways = [first.way, way].map((way) => JSON.stringify(way)).join(" and ");
      throw new Error(`${name} with ${JSON.stringify(setting)}: ${ways} give different bits`);
    }
    all.update(`${setting.kv} ${setting.activations} ${first?.hash}\n`);
  }
  return all.digest("hex");
}

async function hashOf({ path, promptTokens, adapter }: ExactModel, setting: Setting, way: Way): Promise<string> {
  const { beside, ...options } = way;
  await using lm = await withDirectory(async (directory) => {
    const adapters = adapter ? [{ path: writeAdapter(join(directory, "adapter.gguf"), path, adapter) }] : [];
    return await LightGPT.load(path, { ...setting, ...options, adapters, context: promptTokens + 24 });
  });
  const ids = (count: number, salt: number) =>
    Uint32Array.from(
      { length: count },
      (_, i) => 3 + (i * 7919 + salt * 104_729 + i * i * 31) % (lm.model.vocabulary - 3),
    );
  const seeded = (temperature: number, topK: number, topP: number) => ({
    maxTokens: 16,
    sampling: { temperature, topK, topP, seed: 0xfeed_0123_4567_89abn },
  });
  const requests: (() => Promise<Float32Array | Completion>)[] = [
    () => lm.logits(ids(promptTokens, 0), { all: true }),
    () => lm.complete(ids(promptTokens - 9, 1), { maxTokens: 16, sampling: { temperature: 0 } }),
    () => lm.complete(ids(21, 2), seeded(0.8, 40, 0.95)),
    () => lm.complete(ids(3, 3), seeded(1.5, 0, 1)),
    () => lm.logits(ids(18, 4)),
  ];
  const results: (Float32Array | Completion)[] = [];
  if (beside) results.push(...await Promise.all(requests.map((request) => request())));
  else for (const request of requests) results.push(await request());
  const hash = createHash("sha256");
  for (const result of results) {
    hash.update(result instanceof Float32Array ? new Uint8Array(result.buffer) : result.tokens.join(" "));
  }
  return hash.digest("hex");
}

/**
 * The hash of every model whose name `has` says yes to; with `most`, each setting is computed in so many ways only, which is
 * for slow levels.
 */
export async function exactHashes(
  most: number = chunkSizes.length,
  has: (name: string) => boolean = () => true,
): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const [turn, model] of exactModels().entries()) {
    if (has(model.name)) hashes[model.name] = await exactHash(model, turn, most);
  }
  return hashes;
}

if (import.meta.main) {
  const [part = ""] = process.argv.slice(2);
  console.log(JSON.stringify(await exactHashes(undefined, (name) => name.includes(part)), undefined, 2));
}
