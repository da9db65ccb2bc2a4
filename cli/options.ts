/**
 * The arguments of the command, as one table: which subcommand takes which options, of what kind, within what range.
 * Parsing, checking and the help text all come from it. The splitting into words is `node:util`'s, which both runtimes
 * have; what a word means is decided here, so that messages are the same on both.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { collectFields } from "../src/converting/collect_importance.ts";
import { quantizeFileFields } from "../src/converting/convert.ts";
import { generateFields } from "../src/batching/request_options.ts";
import { embedderFields, embedFields, rerankFields } from "../src/embedding/options.ts";
import { lightGptFields } from "../src/lightgpt/options.ts";
import { loadFields } from "../src/model/model.ts";
import { packedFields } from "../src/model/packed/options.ts";
import { perplexityFields } from "../src/measuring/perplexity.ts";
import { nearestName } from "../src/options/suggest.ts";
import { tuneFields } from "../src/tuning/options.ts";
import { Arguments, type Value } from "./arguments.ts";
import { benchCommand } from "./bench_options.ts";
import { flagsOf } from "./flags.ts";
import { modelCommands } from "./model_options.ts";
import { SAMPLING } from "./sampling.ts";
import { batchCommand, gatewayCommand, serveCommand, topCommand, workerCommand } from "./serve_options.ts";
import { TOOLS } from "./tools.ts";
import { type CommandSpec, type OptionSpec, UsageError } from "./types.ts";

const JSON_FLAG: OptionSpec = { kind: "flag", about: "print one JSON value instead of text" };
const MODEL: OptionSpec = {
  kind: "text",
  value: "MODEL",
  about: "a GGUF file, or a name such as smollm2:135m or hf:user/repo:Q4_K_M (default: the embedded model)",
};
const MODEL_OF_TEXTS: OptionSpec = {
  kind: "text",
  value: "MODEL",
  required: true,
  about: "a GGUF file that embeds or ranks texts",
};
/** A model in place of `--model`, for subcommands without another argument. */
const MODEL_ARGUMENT = { name: "MODEL", required: false, sets: "model" } as const;

/** The options of every subcommand that computes with a model. */
const COMMON: Readonly<Record<string, OptionSpec>> = {
  model: MODEL,
  ...flagsOf(lightGptFields),
  tune: { kind: "flag", about: "measure the settings that suit this machine, unless that was done (at most 10 s)" },
};

const ALLOW_UNKNOWN = flagsOf(lightGptFields, ["allowUnknownPreTokenizer"]);

/** The options of subcommands that generate. */
const GENERATION: Readonly<Record<string, OptionSpec>> = {
  ...flagsOf(generateFields, ["maxTokens", "draft", "constraint"]),
  ...SAMPLING,
};

/** The options of the subcommands that are about the machine and not about a text. */
const MACHINE: Readonly<Record<string, OptionSpec>> = {
  model: MODEL,
  ...flagsOf(lightGptFields, ["threads", "context", "kv", "activations"]),
};

const { least: tuneMsLeast = 0, most: tuneMsMost = 0 } = tuneFields.tuneMs.range ?? {};

