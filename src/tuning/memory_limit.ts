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
import { kvSizes } from "../engine/engine.ts";
import type { EngineSettings } from "../engine/step.ts";
import { probeMachine } from "../machine/machine.ts";
import { readCgroups } from "../machine/cgroup.ts";
import { Source } from "../machine/source.ts";
import type { Model } from "../model/model.ts";
import {
  assertFits,
  type FitSettings,
  mebibytes,
  needOf,
  programBytes,
  usualKvBytes,
} from "../batching/memory_budget.ts";
import { batcherFields, type BatcherOptions } from "../batching/options.ts";
import { checkInteger, refuseOption } from "../options/checks.ts";
import { defaultOf } from "../options/schema.ts";

/** Beyond this share of the limit nothing may grow: what is allocated between two looks must fit above it. */
const highShare = 0.95;
const marginLeast = 16 * 2 ** 20;

const units: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** What the option `memory` may be. */
export const memoryForms = 'bytes, a size such as "4GiB" or "300MB", or a share of what is free such as "50%"';

/** A budget as it was given: bytes, or a share of what is free. */
export type MemoryBudget = { readonly bytes: number } | { readonly share: number };

/** Reads the option `memory`; throws an {@link InvalidArgumentError} where it cannot be read. */
export function parseMemory(memory: unknown, name: string): MemoryBudget {
  if (typeof memory === "number") {
    checkInteger(name, memory, 1, Number.MAX_SAFE_INTEGER);
    return { bytes: memory };
  }
  if (typeof memory !== "string") refuseOption(name, memoryForms, memory);
  const [, number, unit = ""] = /^\s*(\d{1,15}(?:\.\d{1,9})?)\s*(%|[kmgt]?i?b)\s*$/i.exec(memory) ?? [];
  const value = Number(number);
  if (unit === "%" && value > 0 && value <= 100) return { share: value / 100 };
  const bytes = Math.floor(value * (units[unit.toLowerCase()] ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return { bytes };
  return refuseOption(name, memoryForms, memory);
}

/** More pages than this are of no use to a cache. */
const pagesMost = 1 << 16;

/** The least limit of the process's control group; undefined where it has none. */
function groupLimit(): number | undefined {
  const source = new Source();
  if (source.platform !== "linux") return undefined;
  const limits = readCgroups(source).memory.map(({ bytes }) => bytes);
  return limits.length > 0 ? Math.min(...limits) : undefined;
}

/** The most bytes that the process may have, as the user or its control group says; undefined where neither does. */
export function memoryLimit(budget: MemoryBudget | undefined): number | undefined {
  const group = groupLimit();
  if (budget === undefined) return group;
  if ("bytes" in budget) return Math.min(budget.bytes, group ?? Infinity, currentRuntime().memory() ?? Infinity);
  const { freeBytes } = probeMachine().memory;
  if (freeBytes === undefined) {
    throw new UnsupportedError(
      `memory: ${
        100 * budget.share
      } % of what is free cannot be told, for the free memory is not known here (in Deno: ` +
        "--allow-sys=systemMemoryInfo); expected a size such as 4GiB.",
      { what: "unknown free memory", where: "memory", expected: "a size" },
    );
  }
  return Math.floor(currentRuntime().resident() + budget.share * freeBytes);
}

/** Throws where a model that has not been loaded yet does not fit. */
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
  const settings = { kv, pageSize, context };
  const need = needOf(plan, settings, programBytes(residentBytes), residentBytes);
  assertFits(plan, need, limitBytes, settings);
  const left = Math.floor(Math.max(need.kv, highMark(limitBytes) - need.program - need.weights - need.work));
  const { kvBytesMax, cache } = batching;
  refuseMore("kvBytesMax", kvBytesMax, left, limitBytes);
  if (typeof cache === "object") refuseMore("cache.bytesMax", cache.bytesMax, left, limitBytes);
  if (kvBytesMax !== undefined) return batching;
  // A limit that the user did not ask for only keeps the usual sizes within it.
  const sequences = batching.batchSequences ?? defaultOf(batcherFields.batchSequences);
  const page = kvSizes(plan, kv, pageSize).pageBytes;
  const bytes = Math.min(left, isAsked ? pagesMost * page : usualKvBytes(need.kv, sequences));
  return { ...batching, kvBytesMax: bytes };
}

function refuseMore(name: string, bytes: number | undefined, left: number, limitBytes: number): void {
  if (bytes === undefined || bytes <= left) return;
  throw new InvalidArgumentError(
    `${name}: expected at most ${left}, which the model leaves of ${mebibytes(limitBytes)} of memory, got ${bytes}.`,
    { what: "contradictory options", where: name, expected: `at most ${left}`, got: `${bytes}` },
  );
}

/** The bytes of a limit that may be filled. */
export function highMark(limitBytes: number): number {
  return Math.min(limitBytes * highShare, Math.max(limitBytes / 2, limitBytes - marginLeast));
}
