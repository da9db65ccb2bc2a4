/**
 * BPE over text as it is (`gemma4`): ids that llama.cpp (commit de3ff815e) gives for a small vocabulary, the way back, and
 * long lines in time that grows with them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { loadTokenizer } from "./tokenizers.ts";
import { arrayOf, KIND, metadataOnly, text, u32, type Values } from "./models.ts";
import { workedMs } from "./worked.ts";

const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
const characters = [..."▁abcdehlortw12345.\n你好é"];
const merges = [
  ..."h e,he l,hel l,hell o,▁ w,▁w o,▁wo r,▁wor l,▁worl d,t h,th e,1 2,3 4,34 5,你 好,▁ ▁,▁▁ ▁▁,the ▁,l l".split(","),
];
const made = merges.map((merge) => merge.replace(" ", "")).filter((token) => !characters.includes(token));
const tokens = ["<pad>", "<eos>", "<bos>", "<unk>", ...bytes, ...characters, ...made, "\n\n", "\n\n\n"];

/** The vocabulary under a kind, or a pre-tokenizer of byte-level BPE. */
function vocabulary(model: string, pre?: string): Values {
  return {
    "tokenizer.ggml.model": text(model),
    ...(pre === undefined ? {} : { "tokenizer.ggml.pre": text(pre) }),
    "tokenizer.ggml.tokens": arrayOf("string", tokens),
    "tokenizer.ggml.token_type": arrayOf(
      "int32",
      tokens.map((_, id) => id === 3 ? KIND.unknown : id < 3 ? KIND.control : id < 260 ? KIND.byte : KIND.normal),
    ),
    "tokenizer.ggml.merges": arrayOf("string", merges),
    "tokenizer.ggml.bos_token_id": u32(2),
    "tokenizer.ggml.eos_token_id": u32(1),
  };
}

const load = (model: string, pre?: string) => loadTokenizer(metadataOnly(vocabulary(model, pre)));

const texts = [
  "hello world",
  " hello  world",
  "the hello\nthe\n\nhello",
  "\n\n\n\n",
  "12345 你好 é",
  "zx😀",
  "     the",
  "hellll\n\n\nthe ",
];
const gemma4 = [
  [285, 290],
  [260, 285, 260, 290],
  [270, 282, 260, 285, 278, 270, 282, 301, 285],
  [278, 278, 278, 278],
  [293, 295, 260, 296, 260, 281],
  [126, 124, 244, 163, 156, 132],
  [298, 260, 270, 282],
  [284, 300, 302, 270, 282, 260],
];
const sarvam = [
  [285, 290],
  [260, 285, 260, 290],
  [270, 282, 260, 285, 278, 270, 282, 278, 278, 285],
  [278, 278, 278, 278],
  [293, 295, 260, 296, 260, 281],
  [126, 124, 244, 163, 156, 132],
  [298, 260, 270, 282],
  [284, 300, 278, 278, 278, 270, 282, 260],
];

describe("BPE over raw text", () => {
  it("gives llama.cpp's ids, and the texts again", () => {
    const tokenizer = load("gemma4");
    assertEquals(texts.map((text) => [...tokenizer.encode(text)]), gemma4);
    assertEquals(texts.map((text) => tokenizer.decode(tokenizer.encode(text))), texts);
    assertEquals(texts.map((text) => [...load("gpt2", "gemma4").encode(text)]), gemma4);
  });

  it("takes runs of line breaks as tokens in Gemma's family only", () => {
    assertEquals(texts.map((text) => [...load("gpt2", "sarvam-moe").encode(text)]), sarvam);
    assert(JSON.stringify(sarvam) !== JSON.stringify(gemma4));
  });

  it("keeps spaces as they are where the family does not write U+2581", () => {
    const tokenizer = load("gpt2", "whitespace");
    const [t, he] = [tokens.indexOf("t"), tokens.indexOf("he")];
    assertEquals([...tokenizer.encode("the the")], [t, he, 4 + 32, t, he]);
    assertEquals(tokenizer.decode(tokenizer.encode("the the")), "the the");
  });

  it("tokenizes one line of 128 KB while the event loop goes on", async () => {
    for (const line of ["the hello ".repeat(1 << 14), "l".repeat(1 << 17)]) {
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      const begin = workedMs();
      const ids = await load("gemma4").encodeAsync(line);
      clearInterval(timer);
      const took = workedMs() - begin;
      assert(took < 3000, `${took} ms`);
      assert(turns >= Math.floor(took / 200), `${turns} turns in ${took} ms`);
      assertEquals(load("gemma4").decode(ids), line);
    }
  });
});
