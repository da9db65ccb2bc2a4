/**
 * The layers of a model: for each its mixer, heads, widths, window and keys, from keys of the metadata that hold one number for all
 * layers or one for each. Rotations come after (`rope.ts`).
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { type Gguf, type Metadata, MetadataArray, type MetadataValue } from "../../files/gguf/read.ts";
import type { ExpertLayer } from "./experts.ts";
import { planKeys } from "./keys.ts";
import { isCausal } from "./texts.ts";
import { NOT_LATENT, readLatent } from "./latent.ts";
import { hasHeads, type Recurrent } from "./recurrent.ts";
import type { LayerParameters, Traits } from "./types.ts";
import { wholeNumber } from "./whole.ts";
import { readWindows } from "./windows.ts";

/** The sizes of a model. */
export interface Sizes {
  layers: number;
  /** Layers of the file: with those that only guess what comes next, which are the last. */
  blocks: number;
  embedding: number;
  vocabulary: number;
  context: number;
  kDim: number;
  vDim: number;
}

/** The kinds of each layer's halves. */
interface Kinds {
  readonly mixers: readonly Recurrent[];
  readonly experts: readonly ExpertLayer[];
}

type HeadSizes = Pick<Sizes, "kDim" | "vDim">;

/** The lengths of keys and values of a head; `suffix` is that of the keys' names. */
export function readHeadSizes(
  metadata: Metadata,
  architecture: string,
  suffix: string,
  otherwise: HeadSizes,
): HeadSizes {
  const length = (name: string, fallback: number) =>
    metadata.count(`${architecture}.attention.${name}_length${suffix}`, { most: LIMITS.headDimMax, fallback });
  return { kDim: length("key", otherwise.kDim), vDim: length("value", otherwise.vDim) };
}

/** The layers that take part in the logits. */
export function readLayers(
  gguf: Gguf,
  architecture: string,
  traits: Traits,
  sizes: Sizes,
  { mixers, experts }: Kinds,
): Omit<LayerParameters, "rotation">[] {
  const { metadata } = gguf;
  const headsKey = `${architecture}.attention.head_count`;
  const kvKey = `${architecture}.attention.head_count_kv`;
  const isWithout = (layer: number) => !hasHeads(mixers[layer].mixer);
  const heads = perLayer(gguf, headsKey, sizes, LIMITS.headsMax, "attn_q", isWithout);
  const kvHeads = traits.latent
    ? heads.map(() => 1) // the latent row; files state 1, or as many as heads
    : metadata.has(kvKey)
    ? perLayer(gguf, kvKey, sizes, LIMITS.headsMax, "attn_k", isWithout)
    : heads;
  const latent = readLatent(metadata, architecture, traits, sizes.kDim);
  const isMixer = (layer: number) => traits.halves === true && mixers[layer].mixer !== "none";
  const isSparse = (layer: number) => experts[layer].experts > 0 && !traits.experts?.beside;
  const allSparse = experts.every((_, layer) => isSparse(layer));
  const wide = allSparse
    ? undefined
    : perLayer(gguf, `${architecture}.feed_forward_length`, sizes, LIMITS.feedForwardMax, "ffn_up", isMixer);
  const windows = readWindows(metadata, architecture, traits, sizes.layers);
  const keys = planKeys(gguf, architecture, traits, windows);
  const causal = isCausal(metadata, architecture, traits);
  if (!causal && mixers.some(({ mixer }) => mixer !== "attention")) {
    throw metadata.unsupported(`${architecture}.attention.causal`, "true in a model with other mixers", "false");
  }
  /** How far a token sees, where its layer has a window. */
  const seen = (window: number): Pick<LayerParameters, "window" | "ahead"> => {
    if (causal) return { window, ahead: 0 };
    if (window === 0) return { window, ahead: LIMITS.contextMax };
    const side = traits.window?.centred ? Math.floor(window / 2) : window - 1;
    return { window: side + 1, ahead: side };
  };
  const windowed = traits.windowHeads === undefined ? sizes : readHeadSizes(metadata, architecture, "_swa", sizes);
  return heads.map((count, layer) => {
    const inner = { feedForward: isSparse(layer) ? 0 : wide?.[layer] ?? 0, ...experts[layer] };
    if (isWithout(layer)) {
      const sizes = { heads: 0, kvHeads: 0, kDim: 0, vDim: 0, window: 0, ahead: 0, attentionGate: false };
      const none = { ...sizes, keys: "own", keysLayer: layer } as const;
      return { ...mixers[layer], ...none, ...NOT_LATENT, ...inner };
    }
    const { kDim, vDim } = windows[layer] > 0 ? windowed : sizes;
    if (count % kvHeads[layer] !== 0) {
      throw metadata.wrong(metadata.has(kvKey) ? kvKey : headsKey, `a divisor of ${count} heads`, `${kvHeads[layer]}`);
    }
    return {
      ...mixers[layer],
      ...latent,
      heads: count,
      kvHeads: kvHeads[layer],
      kDim,
      vDim,
      ...inner,
      ...seen(windows[layer]),
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
  if (numbers.every((_, layer) => isWithout(layer))) return new Array<number>(layers).fill(0);
  if (!(value instanceof MetadataArray)) return new Array<number>(layers).fill(metadata.count(key, { most }));
  return numbers.map((element, layer) => isWithout(layer) ? 0 : wholeNumber(metadata, key, element ?? 0, most));
}
