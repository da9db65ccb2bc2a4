/**
 * A little of everything, as facts that must be the same wherever LightGPT runs: `arm64.js` and `release.js` compare what it
 * prints. Its one argument is the module to try: a path, or a package's name.
 *
 * @module
 */
import { createHash } from "node:crypto";
import process from "node:process";

const { LightGPT, Quantizer, Sampler, TokenCache } = await import(process.argv[2]) as typeof import("../mod.ts");

function sum(...parts: ArrayBufferView[]): string {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of parts) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest("hex");
}

const facts: Record<string, unknown> = {};
{
  await using lm = await LightGPT.load();
  const { text } = await lm.complete("Once upon a time", { maxTokens: 40, sampling: { temperature: 0 } });
  facts.greedy = text;
  const drawn = await lm.complete("The red fox", {
    maxTokens: 40,
    sampling: { temperature: 0.9, minP: 0.02, seed: 7 },
  });
  facts.drawn = drawn.text;
  facts.logits = sum(await lm.logits(lm.tokenize("The red fox ran over the hill."), { all: true }));
  const prompts = ["A cat", "A dog", "One day, a", "The moon"];
  const texts: string[] = [];
  for await (const { index, completion } of lm.batcher.map(prompts, { maxTokens: 12, sampling: { seed: 3 } })) {
    texts[index] = completion?.text ?? "";
  }
  facts.batch = texts;
  const template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  let answer = "";
  const messages = [{ role: "user", content: "Tell me of a fox." }];
  for await (const piece of lm.chat(messages, { template, maxTokens: 12, sampling: { seed: 1 } })) answer += piece;
  facts.chat = answer;
}

const values = Float32Array.from({ length: 4096 }, (_, i) => Math.fround(((i * 7919) % 2003) / 1001.5 - 1));
for (const format of ["q4_0", "q8_0", "q6_k", "iq4_nl"] as const) {
  const quantizer = new Quantizer();
  const tensor = await quantizer.quantize(values, { format, shape: [4, 1024] });
  facts[format] = sum(await quantizer.dequantize(tensor), await quantizer.matvec(tensor, values.subarray(0, 1024)));
}

const sampler = new Sampler({ temperature: 0.8, topP: 0.9, seed: 5 });
facts.sampler = Array.from({ length: 8 }, (_, i) => sampler.sample(values.subarray(64 * i, 64 * i + 64)));
const cache = new TokenCache<string>({ pageSize: 8 });
cache.insert([1, 2, 3, 4, 5, 6, 7, 8], ["one to eight"]);
facts.cache = cache.lookup([1, 2, 3, 4, 5, 6, 7, 8, 9]).tokens;

console.log(JSON.stringify(facts, null, 2));
