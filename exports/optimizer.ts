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
export { probeMachine } from "../src/machine/machine.ts";
export type { Machine, MemoryLimit, ProcessorCache } from "../src/machine/types.ts";
export { Optimizer } from "../src/tuning/optimizer.ts";
export type { OptimizerOptions } from "../src/tuning/options.ts";
export type { OptimizerEvent } from "../src/tuning/events.ts";
export type { Trial, TunedSettings, TuneProgress } from "../src/tuning/tuner/tuner.ts";
export type { Profile } from "../src/tuning/tuner/profile.ts";
