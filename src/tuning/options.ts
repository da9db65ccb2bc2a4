/**
 * Options of the optimizer: what users see, the schema of it, and what of them is for whom.
 *
 * @module
 */
import { batcherFields, type BatcherOptions, resolveBatcherOptions } from "../batching/options.ts";
import type { EngineSettings } from "../engine/step.ts";
import { assertNotAborted, refuseOption } from "../options/checks.ts";
import {
  abortSignal,
  boolean,
  callback,
  choice,
  type FieldsOf,
  integer,
  number,
  other,
  pickOptions,
  readOptions,
  type Resolved,
} from "../options/schema.ts";
import { type MemoryBudget, memoryForms, parseMemory } from "./memory_limit.ts";
import type { TuneProgress } from "./tuner/tuner.ts";

/**
 * Options for optimizing: measuring settings, keeping within memory, following the load.
 *
 * @example
 * ```ts
 * import { LightGPT, type OptimizerOptions } from "@lightgpt/lightgpt";
 *
 * const options: OptimizerOptions = { tune: "auto", tuneMs: 3000, threads: 4 }; // at most 4 threads
 * await using lm = await LightGPT.load("model.gguf", options);
 * ```
 */
export interface OptimizerOptions extends BatcherOptions {
  /**
   * Whether settings are measured for this machine and model: `kept` uses those of an earlier measurement, `auto` measures
   * where there is none, in at most `tuneMs`, `again` always measures. `threads` is the most then; other settings that are
   * given stay. Results do not depend on it.
   * @default {"off"}
   */
  readonly tune?: "off" | "kept" | "auto" | "again";
  /**
   * How long measuring may take, from 100 to 10 000 milliseconds.
   * @default {10000}
   */
  readonly tuneMs?: number;
  /** Called with the progress of measuring. */
  readonly onTune?: (progress: TuneProgress) => void;
  /**
   * The memory that the whole process may have: bytes, a size such as `"4GiB"`, or a share of what is free such as `"50%"`. A
   * model that does not fit is refused. KV pages get what the model leaves, and give way when that shrinks.
   * @default {what the process's control group allows, if it has a limit}
   */
  readonly memory?: number | string;
  /**
   * Milliseconds between two tokens of a request that 95 % of them should stay below: fewer requests share a step, and prompts
   * get less of each step, as far as that needs. Results do not depend on it.
   * @default {as many tokens in all as possible}
   */
  readonly targetTokenMs?: number;
  /**
   * Whether settings follow the load while requests run: batch, prompts, threads where other programs take cores, cache.
   * Results do not depend on it.
   * @default {true with `targetTokenMs` or `tune`, else false}
   */
  readonly adapt?: boolean;
  /** Ends loading, and measuring. */
  readonly signal?: AbortSignal;
}

const tuneMsMost = 10_000;

/** The schema of {@link OptimizerOptions}. */
export const optimizerFields = {
  ...batcherFields,
  tune: choice(["off", "kept", "auto", "again"], {
    about: "Whether settings are measured for this machine and model.",
    default: "off",
  }),
  tuneMs: integer({
    about: "How long measuring may take, in milliseconds.",
    least: 100,
    most: tuneMsMost,
    default: tuneMsMost,
  }),
  onTune: callback<(progress: TuneProgress) => void>({ about: "Called with the progress of measuring." }),
  memory: other<number | string, MemoryBudget>()(
    {
      about: "The memory that the whole process may have.",
      expected: memoryForms,
      otherwise: "what the process's control group allows",
      flag: { value: "SIZE", about: "keep the whole process within SIZE, such as 4GiB, or 50% of what is free" },
    },
    parseMemory,
  ),
  targetTokenMs: number({
    about: "Milliseconds between two tokens of a request that 95 % of them should stay below.",
    above: 0,
    most: 60_000,
    otherwise: "as many tokens in all as possible",
  }),
  adapt: boolean({
    about: "Whether settings follow the load while requests run.",
    otherwise: "true with `targetTokenMs` or `tune`, else false",
  }),
  signal: abortSignal("Ends loading, and measuring."),
} as const satisfies FieldsOf<OptimizerOptions>;

/** The schema of the options of `Optimizer.tune`. */
export const tuneFields = {
  tuneMs: optimizerFields.tuneMs,
  onTune: optimizerFields.onTune,
  signal: optimizerFields.signal,
} as const;

/** Options for an optimizer, checked: those of the batcher as they were given, and the others. */
export interface SplitOptions {
  readonly batching: BatcherOptions;
  /** How a page lies in memory. */
  readonly pages: Pick<EngineSettings, "kv" | "pageSize">;
  readonly tuning: Pick<Resolved<typeof optimizerFields>, "tune" | keyof typeof tuneFields>;
  readonly serving: Pick<Resolved<typeof optimizerFields>, "memory" | "targetTokenMs"> & { readonly adapts: boolean };
}

/** Checks options, before a model is loaded. */
export function splitOptimizerOptions(options: OptimizerOptions): SplitOptions {
  const { tune, tuneMs, onTune, signal, memory, targetTokenMs, adapt, chunkTokens } = readOptions(
    optimizerFields,
    options,
  );
  const batching = pickOptions<BatcherOptions>(batcherFields, options);
  const { settings: { kv, pageSize } } = resolveBatcherOptions(batching);
  assertNotAborted(signal);
  const adapts = adapt ?? (targetTokenMs !== undefined || tune !== "off");
  if (targetTokenMs !== undefined && !adapts) refuseOption("adapt", "true beside targetTokenMs", adapt);
  if (targetTokenMs !== undefined && chunkTokens !== undefined) {
    refuseOption("chunkTokens", "to be absent beside targetTokenMs, which changes it", chunkTokens);
  }
  return {
    batching,
    pages: { kv, pageSize },
    serving: { adapts, memory, targetTokenMs },
    tuning: { tune, tuneMs, onTune, signal },
  };
}
