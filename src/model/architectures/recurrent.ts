/**
 * The mixers of layers: which layers keep a state in place of keys or beside them, and which have no mixer; sizes of states. What
 * the kinds compute is in `docs/design/layers.md`.
 *
 * @module
 */
import { LIMITS, type Mixer } from "../../../ffi/wire.ts";
import { type Gguf, type Metadata, MetadataArray, type MetadataValue } from "../../files/gguf/read.ts";
import type { LayerParameters, Traits } from "./types.ts";

/** A layer's mixer, and the state that it may have. */
export type Recurrent = Pick<
  LayerParameters,
  | "mixer"
  | "convKernel"
  | "stateHeads"
  | "stateGroups"
  | "stateSize"
  | "stateWidth"
  | "stateHeadsInTurn"
  | "stateGatesTogether"
  | "stateRowsTogether"
>;

/** A layer that has attention and no state. */
const attentionOnly: Recurrent = {
  mixer: "attention",
  convKernel: 0,
  stateHeads: 0,
  stateGroups: 0,
  stateSize: 0,
  stateWidth: 0,
  stateHeadsInTurn: false,
  stateGatesTogether: false,
  stateRowsTogether: false,
};

/** Layers that take part in the logits, and those of the file, with a drafter's, which come last. */
type Depth = Readonly<Record<"layers" | "blocks", number>>;

/** Whether a mixer has queries and keys. */
export function hasHeads(mixer: Mixer): boolean {
  return mixer === "attention" || mixer === "latent" || mixer === "paired";
}

/** The mixer of each layer. */
export function readRecurrent(
  { metadata, tensors }: Gguf,
  architecture: string,
  traits: Traits,
  depth: Depth,
): Recurrent[] {
  const attention: Recurrent = traits.latent ? { ...attentionOnly, mixer: "latent" } : attentionOnly;
  const choose = (own: Recurrent, layers: readonly boolean[]) => layers.map((is) => is ? own : attention);
  switch (traits.recurrent) {
    case undefined:
      return new Array<Recurrent>(depth.layers).fill(attention);
    case "shortConvolution": {
      const convKernel = readTaps(metadata, `${architecture}.shortconv.l_cache`);
      const own = { ...attentionOnly, mixer: traits.recurrent, convKernel };
      return choose(own, layersWithoutKeys(metadata, architecture, depth));
    }
    case "deltaRule": {
      const own = readDeltaRule(metadata, architecture, traits);
      // Old files of architectures whose gates are made together have queries, keys, values and z together, too.
      const isTogether = (layer: number) =>
        own.stateGatesTogether && tensors.has(`blk.${layer}.ssm_in.weight`) &&
        !tensors.has(`blk.${layer}.attn_qkv.weight`);
      return layersBesideAttention(metadata, architecture, depth).map((is, layer) =>
        is ? { ...own, stateRowsTogether: isTogether(layer) } : attention
      );
    }
    case "mamba2": {
      const own = choose(readMamba2(metadata, architecture), layersWithoutKeys(metadata, architecture, depth));
      if (!traits.halves) return own;
      const widths = widthsOfLayers(metadata, architecture, depth);
      return own.map((mixer, layer) => widths[layer] === 0 ? mixer : { ...attentionOnly, mixer: "none" });
    }
    case "paired":
      return new Array<Recurrent>(depth.layers).fill({ ...readMamba2(metadata, architecture), mixer: "paired" });
  }
}

/** The widths of feed-forward parts, 0 where there is none. */
function widthsOfLayers(metadata: Metadata, architecture: string, { layers, blocks }: Depth): MetadataValue[] {
  const key = `${architecture}.feed_forward_length`;
  const widths = metadata.get(key);
  if (widths instanceof MetadataArray && widths.length === blocks) return Array.from(widths).slice(0, layers);
  const got = widths instanceof MetadataArray ? `an array of ${widths.length}` : `${widths ?? "nothing"}`;
  throw metadata.wrong(key, `an array with a number for each of ${blocks} layers, 0 where there is a mixer`, got);
}

