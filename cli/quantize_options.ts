/**
 * The options of `lightgpt quantize` and `lightgpt imatrix`, which make files of models.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./types.ts";

/** How many tokens are read together. */
export const WINDOW: OptionSpec = {
  kind: "integer",
  value: "N",
  least: 2,
  most: 1 << 20,
  about: "tokens of a window, BOS among them (default: 256)",
};

/** The subcommands by name; `common` are the options of whatever computes with a model. */
export function quantizeCommands(
  common: Readonly<Record<string, OptionSpec>>,
  threads: OptionSpec,
  json: OptionSpec,
): Record<string, CommandSpec> {
  return {
    quantize: {
      about: "make a smaller model file of a GGUF file or a Hugging Face folder",
      argument: { name: "IN", required: true },
      second: "OUT.gguf",
      options: {
        type: { kind: "text", value: "TYPE", required: true, about: "a format or a mix, such as q8_0, q4_0 or q4_k_m" },
        rounding: {
          kind: "choice",
          value: "HOW",
          choices: ["search", "nearest", "calibrated"],
          about: "how scales are found; calibrated goes by what the model reads (default: search)",
        },
        calibrate: {
          kind: "text",
          value: "TEXT",
          about: "a file that is read for that (default: what the model tells)",
        },
        imatrix: { kind: "text", value: "FILE", about: "an importance matrix, which search weighs columns by" },
        outliers: {
          kind: "choice",
          value: "HOW",
          choices: ["keep", "clip"],
          about: "what becomes of values far from their block's mean (default: keep)",
        },
        "outlier-threshold": {
          kind: "number",
          value: "N",
          above: 0,
          most: 1000,
          about: "how far, in standard deviations of the block (default: 3)",
        },
        "tensor-type": {
          kind: "list",
          value: "NAME=TYPE",
          about: "the format of tensors whose names hold NAME; may be given again",
        },
        threads,
        "allow-unknown-pre-tokenizer": common["allow-unknown-pre-tokenizer"],
        json,
      },
    },
    imatrix: {
      about: "write how much each column of a model's matrices counts, for quantize --imatrix",
      options: {
        ...common,
        file: { kind: "text", value: "TEXT", required: true, about: "the text to read, UTF-8" },
        out: { kind: "text", value: "FILE", required: true, about: "the GGUF file to write" },
        window: WINDOW,
        json,
      },
    },
  };
}
