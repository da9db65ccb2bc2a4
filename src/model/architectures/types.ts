/**
 * What the files of this room share: the traits of an architecture and the numbers of a model.
 *
 * @module
 */

import type { Activation, RopeStyle } from "../../../ffi/wire.ts";

/** What distinguishes one architecture from another. */
export interface Traits {
  /** `norm` pairs (2k, 2k+1), `neox` pairs (k, k + n/2). */
  readonly ropeStyle: RopeStyle;
  readonly activation: Activation;
  /** Embeddings are multiplied by the root of their length. */
  readonly scaledEmbedding?: true;
  /** Attention has biases on q, k and v; elsewhere they are taken where a file has them. */
  readonly biases?: true;
  /** Heads of q and k are normalised before they are rotated. */
  readonly headNorms?: true;
  /** Attention and feed-forward are normalised again before they are added. */
  readonly postNorms?: true;
  /** All elements of a head are rotated, and values are as long as keys. */
  readonly wholeHeads?: true;
  /** q, k and v may be one tensor, as may gate and up. */
  readonly fused?: true;
  /** Soft caps of scores and logits, where the file does not say; 0 is none. Absent: the file is not asked. */
  readonly attentionSoftcap?: number;
  readonly logitSoftcap?: number;
  /** Layers with a sliding window: all but the last of each `period`. */
  readonly window?: { readonly period: number; readonly size: number };
  /** The rotary base of windowed layers, where it is another. */
  readonly localRopeBase?: number;
  /** With so many layers, attention is scaled by embedding / heads instead of the key length. */
  readonly wideScaleLayers?: number;
}

/**
 * The sizes and constants of a model, as the library's description has them (`ModelHeader` in `ffi/wire_calls.ts`).
 *
 * @example
 * ```ts
 * import { type Hyperparameters, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { architecture, layers, embedding, vocabulary }: Hyperparameters = lm.model.plan.hyperparameters;
 * console.log(architecture, layers, embedding, vocabulary);
 * ```
 */
export interface Hyperparameters {
  /** The name of the architecture. */
  readonly architecture: string;
  /** How many layers there are. */
  readonly layers: number;
  /** The width of the residual stream. */
  readonly embedding: number;
  /** How many tokens there are. */
  readonly vocabulary: number;
  /** The positions that the model was trained for. */
  readonly context: number;
  /** Elements of a key of one head, */
  readonly kDim: number;
  /** of a value, */
  readonly vDim: number;
  /** and of those that are rotated. */
  readonly ropeDim: number;
  /** How rotary positions pair the elements of a head: not at all, (2k, 2k + 1), or (k, k + n/2). */
  readonly ropeStyle: "none" | "norm" | "neox";
  /** The function between the two halves of a feed-forward layer. */
  readonly activation: "silu" | "gelu";
  /** What is added under the root of a norm. */
  readonly epsilon: number;
  /** What embeddings are multiplied by. */
  readonly embeddingScale: number;
  /** What scores are multiplied by. */
  readonly attentionScale: number;
  /** The soft cap of scores; 0 is none. */
  readonly attentionSoftcap: number;
  /** The soft cap of logits; 0 is none. */
  readonly logitSoftcap: number;
  /** What sine and cosine of the rotation are multiplied by. */
  readonly ropeMagnitude: number;
  /** The base of the rotation's frequencies. */
  readonly ropeBase: number;
  /** What positions are multiplied by. */
  readonly ropeScale: number;
  /** The base in layers whose `ropeLocal` is true. */
  readonly ropeLocalBase: number;
  /** What may differ between layers. */
  readonly perLayer: readonly LayerParameters[];
}

/**
 * What may differ between layers.
 *
 * @example
 * ```ts
 * import { type LayerParameters, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const first: LayerParameters | undefined = lm.model.plan.hyperparameters.perLayer[0];
 * console.log(first?.heads, first?.kvHeads, first?.feedForward);
 * ```
 */
export interface LayerParameters {
  /** Heads of queries. */
  readonly heads: number;
  /** Heads of keys and values. */
  readonly kvHeads: number;
  /** The width inside the feed-forward part. */
  readonly feedForward: number;
  /** How many positions, its own included, a query sees; 0: all before it. */
  readonly window: number;
  /** Whether it is rotated with the local base. */
  readonly ropeLocal: boolean;
}
