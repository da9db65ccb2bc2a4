/**
 * Which tensor of a model gets which format: the usual mixes by name. A mix is the format of most matrices and a few rules
 * for those that matter more. The rules are llama.cpp's (`llama-quantize` of September 2026), so that a file made here has
 * the types that one made there has; `test/mixes.test.ts` compares them on the shapes of several models.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";
import type { SourceTensor } from "./weight_source.ts";
import { formatOf, makeable, nameOf, type QuantizedFormat } from "./types.ts";

/** A matrix's place in its model, and what of the model decides its format. */
interface Place {
  /** Which of the matrices of its role it is, in the order of layers. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
  readonly model: ModelFacts;
}

/** What of a model decides formats. */
export interface ModelFacts {
  /** `general.architecture`. */
  readonly architecture: string;
  readonly layers: number;
  /** Query heads that share a key head. */
  readonly groups: number;
  readonly experts: number;
  /** Whether errors are weighed by an importance matrix. */
  readonly isWeighed: boolean;
}

type Rule = (place: Place) => QuantizedFormat | undefined;

/** A mix: the format of most matrices, and rules by role; where a rule says nothing, it is the base. */
interface Mix {
  readonly base: QuantizedFormat;
  /** `general.file_type` of such a file. */
  readonly fileType: number;
  /** Values of attention, alone, joined with queries and keys, or made of a latent. */
  readonly value?: Rule;
  /** The product that ends a feed-forward. */
  readonly down?: Rule;
  readonly attentionOutput?: Rule;
  /** Queries and keys of attention. */
  readonly queryAndKey?: QuantizedFormat;
  /** The products that begin a feed-forward. */
  readonly up?: Rule;
  /** The embedding, where it makes no logits. */
  readonly embedding?: QuantizedFormat;
  /**
   * The matrix that makes the logits.
   * @default {Q6_K}
   */
  readonly output?: QuantizedFormat;
  /** Whether it is one of the least bits, which have rules of their own for models of many experts. */
  readonly isLeast?: true;
  /** Whether mixtures of 8 experts get more bits for the output of attention. */
  readonly favoursOutputOf8?: true;
  /** Whether a matrix of experts has the base, and every other one 8 bits. */
  readonly isForExperts?: true;
}

/** The first and the last eighth of the layers, and every third of those between. */
const isFavoured = ({ index, count }: Place) => {
  const eighth = Math.floor(count / 8);
  return index < eighth || index >= Math.floor(7 * count / 8) || (index - eighth) % 3 === 2;
};

const isFirst = ({ index, count }: Place, part: number) => index < Math.floor(count / part);

const favoured = (format: QuantizedFormat): Rule => (place) => isFavoured(place) ? format : undefined;
const always = (format: QuantizedFormat): Rule => () => format;
const grouped = (format: QuantizedFormat, otherwise?: QuantizedFormat): Rule => ({ model }) =>
  model.groups >= 4 ? format : otherwise;
/** With importances the first layers' ways down get a minimum as well: there one scale alone can go wrong. */
const guarded = (format: QuantizedFormat): Rule => (place) =>
  place.model.isWeighed && isFirst(place, 8) ? format : undefined;

/** What formats have in common whose levels come from a table. */
const ofTable = {
  value: grouped("q5_k"),
  down: (place) => !place.model.isWeighed && isFirst(place, 8) ? "q5_k" : undefined,
  favoursOutputOf8: true,
} as const satisfies Partial<Mix>;

/** What mixes of 1 and 2 bits have in common: `better` is what matters most where queries do not share keys. */
const least = (better: QuantizedFormat, attentionOutput: QuantizedFormat | undefined, embedding: QuantizedFormat) =>
  ({
    value: ({ model }) => model.groups >= 4 || model.experts >= 4 ? "q4_k" : better,
    down: (place) => isFirst(place, 8) ? better : undefined,
    attentionOutput: () => attentionOutput,
    favoursOutputOf8: true,
    isLeast: true,
    embedding,
    output: "q5_k",
  }) as const satisfies Partial<Mix>;

/** Neither the first nor the last eighth of the layers. */
const isAmid = ({ index, count }: Place) => index >= Math.floor(count / 8) && index < Math.floor(7 * count / 8);

const MIXES: Readonly<Record<string, Mix>> = {
  f32: { base: "f32", fileType: 0 },
  f16: { base: "f16", fileType: 1 },
  bf16: { base: "bf16", fileType: 32 },
  q4_0: { base: "q4_0", fileType: 2, down: guarded("q4_1") },
  q4_1: { base: "q4_1", fileType: 3 },
  q5_0: { base: "q5_0", fileType: 8, down: guarded("q5_1") },
  q5_1: { base: "q5_1", fileType: 9 },
  q8_0: { base: "q8_0", fileType: 7 },
  iq4_nl: { base: "iq4_nl", fileType: 25, ...ofTable },
  iq4_xs: { base: "iq4_xs", fileType: 30, ...ofTable },
  iq1_s: { base: "iq1_s", fileType: 24, ...least("q2_k", "iq2_xxs", "q2_k") },
  iq1_m: { base: "iq1_m", fileType: 31, ...least("q2_k", "iq2_xxs", "q2_k") },
  iq2_xxs: { base: "iq2_xxs", fileType: 19, ...least("q2_k", undefined, "q2_k") },
  iq2_xs: { base: "iq2_xs", fileType: 20, ...least("q2_k", undefined, "q2_k") },
  iq2_s: { base: "iq2_xs", fileType: 28, ...least("iq3_s", "iq3_s", "iq3_s") },
  iq2_m: { base: "iq2_s", fileType: 29, ...least("iq3_s", "iq3_s", "iq3_s") },
  iq3_xxs: {
    base: "iq3_xxs",
    fileType: 23,
    value: ({ model }) => model.groups >= 4 ? "q4_k" : model.isWeighed ? undefined : "iq3_s",
    queryAndKey: "iq2_s",
    down: (place) => place.model.isWeighed ? undefined : isFirst(place, 8) ? "q4_k" : "q3_k",
    attentionOutput: always("iq3_s"),
    favoursOutputOf8: true,
    embedding: "iq3_s",
    output: "q5_k",
  },
  iq3_xs: {
    base: "iq3_s",
    fileType: 22,
    value: grouped("q4_k"),
    queryAndKey: "iq3_xxs",
    up: (place) => isAmid(place) ? "iq3_xxs" : undefined,
    favoursOutputOf8: true,
  },
  iq3_s: { base: "iq3_s", fileType: 26, value: grouped("q4_k"), favoursOutputOf8: true },
  iq3_m: {
    base: "iq3_s",
    fileType: 27,
    value: always("q4_k"),
    down: (place) => isFirst(place, 8) || (place.model.experts === 8 && isFavoured(place)) ? "q4_k" : undefined,
    attentionOutput: always("q4_k"),
    favoursOutputOf8: true,
  },
  tq1_0: { base: "tq1_0", fileType: 36, embedding: "q4_k" },
  tq2_0: { base: "tq2_0", fileType: 37, embedding: "q4_k" },
  q1_0: { base: "q1_0", fileType: 40 },
  q2_0: { base: "q2_0", fileType: 41, embedding: "q4_k" },
  nvfp4: { base: "nvfp4", fileType: 39 },
  mxfp4: { base: "mxfp4", fileType: 38 },
  mxfp4_moe: { base: "mxfp4", fileType: 38, isForExperts: true },
  q6_k: { base: "q6_k", fileType: 18 },
  q2_k: {
    base: "q2_k",
    fileType: 10,
    value: grouped("q4_k", "q3_k"),
    down: always("q3_k"),
    attentionOutput: always("q3_k"),
    favoursOutputOf8: true,
  },
  q2_k_s: {
    base: "q2_k",
    fileType: 21,
    value: grouped("q4_k"),
    down: (place) => isFirst(place, 8) ? "q4_k" : undefined,
  },
  q3_k_s: { base: "q3_k", fileType: 11, favoursOutputOf8: true },
  q3_k_m: {
    base: "q3_k",
    fileType: 12,
    value: ({ index }) => index < 2 ? "q5_k" : "q4_k",
    down: (place) => isFirst(place, 16) ? "q5_k" : "q4_k",
    attentionOutput: always("q4_k"),
    favoursOutputOf8: true,
  },
  q3_k_l: {
    base: "q3_k",
    fileType: 13,
    value: always("q5_k"),
    down: always("q5_k"),
    attentionOutput: always("q5_k"),
  },
  q4_k_s: {
    base: "q4_k",
    fileType: 14,
    value: ({ index }) => index < 4 ? "q5_k" : undefined,
    down: (place) => isFirst(place, 8) ? "q5_k" : undefined,
    favoursOutputOf8: true,
  },
  q4_k_m: { base: "q4_k", fileType: 15, value: favoured("q6_k"), down: favoured("q6_k"), favoursOutputOf8: true },
  q5_k_s: { base: "q5_k", fileType: 16 },
  q5_k_m: { base: "q5_k", fileType: 17, value: favoured("q6_k"), down: favoured("q6_k") },
};

/** Other names of mixes. */
const ALIASES: Readonly<Record<string, string>> = { q3_k: "q3_k_m", q4_k: "q4_k_m", q5_k: "q5_k_m" };

/** Matrices that are small, or hold no weights of a product: they stay as they are, as in llama-quantize. */
const kept = new RegExp(
  [
    "_norm\\.weight$",
    "ffn_gate_inp\\.weight$",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd",
    "token_types",
    "ssm_conv1d",
    "shortconv\\.conv\\.weight$",
    "indexer\\.[kq]_proj\\.weight$",
    "attn_rel_b\\.weight$",
  ].join("|"),
);

/** Roles that have rules of their own, by the names of their matrices. */
const roles = {
  value: /\.attn_(v|qkv|kv_b)\.weight$/,
  key: /\.attn_k\.weight$/,
  query: /\.attn_q\.weight$/,
  attentionOutput: /\.attn_output\.weight$/,
  down: /\.ffn_down.*\.weight$/,
  up: /\.ffn_(up|gate).*\.weight$/,
} as const;

/**
 * A rule: tensors whose name holds `pattern` get `format`.
 *
 * @example
 * ```ts
 * import { quantizeFile, type TensorRule } from "@lightgpt/lightgpt";
 *
 * const rule: TensorRule = { pattern: "output", format: "q8_0" };
 * await quantizeFile("model-f16.gguf", "model-q4_0.gguf", { type: "q4_0", tensorTypes: [rule] });
 * ```
 */
export interface TensorRule {
  /** A part of a tensor's name. */
  readonly pattern: string;
  /** What these tensors become. */
  readonly format: QuantizedFormat;
}

/** The names of all mixes that can be made here: those all of whose formats the library can write. */
export function mixNames(): string[] {
  const can = new Set(makeable().map(nameOf));
  return Object.entries(MIXES).filter(([, mix]) => [...formatsOf(mix)].every((format) => can.has(format)))
    .map(([name]) => name);
}

/** Every format that a mix can give, by trying its rules on models of different kinds. */
function formatsOf(mix: Mix): Set<QuantizedFormat> {
  const found = new Set([mix.base]);
  for (const format of [mix.queryAndKey, mix.embedding, mix.output]) if (format !== undefined) found.add(format);
  for (const isWeighed of [false, true]) {
    for (const groups of [1, 4]) {
      const model = { architecture: "llama", layers: 32, groups, experts: 0, isWeighed };
      for (const index of [0, 4, 16]) {
        for (const rule of [mix.value, mix.down, mix.attentionOutput, mix.up]) {
          const format = rule?.({ index, count: 32, model });
          if (format !== undefined) found.add(format);
        }
      }
    }
  }
  return found;
}

/** Chooses formats for the tensors of a model by a mix and by rules, the later of which win. */
export class Plan {
  /** `general.file_type` of the file to be made. */
  readonly fileType: number;
  readonly #mix: Mix;
  readonly #rules: readonly TensorRule[];
  readonly #model: ModelFacts;
  readonly #isTied: boolean;
  /** The names of the matrices of a role, in the order of layers. */
  readonly #values: readonly string[];
  readonly #downs: readonly string[];

