/**
 * What a model is made of: `planModel` turns the metadata and the tensor table of a file into the numbers and tensors
 * that the library takes, by the traits of the file's architecture (`table.ts`). Numbers are checked here
 * (`docs/design/gguf.md`, sizes of a model), shapes in `tensors.ts`.
 *
 * @module
 */
import type { Hyperparameters, LayerParameters, Traits } from "./types.ts";
import { LIMITS } from "../../../ffi/wire.ts";
import type { Gguf, Metadata, MetadataValue } from "../../files/gguf/read.ts";
import { checkGguf, MetadataArray } from "../../files/gguf/read.ts";
import { type FieldsOf, integer, readOptions } from "../../options/schema.ts";
import { vocabularySize } from "../../text/tokenizer/vocabulary.ts";
import { attentionOnly, readRecurrent } from "./recurrent.ts";
import { planRope } from "./rope.ts";
import { planKeys } from "./keys.ts";
import { latentHeads, NOT_LATENT, readLatent } from "./latent.ts";
import { type ExpertLayer, planExperts } from "./experts.ts";
import { readScales } from "./scales.ts";
import { ARCHITECTURES } from "./table.ts";
import { type PlannedTensor, planTensors } from "./tensors.ts";
import { readWindows } from "./windows.ts";

export type { PlannedTensor } from "./tensors.ts";

/**
 * Everything that the library needs to load a model.
 *
 * @example
 * ```ts
 * import { LightGPT, type ModelPlan } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const plan: ModelPlan = lm.model.plan;
 * console.log(plan.parameters, plan.hyperparameters.layers, plan.tensors.length);
 * ```
 */
export interface ModelPlan {
  /** Sizes and constants. */
  readonly hyperparameters: Hyperparameters;
  /** The tensors and what each is for. Without one for `output`, the embedding serves as such. */
  readonly tensors: readonly PlannedTensor[];
  /** How many weights there are. */
  readonly parameters: number;
}

/**
 * Options for a plan: what it depends on besides the file.
 *
 * @example
 * ```ts
 * import { planModel, type PlanOptions, readGguf } from "@lightgpt/lightgpt";
 *
 * const options: PlanOptions = { context: 4096 };
 * console.log(planModel(readGguf("model.gguf"), options).hyperparameters.rotations);
 * ```
 */
export interface PlanOptions {
  /**
   * The context that will be used; models with two sets of rotary factors choose by it.
   * @default {the model's own}
   */
  readonly context?: number;
}

/** The schema of {@link PlanOptions}. */
export const planFields = {
  context: integer({
    about: "The most tokens of a prompt and its answer together.",
    least: 1,
    most: LIMITS.contextMax,
    otherwise: "the model's own",
  }),
} as const satisfies FieldsOf<PlanOptions>;

/** Files may state up to 16 Mi positions; `LIMITS.contextMax` can be used. */
const CONTEXT_STATED_MOST = 1 << 24;
/** Keys that would change the result, with the value that changes nothing, and the traits of architectures that heed it. */
const NEUTRAL: readonly (readonly [key: string, neutral: number, ...unless: (keyof Traits)[]])[] = [
  ["logit_scale", 1, "scales", "logitScale"],
  ["residual_scale", 1, "scales"],
  ["attention.temperature_scale", 0, "temperature"],
  ["rope.scaling.alpha", 0, "alpha"],
  ["attn_logit_softcapping", 0, "attentionSoftcap"],
  ["final_logit_softcapping", 0, "logitSoftcap"],
  ["attention.output_scale", 1],
  ["attention.value_scale", 1],
  ["attention.clamp_kqv", 0],
  ["attention.max_alibi_bias", 0],
  ["attention.shared_kv_layers", 0, "sharedKeys"],
  ["embedding_length_per_layer_input", 0, "layerInputs"],
  ["rope.scaling.yarn_ext_factor", 0],
];

/**
 * Reads what the library needs to know of a model, and checks it.
 *
 * @param gguf what {@link readGguf} gives; no weights are read
 *
 * @example
 * ```ts
 * import { planModel, readGguf } from "@lightgpt/lightgpt";
 *
 * const { hyperparameters, parameters } = planModel(readGguf("model.gguf"));
 * console.log(hyperparameters.layers, "layers,", parameters, "parameters");
 * ```
 */
