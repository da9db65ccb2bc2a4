/**
 * The table of native functions: name, arguments, and what each is for. This is the only list; the library reports its
 * own (`lg_abi`), made by the Zig compiler from the functions themselves, and loading compares the two.
 *
 * Every function returns an i32: 0 or more is a count or a handle, below 0 a status. Sizes are bytes unless said
 * otherwise. Layouts of the buffers are the word lists below; all words are little-endian u32.
 *
 * @module
 */

/** The type of one argument of a native function. */
export type AbiType = "i32" | "u32" | "f32" | "f64" | "buffer";

/** One native function. */
export interface AbiFunction {
  /** Argument types in order. The result is always i32. */
  readonly parameters: readonly AbiType[];
  /** True where the call may block and so must leave the JavaScript thread. */
  readonly blocks?: true;
  /** What it does, in a sentence. */
  readonly about: string;
}

/** The native functions by name. */
export const ABI = {
  lg_abi: {
    parameters: ["buffer", "u32"],
    about: "Writes the library's own table as text, one `name(type,type)` a line; returns its bytes.",
  },
  lg_describe: {
    parameters: ["u32", "buffer", "u32"],
    about: "Writes JSON about a topic (0 version, 1 statuses, 2 formats, 3 processor); returns its bytes.",
  },
  lg_init: {
    parameters: ["buffer", "u32", "buffer", "u32"],
    about: "Chooses the CPU level by name (empty: the best); (name, bytes, error, bytes). Once; the same again is 0.",
  },
  lg_model_load: {
    parameters: ["buffer", "u32", "buffer", "u32"],
    about: "Checks a model description and begins to load it; (description, bytes, error, bytes); returns a model.",
  },
  lg_model_status: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32"],
    about: "(model, f64 words [bytes done, bytes in all, resident bytes], bytes, error, bytes): 0 loading, 1 ready.",
  },
  lg_model_free: {
    parameters: ["u32"],
    about: "Frees a model, or ends its loading; engines that use it keep it until they are freed.",
  },
  lg_engine_open: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32"],
    about: "(model, options, bytes, error, bytes): an engine with its own KV pages; returns its handle.",
  },
  lg_engine_free: {
    parameters: ["u32"],
    about: "Frees an engine; a step in flight is cancelled first and the memory follows when it has ended.",
  },
  lg_submit: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32"],
    about: "(engine, batch, bytes, error, bytes): copies a batch and queues one step, or runs it at once (flag 1).",
  },
  lg_wait: {
    parameters: ["u32", "u32"],
    blocks: true,
    about: "(engine or model, milliseconds): waits until nothing is in flight: 1, or 0 when the time is over.",
  },
  lg_take: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32"],
    about:
      "(engine, results, bytes, floats, bytes): of each sequence the words, then logits and hidden state; returns how many.",
  },
  lg_cancel: {
    parameters: ["u32", "u32"],
    about: "(engine, sequence): the step in flight gives this sequence up between two layers.",
  },
  lg_page_copy: {
    parameters: ["u32", "u32", "u32"],
    about: "(engine, from, to): copies a KV page; refused while a step is in flight, as are the next two.",
  },
  lg_page_discard: {
    parameters: ["u32", "u32", "u32", "buffer", "u32"],
    about: "(engine, first, count, f64 word, bytes): gives the memory of KV pages back to the system; how many bytes.",
  },
  lg_page_export: {
    parameters: ["u32", "u32", "buffer", "u32"],
    about: "(engine, page, out, bytes): writes a KV page and a checksum of 8 bytes; returns the bytes.",
  },
  lg_page_import: {
    parameters: ["u32", "u32", "buffer", "u32"],
    about: "(engine, page, bytes, count): takes over what lg_page_export wrote; a wrong checksum is `modelFormat`.",
  },
  lg_sample: {
    parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32"],
    about:
      "(sampler, bytes, f32 logits, count, workspace, bytes): chooses a token; `SAMPLED` or an error lies in front.",
  },
  lg_quantize: {
    parameters: ["buffer", "u32", "buffer", "buffer", "buffer", "buffer"],
    about: "(options, bytes, values, importance, outlier mask, blocks): the bytes written before a refused block.",
  },
  lg_dequantize: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32", "u32"],
    about: "(format, blocks, bytes, f32 values, count, threads): returns the values written.",
  },
  lg_matmul: {
    parameters: ["buffer", "u32", "buffer", "buffer", "buffer"],
    about:
      "(options, bytes, blocks, f32 vectors, f32 results): rows of blocks times vectors, as a model computes them.",
  },
  lg_capture: {
    parameters: ["u32", "u32", "u32"],
    about: "(engine, first, count): keeps the inputs of a step's products of these numbers; count 0: no longer.",
  },
  lg_captured: {
    parameters: ["u32", "u32", "buffer", "u32"],
    about: "(engine, product, f32 rows, bytes): the rows kept of the last step; returns how many floats.",
  },
  lg_replace: {
    parameters: ["u32", "u32", "u32", "u32", "buffer", "u32"],
    about: "(model, layer, role, format, blocks, bytes): packs other blocks in a matrix's place; no step may run.",
  },
  lg_gram: {
    parameters: ["buffer", "buffer", "u32", "u32", "buffer", "u32"],
    about: "(f32 rows x, rows y, bytes of either, columns, f32 matrix, threads): adds the sums of x[i] y[j] to it.",
  },
  lg_factor: {
    parameters: ["buffer", "u32", "u32", "u32", "u32", "u32"],
    about: "(f64 matrix, bytes, n, begin, end, threads): columns [begin, end) of R, H = R R', from the last; 1 / r_kk.",
  },
  lg_calibrate: {
    parameters: ["buffer", "u32", "buffer", "buffer", "buffer", "buffer"],
    about: "(options, bytes, values, factor, importance, blocks): rows with errors compensated; how many are good.",
  },
  lg_memory: {
    parameters: ["buffer", "u32"],
    about:
      "f64 words: [bytes of weights, of KV, of scratch, live handles, pool threads, allocations so far, their bytes].",
  },
  lg_bandwidth: {
    parameters: ["u32", "u32"],
    about: "(threads, MiB): reads so much memory nine times on the pool; returns the best rate in 10^6 bytes/s.",
  },
  lg_spin: {
    parameters: ["u32"],
    about: "(loops, at most 2^20): how long a thread of the pool spins before it sleeps; returns what it was.",
  },
} as const satisfies Record<string, AbiFunction>;

