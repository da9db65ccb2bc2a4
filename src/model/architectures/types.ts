/**
 * What the files of this room share: the traits of an architecture and the numbers of a model.
 *
 * @module
 */

import type { Activation, QueryNorm, ROLES, RopeStyle, RouterScore } from "../../../ffi/wire.ts";

/**
 * What a tensor is for.
 */
export type Role = (typeof ROLES)[number];

/** What distinguishes one architecture from another. */
export interface Traits {
  /** `norm` pairs (2k, 2k+1), `neox` pairs (k, k + n/2). */
  readonly ropeStyle: RopeStyle;
  readonly activation: Activation;
  /** Embeddings are multiplied by the root of their length. */
  readonly scaledEmbedding?: true;
  /** The name of the norm's tensor before the feed-forward part, where not `ffn_norm.weight`. */
  readonly secondNorm?: string;
  /** Attention has biases on q, k and v; elsewhere they are taken where a file has them. */
  readonly biases?: true;
  /** What is normalised of q and k: each head, before or after its rotation, or the whole row before. */
  readonly queryNorms?: QueryNorm;
  /** What attention and feed-forward give is normalised before it is added; with `only`, what they read is not. */
  readonly postNorms?: true | "only";
  /** All elements of a head are rotated, and values are as long as keys. */
  readonly wholeHeads?: true;
  /** q, k and v may be one tensor, as may gate and up. */
  readonly fused?: true;
  /** Keys and values of all heads are made from one latent row of a position. */
  readonly latent?: true;
  /** Soft caps of scores and logits, where the file does not say; 0 is none. Absent: the file is not asked. */
  readonly attentionSoftcap?: number;
  readonly logitSoftcap?: number;
  /** Norms divide by the deviation from the mean, with biases where the file has them, not by the root mean square. */
  readonly layerNorms?: true;
  /** The feed-forward part reads what attention reads; `withoutNorm`: where the file has no norm before it. */
  readonly parallel?: true | "withoutNorm";
  /** The file states what logits are multiplied by, or may. */
  readonly logitScale?: true | "optional";
  /** The file states what embeddings, residuals and scores are multiplied by, and logits divided by; that may be absent. */
  readonly scales?: true | "optional";
  /** Layers with a sliding window: all but the last of each `period`; `ofLayers`: only in models of so many. */
  readonly window?: {
    readonly period: number | "stated";
    readonly size: number | "required";
    readonly ofLayers?: number;
    /** The first of each period sees everything, not the last. */
    readonly first?: true;
    /** A token sees half of the window on either side. */
    readonly centred?: true;
  };
  /** The rotary base of windowed layers, where it is another; `same`: that of the others, unless the file states one. */
  readonly localRopeBase?: number | "same";
  /** Positions are not scaled in windowed layers. */
  readonly plainWindows?: true;
  /** Layers that are not rotated: the last of each so many, or those without a window in a model with windows. */
  readonly unrotated?: number | "unwindowed";
  /** `rope.scaling.finetuned` says whether layers are rotated at all. */
  readonly rotationSwitch?: true;
  /** What scores are multiplied by, where it is not the root of a key's length. */
  readonly attentionScale?: number;
  /** Values are normalised by head, without a weight. */
  readonly valueNorms?: true;
  /** Windowed layers have heads and rotations of their own length, full ones a tensor of factors. */
  readonly windowHeads?: true;
  /** The last layers read the keys and values of earlier ones; a layer without values takes its keys for them. */
  readonly sharedKeys?: true;
  /** Layers get inputs beside the stream, and may end with a scale. */
  readonly layerInputs?: true;
  /** Positions have several components, all the same in a text. */
  readonly sections?: true;
  /** The file's own numbers of YaRN are heeded. */
  readonly yarnKeys?: true;
  /** Dense files may state one expert. */
  readonly oneExpert?: true;
  /** `rope.scaling.alpha` widens the rotary base. */
  readonly alpha?: true;
  /** Queries get a temperature that rises with their position. */
  readonly temperature?: true;
  /** What layers without heads of keys have in place of attention; `paired`: beside attention, in all layers. Absent: all have attention. */
  readonly recurrent?: "shortConvolution" | "deltaRule" | "mamba2" | "paired";
  /** Layers have one half each: those with a width a feed-forward part, the others a mixer. */
  readonly halves?: true;
  /** Feed-forward parts have no gate. */
  readonly ungated?: true;
  /** Where a file does not state the epsilon of its norms, it is that of norms by deviation. */
  readonly eitherEpsilon?: true;
  /** Which group a head with a state is of: those of a group are neighbours, and one matrix makes both gates, or they take turns. */
  readonly stateHeads?: "neighbours" | "turns";
  /** What attention gives is gated: behind each head's query, its matrix gives a gate. */
  readonly gatedAttention?: true;
  /** The last norm of a drafter's layer divides by the deviation. */
  readonly drafterDeviation?: true;
  /** The name of the last norm's tensor, where it is another than `output_norm`. */
  readonly outputNorm?: string;
  /** There are files without norms of queries and keys. */
  readonly optionalNorms?: true;
  /** Each head has a sink, a score that takes its share and gives nothing. */
  readonly sinks?: true;
  /** What its experts are like, where it has some. */
  readonly experts?: ExpertTraits;
  /** Tokens see those after them, unless the file says otherwise, or always; nothing is generated. */
  readonly encoder?: true | "always";
  /** The stream is normed once a half is added to it; halves read it as it is. */
  readonly streamNorms?: true;
  /** Embeddings are normed before the first layer. */
  readonly embeddingNorm?: true;
  /** The first layer reads the stream as it is. */
  readonly bareFirst?: true;
  /** Each type of token has a row that is added to embeddings. */
  readonly tokenTypes?: "required" | "optional";
  /** The second of two texts that are compared has the type 1, where there are two types. */
  readonly secondType?: true;
  /** Each position has a row that is added to embeddings. */
  readonly positionTable?: true;
  /** The distance of a key lowers its score (ALiBi). */
  readonly distances?: true;
  /** The file may name the activation: "silu" or "gelu". */
  readonly statedActivation?: true;
  /** Which row a rank head reads, and what follows its first matrix: the first, and tanh, unless it says so. */
  readonly rank?: {
    readonly pooling?: "first" | "mean" | "last";
    readonly activation?: "tanh" | "geluErf";
    readonly softmax?: true;
  };
  /** Two matrices follow the pooled row of a text. */
  readonly denseHeads?: true;
  /** A text's row is normed by deviation before it is cut. */
  readonly levelsBeforeCut?: true;
  /** With so many layers, attention is scaled by embedding / heads instead of the key length. */
  readonly wideScaleLayers?: number;
}

