/**
 * all-MiniLM-L6-v2 made a file from its Hugging Face folder: how near its vectors are to those of a float64 forward pass, in each
 * format, and whether it finds what answers a question.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, it } from "node:test";
import { Embedder, similarity } from "../../exports/embedding.ts";
import { quantizeFile } from "../../mod.ts";
import { kitDirectory, readJson, repository } from "../kit.ts";
import { describeReal } from "./models.ts";

interface Known {
  readonly text: string;
  readonly ids: number[];
  /** base64 of 32-bit floats. */
  readonly vector: string;
  readonly truncated_to?: number;
}

/**
 * How near vectors must be to the real ones, by the format of the file: the worst of 41, and on the mean. A text of one sign is the
 * worst, for nothing levels what rounding does to its row.
 */
const cosines = [
  { type: "f32", activations: "int8", worst: 0.99999, mean: 0.99999 },
  { type: "f16", activations: "int8", worst: 0.99999, mean: 0.99999 },
  { type: "q8_0", activations: "int16", worst: 0.999, mean: 0.9998 },
  { type: "q8_0", activations: "int8", worst: 0.997, mean: 0.999 },
  { type: "q4_0", activations: "int8", worst: 0.87, mean: 0.95 },
] as const;

/**
 * The same of Q4_0 that is rounded for its inputs, by how many tokens of a text it was calibrated by. The default takes 20 seconds of
 * processor time, so it is asked for.
 */
const calibrated = process.env.LIGHTGPT_CALIBRATED === undefined
  ? { tokens: 1024, worst: 0.9, mean: 0.965 }
  : { tokens: 16_384, worst: 0.95, mean: 0.985 };

describeReal("all-MiniLM-L6-v2", "minilm", (path) => {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-minilm-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const made = new Map<string, Promise<string>>();
  const file = (type: string) => {
    const to = join(folder, `${type}.gguf`);
    const make = () => quantizeFile(dirname(path), to, { type }).then(() => to);
    if (!made.has(type)) made.set(type, make());
    return made.get(type) as Promise<string>;
  };

  /** How near the vectors of a file are to those of the real model, of 41 texts. */
  const measure = async (path: string, activations: "int8" | "int16") => {
    const { texts } = readJson<{ texts: Known[] }>(kitDirectory as string, "embed/minilm.json");
    await using embedder = await Embedder.load(path, { threads: 2, activations });
    const { tokenizer } = embedder.model;
    for (const { text, ids, truncated_to } of texts) {
      if (truncated_to === undefined) assertEquals([...tokenizer.encode(text)], ids, text);
    }
    const vectors = await embedder.embed(texts.map(({ ids }) => ids));
    const found = texts.map(({ vector }, index) => {
      const bytes = Uint8Array.from(Buffer.from(vector, "base64"));
      return similarity(vectors.row(index), new Float32Array(bytes.buffer));
    });
    // What is longer than the model reads is cut as the real one cuts it.
    const long = texts.find(({ truncated_to }) => truncated_to !== undefined) as Known;
    const cut = await embedder.embed(long.text, { truncate: true });
    assertEquals(cut.row(0), vectors.row(texts.indexOf(long)));
    return { worst: Math.min(...found), mean: found.reduce((sum, one) => sum + one) / found.length };
  };

  for (const { type, activations, ...least } of cosines) {
    it(
      `${type}, activations as ${activations}: the vectors of 41 texts`,
      { skip: kitDirectory === undefined },
      async () => {
        const { worst, mean } = await measure(await file(type), activations);
        console.log(`${type} ${activations}: the least cosine is ${worst}, the mean ${mean}`);
        assert(worst >= least.worst && mean >= least.mean, `${worst}, ${mean}`);
      },
    );
  }

  it(
    `q4_0, calibrated by ${calibrated.tokens} tokens: the vectors of 41 texts`,
    { skip: kitDirectory === undefined || !("Bun" in globalThis) }, // its bits are the same on all runtimes
    async () => {
      const path = join(folder, "calibrated.gguf");
      await quantizeFile(await file("f32"), path, {
        type: "q4_0",
        rounding: "calibrated",
        calibration: readFileSync(join(repository, "bench/texts/calibrate.txt"), "utf8"),
        calibrationTokens: calibrated.tokens,
      });
      const { worst, mean } = await measure(path, "int8");
      console.log(`q4_0 calibrated: the least cosine is ${worst}, the mean ${mean}`);
      assert(worst >= calibrated.worst && mean >= calibrated.mean, `${worst}, ${mean}`);
    },
  );

  it("30 questions over 60 passages: F16 answers as F32 does, Q8_0 nearly always", async () => {
    const { passages, questions } = JSON.parse(readFileSync(join(repository, "bench/texts/passages.json"), "utf8")) as {
      passages: string[];
      questions: { text: string; passage: number }[];
    };
    const scores = async (type: string) => {
      await using embedder = await Embedder.load(await file(type), { threads: 2 });
      const rows = await embedder.embed(passages);
      const asked = await embedder.embed(questions.map(({ text }) => text));
      return Array.from(asked, (question) => Array.from(rows, (row) => similarity(question, row)));
    };
    const first = (row: readonly number[]) => row.indexOf(Math.max(...row));
    const exact = await scores("f32");
    const half = await scores("f16");
    assertEquals(half.map(first), exact.map(first));
    exact.forEach((row, question) => {
      row.forEach((a, one) =>
        row.forEach((b, other) => {
          if (a - b > 0.001) {
            assertLess(half[question]?.[other], half[question]?.[one], `${question}: ${one}, ${other}`);
          }
        })
      );
    });
    const eight = await scores("q8_0");
    const same = eight.filter((row, question) => first(row) === first(exact[question] as number[])).length;
    const right = exact.filter((row, question) => first(row) === questions[question]?.passage).length;
    console.log(`F32 finds ${right} of ${questions.length}; Q8_0 has the same first place for ${same}`);
    assert(same >= 29 && right >= 28, `${same} the same, ${right} right`);
  });
});