/** The name of a native function. */
export type AbiName = keyof typeof ABI;

/** `lg_describe`'s topics. */
export const TOPIC = { version: 0, statuses: 1, formats: 2, processor: 3 } as const;

/**
 * The model description: `header`, then `layer` for each layer, then `tensor` for each tensor, then for each file its
 * path as one word of length and UTF-8 bytes padded to a multiple of 4. `f64` fields take two words, `f32` fields are
 * the float's bits.
 */
export const MODEL = {
  version: 1,
  header: [
    "version",
    "files",
    "tensors",
    "layers",
    "embedding",
    "vocabulary",
    "kDim",
    "vDim",
    "ropeDim",
    "ropeStyle", // 0 none, 1 norm (pairs 2k, 2k+1), 2 neox (k, k + n/2)
    "activation", // 0 silu, 1 gelu (tanh)
    "epsilon", // f32, as are the five below
    "embeddingScale",
    "attentionScale",
    "attentionSoftcap", // 0: none
    "logitSoftcap", // 0: none
    "ropeMagnitude",
    "reserved",
    "ropeBase", // f64: two words
    "ropeBaseHigh",
    "ropeScale", // f64: positions are multiplied by it
    "ropeScaleHigh",
    "ropeLocalBase", // f64: of layers whose `ropeLocal` is 1 (their scale is 1)
    "ropeLocalBaseHigh",
  ],
  layer: ["heads", "kvHeads", "feedForward", "window", "ropeLocal", "reserved"],
  tensor: ["role", "layer", "format", "file", "columns", "rows", "offset", "offsetHigh", "bytes", "bytesHigh"],
} as const;

/** What a tensor is for, in the order of the numbers that cross. Norm weights, biases and rope factors are f32. */
export const ROLES = [
  "token_embd",
  "output_norm",
  "output",
  "rope_freqs",
  "attn_norm",
  "attn_q",
  "attn_k",
  "attn_v",
  "attn_output",
  "ffn_norm",
  "ffn_gate",
  "ffn_up",
  "ffn_down",
  "attn_q_bias",
  "attn_k_bias",
  "attn_v_bias",
  "attn_output_bias",
  "attn_q_norm",
  "attn_k_norm",
  "post_attention_norm",
  "post_ffw_norm",
  "ffn_gate_bias",
  "ffn_up_bias",
  "ffn_down_bias",
] as const;

/** Words of an engine's options. */
export const ENGINE = [
  "version", // 1
  "kvType", // 0 f16, 1 f32, 2 q8_0
  "pageSize", // 16, 32 or 64 positions
  "pages",
  "batchTokens", // most tokens of one step
  "sequences", // most sequences of one step
  "threads",
  "activationBits", // 8 or 16
  "logitRows", // most rows of logits that one step may ask for
] as const;

