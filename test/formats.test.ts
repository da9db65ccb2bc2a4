/**
 * Block formats from a program's side: a file with a tensor in any supported type runs, and one in another type is
 * refused by name, with what to use instead; blocks stand for the floats that ggml makes of them. Other CPU levels than
 * this one are compared in kernels/op.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, QuantizedTensor, Quantizer } from "../mod.ts";
import { writeGguf } from "../scripts/gguf-writer.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { FORMATS } from "../src/files/formats.ts";
import { nameOf } from "../src/converting/types.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { describeWholeKit, excerptDirectory, readJson } from "./kit.ts";

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

/** Expects that blocks stand for just these floats (little-endian); a NaN may be any NaN. */
async function decodesTo(id: number, blocks: Uint8Array, expected: Uint8Array): Promise<void> {
  const format = FORMATS.get(id);
  if (format === undefined) throw new Error(`no format ${id}`);
  const values = blocks.length / format.blockBytes * format.blockElements;
  const found = await new Quantizer().dequantize(new QuantizedTensor(nameOf(format), [values], blocks));
  const wanted = new DataView(expected.buffer, expected.byteOffset, expected.length);
  assertEquals(expected.length, 4 * values);
  const wrong = Array.from(found, (_, index) => index).filter((index) => !Object.is(found[index], wantedAt(index)));
  assertEquals(wrong, [], `${format.name}: these values are not ggml's`);

  function wantedAt(index: number): number {
    return wanted.getFloat32(4 * index, true);
  }
}

describe("blocks of the kit's excerpt stand for ggml's floats", () => {
  const { formats } = readJson<{ formats: { id: number; name: string; raw: string; values: string }[] }>(
    excerptDirectory,
    "blocks.json",
  );
  for (const { id, name, raw, values } of formats) {
    it(name, () => decodesTo(id, Buffer.from(raw, "base64"), Buffer.from(values, "base64")));
  }
});

describeWholeKit("blocks of the kit stand for ggml's floats", "blocks", (directory) => {
  const { blocks } = readJson<{ blocks: { type: string; ggml_type_id: number; raw: string; expected: string }[] }>(
    directory,
    "manifest.json",
  );
  for (const { type, ggml_type_id, raw, expected } of blocks) {
    if (!FORMATS.get(ggml_type_id)?.supported) continue;
    it(
      type,
      () => decodesTo(ggml_type_id, readFileSync(join(directory, raw)), readFileSync(join(directory, expected))),
    );
  }
});
