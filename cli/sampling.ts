/**
 * The options about choosing tokens that the command has in forms of its own: a list of biases, one of methods by the names of
 * llama.cpp, and the switch of mirostat. The others come from the schema.
 *
 * @module
 */
import { refuseOption } from "../src/options/checks.ts";
import type { SamplingMethod, SamplingOptions } from "../src/sampling/options.ts";
import { samplingFields } from "../src/sampling/schema.ts";
import type { Arguments } from "./arguments.ts";
import { type FlagReaders, flagsOf, optionsFrom } from "./flags.ts";
import type { OptionSpec } from "./types.ts";

/** The options of every subcommand that generates. */
export const SAMPLING: Readonly<Record<string, OptionSpec>> = {
  ...flagsOf(samplingFields),
  mirostat: {
    kind: "choice",
    choices: ["0", "2"],
    about: "2 keeps the surprise of tokens steady, instead of top-k, top-p and the like (default: 0)",
  },
};

/** What llama.cpp calls the methods. */
const methods: Readonly<Record<string, SamplingMethod>> = {
  penalties: "penalties",
  dry: "dry",
  top_n_sigma: "topNSigma",
  top_k: "topK",
  typ_p: "typicalP",
  top_p: "topP",
  min_p: "minP",
  xtc: "xtc",
  temperature: "temperature",
  mirostat: "mirostat",
};

const readers: FlagReaders = {
  "logit-bias": readBias,
  samplers: (text) => text.split(";").map(readMethod),
  "dry-sequence-breaker": (text) => [text],
};

/** What the options of a subcommand say about choosing tokens. */
export function samplingOptions(args: Arguments): SamplingOptions {
  const { mirostat, ...options } = optionsFrom<SamplingOptions>(args, samplingFields, readers);
  if (args.text("mirostat") === "2") return { ...options, mirostat: mirostat ?? {} };
  if (mirostat) refuseOption("--mirostat-ent, --mirostat-lr", "--mirostat 2", "none");
  return options;
}

function readBias(text: string): Map<number, number> {
  return new Map(
    text.split(",").map((part) => {
      const match = /^(\d{1,7})([+-](?:\d+\.?\d*|\.\d+)|-inf)$/.exec(part.trim());
      if (match === null) {
        refuseOption("--logit-bias", "a token id and a number with its sign, such as 15043-1.5", part);
      }
      return [Number(match[1]), match[2].endsWith("inf") ? -Infinity : Number(match[2])];
    }),
  );
}

function readMethod(name: string): SamplingMethod {
  if (!Object.hasOwn(methods, name)) refuseOption("--samplers", `names of ${Object.keys(methods).join(";")}`, name);
  return methods[name];
}