/** What distinguishes the experts of one architecture from those of another. */
export interface ExpertTraits {
  /** What experts are chosen by. */
  readonly score: RouterScore;
  /** Whether the weights of the chosen are divided by their sum. */
  readonly normalises: boolean;
  /** The score of files that state none and have so many layers and tokens. */
  readonly sigmoidOf?: { readonly layers: readonly number[]; readonly vocabulary: number };
  /** The file may say otherwise of that, and scale the weights. */
  readonly stated?: true;
  /** The file may state another score. */
  readonly scored?: true;
  /** The file may state the length of a narrower row that they work on. */
  readonly latent?: true;
  /** There are files without experts. */
  readonly optional?: true;
  /** The width of an expert is always stated apart from that of dense layers. */
  readonly ownWidth?: true;
  /**
   * An expert that every token goes to: of a stated width, of as many experts' width as are stated, or there in every
   * file, as wide as a dense layer unless it is stated; `weighed`: so, and a row of its own weighs it for each token.
   */
  readonly shared?: "length" | "count" | "always" | "weighed";
  /** Layers with experts have a dense part beside them; which layers, their tensors say. */
  readonly beside?: true;
  /** The first layers may be dense. */
  readonly leadingDense?: true;
  /** `moe_every_n_layers` says of how many layers the second has experts. */
  readonly every?: true;
  /** Only every so many layers may have experts. */
  readonly interleaved?: true;
}

/**
 * How a router chooses the experts of a token.
 */
export interface RouterParameters {
  /** Experts that a token goes to, at most in any layer; 0 in a model without experts. */
  readonly expertsUsed: number;
  /** What they are chosen by: the softmax of all logits, the sigmoid of each, or the logits, and then the softmax of the chosen. */
  readonly routerScore: "softmax" | "sigmoid" | "softmaxOfChosen";
  /** Groups of experts, of which only some are chosen from; 1: no groups. */
  readonly routerGroups: number;
  /** Groups that are chosen from. */
  readonly routerGroupsUsed: number;
  /** Whether the weights of the chosen are divided by their sum. */
  readonly routerNormalises: boolean;
  /** What the weights are multiplied by then. */
  readonly routerScale: number;
}

