/**
 * The factors by which Llama 3.1 divides the frequencies of its rotary positions: 1 for those that turn often within the
 * original context, the whole factor for those that turn seldom, and in between something smooth.
 *
 * @module
 */
import type { JsonFile } from "./json.ts";

/** How frequencies are scaled. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFactor: number;
  readonly highFactor: number;
  readonly context: number;
  /** Elements of a head that are rotated. */
  readonly rotated: number;
}

/** Reads `rope_scaling`. */
export function readLlama3(scaling: JsonFile, rotated: number): Llama3Scaling {
  const [lowFactor, highFactor] = [scaling.positive("low_freq_factor", 1), scaling.positive("high_freq_factor", 4)];
  if (!(highFactor > lowFactor)) throw scaling.wrong("high_freq_factor", `more than low_freq_factor, ${lowFactor}`);
  const context = scaling.count("original_max_position_embeddings", { fallback: 8192 });
  return { factor: scaling.positive("factor"), lowFactor, highFactor, context, rotated };
}

/** The tensor `rope_freqs`. No power function: its last bits depend on the engine. */
export function llama3Factors(
  { factor, lowFactor, highFactor, context, rotated }: Llama3Scaling,
  base: number,
): Float32Array {
  const step = root(base, rotated / 2);
  let power = 1;
  return Float32Array.from({ length: rotated / 2 }, () => {
    const wavelength = 2 * Math.PI * power;
    power *= step;
    if (wavelength < context / highFactor) return 1;
    if (wavelength > context / lowFactor) return factor;
    const smooth = (context / wavelength - lowFactor) / (highFactor - lowFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The n-th root of a number of at least 1, by bisection: only sums and products. */
function root(value: number, n: number): number {
  let [low, high] = [1, Math.max(1, value)];
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;
    let power = 1;
    for (let i = 0; i < n && power <= value; i++) power *= middle;
    if (power <= value) low = middle;
    else high = middle;
  }
}
