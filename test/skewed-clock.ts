/**
 * Loaded before a command: its clock is wrong by as many milliseconds as the environment says, as that of a machine that was set by
 * hand. Spans are right, as they are there.
 *
 * @module
 */
import process from "node:process";

const skewMs = Number(process.env.LIGHTGPT_TEST_SKEW_MS ?? 0);
const { now } = Date;

globalThis.Date = class extends Date {
  constructor(...parts: readonly unknown[]) {
    super(...(parts.length === 0 ? [now() + skewMs] : parts) as [number]);
  }

  static override now(): number {
    return now() + skewMs;
  }
} as DateConstructor;

console.error(`the clock says ${new Date().toISOString()}`);
