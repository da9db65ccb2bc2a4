/**
 * The Quantizer: what it makes of reference rows beside llama.cpp's bytes, outliers, products, threads, and what it says
 * of bad input.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CancelledError, InvalidArgumentError, LightGPTError, QuantizedTensor, Quantizer } from "../mod.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import { makeable, nameOf, type QuantizedFormat } from "../src/converting/types.ts";
import { describeWholeKit, readJson } from "./kit.ts";

reckonProcessors(3);

const quantizer = new Quantizer({ threads: 2 });
const formats = makeable().map(nameOf);
const blockFormats = makeable().filter(({ blockElements }) => blockElements > 1).map(nameOf);

/** Floats of a normal distribution, near enough, from a seed. */
function noise(length: number, seed: number, scale = 1): Float32Array {
  let state = seed >>> 0 || 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => scale * (uniform() + uniform() + uniform() + uniform() - 2));
}

function floatsOf(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

interface Manifest {
  quantize: {
    rows: number;
    columns: number;
    types: { type: string; raw: string; rmse: (number | null)[] }[];
  };
}

/** Where a search must find something strictly better on most rows. */
const simple: readonly QuantizedFormat[] = ["q4_0", "q4_1", "q5_0", "q5_1"];

describeWholeKit("the Quantizer beside llama.cpp", "blocks", (directory) => {
  const { quantize } = readJson<Manifest>(directory, "manifest.json");
  const input = floatsOf(join(directory, "quantize_input.f32"));

  for (const { type, rmse } of quantize.types) {
    const format = type.toLowerCase() as QuantizedFormat;
    if (!formats.includes(format)) continue;
    it(`is never worse in ${type}`, async () => {
      const rows = rmse.flatMap((recorded, row) => recorded === null || recorded === 0 ? [] : [{ recorded, row }]);
      const valuesOf = (row: number) => input.subarray(row * quantize.columns, (row + 1) * quantize.columns);
      // llama.cpp makes zeros of what no scale can hold; here it is an error.
      const isHuge = ({ row }: { row: number }) => valuesOf(row).some((value) => Math.abs(value) > 1e20);
      for (const { row } of rows.filter(isHuge)) {
        await assertRejects(() => quantizer.quantize(valuesOf(row), { format }), InvalidArgumentError, "cannot store");
      }
      const found = await Promise.all(
        rows.filter((row) => !isHuge(row)).map(async ({ recorded, row }) => {
          const values = valuesOf(row);
          const errorWith = async (rounding: "nearest" | "search") => {
            const tensor = await quantizer.quantize(values, { format, rounding });
            return (await quantizer.error(tensor, values)).rmse / recorded;
          };
          return { row, nearest: await errorWith("nearest"), search: await errorWith("search") };
        }),
      );
      // llama.cpp searches for the scales of all but the simple formats; plain rounding is compared with plain rounding.
      const plain = [...simple, "q8_0"].includes(format);
      assertEquals(found.filter(({ nearest, search }) => plain && nearest > 1 + 1e-6 || search > 1 + 1e-6), []);
      const mean = found.reduce((sum, { search }) => sum + search, 0) / found.length;
      assertLess(mean, 1);
      if (simple.includes(format)) {
        assertLess(0.9 * found.length, found.filter(({ search }) => search < 1).length, `${type}: strictly better`);
      }
    });
  }
});

describe("the Quantizer", () => {
  const values = noise(96 * 256, 7, 0.1);
  const shape = [96, 256];

  it("makes every format, of the size that the format has, from f32, f16 and bf16, and turns it back", async () => {
    for (const format of formats) {
      const { blockElements, blockBytes } = makeable().find((candidate) => nameOf(candidate) === format) ??
        assertNever();
      for (const source of ["f32", "f16", "bf16"] as const) {
        const narrow = source === "f32"
          ? values
          : source === "bf16"
          ? new Uint16Array(new Uint32Array(values.buffer).map((bits) => bits >>> 16))
          : new Uint16Array((await quantizer.quantize(values, { format: source, shape })).blocks.buffer);
        const tensor = await quantizer.quantize(narrow, { format, shape, ...(source === "f32" ? {} : { source }) });
        assertEquals([tensor.format, tensor.bytes], [format, values.length / blockElements * blockBytes]);
        assertAlmostEquals(tensor.compression.f32, 4 * blockElements / blockBytes, 1e-9);
        const { rmse, maximum, cosine } = await quantizer.error(tensor, values);
        const back = await quantizer.dequantize(tensor);
        const squares = back.reduce((sum, value, i) => sum + (value - values[i]) ** 2, 0);
        assertAlmostEquals(rmse, Math.sqrt(squares / values.length), 1e-9);
        const least = blockBytes / blockElements < 0.3 ? 0.8 : 0.95;
        assert(maximum >= rmse && cosine > least, `${format} of ${source}: cosine ${cosine}`);
      }
    }
  });

  it("measures errors over several pieces, with any number of threads the same, outliers as exact as they are kept", async () => {
    const large = noise((1 << 20) + 4096, 5);
    for (const place of [3, (1 << 20) - 1, 1 << 20, large.length - 1]) large[place] = 50;
    const tensor = await quantizer.quantize(large, { format: "q4_0", outliers: { policy: "split", threshold: 4 } });
    assertEquals(tensor.outliers?.indices.length, 4);
    const back = await quantizer.dequantize(tensor);
    const expected = { squares: 0, most: 0, dot: 0, left: 0, right: 0 };
    large.forEach((x, i) => {
      const y = back[i];
      expected.squares += (x - y) ** 2;
      expected.most = Math.max(expected.most, Math.abs(x - y));
      expected.dot += x * y;
      expected.left += x * x;
      expected.right += y * y;
    });
    const found = await quantizer.error(tensor, large);
    assertAlmostEquals(found.rmse, Math.sqrt(expected.squares / large.length), 1e-12);
    assertEquals(found.maximum, expected.most);
    assertAlmostEquals(found.cosine, expected.dot / Math.sqrt(expected.left * expected.right), 1e-12);
    assertEquals(await new Quantizer({ threads: 3 }).error(tensor, large), found);
    assertEquals(await new Quantizer({ threads: 1 }).error(tensor, large), found);
  });

  it("multiplies as the dequantized matrix does", async () => {
    const vectors = noise(3 * 256, 9);
    for (const format of formats) {
      const tensor = await quantizer.quantize(values, { format, shape });
      const back = await quantizer.dequantize(tensor);
      const results = await quantizer.matmul(tensor, vectors);
      const alone = await quantizer.matvec(tensor, vectors.subarray(256, 512));
      assertEquals(alone, results.slice(96, 192));
      for (let vector = 0; vector < 3; vector++) {
        for (let row = 0; row < 96; row++) {
          let sum = 0;
          for (let k = 0; k < 256; k++) sum += back[row * 256 + k] * vectors[vector * 256 + k];
          assertAlmostEquals(results[vector * 96 + row], sum, 2e-3, `${format}, row ${row}`);
        }
      }
    }
  });

  it("gives the same bytes with any number of threads, in any slices", async () => {
    const large = noise(1 << 20, 3);
    const importance = noise(1024, 4).map(Math.abs);
    for (const format of blockFormats) {
      // Points of a lattice take long to find.
      const rows = format.startsWith("iq") && format !== "iq4_nl" ? 16 : 1024;
      const values = large.subarray(0, rows * 1024);
      const [one, three] = await Promise.all(
        [1, 3].map((threads) =>
          new Quantizer({ threads }).quantize(values, { format, shape: [rows, 1024], importance, rounding: "nearest" })
        ),
      );
      assertEquals(one.blocks, three.blocks);
    }
    const [one, two] = await Promise.all(
      [1, 2].map((threads) =>
        new Quantizer({ threads }).quantize(large, { format: "q4_0", shape: [1024, 1024], importance })
      ),
    );
    assertEquals(one.blocks, two.blocks);
    assertEquals(
      (await quantizer.quantize(large.subarray(0, 1024), { format: "q4_0", importance })).blocks,
      one.blocks.slice(0, 576),
    );
  });

  it("writes blocks where it is told to, if they fit there", async () => {
    const values = noise(64 * 40, 9);
    const out = new Uint8Array(80 * 18);
    const tensor = await quantizer.quantize(values, { format: "q4_0", out });
    assert(tensor.blocks === out);
    assertEquals(out, (await quantizer.quantize(values, { format: "q4_0" })).blocks);
    const small = new Uint8Array(80 * 18 - 1);
    await assertRejects(() => quantizer.quantize(values, { format: "q4_0", out: small }), InvalidArgumentError, "out");
  });

  it("leaves the event loop its turns", async () => {
    const large = noise(1 << 22, 5);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const begin = performance.now();
    await quantizer.quantize(large, { format: "q4_0" });
    clearInterval(timer);
    assert(turns >= Math.min(5, (performance.now() - begin) / 100), `${turns} turns`);
  });

  it("ends by an AbortSignal", async () => {
    const controller = new AbortController();
    const work = quantizer.quantize(noise(1 << 22, 6), { format: "q4_0", signal: controller.signal });
    controller.abort();
    await assertRejects(() => work, CancelledError);
  });

  it("weighs errors by the importance of their columns", async () => {
    const importance = new Float32Array(256).fill(1e-3);
    importance.fill(1, 0, 8);
    const errorOf = async (options: { importance?: Float32Array }) => {
      const back = await quantizer.dequantize(await quantizer.quantize(values, { format: "q4_0", shape, ...options }));
      return back.reduce((sum, value, i) => i % 256 < 8 ? sum + (value - values[i]) ** 2 : sum, 0);
    };
    assertLess(await errorOf({ importance }), 0.8 * await errorOf({}));
  });
});

describe("outliers", () => {
  const values = noise(4 * 256, 21, 0.05);
  const places = [5, 300, 301, 1023];
  for (const place of places) values[place] = place % 2 === 0 ? 4 : -5;

  it("that are split off come back exactly, cost 8 bytes each, and no longer stretch their block", async () => {
    for (const format of blockFormats) {
      const kept = await quantizer.quantize(values, { format });
      const split = await quantizer.quantize(values, { format, outliers: { policy: "split", threshold: 3.5 } });
      assertEquals([...split.outliers?.indices ?? []], places);
      assertEquals([...split.outliers?.values ?? []], places.map((place) => values[place]));
      assertEquals(split.bytes, kept.bytes + 8 * places.length);
      const [before, after] = [await quantizer.error(kept, values), await quantizer.error(split, values)];
      assertLess(after.rmse, before.rmse, format);
      const back = await quantizer.dequantize(split);
      for (const place of places) assertEquals(back[place], values[place]);
      const vector = noise(1024, 22);
      const [product] = await quantizer.matvec(split, vector);
      assertAlmostEquals(product, back.reduce((sum, value, i) => sum + value * vector[i], 0), 5e-3);
    }
  });

  it("that are clipped lie at the threshold", async () => {
    const clipped = await quantizer.quantize(values, { format: "f32" });
    assertEquals(clipped.outliers, undefined);
    const tensor = await quantizer.quantize(values, { format: "q8_0", outliers: { policy: "clip", threshold: 3 } });
    const back = await quantizer.dequantize(tensor);
    const block = values.subarray(0, 32);
    const mean = block.reduce((sum, value) => sum + value, 0) / 32;
    const deviation = Math.sqrt(block.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 32);
    assertAlmostEquals(back[5], mean - 3 * deviation, 0.02);
  });

  it("need a threshold above 0 and a format of blocks", async () => {
    for (const threshold of [0, -1, NaN, Infinity]) {
      await assertRejects(
        () => quantizer.quantize(values, { format: "q4_0", outliers: { policy: "clip", threshold } }),
        InvalidArgumentError,
        "outliers.threshold",
      );
    }
    await assertRejects(
      () => quantizer.quantize(values, { format: "f16", outliers: { policy: "split" } }),
      InvalidArgumentError,
      "outliers.policy",
    );
  });
});

describe("bad input to the Quantizer", () => {
  it("is refused with a sentence that says where and what would be right", async () => {
    const good = new Float32Array(64);
    const cases: [() => Promise<unknown>, string][] = [
      [() => quantizer.quantize(good, { format: "q9_9" as QuantizedFormat }), "format: expected f32, f16"],
      [() => quantizer.quantize(new Float32Array(0), { format: "q4_0" }), "shape: expected sizes from 1"],
      [() => quantizer.quantize(good, { format: "q4_0", shape: [3, 32] }), "shape: expected sizes whose product is 64"],
      [() => quantizer.quantize(good, { format: "q4_0", shape: [4, 16] }), "q4_0's block of 32, got 16"],
      [() => quantizer.quantize([1] as unknown as Float32Array, { format: "q4_0" }), "values: expected a Float32Array"],
      [() => quantizer.quantize(good, { format: "q4_0", importance: new Float32Array(3) }), "importance: expected 64"],
      [
        () => quantizer.quantize(good, { format: "q4_0", importance: new Float32Array(64).fill(-1) }),
        "importance: expected finite numbers that are not negative",
      ],
      [() => quantizer.quantize(good, { format: "q4_0", colour: 1 } as never), 'unknown option "colour"'],
      [() => quantizer.matvec({} as QuantizedTensor, good), "tensor: expected a QuantizedTensor"],
    ];
    for (const [call, message] of cases) await assertRejects(call, InvalidArgumentError, message);
    const short = new QuantizedTensor("q4_0", [2, 32], new Uint8Array(35));
    await assertRejects(() => quantizer.dequantize(short), InvalidArgumentError, "36 bytes of blocks");
    assertThrows(() => new Quantizer({ threads: 0 }), InvalidArgumentError, "threads");
  });

  it("that is not finite is named with its row and column", async () => {
    for (const format of formats) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const values = noise(4 * 256, 1);
        values[2 * 256 + 37] = bad;
        await assertRejects(
          () => quantizer.quantize(values, { format, shape: [4, 256] }),
          LightGPTError,
          `values: row 2, column 37: expected finite values, got ${bad}.`,
        );
      }
    }
  });

  it("that needs too large a scale is named with its block", async () => {
    const values = new Float32Array(512).fill(1);
    values[300] = 1e30;
    await assertRejects(
      () => quantizer.quantize(values, { format: "q4_0", shape: [2, 256] }),
      InvalidArgumentError,
      "values: row 1, column 32: the block that begins here has values up to 1.0000000150474662e+30",
    );
  });

  it("of subnormals and zeros is fine", async () => {
    for (const format of formats) {
      const values = new Float32Array(512).fill(1e-41);
      values.fill(0, 256);
      const { maximum } = await quantizer.error(await quantizer.quantize(values, { format }), values);
      assertLess(maximum, 1e-40);
    }
  });
});

function assertNever(): never {
  throw new Error("no such format");
}
