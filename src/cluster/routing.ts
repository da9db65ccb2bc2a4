/**
 * Which place of the queue a job goes to, and which workers look there first. Prompts that begin alike go to one shard, and a shard has
 * one owner, so that what was computed for a beginning is found again; an idle worker takes from the shards of others, so that none
 * waits for its owner.
 *
 * @module
 */
import type { Place } from "./types.ts";

/** Shards of a priority. */
export const shardCount = 16;
/** Tokens of a prompt that decide, cut to pages. */
const tokensMost = 256;
const pageTokens = 32;
/** Beginnings that are remembered. */
const rememberedMost = 4096;
/** Of so many shards a new beginning gets the one that had the fewest jobs, of the last few hundred. */
const choices = 4;
const countedMost = 512;

/** 32 bits of a text. */
function hashOf(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Places of the queue by priority: 7 to 9, 3 to 6, 0 to 2. */
export function priorityClass(priority: number): number {
  return priority >= 7 ? 0 : priority >= 3 ? 1 : 2;
}

/** Chooses shards for prompts, and remembers which beginnings it has sent where. */
export class Router {
  readonly #shards = new Map<string, number>();
  /** Jobs of each shard; older ones count less and less. */
  readonly #jobs = new Float64Array(shardCount);
  #counted = 0;

  /** The place for a job. */
  place(tenant: string, prompt: Uint32Array, priority: number): Place {
    return this.#placed(this.#shardOf(tenant, prompt), priority);
  }

  /** The place for a job that no worker is better for than another. */
  anywhere(priority: number): Place {
    let least = 0;
    this.#jobs.forEach((count, shard) => {
      if (count < this.#jobs[least]) least = shard;
    });
    return this.#placed(least, priority);
  }

  #placed(shard: number, priority: number): Place {
    this.#jobs[shard]++;
    if (++this.#counted >= countedMost) {
      this.#counted /= 2;
      this.#jobs.forEach((count, index) => this.#jobs[index] = count / 2);
    }
    return { priority: priorityClass(priority), shard };
  }

  /** A shard for a key: the least used of a few that follow from it, so that gateways mostly agree. */
  #least(key: string): number {
    const shards = Array.from({ length: choices }, (_, index) => hashOf(key, 31 * index + 1) % shardCount);
    return shards.reduce((best, shard) => this.#jobs[shard] < this.#jobs[best] ? shard : best);
  }

  #shardOf(tenant: string, prompt: Uint32Array): number {
    const pages = Math.floor(Math.min(prompt.length, tokensMost) / pageTokens);
    if (pages === 0) return this.#least(`${tenant}\n${prompt.join()}`);
    const keys: string[] = [];
    let key = tenant;
    for (let page = 0; page < pages; page++) {
      // Two hashes, for what is sent to the wrong shard is only slower.
      const text = `${key} ${prompt.subarray(page * pageTokens, (page + 1) * pageTokens).join()}`;
      keys.push(key = `${hashOf(text)}.${hashOf(text, 7)}`);
    }
    // A beginning that is most of what decides goes where it went before; a short one, that all share, decides nothing.
    const known = keys.slice(Math.ceil(pages / 2) - 1).findLast((one) => this.#shards.has(one));
    const shard = known === undefined ? this.#least(keys.at(-1) as string) : this.#shards.get(known) as number;
    for (const one of keys) {
      const before = this.#shards.get(one) ?? shard;
      this.#shards.delete(one);
      this.#shards.set(one, before);
    }
    for (const oldest of this.#shards.keys()) {
      if (this.#shards.size <= rememberedMost) break;
      this.#shards.delete(oldest);
    }
    return shard;
  }
}

/**
 * The shards that a worker owns, of all that are there: each has the owner for which a hash of both is largest, of those that have not
 * their share of shards yet. Few move when a worker comes or goes.
 */
export function ownedShards(worker: string, workers: readonly string[]): ReadonlySet<number> {
  const all = [...new Set([...workers, worker])].sort();
  const owned = new Map(all.map((one) => [one, new Set<number>()]));
  const share = Math.ceil(shardCount / all.length);
  const wishes = all.flatMap((one) =>
    Array.from({ length: shardCount }, (_, shard) => ({ one, shard, weight: hashOf(`${shard} ${one}`) }))
  );
  const free = new Set(Array.from({ length: shardCount }, (_, shard) => shard));
  for (const { one, shard } of wishes.sort((a, b) => b.weight - a.weight)) {
    const shards = owned.get(one) as Set<number>;
    if (shards.size < share && free.delete(shard)) shards.add(shard);
  }
  return owned.get(worker) as Set<number>;
}
