/**
 * `lightgpt logits`: raw logits in a file, for comparison with other engines.
 *
 * @module
 */
import { ResultFile } from "./files.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { note } from "./output.ts";

/** Runs the subcommand. */
export async function logits(args: Arguments, signal: AbortSignal): Promise<void> {
  const tokens = args.ids("tokens");
  const out = args.text("out");
  if (tokens === undefined || out === undefined) throw new UsageError("logits needs --tokens and --out");
  using file = new ResultFile("--out", out);
  await using lm = await openModel(args, signal);
  const values = await lm.logits(tokens, { all: args.flag("all"), signal });
  file.write(littleEndian(values));
  note(`${values.length} values of ${args.flag("all") ? tokens.length : 1} positions in ${out}`);
}

/** The bytes of the file, whatever order the machine has. */
export function littleEndian(values: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return new Uint8Array(view.buffer);
}
