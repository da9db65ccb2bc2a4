/**
 * A logits processor: a function that changes what may come next. This one lets the model use no word with the letter it
 * is given, and so writes a lipogram.
 *
 *     deno run -A examples/processor.ts o                (or: bun examples/processor.ts o)
 */
import process from "node:process";
import { LightGPT } from "../mod.ts";

const letter = process.argv[2] ?? "o";
await using lm = await LightGPT.load();
const banned: number[] = [];
for (let token = 0; token < lm.model.vocabulary; token++) {
  if (lm.detokenize([token]).toLowerCase().includes(letter)) banned.push(token);
}

const { text } = await lm.complete("There was a little girl named Lily.", {
  maxTokens: 60,
  sampling: { seed: 1 },
  logitsProcessor(logits) {
    for (const token of banned) logits[token] = -Infinity;
  },
});
console.log(text.trim());
