/**
 * The protocol of jobs under everything that can go wrong, in a simulated world: 2000 schedules, each of which must give every reader
 * exactly what the unbroken run gives.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { it } from "node:test";
import { note, often } from "./counts.ts";
import { World } from "./cluster-simulation.ts";

const schedules = often(2000, 200_000);

it("gives every reader the same bits, nothing twice and nothing lost, whatever fails", () => {
  let [buried, kills] = [0, 0];
  for (let seed = 1; seed <= schedules; seed++) {
    const kind = seed % 4;
    const world = new World(seed, {
      lost: kind === 1 ? 0.1 : kind === 2 ? 0.01 : 0,
      doubled: kind === 1 ? 0.1 : 0.02,
      lateMs: kind === 3 ? 300 : 3,
      faults: kind === 0 ? 0 : 1 + seed % 6,
    });
    world.run();
    for (const job of world.jobs) {
      const { pieces, end } = world.told.get(job) as { pieces: unknown[]; end: unknown };
      const had = world.earlier.get(job) ?? [];
      assertEquals(
        had,
        world.expected(job).slice(0, had.length),
        `schedule ${seed}, ${job} at a gateway that was killed`,
      );
      kills += had.length > 0 ? 1 : 0;
      if (world.buried.includes(job)) {
        buried++;
        assertEquals(pieces, world.expected(job).slice(0, pieces.length), `schedule ${seed}, ${job}`);
        continue;
      }
      assert(end !== undefined, `schedule ${seed}: ${job} has ended, ${pieces.length} pieces`);
      assertEquals(pieces, world.expected(job), `schedule ${seed}, ${job}`);
    }
    assertEquals(world.waiting, 0, `schedule ${seed}: nothing is left in the queue`);
  }
  note(40, "schedules of a cluster", schedules);
  assert(kills >= schedules / 10, `${kills} jobs have lost their gateway`);
  // Three workers took it up and were ended before its first piece.
  assert(buried <= schedules / 500, `${buried} jobs were given up`);
});
