/**
 * Layers that keep a state in place of keys: which these are, their sizes, and their tensors. What the kinds compute is in
 * `docs/design/layers.md`.
 *
 * @module
 */
import { LIMITS, type Mixer } from "../../../ffi/wire.ts";
import { type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import type { Hyperparameters, LayerParameters, Role, Traits } from "./types.ts";

/** What a layer with a state has beside what every layer has. */
export type Recurrent = Pick<
  LayerParameters,
  "mixer" | "convKernel" | "stateHeads" | "stateGroups" | "stateSize" | "stateHeadsInTurn" | "stateGatesTogether"
>;

/** A layer that has attention and no state. */
export const attentionOnly: Recurrent = {
  mixer: "attention",
  convKernel: 0,
  stateHeads: 0,
  stateGroups: 0,
  stateSize: 0,
  stateHeadsInTurn: false,
  stateGatesTogether: false,
};

/** Layers that take part in the logits, and those of the file, with a drafter's, which come last. */
type Depth = Readonly<Record<"layers" | "blocks", number>>;

/** A tensor of a mixer. */
export interface MixerTensor {
  readonly role: Role;
  /** Its name behind that of the layer. */
  readonly name: string;
  /** A matrix; one whose values are used one by one, in f32; or a vector, also in f32. */
  readonly form: "matrix" | "taps" | "vector";
  readonly columns: number;
  readonly rows: number;
}

/** For each layer what it has in place of attention; undefined where it has attention. */
export function readRecurrent(
  metadata: Metadata,
  architecture: string,
  traits: Traits,
  depth: Depth,
): (Recurrent | undefined)[] {
  switch (traits.recurrent) {
    case undefined:
      return new Array<undefined>(depth.layers).fill(undefined);
    case "shortConvolution": {
      const convKernel = readTaps(metadata, `${architecture}.shortconv.l_cache`);
      const own = { ...attentionOnly, mixer: traits.recurrent, convKernel };
      return layersWithoutKeys(metadata, architecture, depth).map((isWithout) => isWithout ? own : undefined);
    }
    case "deltaRule": {
      const own = readDeltaRule(metadata, architecture, traits);
      return layersBesideAttention(metadata, architecture, depth).map((is) => is ? own : undefined);
    }
  }
}

/** The layers that have no heads of keys. */
function layersWithoutKeys(metadata: Metadata, architecture: string, { layers, blocks }: Depth): boolean[] {
  const key = `${architecture}.attention.head_count_kv`;
  const heads = metadata.get(key);
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
  const stateHeads = metadata.count(key("time_step_rank"), { most: LIMITS.headsMax });
  const stateGroups = metadata.count(key("group_count"), { most: LIMITS.headsMax });
  const stateSize = metadata.count(key("state_size"), { most: LIMITS.stateSizeMax });
  if (stateHeads % stateGroups !== 0) {
    throw metadata.wrong(key("group_count"), `a divisor of ${stateHeads} heads`, `${stateGroups}`);
  }
  const inner = metadata.count(key("inner_size"), { fallback: stateHeads * stateSize });
  if (inner !== stateHeads * stateSize) {
    const expected = `${stateHeads * stateSize}, ${stateHeads} heads of ${stateSize}`;
    throw metadata.wrong(key("inner_size"), expected, `${inner}`);
  }
  return {
    mixer: "deltaRule",
    convKernel: readTaps(metadata, key("conv_kernel")),
    stateHeads,
    stateGroups,
    stateSize,
    stateHeadsInTurn: order === "turns",
    stateGatesTogether: order === "neighbours",
  };
}

/** Taps of a short convolution. */
function readTaps(metadata: Metadata, key: string): number {
  const taps = metadata.count(key, { least: 0 });
  if (taps >= 2 && taps <= LIMITS.convKernelMax) return taps;
  throw metadata.wrong(key, `2 to ${LIMITS.convKernelMax} taps of a short convolution`, `${taps}`);
}

/** The tensors of a layer's mixer, unless that is attention. */
export function mixerTensors(sizes: Hyperparameters, parameters: LayerParameters): MixerTensor[] {
  const lists: Record<Mixer, (sizes: Hyperparameters, parameters: LayerParameters) => MixerTensor[]> = {
    attention: () => [],
    shortConvolution: convolutionTensors,
    deltaRule: deltaTensors,
    latent: () => [],
  };
  return lists[parameters.mixer](sizes, parameters);
}

function convolutionTensors({ embedding }: Hyperparameters, { convKernel }: LayerParameters): MixerTensor[] {
  return [
    { role: "ssm_in", name: "shortconv.in_proj.weight", form: "matrix", columns: embedding, rows: 3 * embedding },
    { role: "ssm_conv1d", name: "shortconv.conv.weight", form: "taps", columns: convKernel, rows: embedding },
    { role: "ssm_out", name: "shortconv.out_proj.weight", form: "matrix", columns: embedding, rows: embedding },
  ];
}

function deltaTensors(
  { embedding }: Hyperparameters,
  { convKernel, stateHeads: heads, stateGroups, stateSize: size, stateGatesTogether }: LayerParameters,
): MixerTensor[] {
  const values = heads * size;
  const channels = 2 * stateGroups * size + values;
  const matrix = (role: Role, name: string, rows: number, columns = embedding) =>
    ({ role, name: `${name}.weight`, form: "matrix", columns, rows }) as const;
  const vector = (role: Role, name: string, columns: number) =>
    ({ role, name, form: "vector", columns, rows: 1 }) as const;
  return [
    matrix("ssm_in", "attn_qkv", channels),
    matrix("ssm_gate", "attn_gate", values),
    ...stateGatesTogether
      ? [matrix("ssm_ba", "ssm_ba", 2 * heads)]
      : [matrix("ssm_beta", "ssm_beta", heads), matrix("ssm_alpha", "ssm_alpha", heads)],
    { role: "ssm_conv1d", name: "ssm_conv1d.weight", form: "taps", columns: convKernel, rows: channels },
    vector("ssm_a", "ssm_a", heads),
    vector("ssm_dt_bias", "ssm_dt.bias", heads),
    vector("ssm_norm", "ssm_norm.weight", size),
    matrix("ssm_out", "ssm_out", embedding, values),
  ];
}
