/**
 * What `LightGPT` costs from a program's side, on either runtime: tokenizing, reading a prompt, one token, 8 requests at once. mitata
 * repeats each until its figures settle.
 *
 *     deno run -A bench/decode.ts [MODEL]        bun bench/decode.ts [MODEL]
 *
 * @module
 */
import { bench, run } from "mitata";
import process from "node:process";
import { LightGPT } from "../mod.ts";

await using lm = await LightGPT.load(process.argv[2], { cache: false });
const story = "Once upon a time, there was a little girl named Lily. She lived in a house by the bridge. ";
const prompt = lm.tokenize(story.repeat(40)).slice(0, Math.min(256, lm.context - 64));
/** Greedy, so that every run takes the same path. */
const sampling = { temperature: 0 };

bench("tokenize 3600 characters", () => lm.tokenize(story.repeat(40)));
bench(`read a prompt of ${prompt.length} tokens`, () => lm.complete(prompt, { maxTokens: 1, sampling }));
bench("32 tokens", () => lm.complete(story, { maxTokens: 32, sampling }));
bench(
  "8 requests of 32 tokens at once",
  () => Promise.all(Array.from({ length: 8 }, () => lm.complete(story, { maxTokens: 32, sampling }))),
);

await run();
