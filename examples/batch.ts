/**
 * Completes every prompt of a JSON-lines file, {"prompt": "..."} a line, and writes a line of JSON for each, in their
 * order: the number of the line, and the text or what went wrong; a line that holds no prompt is told at once, and the rest
 * goes on. Many run at once; lines are read as they are needed, so the file may be of any length.
 *
 *     deno run -A examples/batch.ts prompts.jsonl > texts.jsonl       (or: bun examples/batch.ts ...)
 */
import { createReadStream } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { LightGPT } from "../mod.ts";

const [file, model] = process.argv.slice(2);
if (file === undefined) throw new Error("which file? deno run -A examples/batch.ts FILE.jsonl [MODEL]");

/** The lines of the prompts. */
const numbers: number[] = [];

async function* prompts(): AsyncGenerator<string> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number++;
    if (line.trim() === "") continue;
    const prompt = promptOf(line);
    if (prompt === undefined) {
      console.log(JSON.stringify({ line: number, error: `expected {"prompt": "..."}, got ${line.slice(0, 100)}` }));
      continue;
    }
    numbers.push(number);
    yield prompt;
  }
}

/** The prompt of a line; undefined where it has none, or is no JSON. */
function promptOf(line: string): string | undefined {
  try {
    const prompt: unknown = JSON.parse(line)?.prompt;
    return typeof prompt === "string" ? prompt : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

await using lm = await LightGPT.load(model);
const options = { maxTokens: 40, sampling: { temperature: 0 } };
for await (const { index, completion, error } of lm.batcher.map(prompts(), options)) {
  const line = numbers[index];
  console.log(JSON.stringify(completion ? { line, text: completion.text } : { line, error: String(error) }));
}
