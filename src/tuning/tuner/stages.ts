/**
 * The stages of tuning, one after the other. Settings that depend on one another race together, in all combinations. Each stage
 * has its candidates, the work that compares them, and an estimate of its time.
 *
 * @module
 */
import { prefillTokensDefault } from "../../engine/engine.ts";
import type { Budget } from "./time_budget.ts";
import type { TunePlan } from "./plan.ts";
import type { TunedSettings } from "./subject.ts";
import type { Works } from "./workload.ts";

/** Settings of one candidate. */
export type TriedSettings = Partial<TunedSettings>;

/** What a stage may know. */
export interface StageContext {
  readonly plan: TunePlan;
  readonly works: Works;
  /** What was chosen so far. */
  readonly settings: TunedSettings;
  readonly budget: Budget;
}

/** Settings that race together. */
export interface Stage {
  readonly settings: readonly (keyof TunedSettings)[];
  /** Its share of the time. */
  readonly share: number;
  /** The candidates, what there is first; what the user said is the same in all. */
  candidates(context: StageContext): TriedSettings[] | Promise<TriedSettings[]>;
  /** The work, once, with the settings of a candidate. */
  work(context: StageContext, settings: TunedSettings): Promise<void>;
  /** Milliseconds that it may take. */
  estimate(context: StageContext, settings: TunedSettings): number;
  /** What the work is worth, where that is not the same for all. */
  units?(settings: TunedSettings): number;
  /** The least gain that is worth a change from `base`: more where others pay for it. */
  gainLeast(settings: TunedSettings, base: TunedSettings): number;
  /** Whether what was seen so far allows a candidate. */
  isAllowed?(context: StageContext, settings: TunedSettings): boolean;
}

const gainUsual = 0.02;
const gainAtOthersCost = 0.05;
/** A number of threads whose steps take so much longer than the best one's is not looked at with larger chunks. */
const hopeless = 3;
/** How many of the other numbers of threads race with a chunk. */
const promisingMost = 2;
/** A value that takes so many times as long as the best is measured twice, */
const slower = 1.1;
/** and where what there is does, other chunks may be short enough. */
const muchSlower = 1.5;

/** Threads and spin of generating: how long a thread waits for the others decides whether they are worth it. */
const generating: Stage = {
  settings: ["decodeThreads", "spinLoops"],
  share: 20,
  candidates({ plan, settings: { decodeThreads, spinLoops } }) {
    const spins = [200, 2000, 20_000].filter((loops) => loops !== spinLoops);
    return [{ decodeThreads, spinLoops }].concat(
      threadCounts(plan).filter((count) => count !== decodeThreads).map((count) => ({
        decodeThreads: count,
        spinLoops,
      })),
      // One thread waits for no other.
      threadCounts(plan).filter((count) => count > 1).flatMap((count) =>
        spins.map((loops) => ({ decodeThreads: count, spinLoops: loops }))
      ),
    );
  },
  work: ({ works }, settings) => works.decode(settings, 1),
  estimate: ({ works }) => works.decodeMs(1),
  gainLeast: ({ spinLoops }, base) => spinLoops > base.spinLoops ? gainAtOthersCost : gainUsual,
};

/** Threads and chunk of reading: a step of more tokens is worth more threads, and more threads are worth a larger step. */
const reading: Stage = {
  settings: ["prefillThreads", "chunkTokens"],
  share: 48,
  async candidates(context) {
    const { plan, works, settings } = context;
    const { prefillThreads } = settings;
    const base = { prefillThreads, chunkTokens: works.chunkBase };
    if (plan.fixed.has("chunkTokens")) {
      const { chunkTokens } = settings;
      const others = othersThan(prefillThreads, threadCounts(plan));
      return others.map((prefillThreads) => ({ prefillThreads, chunkTokens }));
    }
    const found = await promising(context);
    // The default itself means that it adapts.
    const isNew = ({ prefillThreads: count, chunkTokens }: typeof base) =>
      (count !== prefillThreads || chunkTokens !== base.chunkTokens) &&
      (chunkTokens === base.chunkTokens || chunkTokens < plan.defaults.chunkTokens);
    return [base, ...found.filter(isNew)];
  },
  // In the middle of one prompt, whatever the chunk: what comes before it is read, too.
  async work({ works }, settings) {
    const tokens = Math.min(settings.chunkTokens, works.promptTokens); // a chunk that the user said may be longer
    await works.prefill(settings, tokens, (works.promptTokens - tokens) >> 1);
  },
  estimate: ({ works }, { prefillThreads, chunkTokens }) =>
    works.promptMs(Math.min(chunkTokens, works.promptTokens), prefillThreads),
  units: ({ chunkTokens }) => chunkTokens,
  gainLeast: () => gainUsual,
  // Of a slow model even the layers of the least step take longer.
  isAllowed: ({ plan, works }, settings) =>
    plan.fixed.has("chunkTokens") || settings.chunkTokens <= works.chunkBase || works.isPrompt(settings),
};

