/**
 * Each mix gives every tensor the type that llama-quantize gives it, with and without an importance matrix, on the shapes of
 * several models. `data/mixes.json` is what llama-quantize did (`bench/peers/mixes.ts`).
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { FORMATS } from "../src/files/formats.ts";
import { mixNames, Plan } from "../src/converting/mixes.ts";
import { fitting, formatOf, nameOf } from "../src/converting/types.ts";
import { dataDirectory, readJson } from "./kit.ts";
import { comparedMixes, type MixRecord, type MixShape, mixShapes, tensorsOf, weighedMixes } from "./mix-shapes.ts";

const record = readJson<MixRecord>(dataDirectory, "mixes.json");

/** The types that llama-quantize gave a model's tensors. */
function theirTypes(shape: MixShape, mix: string): string[] {
  return [...record.shapes[shape.name]![mix]!].map((letter) => record.types[letter.charCodeAt(0) - 97]!);
}

/** What stands in for blocks of 256 where rows do not fit: ours is IQ4_NL, theirs Q4_0; both have 4.5 bits a weight. */
const standIn: Readonly<Record<string, string>> = {
  q2_k: "q4_0",
  q3_k: "q4_0",
  q2_0: "q4_0",
  tq1_0: "q4_0",
  tq2_0: "q4_0",
};

/** The types that we give, with the one stand-in that differs put as theirs. */
function typesOf(shape: MixShape, mix: string, isWeighed: boolean): string[] {
  const { architecture, numbers } = shape;
  const tensors = tensorsOf(shape).map((tensor) => ({ ...tensor, type: 0, bytes: 0, read: () => {} }));
  const plan = new Plan(mix, [], tensors, {
    architecture,
    layers: numbers.block_count!,
    groups: numbers["attention.head_count"]! / numbers["attention.head_count_kv"]!,
    experts: numbers.expert_count ?? 0,
    isWeighed,
  });
  return tensors.map((tensor) => {
    const wanted = plan.formatFor(tensor);
    if (wanted === undefined) return FORMATS.get(0)!.name.toLowerCase();
    const asked = formatOf(wanted, "format");
    const format = fitting(asked, tensor.dims[0]!);
    return format === asked ? wanted : standIn[wanted] ?? nameOf(format!);
  });
}

describe("mixes", () => {
  for (const shape of mixShapes) {
    it(`give a model of the shape of ${shape.name} llama-quantize's types`, () => {
      const names = tensorsOf(shape).map(({ name }) => name);
      for (const mix of [...comparedMixes, ...weighedMixes.map((name) => `${name}+`)]) {
        const ours = typesOf(shape, mix.replace("+", ""), mix.endsWith("+"));
        const theirs = theirTypes(shape, mix);
        const differing = names.map((name, i) => `${name}: ${ours[i]} instead of ${theirs[i]}`)
          .filter((_, i) => ours[i] !== theirs[i]);
        assertEquals(differing, [], mix);
      }
    });
  }

  it("are all compared, but for plain floats and MXFP4 throughout, which llama-quantize does not make", () => {
    const compared = [...comparedMixes, ...weighedMixes];
    assertEquals(mixNames().filter((name) => !compared.includes(name)).sort(), [
      "bf16",
      "f16",
      "f32",
      "mxfp4",
      "nvfp4",
      "q1_0",
    ]);
  });
});
