/**
 * The memory that a process may have, from what the user says and what its control group allows, and the share of it that KV pages
 * get.
 *
 * @module
 */
import { InvalidArgumentError, UnsupportedError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import type { BatcherOptions } from "../batching/batcher.ts";
import { type EngineSettings, pageBytes } from "../engine/engine.ts";
import { probeMachine } from "../machine/machine.ts";
import { readCgroups } from "../machine/cgroup.ts";
import { Source } from "../machine/source.ts";
import type { Model } from "../model/model.ts";
import { assertFits, type FitSettings, mebibytes, needOf, parseMemory } from "./memory_budget.ts";
import { highMark } from "./memory_governor.ts";

/** More pages than this are of no use to a cache. */
const pagesMost = 1 << 16;

/** The least limit of the process's control group; undefined where it has none. */
function groupLimit(): number | undefined {
  const source = new Source();
  if (source.platform !== "linux") return undefined;
  const limits = readCgroups(source).memory.map(({ bytes }) => bytes);
  return limits.length > 0 ? Math.min(...limits) : undefined;
}

/** The most bytes that the process may have, where somebody says so: the user, or its control group. */
export function memoryLimit(memory: number | string | undefined): number | undefined {
  const group = groupLimit();
  if (memory === undefined) return group;
  const budget = parseMemory(memory);
  if ("bytes" in budget) return Math.min(budget.bytes, group ?? Infinity, currentRuntime().memory() ?? Infinity);
  const { freeBytes } = probeMachine().memory;
  if (freeBytes === undefined) {
    throw new UnsupportedError(
      `memory: ${memory} of what is free cannot be told, for the free memory is not known here (in Deno: ` +
        "--allow-sys=systemMemoryInfo); expected a size such as 4GiB.",
      { what: "unknown free memory", where: "memory", expected: "a size" },
    );
  }
  return Math.floor(currentRuntime().resident() + budget.share * freeBytes);
}

/** Throws where a model that has not been loaded yet cannot fit. */
export function assertRoomFor(
  plan: ModelPlan,
  settings: FitSettings,
  limitBytes: number | undefined,
): void {
  const need = needOf(plan, settings, currentRuntime().resident());
  if (limitBytes !== undefined) assertFits(plan, need, limitBytes, settings);
  const machine = native().memoryFor(need.weights);
  // How much context the machine has room for is asked when pages are taken.
  if (machine !== undefined) assertFits(plan, { ...need, kv: 0, work: 0 }, machine, settings);
}

/** The options with KV pages that fit the limit beside a loaded model; throws where it leaves too little. */
export function withinLimit(
  model: Model,
  batching: BatcherOptions,
  { kv, pageSize }: Pick<EngineSettings, "kv" | "pageSize">,
  limitBytes: number,
  isAsked: boolean,
): BatcherOptions {
  const { plan, context, residentBytes } = model;
  const resident = currentRuntime().resident();
  const settings = { kv, pageSize, context };
  const need = {
    ...needOf(plan, settings, Math.max(0, resident - residentBytes)),
    weights: residentBytes,
  };
  assertFits(plan, need, limitBytes, settings);
  const left = Math.floor(Math.max(need.kv, highMark(limitBytes) - resident - need.work));
  const { kvBytesMax, cache } = batching;
  refuseMore("kvBytesMax", kvBytesMax, left, limitBytes);
  if (typeof cache === "object") refuseMore("cache.bytesMax", cache.bytesMax, left, limitBytes);
  if (kvBytesMax !== undefined) return batching;
  // A limit that nobody asked for only keeps the usual sizes within it.
  const usual = 16 * need.kv;
  const page = pageBytes(plan.hyperparameters, kv, pageSize);
  const bytes = Math.min(left, isAsked ? pagesMost * page : Math.max(need.kv, Math.min(usual, 2 ** 30)));
  return { ...batching, kvBytesMax: bytes };
}

function refuseMore(name: string, bytes: number | undefined, left: number, limitBytes: number): void {
  if (bytes === undefined || bytes <= left) return;
  throw new InvalidArgumentError(
    `${name}: expected at most ${left}, which the model leaves of ${mebibytes(limitBytes)} of memory, got ${bytes}.`,
    { what: "contradictory options", where: name, expected: `at most ${left}`, got: `${bytes}` },
  );
}
