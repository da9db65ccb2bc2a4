/**
 * How much memory the process may have, as the user says it, and whether a model fits: before its weights are loaded, from the
 * table of tensors in its file.
 *
 * @module
 */
import { InvalidArgumentError, OutOfMemoryError } from "../../ffi/errors.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { type EngineSettings, pageBytes } from "../engine/engine.ts";
import { FORMATS } from "../files/formats.ts";
import { integerOption } from "../options/checks.ts";
import { chunkMost } from "../engine/step_times.ts";
import { pagesFor } from "../engine/page_pool.ts";

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

/** A budget as it was said: bytes, or a share of what is free. */
export type MemoryBudget = { readonly bytes: number } | { readonly share: number };

/** Reads the option `memory`; throws an {@link InvalidArgumentError} where it cannot be read. */
export function parseMemory(memory: number | string): MemoryBudget {
  if (typeof memory === "number") return { bytes: integerOption("memory", memory, 1, Number.MAX_SAFE_INTEGER, 1) };
  const [, number, unit = ""] = /^\s*(\d{1,15}(?:\.\d{1,9})?)\s*(%|[kmgt]?i?b)\s*$/i.exec(String(memory)) ?? [];
  const value = Number(number);
  if (unit === "%" && value > 0 && value <= 100) return { share: value / 100 };
  const bytes = Math.floor(value * (units[unit.toLowerCase()] ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return { bytes };
  const expected = 'bytes, a size such as "4GiB" or "300MB", or a share of what is free such as "50%"';
  const got = typeof memory === "string" ? JSON.stringify(memory) : String(memory);
  throw new InvalidArgumentError(`memory: expected ${expected}, got ${got}.`, {
    what: "an option that cannot be used",
    where: "memory",
    expected,
    got,
  });
}

/** What a model needs at least, in bytes. */
export interface Need {
  /** What the process has without it. */
  readonly program: number;
  /** The weights. */
  readonly weights: number;
  /** The keys and values of one context. */
  readonly kv: number;
  /** What steps work in, of the largest step. */
  readonly work: number;
}

/** How it would run. */
export interface FitSettings extends Pick<EngineSettings, "kv" | "pageSize"> {
  /** Positions. */
  readonly context: number;
}

/** Logits of a step get so much memory at most; `batching/engine_sizes.ts` has the rest of the sizes. */
const logitBytes = 2 ** 24;

/** What `plan` needs. */
export function needOf(plan: ModelPlan, { kv, pageSize, context }: FitSettings, program: number): Need {
  const { hyperparameters, tensors } = plan;
  const { embedding, kDim, vDim, perLayer } = hyperparameters;
  const most = (of: (layer: typeof perLayer[number]) => number) => Math.max(...perLayer.map(of));
  const heads = most(({ heads }) => heads) * (kDim + vDim) + most(({ kvHeads }) => kvHeads) * (kDim + vDim);
  // Rows of floats that a token has in a step: hidden states, queries, keys, values, both sides of the feed-forward part.
  const floats = 4 * embedding + heads + 3 * most(({ feedForward }) => feedForward);
  return {
    program,
    weights: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    kv: pagesFor(context, pageSize) * pageBytes(hyperparameters, kv, pageSize),
    work: 4 * floats * chunkMost + logitBytes,
  };
}

/** All of it. */
export function totalOf({ program, weights, kv, work }: Need): number {
  return program + weights + kv + work;
}

/** Throws an {@link OutOfMemoryError} with the figures where `need` is more than `limitBytes`; says which type would fit. */
export function assertFits(plan: ModelPlan, need: Need, limitBytes: number, settings: FitSettings): void {
  const total = totalOf(need);
  if (total <= limitBytes) return;
  const left = limitBytes - (total - need.weights);
  const fits = typeThatFits(plan, need.weights, left);
  const without = left > 0 && fits === undefined
    ? "no type of its weights would fit: expected a smaller model"
    : `expected more memory${settings.context > 1024 ? ", a smaller context" : ""}, or a smaller model`;
  const instead = fits ? `as ${fits.name} its weights would take ${mebibytes(fits.bytes)} and fit` : without;
  throw new OutOfMemoryError(
    `memory: the model needs ${mebibytes(total)} (weights ${mebibytes(need.weights)}, keys and values of ` +
      `${settings.context} positions ${mebibytes(need.kv)}, work space ${mebibytes(need.work)}, the program itself ` +
      `${mebibytes(need.program)}), and ${mebibytes(limitBytes)} may be used; ${instead}.`,
    {
      what: "not enough memory",
      where: "memory",
      expected: fits ? `a file made as ${fits.name}` : `at least ${total} bytes`,
      got: `${limitBytes} bytes`,
    },
  );
}

/** The largest type that all matrices could have to fit in `bytes`; undefined where even the smallest takes more. */
function typeThatFits(plan: ModelPlan, weights: number, bytes: number): { name: string; bytes: number } | undefined {
  const formats = [...FORMATS.values()].filter(({ supported, name }) => supported && /^(Q|F16)/.test(name));
  return formats.map(({ name, blockElements, blockBytes }) => ({
    name,
    bytes: plan.tensors.reduce((sum, { columns, rows, bytes }) => {
      const canBe = rows > 1 && columns % blockElements === 0;
      return sum + (canBe ? columns / blockElements * blockBytes * rows : bytes);
    }, 0),
  }))
    .filter((format) => format.bytes <= bytes && format.bytes < weights)
    .sort((a, b) => b.bytes - a.bytes)[0];
}

/** A number of bytes for people. */
export function mebibytes(bytes: number): string {
  const mib = bytes / 2 ** 20;
  return mib >= 1024 ? `${(mib / 1024).toFixed(2)} GiB` : `${mib.toFixed(1)} MiB`;
}
