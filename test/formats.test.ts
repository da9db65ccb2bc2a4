/**
 * Block formats from a program's side: a file with a tensor in any supported type runs, and one in another type is
 * refused by name, with what to use instead. The formats' bits are compared in kernels/op.
 *
 * @module
 */
import { assert, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError } from "../mod.ts";
import { writeGguf } from "../scripts/gguf-writer.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { FORMATS } from "../src/files/formats.ts";
import { readGguf } from "../src/files/gguf/read.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-formats-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const changed = "blk.0.attn_q.weight";

/** The embedded model with one matrix in another type, all of its bytes zero. */
function fileWith(type: number): string {
  const source = embeddedModel();
  const gguf = readGguf(source);
  const bytes = readFileSync(source);
  const { blockElements, blockBytes } = FORMATS.get(type) ?? { blockElements: 32, blockBytes: 18 };
  const path = join(directory, `${type}.gguf`);
  writeGguf(
    path,
    gguf.metadata,
    new Map(),
    [...gguf.tensors.values()].map((tensor) => {
      const { name, dims } = tensor;
      const elements = dims.reduce((product, size) => product * size, 1);
      return name === changed
        ? { name, dims, type, data: new Uint8Array(elements / blockElements * blockBytes) }
        : { name, dims, type: tensor.type, data: bytes.subarray(tensor.offset, tensor.offset + tensor.bytes) };
    }),
  );
  return path;
}

describe("block formats", () => {
  for (const { id, name } of [...FORMATS.values()].filter(({ supported }) => supported)) {
    it(`${name} runs`, async () => {
      await using lm = await LightGPT.load(fileWith(id));
      assert((await lm.logits([1, 2, 3])).every(Number.isFinite));
    });
  }

  const instead: readonly [id: number, name: string, instead: string][] = [
    [16, "IQ2_XXS", "Q2_K"],
    [17, "IQ2_XS", "Q2_K"],
    [18, "IQ3_XXS", "Q3_K"],
    [19, "IQ1_S", "Q2_K"],
    [21, "IQ3_S", "Q3_K"],
    [22, "IQ2_S", "Q2_K"],
    [29, "IQ1_M", "Q2_K"],
    [34, "TQ1_0", "Q2_K"],
    [35, "TQ2_0", "Q2_K"],
    [40, "NVFP4", "MXFP4"],
    [41, "Q1_0", "Q2_K"],
    [42, "Q2_0", "Q2_K"],
    [15, "Q8_K", "Q8_0"],
    [28, "F64", "F32"],
    [24, "I8", "F32, F16"],
    [4, "Q4_2", "Q4_0"],
    [33, "Q4_0_8_8", "Q4_0"],
    [37, "IQ4_NL_4_8", "IQ4_NL"],
    [97, "number 97", "F32, F16"],
    [4_000_000_000, "number 4000000000", "F32, F16"],
  ];
  for (const [id, name, other] of instead) {
    it(`${name} is refused, and ${other} named`, async () => {
      const error = await assertRejects(() => LightGPT.load(fileWith(id)), LightGPTError);
      assertStringIncludes(error.message, changed);
      assertStringIncludes(error.message, `the type ${name}`);
      assertStringIncludes(error.message, other);
    });
  }
});