/** Words of `lg_quantize`'s options. Sizes are of the buffers beside them, in bytes; 0: not there. */
export const QUANTIZE = [
  "version", // 1
  "format", // the number of the tensor type
  "source", // of the values: 0 f32, 1 f16, 30 bf16
  "rounding", // 0 nearest, 1 search
  "outliers", // 0 keep, 1 clip, 2 split
  "threshold", // f32, in standard deviations of a block
  "columns", // values of a row
  "threads",
  "valuesBytes",
  "importanceBytes",
  "maskBytes",
  "blocksBytes",
] as const;

/** Words of `lg_calibrate`'s options. */
export const CALIBRATE = [
  "version", // 2
  "format", // the number of the tensor type
  "rows",
  "columns",
  "threads",
  "valuesBytes",
  "factorBytes",
  "importanceBytes",
  "blocksBytes",
] as const;

/** Words of `lg_matmul`'s options. Results are `rows` floats for each vector. */
export const PRODUCT = [
  "version", // 1
  "format", // the number of the tensor type
  "rows",
  "columns",
  "vectors",
  "activationBits", // 8 or 16
  "threads",
  "blocksBytes",
  "vectorsBytes",
  "resultsBytes",
] as const;

/** A batch: `header`, then for each sequence `sequence`, its tokens, its page numbers, its hidden state, its sampler. */
export const BATCH = {
  version: 1,
  header: ["version", "flags", "sequences", "tokens"],
  /** Run the step before `lg_submit` returns. */
  flagInline: 1,
  /** Times the threads that the step should use, added to the flags; 0: as many as the engine has, which is the most. */
  threadsUnit: 256,
  sequence: [
    "id",
    "position", // of the first token
    "tokens", // none where a hidden state is given
    "pages", // page numbers that cover the positions 0 .. position + tokens
    "logits", // 0 none, 1 of the last token, 2 of all
    "sampler", // words of a sampler that chooses a token after the last; 0: none is chosen
    "keep", // 1: hand out the hidden state after the last token, behind its logits
    "hidden", // floats of a hidden state that was handed out after the token before `position`, or 0
  ],
  /** Of `lg_take`: token is 0xffffffff where none was chosen; rows counts the logit rows that follow one another. Then `SAMPLED`. */
  result: ["id", "status", "token", "rows"],
} as const;

/** The methods of a sampler by their numbers, in the order of llama.cpp's chain, in which they run unless told otherwise. */
export const SAMPLING_METHODS = [
  "penalties",
  "dry",
  "topNSigma",
  "topK",
  "typicalP",
  "topP",
  "minP",
  "xtc",
  "temperature",
  "mirostat",
] as const;

/**
 * A sampler: `header`, then `step` for each method, the mask (a bit for each token), the pairs of the bias (id, f32), of
 * the penalties (id, count) and of DRY (id, length of the repetition it would continue).
 */
export const SAMPLER = {
  version: 1,
  header: [
    "version",
    "steps",
    "minKeep",
    "logprobs", // 0: none; else of the chosen token and of this many less one of the likeliest
    "distribution", // 1: leave the candidates in the workspace instead of choosing one
    "choice",
    "position",
    "seed",
    "seedHigh",
    "mu", // f64: two words
    "muHigh",
    "mask", // words
    "bias", // pairs
    "counts", // pairs
    "matches", // pairs
  ],
  step: ["method", "count", "a", "b", "c"],
  topMost: 20,
  vocabularyMost: 2 ** 22,
} as const;

/** What came of a choice: the word at which each part begins; `doubles` are f64 and begin at such a number of them. */
export const SAMPLED = {
  token: 0,
  candidates: 1,
  listed: 2, // 1: the candidates' ids are in the workspace; 0: they are 0, 1, 2, ...
  top: 3, // how many of the likeliest follow
  kept: 8, // candidates left by each step; 0xffffffff where it was not run
  topIds: 20,
  doubles: { mu: 2, logprob: 3, topLogprobs: 20 },
  words: 80,
} as const;

/** The workspace of `lg_sample`, in words: after `head`, arrays of `stride(vocabulary)` each. */
export const WORKSPACE = {
  head: 128,
  stride: (vocabulary: number): number => Math.ceil(vocabulary / 16) * 16 + 16,
  words: (vocabulary: number): number => {
    const stride = WORKSPACE.stride(vocabulary);
    return WORKSPACE.head + 6 * stride + Math.ceil(stride / 256) * 16 + 64;
  },
  /** Which array holds ids, and which two together f64 probabilities. */
  ids: 1,
  probabilities: 4,
} as const;
