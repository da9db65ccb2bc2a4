/**
 * The same bits from a real model, whatever computes them: one hash over logits and chosen tokens, made in ways that must
 * not matter. `exact.test.ts` runs it on each runtime and level and compares with `exact.json`.
 *
 *     bun test/real/exact.ts > test/real/exact.json
 *
 * writes the hashes anew; a hash that changes is a change of results.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { LightGPT, type LightGPTOptions } from "../../mod.ts";
import { reckonProcessors } from "../../src/engine/threads_option.ts";
import { realModel } from "./models.ts";

/** The models of the hashes. */
export const exactRealModels = ["smollm2", "gemma3"] as const;

/** What must not matter. */
export interface Way {
  readonly options: LightGPTOptions;
  /** Whether the requests run at once. */
  readonly beside: boolean;
  /** Whether memory is so short that requests lose their pages and read their tokens again. */
  readonly preempts?: true;
}

/** One of each kind: threads, chunks, pages, alone and in a batch of 8, with cache hits and without, with preemption. */
export const ways: readonly Way[] = [
  { options: { threads: 1 }, beside: false },
  { options: { threads: 3, chunkTokens: 7, pageSize: 16 }, beside: true },
  // Five or six pages, where eight requests of two or three pages each want to grow. The chunk is named, since the one that
  // this machine was tuned to decides how many of them begin together.
  {
    options: { threads: 1, chunkTokens: 32, context: 64, pageSize: 16, kvBytesMax: 1_900_000 },
    beside: true,
    preempts: true,
  },
  { options: { threads: 2, cache: false, pageSize: 64 }, beside: true },
];

const text = "The quick brown fox jumps over the lazy dog, and the dog, who has seen many a fox, does not get up. ";

/** The hash of what a model gives in one way. */
export async function realHash(path: string, { options, beside, preempts }: Way): Promise<string> {
  await using lm = await LightGPT.load(path, { context: 256, ...options });
  const prompts = Array.from({ length: 8 }, (_, index) => lm.tokenize(text.repeat(1 + index % 2) + index));
  const request = (prompt: Uint32Array, index: number) =>
    lm.complete(prompt, {
      maxTokens: 8,
      sampling: index % 2 === 0 ? { temperature: 0 } : { temperature: 1, topK: 50, seed: BigInt(index) },
    });
  const completions = beside ? await Promise.all(prompts.map(request)) : [];
  if (!beside) { for (const [index, prompt] of prompts.entries()) completions.push(await request(prompt, index)); }
  // Once more: now the beginning is in the cache, where there is one.
  completions.push(await request(prompts[1]!, 1));
  if (preempts && lm.batcher.stats().preemptions === 0) throw new Error(`${path}: no request lost its pages`);
  const hash = createHash("sha256");
  for (const { tokens } of completions) hash.update(`${tokens.join(" ")}\n`);
  hash.update(new Uint8Array((await lm.logits(prompts[0]!)).buffer));
  return hash.digest("hex");
}

/**
 * The hash of each of the models `names` that is there; throws where two ways differ. `most` limits the ways, which is for
 * slow levels.
 */
export async function realHashes(
  names: readonly (typeof exactRealModels)[number][] = exactRealModels,
  most: number = ways.length,
): Promise<Record<string, string>> {
  reckonProcessors(3);
  const hashes: Record<string, string> = {};
  for (const name of names) {
    const path = realModel(name);
    if (path === undefined) continue;
    for (const way of ways.slice(-most)) {
      const hash = await realHash(path, way);
      hashes[name] ??= hash;
      if (hashes[name] !== hash) throw new Error(`${name}: ${JSON.stringify(way)} gives other bits`);
    }
  }
  return hashes;
}

if (import.meta.main) console.log(JSON.stringify(await realHashes(), undefined, 2));