export function planModel(gguf: Gguf, options: PlanOptions = {}): ModelPlan {
  checkGguf("gguf", gguf);
  const { context } = readOptions(planFields, options);
  const { metadata } = gguf;
  const architecture = metadata.text("general.architecture");
  if (metadata.get("general.type") === "adapter") {
    throw metadata.unsupported("general.type", "a model; an adapter is given as one of `adapters`", "'adapter'");
  }
  const traits = ARCHITECTURES.get(architecture);
  if (traits === undefined) {
    const names = [...ARCHITECTURES.keys()].join(", ");
    if (architecture === "") throw metadata.wrong("general.architecture", `one of ${names}`, "empty");
    throw metadata.unsupported("general.architecture", `one of ${names}`, `'${architecture}'`);
  }
  refuseForeignTraits(gguf, architecture, traits);
  const sizes = readSizes(gguf, architecture, traits);
  const { kDim: _k, vDim: _v, blocks: _b, ...ofModel } = sizes;
  const experts = planExperts(gguf, architecture, traits.experts, sizes);
  const layers = readLayers(gguf, architecture, traits, sizes, experts.perLayer);
  const rope = planRope(gguf, architecture, traits, layers, context ?? sizes.context);
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
    activation: traits.activation,
    ...readScales(metadata, architecture, traits, sizes, layers[0].heads),
    rotations: rope.rotations,
    ropeFactors: rope.factors === undefined ? 0 : dimensions / 2,
    ...experts.router,
    perLayer: layers.map((layer, index) => ({ ...layer, rotation: rope.ofLayers[index] })),
  };
  const tensors = planTensors(gguf, hyperparameters, traits, rope.factors);
  return {
    hyperparameters,
    tensors,
    parameters: tensors.reduce((sum, { columns, rows, slabs }) => sum + columns * rows * slabs, 0),
  };
}

