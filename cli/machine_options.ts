/**
 * The options of the subcommands that are about the machine and not about a text: `tune` and `info`.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./types.ts";

/** Both, made of the options that all subcommands with a model have in `common`. */
export function machineCommands(
  { model, threads, context, kv }: Readonly<Record<string, OptionSpec>>,
  json: OptionSpec,
): Record<"tune" | "info", CommandSpec> {
  const options = { model, threads, context, kv, json } as Record<string, OptionSpec>;
  return {
    tune: {
      about: "measure the settings that make a model run fastest on this machine, and keep them",
      options: {
        ...options,
        threads: { ...options.threads as OptionSpec, about: "the most threads (default: the cores that may be used)" },
        seconds: { kind: "number", value: "S", least: 0.1, most: 10, about: "take at most S seconds (default: 10)" },
      },
    },
    info: { about: "show what this machine can do, and which settings were measured for a model", options },
  };
}
