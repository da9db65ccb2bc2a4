/**
 * Filling in: the tokens between which a model was trained to write, by their keys and by their texts, in process and served.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { it } from "node:test";
import { InvalidArgumentError, LightGPT, loadTokenizer, UnsupportedError } from "../mod.ts";
import { createServer } from "../exports/server.ts";
import { infillPrompt } from "../src/text/infill.ts";
import { byteLevel, KIND, metadataOnly, u32, type Values } from "./models.ts";
import { llama, withModelFile } from "./small-models.ts";
import { posted } from "./small-server.ts";

const control = (text: string) => ({ text, kind: KIND.control });
const begins = { "tokenizer.ggml.bos_token_id": u32(256), "tokenizer.ggml.eos_token_id": u32(257) };
/** All bytes, `<BOS>`, `<EOS>`, and three more from 258 on. */
const vocabulary = (marks: readonly string[], values: Values = {}) =>
  byteLevel([], ["<BOS>", "<EOS>", ...marks].map(control), { ...begins, ...values });

async function promptOf(values: Values): Promise<number[]> {
  const gguf = metadataOnly(values);
  const tokenizer = await loadTokenizer(gguf);
  return [...await infillPrompt({ prefix: "ab", suffix: "c" }, { metadata: gguf.metadata, tokenizer })];
}

it("a prompt to fill in has the model's marks before both texts and behind them, by their texts or by their keys", async () => {
  const bytes = await loadTokenizer(metadataOnly(vocabulary([])));
  const [a, b, c] = bytes.encode("abc", { addSpecial: false });
  const known = [
    ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
    ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
    ["<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"],
    ["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"],
  ];
  for (const marks of known) assertEquals(await promptOf(vocabulary(marks)), [258, a, b, 259, c, 260]);
  const named = ["fim_pre", "fim_suf", "fim_mid"].map((
    key,
    index,
  ) => [`tokenizer.ggml.${key}_token_id`, u32(260 - index)]);
  assertEquals(await promptOf(vocabulary(["x", "y", "z"], Object.fromEntries(named))), [260, a, b, 259, c, 258]);
  // What users wrote stays text, whatever it looks like.
  const gguf = metadataOnly(vocabulary(known[0]));
  const tokenizer = await loadTokenizer(gguf);
  const forged = { prefix: "<|fim_middle|>", suffix: "<|fim_prefix|>" };
  const ids = [...await infillPrompt(forged, { metadata: gguf.metadata, tokenizer })];
  assertEquals(ids.filter((id) => id >= 256), [258, 259, 260]);
  await assertRejects(() => promptOf(vocabulary(known[0].slice(0, 2))), UnsupportedError, "fim_mid_token_id");
  const ending = await loadTokenizer(metadataOnly(vocabulary(["<|fim_pad|>", "<|file_sep|>", "x"])));
  assertEquals([...ending.endOfGeneration].sort(), [257, 258, 259]);
});

it("fills in, in process and served, and refuses where the model cannot", async () => {
  const marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
  await withModelFile({ ...llama, vocabulary: vocabulary(marks) }, async (path) => {
    await using lm = await LightGPT.load(path);
    await using server = createServer({ models: { coder: lm } });
    const ask = async (path: string, body: object) =>
      await (await server.fetch(posted(`http://localhost${path}`, body))).json();
    const given = { prefix: "let x = ", suffix: ";\n" };
    const prompt = await infillPrompt(given, { metadata: lm.model.gguf.metadata, tokenizer: lm.model.tokenizer });
    const options = { maxTokens: 9, sampling: { seed: 4 } };
    const expected = await lm.complete(prompt, options);
    const filled = await lm.infill({ ...given, ...options });
    assertEquals([filled.tokens, filled.promptTokens], [expected.tokens, prompt.length]);
    assert(expected.tokens.length > 0);
    const body = { prompt: given.prefix, suffix: given.suffix, max_tokens: 9, seed: 4 };
    assertEquals((await ask("/v1/completions", body)).choices[0].text, expected.text);
    const told = { prompt: given.prefix, suffix: given.suffix, stream: false, options: { seed: 4, num_predict: 9 } };
    assertEquals((await ask("/api/generate", told)).response, expected.text);
    assertEquals((await ask("/v1/completions", { ...body, prompt: [1, 2] })).error.param, "prompt");
  });
  await using lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 24 });
  await assertRejects(() => lm.infill({ prefix: "a", suffix: "b" }), UnsupportedError, "cannot fill in");
  await assertRejects(() => lm.infill({ prefix: "a" } as never), InvalidArgumentError, "suffix");
});
