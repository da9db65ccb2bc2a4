/**
 * Completes every prompt of a JSON-lines file, {"prompt": "..."} a line, and writes a line of JSON for each, in their
 * order: its number, and the text or what went wrong. Many run at once; lines are read as they are needed, so the file
 * may be of any length.
 *
 *     deno run -A examples/batch.ts prompts.jsonl > texts.jsonl       (or: bun examples/batch.ts ...)
 */
import { createReadStream } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { LightGPT } from "../mod.ts";

const [file, model] = process.argv.slice(2);
if (file === undefined) throw new Error("which file? deno run -A examples/batch.ts FILE.jsonl [MODEL]");

async function* prompts(): AsyncGenerator<string> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number++;
    if (line.trim() === "") continue;
    const prompt = promptOf(line);
    if (prompt === undefined) throw new Error(`${file}, line ${number}: expected {"prompt": "..."}, got ${line}`);
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
  console.log(JSON.stringify(completion ? { index, text: completion.text } : { index, error: String(error) }));
}
