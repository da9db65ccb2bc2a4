/**
 * The runs of a prompt as what special tokens are cut out of: one text, and where in it the foreign parts are. Whatever
 * else tokenizes it sees one text.
 *
 * @module
 */
import { refuseOption } from "../../options/checks.ts";
import type { TextRun } from "../types.ts";

/** One text, and the beginning and end of each foreign part, in order; parts that touch are one. */
export function joinRuns(runs: readonly TextRun[]): { text: string; foreign: number[] } {
  if (!Array.isArray(runs)) refuseOption("runs", "an array of { text, foreign }", runs);
  let text = "";
  const borders: number[] = [];
  for (const [index, run] of runs.entries()) {
    if (typeof run?.text !== "string") refuseOption(`runs[${index}].text`, "a string", run?.text);
    if (typeof run.foreign !== "boolean") refuseOption(`runs[${index}].foreign`, "a boolean", run.foreign);
    if (run.text === "") continue;
    const start = text.length;
    // Each by itself: halves of a character from two places make none.
    text += run.text.toWellFormed();
    if (!run.foreign) continue;
    if (borders.at(-1) === start) borders.pop();
    else borders.push(start);
    borders.push(text.length);
  }
  return { text, foreign: borders };
}
