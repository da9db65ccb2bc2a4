/**
 * How much a test does, and how much it did: `npm run reliability -- --night` runs the same tests with larger numbers, and prints
 * what they note.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";

/** Which share of its numbers the night run has, 0 to 1; 0: this is none. */
const share = Number(process.env.LIGHTGPT_NIGHT ?? 0);
/** Whether this is the night run. */
export const isNight: boolean = share > 0;

/** Whether it has all of its numbers: a share of a night is run where other programs run, too. */
export const isWholeNight: boolean = share === 1;

/** A number of a test: the gate's on every change, the night's in the night run, or a share of it. */
export function often(gate: number, night: number): number {
  if (night < gate) return share === 1 ? night : gate;
  return Math.max(gate, Math.round(share * night));
}

/** Notes for row `row` of the reliability table how much of something was done. */
export function note(row: number, what: string, count: number): void {
  const path = process.env.LIGHTGPT_COUNTS;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ row, what, count })}\n`);
}
