/**
 * Scales of whole matrices, and of each expert's, which files of NVFP4 have beside the weights: a model whose weights are
 * divided by powers of two, with scales that make up for it, gives the same bits as the model without either.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError } from "../mod.ts";
import { type NewTensor, writeGguf } from "../scripts/gguf-writer.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { excerptDirectory } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-scales-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Powers of two that are divided out, one for each expert in turn. */
const factors = [4, 0.5, 2, 8, 0.25];

/** A model of the excerpt with its matrices divided and `scales` of them beside; `damage` changes one of those. */
function scaled(name: string, damage: (values: Float32Array) => Float32Array = (values) => values): string {
  const source = join(excerptDirectory, "archs", `${name}.gguf`);
  const { metadata, tensors } = readGguf(source);
  const file = readFileSync(source);
  const made: NewTensor[] = [];
  for (const { name, dims, type, offset, bytes } of tensors.values()) {
    const data = file.subarray(offset, offset + bytes);
    const isScaled = type === 0 && dims.length > 1 && /\.weight$/.test(name) && !/token_embd|ffn_gate_inp/.test(name);
    if (!isScaled) {
      made.push({ name, dims, type, data });
      continue;
    }
    const values = new Float32Array(new Uint8Array(data).buffer);
    const slabs = dims[2] ?? 1;
    const own = Float32Array.from({ length: slabs }, (_, slab) => factors[slab % factors.length]);
    const slab = values.length / slabs;
    values.forEach((value, at) => values[at] = value / own[Math.floor(at / slab)]);
    made.push({ name, dims, type, data: new Uint8Array(values.buffer) });
    const scales = name.startsWith("blk.1.") ? damage(own) : own;
    made.push({
      name: name.replace(/weight$/, "scale"),
      dims: [scales.length],
      type: 0,
      data: new Uint8Array(scales.buffer),
    });
    // What is for arithmetic with an input of four bits is left aside.
    made.push({ name: name.replace(/weight$/, "input_scale"), dims: [1], type: 0, data: new Uint8Array(4) });
  }
  const path = join(directory, `${name}.gguf`);
  writeGguf(path, metadata, new Map(), made);
  return path;
}

const ids = [1, 5, 9, 2, 7, 40, 3];

async function logitsOf(path: string): Promise<number[]> {
  await using lm = await LightGPT.load(path, { context: 64 });
  return [...await lm.logits(ids, { all: true })];
}

describe("scales beside weights", () => {
  for (const name of ["qwen3", "ernie4_5_moe"]) {
    it(`${name}: the same bits as with scaled weights`, async () => {
      const [own, plain] = [
        await logitsOf(scaled(name)),
        await logitsOf(join(excerptDirectory, "archs", `${name}.gguf`)),
      ];
      assertEquals(own, plain);
      assert(plain.some((logit) => logit !== plain[0]));
    });
  }

  it("scales of another shape, or that are not finite, are refused by name", async () => {
    const wrong: [damage: (values: Float32Array) => Float32Array, part: RegExp][] = [
      [(values) => new Float32Array(values.length + 1).fill(1), /blk\.1\.\w+\.scale/],
      [(values) => values.fill(NaN), /scale/],
    ];
    for (const [damage, part] of wrong) {
      const error = await assertRejects(() => LightGPT.load(scaled("qwen3", damage)), LightGPTError);
      assert(part.test(error.message), error.message);
    }
  });
});
