/**
 * How fast an index of vectors is searched: a million rows of 384 numbers, exact, beside how fast the machine reads memory. Prints a
 * line for each kind of rows and number of threads. `npm run bench -- search`; `-- search 100000` for fewer rows.
 *
 * @module
 */
import process from "node:process";
import { VectorIndex } from "../exports/embedding.ts";
import { prepare } from "../ffi/library.ts";
import { native } from "../ffi/native.ts";

const rows = Number(process.argv[2] ?? 1_000_000);
const dimensions = 384;
const tries = 9;
/** Memory that is read for the bandwidth, in MiB: more than caches hold. */
const mebibytes = 384;

await prepare();
const block = new Float32Array(1000 * dimensions);
let state = 1;
for (let at = 0; at < block.length; at++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  block[at] = state / 2 ** 31 - 1;
}
const query = block.slice(5 * dimensions, 6 * dimensions);
for (const kind of ["int8", "f32", "binary"] as const) {
  for (const threads of [1, 2]) {
    const index = new VectorIndex({ kind, dimensions, threads });
    for (let added = 0; added < rows; added += 1000) index.add(block);
    const rate = native().bandwidth({ threads, mebibytes });
    let best = Infinity;
    for (let run = 0; run < tries; run++) {
      const begin = performance.now();
      await index.search(query);
      best = Math.min(best, performance.now() - begin);
    }
    const bytes = rows * (kind === "f32" ? 4 * dimensions : kind === "int8" ? dimensions : dimensions / 8);
    const share = bytes / (best / 1000) / rate;
    console.log(
      `${kind}, ${rows} x ${dimensions}, ${threads} threads: ${best.toFixed(1)} ms, ${
        (bytes / best / 1e6).toFixed(1)
      } GB/s, ` +
        `${(100 * share).toFixed(0)} % of the ${(rate / 1e9).toFixed(1)} GB/s that are read`,
    );
  }
}