/** The subcommands by name. */
export const COMMANDS: Readonly<Record<string, CommandSpec>> = {
  run: {
    about: "continue a prompt; without one it is read from standard input, if that is a pipe",
    argument: { name: "PROMPT", required: false },
    options: {
      ...COMMON,
      ...GENERATION,
      ...TOOLS,
      json: JSON_FLAG,
    },
  },
  chat: {
    about: "talk with a model that has a chat template; /help shows what can be typed",
    argument: MODEL_ARGUMENT,
    options: {
      ...COMMON,
      ...GENERATION,
      ...TOOLS,
      system: { kind: "text", value: "TEXT", about: "what the model is told before the conversation" },
      json: JSON_FLAG,
    },
  },
  inspect: {
    about: "show what a model file holds, whether it can run, how, and in what memory",
    argument: { name: "MODEL", required: true },
    options: {
      context: {
        kind: "integer",
        value: "N",
        about: "tell the memory of N tokens, and warn where the model was not trained for them",
      },
      tensors: { kind: "flag", about: "list the tensors too" },
      json: JSON_FLAG,
    },
  },
  tokenize: {
    about: "print the token ids of standard input",
    options: {
      model: MODEL,
      special: { kind: "flag", about: "read special tokens such as <s> in the text as what they name" },
      ...ALLOW_UNKNOWN,
      "no-bos": { kind: "flag", about: "add no token at the beginning or end" },
      json: JSON_FLAG,
    },
  },
  embed: {
    about: "print a vector of each line of standard input, as JSON, by an embedding model",
    options: { model: { ...MODEL_OF_TEXTS }, ...flagsOf(embedderFields), ...flagsOf(embedFields) },
  },
  rerank: {
    about: "print the lines of standard input by how well they answer QUERY",
    argument: { name: "QUERY", required: true },
    options: { model: { ...MODEL_OF_TEXTS }, ...flagsOf(embedderFields), ...flagsOf(rerankFields), json: JSON_FLAG },
  },
  logits: {
    about: "write the logits after some tokens as raw little-endian f32",
    argument: MODEL_ARGUMENT,
    options: {
      ...COMMON,
      tokens: { kind: "ids", value: "1,2,3", required: true, about: "the token ids" },
      out: { kind: "text", value: "FILE", required: true, about: "the file to write" },
      all: { kind: "flag", about: "of every position instead of the last" },
    },
  },
  quantize: {
    about: "make a smaller model file of a GGUF file or a Hugging Face folder",
    argument: { name: "IN", required: true },
    second: "OUT.gguf",
    options: { ...flagsOf(quantizeFileFields), json: JSON_FLAG },
  },
  imatrix: {
    about: "write how much each column of a model's matrices counts, for quantize --imatrix",
    argument: MODEL_ARGUMENT,
    options: {
      model: MODEL,
      ...flagsOf(loadFields, ["context", "allowUnknownPreTokenizer"]),
      ...flagsOf(collectFields),
      file: { kind: "text", value: "TEXT", required: true, about: "the text to read, UTF-8" },
      out: { kind: "text", value: "FILE", required: true, about: "the GGUF file to write" },
      json: JSON_FLAG,
    },
  },
  perplexity: {
    about: "measure how well a model predicts a text",
    argument: MODEL_ARGUMENT,
    options: {
      ...COMMON,
      file: {
        kind: "text",
        value: "TEXT",
        about: "the text, UTF-8; with --kl-divergence it may be left out, and is compared with that of the base",
      },
      ...flagsOf(perplexityFields),
      "kl-divergence": {
        kind: "flag",
        about: "read --kl-divergence-base, which this command or llama-perplexity wrote: how far the model is from it",
      },
      compare: { kind: "text", value: "OTHER", about: "a GGUF file, the reference: how far the model is from it" },
      json: JSON_FLAG,
    },
  },
  pack: {
    about: "keep a model's packed weights on disk, so that it starts at once; list, check, remove",
    argument: { name: "FILE", required: false },
    options: {
      list: { kind: "flag", about: "list what is kept" },
      check: { kind: "flag", about: "compare what is kept, or that of FILE, with the sums it was written with" },
      remove: { kind: "flag", about: "remove that of FILE" },
      all: { kind: "flag", about: "with --remove: all that is kept" },
      ...flagsOf(packedFields),
      json: JSON_FLAG,
    },
  },
  tune: {
    about: "measure the settings that make a model run fastest on this machine, and keep them",
    argument: MODEL_ARGUMENT,
    options: {
      ...MACHINE,
      threads: {
        ...MACHINE.threads as OptionSpec,
        about: "use at most N threads (default: the processors that may be used)",
      },
      seconds: {
        kind: "number",
        value: "S",
        least: tuneMsLeast / 1000,
        most: tuneMsMost / 1000,
        about: `take at most S seconds (default: ${tuneMsMost / 1000})`,
      },
      json: JSON_FLAG,
    },
  },
  info: {
    about: "show what this machine can do, and which settings were measured for a model",
    argument: MODEL_ARGUMENT,
    options: { ...MACHINE, json: JSON_FLAG },
  },
  bench: { ...benchCommand(COMMON, JSON_FLAG), argument: MODEL_ARGUMENT },
  serve: { ...serveCommand(COMMON), argument: MODEL_ARGUMENT },
  worker: { ...workerCommand(COMMON), argument: MODEL_ARGUMENT },
  gateway: gatewayCommand(),
  ...modelCommands(JSON_FLAG),
  top: topCommand(JSON_FLAG),
  batch: batchCommand(COMMON),
};

