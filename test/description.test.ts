/**
 * A model's description in words: complete however many layers, tensors and bytes of paths there are.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { PlannedTensor } from "../src/model/architectures/architectures.ts";
import type { Hyperparameters } from "../src/model/architectures/types.ts";
import { describeModel } from "../src/model/encode_model.ts";

/** Every field has another value, so that none can stand in another's place. */
const hyperparameters: Hyperparameters = {
  architecture: "llama",
  layers: 3,
  embedding: 4,
  vocabulary: 5,
  context: 6,
  kDim: 7,
  vDim: 8,
  ropeDim: 10,
  ropeStyle: "neox",
  activation: "gelu",
  epsilon: 0.5,
  embeddingScale: 1.5,
  attentionScale: 2.5,
  attentionSoftcap: 3.5,
  logitSoftcap: 4.5,
  ropeMagnitude: 5.5,
  ropeBase: 6.25,
  ropeScale: 7.25,
  ropeLocalBase: 8.25,
  perLayer: [{ heads: 11, kvHeads: 12, feedForward: 13, window: 14, ropeLocal: true }],
};
const headerWords = 22;
const layerWords = 5;
const tensorWords = 10;

function tensor(number: number): PlannedTensor {
  const shape = { columns: 64, rows: number + 1, offset: 2 ** 34 * number, bytes: 2 ** 33 };
  return { role: "attn_q", layer: number, tensor: { type: 2, file: 0 }, ...shape } as PlannedTensor;
}

describe("a model's description", () => {
  it("has each field in the place where the library's table has it", () => {
    const words = describeModel({ hyperparameters, tensors: [tensor(2)], parameters: 0 }, ["p"]);
    const view = new DataView(words.words.buffer);
    const u32 = Array.from({ length: 10 }, (_, index) => view.getUint32(4 * index, true));
    assertEquals(u32, [1, 1, 3, 4, 5, 7, 8, 10, 2, 1], "files, tensors, layers and sizes, then two choices");
    const f32 = Array.from({ length: 6 }, (_, index) => view.getFloat32(40 + 4 * index, true));
    assertEquals(f32, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    const f64 = Array.from({ length: 3 }, (_, index) => view.getFloat64(64 + 8 * index, true));
    assertEquals(f64, [6.25, 7.25, 8.25]);
    assertEquals([...words.words.subarray(headerWords, headerWords + layerWords)], [11, 12, 13, 14, 1]);
    const at = headerWords + layerWords;
    assertEquals([...words.words.subarray(at, at + tensorWords)], [5, 2, 2, 0, 64, 3, 0, 8, 0, 2]);
    assertEquals([...words.words.subarray(at + tensorWords, words.length)], [1, 0x70]);
  });

  it("holds every tensor and path, wherever its buffer has to grow", () => {
    for (let count = 0; count < 300; count++) {
      const tensors = Array.from({ length: count }, (_, number) => tensor(number));
      const path = "p".repeat(count * 11);
      const words = describeModel({ hyperparameters, tensors, parameters: 0 }, [path]);
      const view = new DataView(words.words.buffer, 0, 4 * words.length);
      const at = (number: number) => 4 * (headerWords + layerWords + number * tensorWords);
      for (let number = 0; number < count; number++) {
        assertEquals(view.getUint32(at(number) + 20, true), number + 1);
        assertEquals(view.getBigUint64(at(number) + 24, true), 2n ** 34n * BigInt(number));
        assertEquals(view.getBigUint64(at(number) + 32, true), 2n ** 33n);
      }
      assertEquals(view.getUint32(at(count), true), path.length);
      const bytes = new Uint8Array(words.words.buffer, at(count) + 4, path.length);
      assertEquals(new TextDecoder().decode(bytes), path);
    }
  });
});
