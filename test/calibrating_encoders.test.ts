/**
 * Importance matrices and calibrated rounding of models that read whole texts: they see texts of all lengths as these models do, and
 * bring vectors nearer to those of the original than a search that knows of no text.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { Embedder, similarity } from "../exports/embedding.ts";
import { collectImportance, InvalidArgumentError, Model, quantizeFile } from "../mod.ts";
import { windowsOf } from "../src/measuring/text_windows.ts";
import { describeWholeKit } from "./kit.ts";

const words = Array.from(
  { length: 3000 },
  (_, i) => "the cat sat on a mat and red dogs ran far".split(" ")[(i * i + (i >> 3)) % 10],
);
const text = words.join(" ");
/** Others than those that a model is calibrated by. */
const texts = Array.from({ length: 30 }, (_, i) => words.slice(7 * i, 7 * i + 1 + i % 12).reverse().join(" "));

describeWholeKit("encoders rounded for their inputs", "embed", (directory) => {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-encoders-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  const vectors = async (path: string) => {
    await using embedder = await Embedder.load(path, { threads: 1 });
    return await embedder.embed(texts, { pooling: "mean" });
  };

  // Of the others only one matrix of a layer has rows that fit blocks of 32, so less can be made up for.
  for (const [name, share] of [["bert_q8_0", 0.5], ["modern_bert", 0.9], ["nomic_bert_moe", 0.5]] as const) {
    it(`brings ${name} nearer to its original`, async () => {
      const from = join(directory, `${name}.gguf`);
      const exact = await vectors(from);
      await using model = await Model.load(from);
      const importance = await collectImportance(model, text, { threads: 1 });
      const distance = async (way: string, options: Parameters<typeof quantizeFile>[2]) => {
        const path = join(folder, `${name}-${way}.gguf`);
        const { tensors } = await quantizeFile(from, path, options);
        assert(tensors.some(({ to }) => to === "Q4_0"), "nothing is rounded");
        const made = await vectors(path);
        return texts.reduce((sum, _, index) => sum + 1 - similarity(made.row(index), exact.row(index)), 0) /
          texts.length;
      };
      const searched = await distance("search", { type: "q4_0" });
      const weighed = await distance("importance", { type: "q4_0", importance });
      const calibrated = await distance("calibrated", {
        type: "q4_0",
        rounding: "calibrated",
        calibration: text,
        calibrationTokens: 4096,
      });
      console.log(`${name}: ${searched}, weighed ${weighed}, calibrated ${calibrated}`);
      assertLess(weighed, 1.1 * searched);
      assertLess(calibrated, share * searched);
    });
  }

  it("reads texts of many lengths, each with the tokens at its ends", async () => {
    await using model = await Model.load(join(directory, "bert_mean.gguf"));
    const { tokenizer } = model;
    const ends = tokenizer.encode("");
    const windows = await windowsOf(model, text, 64, undefined);
    const lengths = new Set<number>();
    const read: number[] = [];
    for (const window of windows) {
      let begin = 0;
      for (const length of window.lengths) {
        const own = [...window.tokens.subarray(begin, begin += length)];
        assertEquals([own[0], own.at(-1)], [...ends]);
        read.push(...own.slice(1, -1));
        lengths.add(length);
      }
      assertEquals(begin, window.tokens.length);
      assert(begin <= 64);
    }
    assertEquals(read, [...tokenizer.encode(text, { addSpecial: false })]);
    assert([64, 32, 16, 8, 5, 3].every((length) => lengths.has(length)), `${[...lengths]}`);
    await assertRejects(() => collectImportance(model, text, { window: 2 }), InvalidArgumentError, "window");
  });

  it("is refused without a text, for such a model generates none", async () => {
    const to = join(folder, "refused.gguf");
    const made = quantizeFile(join(directory, "bert_mean.gguf"), to, { type: "q4_0", rounding: "calibrated" });
    await assertRejects(() => made, InvalidArgumentError, "calibration");
    assertEquals(readdirSync(folder).filter((name) => name.startsWith("refused")), []);
  });
});
