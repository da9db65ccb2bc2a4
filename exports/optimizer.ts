/**
 * What suits a machine: its probes, and the optimizer that measures settings and opens a batcher with them. `LightGPT.load`
 * has one inside.
 *
 * @example
 * ```ts
 * import { probeMachine } from "@lightgpt/lightgpt/optimizer";
 *
 * const machine = probeMachine();
 * console.log(machine);
 * ```
 *
 * @module
 */
export { type Cache, type Machine, type MemoryLimit, probeMachine } from "../src/machine.ts";
export { Optimizer, type OptimizerOptions } from "../src/optimizer.ts";
export type { OptimizerEvent } from "../src/optimizer/events.ts";
export type { Trial, TunedSettings, TuneProgress } from "../src/tuner.ts";
export type { Profile } from "../src/tuner/profile.ts";
