/**
 * Importance matrices: what a model's matrices see, files of llama.cpp's two kinds, what is wrong in them, and that a search
 * goes by them.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  collectImportance,
  ImportanceMatrix,
  LightGPTError,
  Model,
  ModelFormatError,
  type QuantizedFormat,
  quantizeFile,
  Quantizer,
  readGguf,
} from "../mod.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import { makeable, nameOf } from "../src/converting/types.ts";
import type { NewValue } from "../src/files/gguf/encode.ts";
import { GgufWriter } from "../src/files/gguf/write.ts";
import { dataDirectory, repository } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-importance-"));
const embedded = join(repository, "models", "tinytales-q4_0.gguf");
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

/** A GGUF file of F32 tensors. */
function writeTensors(
  path: string,
  tensors: readonly (readonly [name: string, dims: number[], values: Float32Array])[],
  metadata = new Map<string, NewValue>(),
): void {
  const infos = tensors.map(([name, dims, values]) => ({ name, dims, type: 0, bytes: values.byteLength }));
  const writer = new GgufWriter(path, metadata, infos);
  for (const [, , values] of tensors) writer.write(new Uint8Array(values.buffer));
  writer.finish();
}

const isImatrix = new Map<string, NewValue>([["general.type", { type: VALUE_TYPE.string, value: "imatrix" }]]);
const text = "Once upon a time, there was a little girl called Mia. She had a red ball. One day, the ball was gone. ";

describe("collectImportance", () => {
  it("sums the squares of what each matrix sees, the same with any number of threads and windows kept", async () => {
    await using model = await Model.load(embedded);
    const progress: number[] = [];
    const options = { dataset: "a story", window: 32, onProgress: (done: number) => progress.push(done) };
    const matrix = await collectImportance(model, text.repeat(3), { ...options, threads: 1 });
    assertEquals([...matrix.entries.keys()].length, 35);
    assertEquals([matrix.datasets, matrix.chunkSize], [["a story"], 32]);
    assertEquals(progress.at(-1), matrix.chunkCount);
    const tokens = model.tokenizer.encode(text.repeat(3), { addSpecial: false }).length;
    const q = matrix.entries.get("blk.0.attn_q.weight");
    assert(q !== undefined);
    assertEquals(q.counts, Float32Array.of(tokens + matrix.chunkCount)); // each window begins with BOS
    // What a norm gives has a mean square of 1 before its weights.
    const weights = readGguf(embedded).tensors.get("blk.4.attn_norm.weight");
    assert(weights !== undefined);
    const bytes = readFileSync(embedded).subarray(weights.offset, weights.offset + weights.bytes);
    const norm = new Float32Array(new Uint8Array(bytes).buffer);
    const last = matrix.entries.get("blk.4.attn_q.weight")?.sums ?? new Float32Array(256);
    const mean = last.reduce((sum, value, i) => sum + value / (q.counts[0] * norm[i] ** 2), 0) / 256;
    assertAlmostEquals(mean, 1, 1e-3);
    assertEquals(matrix.entries.get("blk.0.attn_v.weight")?.sums, q.sums);
    assertEquals(matrix.entries.get("blk.4.ffn_down.weight")?.sums.length, 768);
    const again = await collectImportance(model, text.repeat(3), { ...options, threads: 2 });
    assertEquals(again.entries, matrix.entries);
    await assertRejects(() => collectImportance(model, ""), LightGPTError, "at least one token");
    await assertRejects(() => collectImportance(model, text, { signal: AbortSignal.abort() }), LightGPTError);
  });
});

