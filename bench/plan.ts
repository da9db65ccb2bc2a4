/**
 * What the bench measures: experiments (which subjects do which work on which file), and the rows of issue and README that
 * are computed from them, each a ratio of figures of one round, with the goal it should reach.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { ShapeName } from "./shapes.ts";
import type { FileType } from "./tinyllama.ts";

/** Which program does the work, and with which settings. */
export interface Subject {
  /**
   * `llama.cpp` is a program of its own (`peers/direct.cpp`); `node-llama-cpp` the same libraries behind their binding;
   * `llama-bench` llama.cpp's own tool, of the folder that `LIGHTGPT_LLAMA_TOOLS` names, for architectures that are newer.
   */
  readonly engine: "lightgpt" | "llama.cpp" | "node-llama-cpp" | "llama-bench";
  /** The runtime of LightGPT; default Bun. node-llama-cpp runs in Node. */
  readonly runtime?: "bun" | "deno";
  readonly threads?: number;
  /** A CPU level that is forced. */
  readonly level?: string;
  /** llama.cpp without its backend for AMX: of the others it takes the best. */
  readonly withoutAmx?: true;
  readonly activations?: "int16";
  readonly kv?: "f32";
  /** A process beside it that keeps one core busy with integers, at the same priority. */
  readonly neighbour?: true;
  /** LightGPT with packed weights that an earlier process has kept on disk. */
  readonly packed?: true;
  /** The model's file is put out of the system's memory before; needs Linux and GNU's `dd`. */
  readonly cold?: true;
}

/** One thing that every subject of an experiment does. */
export type Work =
  | { readonly name: string; readonly kind: "prefill"; readonly tokens: number }
  | {
    readonly name: string;
    readonly kind: "decode";
    readonly batch: number;
    readonly context: number;
    readonly tokens: number;
  };

/** Subjects and work that are measured together, round by round. */
export interface Experiment {
  readonly model: FileType | ShapeName | "embedded";
  readonly subjects: Readonly<Record<string, Subject>>;
  readonly work: readonly Work[];
  /** Measures the bare kernels too (`zig build tools`, `order`). */
  readonly kernels?: true;
}

/** Threads of a subject unless it says otherwise: one for each core that this process may use (`taskset` takes some away). */
export const allThreads: number = availableParallelism();

/** Whether this processor has AMX, of which both engines make use. */
const hasAmx = existsSync("/proc/cpuinfo") && /\bamx_int8\b/.test(readFileSync("/proc/cpuinfo", "latin1"));

const prefill: Work = { name: "prefill", kind: "prefill", tokens: 512 };
const decode: Work = { name: "decode", kind: "decode", batch: 1, context: 16, tokens: 48 };
const batch: Work = { name: "batch", kind: "decode", batch: 16, context: 8, tokens: 16 };
const deep: Work = { name: "deep", kind: "decode", batch: 1, context: 2000, tokens: 24 };
const both = { lightgpt: { engine: "lightgpt" }, "llama.cpp": { engine: "llama.cpp" } } as const;
/** Both engines; where there is AMX, also both without it, so that each is held against its equal. */
const equals = hasAmx
  ? {
    ...both,
    "lightgpt, no AMX": { engine: "lightgpt", level: "v4" },
    "llama.cpp, no AMX": { engine: "llama.cpp", withoutAmx: true },
  } as const
  : both;
const binding = { "node-llama-cpp": { engine: "node-llama-cpp" } } as const;
const beside = { lightgpt: { engine: "lightgpt" }, "llama.cpp": { engine: "llama-bench" } } as const;
/** Both engines with one thread, two, four ... as far as there are cores. */
const counts = [1, 2, 4, 8, 16].filter((count) => count <= allThreads);
const counted: Readonly<Record<string, Subject>> = Object.fromEntries(
  counts.flatMap((threads) => Object.values(both).map(({ engine }) => [`${engine} x ${threads}`, { engine, threads }])),
);
const levels = { lightgpt: { engine: "lightgpt" }, v3: { engine: "lightgpt", level: "v3" } } as const;

