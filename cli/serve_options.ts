/**
 * The options of `lightgpt serve`.
 *
 * @module
 */
import { listenFields } from "../src/server/listen.ts";
import { flagsOf } from "./flags.ts";
import type { CommandSpec, OptionSpec } from "./types.ts";

/** The subcommand, made of the options that all with a model have in `common`. */
export function serveCommand(common: Readonly<Record<string, OptionSpec>>): CommandSpec {
  return {
    about: "serve a model over HTTP, as clients of OpenAI know it",
    options: {
      ...common,
      ...flagsOf(listenFields),
      name: { kind: "text", value: "NAME", about: "what clients call the model (default: its file's name)" },
      models: { kind: "text", value: "FILE", about: "serve several models, which a JSON file lists, in place of one" },
      "chat-template": { kind: "text", value: "FILE", about: "a Jinja template in place of the model's own" },
      keys: {
        kind: "text",
        value: "FILE",
        about: "take only requests with a key of FILE, one a line, with its tenant's name behind it; or LIGHTGPT_KEYS",
      },
      origin: { kind: "list", value: "ORIGIN", about: "let pages of this origin ask, such as https://example.org" },
      "host-name": { kind: "list", value: "NAME", about: "a name by which the server is called (default: localhost)" },
      grace: {
        kind: "number",
        value: "S",
        least: 0,
        most: 86_400,
        about: "let open requests end for at most S seconds after SIGTERM or Ctrl-C (default: 10)",
      },
      quiet: { kind: "flag", about: "write no line for each request" },
    },
  };
}