describe("experts", () => {
  it("are summed one by one, each over the tokens that came to it; what all of them see is what the shared one sees", async () => {
    const path = join(dataDirectory, "kit", "archs", "ernie4_5_moe.gguf");
    await using model = await Model.load(path);
    const matrix = await collectImportance(model, text.repeat(2), { window: 32 });
    const key = [...readGguf(path).metadata.keys()].find((name) => name.endsWith(".expert_used_count"));
    const used = readGguf(path).metadata.count(key!);
    const names = [...matrix.entries.keys()];
    const stacks = names.filter((name) => name.endsWith("ffn_gate_exps.weight"));
    assertLess(0, stacks.length);
    for (const name of stacks) {
      const each = matrix.entries.get(name)!;
      const down = matrix.entries.get(name.replace("gate", "down"))!;
      const all = matrix.entries.get(name.replace("exps", "shexp"))!;
      assertEquals(down.counts, each.counts);
      assertEquals(each.counts.reduce((sum, count) => sum + count, 0), used * all.counts[0]);
      const columns = all.sums.length;
      all.sums.forEach((sum, column) => {
        let found = 0;
        each.counts.forEach((_, expert) => found += each.sums[expert * columns + column]);
        assertAlmostEquals(found / used, sum, 1e-5 * sum);
      });
      assert(
        down.sums.every((sum, i) =>
          sum > 0 === down.counts[Math.floor(i / (down.sums.length / down.counts.length))] > 0
        ),
      );
    }
    const again = await collectImportance(model, text.repeat(2), { window: 32, threads: 2 });
    assertEquals(again.entries, matrix.entries);
  });

  it("are rounded by importances of their own; one that no text reached gets plain rounding, and that is said", async () => {
    const [columns, rows, experts] = [64, 4, 3];
    const name = "blk.0.ffn_up_exps.weight";
    const values = Float32Array.from({ length: columns * rows * experts }, (_, i) => Math.sin(i * i) * 0.1);
    writeTensors(at("experts.gguf"), [[name, [columns, rows, experts], values]]);
    const sums = Float32Array.from(
      { length: columns * experts },
      (_, i) => i < columns || i >= 2 * columns ? i % 7 : 0,
    );
    const matrix = new ImportanceMatrix(new Map([[name, { sums, counts: Float32Array.of(5, 0, 7) }]]));
    const options = { type: "q4_0", importance: matrix };
    const report = await quantizeFile(at("experts.gguf"), at("experts-q4_0.gguf"), options);
    assertEquals(report.tensors[0]?.unreached, [1]);
    assertEquals(
      report.warnings.filter((warning) => warning.includes("experts 1 of blk.0.ffn_up_exps.weight")).length,
      1,
    );
    const { offset, bytes } = readGguf(at("experts-q4_0.gguf")).tensors.get(name)!;
    const made = readFileSync(at("experts-q4_0.gguf")).subarray(offset, offset + bytes);
    for (const expert of [0, 1, 2]) {
      const own = values.subarray(expert * columns * rows, (expert + 1) * columns * rows);
      const importance = matrix.columns().get(name)!.subarray(expert * columns, (expert + 1) * columns);
      const rounding = expert === 1 ? { rounding: "nearest" as const } : { importance };
      const { blocks } = await new Quantizer().quantize(own, { format: "q4_0", shape: [rows, columns], ...rounding });
      assertEquals(new Uint8Array(made.subarray(expert * blocks.length, (expert + 1) * blocks.length)), blocks);
    }
    const whole = await quantizeFile(at("experts.gguf"), at("experts-q4_0.gguf"), { type: "q4_0" });
    assertEquals(whole.tensors[0]?.unreached, []);
  });
});

