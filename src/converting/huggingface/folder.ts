/**
 * A Hugging Face folder (`config.json`, `tokenizer.json`, `*.safetensors`) as a source of the quantizer. Everything is
 * checked before a byte is written: the folder as a GGUF file would have it is planned as a model, with its vocabulary.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { planModel } from "../../model/architectures/architectures.ts";
import { parseGguf } from "../../files/gguf/read.ts";
import { VALUE_TYPE } from "../../files/gguf/metadata.ts";
import { statOf, SteadyFile, type WeightSource } from "../weight_source.ts";
import { headerBytes, type NewValue } from "../../files/gguf/encode.ts";
import { loadTokenizer } from "../../text/tokenizer/load.ts";
import { type Config, readConfig } from "./config.ts";
import { isObject, JsonFile } from "./json.ts";
import { poolingOf } from "./pooling.ts";
import { readSafetensors, type SafeTensor } from "./safetensors.ts";
import { madeTensor, mapTensors } from "./tensors.ts";
import { readVocabulary } from "./vocabulary.ts";

const tokenizerName = "tokenizer.json";
const configMost = 4 << 20;
const tokenizerMost = 128 << 20;
const shardsMost = 1024;
const plainName = /^[^/\\]+\.safetensors$/;
/** The pooling of a reranking model, by its number in a file. */
const rankPooling = 4;
/** What a file calls the matrices that a pooled row goes through. */
const denseNames = ["dense_2", "dense_3"];

/** A file of weights, and what of it is the model's. */
interface OpenFile {
  readonly file: SteadyFile;
  readonly tensors: SafeTensor[];
}

