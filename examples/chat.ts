/**
 * A conversation in the terminal, with its history, by the chat template in the model's file.
 *
 *     deno run -A examples/chat.ts model.gguf            (or: bun examples/chat.ts model.gguf)
 *
 * Without a file the small story model answers, which has no template: one of two lines stands in for it.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { type ChatMessage, LightGPT } from "../mod.ts";

const file = process.argv[2];
await using lm = await LightGPT.load(file);
const template = file === undefined ? { template: "{% for m in messages %}{{ m.content }} {% endfor %}" } : {};
const messages: ChatMessage[] = [];
for await (const content of createInterface({ input: process.stdin })) {
  messages.push({ role: "user", content });
  let answer = "";
  for await (const piece of lm.chat(messages, { ...template, maxTokens: 60 })) {
    process.stdout.write(piece.text);
    answer += piece;
  }
  console.log();
  messages.push({ role: "assistant", content: answer });
}