/** Refuses files that ask for something the architecture does not have, so that no wrong result is computed. */
function refuseForeignTraits({ metadata }: Gguf, architecture: string, traits: Traits): void {
  const key = (name: string) => `${architecture}.${name}`;
  for (const [name, neutral, ...unless] of NEUTRAL) {
    if (unless.some((trait) => traits[trait] !== undefined)) continue;
    const value = metadata.number(key(name), { fallback: neutral });
    // Writers put 0 where a factor is not used.
    if (value !== neutral && value !== 0) throw metadata.unsupported(key(name), `${neutral}`, `${value}`);
  }
  if (!metadata.flag(key("attention.causal"), true)) {
    throw metadata.unsupported(key("attention.causal"), "true, a model that generates text", "false");
  }
  const sections = metadata.get(key("rope.dimension_sections"));
  if (!traits.sections && sections instanceof MetadataArray && Array.from(sections).some((size) => size !== 0)) {
    throw metadata.unsupported(key("rope.dimension_sections"), "none", `[${[...sections].join(", ")}]`);
  }
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

interface Sizes {
  layers: number;
  /** Layers of the file: with those that only guess what comes next, which are the last. */
  blocks: number;
  embedding: number;
  vocabulary: number;
  context: number;
  kDim: number;
  vDim: number;
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

type HeadSizes = Pick<Sizes, "kDim" | "vDim">;

/** The lengths of keys and values of a head; `suffix` is that of the keys' names. */
function readHeadSizes(metadata: Metadata, architecture: string, suffix: string, otherwise: HeadSizes): HeadSizes {
  const length = (name: string, fallback: number) =>
    metadata.count(`${architecture}.attention.${name}_length${suffix}`, { most: LIMITS.headDimMax, fallback });
  return { kDim: length("key", otherwise.kDim), vDim: length("value", otherwise.vDim) };
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

function readLayers(
  gguf: Gguf,
  architecture: string,
  traits: Traits,
  sizes: Sizes,
  experts: readonly ExpertLayer[],
): Omit<LayerParameters, "rotation">[] {
  const { metadata } = gguf;
  const headsKey = `${architecture}.attention.head_count`;
  const kvKey = `${architecture}.attention.head_count_kv`;
  const recurrent = readRecurrent(metadata, architecture, traits, sizes);
  const isWithout = (layer: number) => recurrent[layer] !== undefined;
  const heads = perLayer(gguf, headsKey, sizes, LIMITS.headsMax, "attn_q", isWithout);
  const kvHeads = traits.latent
    ? heads.map(() => 1) // the latent row; files state 1, or as many as heads
    : metadata.has(kvKey)
    ? perLayer(gguf, kvKey, sizes, LIMITS.headsMax, "attn_k", isWithout)
    : heads;
  const latent = readLatent(metadata, architecture, traits, sizes.kDim);
  const isSparse = (layer: number) => experts[layer].experts > 0 && !traits.experts?.beside;
  const allSparse = experts.every((_, layer) => isSparse(layer));
  const wide = allSparse
    ? undefined
    : perLayer(gguf, `${architecture}.feed_forward_length`, sizes, LIMITS.feedForwardMax, "ffn_up");
  const windows = readWindows(metadata, architecture, traits, sizes.layers);
  const keys = planKeys(gguf, architecture, traits, windows);
  const windowed = traits.windowHeads === undefined ? sizes : readHeadSizes(metadata, architecture, "_swa", sizes);
  return heads.map((count, layer) => {
    const own = recurrent[layer];
    const inner = { feedForward: isSparse(layer) ? 0 : wide?.[layer] ?? 0, ...experts[layer] };
    if (own !== undefined) {
      const sizes = { heads: 0, kvHeads: 0, kDim: 0, vDim: 0, window: 0, attentionGate: false };
      const none = { ...sizes, keys: "own", keysLayer: layer } as const;
      return { ...own, ...none, ...NOT_LATENT, ...inner };
    }
    const { kDim, vDim } = windows[layer] > 0 ? windowed : sizes;
    if (count % kvHeads[layer] !== 0) {
      throw metadata.wrong(metadata.has(kvKey) ? kvKey : headsKey, `a divisor of ${count} heads`, `${kvHeads[layer]}`);
    }
    return {
      ...attentionOnly,
      ...(traits.latent ? { mixer: "latent" } as const : {}),
      ...latent,
      heads: count,
      kvHeads: kvHeads[layer],
      kDim,
      vDim,
      ...inner,
      window: windows[layer],
      attentionGate: traits.gatedAttention === true,
      ...keys[layer],
    };
  });
}

/**
 * A number for each layer: the key holds one for all, or an array; 0 for the layers that `isWithout`. Another layer without the
 * part that `tensor` is the first matrix of has 0 there; such layers are not supported.
 */
function perLayer(
  { metadata, tensors }: Gguf,
  key: string,
  { layers, blocks }: Sizes,
  most: number,
  tensor: string,
  isWithout: (layer: number) => boolean = () => false,
): number[] {
  const value = metadata.get(key);
  if (value instanceof MetadataArray && value.length !== blocks) {
    throw metadata.wrong(key, `a number, or one for each of ${blocks} layers`, `an array of ${value.length}`);
  }
  const numbers = value instanceof MetadataArray
    ? Array.from(value).slice(0, layers)
    : new Array<MetadataValue | undefined>(layers).fill(value);
  const without = numbers.findIndex((number, layer) =>
    number === 0 && !isWithout(layer) && !tensors.has(`blk.${layer}.${tensor}.weight`)
  );
  if (without >= 0) throw metadata.unsupported(key, "a number above 0 for each layer", `0 in layer ${without}`);
  if (!(value instanceof MetadataArray)) return numbers.fill(metadata.count(key, { most })) as number[];
  return numbers.map((element, layer) => isWithout(layer) ? 0 : wholeNumber(metadata, key, element ?? 0, most));
}

function firstOf(metadata: Metadata, key: string): number {
  const value = metadata.get(key);
  const first = value instanceof MetadataArray && value.length > 0 ? value.at(0) : "nothing";
  return wholeNumber(metadata, key, first, LIMITS.headsMax);
}

function wholeNumber(metadata: Metadata, key: string, element: MetadataValue, most: number): number {
  if (typeof element === "number" && Number.isInteger(element) && element >= 1 && element <= most) return element;
  throw metadata.wrong(key, `whole numbers from 1 to ${most}`, `an array with ${element}`);
}
