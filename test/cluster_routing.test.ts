/**
 * Where jobs go: prompts that begin alike to one place, and places to workers such that few move when one comes or goes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { it } from "node:test";
import { ownedShards, priorityClass, Router, shardCount } from "../src/cluster/routing.ts";
import { mix } from "./cluster-simulation.ts";

function promptOf(seed: number, length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => mix(seed, index) % 2048);
}

it("prompts that begin alike go to one shard, whatever comes behind", () => {
  const router = new Router();
  const shards = new Map<number, Set<number>>();
  for (let request = 0; request < 200; request++) {
    const prefix = request % 20;
    const prompt = Uint32Array.from([...promptOf(prefix, 160), ...promptOf(1000 + request, 70)]);
    const { shard } = router.place("", prompt, 5);
    assert(shard >= 0 && shard < shardCount);
    shards.set(prefix, (shards.get(prefix) ?? new Set()).add(shard));
  }
  for (const [prefix, all] of shards) assertEquals(all.size, 1, `prefix ${prefix}`);
  assert(new Set([...shards.values()].map(([shard]) => shard)).size >= 6, "prefixes are spread");
});

it("a short beginning that all share decides nothing, and neither does another tenant's", () => {
  const router = new Router();
  const common = promptOf(1, 40);
  const shards = Array.from({ length: 64 }, (_, request) => {
    const prompt = Uint32Array.from([...common, ...promptOf(50 + request, 216)]);
    return router.place("", prompt, 5).shard;
  });
  assert(new Set(shards).size >= 10);
  const own = Array.from({ length: 64 }, (_, tenant) => router.place(`${tenant}`, promptOf(1, 256), 5).shard);
  assert(new Set(own).size >= 10);
});

it("each shard has one owner, each worker its share, and few move when a worker leaves", () => {
  const workers = ["a", "b", "c", "d"].map((name) => name.repeat(8));
  const owners = (all: readonly string[]) =>
    Array.from({ length: shardCount }, (_, shard) => {
      const found = all.filter((worker) => ownedShards(worker, all).has(shard));
      assertEquals(found.length, 1, `shard ${shard}`);
      return found[0];
    });
  const before = owners(workers);
  const after = owners(workers.slice(1));
  for (const [all, owners] of [[workers, before], [workers.slice(1), after]] as const) {
    const counts = all.map((worker) => owners.filter((owner) => owner === worker).length);
    assert(Math.max(...counts) <= Math.ceil(shardCount / all.length), counts.join());
  }
  const moved = before.filter((owner, shard) => owner !== workers[0] && after[shard] !== owner);
  assert(moved.length <= 4, `${moved.length} shards of others have moved`);
  // A worker that does not see itself among the others counts itself.
  assertEquals(ownedShards("alone", []).size, shardCount);
});

it("priorities have three classes", () => {
  assertEquals([9, 7, 6, 5, 3, 2, 0].map(priorityClass), [0, 0, 1, 1, 1, 2, 2]);
});
