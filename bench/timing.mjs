/**
 * Timing that knows whether it was disturbed: beside the clock it reads how much of the processor others used
 * meanwhile, so that a figure from a busy moment can be told from one of a quiet one. Plain JavaScript, because Node 20,
 * Deno and Bun all run it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";

/**
 * One timed piece of work: how long it took, and how many cores others kept busy (undefined where that is unknown).
 *
 * @typedef {{ ms: number, others: number | undefined }} Timing
 */

const jiffiesPerSecond = 100; // USER_HZ, the same on every Linux that Node, Deno or Bun run on

/** Seconds of processor time that the machine has spent on anything, or undefined where the system does not say. */
function machineSeconds() {
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]
      .split(/ +/).slice(1).map(Number);
    return (user + nice + system + irq + softirq + steal) / jiffiesPerSecond;
  } catch {
    return undefined; // not Linux
  }
}

function ownSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Begins to time; the function it returns ends it. @returns {() => Timing} */
export function startTiming() {
  const machine = machineSeconds();
  const own = ownSeconds();
  const begin = performance.now();
  return () => {
    const ms = performance.now() - begin;
    const machineEnd = machineSeconds();
    if (machine === undefined || machineEnd === undefined) return { ms, others: undefined };
    return { ms, others: Math.max(0, machineEnd - machine - (ownSeconds() - own)) / (ms / 1000) };
  };
}

/** Most bytes of memory that this process has had resident. */
export function peakBytes() {
  return process.resourceUsage().maxRSS * 1024;
}

/**
 * `count` token ids for a prompt. Every vocabulary has the ids below 256, and `salt` makes prompts differ.
 *
 * @param {number} count
 * @param {number} salt
 * @returns {number[]}
 */
export function promptIds(count, salt = 0) {
  return Array.from({ length: count }, (_, index) => 3 + (index * 79 + salt * 37 + (index >> 3)) % 251);
}

/**
 * Tokens a second while all of several streams were running. `times[s]` has the time of each token of stream s; the
 * first token of a stream is its prompt's.
 *
 * @param {number[][]} times
 * @returns {{ tokens: number, ms: number }}
 */
export function sharedWindow(times) {
  const begin = Math.max(...times.map((stream) => stream[0]));
  const end = Math.min(...times.map((stream) => stream[stream.length - 1]));
  const tokens = times.reduce((sum, stream) => sum + stream.filter((time) => time > begin && time <= end).length, 0);
  return { tokens, ms: end - begin };
}
