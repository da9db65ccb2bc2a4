/**
 * Checks of the Quantizer's input, and its error messages.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError } from "../../ffi/errors.ts";
import { checkBuffer, native } from "../../ffi/native.ts";
import { FLOAT_SOURCES, type FloatSource } from "../../ffi/wire.ts";
import { FORMATS, type TensorFormat } from "../files/formats.ts";
import { checkInstance, guarded, refuseOption } from "../options/checks.ts";
import type { Resolved } from "../options/schema.ts";
import type { outlierFields } from "./outliers.ts";
import { checkShape, QuantizedTensor, type SplitOutliers } from "./tensor.ts";
import { nameOf } from "./types.ts";

/** The type that values are stored as. */
export function sourceOf(values: Float32Array | Uint16Array, source: "f16" | "bf16" | undefined): FloatSource {
  if (guarded("values", () => values instanceof Uint16Array)) {
    checkBuffer("Uint16Array", values as Uint16Array, "values");
    return source ?? "f16";
  }
  checkBuffer("Float32Array", values as Float32Array, "values");
  if (source !== undefined) refuseOption("source", "nothing beside a Float32Array", source);
  return "f32";
}

/** The sizes of a tensor of so many values. */
export function shapeOf(shape: readonly number[] | undefined, length: number): readonly number[] {
  const sizes = shape ?? checkShape([length], "shape");
  const product = sizes.reduce((all, size) => all * size, 1);
  if (product !== length) {
    refuseOption("shape", `sizes whose product is ${length}, the values there are`, sizes.join(" x "));
  }
  return [...sizes];
}

/** Throws for rows that no block fits. */
export function refuseRow(format: TensorFormat, columns: number): never {
  return refuseOption(
    "shape",
    `rows that are a multiple of ${nameOf(format)}'s block of ${format.blockElements}`,
    columns,
  );
}

/** The policy for outliers, and its threshold. */
export function outlierOptions(outliers: Resolved<typeof outlierFields> | undefined, format: TensorFormat) {
  if (outliers === undefined) return { policy: "keep", threshold: 0 } as const;
  const { policy, threshold } = outliers;
  if (policy !== "keep" && format.blockElements === 1) {
    refuseOption("outliers.policy", `"keep" where the format has no blocks, as ${nameOf(format)}`, policy);
  }
  return { policy, threshold };
}

/** Importances that may be used for rows of so many columns. */
export function importanceOf(importance: Float32Array | undefined, columns: number): Float32Array | undefined {
  if (importance === undefined) return undefined;
  checkBuffer("Float32Array", importance, "importance");
  if (importance.length !== columns) refuseOption("importance", `${columns} floats, one a column`, importance.length);
  const wrong = importance.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (wrong >= 0) refuseOption("importance", "finite numbers that are not negative", importance[wrong]);
  return importance;
}

/** The format of a tensor whose blocks have the size that they should have. */
export function checkTensor(tensor: QuantizedTensor): TensorFormat {
  checkInstance("tensor", tensor, QuantizedTensor, "a QuantizedTensor");
  const format = FORMATS.get(tensor.type) as TensorFormat;
  const expected = tensor.length / format.blockElements * format.blockBytes;
  if (tensor.blocks.byteLength !== expected || tensor.columns % format.blockElements !== 0) {
    refuseOption("tensor", `${expected} bytes of blocks`, `${tensor.blocks.byteLength}`);
  }
  return format;
}

/** The values that are marked, with their places. */
export function splitValues(
  values: Float32Array | Uint16Array,
  source: FloatSource,
  mask: Uint32Array,
): SplitOutliers {
  const places: number[] = [];
  mask.forEach((word, index) => {
    for (let rest = word; rest !== 0; rest &= rest - 1) {
      places.push(index * 32 + 31 - Math.clz32(rest & -rest));
    }
  });
  const one = new Float32Array(1);
  const exact = places.map((place) => {
    if (values instanceof Float32Array) return values[place] as number;
    const blocks = new Uint8Array(values.slice(place, place + 1).buffer);
    native().dequantize({ format: FLOAT_SOURCES[source], blocks, values: one, threads: 1 });
    return one[0] as number;
  });
  return { indices: Uint32Array.from(places), values: Float32Array.from(exact) };
}

/** Throws with what is wrong with the values of a block that native code refused. */
export function refuseBlock(
  values: Float32Array | Uint16Array,
  source: FloatSource,
  index: number,
  format: TensorFormat,
  columns: number,
): never {
  const begin = index * format.blockElements;
  const block = values.slice(begin, begin + format.blockElements);
  const floats = new Float32Array(format.blockElements);
  if (block instanceof Float32Array) floats.set(block);
  else {
    const blocks = new Uint8Array(block.buffer);
    native().dequantize({ format: FLOAT_SOURCES[source], blocks, values: floats, threads: 1 });
  }
  const place = floats.findIndex((value) => !Number.isFinite(value));
  const at = place < 0 ? begin : begin + place;
  const where = `values: row ${Math.floor(at / columns)}, column ${at % columns}`;
  if (place >= 0) {
    throw new LightGPTError("nonFinite", `${where}: expected finite values, got ${floats[place]}.`, {
      what: "a value that is not finite",
      where,
      expected: "finite values",
      got: String(floats[place]),
    });
  }
  const most = floats.reduce((greatest, value) => Math.max(greatest, Math.abs(value)), 0);
  throw new InvalidArgumentError(
    `${where}: the block that begins here has values up to ${most}, which need a scale that ${format.name} cannot store.`,
    { what: "values too large for the format", where, expected: `a scale within ${format.name}'s`, got: String(most) },
  );
}
