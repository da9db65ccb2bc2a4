/**
 * The experts of a model: which layers have some, how wide they are, and how a router chooses among them
 * (`docs/design/contract.md`, "Experts").
 *
 * @module
 */
import type { RouterScore } from "../../../ffi/wire.ts";
import { LIMITS } from "../../../ffi/wire.ts";
import { type Gguf, type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import type { Recurrent } from "./recurrent.ts";
import type { ExpertTraits, LayerParameters, RouterParameters, Traits } from "./types.ts";
import { wholeNumber } from "./whole.ts";

/** What the experts of one layer come to. */
export type ExpertLayer = Pick<
  LayerParameters,
  "experts" | "expertsUsed" | "expertWidth" | "sharedWidth" | "expertLatent"
>;

/** How many experts there are in each layer, how many a token goes to, and how they are chosen. */
export interface ExpertPlan {
  readonly router: RouterParameters;
  readonly perLayer: readonly ExpertLayer[];
}

const NONE: ExpertLayer = { experts: 0, expertsUsed: 0, expertWidth: 0, sharedWidth: 0, expertLatent: 0 };
const NO_ROUTER: RouterParameters = {
  expertsUsed: 0,
  routerScore: "softmax",
  routerGroups: 1,
  routerGroupsUsed: 1,
  routerNormalises: false,
  routerScale: 1,
};
/** `expert_gating_func`, by its numbers; 0 leaves it to the architecture. */
const SCORES: ReadonlyMap<number, RouterScore> = new Map([[1, "softmax"], [2, "sigmoid"], [3, "softmaxOfChosen"]]);

/** Reads what a file says of experts. */
export function planExperts(
  gguf: Gguf,
  architecture: string,
  { experts: traits, halves, oneExpert }: Traits,
  sizes: { readonly layers: number; readonly blocks: number; readonly vocabulary: number },
  mixers: readonly Recurrent[],
): ExpertPlan {
  const { layers, vocabulary } = sizes;
  const { metadata, tensors } = gguf;
  const key = (name: string) => `${architecture}.${name}`;
  const countKey = key("expert_count");
  const optional = traits === undefined || traits.optional === true;
  const experts = metadata.count(countKey, {
    least: optional ? 0 : 1,
    most: LIMITS.expertsMax,
    ...(optional ? { fallback: 0 } : {}),
  });
  if (experts === 0 || (experts === 1 && oneExpert)) {
    return { router: NO_ROUTER, perLayer: new Array<ExpertLayer>(layers).fill(NONE) };
  }
  if (!tensors.has("blk.0.ffn_gate_inp.weight") && optional) {
    throw metadata.wrong(countKey, "0 in a model without expert tensors", `${experts}`);
  }
  if (traits === undefined) {
    throw metadata.unsupported(countKey, "0, a dense model", `${experts}, a mixture of experts`);
  }
  const has = traits.beside
    ? Array.from({ length: layers }, (_, layer) => tensors.has(`blk.${layer}.ffn_gate_inp.weight`))
    : expertLayers(metadata, architecture, traits, layers).map((is, layer) =>
      is && (!halves || mixers[layer].mixer === "none")
    );
  const widths = widthsOf(metadata, architecture, traits, sizes.blocks, has);
  const shared = readShared(metadata, architecture, traits, widths.find((width) => width > 0) ?? 0);
  const expertLatent = readLatent(metadata, architecture, traits);
  const { most, ...router } = planRouter(metadata, architecture, withScoreOf(traits, layers, vocabulary), experts);
  const used = readUsed(metadata, key("expert_used_count"), most, sizes.blocks, has);
  return {
    router: { ...router, expertsUsed: Math.max(...used) },
    perLayer: has.map((isSparse, layer) =>
      isSparse
        ? { experts, expertsUsed: used[layer], expertWidth: widths[layer], sharedWidth: shared, expertLatent }
        : NONE
    ),
  };
}

/** The traits with the score that files of this size have where they state none. */
function withScoreOf(traits: ExpertTraits, layers: number, vocabulary: number): ExpertTraits {
  const { sigmoidOf } = traits;
  const isOther = sigmoidOf?.layers.includes(layers) && sigmoidOf.vocabulary === vocabulary;
  return isOther ? { ...traits, score: "sigmoid" } : traits;
}

/** Which layers have experts. */
function expertLayers(metadata: Metadata, architecture: string, traits: ExpertTraits, layers: number): boolean[] {
  const key = (name: string) => `${architecture}.${name}`;
  const leading = metadata.count(key("leading_dense_block_count"), {
    least: 0,
    most: traits.leadingDense ? layers : 0,
    fallback: 0,
  });
  const step = metadata.count(key("interleave_moe_layer_step"), {
    most: traits.interleaved ? LIMITS.layersMax : 1,
    fallback: 1,
  });
  if (traits.every) {
    const every = metadata.count(key("moe_every_n_layers"), { least: 0, most: LIMITS.layersMax });
    return Array.from({ length: layers }, (_, layer) => every > 0 && layer % every === 1);
  }
  return Array.from({ length: layers }, (_, layer) => layer >= leading && (layer + 1) % step === 0);
}

/** The width inside the experts of each layer, stated for all or for each; 0 where it has none. */
function widthsOf(
  metadata: Metadata,
  architecture: string,
  { ownWidth }: ExpertTraits,
  blocks: number,
  has: readonly boolean[],
): number[] {
  const most = LIMITS.feedForwardMax;
  const own = `${architecture}.expert_feed_forward_length`;
  const listed = metadata.get(own);
  if (!(listed instanceof MetadataArray)) {
    const width = metadata.count(ownWidth || metadata.has(own) ? own : `${architecture}.feed_forward_length`, { most });
    return has.map((isSparse) => isSparse ? width : 0);
  }
  if (listed.length !== blocks) {
    throw metadata.wrong(own, `a number, or one for each of ${blocks} layers`, `an array of ${listed.length}`);
  }
  return has.map((isSparse, layer) => isSparse ? wholeNumber(metadata, own, listed.at(layer) ?? 0, most) : 0);
}

/** The width inside the expert that every token goes to; 0 where there is none. */
function readShared(metadata: Metadata, architecture: string, { shared }: ExpertTraits, expertWidth: number): number {
  const most = LIMITS.feedForwardMax;
  const sharedKey = `${architecture}.expert_shared_feed_forward_length`;
  const countKey = `${architecture}.expert_shared_count`;
  const count = metadata.count(countKey, {
    least: 0,
    most: Math.floor(most / Math.max(1, expertWidth)),
    fallback: 0,
  });
  if (shared === undefined) {
    const found = [[sharedKey, metadata.number(sharedKey, { fallback: 0 })], [countKey, count]] as const;
    for (const [name, value] of found) {
      if (value !== 0) throw metadata.unsupported(name, "0, no shared expert", `${value}`);
    }
    return 0;
  }
  if (shared === "count") return count * expertWidth;
  const stated = metadata.count(sharedKey, { least: 0, most, fallback: 0 });
  return stated === 0 && shared !== "length" ? metadata.count(`${architecture}.feed_forward_length`, { most }) : stated;
}

/** The length of the narrower row that experts work on; 0: they work on the stream. */
function readLatent(metadata: Metadata, architecture: string, { latent }: ExpertTraits): number {
  const key = `${architecture}.moe_latent_size`;
  const length = metadata.count(key, { least: 0, most: LIMITS.embeddingMax, fallback: 0 });
  if (length > 0 && !latent) throw metadata.unsupported(key, "0, experts that read the stream", `${length}`);
  return length;
}

function planRouter(
  metadata: Metadata,
  architecture: string,
  traits: ExpertTraits,
  experts: number,
): Omit<RouterParameters, "expertsUsed"> & { readonly most: number } {
  const key = (name: string) => `${architecture}.${name}`;
  const groups = metadata.count(key("expert_group_count"), { least: 0, most: LIMITS.routerGroupsMax, fallback: 0 });
  const routerGroups = Math.max(1, groups);
  if (experts % routerGroups !== 0 || (routerGroups > 1 && experts / routerGroups < 2)) {
    const expected = `a number of groups that divides ${experts} experts, at least two in each`;
    throw metadata.wrong(key("expert_group_count"), expected, `${groups}`);
  }
  const routerGroupsUsed = routerGroups === 1
    ? 1
    : metadata.count(key("expert_group_used_count"), { most: routerGroups });
  const most = Math.min(LIMITS.expertsUsedMax, routerGroupsUsed * (experts / routerGroups));
  return {
    most,
    routerScore: scoreOf(metadata, key("expert_gating_func"), traits),
    routerGroups,
    routerGroupsUsed,
    routerNormalises: normalisesBy(metadata, key("expert_weights_norm"), traits),
    routerScale: scaleOf(metadata, key("expert_weights_scale"), traits),
  };
}

/** How many experts a token goes to in each layer, stated for all or for each; 0 where it has none. */
function readUsed(
  metadata: Metadata,
  key: string,
  most: number,
  blocks: number,
  has: readonly boolean[],
): number[] {
  const listed = metadata.get(key);
  if (!(listed instanceof MetadataArray)) {
    const used = metadata.count(key, { most });
    return has.map((isSparse) => isSparse ? used : 0);
  }
  if (listed.length !== blocks) {
    throw metadata.wrong(key, `a number, or one for each of ${blocks} layers`, `an array of ${listed.length}`);
  }
  return has.map((isSparse, layer) => isSparse ? wholeNumber(metadata, key, listed.at(layer) ?? 0, most) : 0);
}

function scoreOf(metadata: Metadata, key: string, traits: ExpertTraits): RouterScore {
  const number = metadata.count(key, { least: 0, fallback: 0 });
  const score = number === 0 ? traits.score : SCORES.get(number);
  const mayDiffer = traits.scored ?? false;
  if (score !== undefined && (mayDiffer || score === traits.score)) return score;
  const known = mayDiffer ? [...SCORES].map(([number, name]) => `${number} (${name})`).join(", ") : traits.score;
  throw metadata.unsupported(key, `one of ${known}`, `${number}`);
}

function normalisesBy(metadata: Metadata, key: string, traits: ExpertTraits): boolean {
  const normalises = metadata.flag(key, traits.normalises);
  if (!traits.stated && normalises !== traits.normalises) {
    throw metadata.unsupported(key, `${traits.normalises}`, `${normalises}`);
  }
  return normalises;
}

function scaleOf(metadata: Metadata, key: string, traits: ExpertTraits): number {
  const stated = metadata.number(key, { fallback: 1 });
  // Writers put 0 where there is no scale.
  const scale = stated === 0 ? 1 : stated;
  if (!traits.stated && scale !== 1) throw metadata.unsupported(key, "1", `${scale}`);
  return scale;
}
