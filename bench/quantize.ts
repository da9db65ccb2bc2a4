/**
 * Quantizing and turning back, through `Quantizer`, checks included: 256 MB of floats on one core and on two, and 64 Ki values
 * that stay in the cache. Beside it what bounds it (reading memory; `memset`, which writes past the caches) and, on Bun, where
 * `npm run bench` has installed the peer, ggml's own quantizer, in the same process by turns.
 *
 *     bun bench/quantize.ts [PEER'S FOLDER]
 *
 * @module
 */
import process from "node:process";
import { native } from "../ffi/native.ts";
import { type QuantizedFormat, type QuantizedTensor, Quantizer } from "../mod.ts";
import { peers } from "./peers/quantizer.mjs";

const columns = 4096;
const values = 64 << 20;
const rounds = 5;

const { ggml, libc } = await peers(process.argv[2] ?? new URL("peers/node_modules", import.meta.url).pathname);

/** N(0, 1), near enough, and quick to make. */
function noise(length: number): Float32Array {
  let state = 1;
  const next = () => state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  const all = new Float32Array(length);
  const some = Math.min(length, 1 << 20);
  for (let i = 0; i < some; i++) all[i] = (next() + next() + next() + next()) / 2 ** 31 - 4;
  for (let i = some; i < length; i += some) all.set(all.subarray(0, Math.min(some, length - i)), i);
  return all;
}

/** What is measured, by name: bytes of floats that one call reads or writes. */
const subjects: { name: string; bytes: number; run: () => unknown }[] = [];
const best = new Map<string, number>();

async function measure(): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const { name, bytes, run } of subjects) {
      const begin = performance.now();
      let calls = 0;
      do {
        await run();
        calls++;
      } while (performance.now() - begin < 60);
      const rate = bytes * calls / (performance.now() - begin) / 1e6;
      best.set(name, Math.max(best.get(name) ?? 0, rate));
    }
  }
}

const source = noise(values);
const out = new Float32Array(values);
const one = new Quantizer({ threads: 1 });
const two = new Quantizer({ threads: 2 });
const bytes = 4 * values;
const shape = [values / columns, columns];
const blocksOut = new Uint8Array(values / 32 * 18);
const make = (quantizer: Quantizer) => () =>
  quantizer.quantize(source, { format: "q4_0", shape, rounding: "nearest", out: blocksOut });

subjects.push({ name: "nearest, one core", bytes, run: make(one) });
subjects.push({ name: "nearest, two", bytes, run: make(two) });
const part = source.subarray(0, values / 16);
const partOf = (quantizer: Quantizer, format: QuantizedFormat) => () =>
  quantizer.quantize(part, { format, shape: [part.length / columns, columns] });
for (const format of ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "mxfp4", "q4_k", "q6_k"] as const) {
  subjects.push({ name: `search ${format}, one core`, bytes: part.byteLength, run: partOf(one, format) });
}
subjects.push({ name: "search q4_0, two", bytes: part.byteLength, run: partOf(two, "q4_0") });
const tensor: QuantizedTensor = await two.quantize(source, { format: "q4_0", shape, rounding: "nearest" });
const small = await one.quantize(source.subarray(0, 1 << 16), { format: "q4_0", rounding: "nearest" });
const smallOut = out.subarray(0, 1 << 16);
subjects.push({ name: "dequantize, one core", bytes, run: () => one.dequantize(tensor, out) });
subjects.push({ name: "dequantize, two", bytes, run: () => two.dequantize(tensor, out) });
subjects.push({ name: "dequantize in L2", bytes: smallOut.byteLength, run: () => one.dequantize(small, smallOut) });
if (ggml !== undefined) {
  const blocks = new Uint8Array(tensor.blocks.length);
  const rows = part.length / columns;
  subjects.push({
    name: "ggml quantize",
    bytes: part.byteLength,
    run: () => ggml.ggml_quantize_chunk(2, part, blocks, 0, rows, columns, null),
  });
  subjects.push({ name: "ggml dequantize", bytes, run: () => ggml.dequantize_row_q4_0(tensor.blocks, out, values) });
  subjects.push({
    name: "ggml dequantize in L2",
    bytes: smallOut.byteLength,
    run: () => ggml.dequantize_row_q4_0(small.blocks, smallOut, 1 << 16),
  });
}
if (libc !== undefined) subjects.push({ name: "memset", bytes, run: () => libc.memset(out, 0, bytes) });

const read = native().bandwidth({ threads: 1, mebibytes: 1024 }) / 1e9;
const readTwo = native().bandwidth({ threads: 2, mebibytes: 1024 }) / 1e9;
await measure();
for (const [name, rate] of best) console.log(`${name.padEnd(28)} ${rate.toFixed(2).padStart(7)} GB/s of f32`);
const rate = (name: string) => best.get(name) ?? NaN;
const ratio = (a: number, b: number) => (a / b).toFixed(2);
console.log(`reading memory               ${read.toFixed(2).padStart(7)} GB/s, two ${readTwo.toFixed(2)}`);
console.log(`nearest over ggml            ${ratio(rate("nearest, one core"), rate("ggml quantize"))}`);
console.log(`nearest over reading         ${ratio(rate("nearest, one core"), read)}`);
console.log(`nearest, two over one        ${ratio(rate("nearest, two"), rate("nearest, one core"))}`);
console.log(`search, two over one         ${ratio(rate("search q4_0, two"), rate("search q4_0, one core"))}`);
console.log(`dequantize over ggml         ${ratio(rate("dequantize, one core"), rate("ggml dequantize"))}`);
console.log(`dequantize in L2 over ggml   ${ratio(rate("dequantize in L2"), rate("ggml dequantize in L2"))}`);
console.log(`dequantize over memset       ${ratio(rate("dequantize, one core"), rate("memset"))}`);
console.log(`dequantize, two over one     ${ratio(rate("dequantize, two"), rate("dequantize, one core"))}`);
