/**
 * The options about choosing tokens, by the names that users of llama.cpp know, and what they come to.
 *
 * @module
 */
import { refuseOption } from "../src/options/checks.ts";
import type { SamplingMethod, SamplingOptions } from "../src/sampling/options.ts";
import type { Arguments } from "./arguments.ts";
import type { OptionSpec } from "./types.ts";

const number = (value: string, least: number, most: number, about: string): OptionSpec => {
  return { kind: "number", value, least, most, about };
};
const integer = (value: string, least: number, most: number, about: string): OptionSpec => {
  return { kind: "integer", value, least, most, about };
};
const share = (about: string): OptionSpec => ({ kind: "number", value: "P", above: 0, most: 1, about });

/** The options of every subcommand that generates. */
export const SAMPLING: Readonly<Record<string, OptionSpec>> = {
  temperature: number("T", 0, 1e9, "0 is greedy (default: 0.8)"),
  "top-k": integer("K", 0, 2 ** 32 - 1, "the K likeliest; 0 is all (default: 40)"),
  "top-p": share("the likeliest of sum P; 1 is all (default: 0.95)"),
  "min-p": number("P", 0, 1, "those at least P times as likely as the likeliest (default: 0, all)"),
  typical: share("those of the most expected surprise of sum P (default: 1, all)"),
  "top-nsigma": number("N", 0, 1e9, "those within N standard deviations of the greatest logit (default: 0, all)"),
  "xtc-probability": number("P", 0, 1, "how often XTC removes the likeliest (default: 0)"),
  "xtc-threshold": number("P", 0, 0.5, "of which probability (default: 0.1)"),
  "repeat-penalty": {
    kind: "number",
    value: "R",
    above: 0,
    most: 1e9,
    about: "for tokens that occurred (default: 1, none)",
  },
  "presence-penalty": number("R", -1e9, 1e9, "subtracted once for a token that occurred (default: 0)"),
  "frequency-penalty": number("R", -1e9, 1e9, "subtracted each time (default: 0)"),
  "repeat-last-n": integer("N", 1, 2 ** 30, "among the last N tokens (default: 64)"),
  "dry-multiplier": number("M", 0, 1e9, "how strongly DRY punishes repetitions (default: 0, not)"),
  "dry-base": number("B", 1, 1e9, "how its penalty grows (default: 1.75)"),
  "dry-allowed-length": integer("N", 1, 2 ** 30, "shorter repetitions are free (default: 2)"),
  "dry-penalty-last-n": integer("N", 1, 2 ** 30, "among the last N tokens (default: all)"),
  "dry-sequence-breaker": {
    kind: "text",
    value: "TEXT",
    about: "tokens with this text end a repetition (default: none)",
  },
  "dynatemp-range": number("R", 0, 1e9, "temperature by entropy, up to R lower or higher (default: 0)"),
  "dynatemp-exp": number("E", 0, 100, "bends it (default: 1)"),
  mirostat: { kind: "choice", value: "2", choices: ["0", "2"], about: "2 keeps the surprise steady (default: 0)" },
  "mirostat-ent": number("TAU", 0, 1000, "at so many bits (default: 5)"),
  "mirostat-lr": number("ETA", 0, 10, "learning at this rate (default: 0.1)"),
  "logit-bias": { kind: "text", value: "ID+BIAS,...", about: "added to logits of tokens: 15043+1,29871-0.5" },
  samplers: { kind: "text", value: "NAME;...", about: "the methods in their order (default: llama.cpp's)" },
  seed: { kind: "seed", value: "S", about: "an integer from 0 to 2^64 - 1 (default: a random one, reported)" },
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

/** What the options of a subcommand say about choosing tokens. */
export function samplingOptions(args: Arguments): SamplingOptions {
  const penalties = group(args, {
    repetition: "repeat-penalty",
    presence: "presence-penalty",
    frequency: "frequency-penalty",
    window: "repeat-last-n",
  });
  const dry = group(args, {
    multiplier: "dry-multiplier",
    base: "dry-base",
    allowedLength: "dry-allowed-length",
    window: "dry-penalty-last-n",
  });
  const breaker = args.text("dry-sequence-breaker");
  const mirostat = group(args, { tau: "mirostat-ent", eta: "mirostat-lr" });
  if (args.text("mirostat") !== "2" && mirostat) refuseOption("--mirostat-ent, --mirostat-lr", "--mirostat 2", "none");
  const bias = args.text("logit-bias");
  const samplers = args.text("samplers");
  const seed = args.seed("seed");
  const options: Record<string, unknown> = {
    temperature: args.number("temperature"),
    topK: args.number("top-k"),
    topP: args.number("top-p"),
    minP: args.number("min-p"),
    typicalP: args.number("typical"),
    topNSigma: args.number("top-nsigma"),
    xtc: group(args, { probability: "xtc-probability", threshold: "xtc-threshold" }),
    penalties,
    dry: breaker === undefined ? dry : { ...dry, breakers: [breaker] },
    dynamicTemperature: group(args, { range: "dynatemp-range", exponent: "dynatemp-exp" }),
    mirostat: args.text("mirostat") === "2" ? mirostat ?? {} : undefined,
    bias: bias === undefined ? undefined : readBias(bias),
    order: samplers === undefined ? undefined : samplers.split(";").map(readMethod),
    seed,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** The numbers of some options under other names; undefined where none was given. */
function group(args: Arguments, names: Readonly<Record<string, string>>): Record<string, number> | undefined {
  const found = Object.entries(names).flatMap(([key, name]) => {
    const value = args.number(name);
    return value === undefined ? [] : [[key, value] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
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
