/**
 * How well jobs find the worker that has the beginning of their prompt, and how even the work is: the product's router and pullers over
 * a queue in memory, with a clock that a test winds, and workers whose caches are counted.
 *
 * @module
 */
import { assert } from "@std/assert";
import { it } from "node:test";
import { Puller } from "../src/cluster/puller.ts";
import { Registry, type WorkerEntry, workerKey } from "../src/cluster/registry.ts";
import { Router } from "../src/cluster/routing.ts";
import { newSubject, placeText } from "../src/cluster/subjects.ts";
import type { Delivery, Place, Transport, WorkQueue } from "../src/cluster/types.ts";
import { mix } from "./cluster-simulation.ts";
import { FakeClock } from "./fake-clock.ts";

const [prefixes, prompts, prefixTokens, ownTokens, answerTokens] = [20, 200, 192, 40, 60];
/** Milliseconds of a token of a prompt that the cache has not, and of a token of the answer. */
const [readMs, writeMs] = [0.5, 4];

function promptOf(seed: number, length: number): number[] {
  return Array.from({ length }, (_, index) => mix(seed, index) % 2048);
}

/** A queue in memory, and messages that all hear at once. */
class Memory implements Pick<Transport, "queue" | "watch"> {
  readonly #jobs = new Map<string, { readonly place: Place; readonly texts: string[] }>();
  readonly #heard: ((text: string) => void)[] = [];
  #watching: ((key: string, text: string) => void)[] = [];

  queue(): Promise<WorkQueue> {
    return Promise.resolve(this as unknown as WorkQueue);
  }

  take(place: Place): Promise<Delivery | undefined> {
    const text = this.#jobs.get(placeText(place))?.texts.shift();
    return Promise.resolve(text === undefined ? undefined : { text } as Delivery);
  }

  counts(): Promise<{ place: Place; count: number }[]> {
    const all = [...this.#jobs.values()].map(({ place, texts }) => ({ place, count: texts.length }));
    return Promise.resolve(all.filter(({ count }) => count > 0));
  }

  subscribe(subject: string, heard: (text: string) => void): () => void {
    if (subject === newSubject("model")) this.#heard.push(heard);
    return () => {};
  }

  watch(heard: (key: string, text: string | undefined) => void): Promise<() => void> {
    this.#watching.push(heard);
    return Promise.resolve(() => {});
  }

  announce(entry: WorkerEntry): void {
    for (const heard of this.#watching) heard(workerKey(entry), JSON.stringify(entry));
  }

  add(place: Place, text: string): void {
    const key = placeText(place);
    const there = this.#jobs.get(key) ?? { place, texts: [] };
    there.texts.push(text);
    this.#jobs.set(key, there);
    for (const heard of this.#heard) heard(key);
  }
}

interface Counted {
  readonly hits: number;
  /** Milliseconds of work of each worker. */
  readonly busy: readonly number[];
}

/** Lets some workers of so many rows do all prompts, of which one comes every `everyMs` milliseconds. */
async function run(seed: number, workers: number, rows: number, everyMs: number): Promise<Counted> {
  const clock = new FakeClock();
  const memory = new Memory();
  const busy = Array.from({ length: workers }, () => 0);
  let [hits, done] = [0, 0];
  const names = busy.map((_, index) => mix(seed, index, 99).toString(16).repeat(4));
  const entry = (worker: string): WorkerEntry => ({
    ...{ worker, model: "m", fingerprint: "model", rows, running: 0, tokensPerSecond: 0, tokens: 0 },
    ...{ cacheAsked: 0, cacheFound: 0, runtime: "bun", isDraining: false },
  });
  const pullers: Puller[] = [];
  for (const [index, id] of names.entries()) {
    const cache = new Set<string>();
    let running = 0;
    const registry = await Registry.open(memory as unknown as Transport, clock);
    const puller: Puller = new Puller({
      ...{ id, fingerprint: "model", transport: memory as unknown as Transport, registry, clock },
      room: () => rows - running,
      take: ({ text }) => {
        running++;
        const isThere = cache.has(text);
        cache.add(text);
        if (isThere) hits += prefixTokens;
        const ms = readMs * (ownTokens + (isThere ? 0 : prefixTokens)) + writeMs * answerTokens;
        busy[index] += ms;
        clock.after(ms, () => {
          running--;
          done++;
          puller.wake();
        });
      },
      troubled: (error) => {
        throw error;
      },
    });
    pullers.push(puller);
  }
  const announce = () => names.forEach((name) => memory.announce(entry(name)));
  announce();
  for (const puller of pullers) await puller.start();
  const router = new Router();
  for (let index = 0; index < prompts; index++) {
    const prefix = mix(seed, index, 5) % prefixes;
    clock.after(1 + index * everyMs, () => {
      const prompt = [...promptOf(1000 * seed + prefix, prefixTokens), ...promptOf(index + 7, ownTokens)];
      memory.add(router.place("", Uint32Array.from(prompt), 5), `${prefix}`);
    });
  }
  for (let tick = 0; done < prompts; tick++) {
    if (tick % 1000 === 0) announce();
    await clock.tick();
  }
  for (const puller of pullers) void puller.stop();
  return { hits, busy };
}

/** The clock is the test's own, so that every runtime finds the same. */
const skip = "Deno" in globalThis && "runs on Bun's turn";

it(
  "jobs come to the worker that has the beginning, and no worker has much more to do than another",
  { skip },
  async () => {
    const [three, rows] = [3, 4];
    // All at once, more than the workers can do, and little.
    for (const everyMs of [0, 20, 150]) {
      let [hits, whole, spread] = [0, 0, 0];
      const seeds = 4;
      for (let seed = 1; seed <= seeds; seed++) {
        const many = await run(seed, three, rows, everyMs);
        const one = await run(seed, 1, three * rows, everyMs);
        hits += many.hits;
        whole += one.hits;
        spread += Math.max(...many.busy) / (many.busy.reduce((sum, one) => sum + one) / three) / seeds;
      }
      assert(whole > 0.8 * seeds * prompts * prefixTokens, "one worker finds nearly all");
      assert(hits >= 0.9 * whole && spread <= 1.3, `every ${everyMs} ms: ${hits} of ${whole}, spread ${spread}`);
    }
  },
);
