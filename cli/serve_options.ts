/**
 * The options of `lightgpt serve` and of what serves on many machines, `lightgpt worker` and `lightgpt gateway`.
 *
 * @module
 */
import { listenFields } from "../src/server/listen.ts";
import { clusterFields, workerFields } from "../src/cluster/options.ts";
import { serverFields } from "../src/server/options.ts";
import { flagsOf } from "./flags.ts";
import type { CommandSpec, OptionSpec } from "./types.ts";

type Options = Readonly<Record<string, OptionSpec>>;

const NAME: OptionSpec = {
  kind: "text",
  value: "NAME",
  about: "what clients call the model (default: its file's name)",
};
const TEMPLATE: OptionSpec = { kind: "text", value: "FILE", about: "a Jinja template in place of the model's own" };

/** Where a server listens, and what it takes. */
const SERVING: Options = {
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
};

/** `lightgpt serve`, made of the options that all with a model have in `common`. */
export function serveCommand(common: Options): CommandSpec {
  return {
    about: "serve a model over HTTP, as clients of OpenAI know it",
    options: {
      ...common,
      ...flagsOf(listenFields),
      name: NAME,
      models: { kind: "text", value: "FILE", about: "serve several models, which a JSON file lists, in place of one" },
      "chat-template": TEMPLATE,
      ...flagsOf(serverFields, ["files"]),
      ...SERVING,
    },
  };
}

/** `lightgpt worker`. */
export function workerCommand(common: Options): CommandSpec {
  return {
    about: "run jobs of gateways that reach the same server of NATS",
    options: {
      ...flagsOf(clusterFields),
      ...common,
      ...flagsOf(workerFields, ["rows"]),
      name: NAME,
      "chat-template": TEMPLATE,
      grace: {
        kind: "number",
        value: "S",
        least: 0,
        most: 86_400,
        about: "let jobs end for at most S seconds after SIGTERM or Ctrl-C, then put them back (default: 0)",
      },
    },
  };
}

/** `lightgpt top`. */
export function topCommand(json: OptionSpec): CommandSpec {
  return {
    about: "show the workers and queues at a server of NATS, again and again on a terminal",
    options: { ...flagsOf(clusterFields, ["nats"]), json },
  };
}

/** `lightgpt batch`. */
export function batchCommand(common: Options): CommandSpec {
  const { nats: { required: _, ...nats }, "ack-wait": ackWait } = flagsOf(clusterFields);
  return {
    about: "work a file of requests, one a line; a second run goes on with it",
    argument: { name: "IN.jsonl", required: true },
    second: "OUT.jsonl",
    options: {
      ...common,
      nats: { ...nats, about: "let workers at this server of NATS do it, in place of a model here" },
      "ack-wait": ackWait,
      name: NAME,
      "chat-template": TEMPLATE,
      "at-once": {
        kind: "integer",
        value: "N",
        least: 1,
        most: 10_000,
        about: "have at most N requests at work at once (default: 64)",
      },
    },
  };
}

/** `lightgpt gateway`. */
export function gatewayCommand(): CommandSpec {
  return {
    about: "serve the models of all workers at the same server of NATS, over HTTP",
    options: { ...flagsOf(clusterFields), ...flagsOf(listenFields), ...SERVING },
  };
}