/** Whether a path is a folder, and so one of these. */
export function isFolder(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** Opens a folder; throws where it is not whole, or a model that cannot be computed here. */
export async function openFolder(path: string, allowUnknownPreTokenizer: boolean): Promise<WeightSource> {
  const json = (name: string, most = configMost) => JsonFile.read(join(path, name), most);
  const configFile = json("config.json");
  if (configFile === undefined) throw missing(path, "config.json");
  const tokenizer = tokenizerOf(path);
  const config = readConfig(configFile, nameOf(path, configFile, tokenizer));
  const files = openShards(path);
  try {
    const metadata = new Map<string, NewValue>([
      ...config.metadata,
      ...vocabularyOf(path, configFile, tokenizer, config, allowUnknownPreTokenizer),
    ]);
    const { pooling, dense, warnings: told } = poolingOf(path, config.family.dense === true);
    const poolingKey = `${config.family.architecture}.pooling_type`;
    // A head that ranks has a pooling of its own.
    if (pooling !== undefined && metadata.get(poolingKey)?.value !== rankPooling) metadata.set(poolingKey, pooling);
    for (const [index, folder] of dense.entries()) {
      const step = openDense(join(path, folder), denseNames[index] as string);
      files.push(step);
      setDense(step, `${config.family.architecture}.${denseNames[index]}`, metadata);
    }
    const { mapped, warnings } = mapTensors(files.flatMap(({ tensors }) => tensors), config);
    if (config.factors !== undefined) mapped.push(madeTensor("rope_freqs.weight", config.factors));
    const source: WeightSource = {
      files: files.map(({ file }) => file.path),
      metadata,
      tensors: mapped,
      warnings: [...warnings, ...told],
      check: () => files.forEach(({ file }) => file.check()),
      close: () => files.forEach(({ file }) => file.close()),
    };
    await checkModel(path, source, allowUnknownPreTokenizer);
    return source;
  } catch (error) {
    files.forEach(({ file }) => file.close());
    throw error;
  }
}

/** The matrix of a step behind the pooled row, under the name that a file has for it. */
function openDense(path: string, name: string): OpenFile {
  const from = join(path, "model.safetensors");
  if (!existsSync(from)) throw missing(path, "model.safetensors");
  const file = new SteadyFile(from);
  try {
    const tensors = readSafetensors(file).map((tensor) => ({
      ...tensor,
      name: tensor.name.replace(/^linear\./, `${name}.`),
    }));
    return { file, tensors };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The sizes of such a matrix. */
function setDense({ tensors }: OpenFile, key: string, metadata: Map<string, NewValue>): void {
  const [rows, columns] = tensors.find(({ name }) => name.endsWith(".weight"))?.shape ?? [];
  if (rows === undefined || columns === undefined) return;
  metadata.set(`${key}_feat_in`, { type: VALUE_TYPE.uint32, value: columns });
  metadata.set(`${key}_feat_out`, { type: VALUE_TYPE.uint32, value: rows });
}

/** The folder's own name; tokens that take the space behind them, as phi3's, are known by a name with theirs in it. */
function nameOf(path: string, config: JsonFile, tokenizer: JsonFile): string {
  const name = basename(resolve(path));
  if (config.text("model_type") !== "phi3" || /phi-?3/i.test(name)) return name;
  const takes = (token: unknown) => isObject(token) && token.special === true && token.rstrip === true;
  return tokenizer.list("added_tokens")?.some(takes) ? `Phi-3 ${name}` : name;
}

function tokenizerOf(path: string): JsonFile {
  const tokenizer = JsonFile.read(join(path, tokenizerName), tokenizerMost);
  if (tokenizer !== undefined) return tokenizer;
  if (!existsSync(join(path, "tokenizer.model"))) throw missing(path, tokenizerName);
  throw new UnsupportedError(
    `${path}: there is a tokenizer.model but no ${tokenizerName}; expected the latter, which AutoTokenizer's save_pretrained writes.`,
    { what: "a SentencePiece model alone", where: "tokenizer.model", expected: tokenizerName },
  );
}

function vocabularyOf(
  path: string,
  config: JsonFile,
  tokenizer: JsonFile,
  { vocabulary, family }: Config,
  allowUnknown: boolean,
): Map<string, NewValue> {
  const read = (name: string) => JsonFile.read(join(path, name), configMost);
  const usual = family.tokenTypes;
  const types = usual === undefined || usual === 0
    ? usual
    : config.count("type_vocab_size", { most: 1 << 16, fallback: usual });
  const [tokenizerConfig, generationConfig] = [read("tokenizer_config.json"), read("generation_config.json")];
  const metadata = readVocabulary(
    { path: join(path, tokenizerName), tokenizer, tokenizerConfig, generationConfig, config, pre: family.pre, types },
    vocabulary,
    allowUnknown,
  );
  const template = join(path, "chat_template.jinja");
  if (existsSync(template) && statSync(template).size <= configMost) {
    metadata.set("tokenizer.chat_template", { type: VALUE_TYPE.string, value: readFileSync(template, "utf8") });
  }
  return metadata;
}

/** The files of weights: one, or those of an index. */
function openShards(path: string): OpenFile[] {
  const indexName = "model.safetensors.index.json";
  const index = JsonFile.read(join(path, indexName), tokenizerMost);
  const places = index?.object("weight_map");
  if (index !== undefined && places === undefined) throw index.wrong("weight_map", "an object of tensors and files");
  const names = places === undefined ? ["model.safetensors"] : [...new Set(places.entries().map(([, name]) => name))];
  if (
    names.length > shardsMost ||
    !names.every((name): name is string => typeof name === "string" && plainName.test(name))
  ) {
    throw new ModelFormatError(
      `${
        join(path, indexName)
      }: weight_map names ${names.length} files; expected at most ${shardsMost}, by plain names that end in .safetensors`,
      { field: "weight_map" },
    );
  }
  const opened: OpenFile[] = [];
  try {
    for (const name of names) {
      if (!existsSync(join(path, name))) throw missing(path, name);
      const file = new SteadyFile(join(path, name));
      opened.push({ file, tensors: [] });
      const tensors = readSafetensors(file);
      // Of what an index has elsewhere, this file's is none.
      const own = tensors.filter((tensor) => places === undefined || places.get(tensor.name) === name);
      opened[opened.length - 1].tensors.push(...own);
    }
    const found = new Set(opened.flatMap(({ tensors }) => tensors.map((tensor) => tensor.name)));
    const absent = places?.entries().find(([name]) => !found.has(name));
    if (absent !== undefined) {
      throw new ModelFormatError(
        `${join(path, String(absent[1]))}: the tensor ${absent[0]} is missing; expected it, as ${indexName} says`,
        {
          field: absent[0],
        },
      );
    }
    return opened;
  } catch (error) {
    opened.forEach(({ file }) => file.close());
    throw error;
  }
}

function missing(path: string, name: string): ModelFormatError {
  const others = readdirSync(path).filter((file) => /\.(bin|pt|pth|gguf|safetensors)$/.test(file)).slice(0, 4);
  const there = others.length === 0 ? "" : ` (there are ${others.join(", ")})`;
  return new ModelFormatError(
    `${path}: ${name} is missing${there}; expected a folder with config.json, tokenizer.json and *.safetensors`,
    { field: name, expected: name },
  );
}

/** Plans the model as its GGUF file will be: what is missing or has the wrong shape is an error now. */
async function checkModel(
  path: string,
  { metadata, tensors }: WeightSource,
  allowUnknownPreTokenizer: boolean,
): Promise<void> {
  const bytes = headerBytes(metadata, tensors);
  const size = tensors.reduce(
    (sum, tensor) => sum + Math.ceil(tensor.bytes / 32) * 32,
    Math.ceil(bytes.length / 32) * 32,
  );
  const gguf = parseGguf({
    name: path,
    size,
    read: (target, offset) => {
      target.fill(0);
      target.set(bytes.subarray(offset, offset + target.length));
      return Math.min(target.length, size - offset);
    },
  });
  planModel(gguf);
  await loadTokenizer(gguf, { allowUnknownPreTokenizer });
}