/** The layers that have no heads of keys. */
function layersWithoutKeys(metadata: Metadata, architecture: string, { layers, blocks }: Depth): boolean[] {
  const key = `${architecture}.attention.head_count_kv`;
  const heads = metadata.get(key);
  if (typeof heads === "number") return new Array<boolean>(layers).fill(heads === 0);
  if (!(heads instanceof MetadataArray) || heads.length !== blocks) {
    const got = heads instanceof MetadataArray ? `an array of ${heads.length}` : `${heads ?? "nothing"}`;
    throw metadata.wrong(
      key,
      `an array with a number for each of ${blocks} layers, 0 where there is no attention`,
      got,
    );
  }
  return Array.from(heads, (count) => count === 0).slice(0, layers);
}

/** All layers but the last of each `full_attention_interval`, or those that an array names. */
function layersBesideAttention(metadata: Metadata, architecture: string, { layers, blocks }: Depth): boolean[] {
  const key = `${architecture}.attention.recurrent_layers`;
  const listed = metadata.get(key);
  if (listed === undefined) {
    const interval = metadata.count(`${architecture}.full_attention_interval`, { fallback: 4 });
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  if (!(listed instanceof MetadataArray) || listed.length !== blocks) {
    const got = listed instanceof MetadataArray ? `an array of ${listed.length}` : `${listed}`;
    throw metadata.wrong(key, `true or false for each of ${blocks} layers`, got);
  }
  return Array.from(listed, (is) => {
    if (typeof is !== "boolean") throw metadata.wrong(key, "true or false for each layer", `an array with ${is}`);
    return is;
  }).slice(0, layers);
}

function readDeltaRule(
  metadata: Metadata,
  architecture: string,
  { stateHeads: order }: Traits,
): Recurrent {
  const key = (name: string) => `${architecture}.ssm.${name}`;
  const { stateHeads, stateGroups, stateSize, convKernel } = readHeads(metadata, architecture);
  const inner = metadata.count(key("inner_size"), { fallback: stateHeads * stateSize });
  if (inner !== stateHeads * stateSize) {
    const expected = `${stateHeads * stateSize}, ${stateHeads} heads of ${stateSize}`;
    throw metadata.wrong(key("inner_size"), expected, `${inner}`);
  }
  return {
    mixer: "deltaRule",
    convKernel,
    stateHeads,
    stateGroups,
    stateSize,
    stateWidth: 0,
    stateHeadsInTurn: order === "turns",
    stateGatesTogether: order === "neighbours",
    stateRowsTogether: false,
  };
}

function readMamba2(metadata: Metadata, architecture: string): Recurrent {
  const heads = readHeads(metadata, architecture);
  const key = `${architecture}.ssm.inner_size`;
  const most = LIMITS.headDimMax * heads.stateHeads;
  const inner = metadata.count(key, { most });
  const norms = `${architecture}.ssm.dt_b_c_rms`;
  if (metadata.flag(norms, false)) throw metadata.unsupported(norms, "false, as in all of Mamba-2", "true");
  if (inner % heads.stateHeads !== 0) {
    throw metadata.wrong(key, `a multiple of ${heads.stateHeads} heads`, `${inner}`);
  }
  return { ...attentionOnly, ...heads, mixer: "mamba2", stateWidth: inner / heads.stateHeads };
}

/** Heads with a state, which come in groups, and the convolution before them. */
function readHeads(metadata: Metadata, architecture: string) {
  const key = (name: string) => `${architecture}.ssm.${name}`;
  const stateHeads = metadata.count(key("time_step_rank"), { most: LIMITS.headsMax });
  const stateGroups = metadata.count(key("group_count"), { most: LIMITS.headsMax });
  const stateSize = metadata.count(key("state_size"), { most: LIMITS.stateSizeMax });
  if (stateHeads % stateGroups !== 0) {
    throw metadata.wrong(key("group_count"), `a divisor of ${stateHeads} heads`, `${stateGroups}`);
  }
  return { stateHeads, stateGroups, stateSize, convKernel: readTaps(metadata, key("conv_kernel")) };
}

/** Taps of a short convolution. */
function readTaps(metadata: Metadata, key: string): number {
  const taps = metadata.count(key, { least: 0 });
  if (taps >= 2 && taps <= LIMITS.convKernelMax) return taps;
  throw metadata.wrong(key, `2 to ${LIMITS.convKernelMax} taps of a short convolution`, `${taps}`);
}
