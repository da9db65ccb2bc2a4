/**
 * What calibrated rounding measures: the inputs of a matrix in the original model and in a copy that is rounded so far, and
 * what makes up for the difference.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { native } from "../ffi/native.ts";
import { CancelledError, Model, Quantizer, readGguf } from "../mod.ts";
import { Calibrator } from "../src/converting/calibrator.ts";
import type { Calibration } from "../src/converting/round_calibrated.ts";
import { QuantizedTensor } from "../src/converting/tensor.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { FORMATS } from "../src/files/formats.ts";
import { nameOf } from "../src/converting/types.ts";
import { openReader, windowsOf } from "../src/measuring/text_windows.ts";
import { randomNumbers } from "./models.ts";

const path = embeddedModel();
const text = "Once upon a time there was a little fox. The fox lived in a den by the river, and it was happy. ".repeat(
  8,
);
const values = "blk.0.attn_v.weight";
const output = "blk.0.attn_output.weight";
const outputProduct = 1; // the second of the first layer

const quantizer = new Quantizer({ threads: 1 });

/** A matrix of the file as floats. */
async function matrixOf(name: string): Promise<{ weights: Float32Array; columns: number; format: number }> {
  const tensor = readGguf(path).tensors.get(name);
  const format = FORMATS.get(tensor?.type ?? -1);
  if (tensor === undefined || format === undefined) throw new Error(`the embedded model has no ${name}`);
  const blocks = readFileSync(path).subarray(tensor.offset, tensor.offset + tensor.bytes);
  const [columns, rows] = tensor.dims;
  const weights = await quantizer.dequantize(new QuantizedTensor(nameOf(format), [rows, columns], blocks));
  return { weights, columns, format: format.id };
}

/** The matrix of values with noise, in its own format: what a very coarse rounding would leave. */
async function coarseValues(): Promise<{ format: number; blocks: Uint8Array }> {
  const { weights, columns, format } = await matrixOf(values);
  const random = randomNumbers(3);
  const noisy = weights.map((weight) => weight * (0.4 + random(1000) / 1000));
  const tensor = await quantizer.quantize(noisy, { format: "q4_0", shape: [weights.length / columns, columns] });
  return { format, blocks: tensor.blocks };
}

/** The inputs of a product, row after row, as a model computes them. */
async function inputsOf(model: Model, product = outputProduct): Promise<Float32Array[]> {
  const window = Math.min(256, model.context);
  const reader = openReader(model, window, 1);
  const columns = 256;
  try {
    reader.inputs.capture(product, 1);
    const rows: Float32Array[] = [];
    for (const read of await windowsOf(model, text, window, undefined)) {
      await reader.read(read);
      const room = new Float32Array(window * columns);
      const count = reader.inputs.captured(product, room);
      for (let at = 0; at < count; at += columns) rows.push(room.subarray(at, at + columns));
    }
    return rows;
  } finally {
    await reader.dispose();
  }
}

const folder = mkdtempSync(join(tmpdir(), "lightgpt-calibrator-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const open = (signal?: AbortSignal) =>
  Calibrator.open(path, {
    text,
    tokens: 4096,
    threads: 1,
    signal,
    allowUnknownPreTokenizer: false,
    output: join(folder, "made.gguf"),
    work: "q4_0",
  });

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);

describe("a calibrator", () => {
  it("has nothing to make up for while nothing is rounded", async () => {
    await using calibrator = await open();
    const calibration = await of(calibrator, output);
    assertEquals([calibration.columns, calibration.repair, calibration.shift], [256, null, null]);
    assertEquals(await calibrator.calibrationFor("token_embd.weight", 0), undefined);
  });

  it("makes a later matrix up for what an earlier one has lost", async () => {
    const { format, blocks } = await coarseValues();
    await using calibrator = await open();
    // Before a layer's first product is asked for there is no copy of the layer.
    await calibrator.calibrationFor(values, 0);
    calibrator.replace(values, format, blocks);
    const { repair, shift } = await of(calibrator, output);
    assert(repair === null && shift);

    // The outputs of the original, beside those of the rounded copy with the matrix as it was, and with it repaired.
    using exact = await Model.load(path);
    using rounded = await Model.load(path);
    native().replace({ model: rounded.handle, layer: 0, role: "attn_v", format, blocks });
    const [x, y] = [await inputsOf(exact), await inputsOf(rounded)];
    const { weights, columns } = await matrixOf(output);
    let [before, after] = [0, 0];
    for (let row = 0; row < 8; row++) {
      const w = weights.subarray(row * columns, (row + 1) * columns);
      const better = w.map((weight, k) => weight + shift[row * columns + k]);
      x.forEach((input, token) => {
        before += (dot(w, input) - dot(w, y[token])) ** 2;
        after += (dot(w, input) - dot(better, y[token])) ** 2;
      });
    }
    assertLess(after, 0.7 * before);
  });

  it("gives a later layer the states that the whole model has there", async () => {
    await using calibrator = await open();
    // Nothing is rounded: the sums of a layer that was loaded alone are those of the whole model.
    const deep = "blk.2.ffn_gate.weight";
    const { factor, columns } = await of(calibrator, deep);
    using model = await Model.load(path);
    const rows = await inputsOf(model, 2 * 4 + 2);
    const diagonal = Array.from({ length: columns }, (_, k) => rows.reduce((sum, row) => sum + row[k] ** 2, 0));
    const mean = diagonal.reduce((sum, value) => sum + value, 0) / columns;
    diagonal.forEach((expected, k) => {
      // Of the second matrix, in panels of 32 columns.
      const panel = k - k % 32;
      const found = factor[(columns + panel) * columns + k * 32 + k - panel];
      assertLess(Math.abs(found - expected - 0.01 * mean), 1e-4 * (found + mean));
    });
  });

  it("leaves nothing behind, at its end and when it is cancelled", async () => {
    {
      await using calibrator = await open();
      await calibrator.calibrationFor("blk.1.attn_q.weight", 0);
      assertEquals(readdirSync(folder).length, 1);
    }
    assertEquals(readdirSync(folder), []);
    const controller = new AbortController();
    await using calibrator = await open(controller.signal);
    const asked = calibrator.calibrationFor("blk.3.ffn_down.weight", 0);
    controller.abort();
    await assertRejects(() => asked, CancelledError);
    await calibrator[Symbol.asyncDispose]();
    assertEquals(readdirSync(folder), []);
  });
});

/** The calibration of a matrix, which there must be. */
async function of(calibrator: Calibrator, name: string): Promise<Calibration> {
  const found = await calibrator.calibrationFor(name, 0);
  assert(typeof found === "object");
  return found;
}
