#!/usr/bin/env node
/**
 * What a package installs as the command `lightgpt`: the command in `main.ts`, on whichever runtime is there. npm starts it with the
 * Node that it finds; where that is too old, Bun or Deno runs it.
 *
 * @module
 */
import process from "node:process";
import { launch } from "../ffi/runtime/launch.ts";

const words = process.argv.slice(2);
const code = await launch(import.meta.url, words, async () => {
  (await import("./compiled.ts")).keepCompiled();
  const { main } = await import("./main.ts");
  return await main(words);
});
// An unfinished read of standard input would keep the process alive after Ctrl-C.
if (code === 130) process.exit(code);
process.exitCode = code;
