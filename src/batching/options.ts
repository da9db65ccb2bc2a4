/**
 * Options of a batcher: what users see, and the schema of it.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import type { EvictionPolicy } from "../cache/evict.ts";
import { evictionFields } from "../cache/options.ts";
import { activationBits, activationsField, type KvType, kvTypes } from "../engine/types.ts";
import { chunkMost } from "../engine/step_times.ts";
import { threadsField, threadsOption } from "../engine/threads_option.ts";
import { checkObject, refuseOption } from "../options/checks.ts";
import { choice, type FieldsOf, integer, other, readOptions, type Resolved } from "../options/schema.ts";

/**
 * Options for the prefix cache.
 *
 * @example
 * ```ts
 * import { LightGPT, type PrefixCacheOptions } from "@lightgpt/lightgpt";
 *
 * const cache: PrefixCacheOptions = { bytesMax: 256 * 2 ** 20, policy: "lru" };
 * await using lm = await LightGPT.load("model.gguf", { cache });
 * ```
 */
export interface PrefixCacheOptions {
  /**
   * The most bytes of KV pages that are kept for later requests.
   * @default {all that no running request needs}
   */
  readonly bytesMax?: number;
  /**
   * Which pages are evicted first: the least recently used, the least often used, or those that cost the least to compute.
   * @default {"lru"}
   */
  readonly policy?: EvictionPolicy;
  /**
   * Bits of the index hash, from 1 to 32. Fewer bits cost time, never a wrong result; tests of collisions use them.
   * @default {32}
   */
  readonly hashBits?: number;
}

/** The schema of {@link PrefixCacheOptions}. */
export const prefixCacheFields = {
  ...evictionFields,
} as const satisfies FieldsOf<PrefixCacheOptions>;

/**
 * Options for running requests.
 *
 * @example
 * ```ts
 * import { Batcher, type BatcherOptions, Model } from "@lightgpt/lightgpt";
 *
 * const options: BatcherOptions = { threads: 4, queueMax: 100, tenants: { paying: 4, trial: 1 } };
 * await using model = await Model.load("model.gguf");
 * await using batcher = new Batcher(model, options);
 * ```
 */
export interface BatcherOptions {
  /**
   * Threads that compute, at most the processors that the process may use. By default, a step that is faster on one
   * thread runs on one, which is measured while requests run.
   * @default {the processors that the process may use, within its control group's quota}
   */
  readonly threads?: number;
  /**
   * The type in which keys and values are stored.
   * @default {"f16"}
   */
  readonly kv?: KvType;
  /**
   * How activations are rounded before products with quantized weights.
   * @default {"int8"}
   */
  readonly activations?: "int8" | "int16";
  /**
   * The most bytes for the keys and values of all requests and of the cache; one context must fit.
   * @default {16 contexts, at most 1 GiB}
   */
  readonly kvBytesMax?: number;
  /**
   * Positions of a KV page. Results do not depend on it.
   * @default {32}
   */
  readonly pageSize?: 16 | 32 | 64;
  /**
   * The most tokens of a prompt that one step reads. Results do not depend on it.
   * @default {as many as take about 50 ms}
   */
  readonly chunkTokens?: number;
  /**
   * The most sequences that share a step. Results do not depend on it.
   * @default {16}
   */
  readonly batchSequences?: number;
  /**
   * Whether keys and values of prefixes are kept for later requests, and how. Results do not depend on it.
   * @default {true}
   */
  readonly cache?: boolean | PrefixCacheOptions;
  /**
   * The most requests that are open without running; more are refused with a `QueueFullError`.
   * @default {1024}
   */
  readonly queueMax?: number;
  /**
   * How long an idle batcher waits for more requests before its first step, in milliseconds.
   * @default {0}
   */
  readonly maxWaitMs?: number;
  /**
   * Steps after which a waiting request goes first, whatever its priority.
   * @default {512}
   */
  readonly patienceSteps?: number;
  /**
   * How many tokens of a request may be chosen before its reader asks for them, so that no step waits for the reader or for
   * JavaScript; 0: none. Results do not depend on it. A `logitsProcessor` or a `TokenMask` may change between two tokens, so a
   * request with one is never ahead; those beside it do not wait where JavaScript takes long for it.
   * @default {4}
   */
  readonly tokensAhead?: number;
  /**
   * Shares of the work for tenants, by name; numbers above 0. A tenant that is not named has 1.
   * @default {{}}
   */
  readonly tenants?: Readonly<Record<string, number>>;
}

