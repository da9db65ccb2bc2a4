/**
 * `--activations` reaches what runs: every command that runs a model gives with `int16` what the library gives with it, and another
 * result than with `int8`.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { COMMANDS } from "../cli/options.ts";
import { collectImportance, ImportanceMatrix, LightGPT, Model } from "../mod.ts";
import { lightgpt } from "./command.ts";
import { half } from "./halves.ts";
import { repository } from "./kit.ts";

const embedded = join(repository, "models", "tinytales-q4_0.gguf");
const kinds = ["int8", "int16"] as const;
const text = "Once upon a time there was a fox who lived in a den.";

describe("--activations", () => {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-activations-"));
  after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "text.txt");
  writeFileSync(file, text);
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await lightgpt(words, { env: { LIGHTGPT_CACHE: folder } });
    assertEquals(code, 0, stderr);
    return stdout;
  };

  it("is an option of every command that runs a model", () => {
    const runs = Object.keys(COMMANDS).filter((name) => "threads" in COMMANDS[name]!.options && name !== "quantize");
    const known = [
      "run",
      "chat",
      "embed",
      "rerank",
      "logits",
      "imatrix",
      "perplexity",
      "tune",
      "info",
      "bench",
      "serve",
    ];
    assertEquals(runs, [...known, "worker", "batch"]);
    assertEquals(runs.filter((name) => !("activations" in COMMANDS[name]!.options)), []);
  });

  it("gives the library's logits, perplexity and sums of inputs, and others with int16", async () => {
    const seen = { logits: new Set<string>(), perplexity: new Set<number>(), sums: new Set<string>() };
    for (const activations of kinds) {
      await using lm = await LightGPT.load(embedded, { activations, threads: 1 });
      const out = join(folder, "logits.f32");
      await run("logits", "--tokens", "1,5,9", "--out", out, "--threads", "1", "--activations", activations);
      const logits = await lm.logits([1, 5, 9]);
      const bytes = new Uint8Array(readFileSync(out));
      assertEquals(bytes, new Uint8Array(logits.buffer));
      seen.logits.add(bytes.join());
      const words = ["--file", file, "--threads", "1", "--activations", activations];
      const { nll } = JSON.parse(await run("perplexity", ...words, "--json"));
      assertEquals(nll, (await lm.perplexity(text)).nll);
      seen.perplexity.add(nll);
      const matrix = join(folder, "imatrix.gguf");
      await run("imatrix", ...words, "--out", matrix);
      const sums = (from: ImportanceMatrix) =>
        [...from.entries].map(([name, entry]) => [name, ...entry.sums].join()).sort().join("\n");
      await using model = await Model.load(embedded);
      assertEquals(
        sums(ImportanceMatrix.read(matrix)),
        sums(await collectImportance(model, text, { activations, threads: 1 })),
      );
      seen.sums.add(sums(ImportanceMatrix.read(matrix)));
    }
    for (const results of Object.values(seen)) assertEquals(results.size, 2);
  });

  const skip = half === 0 && "runs on Bun's turn";
  it("is what run generates with, and what tune and bench measure", { skip }, async () => {
    const words = ["--threads", "1", "--activations", "int16"];
    await using lm = await LightGPT.load(embedded, { activations: "int16", threads: 1 });
    const sampling = { temperature: 0 };
    const expected = await lm.complete("The fox", { maxTokens: 24, sampling });
    const story = await run("run", "The fox", "--max-tokens", "24", "--temperature", "0", "--json", ...words);
    assertEquals(JSON.parse(story).text, expected.text);
    const { profile, kept } = JSON.parse(await run("tune", "--seconds", "0.2", "--json", ...words));
    assert(profile !== null);
    // What was measured with one kind is not used with the other.
    const names = [
      kept,
      ...await Promise.all(kinds.map(async (kind) => {
        return JSON.parse(await run("info", "--json", "--threads", "1", "--activations", kind)).profilePath;
      })),
    ];
    assertNotEquals(names[1], names[2]);
    if (kept !== null) assertEquals(names[0], names[2]);
    const report = await run("bench", "-p", "4", "-n", "2", "-b", "1", "-r", "1", "--json", ...words);
    assertEquals(JSON.parse(report).activations, "int16");
  });
});
