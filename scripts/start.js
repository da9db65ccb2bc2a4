/**
 * `npm start`: sets up, builds, and lets the embedded model tell a story. Arguments are passed on to `lightgpt run`;
 * without a prompt among them the story begins with "Once upon a time". Started by Bun it runs on Bun, else on Deno.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { build } from "./build.js";
import { setup } from "./setup.js";
import { Failure, main, root, toolPath } from "./tools.js";

const prompt = "Once upon a time";

/** The options of `run` that take no value (a test compares them with cli/options.ts). */
export const flags = ["--allow-unknown-pre-tokenizer", "--tune", "--json", "--help", "-h"];

/** The arguments with the default prompt where they name none. */
export function withPrompt(args) {
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return i + 1 < args.length ? args : [...args, prompt];
    if (!args[i].startsWith("-") || args[i] === "-") return args;
    if (!flags.includes(args[i]) && !args[i].includes("=")) i++; // its value
  }
  return [prompt, ...args];
}

/** The command that runs `cli/main.ts` on the runtime that started us. */
export function command(agent = process.env.npm_config_user_agent ?? "") {
  const cli = join(root, "cli/main.ts");
  if (agent.startsWith("bun/")) return { program: toolPath("bun"), args: [cli] };
  return { program: toolPath("deno"), args: ["run", "--allow-all", "--quiet", "--no-prompt", cli] };
}

async function start() {
  await setup();
  await build();
  const { program, args } = command();
  const child = spawn(program, [...args, "run", ...withPrompt(process.argv.slice(2))], { stdio: "inherit" });
  // Ctrl-C reaches the child as well, which ends by itself; waiting for it keeps its last words and its exit code.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  const { code, signal, error } = await new Promise((done) => {
    child.on("error", (error) => done({ error }));
    child.on("close", (code, signal) => done({ code, signal }));
  });
  if (error) throw new Failure(`cannot start ${program}: ${error.message}`);
  process.exitCode = code ?? 128 + constants.signals[signal];
}

main(import.meta.url, start);
