/**
 * Options of a server: what users see, and the schema of it.
 *
 * @module
 */
import { Embedder } from "../embedding/embedder.ts";
import { LightGPT } from "../lightgpt/lightgpt.ts";
import { checkObject, refuseOption } from "../options/checks.ts";
import { callback, type FieldsOf, group, integer, number, other, readOptions, text } from "../options/schema.ts";

/**
 * Options for a model that is loaded when a request asks for it, and disposed of when none has for a while.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, type ServedModelOptions } from "@lightgpt/lightgpt/server";
 *
 * const small: ServedModelOptions = { load: () => LightGPT.load("model.gguf", { memory: "50%" }), idleMs: 600_000 };
 * await using server = createServer({ models: { small } });
 * ```
 */
export interface ServedModelOptions {
  /** Loads the model; what it gives is disposed of by the server. */
  readonly load: () => Promise<LightGPT | Embedder>;
  /**
   * A chat template in place of the model's own.
   * @default {the template in the model's file}
   */
  readonly template?: string;
  /**
   * Milliseconds without a request after which the model is disposed of.
   * @default {300000}
   */
  readonly idleMs?: number;
}

/** The schema of {@link ServedModelOptions}. */
export const servedModelFields = {
  load: callback<() => Promise<LightGPT | Embedder>>({ about: "Loads the model.", required: true }),
  template: text({ about: "A chat template.", otherwise: "the template in the model's file" }),
  idleMs: number({
    about: "Time without a request until it is disposed of.",
    least: 0,
    most: Infinity,
    default: 300_000,
  }),
} as const satisfies FieldsOf<ServedModelOptions>;

/**
 * A key of a server, and whose it is. Tenants share the work fairly and never find one another's prefixes in the cache.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, type ServerKey } from "@lightgpt/lightgpt/server";
 *
 * const keys: ServerKey[] = [{ key: "a long secret", tenant: "paying", priority: 7 }];
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm }, keys });
 * ```
 */
export interface ServerKey {
  /** The key: what clients send as `authorization: Bearer KEY`, or as `x-api-key`. */
  readonly key: string;
  /** The tenant; several keys may have the same. Without one, a key is a tenant of its own. */
  readonly tenant?: string;
  /** The priority of its requests, 0 to 9; 5 unless given. */
  readonly priority?: number;
}

const keyFields = {
  key: other<string>()({ about: "The key.", expected: "a text of at least 8 characters", required: true }, readKey),
  tenant: text({ about: "The tenant whose key it is.", otherwise: "one of its own" }),
  priority: integer({ about: "The priority of its requests.", least: 0, most: 9, default: 5 }),
} as const satisfies FieldsOf<ServerKey>;

/**
 * Options for what a request may ask of a server.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, type ServerLimitOptions } from "@lightgpt/lightgpt/server";
 *
 * const limits: ServerLimitOptions = { bodyBytesMax: 1 << 20, openPerKey: 8 };
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm }, limits });
 * ```
 */
export interface ServerLimitOptions {
  /**
   * The most bytes of a body.
   * @default {8 MiB}
   */
  readonly bodyBytesMax?: number;
  /**
   * How deep lists and objects may lie in one another in a body.
   * @default {64}
   */
  readonly depthMax?: number;
  /**
   * The most messages of a conversation.
   * @default {4096}
   */
  readonly messagesMax?: number;
  /**
   * The most answers to one request: its prompts times `n`.
   * @default {16}
   */
  readonly choicesMax?: number;
  /**
   * The most texts or documents of one request for vectors or scores.
   * @default {2048}
   */
  readonly inputsMax?: number;
  /**
   * The most requests of one key that are open at once.
   * @default {1024}
   */
  readonly openPerKey?: number;
  /**
   * Milliseconds after which a silent stream says that it is alive.
   * @default {5000}
   */
  readonly heartbeatMs?: number;
  /**
   * The most responses that are kept for later ones, of all keys together; the oldest go first.
   * @default {1000}
   */
  readonly answersMax?: number;
  /**
   * The most bytes of responses that are kept.
   * @default {64 MiB}
   */
  readonly answersBytesMax?: number;
  /**
   * Milliseconds for which a response is kept.
   * @default {86400000}
   */
  readonly answersMs?: number;
}

/** The schema of {@link ServerLimitOptions}. */
export const limitFields = {
  bodyBytesMax: integer({
    about: "The most bytes of a body.",
    least: 1,
    most: 2 ** 30,
    default: 1 << 23,
    otherwise: "8 MiB",
  }),
  depthMax: integer({ about: "How deep a body may be.", least: 4, most: 512, default: 64 }),
  messagesMax: integer({ about: "The most messages of a conversation.", least: 1, most: 1 << 20, default: 4096 }),
  choicesMax: integer({ about: "The most answers to one request.", least: 1, most: 1 << 10, default: 16 }),
  inputsMax: integer({ about: "The most texts of one request.", least: 1, most: 1 << 20, default: 2048 }),
  openPerKey: integer({ about: "The most open requests of a key.", least: 1, most: 1 << 20, default: 1024 }),
  heartbeatMs: integer({ about: "Time until a silent stream gives a sign.", least: 1, most: 1 << 20, default: 5000 }),
  answersMax: integer({ about: "The most responses that are kept.", least: 0, most: 1 << 20, default: 1000 }),
  answersBytesMax: integer({
    about: "The most bytes of responses that are kept.",
    least: 0,
    most: 2 ** 40,
    default: 2 ** 26,
    otherwise: "64 MiB",
  }),
  answersMs: number({ about: "How long a response is kept.", least: 0, most: Infinity, default: 86_400_000 }),
} as const satisfies FieldsOf<ServerLimitOptions>;