/** From how many tokens on the threads of prompts are the better ones. */
const crossing: Stage = {
  settings: ["prefillTokens"],
  share: 6,
  candidates({ works, settings: { decodeThreads, prefillThreads, prefillTokens } }) {
    if (decodeThreads === prefillThreads) return [{ prefillTokens }];
    const others = [8, 32, 128].filter((tokens) => tokens <= 2 * works.chunkBase);
    return [prefillTokensDefault, ...others].map((prefillTokens) => ({ prefillTokens }));
  },
  async work({ works }, settings) {
    // Batches and short prompts of all sizes that it decides about.
    for (const tokens of [4, 16, 64]) if (tokens <= works.chunkBase) await works.prefill(settings, tokens);
  },
  estimate: ({ works }) => works.decodeMs(1) + works.promptMs(84),
  gainLeast: () => 0,
};

const batch: Stage = {
  settings: ["batchSequences"],
  share: 10,
  candidates: ({ plan: { subject }, settings: { batchSequences } }) =>
    othersThan(batchSequences, [8, 16, 32, 64].filter((count) => count <= subject.sequencesMost))
      .map((batchSequences) => ({ batchSequences })),
  work: ({ works }, settings) => works.decode(settings, settings.batchSequences),
  estimate: ({ works }, { batchSequences }) => works.decodeMs(batchSequences),
  units: ({ batchSequences }) => batchSequences,
  gainLeast: () => gainAtOthersCost,
};

const pages: Stage = {
  settings: ["pageSize"],
  share: 14,
  candidates: ({ settings: { pageSize } }) =>
    othersThan(pageSize, [16, 32, 64] as const).map((pageSize) => ({ pageSize })),
  work: ({ works }, settings) => works.continueFar(settings),
  estimate: ({ works }) => 2 * works.decodeMs(1) + works.promptMs(works.shortTokens),
  gainLeast: () => gainUsual,
};

/** All stages, in their order. */
export const stages: readonly Stage[] = [generating, reading, crossing, batch, pages];

/**
 * Threads and chunks that may be the best together: with every other chunk all numbers of threads are looked at, and the best
 * two are to race with it and with the next chunk.
 */
async function promising(
  { plan, works, settings, budget }: StageContext,
): Promise<{ prefillThreads: number; chunkTokens: number }[]> {
  const present = settings.prefillThreads;
  // From the most down: one thread is slower than all, and not to be waited for with a large chunk.
  let counts = threadCounts(plan).reverse();
  const pairs = new Map<string, { prefillThreads: number; chunkTokens: number }>();
  // What is much smaller than what a step would have by itself costs a round each, and is never the best.
  const chunks = () => {
    const worthTrying = works.chunks.filter((chunk) => chunk >= works.chunkBase / 8);
    return worthTrying.length > 0 ? worthTrying : [works.chunkBase];
  };
  for (let index = 0; index < chunks().length; index += 2) {
    const tokens = chunks()[index] as number;
    const times = new Map<number, number>();
    let least = Infinity;
    for (const prefillThreads of counts) {
      let ms = Infinity;
      // A value that seems slower is tried again, for the first try may have been disturbed.
      for (let tries = 0; tries < 2 && !(ms < slower * least); tries++) {
        if (budget.isOver(works.promptMs(tokens, prefillThreads))) break;
        ms = Math.min(ms, await works.prefill({ ...settings, prefillThreads }, tokens) ?? Infinity);
      }
      least = Math.min(least, ms);
      times.set(prefillThreads, ms);
    }
    const ms = (count: number) => times.get(count) as number;
    counts = counts.filter((count) => ms(count) < hopeless * least).sort((a, b) => ms(a) - ms(b));
    const [best = present] = counts;
    // Steps that are too long with the present one may be short enough with the best.
    if (index + 2 >= chunks().length && (times.get(present) ?? Infinity) > muchSlower * least) {
      await works.timeChunks({ ...settings, prefillThreads: best }, budget.share(budget.leftMs / 4));
    }
    for (const chunkTokens of chunks().slice(index, index + 2)) {
      for (const prefillThreads of new Set([...counts.slice(0, promisingMost), present])) {
        pairs.set(`${prefillThreads} ${chunkTokens}`, { prefillThreads, chunkTokens });
      }
    }
  }
  return [...pairs.values()];
}

/** The current value first, then the others. */
function othersThan<T>(present: T, all: readonly T[]): T[] {
  return [present, ...all.filter((value) => value !== present)];
}

/** One to four by one, then in steps of a half, up to the most; on large machines few of many. */
function threadCounts({ threadsMost, threadsToTry = [] }: TunePlan): number[] {
  const counts = new Set<number>();
  for (let count = 1; count <= threadsMost; count = count < 4 ? count + 1 : Math.round(count * 1.5)) {
    counts.add(count);
  }
  for (const count of [...threadsToTry, threadsMost - 1, threadsMost]) {
    if (count >= 1 && count <= threadsMost) counts.add(count);
  }
  return [...counts].sort((a, b) => a - b);
}
