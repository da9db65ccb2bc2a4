/**
 * The steps in which the matrices of a model are rounded: those of one step see the same inputs. Which roles these are, where the
 * library captures their inputs (`Native.capture`), how many columns they have, and whether what they give is added to the
 * stream as it is.
 *
 * @module
 */
import type { ModelPlan } from "../model/architectures/architectures.ts";
import type { LayerParameters, Role } from "../model/architectures/types.ts";
import type { Summed } from "./calibration_sums.ts";

/** A step of a layer. */
export interface Step extends Summed {
  readonly layer: number;
  /** Its place among all steps. */
  readonly order: number;
  /** Under which number the library keeps its inputs. */
  readonly captured: number;
  /** Whether it is the layer's mixer, whose results come before the feed-forward part. */
  readonly isMixers: boolean;
  /** Whether each expert has inputs of its own, and whether these are inner rows. */
  readonly ofExperts: boolean;
  readonly isInner: boolean;
}

/** What a model of one layer gives after its four products and the one of the logits: the states after the layer, */
export const STATES = 5;
/** those between its mixer and its feed-forward, */
export const INSIDE = 6;
/** and the inner rows of the expert that every token goes to. */
const SHARED = 7;
/** The numbers of products: what goes into the mixer, what comes out of it, what goes into the feed-forward part, its inner rows. */
const [INTO, OUT, FORWARD, INNER] = [0, 1, 2, 3];
/** Floats before each inner row of an expert: its number, and the token's. */
const labels = 2;

/** Norms of what a half gives, or of the stream with it. */
const normsAfterMixer: readonly Role[] = ["post_attention_norm", "attn_output_norm"];
const normsAfterFeedForward: readonly Role[] = ["post_ffw_norm", "layer_output_norm"];

type Name = "into" | "out" | "forward" | "inner" | "experts" | "expertsInner";
const NAMES: readonly Name[] = ["into", "out", "forward", "inner", "experts", "expertsInner"];

/** The step that a matrix is rounded in. */
const STEPS: Readonly<Partial<Record<Role, Name>>> = {
  attn_q: "into",
  attn_k: "into",
  attn_v: "into",
  attn_q_a: "into",
  attn_kv_a_mqa: "into",
  ssm_in: "into",
  ssm_gate: "into",
  ssm_beta: "into",
  ssm_alpha: "into",
  ssm_ba: "into",
  attn_output: "out",
  ssm_out: "out",
  ffn_latent_down: "forward",
  ffn_gate: "forward",
  ffn_up: "forward",
  ffn_gate_shexp: "forward",
  ffn_up_shexp: "forward",
  ffn_down: "inner",
  ffn_down_shexp: "inner",
  ffn_gate_exps: "experts",
  ffn_up_exps: "experts",
  ffn_down_exps: "expertsInner",
};

/** The steps of a model. */
export class CalibrationSteps {
  readonly #plan: ModelPlan;
  readonly #steps = new Map<number, Step>();
  readonly #ofTensors = new Map<string, Step>();
  /** Under which number inner rows are kept, with the labels of experts where there are some. */
  readonly innerKind = INNER;

  constructor(plan: ModelPlan) {
    this.#plan = plan;
    for (const { role, layer, tensor } of plan.tensors) {
      const name = STEPS[role];
      // Beside attention, what comes of states has a product without a number.
      const isUncounted = role === "ssm_out" && plan.hyperparameters.perLayer[layer]?.mixer === "paired";
      if (name === undefined || isUncounted) continue;
      const order = NAMES.length * layer + NAMES.indexOf(name);
      const step = this.#steps.get(order) ?? this.#stepOf(layer, name, order);
      if (step === undefined) continue;
      this.#steps.set(order, step);
      this.#ofTensors.set(tensor.name, step);
    }
  }

