/**
 * `lightgpt tokenize`: the token ids of standard input. It reads the header of the file only, no weights.
 *
 * @module
 */
import { readGguf } from "../src/files/gguf/read.ts";
import { fetchEmbeddedModel } from "../src/files/embedded.ts";
import { loadTokenizer } from "../src/text/tokenizer/load.ts";
import { modelPath } from "./download.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { print, readInput, toJson } from "./output.ts";

/** Runs the subcommand. */
export async function tokenize(args: Arguments, signal: AbortSignal): Promise<void> {
  const text = await readInput(signal);
  if (text === undefined) throw new UsageError("tokenize reads standard input; give it a text through a pipe");
  const tokenizer = await loadTokenizer(
    readGguf(await modelPath(args.text("model") ?? await fetchEmbeddedModel(), signal)),
    {
      allowUnknownPreTokenizer: args.flag("allow-unknown-pre-tokenizer"),
      signal,
    },
  );
  const ids = Array.from(
    await tokenizer.encodeAsync(text, { addSpecial: !args.flag("no-bos"), parseSpecial: args.flag("special"), signal }),
  );
  await print(args.flag("json") ? toJson(ids) : `${ids.join(" ")}\n`);
}
