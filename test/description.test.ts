/**
 * A model's description in words: complete however many layers, tensors and bytes of paths there are.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { MODEL } from "../ffi/abi.ts";
import type { PlannedTensor } from "../src/model/architectures/architectures.ts";
import type { Hyperparameters } from "../src/model/architectures/types.ts";
import { describeModel } from "../src/model/encode_model.ts";

const hyperparameters = { perLayer: [] as unknown, layers: 0 } as Hyperparameters;

function tensor(number: number): PlannedTensor {
  const shape = { columns: 64, rows: number + 1, offset: 4096 * number, bytes: 128 };
  return { role: "attn_q", layer: number, tensor: { type: 2, file: 0 }, ...shape } as PlannedTensor;
}

describe("a model's description", () => {
  it("holds every tensor and path, wherever its buffer has to grow", () => {
    for (let count = 0; count < 300; count++) {
      const tensors = Array.from({ length: count }, (_, number) => tensor(number));
      const path = "p".repeat(count * 11);
      const bytes = describeModel({ hyperparameters, tensors, parameters: 0 }, [path]);
      const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const at = (number: number) => 4 * (MODEL.header.length + number * MODEL.tensor.length);
      for (let number = 0; number < count; number++) {
        assertEquals(words.getUint32(at(number) + 20, true), number + 1);
        assertEquals(words.getBigUint64(at(number) + 24, true), 4096n * BigInt(number));
        assertEquals(words.getBigUint64(at(number) + 32, true), 128n);
      }
      assertEquals(words.getUint32(at(count), true), path.length);
      assertEquals(new TextDecoder().decode(bytes.subarray(at(count) + 4, at(count) + 4 + path.length)), path);
    }
  });
});
