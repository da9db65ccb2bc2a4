/**
 * Inputs of layers (per-layer embeddings): their table, the largest tensor of such a model, stays in the file, of which a
 * step reads the rows of its tokens. What comes of a file that is cut meanwhile, and of rows that hold no numbers.
 *
 * @module
 */
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { it } from "node:test";
import { LightGPT, LightGPTError } from "../mod.ts";
import { gemma4, withModelFile } from "./small-models.ts";

/** The name of the table in the file. */
const table = "per_layer_token_embd.weight";

it("the table of embeddings takes no memory", () =>
  withModelFile(gemma4, async (path) => {
    await using lm = await LightGPT.load(path);
    const { tensors } = lm.model.gguf;
    const all = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    // What is packed is rounded up to groups of 16 rows and to lines of 64 bytes.
    assertLess(lm.model.residentBytes, 1.05 * (all - tensors.get(table)!.bytes));
  }));

it("a file that is cut after it was loaded fails the sequences that need what is gone", () =>
  withModelFile(gemma4, async (path) => {
    await using lm = await LightGPT.load(path);
    const before = await lm.logits([1, 2, 3]);
    const { offset, bytes, dims: [, rows] } = lm.model.gguf.tensors.get(table)!;
    truncateSync(path, offset + 10 * bytes / rows);
    const error = await assertRejects(() => lm.logits([1, 2, 200]), LightGPTError, "could not be read");
    assertEquals(error.code, "io");
    assertEquals(await lm.logits([1, 2, 3]), before, "rows that are there are read");
  }));

it("a row with a value that is no number fails its sequence alone", () =>
  withModelFile(gemma4, async (path) => {
    await using lm = await LightGPT.load(path);
    const { offset, bytes, dims: [, rows] } = lm.model.gguf.tensors.get(table)!;
    const file = openSync(path, "r+");
    writeSync(file, new Uint8Array(new Float32Array([NaN]).buffer), 0, 4, offset + 200 * bytes / rows);
    closeSync(file);
    const good = lm.logits([1, 2, 3]);
    const error = await assertRejects(() => lm.logits([1, 2, 200]), LightGPTError);
    assertEquals(error.code, "nonFinite");
    assertEquals((await good).every(Number.isFinite), true);
  }));
