/**
 * What `lightgpt inspect` says of how a model runs: layers by kind, experts, what a position and a sequence take, memory by
 * context, what is ignored; and why a file doesn't run.
 *
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { needOf } from "../src/batching/memory_budget.ts";
import { reportRun } from "../src/batching/run_report.ts";
import { parseGguf } from "../src/files/gguf/read.ts";
import { encodeGguf } from "../scripts/gguf-writer.ts";
import { lightgpt } from "./command.ts";
import { memorySource, text, u32 } from "./models.ts";
import { gemma4, lfm2, qwen35, type Shape, smallModel, smallModelBytes, withDirectory } from "./small-models.ts";

const settings = { kv: "f16", pageSize: 32 } as const;

function reportOf(shape: Shape, context?: number) {
  const gguf = parseGguf(memorySource("small", smallModelBytes(shape)));
  return reportRun(gguf, planModel(gguf), settings, context);
}

const experts: Shape = {
  architecture: "qwen3moe",
  headNorms: true,
  experts: { count: 6, used: 2, width: 32 },
};

describe("how a model runs", () => {
  it("has its layers by kind, and what a sequence and a position take", () => {
    const attention = { mixer: "attention", feedForward: "dense", window: 0, readsKeysOfOthers: false } as const;
    const hybrid = reportOf(qwen35);
    assertEquals(hybrid.layers, [{ layers: 2, ...attention, mixer: "deltaRule" }, { layers: 1, ...attention }]);
    // 2 heads of 16 keys and values, two bytes each; 4 heads of 16 x 16 and 3 inputs of 128 channels, in two layers.
    assertEquals([hybrid.kvBytesAPosition, hybrid.kvBytesBehind], [128, 128]);
    assertEquals(hybrid.stateBytes % (32 * 128), 0);
    const state = 2 * 4 * (4 * 16 * 16 + 3 * 128);
    assertEquals(hybrid.stateBytes >= state && hybrid.stateBytes < state + 2 * 32 * 128, true);
    const shared = reportOf(gemma4);
    assertEquals(shared.layers, [
      { layers: 2, ...attention, window: 7 },
      { layers: 2, ...attention },
      { layers: 1, ...attention, window: 7, readsKeysOfOthers: true },
      { layers: 1, ...attention, readsKeysOfOthers: true },
    ]);
    // Two layers of 2 heads of 16 with a window, two of one head of 32 without; the others keep nothing.
    assertEquals([shared.kvBytesAPosition, shared.kvBytesBehind, shared.stateBytes], [512, 256, 0]);
    assertEquals(reportOf(lfm2).layers.map(({ layers, mixer }) => [layers, mixer]), [
      [2, "shortConvolution"],
      [1, "attention"],
    ]);
  });

  it("has its experts, or none", () => {
    assertEquals(reportOf(experts).experts, { count: 6, used: 2, width: 32, sharedWidth: 0 });
    assertEquals(reportOf(experts).layers.map(({ feedForward }) => feedForward), ["experts"]);
    assertEquals(reportOf(lfm2).experts, null);
  });

  it("has the memory that loading decides by, at usual contexts, at its own and at the one asked for", () => {
    const shape = { ...lfm2, context: 5000 };
    const plan = planModel(parseGguf(memorySource("small", smallModelBytes(shape))));
    const { memory, context } = reportOf(shape, 700);
    assertEquals([memory.map(({ context }) => context), context], [[700, 2048, 4096, 5000], 5000]);
    for (const { context, weights, kv, work, total } of memory) {
      const { program: _, ...need } = needOf(plan, { ...settings, context }, 0);
      assertEquals([{ weights, kv, work }, total], [need, weights + kv + work]);
    }
  });

  it("has what is ignored: a drafter, tensors that nothing depends on, vision", () => {
    assertEquals(reportOf(lfm2).ignored, []);
    const { values, tensors } = smallModel({ architecture: "qwen3", headNorms: true });
    values.set("qwen3.block_count", u32(4));
    values.set("qwen3.nextn_predict_layers", u32(1));
    const vector = (name: string) => ({ name, type: 0, dims: [32], data: new Uint8Array(128) });
    tensors.push(
      vector("blk.3.nextn.eh_proj.weight"),
      vector("blk.3.attn_norm.weight"),
      vector("blk.1.attn_rot_embd.weight"),
    );
    const gguf = parseGguf(memorySource("small", encodeGguf(values, tensors)));
    assertEquals(reportRun(gguf, planModel(gguf), settings).ignored, [
      "a drafter of 1 extra prediction layer (nextn)",
      "1 tensor that nothing depends on: blk.1.attn_rot_embd.weight",
    ]);
    assertMatch(reportOf(qwen35).ignored[0] ?? "", /^vision: /);
  });
});

describe("lightgpt inspect", () => {
  it("says all of it, as text and as JSON", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "model.gguf");
      writeFileSync(path, smallModelBytes(qwen35));
      const { stdout } = await lightgpt(["inspect", path]);
      for (
        const line of [
          /^layers +2 x delta rule, dense$/m,
          /^ +1 x attention, dense$/m,
          /^keys, values +128 bytes a position \(f16, pages of 32\)$/m,
          /^state +\d+ KB a sequence$/m,
          /^memory +\d+\.\d MiB for 128 positions \(.* of it keys and values\), what it was trained for$/m,
          /^ignored +vision: /m,
        ]
      ) assertMatch(stdout, line);
      const { run } = JSON.parse((await lightgpt(["inspect", path, "--json", "--context", "100"])).stdout);
      const gguf = readGguf(path);
      assertEquals(run, reportRun(gguf, planModel(gguf, { context: 100 }), settings, 100));
    }));

  it("says by name why a file doesn't run", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "mmproj.gguf");
      const { values, tensors } = smallModel(lfm2);
      values.set("general.architecture", text("clip"));
      writeFileSync(path, encodeGguf(values, tensors));
      const { runs, run, reason } = JSON.parse((await lightgpt(["inspect", path, "--json"])).stdout);
      assertEquals([runs, run], [false, null]);
      assertStringIncludes(reason, "general.architecture");
      assertStringIncludes(reason, "not a vision projector (mmproj)");
      assertStringIncludes((await lightgpt(["inspect", path])).stdout, "mmproj");
    }));
});