/**
 * The sizes and constants of a model, as the library's description has them (`ModelHeader` in `ffi/wire_calls.ts`).
 */
export interface Hyperparameters extends RouterParameters {
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
  /** Ways in which layers rotate queries and keys. */
  readonly rotations: readonly Rotation[];
  /** Elements of the tensor that divides frequencies; 0 is none. */
  readonly ropeFactors: number;
  /** How rotary positions pair the elements of a head: not at all, (2k, 2k + 1), or (k, k + n/2). */
  readonly ropeStyle: "none" | "norm" | "neox";
  /** What the norms of queries and keys work on, where there are any. */
  readonly queryNorms: "heads" | "rows" | "rotatedHeads";
  /** What norms divide by: the root mean square, or the deviation from the mean. */
  readonly norms: "rootMeanSquare" | "deviation";
  /** Whether the feed-forward part reads what the mixer reads, and both are added at once. */
  readonly parallel: boolean;
  /** Whether each head of values is normalised, without a weight. */
  readonly valueNorms: boolean;
  /** Floats of each token that a layer gets beside the stream; 0 is none. */
  readonly layerInputs: number;
  /** The function between the two halves of a feed-forward layer. */
  readonly activation: "silu" | "gelu" | "clamped" | "relu" | "geluErf" | "plainGeluErf";
  /** Whether feed-forward parts have a gate; without, up is its own, which squares `relu`. */
  readonly feedForwardGate: boolean;
  /** What is added under the root of a norm. */
  readonly epsilon: number;
  /** What embeddings are multiplied by. */
  readonly embeddingScale: number;
  /** What each half of a layer is multiplied by before it is added to the stream. */
  readonly residualScale: number;
  /** What scores are multiplied by. */
  readonly attentionScale: number;
  /** The soft cap of scores; 0 is none. */
  readonly attentionSoftcap: number;
  /** What logits are multiplied by, before their soft cap. */
  readonly logitScale: number;
  /** The soft cap of logits; 0 is none. */
  readonly logitSoftcap: number;
  /** Rotated queries are multiplied by 1 + this * ln(floor(position / `temperatureContext`) + 1); 0 is none. */
  readonly temperatureScale: number;
  /** Positions that one degree of the temperature lasts. */
  readonly temperatureContext: number;
  /** Rows of the table of positions, which is the longest text; 0: there is none. */
  readonly positions: number;
  /** Rows of the table of token types; 0: there is none. */
  readonly tokenTypes: number;
  /** Whether the distance of a key lowers its score, head by head. */
  readonly distancesLower: boolean;
  /** What the first of two matrices gives that a text's pooled row goes through; 0: there are none. */
  readonly denseInner: number;
  /** What the second of them gives. */
  readonly denseWidth: number;
  /** What the first matrix of a rank head gives; 0: it has none. */
  readonly rankWidth: number;
  /** The scores of a rank head; 0: there is none. */
  readonly rankScores: number;
  /** What follows its first matrix. */
  readonly rankActivation: "tanh" | "geluErf";
  /** Whether two scores become probabilities. */
  readonly rankSoftmax: boolean;
  /** Whether each token comes with a hidden state that its embedding is joined with: a drafter's layer. */
  readonly joinsStates: boolean;
  /** Whether the last norm divides by the deviation, whatever the others do. */
  readonly lastDeviation: boolean;
  /** What may differ between layers. */
  readonly perLayer: readonly LayerParameters[];
}

/**
 * What a model is to whole texts, which are embedded or ranked.
 */
export interface TextParameters {
  /** Whether tokens see only what is before them. */
  readonly causal: boolean;
  /** Whether it generates text. */
  readonly generates: boolean;
  /** What a text's vector is made of, as the file says; `rank`: a score is made. Undefined: it does not say. */
  readonly pooling: "mean" | "first" | "last" | "rank" | undefined;
  /** What a score is made of. */
  readonly rankPooling: "mean" | "first" | "last";
  /** The names of the scores. */
  readonly labels: readonly string[];
  /** Whether the document's tokens have the type 1 beside a query, where the model has two types. */
  readonly secondType: boolean;
  /** Whether a vector is normed by deviation before it is cut. */
  readonly levelsBeforeCut: boolean;
  /** Whether the file lacks the matrices that follow the pooled row in this architecture. */
  readonly lacksMatrices: boolean;
}

