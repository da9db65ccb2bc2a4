/**
 * What the quantizer can make: the formats by name, what a K-format falls back to where its rows are no multiple of 256,
 * and the usual mixes. The formats themselves are `src/files/formats.ts`'s.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { FORMATS, type TensorFormat } from "../files/formats.ts";
import { refuseOption } from "../options/checks.ts";

/**
 * The name of a format that floats can be turned into.
 *
 * @example
 * ```ts
 * import { type QuantizedFormat, Quantizer } from "@lightgpt/lightgpt";
 *
 * const format: QuantizedFormat = "q8_0";
 * const tensor = await new Quantizer().quantize(new Float32Array(64).fill(0.5), { format });
 * console.log(tensor.bytes); // 68
 * ```
 */
export type QuantizedFormat =
  | "f32"
  | "f16"
  | "bf16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k"
  | "iq4_nl"
  | "iq4_xs"
  | "iq1_s"
  | "iq1_m"
  | "iq2_xxs"
  | "iq2_xs"
  | "iq2_s"
  | "iq3_xxs"
  | "iq3_s"
  | "tq1_0"
  | "tq2_0"
  | "q1_0"
  | "q2_0"
  | "mxfp4"
  | "nvfp4";

/** The formats that floats can be turned into, in the order of error messages. */
const QUANTIZED_FORMATS: readonly QuantizedFormat[] = [
  "f32",
  "f16",
  "bf16",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q8_0",
  "q2_k",
  "q3_k",
  "q4_k",
  "q5_k",
  "q6_k",
  "iq4_nl",
  "iq4_xs",
  "iq1_s",
  "iq1_m",
  "iq2_xxs",
  "iq2_xs",
  "iq2_s",
  "iq3_xxs",
  "iq3_s",
  "tq1_0",
  "tq2_0",
  "q1_0",
  "q2_0",
  "mxfp4",
  "nvfp4",
];

/** What a format of long blocks falls back to where a row is a multiple of 32 only, as in llama.cpp. */
export const FALLBACK: Readonly<Partial<Record<QuantizedFormat, QuantizedFormat>>> = {
  q2_k: "iq4_nl",
  q3_k: "iq4_nl",
  q4_k: "q5_0",
  q5_k: "q5_1",
  q6_k: "q8_0",
  iq4_xs: "iq4_nl",
  iq1_s: "iq4_nl",
  iq1_m: "iq4_nl",
  iq2_xxs: "iq4_nl",
  iq2_xs: "iq4_nl",
  iq2_s: "iq4_nl",
  iq3_xxs: "iq4_nl",
  iq3_s: "iq4_nl",
  tq1_0: "iq4_nl",
  tq2_0: "iq4_nl",
  q2_0: "iq4_nl",
};

/** The format of this name, in either case; throws where there is none that floats can be turned into here. */
export function formatOf(name: unknown, option: string): TensorFormat {
  const lower = typeof name === "string" ? name.toLowerCase() : undefined;
  const found = makeable().find((format) => format.name.toLowerCase() === lower);
  if (found === undefined) refuseOption(option, makeable().map(nameOf).join(", "), name);
  return found;
}

/** The formats that the library can make. */
export function makeable(): readonly TensorFormat[] {
  return made ??= findMakeable();
}

/** Found once: every piece of a tensor asks, and looking for them took longer than rounding to the nearest. */
let made: readonly TensorFormat[] | undefined;

function findMakeable(): TensorFormat[] {
  const encoders = new Set(native().formats.filter(({ encodes }) => encodes).map(({ id }) => id));
  return QUANTIZED_FORMATS.flatMap((name) =>
    [...FORMATS.values()].filter(({ id, name: own }) => encoders.has(id) && own.toLowerCase() === name)
  );
}

/** A format's name as options spell it. */
export function nameOf(format: TensorFormat): QuantizedFormat {
  return format.name.toLowerCase() as QuantizedFormat;
}

/** The format that rows of `columns` values get: the one asked for, what it falls back to, or undefined. */
export function fitting(format: TensorFormat, columns: number): TensorFormat | undefined {
  if (columns % format.blockElements === 0) return format;
  const fallback = FALLBACK[nameOf(format)];
  if (fallback === undefined || columns % 32 !== 0) return undefined;
  return makeable().find((candidate) => nameOf(candidate) === fallback);
}
