/**
 * Summarises a file that may be longer than the context: part by part, then the parts together.
 *
 *     deno run -A examples/summarize.ts README.md model.gguf
 *
 * The small story model only shows how it goes; give one that follows instructions to get a summary.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { LightGPT } from "../mod.ts";

const [file, model] = process.argv.slice(2);
if (file === undefined) throw new Error("which file? deno run -A examples/summarize.ts FILE [MODEL]");
await using lm = await LightGPT.load(model);

const answerTokens = 60;
const before = lm.tokenize("Text:\n");
const after = lm.tokenize("\nSummary in two sentences:", { addSpecial: false });
const partTokens = Math.floor((lm.context - before.length - after.length - answerTokens) * 0.9);

async function summarize(text: string): Promise<string> {
  const tokens = lm.tokenize(text, { addSpecial: false });
  const parts: Promise<{ text: string }>[] = [];
  for (let start = 0; start < tokens.length; start += partTokens) {
    const prompt = [...before, ...tokens.subarray(start, start + partTokens), ...after];
    // All parts at once: requests share their steps.
    parts.push(lm.complete(prompt, { maxTokens: answerTokens, sampling: { temperature: 0 } }));
  }
  const summaries = (await Promise.all(parts)).map(({ text }) => text.trim());
  return summaries.length > 1 ? summarize(summaries.join("\n")) : summaries.join("");
}

console.log(await summarize(readFileSync(file, "utf8")));
