/**
 * Damaged files that TypeScript finds nothing wrong with, through the native loader: it checks all of it again, and has to
 * cope with any weights.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LightGPT, LightGPTError } from "../mod.ts";
import { headerLength, isAccepted, mutate } from "./mutations.ts";

/** Loads `count` damaged files and computes a little with each; returns how many that went well for. */
export async function loadMutations(
  paths: readonly string[],
  firstSeed: number,
  count: number,
): Promise<{ loaded: number; refused: number }> {
  const bases = paths.map((path) => new Uint8Array(readFileSync(path)));
  const headers = bases.map((bytes) => headerLength(bytes));
  const directory = mkdtempSync(join(tmpdir(), "lightgpt-mutations-"));
  const outcome = { loaded: 0, refused: 0 };
  try {
    for (let seed = firstSeed; outcome.loaded + outcome.refused < count; seed++) {
      const bytes = mutate(bases, headers, seed);
      if (!isAccepted(bytes)) continue;
      const path = join(directory, `${seed}.gguf`);
      writeFileSync(path, bytes);
      try {
        await using lm = await LightGPT.load(path, { context: 64, threads: 1 });
        await lm.logits([1, 2, 3]);
        outcome.loaded++;
      } catch (error) {
        if (!(error instanceof LightGPTError)) throw error;
        outcome.refused++;
      }
      rmSync(path);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return outcome;
}
