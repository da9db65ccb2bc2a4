/**
 * The record of quality: cells are chosen by the words of their names, llama-perplexity's report is read, a page says what was
 * measured and names what was not, and a folder without llama.cpp's tools is refused by name.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { figuresOf } from "../bench/quality/cells.ts";
import { CELLS, chosen, nameOf } from "../bench/quality/plan.ts";
import { pageOf, readmeTable, readRecord } from "../bench/quality/record.ts";
import { llamaTools } from "../bench/peers/tools.mjs";
import { repository } from "./kit.ts";

const stamp = { date: "2026-11-26T12:00:00Z", commit: "abc", llama: "de3ff81" };
const cell = (divergence: number) => ({
  divergence,
  divergence99: 1,
  same: 0.5,
  bits: 4.5,
  cpuSeconds: 2,
  peakMB: 100,
  ...stamp,
});

describe("the record of quality", () => {
  it("has each cell once; words of its name choose it", () => {
    assertEquals(new Set(CELLS.map(nameOf)).size, CELLS.length);
    assertEquals(chosen(["smollm2/Q4_0/llama"]).map(nameOf), ["smollm2/Q4_0/llama"]);
    assertEquals(chosen(["gemma3/Q6_K"]).length, 6);
    assertEquals(chosen(["/calibrated", "smollm2/calibrated"]).length, CELLS.length / 6);
    assertEquals(chosen(["smollm3"]), []);
  });

  it("reads llama-perplexity's report, and refuses one that lacks a figure", () => {
    const report = "Mean    KLD:   0.223979 ±   0.011861\n99.0%   KLD:   0.693771\nSame top p: 43.750 ± 4.471 %\n";
    assertEquals(figuresOf(report), { divergence: 0.223979, divergence99: 0.693771, same: 0.4375 });
    assertThrows(() => figuresOf(report.replace("99.0%", "98.0%")), Error, "does not say");
  });

  it("sets figures beside llama-quantize's, and names what was not measured", () => {
    const cells = {
      "smollm2/Q4_0/llama": cell(0.4),
      "smollm2/Q4_0/search": cell(0.2),
      "gemma3/Q6_K/search": cell(0.1),
    };
    const page = pageOf({ cells, matrices: { "smollm2/ours": { cpuSeconds: 9, peakMB: 8, ...stamp } } });
    assert(/\| Q4_0 \| `search` +\| 0\.200000 \| 0\.50 x/.test(page), page);
    assert(page.includes("The importance matrix: ours 9.0 s, 8 MB; llama-imatrix not measured."), page);
    const missing = page.slice(page.indexOf("## Not measured")).replaceAll("\n", " ");
    assert(missing.includes("SmolLM2-135M-Instruct: Q4_0 (`nearest`; `search`, importance; `calibrated`;"), missing);
    assert(missing.includes("Gemma 3 270M: Q4_0 (`nearest`; `search`;"), missing);
    const table = readmeTable({ cells, matrices: {} });
    assert(/SmolLM2-135M-Instruct, Q4_0 \| - +\| 0\.2000 +\| - +\| - +\| 0\.4000/.test(table), table);
    assert(!table.includes("Gemma"), "one way alone compares with nothing");
  });

  it("has the page that its figures make", () => {
    assertEquals(readFileSync(join(repository, "bench", "record", "quality.md"), "utf8"), pageOf(readRecord()));
  });

  it("takes llama.cpp's tools from a folder, unless they are not there", async () => {
    const env = { LIGHTGPT_LLAMA_TOOLS: repository };
    await assertRejects(() => llamaTools(env), Error, "has no llama-quantize, llama-imatrix, llama-perplexity");
  });
});
