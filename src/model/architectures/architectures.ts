/**
 * What a model is made of: `planModel` turns the metadata and the tensor table of a file into the numbers and tensors
 * that the library takes, by the traits of the file's architecture (`table.ts`). Numbers are checked here
 * (`docs/design/gguf.md`, sizes of a model), shapes in `tensors.ts`.
 *
 * @module
 */
import type { Hyperparameters, TextParameters, Traits } from "./types.ts";
import { type Activation, LIMITS } from "../../../ffi/wire.ts";
import type { Gguf, Metadata } from "../../files/gguf/read.ts";
import { checkGguf, MetadataArray } from "../../files/gguf/read.ts";
import { type FieldsOf, integer, readOptions } from "../../options/schema.ts";
import { vocabularySize } from "../../text/tokenizer/vocabulary.ts";
import { readRecurrent } from "./recurrent.ts";
import { planRope } from "./rope.ts";
import { latentHeads } from "./latent.ts";
import { planExperts } from "./experts.ts";
import { readHeadSizes, readLayers, type Sizes } from "./layers.ts";
import { readScales } from "./scales.ts";
import { refuseForeignKeys } from "./foreign_keys.ts";
import { ARCHITECTURES } from "./table.ts";
import type { PlannedTensor } from "./tensor_plan.ts";
import { planTensors } from "./tensors.ts";
import { readTexts, readTextSizes } from "./texts.ts";
import { wholeNumber } from "./whole.ts";

export type { PlannedTensor } from "./tensor_plan.ts";

/**
 * Everything that the library needs to load a model.
 */
export interface ModelPlan {
  /** Sizes and constants. */
  readonly hyperparameters: Hyperparameters;
  /** What it is to whole texts, which are embedded or ranked. */
  readonly texts: TextParameters;
  /** The tensors and what each is for. Without one for `output`, the embedding serves as such. */
  readonly tensors: readonly PlannedTensor[];
  /** The name of the tensor that divides rotary frequencies, where there is one. */
  readonly ropeFactors?: string;
  /** How many weights there are. */
  readonly parameters: number;
}

/**
 * Options for a plan: what it depends on besides the file.
 */
export interface PlanOptions {
  /**
   * The context that will be used; models with two sets of rotary factors choose by it.
   * @default {the model's own}
   */
  readonly context?: number;
  /**
   * The most of the model's own context that will be used, where none is given.
   * @default {all of it}
   */
  readonly contextMost?: number;
}

/** The schema of {@link PlanOptions}. */
export const planFields = {
  context: integer({
    about: "The most tokens of a prompt and its answer together.",
    least: 1,
    most: LIMITS.contextMax,
    otherwise: "the model's own",
  }),
  contextMost: integer({
    about: "The most of the model's own context that will be used.",
    least: 1,
    most: LIMITS.contextMax,
    otherwise: "all of it",
  }),
} as const satisfies FieldsOf<PlanOptions>;

/** Files may state up to 16 Mi positions; `LIMITS.contextMax` can be used. */
const CONTEXT_STATED_MOST = 1 << 24;
/**
 * Reads what the library needs to know of a model, and checks it.
 *
 * @param gguf what {@link readGguf} gives; no weights are read
 */
export function planModel(gguf: Gguf, options: PlanOptions = {}): ModelPlan {
  checkGguf("gguf", gguf);
  const { context, contextMost = Infinity } = readOptions(planFields, options);
  const { metadata } = gguf;
  const architecture = metadata.text("general.architecture");
  if (metadata.get("general.type") === "adapter") {
    throw metadata.unsupported("general.type", "a model; an adapter is given as one of `adapters`", "'adapter'");
  }
  if (metadata.get("general.type") === "mmproj" || architecture === "clip") {
    throw metadata.unsupported(
      "general.architecture",
      "a language model, not a vision projector (mmproj)",
      `'${architecture}'`,
    );
  }
  const traits = ARCHITECTURES.get(architecture);
  if (traits === undefined) {
    const names = [...ARCHITECTURES.keys()].join(", ");
    if (architecture === "") throw metadata.wrong("general.architecture", `one of ${names}`, "empty");
    throw metadata.unsupported("general.architecture", `one of ${names}`, `'${architecture}'`);
  }
  refuseForeignKeys(gguf, architecture, traits);
  const sizes = readSizes(gguf, architecture, traits);
  const texts = readTexts(gguf, architecture, traits);
  const { kDim: _k, vDim: _v, blocks: _b, ...ofModel } = sizes;
  const mixers = readRecurrent(gguf, architecture, traits, sizes);
  const experts = planExperts(gguf, architecture, traits, sizes, mixers);
  const layers = readLayers(gguf, architecture, traits, sizes, { mixers, experts: experts.perLayer });
  const rope = planRope(gguf, architecture, traits, layers, context ?? Math.min(sizes.context, contextMost));
  const [{ dimensions }] = rope.rotations;
  if (traits.wholeHeads) refusePartialHeads(metadata, architecture, sizes, dimensions);
  const hyperparameters: Hyperparameters = {
    ...ofModel,
    architecture,
    ropeStyle: traits.ropeStyle,
    queryNorms: traits.queryNorms ?? "heads",
    norms: traits.layerNorms ? "deviation" : "rootMeanSquare",
    parallel: isParallel(gguf, traits),
    valueNorms: traits.valueNorms === true,
    layerInputs: traits.layerInputs ? readLayerInputs(metadata, architecture) : 0,
    activation: readActivation(metadata, architecture, traits),
    feedForwardGate: traits.ungated === undefined,
    ...readScales(metadata, architecture, traits, sizes, layers[0].heads),
    rotations: rope.rotations,
    ropeFactors: rope.factors === undefined ? 0 : dimensions / 2,
    ...readTextSizes(gguf, architecture, traits, texts, sizes),
    ...experts.router,
    joinsStates: false,
    lastDeviation: false,
    perLayer: layers.map((layer, index) => ({ ...layer, rotation: rope.ofLayers[index] })),
  };
  const tensors = planTensors(gguf, hyperparameters, traits, rope.factors);
  return {
    hyperparameters,
    texts,
    tensors,
    ...rope.factors === undefined ? {} : { ropeFactors: rope.factors },
    parameters: tensors.reduce((sum, { columns, rows, slabs }) => sum + columns * rows * slabs, 0),
  };
}

