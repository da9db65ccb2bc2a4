/**
 * Calibrated rounding of models with experts and of such whose layers keep a state: each expert is rounded for what came to it, and
 * comes nearer to its original than by a search; one that nothing came to keeps plain rounding, which is said.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, readGguf } from "../mod.ts";
import { halfOf } from "./halves.ts";
import { u32 } from "./models.ts";
import {
  falconH1,
  gemma4,
  granitehybrid,
  lfm2,
  nemotronExperts,
  nemotronH,
  qwen35,
  type Shape,
  smallModelBytes,
} from "./small-models.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-calibrating-kinds-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

/** Letters, for vocabularies that are too small for words. */
const letters = Array.from({ length: 6000 }, (_, i) => "abcdefgh ijklm nop"[(i * i + (i >> 3)) % 18]).join("");

/** Small models whose rows fit the blocks that they are rounded to. */
const shapes: Record<string, Shape> = {
  "mixtral": { architecture: "llama", feedForward: 64, experts: { count: 8, used: 2 } },
  "qwen3moe, gate and up as one tensor": {
    architecture: "qwen3moe",
    headNorms: true,
    experts: { count: 12, used: 3, width: 32, joined: true },
  },
  "qwen2moe with a shared expert": {
    architecture: "qwen2moe",
    biases: ["q", "k", "v"],
    experts: { count: 6, used: 2, width: 32, shared: 64, sharedGate: true },
    values: { "qwen2moe.expert_shared_feed_forward_length": u32(64) },
  },
  "gpt-oss": {
    architecture: "gpt-oss",
    biases: ["q", "k", "v", "output"],
    secondNorm: "post_attention_norm",
    sinks: true,
    experts: { count: 6, used: 3, width: 32, biases: true },
    values: { "gpt-oss.attention.sliding_window": u32(6) },
  },
  nemotronH,
  "nemotron_h_moe": nemotronExperts(32),
  lfm2,
  "lfm2moe": {
    ...lfm2,
    architecture: "lfm2moe",
    experts: { count: 6, used: 2, width: 32, choiceBias: true, isDense: (layer) => layer === 0 },
    values: {
      "lfm2moe.shortconv.l_cache": u32(3),
      "lfm2moe.leading_dense_block_count": u32(1),
      "lfm2moe.expert_gating_func": u32(2),
    },
  },
  qwen35,
  granitehybrid,
  falconH1,
};

describe("calibrated rounding", () => {
  const makes = async (name: string, rounding: "nearest" | "search" | "calibrated", text = letters) => {
    writeFileSync(at(`${name}.gguf`), smallModelBytes(shapes[name]));
    const options = { type: "q4_0", rounding, ...(rounding === "calibrated" ? { calibration: text } : {}) } as const;
    return await quantizeFile(at(`${name}.gguf`), at(`${name}-${rounding}.gguf`), options);
  };

  for (const name of halfOf(Object.keys(shapes))) {
    it(`brings ${name} nearer to its original than a search`, async () => {
      const found: number[] = [];
      for (const rounding of ["search", "calibrated"] as const) {
        const { warnings, tensors } = await makes(name, rounding);
        // Beside attention, what comes of states has a product that is not captured; nor is a narrower row of experts.
        const searched = warnings.filter((warning) => /by a search/.test(warning));
        const lacks = rounding === "calibrated" && ["falconH1", "nemotron_h_moe"].includes(name);
        assertEquals(searched.length, lacks ? 1 : 0, searched[0]);
        const rounded = tensors.filter(({ to }) => to === "Q4_0").map((tensor) => tensor.name.split(".")[2]);
        const wanted = Object.keys(shapes[name].experts ?? {}).length > 0 ? "ffn_down_exps" : "ffn_down";
        assert(rounded.includes(wanted), `${rounded}`);
        await using exact = await LightGPT.load(at(`${name}.gguf`), { kv: "f32" });
        await using made = await LightGPT.load(at(`${name}-${rounding}.gguf`), { kv: "f32" });
        found.push((await made.accuracy({ reference: exact, text: letters.slice(0, 400) })).divergence);
      }
      assertLess(found[1], (["falconH1", "nemotron_h_moe"].includes(name) ? 0.7 : 0.5) * found[0]);
    });
  }

  it("is refused by name where a layer needs more than the states before it", async () => {
    for (
      const [shape, why] of [
        [gemma4, "layers of gemma4 take more than the states before them"],
      ] as const
    ) {
      writeFileSync(at("linked.gguf"), smallModelBytes(shape));
      const options = { type: "q4_0", rounding: "calibrated", calibration: letters } as const;
      const made = quantizeFile(at("linked.gguf"), at("refused.gguf"), options);
      assertEquals((await assertRejects(() => made, LightGPTError, why)).code, "unsupported");
    }
    assertEquals(readdirSync(folder).filter((name) => name.startsWith("refused")), []);
  });

  it("leaves experts that nothing came to as they are rounded plainly, and says which", async () => {
    const name = "mixtral";
    const { tensors, warnings } = await makes(name, "calibrated", "a".repeat(200));
    const [first] = tensors.filter(({ name }) => name.includes("_exps"));
    assert(first.unreached.length > 0 && first.unreached.length < 8, `${first.unreached}`);
    assertStringIncludes(warnings.join(" "), "matrices of experts are rounded to the nearest, for nothing of the text");
    await makes(name, "nearest");
    const slabs = (path: string) => {
      const { offset = 0, bytes = 0 } = readGguf(path).tensors.get(first.name) ?? {};
      const size = bytes / 8;
      const all = readFileSync(path).subarray(offset, offset + bytes);
      return Array.from({ length: 8 }, (_, expert) => all.subarray(expert * size, (expert + 1) * size));
    };
    const [made, plain] = ["calibrated", "nearest"].map((rounding) => slabs(at(`${name}-${rounding}.gguf`)));
    assertEquals(made.flatMap((slab, expert) => slab.equals(plain[expert]) ? [expert] : []), [...first.unreached]);
  });
});
