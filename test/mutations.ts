/**
 * Damages model files at random, the same way for the same seed: flipped bits, integers at their boundaries, pieces moved or
 * copied from another file, and cut ends. Children of `mutations.test.ts` run it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { ModelFormatError, UnsupportedError } from "../ffi/errors.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { parseGguf } from "../src/files/gguf/read.ts";
import { loadTokenizer } from "./tokenizers.ts";
import { memorySource, randomNumbers } from "./models.ts";
import { workedMs } from "./worked.ts";

/** Values around which readers of integers have gone wrong. */
const boundaries = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map(BigInt)
  .concat([2n ** 32n, 2n ** 61n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 32n]);

/** One to three damages; most in the header, since the weights may be anything. */
export function mutate(bases: readonly Uint8Array[], headerBytes: readonly number[], seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const which = random(bases.length);
  let bytes = bases[which].slice();
  const place = () => random(random(16) === 0 ? bytes.length : Math.min(bytes.length, headerBytes[which]));
  for (let damage = 0; damage <= random(3); damage++) {
    if (bytes.length === 0) break;
    const at = place();
    switch (random(6)) {
      case 0:
        bytes[at] ^= 1 << random(8);
        break;
      case 1:
        bytes[at] = random(256);
        break;
      case 2:
        putInteger(bytes, at, boundaries[random(boundaries.length)] + BigInt(random(3) - 1), random(2) === 0);
        break;
      case 3: { // a small change of an integer: lengths and counts that are off by a few
        bytes[at] += random(9) - 4;
        break;
      }
      case 4: { // a piece replaces another, of the same length or not
        const source = bases[random(bases.length)];
        const from = random(source.length);
        const piece = source.subarray(from, from + 1 + random(200));
        bytes = joined(
          bytes.subarray(0, at),
          piece,
          bytes.subarray(at + (random(2) === 0 ? piece.length : random(200))),
        );
        break;
      }
      default:
        bytes = bytes.slice(0, place());
    }
  }
  return bytes;
}

function putInteger(bytes: Uint8Array, at: number, value: bigint, wide: boolean): void {
  const length = wide ? 8 : 4;
  for (let index = 0; index < length && at + index < bytes.length; index++) {
    bytes[at + index] = Number(BigInt.asUintN(64, value) >> BigInt(8 * index) & 255n);
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Reads a damaged file as far as no native code is needed; true if nothing is wrong with it. Other errors get through. */
export function isAccepted(bytes: Uint8Array): boolean {
  try {
    const gguf = parseGguf(memorySource("damaged", bytes));
    planModel(gguf);
    loadTokenizer(gguf).encode("Hello, world: 123 \u00e9\u{1f600}");
    return true;
  } catch (error) {
    if (error instanceof ModelFormatError || error instanceof UnsupportedError) return false;
    throw error;
  }
}

/** What a child reports as JSON. */
export interface Report {
  /** How many were read, */
  read: number;
  /** and how many of them nothing was wrong with. */
  accepted: number;
  /** The longest that one took. */
  slowestMs: number;
  /** The most that resident memory grew. */
  grownBytes: number;
}

/** Reads the mutations of a range of seeds. */
export function runMutations(paths: readonly string[], firstSeed: number, count: number, collect: () => void): Report {
  const bases = paths.map((path) => new Uint8Array(readFileSync(path)));
  const headers = bases.map((bytes) => headerLength(bytes));
  const report = { read: 0, accepted: 0, slowestMs: 0, grownBytes: 0 };
  let before: number | undefined;
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const bytes = mutate(bases, headers, seed);
    const begin = workedMs();
    try {
      if (isAccepted(bytes)) report.accepted++;
    } catch (error) {
      throw new Error(`mutation ${seed} of ${paths} is not refused as it should be`, { cause: error });
    }
    report.read++;
    report.slowestMs = Math.max(report.slowestMs, workedMs() - begin);
    if (report.read % 2500 !== 0) continue;
    collect();
    const { rss } = process.memoryUsage();
    // The runtime's own warming up is not counted.
    if (before === undefined) before = rss;
    report.grownBytes = Math.max(report.grownBytes, rss - before);
  }
  return report;
}

/** Where the tensors' data begins. */
export function headerLength(bytes: Uint8Array): number {
  const { tensors } = parseGguf(memorySource("whole", bytes));
  return Math.min(bytes.length, ...Array.from(tensors.values(), ({ offset }) => offset));
}
