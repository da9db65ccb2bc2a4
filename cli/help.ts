/**
 * The help texts, made of the table of subcommands.
 *
 * @module
 */
import process from "node:process";
import { styleText } from "node:util";
import { COMMANDS } from "./options.ts";
import type { CommandSpec } from "./types.ts";

function title(text: string): string {
  return styleText("bold", text, { stream: process.stdout });
}

/** The help text of a subcommand, or of the whole command. */
export function helpText(name?: string): string {
  if (name === undefined) {
    const width = Math.max(...Object.keys(COMMANDS).map((key) => key.length));
    const rows = Object.entries(COMMANDS).map(([key, { about }]) => `  ${key.padEnd(width)}  ${about}`);
    return [
      `${title("Usage:")} lightgpt COMMAND [OPTIONS]`,
      "",
      "Runs GGUF language models on the CPU.",
      "",
      ...rows,
      "",
      "lightgpt COMMAND --help, or help COMMAND, shows the options of a command; lightgpt --version the version.",
      "A model is a GGUF file, or a name: smollm2:135m, hf:user/repo:Q4_K_M, ollama:name; lightgpt pull shows some.",
      "Exit codes: 0, 1 for a failure, 2 for a command line that is wrong, 130 after Ctrl-C.",
      "LIGHTGPT_DEBUG=1 adds stack traces to errors.",
      "",
    ].join("\n");
  }
  const { about, argument, second, options } = COMMANDS[name] as CommandSpec;
  const words = Object.entries(options).map(([key, option]) => [
    `${option.short === undefined ? "" : `-${option.short}, `}--${key}${
      option.kind === "flag" ? "" : ` ${option.value ?? option.choices?.join("|")}`
    }`,
    option.about,
  ]);
  const width = Math.max(...words.map(([word]) => word.length));
  const first = argument === undefined ? "" : argument.required ? ` ${argument.name}` : ` [${argument.name}]`;
  const shown = first + (second === undefined ? "" : ` ${second}`);
  return [
    `${title("Usage:")} lightgpt ${name}${shown} [OPTIONS]`,
    "",
    `${about[0].toUpperCase()}${about.slice(1)}.`,
    "",
    ...words.map(([word, about]) => `  ${word.padEnd(width)}  ${about}`),
    "",
  ].join("\n");
}
