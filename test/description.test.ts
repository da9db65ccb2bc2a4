/**
 * A model's description in words: complete however many layers, tensors and bytes of paths there are.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { PlannedTensor } from "../src/model/architectures/architectures.ts";
import type { Hyperparameters, TextParameters } from "../src/model/architectures/types.ts";
import { describeModel } from "../src/model/encode_model.ts";

/** Every field has another value, so that none can stand in another's place. */
const hyperparameters: Hyperparameters = {
  architecture: "llama",
  layers: 3,
  embedding: 4,
  vocabulary: 5,
  context: 6,
  rotations: [{
    dimensions: 20,
    factors: true,
    magnitude: 7.5,
    base: 6.25,
    scale: 7.25,
    rampBegin: 8.25,
    rampEnd: 9.25,
  }],
  ropeFactors: 10,
  ropeStyle: "neox",
  queryNorms: "rows",
  norms: "deviation",
  parallel: false,
  valueNorms: true,
  layerInputs: 17,
  activation: "gelu",
  feedForwardGate: false,
  epsilon: 0.5,
  embeddingScale: 1.5,
  residualScale: 2.5,
  attentionScale: 3.5,
  attentionSoftcap: 4.5,
  logitScale: 5.5,
  logitSoftcap: 6.5,
  temperatureScale: 8.5,
  temperatureContext: 9,
  // No word of its own: layers have theirs.
  expertsUsed: 48,
  routerScore: "sigmoid",
  routerGroups: 19,
  routerGroupsUsed: 20,
  routerNormalises: true,
  routerScale: 9.5,
  positions: 41,
  tokenTypes: 42,
  distancesLower: true,
  denseInner: 43,
  denseWidth: 44,
  rankWidth: 45,
  rankScores: 46,
  rankActivation: "geluErf",
  rankSoftmax: true,
  joinsStates: true,
  lastDeviation: true,
  perLayer: [{
    mixer: "shortConvolution",
    heads: 11,
    kvHeads: 12,
    kDim: 15,
    vDim: 16,
    feedForward: 13,
    experts: 21,
    expertsUsed: 48,
    expertWidth: 22,
    sharedWidth: 17,
    expertLatent: 34,
    window: 14,
    rotation: 1,
    convKernel: 10,
    keys: "ofLayer",
    keysLayer: 18,
    stateHeads: 21,
    stateGroups: 19,
    stateSize: 20,
    stateWidth: 35,
    stateHeadsInTurn: true,
    stateGatesTogether: false,
    stateRowsTogether: true,
    attentionGate: true,
    latentRank: 31,
    latentRotated: 32,
    queryRank: 33,
    ahead: 47,
  }],
};
/** What no word tells of. */
const texts = {} as TextParameters;
const headerWords = 40;
const rotationWords = 11;
const layerWords = 28;
const tensorWords = 14;

function tensor(number: number): PlannedTensor {
  const shape = {
    columns: 64,
    rows: number + 1,
    slabs: 4,
    scale: 5,
    offset: 2 ** 34 * number,
    stride: 2 ** 35,
    bytes: 2 ** 33,
  };
  return { role: "attn_q", layer: number, tensor: { type: 2, file: 0 }, ...shape } as PlannedTensor;
}

describe("a model's description", () => {
  it("has each field in the place where the library's table has it", () => {
    const words = describeModel({ hyperparameters, texts, tensors: [tensor(2)], parameters: 0 }, ["p"]);
    const view = new DataView(words.words.buffer);
    const u32 = Array.from({ length: 15 }, (_, index) => view.getUint32(4 * index, true));
    assertEquals(
      u32,
      [1, 1, 3, 1, 4, 5, 10, 2, 1, 1, 0, 1, 17, 1, 0],
      "files, tensors, layers and sizes, then choices",
    );
    const f32 = Array.from({ length: 8 }, (_, index) => view.getFloat32(60 + 4 * index, true));
    assertEquals(f32, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 8.5]);
    assertEquals(view.getUint32(92, true), 9);
    assertEquals([...words.words.subarray(24, 28)], [1, 19, 20, 1]);
    assertEquals(view.getFloat32(4 * 28, true), 9.5);
    assertEquals([...words.words.subarray(29, headerWords)], [41, 42, 1, 43, 44, 45, 46, 1, 1, 1, 1]);
    assertEquals([...words.words.subarray(headerWords, headerWords + 2)], [20, 1]);
    assertEquals(view.getFloat32(4 * headerWords + 8, true), 7.5);
    const f64 = Array.from({ length: 4 }, (_, index) => view.getFloat64(4 * headerWords + 12 + 8 * index, true));
    assertEquals(f64, [6.25, 7.25, 8.25, 9.25]);
    const layer = headerWords + rotationWords;
    assertEquals([...words.words.subarray(layer, layer + layerWords)], [
      1,
      11,
      12,
      15,
      16,
      13,
      21,
      48,
      22,
      17,
      34,
      14,
      1,
      10,
      2,
      18,
      21,
      19,
      20,
      35,
      1,
      0,
      1,
      1,
      31,
      32,
      33,
      47,
    ]);
    const at = layer + layerWords;
    assertEquals([...words.words.subarray(at, at + tensorWords)], [5, 2, 2, 0, 64, 3, 4, 5, 0, 8, 0, 8, 0, 2]);
    assertEquals([...words.words.subarray(at + tensorWords, words.length)], [1, 0x70, 0, 0]);
  });

  it("holds every tensor and path, wherever its buffer has to grow", () => {
    for (let count = 0; count < 300; count++) {
      const tensors = Array.from({ length: count }, (_, number) => tensor(number));
      const path = "p".repeat(count * 11);
      const words = describeModel({ hyperparameters, texts, tensors, parameters: 0 }, [path]);
      const view = new DataView(words.words.buffer, 0, 4 * words.length);
      const at = (number: number) => 4 * (headerWords + rotationWords + layerWords + number * tensorWords);
      for (let number = 0; number < count; number++) {
        assertEquals(view.getUint32(at(number) + 20, true), number + 1);
        assertEquals(view.getBigUint64(at(number) + 32, true), 2n ** 34n * BigInt(number));
        assertEquals(view.getBigUint64(at(number) + 40, true), 2n ** 35n);
        assertEquals(view.getBigUint64(at(number) + 48, true), 2n ** 33n);
      }
      assertEquals(view.getUint32(at(count), true), path.length);
      const bytes = new Uint8Array(words.words.buffer, at(count) + 4, path.length);
      assertEquals(new TextDecoder().decode(bytes), path);
    }
  });
});
