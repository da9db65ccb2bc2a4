/**
 * `npm run excerpt`: writes `test/data/kit`, the part of the conformance kit that every clone has. What it holds was
 * computed by other programs (llama.cpp, and a forward pass in float64), and is small: for each trait of an architecture a
 * small model with the last logits of one sequence, the edge cases of every block format, and some texts and templates.
 * Needs the whole kit (`LIGHTGPT_KIT`); the directory's README.md says how each part was cut down.
 *
 *     bun scripts/excerpt-kit.ts
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { UnsupportedError } from "../ffi/errors.ts";
import { FORMATS } from "../src/files/formats.ts";
import { parseGguf, readGguf } from "../src/files/gguf/read.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import { loadTokenizer } from "../test/tokenizers.ts";
import { excerptDirectory, kitDirectory, type KitSequence, leftOutOfExcerpt, readJson } from "../test/kit.ts";
import { arrayOf, byteCharacters, KIND, memorySource } from "../test/models.ts";
import { encodeGguf, type NewValue, valuesOf } from "./gguf-writer.ts";

/** The most that the excerpt may weigh, in bytes. */
const bytesMost = 8e6;

/** The sequence whose last logits are kept: long enough that the order of tokens matters. */
const keptSequence = "s24";

/** Blocks kept of each format beside the labelled edge cases. */
const plainBlocks = 4;

/** Of the kit's plain floats, one in so many is kept. */
const floatStride = 64;

/** Of a vocabulary's texts with at most `textCharacters` characters, one in so many is kept. */
const textStride = 6;
const textCharacters = 100;

/** Templates kept: a short one, and one for each way in which published templates differ most. */
const templates = [
  "common-chatml",
  "google-gemma-2-2b-it",
  "meta-llama-Llama-3.2-3B-Instruct",
  "mistralai-Mistral-Nemo-Instruct-2407",
  "Qwen-Qwen2.5-7B-Instruct",
];

/** Of the published templates with at most `publishedCharacters` characters of results, one in so many is kept. */
const publishedStride = 7;
const publishedCharacters = 20_000;

interface Model {
  name: string;
  file: string;
  arch: string;
  n_vocab: number;
  n_ctx: number;
  sequences: KitSequence[];
}

interface Vector {
  text: string;
  ids: number[];
}

interface Vocabulary {
  name: string;
  vocabulary: string;
  vectors: string;
  metadata: Record<string, unknown>;
}

interface Blocks {
  type: string;
  ggml_type_id: number;
  block_elements: number;
  block_bytes: number;
  n_blocks: number;
  raw: string;
  expected: string;
  labels: Record<string, string>;
  nonfinite_raw?: string;
}

if (kitDirectory === undefined) throw new Error("the conformance kit is not there (LIGHTGPT_KIT)");
const kit: string = kitDirectory;

/** Writes JSON that diffs line by line, without a line for each number. */
function writeJson(path: string, value: unknown): void {
  const text = JSON.stringify(value, null, 1).replace(
    /\[\s+(-?[\d.e+-]+(?:,\s+-?[\d.e+-]+)*)\s+\]/g,
    (_, numbers) => `[${numbers.replace(/\s+/g, " ")}]`,
  );
  writeFileSync(path, text + "\n");
}

