/**
 * A storm of broken downloads, by a seed: cuts, resets, silence, wrong ranges, wrong bytes, busy servers, full disks, aborts and killed
 * processes. No wrong file ever has a final name, and what was there is not fetched again.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { LightGPTError } from "../mod.ts";
import { usualPatience } from "../src/files/hub/environment.ts";
import { blobPath } from "../src/files/hub/layout.ts";
import { PartialFile } from "../src/files/hub/partial_file.ts";
import type { HubContext } from "../src/files/hub/types.ts";
import { note, often } from "./counts.ts";
import { contextIn, find, hasty, randomFile } from "./hub_context.ts";
import { type Fault, sumOf, TestHub } from "./hub_server.ts";
import { repository } from "./kit.ts";
import { randomFrom } from "./simulation.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const whole = randomFile(900_000, "storm");
const sum = sumOf(whole);
/** How a download may be broken. */
const ways = [
  "cut",
  "reset",
  "stall",
  "silent",
  "wrongRange",
  "ignoreRange",
  "flip",
  "busy",
  "html",
  "abort",
  "full",
  "kill",
] as const;
type Way = typeof ways[number];
/** Bytes that are compared at once, to see what of a file is there. */
const blockBytes = 1024;

let hub: TestHub;
let folder: string;

/** What a way does to the storage's answers, each with this probability. */
function faultOf(way: Way, random: (below: number) => number): Fault | undefined {
  switch (way) {
    case "cut":
    case "stall":
      return { kind: way, after: random(80_000) };
    case "busy":
      return { kind: "status", status: [429, 500, 503][random(3)] as number, headers: { "retry-after": "0" } };
    case "abort":
    case "full":
    case "kill":
      return undefined;
    default:
      return { kind: way };
  }
}

/** Bytes of the file that are right, in blocks. */
function bytesThere(path: string): number {
  if (!existsSync(path)) return 0;
  const found = readFileSync(path);
  let bytes = 0;
  for (let at = 0; at < found.length; at += blockBytes) {
    const end = Math.min(at + blockBytes, found.length);
    if (found.subarray(at, end).equals(whole.subarray(at, end))) bytes += end - at;
  }
  return bytes;
}

/** Bytes that the next try will not ask for again. */
function bytesKept(path: string): number {
  if (!existsSync(path)) return 0;
  const partial = new PartialFile(path, false);
  const bytes = partial.bytesDone;
  partial.close();
  return bytes;
}

/** A try in a process of its own, which is killed once the hub has sent a part. */
async function killed(place: string, after: number): Promise<void> {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--no-check", "--quiet"] : [];
  const program = join(repository, "test", "hub_child.ts");
  const child = spawn(process.execPath, [...start, program, place, hub.endpoint], { stdio: "ignore" });
  const ended = new Promise<void>((done) => child.on("close", () => done()));
  hub.fault = ({ host }) => {
    if (host !== "storage") return undefined;
    if (hub.seen.length > after) process.kill(child.pid as number, "SIGKILL");
    return undefined;
  };
  await ended;
}

describe("a storm of broken downloads", () => {
  before(async () => {
    hub = await TestHub.open();
    hub.repositories.set("user/model", { commit, files: { "m-Q4_0.gguf": whole } });
    folder = mkdtempSync(join(tmpdir(), "lightgpt-storm-"));
  });
  after(async () => {
    await hub.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("leaves no wrong file under a final name, and keeps what was there", async () => {
    const random = randomFrom(20_261_127);
    const downloads = often(12, 500);
    let [wrong, there, kept, broken] = [0, 0, 0, 0];
    for (let download = 0; download < downloads; download++) {
      const place = join(folder, `${download}`);
      const blob = blobPath(join(place, "hub"), "user/model", sum);
      const way = ways[download % ways.length] as Way;
      for (let attempt = 0;; attempt++) {
        hub.calm();
        const isLast = attempt === 3;
        // One process is dear: at the gate only some of those to be killed are.
        if (way === "kill" && attempt === 0) await killed(place, 3 + random(6));
        else await tryOnce(place, way, isLast, random);
        if (existsSync(blob) && sumOf(readFileSync(blob)) !== sum) wrong++;
        const snapshot = join(place, "hub", "models--user--model", "snapshots", commit, "m-Q4_0.gguf");
        if (existsSync(snapshot)) {
          if (sumOf(readFileSync(snapshot)) !== sum) wrong++;
          break;
        }
        assert(!isLast, `${way}: without faults it does not come`);
        broken++;
        there += bytesThere(`${blob}.lightgpt`);
        kept += bytesKept(`${blob}.lightgpt`);
      }
      assertEquals(readdirSync(join(place, "hub", "models--user--model", "blobs")), [sum], `${way} leaves something`);
      rmSync(place, { recursive: true });
    }
    assertEquals(wrong, 0);
    assertGreater(broken, downloads / 2);
    assert(there > 0 && kept >= 0.9 * there, `${kept} of ${there} bytes were kept`);
    note(39, "broken downloads", broken);
  });
});

async function tryOnce(place: string, way: Way, isLast: boolean, random: (below: number) => number): Promise<void> {
  const controller = new AbortController();
  let left = 1 + random(8);
  hub.fault = ({ host }) => {
    if (host !== "storage" || isLast) return undefined;
    left--;
    if (way === "abort" && left <= 0) controller.abort();
    return left <= 0 ? faultOf(way, random) : undefined;
  };
  const more: Partial<HubContext> = {
    signal: controller.signal,
    // The last try is to come whole, on a busy machine too.
    patience: isLast ? usualPatience : { ...hasty, stallMs: 30, answerMs: 80, triesMost: 2 },
    ...way === "full" && !isLast ? { freeBytes: () => 1e6 * random(40) } : {},
  };
  try {
    await find(contextIn(place, hub.endpoint, more), "hf:user/model");
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    assertMatch(error.message, /^[^\n]+\.$/);
  }
}