/** The experiments by name. */
export const EXPERIMENTS: Readonly<Record<string, Experiment>> = {
  q4_0: { model: "q4_0", subjects: { ...equals, ...binding }, work: [prefill, decode, batch], kernels: true },
  q8_0: { model: "q8_0", subjects: equals, work: [prefill, decode, batch] },
  q4_k_m: { model: "q4_k_m", subjects: equals, work: [prefill, decode, batch] },
  q6_k: { model: "q6_k", subjects: equals, work: [prefill, decode, batch] },
  f16: { model: "f16", subjects: equals, work: [{ ...prefill, tokens: 256 }, { ...decode, tokens: 24 }] },
  context: { model: "q4_0", subjects: { lightgpt: { engine: "lightgpt" } }, work: [decode, deep] },
  threads: {
    model: "q4_0",
    subjects: {
      lightgpt: { engine: "lightgpt" },
      one: { engine: "lightgpt", threads: 1 },
      twice: { engine: "lightgpt", threads: 2 * allThreads },
      many: { engine: "lightgpt", threads: 8 * allThreads },
    },
    work: [prefill, decode],
  },
  cores: { model: "q4_0", subjects: counted, work: [prefill, decode, batch] },
  neighbour: {
    model: "q4_0",
    subjects: {
      ...both,
      "lightgpt, busy": { engine: "lightgpt", neighbour: true },
      "llama.cpp, busy": { engine: "llama.cpp", neighbour: true },
    },
    work: [decode],
  },
  embedded: {
    model: "embedded",
    subjects: { ...both, ...binding, deno: { engine: "lightgpt", runtime: "deno" } },
    work: [{ ...decode, tokens: 200 }],
  },
  int16: {
    model: "q4_0",
    subjects: {
      lightgpt: { engine: "lightgpt" },
      int16: { engine: "lightgpt", activations: "int16", kv: "f32" },
    },
    work: [prefill, decode, batch],
  },
  load: {
    model: "q4_0",
    subjects: {
      ...both,
      "lightgpt, packed": { engine: "lightgpt", packed: true },
      "lightgpt, cold": { engine: "lightgpt", cold: true },
      "llama.cpp, cold": { engine: "llama.cpp", cold: true },
    },
    work: [],
  },
  v3: { model: "q4_0", subjects: levels, work: [prefill, decode] },
  v3_q8_0: { model: "q8_0", subjects: levels, work: [prefill, decode] },
  v3_q4_k_m: { model: "q4_k_m", subjects: levels, work: [prefill, decode] },
  v3_q6_k: { model: "q6_k", subjects: levels, work: [prefill, decode] },
  a3b: { model: "a3b", subjects: beside, work: [prefill, decode, batch] },
  hybrid: { model: "hybrid", subjects: beside, work: [prefill, decode, batch] },
};

/** What a child process is asked to do. */
export interface ChildPlan {
  readonly model: string;
  /** What peers compute with, and the machine is measured with. */
  readonly threads: number;
  /** Options of LightGPT; absent: its defaults. */
  readonly threadsTold?: number;
  readonly context: number;
  readonly work: readonly Work[];
  readonly kv?: "f32";
  readonly activations?: "int16";
  /** Packed weights are used and kept, in the folder that `LIGHTGPT_CACHE` names. */
  readonly packed?: true;
}

/** What one subject came to in one round. */
export interface SubjectResult {
  /** Tokens a second, by work. */
  readonly rates: Readonly<Record<string, number>>;
  /** How many cores others kept busy meanwhile, by work; the neighbour of an experiment is one of them. */
  readonly others: Readonly<Record<string, number | null>>;
  readonly loadMs: number;
  readonly firstTokenMs: number;
  /** Most bytes resident: before loading, once loaded, and at the end. */
  readonly emptyBytes: number;
  readonly loadedBytes: number;
  readonly peakBytes: number;
  readonly version: string;
  /** What only LightGPT tells. */
  readonly native?: NativeResult;
}