/** The activation; some files name theirs. */
function readActivation(
  metadata: Metadata,
  architecture: string,
  { activation, statedActivation }: Traits,
): Activation {
  if (!statedActivation) return activation;
  const key = `${architecture}.hidden_activation`;
  const name = metadata.text(key, "gelu");
  if (name === "gelu") return activation;
  if (name === "silu") return "silu";
  throw metadata.unsupported(key, "gelu or silu", `'${name}'`);
}

/** Whether both halves of the layers read the same. */
function isParallel({ tensors }: Gguf, { parallel }: Traits): boolean {
  return parallel === true || (parallel === "withoutNorm" && !tensors.has("blk.0.ffn_norm.weight"));
}

function readLayerInputs(metadata: Metadata, architecture: string): number {
  const rules = { least: 0, most: LIMITS.layerInputsMax, fallback: 0 };
  return metadata.count(`${architecture}.embedding_length_per_layer_input`, rules);
}

/** llama.cpp rotates whole heads in these architectures, and refuses or ignores files that say otherwise. */
function refusePartialHeads(metadata: Metadata, architecture: string, { kDim, vDim }: Sizes, rotated: number): void {
  if (rotated !== kDim) {
    const key = `${architecture}.rope.dimension_count`;
    throw metadata.unsupported(key, `${kDim}, all elements of a key`, `${rotated}`);
  }
  if (vDim !== kDim) {
    throw metadata.unsupported(`${architecture}.attention.value_length`, `${kDim}, the length of a key`, `${vDim}`);
  }
}

function readSizes(gguf: Gguf, architecture: string, traits: Traits): Sizes {
  const { metadata } = gguf;
  const embedding = metadata.count(`${architecture}.embedding_length`, { most: LIMITS.embeddingMax });
  const headsKey = `${architecture}.attention.head_count`;
  const heads = metadata.get(headsKey) instanceof MetadataArray
    ? Number(firstOf(metadata, headsKey))
    : metadata.count(headsKey, { most: LIMITS.headsMax });
  const keyLength = `${architecture}.attention.key_length`;
  if (!metadata.has(keyLength) && embedding % heads !== 0) {
    throw metadata.wrong(headsKey, `a divisor of the embedding length ${embedding}`, `${heads}`);
  }
  const whole = Math.floor(embedding / heads);
  const context = metadata.count(`${architecture}.context_length`, { most: CONTEXT_STATED_MOST });
  return {
    ...readDepth(gguf, architecture),
    embedding,
    vocabulary: vocabularySize(gguf),
    context: Math.min(context, LIMITS.contextMax),
    ...(traits.latent
      ? latentHeads(metadata, architecture)
      : readHeadSizes(metadata, architecture, "", { kDim: whole, vDim: whole })),
  };
}

/** How many layers there are, and how many take part in the logits: a drafter's come last and do not. */
function readDepth({ metadata, tensors }: Gguf, architecture: string): { layers: number; blocks: number } {
  const blocks = metadata.count(`${architecture}.block_count`, { most: LIMITS.layersMax });
  const key = `${architecture}.nextn_predict_layers`;
  const drafter = metadata.count(key, { least: 0, most: blocks - 1, fallback: 0 });
  const layers = blocks - drafter;
  for (let layer = layers; layer < blocks; layer++) {
    const name = `blk.${layer}.nextn.eh_proj.weight`;
    if (!tensors.has(name)) throw metadata.wrong(key, `0 in a file without the tensor ${name}`, `${drafter}`);
  }
  return { layers, blocks };
}

function firstOf(metadata: Metadata, key: string): number {
  const value = metadata.get(key);
  // Layers without attention may have 0.
  const first = value instanceof MetadataArray
    ? Array.from(value).find((count) => count !== 0) ?? "nothing"
    : "nothing";
  return wholeNumber(metadata, key, first, LIMITS.headsMax);
}
