/**
 * What the command's options say an answer must be: a schema or a grammar in a file, or a regular expression.
 *
 * @module
 */
import { LightGPTError } from "../ffi/errors.ts";
import type { Completion } from "../src/batching/completion.ts";
import { type ConstraintOptions, grammarOf, readConstraint } from "../src/grammar/options.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";
import { generateFields, type GenerateOptions } from "../src/batching/request_options.ts";
import type { Arguments } from "./arguments.ts";
import { readJson, readText } from "./files.ts";
import { type FlagReaders, optionsFrom } from "./flags.ts";
import { UsageError } from "./types.ts";

const { constraint } = generateFields;
const kinds = ["schema", "regex", "grammar"];

const readers: FlagReaders = {
  schema: (path) => readJson("--schema", path, "a JSON schema"),
  grammar: (path) => readText("--grammar", path),
};

/** What the flags ask for; the files that they name are read. */
export function constraintOptions(args: Arguments): Pick<GenerateOptions, "constraint"> {
  const flags = kinds.filter((kind) => args.flag(kind)).map((kind) => `--${kind}`);
  if (flags.length > 1) throw new UsageError(`${flags.join(" and ")}: an answer can be held to one of them`);
  if (args.flag("syntax") && !args.flag("grammar")) throw new UsageError("--syntax is of --grammar, which is missing");
  return optionsFrom<GenerateOptions>(args, { constraint }, readers);
}

/** Throws where the constraint cannot be had; what is compiled is kept for the answers. */
export async function checkConstraint(
  constraint: ConstraintOptions | undefined,
  tokenizer: Tokenizer,
): Promise<void> {
  if (constraint !== undefined) await grammarOf(readConstraint(constraint, "constraint"), tokenizer);
}

/** Throws where an answer was cut before it was what its constraint asks for: a program that reads it must know. */
export async function assertWhole(
  constraint: ConstraintOptions | undefined,
  { text, stopReason }: Completion,
  tokenizer: Tokenizer,
): Promise<void> {
  if (constraint === undefined || stopReason === "endOfText") return;
  const matcher = (await grammarOf(readConstraint(constraint, "constraint"), tokenizer)).matcher();
  if (matcher.follow(new TextEncoder().encode(text)) && matcher.isComplete) return;
  const where = stopReason === "context" ? "--context" : "--max-tokens";
  throw new LightGPTError("incomplete", `The answer is incomplete: ${where} cut it before it was what it must be.`, {
    what: "an answer that was cut",
    where,
    expected: "more room",
  });
}
