/**
 * The engine alone: what a page takes, and a sequence that is given up while its step runs.
 *
 * @module
 */
import { assertEquals, assertInstanceOf, assertNotEquals } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError, Model } from "../mod.ts";
import { Engine, kvSizes } from "../src/engine/engine.ts";
import type { EngineSettings } from "../src/engine/step.ts";
import { embeddedModel } from "../src/files/embedded.ts";

const settings: EngineSettings = {
  kv: "f16",
  pageSize: 32,
  pages: 32,
  batchTokens: 512,
  sequences: 2,
  threads: 1,
  activationBits: 8,
  logitRows: 2,
};

/** Bytes of the checksum behind an exported page. */
const checksumBytes = 8;

describe("an engine", () => {
  it("has pages of the size that the library counts them with, whatever they store", async () => {
    using model = await Model.load(embeddedModel());
    const sizes: number[] = [];
    for (const kv of ["f16", "f32", "q8_0"] as const) {
      for (const pageSize of [16, 32, 64] as const) {
        const engine = new Engine(model, { ...settings, kv, pageSize });
        const counted = kvSizes(model.plan, kv, pageSize).pageBytes;
        assertEquals(engine.exportPage(0, new Uint8Array(2 ** 20)) - checksumBytes, counted, `${kv}, ${pageSize}`);
        sizes.push(counted);
        await engine.dispose();
      }
    }
    // f16 has two bytes for each number, f32 four, q8_0 one and two more for each 32.
    assertEquals(sizes.slice(6).map((bytes, index) => bytes / sizes[index]), [17 / 32, 17 / 32, 17 / 32]);
    assertEquals(sizes.slice(3, 6).map((bytes, index) => bytes / sizes[index]), [2, 2, 2]);
  });

  it("gives a sequence up between two layers, and leaves the others of the step alone", async () => {
    using model = await Model.load(embeddedModel());
    const engine = new Engine(model, settings);
    const prompt = { tokens: Array.from({ length: 400 }, (_, index) => 3 + index), logits: "last" } as const;
    const pages = Array.from({ length: 13 }, (_, page) => page);
    const given = { id: 1, position: 0, pages, ...prompt };
    const other = { id: 2, position: 0, pages: [20], tokens: [1, 5, 7], logits: "last" } as const;
    const [{ logits }] = await engine.run([other], false);
    const expected = logits.slice();
    assertNotEquals(expected.length, 0);

    const running = engine.run([given, { ...other, pages: [21] }], false);
    engine.cancel(1);
    const [cancelled, kept] = await running;
    assertInstanceOf(cancelled.error, CancelledError);
    assertEquals(kept.error, undefined);
    assertEquals(kept.logits, expected);

    const [{ error }] = await engine.run([given], false);
    assertEquals(error, undefined, "a later step of the same sequence is another matter");
    await engine.dispose();
  });
});
