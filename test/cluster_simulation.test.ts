/**
 * The protocol of jobs under everything that can go wrong, in a simulated world: 2000 schedules, each of which must give every reader
 * exactly what the unbroken run gives.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { it } from "node:test";
import { note, often } from "./counts.ts";
import { JobReading } from "../src/cluster/reading.ts";
import { JobRun } from "../src/cluster/running.ts";
import { World } from "./cluster-simulation.ts";

/** The same code gives the same on every runtime: on Deno's turn a few are enough. */
const schedules = often("Deno" in globalThis ? 200 : 2000, 200_000);

it("gives a job up whose third worker is not heard again, and no job whose workers live or have given a token", () => {
  const none = () => false;
  const take = (reading: JobReading, worker: string, deliveries: number, isThere: (one: string) => boolean = none) =>
    reading.ask({ job: "a", worker, first: true, deliveries }, isThere).kind;
  const piece = { text: "a", token: 1 };
  const frame = (worker: string, at: number) => ({ job: "a", worker, at, pieces: [piece] });
  const silent = new JobReading("a");
  assertEquals([1, 2, 3, 4].map((delivery) => take(silent, `w${delivery}`, delivery)), [
    "open",
    "open",
    "open",
    "done",
  ]);
  assert(silent.isPoison && silent.outcome !== undefined && "error" in silent.outcome);
  // Three workers are killed behind the first token of each, and so on: a long answer outlives any number of them.
  const going = new JobReading("a");
  for (let delivery = 1; delivery < 20; delivery++) {
    assertEquals(take(going, `w${delivery}`, delivery), "open");
    going.take(frame(`w${delivery}`, delivery - 1));
  }
  // Two that were cut off for a while take it from one another again and again.
  const cut = new JobReading("a");
  for (let round = 0; round < 9; round++) assertEquals(take(cut, `w${round % 2}`, 1 + round % 2), "open");
  // Those that are heard again were paused, not killed.
  const paused = new JobReading("a");
  for (let delivery = 1; delivery < 20; delivery++) {
    assertEquals(take(paused, `w${delivery}`, delivery), "open");
    if (delivery > 1) assertEquals(paused.ask({ job: "a", worker: `w${delivery - 1}` }, none).kind, "moved");
  }
  // Three that live, and are slow: it is kept from others until one is heard, or all are known to be gone.
  const all = () => true;
  const slow = new JobReading("a");
  assertEquals([1, 2, 3, 4, 5].map((delivery) => take(slow, `w${delivery}`, delivery, all)), [
    ...["open", "open", "open"],
    ...["moved", "moved"],
  ]);
  slow.take(frame("w2", 0));
  assertEquals(take(slow, "w6", 6, all), "open");
  const gone = new JobReading("a");
  for (let delivery = 1; delivery <= 4; delivery++) take(gone, `w${delivery}`, delivery, all);
  assertEquals([take(gone, "w5", 5, (one) => one === "w3"), take(gone, "w6", 6)], ["moved", "done"]);
  const never = new JobReading("a");
  const kinds = Array.from({ length: 60 }, (_, index) => take(never, `w${index % 5}`, index, all));
  assertEquals([kinds.lastIndexOf("moved"), kinds.at(-1)], [42, "done"]);
  // The first begins a new job without a question: it counts where it is not heard, and goes on where it is.
  const unasked = new JobReading("a");
  assertEquals([2, 3, 4].map((delivery) => take(unasked, `w${delivery}`, delivery)), ["open", "open", "done"]);
  const heard = new JobReading("a");
  assertEquals(heard.ask({ job: "a", worker: "w1" }, none).kind, "open");
  assertEquals(heard.ask({ job: "a", worker: "w2" }, none).kind, "moved");
  // Its reader has more than it reads: workers that are killed while they wait for it say nothing of the job.
  const waiting = new JobReading("a");
  waiting.take({ job: "a", worker: "w0", at: 0, pieces: Array.from({ length: 64 }, () => piece) });
  for (let delivery = 1; delivery < 9; delivery++) assertEquals(take(waiting, `w${delivery}`, delivery), "open");
  for (let count = 0; count < 64; count++) waiting.read();
  assertEquals([9, 10, 11].map((delivery) => take(waiting, `w${delivery}`, delivery)), ["open", "open", "done"]);
  // One that cannot do it, and puts it back each time without a word.
  const failing = new JobReading("a");
  assertEquals([1, 2, 3, 4].map((delivery) => take(failing, "w", delivery)), ["open", "open", "open", "done"]);
});

it("sends what a gateway has not got, and not what is on its way", () => {
  const run = new JobRun("a", "w", 1);
  run.begin(true);
  run.piece({ text: "a", token: 1 });
  run.tick();
  const ask = run.tick().find((effect) => effect.do === "ask");
  assert(ask?.do === "ask" && ask.made === 1);
  run.piece({ text: "b", token: 2 });
  const sent = (have: number, made: number) =>
    run.replied({ kind: "open", have, upTo: 64 }, made).flatMap((one) => one.do === "send" ? [one.frame] : []);
  assertEquals(sent(1, ask.made), []);
  assertEquals(sent(0, ask.made).map(({ at, pieces }) => [at, pieces.length]), [[0, 2]]);
  run.ended({ stopReason: "stop" } as never);
  assertEquals(sent(1, 1), []);
  assertEquals(sent(2, 2).map(({ at, end }) => [at, end !== undefined]), [[2, true]]);
});

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
  assert(kills >= schedules / 25, `${kills} jobs have lost their gateway`);
  // Three workers took it up and were ended before its first piece.
  assert(buried <= schedules / 500, `${buried} jobs were given up`);
});