/** The schema of {@link BatcherOptions}. */
export const batcherFields = {
  threads: threadsField,
  kv: choice(kvTypes, {
    about: "The type in which keys and values are stored.",
    default: "f16",
    flag: { about: "store keys and values as this type" },
  }),
  activations: activationsField,
  kvBytesMax: integer({
    about: "The most bytes for the keys and values of all requests and of the cache.",
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: "16 contexts, at most 1 GiB",
  }),
  pageSize: choice([16, 32, 64], { about: "Positions of a KV page.", default: 32 }),
  chunkTokens: integer({
    about: "The most tokens of a prompt that one step reads.",
    least: 1,
    most: chunkMost,
    otherwise: "as many as take about 50 ms",
  }),
  batchSequences: integer({
    about: "The most sequences that share a step.",
    least: 1,
    most: LIMITS.sequencesMax,
    default: 16,
  }),
  cache: other<boolean | PrefixCacheOptions, Resolved<typeof prefixCacheFields> | undefined>()(
    {
      about: "Whether keys and values of prefixes are kept for later requests, and how.",
      expected: "a boolean or an object",
      default: true,
      fields: prefixCacheFields,
    },
    (value, name) => value === false ? undefined : readOptions(prefixCacheFields, value === true ? {} : value, name),
  ),
  queueMax: integer({ about: "The most requests that wait.", least: 1, most: 1 << 24, default: 1024 }),
  maxWaitMs: integer({
    about: "How long an idle batcher waits for more requests, in milliseconds.",
    least: 0,
    most: 60_000,
    default: 0,
  }),
  patienceSteps: integer({
    about: "Steps after which a waiting request goes first, whatever its priority.",
    least: 1,
    most: 1 << 24,
    default: 512,
  }),
  tokensAhead: integer({
    about: "Tokens of a request that may be chosen before its reader asks for them.",
    least: 0,
    most: LIMITS.chainRoundsMax - 1,
    default: 4,
  }),
  tenants: other<Readonly<Record<string, number>>, ReadonlyMap<string, number>>()(
    {
      about: "Shares of the work for tenants, by name.",
      expected: "an object of numbers above 0",
      default: {},
    },
    tenantWeights,
    (tenants) => JSON.stringify(tenants),
  ),
} as const satisfies FieldsOf<BatcherOptions>;

/** Checks options and fills the defaults in. */
export function resolveBatcherOptions(options: BatcherOptions) {
  const read = readOptions(batcherFields, options);
  const { kv, pageSize, kvBytesMax, cache } = read;
  return {
    settings: {
      kv,
      pageSize,
      threads: threadsOption(read.threads),
      activationBits: activationBits[read.activations],
    },
    kvBytesMax,
    sequences: read.batchSequences,
    chunk: read.chunkTokens,
    cache,
    scheduling: {
      queueMax: read.queueMax,
      maxWaitMs: read.maxWaitMs,
      patience: read.patienceSteps,
      weights: read.tenants,
      tokensAhead: read.tokensAhead,
    },
  };
}

function tenantWeights(tenants: unknown, name: string): ReadonlyMap<string, number> {
  checkObject(name, tenants);
  return new Map(
    Object.entries(tenants).map(([tenant, weight]) => {
      if (typeof weight === "number" && weight > 0 && Number.isFinite(weight)) return [tenant, weight];
      return refuseOption(`${name}.${tenant}`, "a number above 0", weight);
    }),
  );
}
