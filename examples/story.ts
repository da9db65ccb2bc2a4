/**
 * Streams a story to the terminal.
 *
 *     deno run -A examples/story.ts "Tell me a story about a brave mouse named Pip."        (or: bun examples/story.ts ...)
 */
import process from "node:process";
import { LightGPT } from "../mod.ts";

await using lm = await LightGPT.load(); // a path in its place loads any GGUF file
const prompt = process.argv[2] ?? "Once upon a time";
process.stdout.write(prompt);
for await (const piece of lm.generate(prompt, { maxTokens: 100 })) process.stdout.write(piece.text);
console.log();