function directory(name: string): string {
  const path = join(excerptDirectory, name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}

/** Traits that are no arithmetic: which tensors there are. */
const names: ReadonlySet<string> = new Set(["secondNorm", "optionalNorms"]);

/**
 * For each architecture of the kit's first set, and for each other one with a trait that none before it has, the smallest
 * model of float weights, with one position of one sequence.
 */
function excerptModels(): void {
  const target = directory("archs");
  const found = ["archs", "archs2"].flatMap((part) =>
    readJson<{ models: Model[] }>(kit, part, "manifest.json").models.map((model) => ({
      part,
      model,
      bytes: statSync(join(kit, part, model.file)).size,
    }))
  ).sort((a, b) => a.bytes - b.bytes);
  const shown = new Set<string>();
  const smallest = [...ARCHITECTURES].flatMap(([name, traits]) => {
    const all = found.filter(({ part, model }) => model.arch === name && isComputed(join(kit, part, model.file)));
    // The smallest model of an architecture that may have experts has none.
    const own = Object.keys(traits).filter((trait) =>
      !names.has(trait) && (trait !== "experts" || traits.experts?.optional === undefined)
    );
    const isNew = own.some((trait) => !shown.has(trait));
    if (all.length === 0 || leftOutOfExcerpt.has(name) || !(isNew || all.some(({ part }) => part === "archs"))) {
      return [];
    }
    for (const trait of own) shown.add(trait);
    return all.slice(0, 1);
  });
  const models = smallest.map(({ part, model }) => {
    copyFileSync(join(kit, part, model.file), join(target, model.file));
    const sequence = model.sequences.find(({ name }) => name === keptSequence);
    if (sequence === undefined) throw new Error(`${model.name} has no sequence ${keptSequence}`);
    const { name, ids, positions, logits_exact, logits_std, greedy_exact, greedy_exact_margins } = sequence;
    const row = readFileSync(join(kit, part, logits_exact)).subarray(-8 * model.n_vocab);
    writeFileSync(join(target, logits_exact), row);
    const kept = { name, ids, positions: positions.slice(-1), logits_exact, logits_std };
    return {
      name: model.name,
      file: model.file,
      arch: model.arch,
      n_vocab: model.n_vocab,
      n_ctx: model.n_ctx,
      sequences: [{ ...kept, greedy_exact, greedy_exact_margins }],
    };
  });
  writeJson(join(target, "manifest.json"), { models });
}

/** Whether this library computes with a model of the kit; the plan or the vocabulary of the rest is refused. */
function isComputed(path: string): boolean {
  try {
    const gguf = readGguf(path);
    planModel(gguf);
    loadTokenizer(gguf);
    return true;
  } catch (error) {
    if (error instanceof UnsupportedError) return false;
    throw error;
  }
}

/** The labelled blocks of each format and a few others, as one file that the Zig tests embed. */
function excerptBlocks(): void {
  const { blocks } = readJson<{ blocks: Blocks[] }>(kit, "blocks", "manifest.json");
  const known = new Set([...FORMATS.values()].filter(({ supported }) => supported).map(({ id }) => id));
  const base64 = (...parts: Uint8Array[]) => Buffer.concat(parts).toString("base64");
  const formats = blocks.filter(({ ggml_type_id }) => known.has(ggml_type_id)).map((block) => {
    const raw = readFileSync(join(kit, "blocks", block.raw));
    const values = readFileSync(join(kit, "blocks", block.expected));
    const isPlain = (n: number) => block.block_elements === 1 ? n % floatStride === 0 : n < plainBlocks;
    const numbers = Array.from({ length: block.n_blocks }, (_, n) => n).filter((n) => isPlain(n) || n in block.labels);
    const pick = (bytes: Uint8Array, size: number) => numbers.map((n) => bytes.subarray(n * size, (n + 1) * size));
    return {
      id: block.ggml_type_id,
      name: block.type,
      raw: base64(...pick(raw, block.block_bytes)),
      values: base64(...pick(values, 4 * block.block_elements)),
      refused: block.nonfinite_raw ? base64(readFileSync(join(kit, "blocks", block.nonfinite_raw))) : "",
    };
  });
  // More of them, without labels.
  const { types } = readJson<{ types: Record<string, { block_bytes: number; block_values: number }> }>(
    kit,
    "iq",
    "manifest.json",
  );
  for (const { id, name } of FORMATS.values()) {
    const found = types[name];
    if (found === undefined || formats.some((format) => format.name === name)) continue;
    const first = (kind: string, size: number) =>
      base64(readFileSync(join(kit, "iq", `${name}.${kind}`)).subarray(0, plainBlocks * size));
    formats.push({
      id,
      name,
      raw: first("raw", found.block_bytes),
      values: first("f32", 4 * found.block_values),
      refused: "",
    });
  }
  const about =
    "Bytes as in a file, the floats they stand for (little-endian), and blocks whose scale is not finite; base64.";
  writeJson(join(excerptDirectory, "blocks.json"), { about, formats });
}

/** What a text looks like in the vocabulary's own characters: byte-level pieces, or words after a mark for the space. */
function spelled(text: string, model: string): string {
  if (model === "llama") return `▁${text.replaceAll(" ", "▁")}`;
  return Array.from(new TextEncoder().encode(text), (byte) => byteCharacters[byte]).join("");
}

/**
 * A vocabulary without the normal tokens that are no part of any of the texts: no merge can make them there, so the texts
 * have the same tokens as before, under new ids in the old order.
 */
function excerptVocabulary(file: Uint8Array, name: string, texts: readonly string[]) {
  const { metadata } = parseGguf(memorySource(name, file));
  const values = valuesOf(metadata);
  const model = metadata.text("tokenizer.ggml.model");
  const tokens = listOf<string>(values, "tokenizer.ggml.tokens");
  const kinds = listOf<number>(values, "tokenizer.ggml.token_type");
  const whole = texts.map((text) => spelled(text, model)).join("\n");
  const isByte = new Set(byteCharacters);
  const isKept = (token: string, id: number) =>
    kinds[id] === KIND.normal ? isByte.has(token) || whole.includes(token) : kinds[id] !== KIND.unused;
  const kept = tokens.flatMap((token, id) => isKept(token, id) ? [id] : []);
  const newIds = new Map(kept.map((id, index) => [id, index]));
  const known = new Set(kept.map((id) => tokens[id]));
  const pick = <T>(list: readonly T[]) => kept.map((id) => list[id]);
  values.set("tokenizer.ggml.tokens", arrayOf("string", pick(tokens)));
  values.set("tokenizer.ggml.token_type", arrayOf("int32", pick(kinds)));
  if (values.has("tokenizer.ggml.scores")) {
    values.set("tokenizer.ggml.scores", arrayOf("float32", pick(listOf<number>(values, "tokenizer.ggml.scores"))));
  }
  if (values.has("tokenizer.ggml.merges")) {
    const merges = listOf<string>(values, "tokenizer.ggml.merges").filter((merge) => {
      const [left, right] = merge.split(" ");
      return [left, right, left + right].every((token) => known.has(token));
    });
    values.set("tokenizer.ggml.merges", arrayOf("string", merges));
  }
  for (const [key, { type, value }] of values) {
    if (!/_token_id$/.test(key)) continue;
    const id = newIds.get(Number(value));
    if (id === undefined) values.delete(key);
    else values.set(key, { type, value: id });
  }
  return { values, newIds };
}

function listOf<T>(values: ReadonlyMap<string, NewValue>, key: string): T[] {
  const found = values.get(key);
  if (found === undefined) throw new Error(`the vocabulary has no ${key}`);
  return [...found.value as Iterable<T>];
}

/** A few texts of each vocabulary, and the vocabulary cut down to them. */
function excerptTokenizers(): void {
  const target = directory("tokenizers");
  const { vocabularies } = readJson<{ vocabularies: Vocabulary[] }>(kit, "tokenizers", "manifest.json");
  const kept = vocabularies.map(({ name, vocabulary, vectors, metadata }) => {
    const all = readJson<{ vectors: Vector[] }>(kit, "tokenizers", vectors).vectors
      .filter(({ text }) => text.length <= textCharacters).filter((_, index) => index % textStride === 0);
    const file = gunzipSync(readFileSync(join(kit, "tokenizers", vocabulary)));
    const { values, newIds } = excerptVocabulary(file, name, all.map(({ text }) => text));
    const renumbered = all.map((vector) => ({ ...vector, ids: vector.ids.map((id) => newIds.get(id)) }));
    writeFileSync(join(target, vocabulary), gzipSync(encodeGguf(values, []), { level: 9 }));
    writeJson(join(target, vectors), { vectors: renumbered });
    return { name, vocabulary, vectors, metadata };
  });
  writeJson(join(target, "manifest.json"), { vocabularies: kept });
}

/** Some templates with all of their cases. */
function excerptTemplates(): void {
  const target = directory("templates");
  const all =
    readJson<{ templates: { name: string; template: string }[] }>(kit, "templates", "manifest.json").templates;
  const kept = all.filter(({ name }) => templates.includes(name));
  for (const { template } of kept) copyFileSync(join(kit, "templates", template), join(target, template));
  writeJson(join(target, "manifest.json"), { templates: kept });
}

/** Some published templates, each with the same conversations and the prompts that Python's jinja2 makes of them. */
function excerptPublished(): void {
  const target = directory("templates2");
  interface Published {
    cases: Record<string, unknown>;
    templates: Record<string, unknown>;
  }
  const { cases, templates } = readJson<Published>(kit, "templates2", "manifest.json");
  const kept = Object.entries(templates)
    .filter(([, results]) => JSON.stringify(results).length <= publishedCharacters)
    .filter((_, index) => index % publishedStride === 0);
  for (const [name] of kept) copyFileSync(join(kit, "templates2", `${name}.jinja`), join(target, `${name}.jinja`));
  writeJson(join(target, "manifest.json"), { cases, templates: Object.fromEntries(kept) });
}

/** All bytes below a directory. */
function bytesOf(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

excerptModels();
excerptBlocks();
excerptTokenizers();
excerptTemplates();
excerptPublished();
const bytes = bytesOf(excerptDirectory);
console.log(`${excerptDirectory}: ${bytes} bytes`);
if (bytes > bytesMost) throw new Error(`the excerpt has ${bytes} bytes; at most ${bytesMost} are allowed`);
