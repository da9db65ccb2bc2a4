/**
 * How much a test does, and how much it did: `npm run reliability -- --night` runs the same tests with larger numbers, and prints
 * what they note.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";

/** Whether this is the night run. */
export const isNight: boolean = process.env.LIGHTGPT_NIGHT === "1";

/** A number of a test: the gate's on every change, the night's in the night run. */
export function often(gate: number, night: number): number {
  return isNight ? night : gate;
}

/** Notes for row `row` of the reliability table how much of something was done. */
export function note(row: number, what: string, count: number): void {
  const path = process.env.LIGHTGPT_COUNTS;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ row, what, count })}\n`);
}