describe("files of importance matrices", () => {
  const entries = new Map([
    ["blk.0.ffn_up.weight", { sums: Float32Array.of(2, 4, 6), counts: Float32Array.of(2) }],
    ["blk.0.ffn_up_exps.weight", { sums: Float32Array.of(2, 4, 9, 9), counts: Float32Array.of(2, 0) }],
  ]);

  it("come back as they were written, and as llama.cpp lays them out", () => {
    const matrix = new ImportanceMatrix(entries, { datasets: ["a.txt", "ä.txt"], chunkCount: 3, chunkSize: 512 });
    matrix.write(at("trip.gguf"));
    const back = ImportanceMatrix.read(at("trip.gguf"));
    assertEquals(back.entries, matrix.entries);
    assertEquals([back.datasets, back.chunkCount, back.chunkSize], [["a.txt", "ä.txt"], 3, 512]);
    const { metadata, tensors } = readGguf(at("trip.gguf"));
    assertEquals([...metadata.keys()], [
      "general.type",
      "imatrix.datasets",
      "imatrix.chunk_count",
      "imatrix.chunk_size",
    ]);
    assertEquals(
      [...tensors.values()].map(({ name, dims, type }) => [name, dims, type]),
      [
        ["blk.0.ffn_up.weight.in_sum2", [3], 0],
        ["blk.0.ffn_up.weight.counts", [1], 0],
        ["blk.0.ffn_up_exps.weight.in_sum2", [2, 2], 0],
        ["blk.0.ffn_up_exps.weight.counts", [1, 2], 0],
      ],
    );
    // Of an expert that no text reached nothing is known.
    assertEquals(back.columns().get("blk.0.ffn_up_exps.weight"), Float32Array.of(1, 2, 0, 0));
  });

  it("of the older kind are read", () => {
    const bytes = legacy([["blk.0.ffn_up.weight", 2, [2, 4, 6]], ["x", 0, [5]]], 7, "a.txt");
    writeFileSync(at("old.dat"), bytes);
    const { datasets, chunkCount, ...matrix } = ImportanceMatrix.read(at("old.dat"));
    assertEquals([datasets, chunkCount], [["a.txt"], 7]);
    assertEquals(matrix.entries.get("blk.0.ffn_up.weight"), entries.get("blk.0.ffn_up.weight"));
    assertEquals(ImportanceMatrix.read(at("old.dat")).columns().get("x"), Float32Array.of(5));
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(at("cut.dat"), bytes.subarray(0, length));
      // Without the end, all entries are there.
      if (length === bytes.length - 13) assertEquals(ImportanceMatrix.read(at("cut.dat")).chunkCount, 0);
      else if (length !== bytes.length - 9) assertThrows(() => ImportanceMatrix.read(at("cut.dat")), ModelFormatError);
    }
  });

  it("that are damaged, or something else, are refused with a sentence", () => {
    const one = Float32Array.of(1);
    const cases: [string, () => void, string][] = [
      ["model.gguf", () => writeTensors(at("model.gguf"), [["a.in_sum2", [1], one]]), "general.type"],
      ["empty.gguf", () => writeTensors(at("empty.gguf"), [["a.weight", [1], one]], isImatrix), "ends in .in_sum2"],
      ["alone.gguf", () => writeTensors(at("alone.gguf"), [["a.in_sum2", [1], one]], isImatrix), "a.counts beside it"],
      [
        "counts.gguf",
        () =>
          writeTensors(at("counts.gguf"), [["a.in_sum2", [1], one], ["a.counts", [2], new Float32Array(2)]], isImatrix),
        "expected 1 counts",
      ],
      [
        "nan.gguf",
        () =>
          writeTensors(
            at("nan.gguf"),
            [["a.in_sum2", [2], Float32Array.of(1, NaN)], ["a.counts", [1], one]],
            isImatrix,
          ),
        "a.in_sum2[1]: expected a finite number that is not negative, got NaN",
      ],
      ["text.gguf", () => writeFileSync(at("text.gguf"), "a text that is no matrix"), "neither a GGUF file"],
    ];
    for (const [name, make, message] of cases) {
      make();
      assertThrows(() => ImportanceMatrix.read(at(name)), ModelFormatError, message);
    }
    assertThrows(() => ImportanceMatrix.read(at("absent.gguf")), LightGPTError, "there is no such file");
    assertThrows(() => ImportanceMatrix.read(directory), LightGPTError, "not a regular file");
    assertThrows(
      () => new ImportanceMatrix(entries).write(at("none/x.gguf")),
      LightGPTError,
      "its folder does not exist",
    );
    const negative = new Map([["a", { sums: Float32Array.of(-1), counts: one }]]);
    assertThrows(() => new ImportanceMatrix(negative), LightGPTError, "a.in_sum2[0]");
  });
});

