/**
 * A clock for bounds that no busy machine may break: it goes on only while this process works, on any of its threads.
 *
 * @module
 */
import process from "node:process";

/** Milliseconds of processor time that this process has taken so far. */
export function workedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
