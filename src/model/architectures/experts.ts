/**
 * The experts of a model: which layers have some, how wide they are, and how a router chooses among them
 * (`docs/design/contract.md`, "Experts").
 *
 * @module
 */
import type { RouterScore } from "../../../ffi/wire.ts";
import { LIMITS } from "../../../ffi/wire.ts";
import type { Gguf, Metadata } from "../../files/gguf/read.ts";
import type { ExpertTraits, LayerParameters, RouterParameters } from "./types.ts";

/** What the experts of one layer come to. */
export type ExpertLayer = Pick<LayerParameters, "experts" | "expertWidth" | "sharedWidth">;

/** How many experts there are in each layer, and how they are chosen. */
export interface ExpertPlan {
  readonly router: RouterParameters;
  readonly perLayer: readonly ExpertLayer[];
}

const NONE: ExpertLayer = { experts: 0, expertWidth: 0, sharedWidth: 0 };
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

/** Reads what a file says of experts; `traits` are absent in architectures that have none. */
export function planExperts(
  gguf: Gguf,
  architecture: string,
  traits: ExpertTraits | undefined,
  sizes: { readonly layers: number; readonly vocabulary: number },
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
  if (experts === 0) return { router: NO_ROUTER, perLayer: new Array<ExpertLayer>(layers).fill(NONE) };
  if (!tensors.has("blk.0.ffn_gate_inp.weight") && optional) {
    throw metadata.wrong(countKey, "0 in a model without expert tensors", `${experts}`);
  }
  if (traits === undefined) {
    throw metadata.unsupported(countKey, "0, a dense model", `${experts}, a mixture of experts`);
  }
  const has = traits.beside
    ? Array.from({ length: layers }, (_, layer) => tensors.has(`blk.${layer}.ffn_gate_inp.weight`))
    : expertLayers(metadata, architecture, traits, layers);
  const own = widths(metadata, architecture, traits);
  return {
    router: planRouter(metadata, architecture, withScoreOf(traits, layers, vocabulary), experts),
    perLayer: has.map((isSparse) => isSparse ? { experts, ...own } : NONE),
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
  return Array.from({ length: layers }, (_, layer) => layer >= leading && (layer + 1) % step === 0);
}

/** The width inside an expert, and inside the one that every token goes to. */
function widths(metadata: Metadata, architecture: string, traits: ExpertTraits): Omit<ExpertLayer, "experts"> {
  const key = (name: string) => `${architecture}.${name}`;
  const most = LIMITS.feedForwardMax;
  const wide = () => metadata.count(key("feed_forward_length"), { most });
  const own = key("expert_feed_forward_length");
  const expertWidth = traits.ownWidth || metadata.has(own) ? metadata.count(own, { most }) : wide();
  const sharedKey = key("expert_shared_feed_forward_length");
  const count = metadata.count(key("expert_shared_count"), {
    least: 0,
    most: Math.floor(most / expertWidth),
    fallback: 0,
  });
  if (traits.shared === undefined) {
    const found = [[sharedKey, metadata.number(sharedKey, { fallback: 0 })], [
      key("expert_shared_count"),
      count,
    ]] as const;
    for (const [name, value] of found) {
      if (value !== 0) throw metadata.unsupported(name, "0, no shared expert", `${value}`);
    }
    return { expertWidth, sharedWidth: 0 };
  }
  if (traits.shared === "count") return { expertWidth, sharedWidth: count * expertWidth };
  const stated = metadata.count(sharedKey, { least: 0, most, fallback: 0 });
  return { expertWidth, sharedWidth: stated === 0 && traits.shared !== "length" ? wide() : stated };
}

function planRouter(
  metadata: Metadata,
  architecture: string,
  traits: ExpertTraits,
  experts: number,
): RouterParameters {
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
    expertsUsed: metadata.count(key("expert_used_count"), { most }),
    routerScore: scoreOf(metadata, key("expert_gating_func"), traits),
    routerGroups,
    routerGroupsUsed,
    routerNormalises: normalisesBy(metadata, key("expert_weights_norm"), traits),
    routerScale: scaleOf(metadata, key("expert_weights_scale"), traits),
  };
}

function scoreOf(metadata: Metadata, key: string, traits: ExpertTraits): RouterScore {
  const number = metadata.count(key, { least: 0, fallback: 0 });
  const score = number === 0 ? traits.score : SCORES.get(number);
  const mayDiffer = traits.stated ?? traits.scored ?? false;
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
