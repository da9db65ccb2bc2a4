/**
 * Which tensor of a model gets which format: the usual mixes by name. The rules are llama.cpp's, in short: the output matrix
 * gets Q6_K; the matrices of values (attn_v) and ffn_down get more bits in some layers; vectors stay as they are.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";
import type { SourceTensor } from "./weight_source.ts";
import { makeable, nameOf, type QuantizedFormat } from "./types.ts";

/** A mix: the format of most matrices, and of some others by their role. */
interface Mix {
  readonly base: QuantizedFormat;
  /** `general.file_type` of such a file. */
  readonly fileType: number;
  readonly value?: (layer: Layer) => QuantizedFormat;
  readonly down?: (layer: Layer) => QuantizedFormat;
  readonly attentionOutput?: QuantizedFormat;
}

/** A layer's place, and how many query heads share a key head. */
interface Layer {
  readonly index: number;
  readonly count: number;
  readonly groups: number;
}

const more = ({ index, count }: Layer) => {
  const eighth = Math.floor(count / 8);
  return index < eighth || index >= Math.floor(7 * count / 8) || (index - eighth) % 3 === 2;
};

const MIXES: Readonly<Record<string, Mix>> = {
  f32: { base: "f32", fileType: 0 },
  f16: { base: "f16", fileType: 1 },
  bf16: { base: "bf16", fileType: 32 },
  q4_0: { base: "q4_0", fileType: 2 },
  q4_1: { base: "q4_1", fileType: 3 },
  q5_0: { base: "q5_0", fileType: 8 },
  q5_1: { base: "q5_1", fileType: 9 },
  q8_0: { base: "q8_0", fileType: 7 },
  iq4_nl: { base: "iq4_nl", fileType: 25 },
  mxfp4: { base: "mxfp4", fileType: 38 },
  q6_k: { base: "q6_k", fileType: 18 },
  q2_k: {
    base: "q2_k",
    fileType: 10,
    value: ({ groups }) => groups >= 4 ? "q4_k" : "q3_k",
    down: () => "q3_k",
    attentionOutput: "q3_k",
  },
  q3_k_s: { base: "q3_k", fileType: 11 },
  q3_k_m: {
    base: "q3_k",
    fileType: 12,
    value: ({ index }) => index < 2 ? "q5_k" : "q4_k",
    down: (layer) => layer.index < Math.floor(layer.count / 16) ? "q5_k" : more(layer) ? "q4_k" : "q3_k",
    attentionOutput: "q4_k",
  },
  q3_k_l: { base: "q3_k", fileType: 13, value: () => "q5_k", down: () => "q5_k", attentionOutput: "q5_k" },
  q4_k_s: {
    base: "q4_k",
    fileType: 14,
    value: ({ index }) => index < 4 ? "q5_k" : "q4_k",
    down: ({ index, count }) => index < Math.floor(count / 8) ? "q5_k" : "q4_k",
  },
  q4_k_m: {
    base: "q4_k",
    fileType: 15,
    value: (layer) => more(layer) ? "q6_k" : "q4_k",
    down: (layer) => more(layer) ? "q6_k" : "q4_k",
  },
  q5_k_s: { base: "q5_k", fileType: 16 },
  q5_k_m: {
    base: "q5_k",
    fileType: 17,
    value: (layer) => more(layer) ? "q6_k" : "q5_k",
    down: (layer) => more(layer) ? "q6_k" : "q5_k",
  },
};

/** Other names of mixes. */
const ALIASES: Readonly<Record<string, string>> = { q3_k: "q3_k_m", q4_k: "q4_k_m", q5_k: "q5_k_m" };

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

/** The names of all mixes that can be made here. */
export function mixNames(): string[] {
  const can = new Set(makeable().map(nameOf));
  const all: Layer[] = [0, 4, 16].flatMap((index) => [1, 4].map((groups) => ({ index, count: 32, groups })));
  return Object.entries(MIXES).filter(([, mix]) =>
    [mix.base, mix.attentionOutput, ...all.flatMap((layer) => [mix.value?.(layer), mix.down?.(layer)])]
      .every((format) => format === undefined || can.has(format))
  ).map(([name]) => name);
}

/** Chooses formats for the tensors of a model by a mix and by rules; of rules that fit, the last one holds. */
export class Plan {
  /** `general.file_type` of the file to be made. */
  readonly fileType: number;
  readonly #mix: Mix;
  readonly #rules: readonly TensorRule[];
  readonly #layers: number;
  readonly #groups: number;
  readonly #tied: boolean;

  constructor(type: string, rules: readonly TensorRule[], tensors: readonly SourceTensor[], groups: number) {
    const lower = type.toLowerCase();
    const name = ALIASES[lower] ?? lower;
    if (!mixNames().includes(name)) refuseOption("type", mixNames().join(", "), type);
    this.#mix = MIXES[name];
    this.fileType = this.#mix.fileType;
    this.#rules = rules;
    this.#groups = groups;
    this.#layers = Math.max(0, ...tensors.map(({ name }) => 1 + Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1)));
    this.#tied = !tensors.some(({ name }) => name === "output.weight");
    for (const { pattern } of rules) {
      if (!tensors.some(({ name }) => name.includes(pattern))) {
        refuseOption("tensorTypes", "a part of the name of a tensor in the file", pattern);
      }
    }
  }

  /** The format of a tensor; undefined: as it is. */
  formatFor({ name, dims }: SourceTensor): QuantizedFormat | undefined {
    if (dims.length < 2 || !name.endsWith(".weight") || /norm|ffn_gate_inp/.test(name)) return undefined;
    const rule = this.#rules.findLast(({ pattern }) => name.includes(pattern));
    if (rule !== undefined) return rule.format;
    const { base, value, down, attentionOutput } = this.#mix;
    if (name === "output.weight" || (this.#tied && name === "token_embd.weight")) return outputFormat(base);
    const index = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
    const layer = { index, count: this.#layers, groups: this.#groups };
    if (name.endsWith(".attn_v.weight") && value !== undefined) return value(layer);
    if (/\.ffn_down(_exps)?\.weight$/.test(name) && down !== undefined) return down(layer);
    if (name.endsWith(".attn_output.weight") && attentionOutput !== undefined) return attentionOutput;
    return base;
  }
}

/** The matrix that makes the logits: Q6_K, unless most have more bits than that; Q8_0 where Q6_K cannot be made. */
function outputFormat(base: QuantizedFormat): QuantizedFormat {
  if (["f32", "f16", "bf16", "q8_0"].includes(base)) return base;
  return makeable().some((format) => nameOf(format) === "q6_k") ? "q6_k" : "q8_0";
}