/**
 * What may differ between layers.
 */
export interface LayerParameters {
  /** What lets positions see each other; `paired` is attention and Mamba-2 over one input. */
  readonly mixer: "attention" | "shortConvolution" | "deltaRule" | "latent" | "mamba2" | "paired" | "none";
  /** Heads of queries; 0 without attention. */
  readonly heads: number;
  /** Heads of keys and values; 0 without attention. */
  readonly kvHeads: number;
  /** Elements of a key of one head, */
  readonly kDim: number;
  /** and of a value. */
  readonly vDim: number;
  /** The width inside the dense feed-forward part; 0: the layer has none. */
  readonly feedForward: number;
  /** Experts; 0: the layer has none. */
  readonly experts: number;
  /** Those that a token goes to. */
  readonly expertsUsed: number;
  /** The width inside each of them. */
  readonly expertWidth: number;
  /** The width inside the shared expert, which every token goes to; 0: there is none. */
  readonly sharedWidth: number;
  /** Elements of the narrower row that experts read and give, but for the shared one; 0: they read the stream. */
  readonly expertLatent: number;
  /**
   * Elements of the latent row that keys and values of all heads are made from; 0: attention is not latent. With it, `kDim` and
   * `vDim` are those of one head.
   */
  readonly latentRank: number;
  /** Elements at the end of each key that are rotated, in latent attention; those of a key are the same for all heads. */
  readonly latentRotated: number;
  /** Elements of the row that queries are made from, in latent attention; 0: they are made from the stream. */
  readonly queryRank: number;
  /** How many positions, its own included, a query sees; 0: all before it. */
  readonly window: number;
  /** How many positions after its own a query sees, as far as a text has them; 0: none. */
  readonly ahead: number;
  /** Which of the rotations it has, from 1; 0: queries and keys are not rotated. */
  readonly rotation: number;
  /** Taps of its short convolution; 0 where it has none. */
  readonly convKernel: number;
  /** Which keys and values it reads: its own; its own keys as values, too; those of the layer `keysLayer`. */
  readonly keys: "own" | "asValues" | "ofLayer";
  /** The layer that keeps what this one reads. */
  readonly keysLayer: number;
  /** Heads that have a state each; 0 where there are none. */
  readonly stateHeads: number;
  /** Groups of them that share a query and a key; in Mamba-2, what stands for these. */
  readonly stateGroups: number;
  /** Elements of a key of such a head; in Mamba-2, of each of its channels' states. */
  readonly stateSize: number;
  /** Channels of such a head, in Mamba-2. */
  readonly stateWidth: number;
  /** Whether the heads of a group are those whose number has the same rest when divided by the groups; else they are neighbours. */
  readonly stateHeadsInTurn: boolean;
  /** Whether both gates of a delta rule are made by one matrix. */
  readonly stateGatesTogether: boolean;
  /** Whether queries, keys, values and z of a delta rule are made by one matrix, group by group. */
  readonly stateRowsTogether: boolean;
  /** Whether what attention gives is gated: behind each head's query, its matrix gives a gate. */
  readonly attentionGate: boolean;
}

/**
 * One way to rotate. Pair k turns at f = base^(-2k / dimensions), divided by its factor, times 1 - r scaled and times r as it
 * is: f * (scale * (1 - r) + r). r falls from 1 at the pair `rampBegin` to 0 at the pair `rampEnd`.
 */
export interface Rotation {
  /** Elements of a head that are rotated. */
  readonly dimensions: number;
  /** Whether the tensor of factors divides its frequencies. */
  readonly factors: boolean;
  /** What sine and cosine are multiplied by. */
  readonly magnitude: number;
  /** The base of the frequencies. */
  readonly base: number;
  /** What positions are multiplied by. */
  readonly scale: number;
  /** Up to this pair, positions are not multiplied; below 0: there is no such pair. */
  readonly rampBegin: number;
  /** From this pair on, positions are multiplied. */
  readonly rampEnd: number;
}
