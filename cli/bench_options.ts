/**
 * The options of `lightgpt bench`.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./types.ts";

/** One or more counts, with a letter for the option. */
function several(short: string, about: string): OptionSpec {
  return { kind: "counts", short, value: "N,...", least: 1, most: 1 << 20, about };
}

/** The subcommand, made of the options that all with a model have in `common`. */
export function benchCommand(common: Readonly<Record<string, OptionSpec>>, json: OptionSpec): CommandSpec {
  return {
    about: "measure how fast a model runs on this machine, alone or beside a baseline",
    options: {
      ...common,
      prompt: several("p", "read prompts of so many tokens (default: 512, or what the context holds)"),
      tokens: { ...several("n", "generate so many tokens (default: 64)"), kind: "integer", value: "N" },
      batch: { ...several("b", "generate in so many sequences at once (default: 1,4,16)"), most: 1024 },
      repeats: {
        ...several("r", "measure so often, for the median (default: 3)"),
        kind: "integer",
        value: "N",
        most: 1000,
      },
      baseline: {
        kind: "text",
        value: "scalar|FILE",
        about: "compare with the same model on plain instructions, or with another file, taking turns",
      },
      text: { kind: "text", value: "FILE", about: "what accuracy is measured on (default: what the baseline tells)" },
      svg: { kind: "text", value: "FILE", about: "draw the comparison; needs the package echarts" },
      json,
    },
  };
}