/**
 * One line of a server's access log.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type AccessLogEntry, createServer } from "@lightgpt/lightgpt/server";
 *
 * const log = (entry: AccessLogEntry) => console.log(JSON.stringify(entry));
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm }, log });
 * await server.fetch(new Request("http://localhost/health"));
 * ```
 */
export interface AccessLogEntry {
  /** When the request came, ISO 8601. */
  readonly time: string;
  /** Its id, which the answer has as `x-request-id`. */
  readonly id: string;
  /** The method. */
  readonly method: string;
  /** The path, without the query. */
  readonly path: string;
  /** The status of the answer; 499 where the client left before the end. */
  readonly status: number;
  /** Until the last byte was handed over. */
  readonly ms: number;
  /** The model that served it. */
  readonly model?: string | undefined;
  /** Whose key it had. */
  readonly tenant?: string | undefined;
  /** Tokens of the prompts. */
  readonly promptTokens?: number;
  /** Tokens that were generated. */
  readonly tokens?: number;
  /** What went wrong. */
  readonly error?: string | undefined;
}

/**
 * Options for a server.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, type ServerOptions } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load();
 * const options: ServerOptions = { models: { stories: lm }, keys: ["a long secret"] };
 * await using server = createServer(options);
 * console.log((await server.fetch(new Request("http://localhost/v1/models"))).status); // 401
 * ```
 */
export interface ServerOptions {
  /**
   * The models by the names that clients ask for, those that generate and those that make vectors or rank; the first also serves
   * requests that name none.
   */
  readonly models: Readonly<Record<string, LightGPT | Embedder | ServedModelOptions>>;
  /**
   * The keys of which every request needs one, all paths but `/health` and the page at `/`.
   * @default {none: every request is taken}
   */
  readonly keys?: readonly (string | ServerKey)[];
  /**
   * What a request may ask for.
   * @default {{}}
   */
  readonly limits?: ServerLimitOptions;
  /**
   * A chat template for all models that have none of their own here, in place of those in their files.
   * @default {the templates in the models' files}
   */
  readonly template?: string;
  /**
   * Origins of pages whose requests are taken, such as `https://example.org`, or `*` for all. Requests of other pages are
   * refused.
   * @default {none}
   */
  readonly origins?: readonly string[];
  /**
   * Names by which the server may be called, as in `Host`, without a port. Others are refused.
   * @default {any}
   */
  readonly hosts?: readonly string[];
  /**
   * A folder for `/v1/files` and `/v1/batches`; batches that have not ended go on when a server opens it again.
   * @default {none: there are no files and batches}
   */
  readonly files?: string;
  /** Called for each request when it has ended. */
  readonly log?: (entry: AccessLogEntry) => void;
}

const texts = (about: string) =>
  other<readonly string[]>()({ about, expected: "an array of texts", otherwise: "none" }, (value, name) => {
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string" || one === "")) {
      refuseOption(name, "an array of texts", value);
    }
    return [...value] as readonly string[];
  });

/** Whether a value is a model that runs in this process. */
export function isModel(value: unknown): value is LightGPT | Embedder {
  return value instanceof LightGPT || value instanceof Embedder;
}

/** The schema of {@link ServerOptions}. */
export const serverFields = {
  models: other<ServerOptions["models"]>()(
    { about: "The models by name.", expected: "an object of models by name", required: true },
    (value, name) => {
      checkObject(name, value);
      const entries = Object.entries(value);
      if (entries.length === 0) refuseOption(name, "at least one model", "none");
      return Object.fromEntries(
        entries.map(([key, model]) => [
          key,
          isModel(model) ? model : readOptions(servedModelFields, model, `${name}.${key}`),
        ]),
      ) as ServerOptions["models"];
    },
  ),
  keys: other<readonly (string | ServerKey)[], readonly (string | ServerKey)[]>()(
    { about: "The keys of which a request needs one.", expected: "an array of keys", default: [], otherwise: "none" },
    (value, name) => {
      if (!Array.isArray(value)) return refuseOption(name, "an array of keys", value);
      return value.map((key: unknown, index) => {
        const where = `${name}[${index}]`;
        if (typeof key === "string") return readKey(key, where);
        const { tenant, ...read } = readOptions(keyFields, key, where);
        return tenant === undefined ? read : { ...read, tenant };
      });
    },
  ),
  limits: group<ServerLimitOptions>()(limitFields, {
    about: "What a request may ask for.",
    default: {},
    otherwise: "{}",
  }),
  template: text({ about: "A chat template.", otherwise: "the templates in the models' files" }),
  origins: texts("Origins of pages whose requests are taken."),
  hosts: texts("Names by which the server may be called."),
  files: text({
    about: "A folder for files and batches.",
    otherwise: "none",
    flag: {
      value: "FOLDER",
      about: "keep files and batches (/v1/files, /v1/batches) in FOLDER (default: there are none)",
    },
  }),
  log: callback<(entry: AccessLogEntry) => void>({ about: "Called for each request when it has ended." }),
} as const satisfies FieldsOf<ServerOptions>;

/** The schema of the options of a server whose models come from elsewhere. */
export const { models: _models, template: _template, ...settingFields } = serverFields;
/** Options for such a server. */
export type PoolServerOptions = Omit<ServerOptions, "models" | "template">;

/** Short keys can be guessed; an empty one would open every door. */
function readKey(value: unknown, name: string): string {
  if (typeof value === "string" && value.length >= 8) return value;
  // The key itself is a secret, and messages end up in logs.
  return refuseOption(
    name,
    "a text of at least 8 characters",
    typeof value === "string" ? "a shorter one" : typeof value,
  );
}
