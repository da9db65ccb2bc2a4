/**
 * The options of the subcommands about models themselves: `pull`, `list`, `show`, `rm`, `ps`, and of `completions`.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./types.ts";

/** The shells that there are completions for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** The subcommands; `json` is the option that all have which print something. */
export function modelCommands(json: OptionSpec): Readonly<Record<string, CommandSpec>> {
  const model = { name: "MODEL", required: true };
  return {
    pull: {
      about: "fetch a model by its name, or a newer one; without a name, show some and ask which",
      argument: { name: "MODEL", required: false },
      options: { json },
    },
    list: { about: "list the models on this machine, those of Ollama and LM Studio too", options: { json } },
    show: {
      about: "show a model: which file of it fits this machine, its memory, its speed",
      argument: model,
      options: { json },
    },
    rm: { about: "remove a model that was fetched", argument: model, options: { json } },
    ps: {
      about: "list the models that a running `lightgpt serve` has",
      options: {
        url: { kind: "text", value: "URL", about: "the server (default: http://127.0.0.1:8080)" },
        key: { kind: "text", value: "KEY", about: "a key of the server; or LIGHTGPT_KEY" },
        json,
      },
    },
    completions: {
      about: "print completions for a shell, to be read by it",
      argument: { name: shells.join("|"), required: true },
      options: {},
    },
  };
}