/** Reads the words after a subcommand's name; throws a {@link UsageError} for anything that the table doesn't have. */
export function parseCommand(name: string, words: readonly string[]): Arguments {
  const spec = COMMANDS[name];
  const options = Object.fromEntries(
    Object.entries(spec.options).map((
      [key, { kind, short }],
    ) => [key, { type: kind === "flag" ? "boolean" : "string", ...(short === undefined ? {} : { short }) } as const]),
  );
  // Not strict: a negative number is then a value like any other, and the messages are ours.
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true });
  const values = new Map<string, Value>();
  let argument: string | undefined;
  let second: string | undefined;
  for (const token of tokens) {
    if (token.kind === "option") {
      const option = Object.hasOwn(spec.options, token.name) ? spec.options[token.name] : undefined;
      if (option === undefined) throw new UsageError(unknownOption(name, spec, token.name, token.rawName));
      const before = values.get(token.name);
      if (before !== undefined && !Array.isArray(before)) throw new UsageError(`${token.rawName} is given twice`);
      const value = read(token.rawName, option, token.value);
      values.set(token.name, Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value);
    } else if (token.kind === "positional") {
      if (spec.argument === undefined) {
        throw new UsageError(`unexpected argument "${token.value}"${suggest(name, spec)}`);
      }
      if (argument !== undefined && second === undefined && spec.second !== undefined) {
        second = token.value;
        continue;
      }
      if (argument !== undefined) {
        throw new UsageError(
          `a second ${spec.argument.name}, "${token.value}"; put quotes around one of several words`,
        );
      }
      argument = token.value;
      const { sets } = spec.argument;
      if (sets !== undefined && values.has(sets)) {
        throw new UsageError(`${spec.argument.name} and --${sets} are both given`);
      }
      if (sets !== undefined) values.set(sets, token.value);
    }
  }
  for (const [key, option] of Object.entries(spec.options)) {
    if (option.required && !values.has(key)) throw new UsageError(`${name} needs --${key} ${option.value}`);
  }
  if (spec.argument?.required && argument === undefined) throw new UsageError(`${name} needs ${spec.argument.name}`);
  if (spec.second !== undefined && second === undefined) throw new UsageError(`${name} needs ${spec.second} too`);
  return new Arguments(values, argument, second);
}

const idsForm = "token ids with commas between them";

/** Says which option may be meant; with none near, which there are. */
function unknownOption(name: string, spec: CommandSpec, key: string, shown: string): string {
  const nearest = nearestName(key, Object.keys(spec.options));
  if (nearest === undefined) return `unknown option ${shown}${suggest(name, spec)}`;
  return `unknown option ${shown}; did you mean --${nearest}? lightgpt ${name} --help lists them all`;
}

function suggest(name: string, spec: CommandSpec): string {
  return `; ${name} takes ${Object.keys(spec.options).map((key) => `--${key}`).join(", ")}`;
}

function read(name: string, spec: OptionSpec, value: string | undefined): Value {
  if (spec.kind === "flag") {
    if (value !== undefined) throw new UsageError(`${name} takes no value, got "${value}"`);
    return true;
  }
  const refuse = (expected: string) => {
    return new UsageError(`${name} needs ${expected}, got ${value === undefined ? "nothing" : `"${value}"`}`);
  };
  if (value === undefined || value === "") throw refuse(spec.kind === "ids" ? idsForm : spec.value ?? "a value");
  switch (spec.kind) {
    case "integer":
    case "number": {
      const form = spec.kind === "integer" ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
      const number = form.test(value) ? Number(value) : NaN;
      const { least = -Infinity, above = -Infinity, most = Infinity } = spec;
      if (!(number >= least && number > above && number <= most)) throw refuse(describeRange(spec));
      return number;
    }
    case "seed": {
      const seed = /^\d{1,20}$/.test(value) ? BigInt(value) : -1n;
      if (seed < 0n || seed >= 1n << 64n) throw refuse("an integer from 0 to 18446744073709551615");
      return seed;
    }
    case "choice":
      if (!spec.choices?.includes(value)) throw refuse(spec.choices?.join(", ") ?? "");
      return value;
    case "ids": {
      const ids = value.split(",").map((word) => /^\s*\d{1,10}\s*$/.test(word) ? Number(word) : NaN);
      if (!ids.every((id) => id < 2 ** 32)) throw refuse(idsForm);
      return Uint32Array.from(ids);
    }
    case "list":
      return [value];
    case "counts": {
      const { least = 0, most = 0xffff_ffff } = spec;
      const counts = value.split(",").map((word) => /^\d{1,10}$/.test(word) ? Number(word) : NaN);
      if (!counts.every((count) => count >= least && count <= most)) {
        throw refuse(`integers from ${least} to ${most} with commas between them`);
      }
      return Uint32Array.from(counts);
    }
    case "text":
      return value;
  }
}

function describeRange({ kind, least, above, most, expected }: OptionSpec): string {
  if (expected !== undefined) return expected;
  const what = kind === "integer" ? "an integer" : "a number";
  return above === undefined ? `${what} from ${least} to ${most}` : `${what} above ${above} and at most ${most}`;
}
