/**
 * What the products of an engine's steps read, as importance matrices and calibrated rounding want it: the rows themselves, of the
 * last step, or sums of their squares over all steps. Products have numbers (`Native.capture`).
 *
 * @module
 */
import { type Native, native } from "../../ffi/native.ts";
import type { HeldEngine } from "./held_engine.ts";

/** The inputs of one engine's products. */
export class ProductInputs {
  readonly #native: Native = native();
  readonly #held: HeldEngine;

  /** Of an engine; no step may be in flight when it is asked. */
  constructor(held: HeldEngine) {
    this.#held = held;
  }

  /** Keeps the inputs of a step's products `first` to `first + count - 1`; those from number `made` on are not made. */
  capture(first: number, count: number, made = first + count - 1): void {
    this.#native.capture({ engine: this.#held.handle, first, count, made });
  }

  /** Copies the rows kept of a product in the last step; returns how many floats. */
  captured(product: number, out: Float32Array): number {
    return this.#native.captured(this.#held.handle, product, out);
  }

  /** Adds up the squares of the inputs of all products from now on, from nothing; or no longer. */
  sum(isOn: boolean): void {
    this.#native.sumInputs(this.#held.handle, isOn);
  }

  /**
   * Copies the sums of squares of a product's input, a column each; returns over how many rows. Of a stack of matrices
   * `matrix` says which.
   */
  sums(product: number, matrix: number, out: Float64Array): number {
    return this.#native.inputSums({ engine: this.#held.handle, product, matrix, sums: out });
  }
}