/** What a LightGPT process tells beside its times. */
export interface NativeResult {
  /** Read bandwidth of one thread and of the subject's, bytes a second. */
  readonly bandwidthOne: number;
  readonly bandwidth: number;
  /** Bytes of weights that a token reads, and of keys and values that a position takes. */
  readonly tokenBytes: number;
  readonly positionBytes: number;
  /** Bytes of the file's tensors. */
  readonly tensorBytes: number;
  /** Multiply-adds of a token with the weights of all layers, and with those of the output. */
  readonly layerMacs: number;
  readonly outputMacs: number;
}

/** One round of an experiment. */
export interface Round {
  readonly experiment: string;
  readonly date: string;
  readonly subjects: Readonly<Record<string, SubjectResult>>;
  /** Of one core, 10^9 multiply-adds a second: a tile of 8 tokens times weights in the cache; the bare instruction. */
  readonly kernels?: { readonly tileGMACs: number; readonly bareGMACs: number };
}

/** A claim, computed from one round; undefined where the round lacks something. */
export interface Row {
  readonly id: string;
  readonly experiment: string;
  readonly label: string;
  /** What the value is a ratio to, for the tables. */
  readonly of: string;
  readonly goal: number;
  /** True where less is better. */
  readonly atMost?: true;
  value(round: Round): number | undefined;
}

/** Ratio of two subjects' rates. */
function against(work: string, subject: string, other: string) {
  return ({ subjects }: Round) => divide(subjects[subject]?.rates[work], subjects[other]?.rates[work]);
}

function divide(left: number | undefined, right: number | undefined): number | undefined {
  return left === undefined || right === undefined ? undefined : left / right;
}

/** Share of the read bandwidth that decoding with `context` tokens of context uses, on average over its tokens. */
function bandwidthShare(subject = "lightgpt") {
  return ({ subjects }: Round) => {
    const { rates, native } = subjects[subject] ?? {};
    if (!rates?.decode || !native) return undefined;
    const bytes = native.tokenBytes + native.positionBytes * 40; // 16 of prompt and half of what follows
    return rates.decode * bytes / native.bandwidth;
  };
}

/** Share of the bare tile kernel's rate, of as many cores as there are threads. */
function tileShare(work: "prefill" | "batch") {
  return ({ subjects, kernels }: Round) => {
    const { rates, native } = subjects.lightgpt ?? {};
    if (!rates?.[work] || !native || !kernels) return undefined;
    const macs = native.layerMacs + (work === "batch" ? native.outputMacs : 0);
    return rates[work] * macs / (kernels.tileGMACs * 1e9 * allThreads);
  };
}

/** Goals by work. */
interface Goals {
  readonly prefill: number;
  readonly decode: number;
  readonly batch?: number;
}

/** Rows of a file type against llama.cpp; where there is AMX, with it on both sides (`amx`) and without it on both. */
function peerRows(type: string, goals: Goals, amx?: Goals): Row[] {
  const rows = (wanted: Goals, without: "" | ", no AMX") =>
    Object.entries(wanted).map(([work, goal]): Row => ({
      id: `${type}.${work}${without && ".noAmx"}`,
      experiment: type,
      label: `${workName(work)}, ${type.toUpperCase()}${without}`,
      of: "llama.cpp",
      goal,
      value: against(work, `lightgpt${without}`, `llama.cpp${without}`),
    }));
  return hasAmx && amx ? [...rows(amx, ""), ...rows(goals, ", no AMX")] : rows(goals, "");
}

function workName(work: string): string {
  return { prefill: "prompt", decode: "one sequence", batch: "16 sequences" }[work] ?? work;
}

function shareRow(type: string, goal: number): Row {
  return {
    id: `${type}.bandwidth`,
    experiment: type,
    label: `one sequence, ${type.toUpperCase()}`,
    of: "read bandwidth",
    goal,
    value: bandwidthShare(),
  };
}