describe("a file that was weighed by a matrix", () => {
  it("says which, by llama-quantize's keys; by columns alone nothing is known", async () => {
    writeTensors(at("plain.gguf"), [["blk.0.ffn_up.weight", [32, 1], new Float32Array(32).fill(1)]]);
    const made = new ImportanceMatrix(
      new Map([["blk.0.ffn_up.weight", { sums: new Float32Array(32).fill(2), counts: Float32Array.of(1) }]]),
      { datasets: ["a.txt", "b.txt"], chunkCount: 3 },
    );
    made.write(at("weighed.imatrix"));
    const keysOf = async (importance: ImportanceMatrix | ReadonlyMap<string, Float32Array>) => {
      await quantizeFile(at("plain.gguf"), at("weighed.gguf"), { type: "q4_0", importance });
      const { metadata } = readGguf(at("weighed.gguf"));
      return ["file", "dataset", "entries_count", "chunks_count"].map((key) => metadata.get(`quantize.imatrix.${key}`));
    };
    assertEquals(await keysOf(ImportanceMatrix.read(at("weighed.imatrix"))), [at("weighed.imatrix"), "a.txt", 1, 3]);
    assertEquals(await keysOf(made), [undefined, "a.txt", 1, 3]);
    assertEquals(await keysOf(made.columns()), [undefined, undefined, undefined, undefined]);
  });
});

/** The bytes of an older file. */
function legacy(list: readonly (readonly [string, number, number[]])[], chunks: number, dataset: string): Uint8Array {
  const parts: Uint8Array[] = [];
  const integer = (value: number) => parts.push(new Uint8Array(Int32Array.of(value).buffer));
  const name = (text: string) => {
    integer(text.length);
    parts.push(new TextEncoder().encode(text));
  };
  integer(list.length);
  for (const [title, calls, values] of list) {
    name(title);
    integer(calls);
    integer(values.length);
    parts.push(new Uint8Array(Float32Array.from(values).buffer));
  }
  integer(chunks);
  name(dataset);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe("a search by importance", () => {
  const columns = 512;
  const values = Float32Array.from({ length: 8 * columns }, (_, i) => Math.sin(i * i * 0.37) * (1 + (i * 7919) % 13));
  const weights = Float32Array.from({ length: columns }, (_, i) => (i * 31) % 17 === 0 ? 40 : 0.05 + (i % 5));

  for (const format of makeable().filter(({ blockElements }) => blockElements > 1).map(nameOf)) {
    it(`lowers the weighted error in ${format}`, async () => {
      const quantizer = new Quantizer({ threads: 1 });
      const cost = async (importance?: Float32Array) => {
        const options: { format: QuantizedFormat; shape: number[] } = { format, shape: [8, columns] };
        const tensor = await quantizer.quantize(
          values,
          importance === undefined ? options : { ...options, importance },
        );
        const made = await quantizer.dequantize(tensor);
        return made.reduce((sum, value, i) => sum + weights[i % columns] * (value - values[i]) ** 2, 0);
      };
      // Powers of two leave little to choose from.
      const [plain, weighed] = [await cost(), await cost(weights)];
      assertLess(weighed, plain * (format === "mxfp4" ? 1.000001 : 0.999));
    });
  }

  it("is of files, by names and sizes of their tensors", async () => {
    writeTensors(at("two.gguf"), [["a.weight", [512, 8], values], ["b.weight", [512, 8], values]]);
    const quantize = (importance: ReadonlyMap<string, Float32Array>, rounding: "search" | "nearest" = "search") =>
      quantizeFile(at("two.gguf"), at("two-q4.gguf"), { type: "q4_0", rounding, importance });
    const { warnings } = await quantize(new Map([["a.weight", weights], ["elsewhere.weight", weights]]));
    assertEquals(warnings, [
      "the importance matrix says nothing of 1 tensors (b.weight): their columns count all the same.",
    ]);
    const { tensors } = readGguf(at("two-q4.gguf"));
    const file = readFileSync(at("two-q4.gguf"));
    const [a, b] = ["a.weight", "b.weight"].map((name) => {
      const { offset = 0, bytes = 0 } = tensors.get(name) ?? {};
      return file.subarray(offset, offset + bytes);
    });
    assert(!a.equals(b));
    const foreign = new Map([["model.layers.0.weight", weights]]);
    await assertRejects(() => quantize(foreign), LightGPTError, "names of this model's tensors");
    const short = new Map([["a.weight", weights.subarray(1)]]);
    await assertRejects(() => quantize(short), LightGPTError, "importance of a.weight: expected 512 floats");
    const sick = new Map([["a.weight", weights.map((weight, i) => i === 3 ? NaN : weight)]]);
    await assertRejects(() => quantize(sick), LightGPTError, "importance");
    await assertRejects(() => quantize(new Map([["a.weight", weights]]), "nearest"), LightGPTError, "importance");
  });
});
