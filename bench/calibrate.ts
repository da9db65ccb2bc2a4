/**
 * Calibrated rounding of a model of 1.1 B (the shape of TinyLlama, random weights, F16), whole or some of its layers: time, processor
 * time, the most memory, and which native work the time went to. It should grow with layers and tokens alike.
 *
 *     bun bench/calibrate.ts [--layers 22] [--tokens 16000] [--type q4_0] [--threads 2]
 *
 * @module
 */
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Native, native } from "../ffi/native.ts";
import { quantizeFile } from "../mod.ts";
import { defaultPath, makeTinyLlama, SHAPE } from "./tinyllama.ts";

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: String(SHAPE.layers) },
    tokens: { type: "string", default: "16000" },
    type: { type: "string", default: "q4_0" },
    threads: { type: "string", default: "2" },
  },
});
const [layers, tokens, threads] = [values.layers, values.tokens, values.threads].map(Number);

/** Seconds in functions of the library that calibrating calls; what else takes time is mostly the reading of the text. */
const seconds = new Map<string, number>();
const library: object = native();
for (const name of ["gram", "factor", "solve", "calibrate", "quantize"] as const satisfies (keyof Native)[]) {
  const own: (words: unknown) => unknown = Reflect.get(library, name).bind(library);
  const counted = (words: unknown): unknown => {
    const start = performance.now();
    const result = own(words);
    seconds.set(name, (seconds.get(name) ?? 0) + (performance.now() - start) / 1000);
    return result;
  };
  Reflect.set(library, name, counted);
}

const model = makeTinyLlama("f16", defaultPath("f16", layers), false, layers);
const out = join(tmpdir(), `lightgpt-calibrated-${process.pid}.gguf`);
const text = readFileSync(new URL("texts/calibrate.txt", import.meta.url), "utf8");
const begin = performance.now();
try {
  await quantizeFile(model, out, {
    type: values.type,
    rounding: "calibrated",
    calibration: text,
    calibrationTokens: tokens,
    threads,
  });
} finally {
  rmSync(out, { force: true });
}
const all = (performance.now() - begin) / 1000;
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
const figures = [
  `${all.toFixed(1)} s`,
  `${((userCPUTime + systemCPUTime) / 1e6).toFixed(1)} CPU s`,
  `${(maxRSS / 1e3).toFixed(0)} MB`,
  ...[...seconds].map(([name, time]) => `${name} ${time.toFixed(1)} s`),
];
console.log(`${layers} layers, ${tokens} tokens: ${figures.join(", ")}`);
