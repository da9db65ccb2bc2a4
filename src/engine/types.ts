/**
 * Types of numbers that an engine knows by name, each list in one place, and the option that chooses one.
 *
 * @module
 */
import { KV_TYPES } from "../../ffi/wire.ts";
import { choice } from "../options/schema.ts";

/**
 * A type in which keys and values are stored.
 *
 * @example
 * ```ts
 * import { type KvType, LightGPT } from "@lightgpt/lightgpt";
 *
 * const kv: KvType = "q8_0"; // about half of f16
 * await using lm = await LightGPT.load("model.gguf", { kv });
 * ```
 */
export type KvType = "f16" | "f32" | "q8_0";

/** The types of keys and values, each at its number in the library. */
export const kvTypes: readonly KvType[] = KV_TYPES;

/** How activations are rounded, by name. */
export const activationTypes = ["int8", "int16"] as const;

/** Bits of activations that are rounded so. */
export const activationBits = { int8: 8, int16: 16 } as const;

/** The option of all that runs a model. */
export const activationsField = choice(activationTypes, {
  about: "How activations are rounded before products with quantized weights.",
  default: "int8",
  flag: { about: "round activations so; int16 gives the text of the weights as they are, and costs speed in batches" },
});