/** A time of loading beside llama.cpp's, whose mapped file is read by the first token only. */
function loadRow(id: string, label: string, time: "loadMs" | "firstTokenMs", state: "" | ", cold"): Row {
  return {
    id,
    experiment: "load",
    label,
    of: "llama.cpp's time",
    goal: 0.5,
    atMost: true,
    value: ({ subjects }) => divide(subjects[`lightgpt${state}`]?.[time], subjects[`llama.cpp${state}`]?.[time]),
  };
}

/** Goals of other formats: without AMX, with it. */
const formats: Readonly<Record<string, readonly [Goals, Goals]>> = {
  q8_0: [{ prefill: 3, decode: 2.2, batch: 4 }, { prefill: 1.6, decode: 1.4, batch: 2 }],
  q4_k_m: [{ prefill: 2.5, decode: 2.2, batch: 3 }, { prefill: 1.6, decode: 1.4, batch: 2.2 }],
  q6_k: [{ prefill: 3, decode: 1.5, batch: 1.5 }, { prefill: 1.6, decode: 1.4, batch: 1.5 }],
};

/** Every row, in the order of the tables. */
export const ROWS: readonly Row[] = [
  ...peerRows("q4_0", { prefill: 3, decode: 2.2, batch: 3.5 }, { prefill: 2, decode: 1.4, batch: 2.5 }),
  ...["prefill", "decode", "batch"].map((work): Row => ({
    id: `q4_0.${work}.binding`,
    experiment: "q4_0",
    label: `${workName(work)}, Q4_0`,
    of: "node-llama-cpp",
    goal: 0,
    value: against(work, "lightgpt", "node-llama-cpp"),
  })),
  shareRow("q4_0", 0.85),
  ...(["prefill", "batch"] as const).map((work): Row => ({
    id: `q4_0.${work}Tile`,
    experiment: "q4_0",
    label: `${workName(work)}, Q4_0`,
    of: "tile kernel",
    goal: work === "batch" ? 0.8 : 0, // a prompt's share is told, without a goal
    value: tileShare(work),
  })),
  ...Object.entries(formats).flatMap(([type, [goals, amx]]) => [
    ...peerRows(type, goals, amx),
    shareRow(type, 0.85),
  ]),
  ...peerRows("a3b", { prefill: 1.5, decode: 1.5 }),
  shareRow("a3b", 0),
  ...peerRows("hybrid", { prefill: 1.5, decode: 1.5 }),
  shareRow("hybrid", 0),
  ...peerRows("f16", { prefill: 2.5, decode: 0 }, { prefill: 0, decode: 0 }),
  shareRow("f16", 0.85),
  {
    id: "context",
    experiment: "context",
    label: "one sequence at 2000 tokens, Q4_0",
    of: "(time at none + KV / bandwidth) / time",
    goal: 0.85,
    value: ({ subjects: { lightgpt } }) => {
      if (!lightgpt?.rates.deep || !lightgpt.native) return undefined;
      const { bandwidth, positionBytes } = lightgpt.native;
      return (1 / lightgpt.rates.decode + 2012 * positionBytes / bandwidth) * lightgpt.rates.deep;
    },
  },
  {
    id: "threads.prefill",
    experiment: "threads",
    label: "prompt, all threads",
    of: "one thread",
    goal: 1.9 / 2 * allThreads,
    value: against("prefill", "lightgpt", "one"),
  },
  {
    id: "threads.decode",
    experiment: "threads",
    label: "one sequence, all threads / one",
    of: "ratio of bandwidths",
    goal: 0.95,
    value: (round) => {
      const { native } = round.subjects.lightgpt ?? {};
      const speedup = against("decode", "lightgpt", "one")(round);
      return native && speedup !== undefined ? speedup / (native.bandwidth / native.bandwidthOne) : undefined;
    },
  },
  ...["twice", "many"].flatMap((subject) =>
    ["prefill", "decode"].map((work): Row => ({
      id: `threads.${subject}.${work}`,
      experiment: "threads",
      label: `${workName(work)}, ${subject === "twice" ? 2 : 8} threads a core asked for`,
      of: "one a core",
      goal: 0.9,
      value: against(work, subject, "lightgpt"),
    }))
  ),
  ...counts.flatMap((count) =>
    ["prefill", "decode", "batch"].map((work): Row => ({
      id: `cores.${count}.${work}`,
      experiment: "cores",
      label: `${workName(work)}, Q4_0, threads: ${count}`,
      of: "llama.cpp",
      goal: 0,
      value: against(work, `lightgpt x ${count}`, `llama.cpp x ${count}`),
    }))
  ),
  {
    id: "neighbour",
    experiment: "neighbour",
    label: "one sequence, a busy loop beside",
    of: "quiet",
    goal: 0.45,
    value: against("decode", "lightgpt, busy", "lightgpt"),
  },
  {
    id: "neighbour.llama",
    experiment: "neighbour",
    label: "the same of llama.cpp",
    of: "quiet",
    goal: 0,
    value: against("decode", "llama.cpp, busy", "llama.cpp"),
  },
  {
    id: "embedded",
    experiment: "embedded",
    label: "embedded model, Bun",
    of: "node-llama-cpp",
    goal: 3,
    value: against("decode", "lightgpt", "node-llama-cpp"),
  },
  {
    id: "embedded.direct",
    experiment: "embedded",
    label: "embedded model, Bun",
    of: "llama.cpp",
    goal: 0,
    value: against("decode", "lightgpt", "llama.cpp"),
  },
  {
    id: "embedded.deno",
    experiment: "embedded",
    label: "embedded model, Deno",
    of: "node-llama-cpp",
    goal: 3,
    value: against("decode", "deno", "node-llama-cpp"),
  },
  {
    id: "v3.bandwidth",
    experiment: "v3",
    label: "AVX2 alone, one sequence, Q4_0",
    of: "read bandwidth",
    goal: 0.8,
    value: bandwidthShare("v3"),
  },
  ...["q4_0", ...Object.keys(formats)].map((type): Row => ({
    id: `v3.prefill.${type}`,
    experiment: type === "q4_0" ? "v3" : `v3_${type}`,
    label: `AVX2 alone, prompt, ${type.toUpperCase()}`,
    of: "AVX-512",
    goal: type === "q4_0" ? 0.45 : 0.3,
    value: against("prefill", "v3", "lightgpt"),
  })),
  ...["decode", "prefill", "batch"].map((work): Row => ({
    id: `int16.${work}`,
    experiment: "int16",
    label: `16-bit activations, F32 KV, ${workName(work)}`,
    of: "8-bit",
    goal: { decode: 1, prefill: 0.65, batch: 0.75 }[work] ?? 1,
    value: against(work, "int16", "lightgpt"),
  })),
  ...([["load", "file cached", ""], ["load.cold", "file not cached", ", cold"]] as const).flatMap((
    [id, label, state],
  ) => [
    loadRow(id, `load, ${label}`, "loadMs", state),
    loadRow(`${id}.first`, `load to first token, ${label}`, "firstTokenMs", state),
  ]),
  {
    id: "load.packed",
    experiment: "load",
    label: "load, packed weights",
    of: "30 ms",
    goal: 1,
    atMost: true,
    value: ({ subjects }) => divide(subjects["lightgpt, packed"]?.loadMs, 30),
  },
  {
    id: "memory",
    experiment: "q4_0",
    label: "peak memory",
    of: "1.1 x tensors + KV + 80 MB",
    goal: 1,
    atMost: true,
    value: ({ subjects: { lightgpt } }) => {
      if (!lightgpt?.native) return undefined;
      const { tensorBytes, positionBytes } = lightgpt.native;
      const positions = Math.max(512, 16 * (8 + 2 * 16 + 16)); // the prompt, or the batch with what it has to spare
      return (lightgpt.peakBytes - lightgpt.emptyBytes) / (1.1 * tensorBytes + positions * positionBytes + 80e6);
    },
  },
];
