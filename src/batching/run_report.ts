/**
 * How a model runs, as plain data: its layers by kind, its experts, what it keeps of a position and of a sequence, the memory it
 * wants at which context, and what of its file is ignored. Only headers are read. The figures are those that loading decides by.
 *
 * @module
 */
import { kvSizes } from "../engine/engine.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import type { LayerParameters } from "../model/architectures/types.ts";
import type { Model } from "../model/model.ts";
import { type FitSettings, needOf, totalOf } from "./memory_budget.ts";
import { windowsOf } from "./windows.ts";

/** Layers that do the same. */
export interface LayerGroup {
  /** How many there are. */
  readonly layers: number;
  /** What lets positions see each other. */
  readonly mixer: LayerParameters["mixer"];
  /** What works on each position alone; `beside`: experts beside a dense part. */
  readonly feedForward: "dense" | "experts" | "beside" | "none";
  /** Positions that a query sees; 0: all before it, or there is no attention. */
  readonly window: number;
  /** Whether they read the keys and values that another layer keeps. */
  readonly readsKeysOfOthers: boolean;
}

/** The memory at one context, in bytes; what the program itself takes comes on top. */
export interface MemoryRow {
  readonly context: number;
  readonly weights: number;
  /** Keys and values of one sequence, and its state. */
  readonly kv: number;
  /** What the largest step works in. */
  readonly work: number;
  readonly total: number;
}

/** How a model runs. */
export interface RunReport {
  readonly layers: readonly LayerGroup[];
  /** Experts of a layer, those that a token goes to, and the width of each and of the shared one; null without experts. */
  readonly experts:
    | { readonly count: number; readonly used: number; readonly width: number; readonly sharedWidth: number }
    | null;
  /** Positions that the model was trained for. */
  readonly context: number;
  /** How keys and values are stored, for the figures below, and positions of a page. */
  readonly kv: FitSettings["kv"];
  readonly pageSize: number;
  /** Bytes that a position takes in pages, and those that stay when windowed layers have left it behind. */
  readonly kvBytesAPosition: number;
  readonly kvBytesBehind: number;
  /** Bytes of a sequence's recurrent state, in whole pages; 0 without one. A copy in the prefix cache takes as much. */
  readonly stateBytes: number;
  readonly memory: readonly MemoryRow[];
  /** What of the file, or of what the model can do, is not used: a sentence each. */
  readonly ignored: readonly string[];
}

/** Contexts of the table of memory: those that are asked for most, up to what the model was trained for. */
const contexts = [2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 1_048_576];

/** Tells how the model of a file runs; `asked` is a context that has a row of its own. */
export function reportRun(
  gguf: Model["gguf"],
  plan: ModelPlan,
  settings: Omit<FitSettings, "context">,
  asked?: number,
): RunReport {
  const { kv, pageSize } = settings;
  const { perLayer, context, expertsUsed } = plan.hyperparameters;
  const sizes = kvSizes(plan, kv, pageSize);
  const withExperts = perLayer.find(({ experts }) => experts > 0);
  const behind = windowsOf(perLayer, sizes).behind * sizes.pageBytes;
  const rows = new Set([...contexts.filter((row) => row < context), context, ...asked === undefined ? [] : [asked]]);
  return {
    layers: groupsOf(perLayer),
    experts: withExperts
      ? {
        count: withExperts.experts,
        used: expertsUsed,
        width: withExperts.expertWidth,
        sharedWidth: withExperts.sharedWidth,
      }
      : null,
    context,
    kv,
    pageSize,
    kvBytesAPosition: sizes.pageBytes / pageSize,
    kvBytesBehind: behind / pageSize,
    stateBytes: sizes.statePages * sizes.pageBytes,
    memory: [...rows].sort((a, b) => a - b).map((context) => memoryAt(plan, { ...settings, context })),
    ignored: ignoredOf(gguf, plan),
  };
}

function groupsOf(perLayer: readonly LayerParameters[]): LayerGroup[] {
  const groups = new Map<string, LayerGroup>();
  for (const { mixer, window, keys, experts, feedForward } of perLayer) {
    const group = {
      mixer,
      feedForward: experts > 0 ? (feedForward > 0 ? "beside" : "experts") : feedForward > 0 ? "dense" : "none",
      window,
      readsKeysOfOthers: keys === "ofLayer",
    } as const;
    const key = JSON.stringify(group);
    groups.set(key, { layers: (groups.get(key)?.layers ?? 0) + 1, ...group });
  }
  return [...groups.values()];
}

function memoryAt(plan: ModelPlan, settings: FitSettings): MemoryRow {
  const need = needOf(plan, settings, 0);
  const { weights, kv, work } = need;
  return { context: settings.context, weights, kv, work, total: totalOf(need) };
}

function ignoredOf({ tensors, metadata }: Model["gguf"], { tensors: planned, hyperparameters }: ModelPlan): string[] {
  const { architecture, layers } = hyperparameters;
  const used = new Set(planned.map(({ tensor }) => tensor.name));
  const unused = [...tensors.keys()].filter((name) => !used.has(name));
  const blockOf = (name: string) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
  const drafter = new Set(unused.map(blockOf).filter((block) => block >= layers));
  const others = unused.filter((name) => blockOf(name) < layers);
  const sentences: string[] = [];
  if (drafter.size > 0) {
    sentences.push(`a drafter of ${drafter.size} extra prediction layer${drafter.size > 1 ? "s" : ""} (nextn)`);
  }
  if (metadata.get(`${architecture}.rope.dimension_sections`) !== undefined) {
    sentences.push("vision: the text model runs, images and their projector (mmproj) are not read");
  }
  if (others.length > 0) {
    const shown = others.slice(0, 4).join(", ");
    sentences.push(
      `${others.length} tensor${others.length > 1 ? "s" : ""} that nothing depends on: ${shown}${
        others.length > 4 ? " ..." : ""
      }`,
    );
  }
  return sentences;
}