  constructor(type: string, rules: readonly TensorRule[], tensors: readonly SourceTensor[], model: ModelFacts) {
    const lower = type.toLowerCase();
    const name = ALIASES[lower] ?? lower;
    if (!mixNames().includes(name)) refuseOption("type", mixNames().join(", "), type);
    this.#mix = MIXES[name];
    this.fileType = this.#mix.fileType;
    this.#rules = rules;
    this.#model = model;
    this.#isTied = !tensors.some(({ name }) => name === "output.weight");
    const inOrder = (role: RegExp) =>
      tensors.map(({ name }) => name).filter((name) => role.test(name)).sort((a, b) => layerOf(a) - layerOf(b));
    [this.#values, this.#downs] = [inOrder(roles.value), inOrder(roles.down)];
    for (const { pattern } of rules) {
      if (!tensors.some(({ name }) => name.includes(pattern))) {
        refuseOption("tensorTypes", "a part of the name of a tensor in the file", pattern);
      }
    }
  }

  /** The format of a tensor; undefined: as it is. */
  formatFor({ name, dims }: SourceTensor): QuantizedFormat | undefined {
    if (dims.length < 2 || !name.endsWith(".weight") || kept.test(name)) return undefined;
    const rule = this.#rules.findLast(({ pattern }) => name.includes(pattern));
    if (rule !== undefined) return rule.format;
    const { base, isForExperts, embedding, output } = this.#mix;
    if (isPlain(base)) return base;
    const isEmbedding = name === "token_embd.weight" || name === "per_layer_token_embd.weight";
    const makesLogits = name === "output.weight" || (this.#isTied && isEmbedding);
    if (isForExperts) return dims.length > 2 && !makesLogits ? base : "q8_0";
    if (makesLogits) return outputFormat(base, output, dims[0]!);
    if (isEmbedding) return embedding ?? base;
    return this.#byRole(name) ?? base;
  }

  #byRole(name: string): QuantizedFormat | undefined {
    const { base, value, queryAndKey, down, up, attentionOutput, favoursOutputOf8, isLeast } = this.#mix;
    const model = this.#model;
    if (roles.value.test(name)) {
      if (model.experts === 8 && !isLeast) return "q8_0"; // small beside the experts
      const format = value?.({ index: this.#values.indexOf(name), count: this.#values.length, model }) ?? base;
      return !isLeast && isOf70B(model) && (format === "q3_k" || format === "q4_k") ? "q5_k" : format;
    }
    if (roles.key.test(name) && model.experts === 8) return isLeast ? "q4_k" : "q8_0";
    if (roles.key.test(name) || roles.query.test(name)) return queryAndKey;
    const place = { index: layerOf(name), count: model.layers, model };
    // The mixes of the least bits count matrices where the others count layers: with shared experts there are two in each.
    if (roles.down.test(name)) return down?.(isLeast ? { ...place, index: this.#downs.indexOf(name) } : place);
    if (roles.up.test(name)) return up?.(place);
    if (!roles.attentionOutput.test(name)) return undefined;
    if (model.experts === 8) return favoursOutputOf8 ? "q5_k" : undefined;
    return attentionOutput?.(place);
  }
}

function layerOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
}

/** Whether llama-quantize takes a model for one of 70 B: there values are an eighth of the queries, and cheap. */
function isOf70B({ architecture, layers, groups }: ModelFacts): boolean {
  if (layers !== 80) return false;
  return architecture === "llama" ? groups > 1 : ["qwen2", "deci", "olmo"].includes(architecture);
}

function isPlain(format: QuantizedFormat): boolean {
  return format === "f32" || format === "f16" || format === "bf16";
}

/** The matrix that makes the logits: Q6_K, unless most have more bits than that; Q8_0 where rows do not fit most's blocks. */
function outputFormat(base: QuantizedFormat, output: QuantizedFormat = "q6_k", columns: number): QuantizedFormat {
  if (base === "q8_0" || columns % formatOf(base, "type").blockElements !== 0) return "q8_0";
  return makeable().some((format) => nameOf(format) === output) ? output : "q8_0";
}
