/**
 * The small things that a program pays for beside the arithmetic, on either runtime: calls of the library, tokens to text and
 * back, opening a file. mitata repeats each until its figures settle.
 *
 *     deno run -A bench/micro.ts        bun bench/micro.ts
 *
 * @module
 */
import { bench, group, run } from "mitata";
import { native } from "../ffi/native.ts";
import { loadTokenizer, readGguf } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";

const library = native();
const q4_0 = library.formats.find(({ name }) => name.toLowerCase() === "q4_0")?.id ?? 2;
const floats = Float32Array.from({ length: 4096 }, (_, index) => Math.fround(((index * 7919) % 255 - 127) / 64));
const blocks = new Uint8Array(4096 / 32 * 18);
const quantizing = {
  format: q4_0,
  source: "f32",
  rounding: "nearest",
  outliers: "keep",
  threshold: 0,
  columns: floats.length,
  threads: 1,
  values: floats,
  importance: new Float32Array(0),
  mask: new Uint32Array(0),
  blocks,
} as const;
const gguf = readGguf(embeddedModel());
const tokenizer = await loadTokenizer(gguf);
const text = "Once upon a time, there was a little girl named Lily. She lived in a house by the bridge.\n".repeat(11);
const ids = tokenizer.encode(text);

group("the library", () => {
  bench("a call with a buffer (lg_memory)", () => library.memory());
  bench("4096 floats to Q4_0", () => library.quantize(quantizing));
  bench("4096 floats from Q4_0", () => library.dequantize({ format: q4_0, blocks, values: floats, threads: 1 }));
});

group("text and files", () => {
  bench("encode 1000 characters", () => tokenizer.encode(text));
  bench(`decode ${ids.length} tokens`, () => tokenizer.decode(ids));
  bench("read the header of the embedded model", () => readGguf(embeddedModel()));
  bench("make its tokenizer", () => loadTokenizer(gguf));
});

await run();
