/**
 * Timing that knows whether it was disturbed: beside the clock it reads how much of the processor others used
 * meanwhile, so that a figure from a busy moment can be told from one of a quiet one. Plain JavaScript, because Node 20,
 * Deno and Bun all run it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";

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

/**
 * Begins to time; the function it returns ends it and gives the milliseconds, and how many cores others kept busy (null
 * where that is unknown).
 *
 * @returns {() => { ms: number, others: number | null }}
 */
export function startTiming() {
  const machine = machineSeconds();
  const own = ownSeconds();
  const begin = performance.now();
  return () => {
    const ms = performance.now() - begin;
    const machineEnd = machineSeconds();
    if (machine === undefined || machineEnd === undefined) return { ms, others: null };
    return { ms, others: Math.max(0, machineEnd - machine - (ownSeconds() - own)) / (ms / 1000) };
  };
}

/** Most bytes of memory that this process has had resident. */
export function peakBytes() {
  return process.resourceUsage().maxRSS * 1024;
}
