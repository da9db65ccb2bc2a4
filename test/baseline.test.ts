/**
 * `lightgpt bench --baseline`: both sides are measured, compared within each round, and their results held against each other.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { comparisonText } from "../src/measuring/benchmark/comparison_text.ts";
import { type BaselineReport, makeRows, type Report } from "../src/measuring/benchmark/report.ts";
import { lightgpt } from "./command.ts";
import { half } from "./halves.ts";
import { describeTales, repository } from "./kit.ts";

const short = ["--prompt", "32", "--tokens", "4", "--batch", "1,2", "--repeats", "1"];

function report(rate: number, ms: number, bytes: number): Report {
  const times = { p50: ms, p95: 2 * ms, p99: 3 * ms };
  return {
    machine: { processor: "one", cores: 2, arch: "x86_64", os: "linux", level: "v3" },
    model: "a.gguf",
    threads: 2,
    activations: "int8",
    kv: "f16",
    prefill: [{ tokens: 32, tokensPerSecond: rate }],
    decode: [{ batch: 1, context: 16, tokensPerSecond: rate / 2 }],
    bandwidthGBs: 10,
    residentBytes: bytes,
    firstTokenMs: times,
    betweenTokensMs: times,
    peakBytes: 10 * bytes,
  };
}

it("ratios are taken within a round; of times and memory less is better", () => {
  const rows = makeRows(
    [report(100, 20, 4e6), report(200, 10, 4e6), report(100, 30, 4e6)],
    [report(300, 10, 1e6), report(400, 10, 1e6), report(500, 10, 1e6)],
  );
  const of = (what: string) => rows.find((row) => row.what === what);
  assertEquals(of("prompt of 32")?.ratio, { median: 3, least: 2, most: 5 });
  assertEquals(of("prompt of 32")?.baseline, { median: 100, least: 100, most: 200 });
  assertEquals(of("first token, half within")?.ratio, { median: 2, least: 1, most: 3 });
  assertEquals(of("weights")?.ratio.median, 4);
  const { machine, model, threads, activations, kv } = report(1, 1, 1);
  const accuracy = { kind: "bits", same: false, logits: 9 } as const;
  const text = comparisonText({
    ...{ model, machine, threads, activations, kv },
    ...{ baseline: "scalar", rounds: 3, rows, accuracy },
  });
  assert(/prompt of 32, tokens\/s +100 \(100 to 200\) +400 \(300 to 500\) +3.00 \(2.00 to 5.00\)/.test(text), text);
  assert(text.includes("NOT the same bits"));
});

it(
  "plain instructions are a baseline whose logits are the same bits",
  { skip: half === 0 && "runs on Bun's turn" },
  async () => {
    const { code, stdout, stderr } = await lightgpt([
      "bench",
      ...short,
      "--activations",
      "int16",
      "--baseline",
      "scalar",
      "--json",
    ]);
    assertEquals([code, stderr], [0, ""]);
    const { baseline, rounds, rows, accuracy, activations, kv } = JSON.parse(stdout) as BaselineReport;
    assertEquals([activations, kv], ["int16", "f16"]);
    assertEquals([baseline, rounds], ["scalar", 1]);
    assertEquals(accuracy, { kind: "bits", same: true, logits: 128 * 2048 });
    assertEquals(rows.map(({ what }) => what).slice(0, 3), ["prompt of 32", "one sequence", "2 sequences"]);
    for (const { baseline, optimized, ratio } of rows) {
      assert(baseline.median > 0 && optimized.median > 0);
      assert(ratio.least <= ratio.median && ratio.median <= ratio.most);
    }
  },
);

describeTales("a file as a baseline", (tales) => {
  const reference = join(tales, "tinytales-f32.gguf");

  const skip = half === 0 && "runs on Bun's turn";
  it("is compared by how near the model is to it; drawn where echarts is installed", { skip }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-baseline-"));
    const charts = join(repository, "bench", "charts");
    const isThere = existsSync(join(charts, "node_modules", "echarts"));
    const svg = join(folder, "out.svg");
    try {
      const text = join(folder, "text.txt");
      writeFileSync(text, readFileSync(join(tales, "valid-window.txt"), "utf8").slice(0, 3000));
      const words = ["bench", ...short, "--baseline", reference, "--text", text];
      const drawn = isThere ? ["--svg", svg] : [];
      const { code, stdout, stderr } = await lightgpt([...words, ...drawn, "--json"], {
        cwd: isThere ? charts : folder,
      });
      assertEquals([code, stderr], [0, ""]);
      const { rows, accuracy } = JSON.parse(stdout) as BaselineReport;
      assert(accuracy.kind === "file" && accuracy.comparison.divergence > 0 && accuracy.comparison.same > 0.5);
      const weights = rows.find(({ what }) => what === "weights");
      assertAlmostEquals(weights?.ratio.median ?? 0, 6.4, 0.3);
      const picture = isThere ? readFileSync(svg, "utf8") : "";
      if (isThere) assert(picture.startsWith("<svg ") && picture.endsWith("</svg>\n"));
      for (const part of isThere ? ["times better", "prompt of 32", "weights, MB"] : []) assert(picture.includes(part));
      const without = await lightgpt([...words, "--svg", svg], { cwd: folder });
      assertEquals(without.code, 1);
      assert(without.stderr.includes("npm install echarts"), without.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it("what cannot be compared is said before or instead of figures", async () => {
  const wrong: [string[], number, string][] = [
    [["--svg", "a.svg"], 2, "--svg belongs to --baseline"],
    [["--text", "a.txt"], 2, "--text belongs to --baseline"],
    [["--baseline", "missing.gguf"], 1, "missing.gguf"],
    [["--baseline", "scalar", "--text", "missing.txt"], 1, "missing.txt cannot be read"],
    [["--baseline", "scalar", "--model", "missing.gguf"], 1, "missing.gguf"],
  ];
  for (const [words, expected, message] of wrong) {
    const { code, stdout, stderr } = await lightgpt(["bench", ...short, ...words]);
    assertEquals([code, stdout], [expected, ""], stderr);
    assert(stderr.includes(message) && stderr.trim().split("\n").length === 1, stderr);
  }
});
