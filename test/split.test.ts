/**
 * Models in several files: read from the first, all parts checked, and the same logits as of one file.
 *
 * @module
 */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPTError, ModelFormatError } from "../ffi/errors.ts";
import { LightGPT } from "../mod.ts";
import { encodeGguf, type NewTensor, type NewValue } from "../scripts/gguf-writer.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import { type Shape, smallModel, smallModelBytes, withDirectory } from "./small-models.ts";

const shape: Shape = { architecture: "qwen2", biases: ["q", "k", "v"], untied: true };
const u16 = (value: number): NewValue => ({ type: VALUE_TYPE.uint16, value });
const i32 = (value: number): NewValue => ({ type: VALUE_TYPE.int32, value });

/** Names of parts as llama.cpp's splitter gives them. */
const partName = (part: number, count: number) =>
  `model-${String(part + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;

interface Changes {
  /** How many tensors each part has; the last takes the rest. */
  sizes?: number[];
  /** Metadata of part `part`, instead of what is right. */
  values?: (part: number) => Record<string, NewValue>;
  /** Tensors of a part instead of what is right. */
  tensors?: (part: number, right: NewTensor[]) => NewTensor[];
}

/** Writes the parts of the model; returns the path of the first. */
function writeParts(directory: string, { sizes = [5, 9], values, tensors }: Changes = {}): string {
  const whole = smallModel(shape);
  const count = sizes.length + 1;
  let from = 0;
  for (let part = 0; part < count; part++) {
    const to = part < sizes.length ? from + sizes[part] : whole.tensors.length;
    const right = whole.tensors.slice(from, to);
    from = to;
    const all = new Map([
      ...(part === 0 ? whole.values : []),
      ...Object.entries({
        "split.no": u16(part),
        "split.count": u16(count),
        "split.tensors.count": i32(whole.tensors.length),
        ...values?.(part),
      }),
    ]);
    writeFileSync(join(directory, partName(part, count)), encodeGguf(all, tensors?.(part, right) ?? right));
  }
  return join(directory, partName(0, count));
}

async function logitsOf(path: string): Promise<Float32Array> {
  await using lm = await LightGPT.load(path, { threads: 2 });
  return await lm.logits([1, 5, 70, 200], { all: true });
}

describe("a model in parts", () => {
  for (const sizes of [[5, 9], [0, 3], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [30]]) {
    it(`of ${sizes} tensors and the rest is the same as in one file`, () =>
      withDirectory(async (directory) => {
        const one = join(directory, "one.gguf");
        writeFileSync(one, smallModelBytes(shape));
        const first = writeParts(directory, { sizes });
        const gguf = readGguf(first);
        assertEquals(gguf.files.length, sizes.length + 1);
        assertEquals(new Set(gguf.tensors.keys()), new Set(readGguf(one).tensors.keys()));
        assertEquals(await logitsOf(first), await logitsOf(one));
      }));
  }

  it("is opened by its first part only", () =>
    withDirectory(async (directory) => {
      writeParts(directory);
      const second = join(directory, partName(1, 3));
      const error = await assertRejects(() => LightGPT.load(second), ModelFormatError, "this is part 2 of 3");
      assertEquals(error.field, "split.no");
      assertEquals(error.message.includes("open the first part"), true);
    }));

  it("needs all of them, under their names", () =>
    withDirectory((directory) => {
      const first = writeParts(directory);
      const renamed = join(directory, "model.gguf");
      copyFileSync(first, renamed);
      assertThrows(() => readGguf(renamed), ModelFormatError, "-00001-of-00003.gguf");
      const other = join(directory, partName(0, 4));
      copyFileSync(first, other);
      assertThrows(() => readGguf(other), ModelFormatError, "split.count");
      rmSync(join(directory, partName(2, 3)));
      const error = assertThrows(() => readGguf(first), LightGPTError, partName(2, 3));
      assertEquals(error.code, "io");
      return Promise.resolve();
    }));

  const wrong: [what: string, changes: Changes, field: string][] = [
    ["parts in the wrong order", { values: (part) => ({ "split.no": u16(part === 0 ? 0 : 3 - part) }) }, "split.no"],
    ["a part of another model", { values: (part) => ({ "split.count": u16(part === 2 ? 4 : 3) }) }, "split.count"],
    ["a part that is no part", { values: (part) => ({ "split.count": u16(part === 1 ? 0 : 3) }) }, "split.count"],
    ["too few tensors", { values: () => ({ "split.tensors.count": i32(99) }) }, "split.tensors.count"],
    ["a negative number of tensors", { values: () => ({ "split.tensors.count": i32(-1) }) }, "split.tensors.count"],
    ["more parts than there can be", { values: () => ({ "split.count": u16(65535) }) }, "split.count"],
    ["a tensor in two parts", {
      tensors: (part, right) => part === 2 ? [...right, smallModel(shape).tensors[0]] : right,
    }, "token_embd.weight"],
    [
      "a part that lacks a tensor",
      { tensors: (part, right) => part === 1 ? right.slice(1) : right },
      "split.tensors.count",
    ],
  ];
  for (const [what, changes, field] of wrong) {
    it(`refused: ${what}`, () =>
      withDirectory((directory) => {
        const first = writeParts(directory, changes);
        assertEquals(assertThrows(() => readGguf(first), ModelFormatError).field, field);
        return Promise.resolve();
      }));
  }

  it("refused: a part that is cut", () =>
    withDirectory((directory) => {
      const first = writeParts(directory);
      const last = join(directory, partName(2, 3));
      writeFileSync(last, smallModelBytes(shape).subarray(0, 5000));
      const error = assertThrows(() => readGguf(first), ModelFormatError);
      assertEquals(error.message.includes(partName(2, 3)), true);
      return Promise.resolve();
    }));
});