  /** All of them, in order. */
  get all(): readonly Step[] {
    return [...this.#steps.values()];
  }

  /** The step of a tensor; undefined where its inputs are not known. */
  of(name: string): Step | undefined {
    return this.#ofTensors.get(name);
  }

  /** What is kept of the original in a layer, by the numbers of the library: inputs, and states. */
  keptOf(layer: number): number[] {
    const own = this.all.filter((step) => step.layer === layer && step.stream === undefined);
    const kinds = new Set([...own.map(({ captured }) => captured), STATES, INSIDE]);
    return [...kinds].sort((a, b) => a - b);
  }

  /** What has to be captured together for a step without a stream: the first is its input, the last tells whose rows are whose. */
  readFor({ layer, captured }: Step): number[] {
    // A router is not run where what comes after it is not asked for, and then its scores are none.
    return captured === FORWARD && this.#isSparse(layer) ? [FORWARD, INNER] : [captured];
  }

  /** The number of the first product that nothing of these kinds comes after. */
  madeFor(kinds: readonly number[]): number {
    const last = kinds.at(-1)!;
    return last !== INSIDE ? last : kinds.includes(STATES) ? STATES : FORWARD;
  }

  /** Whether rows begin with labels. */
  labels(layer: number, kind: number): boolean {
    return kind === INNER && this.#isSparse(layer);
  }

  /** Floats of a row, without labels. */
  columnsOf(layer: number, kind: number): number {
    const { embedding } = this.#plan.hyperparameters;
    const own = this.#layer(layer);
    if (kind === OUT) return mixerWidth(own, embedding);
    if (kind === INNER) return this.#isSparse(layer) ? own.expertWidth : own.feedForward;
    return kind === SHARED ? own.sharedWidth : embedding;
  }

  /** Floats that are captured of each token. */
  floatsOf(layer: number, kind: number): number {
    const columns = this.columnsOf(layer, kind);
    return this.labels(layer, kind) ? this.#layer(layer).expertsUsed * (labels + columns) : columns;
  }

  #layer(layer: number): LayerParameters {
    const own = this.#plan.hyperparameters.perLayer[layer];
    if (own === undefined) throw new RangeError(`no layer ${layer}`);
    return own;
  }

  #isSparse(layer: number): boolean {
    const { experts, feedForward } = this.#layer(layer);
    return experts > 0 && feedForward === 0;
  }

  #stepOf(layer: number, name: Name, order: number): Step | undefined {
    const isSparse = this.#isSparse(layer);
    const ofExperts = name.startsWith("experts");
    // Experts beside a dense part, or on a narrower row, see what nothing captures.
    if (ofExperts && (!isSparse || this.#layer(layer).expertLatent > 0)) return undefined;
    const numbers: Record<Name, number> = {
      into: INTO,
      out: OUT,
      forward: FORWARD,
      inner: isSparse ? SHARED : INNER,
      experts: FORWARD,
      expertsInner: INNER,
    };
    const captured = numbers[name];
    const norms = name === "out" ? normsAfterMixer : normsAfterFeedForward;
    const isNormed = this.#plan.tensors.some((tensor) => norms.includes(tensor.role) && tensor.layer === layer);
    // What experts and the shared one give is weighed and summed first.
    const isAdded = name === "out" || (name === "inner" && !isSparse);
    return {
      layer,
      order,
      captured,
      columns: this.columnsOf(layer, captured),
      stream: isAdded && !isNormed ? this.#plan.hyperparameters.embedding : undefined,
      isMixers: name === "out",
      ofExperts,
      isInner: name === "expertsInner",
    };
  }
}

/** Floats that come out of a mixer, before its last matrix. */
function mixerWidth(own: LayerParameters, embedding: number): number {
  const { mixer, heads, vDim, stateHeads, stateSize, stateWidth } = own;
  if (mixer === "shortConvolution") return embedding;
  if (mixer === "mamba2") return stateHeads * stateWidth;
  return mixer === "deltaRule" ? stateHeads * stateSize : heads * vDim;
}
