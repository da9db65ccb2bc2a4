/**
 * `lightgpt bench`, and how it and the benches count: medians, prompts that share nothing, and every token of every sequence.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { join } from "node:path";
import { describe, it } from "node:test";
import { median } from "../src/engine/median.ts";
import { benchText } from "../src/measuring/benchmark/report_text.ts";
import { bytesPerToken, promptSource, timeDecode, timePrefill } from "../src/measuring/benchmark/timing.ts";
import { parseCommand } from "../cli/options.ts";
import { UsageError } from "../cli/types.ts";
import { LightGPT } from "../mod.ts";
import { assertRefused, lightgpt } from "./command.ts";
import { half } from "./halves.ts";
import { repository } from "./kit.ts";

describe("measuring", () => {
  it("takes the middle", () => {
    assertEquals(median([3, 1, 2]), 2);
    assertEquals(median([4, 1, 3, 2]), 2.5);
    assertEquals(Number.isNaN(median([])), true);
  });

  it("makes prompts that differ from the first token on", () => {
    const next = promptSource();
    const prompts = Array.from({ length: 251 }, () => next(600));
    assertEquals(new Set(prompts.map(([first]) => first)).size, 251);
    assert(prompts.every((ids) => ids.length === 600 && ids.every((id) => id >= 3 && id < 254)));
  });

  it("counts what all sequences generate, also beyond the end of a text", async () => {
    // 64 positions: no text is as long as what is asked for.
    await using lm = await LightGPT.load(undefined, { threads: 1, context: 64 });
    const prompts = promptSource();
    assertEquals((await timePrefill(lm, prompts(40))).tokens, 40);
    for (const [batch, tokens] of [[1, 100], [3, 100], [20, 5]]) {
      const begin = performance.now();
      const rate = await timeDecode(lm, { batch, context: 8, tokens, prompts });
      assertEquals(rate.tokens, batch * tokens);
      assert(rate.ms > 0 && rate.ms <= performance.now() - begin);
    }
  });

  it("counts the bytes that a token reads", async () => {
    await using lm = await LightGPT.load();
    assertEquals(bytesPerToken(lm), lm.model.residentBytes); // its embedding is its output too
  });
});

describe("lightgpt bench", () => {
  it("measures speed", { skip: half === 0 && "runs on Bun's turn" }, async () => {
    const words = ["-p", "8,32", "-n", "4", "-b", "1,3", "-r", "1", "--threads", "1", "--kv", "f32", "--json"];
    const { code, stdout, stderr } = await lightgpt(["bench", ...words]);
    assertEquals(code, 0, stderr);
    const report = JSON.parse(stdout);
    assertEquals(Object.keys(report), [
      "machine",
      "model",
      "threads",
      "activations",
      "kv",
      "prefill",
      "decode",
      "bandwidthGBs",
      "residentBytes",
      "firstTokenMs",
      "betweenTokensMs",
      "peakBytes",
    ]);
    assertEquals(Object.keys(report.machine), ["processor", "cores", "arch", "os", "level"]);
    assertEquals([report.model, report.threads], [join(repository, "models", "tinytales-q4_0.gguf"), 1]);
    const prefill = report.prefill as { tokens: number; tokensPerSecond: number }[];
    const decode = report.decode as { batch: number; context: number; tokensPerSecond: number }[];
    assertEquals(prefill.map(({ tokens }) => tokens), [8, 32]);
    assertEquals(decode.map(({ batch, context }) => [batch, context]), [[1, 16], [3, 16]]);
    for (const { tokensPerSecond } of [...prefill, ...decode]) assert(tokensPerSecond > 1, stdout);
    assert(report.bandwidthGBs > 0.1 && report.residentBytes > 2e6, stdout);
    const plain = benchText(report, 1e8);
    assertMatch(plain, /^one sequence +\d+\.\d tokens\/s {2}weights read at \d/m);
    assertMatch(benchText(report, 1e6), /^prompt of 32 +\d+\.\d tokens\/s$/m);
    assertMatch(benchText(report, 1e6), /^3 sequences +\d+\.\d tokens\/s$/m);
  });

  it("refuses to measure what makes no sense", async () => {
    const wrong: [string, string, string][] = [
      ["-p", "0", "integers from 1"],
      ["--prompt", "8,x", "commas"],
      ["-p", "8,,9", "commas"],
      ["-n", "0", "integer"],
      ["-n", "1,2", "integer"],
      ["-b", "-1", "integers from 1"],
      ["-b", "1025", "to 1024"],
      ["-r", "1.5", "integer"],
      ["-x", "1", "-x"],
    ];
    for (const words of wrong) assertThrows(() => parseCommand("bench", words.slice(0, 2)), UsageError, words[2]);
    assertRefused(await lightgpt(["bench", "-p", "513"]), 2, "context of 512");
    assertRefused(await lightgpt(["bench", "-n", "500"]), 2, "context of 512");
  });
});
