/**
 * `lightgpt serve`: a server on a port. Its address goes to standard error, a line of JSON for each request to standard output.
 * SIGTERM and Ctrl-C end it once the open requests have ended, or the grace is over.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { Embedder } from "../src/embedding/embedder.ts";
import type { EmbedderOptions } from "../src/embedding/options.ts";
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import type { LightGPTOptions } from "../src/lightgpt/options.ts";
import { isReadingOnly } from "../src/model/generates.ts";
import { checkObject, refuseOption } from "../src/options/checks.ts";
import { given } from "../src/options/schema.ts";
import { listen, listenFields, type ListenOptions } from "../src/server/listen.ts";
import type { AccessLogEntry, ServedModelOptions, ServerKey, ServerOptions } from "../src/server/options.ts";
import { createServer, type Server } from "../src/server/server.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { openEmbedder } from "./embed.ts";
import { openModel } from "./model.ts";
import { note, print, toJson } from "./output.ts";
import { UsageError } from "./types.ts";

/** Addresses at which nothing but this machine is heard. */
const loopback = ["127.0.0.1", "localhost", "::1"];

/** Where a server listens and what it takes, whatever its models are. */
export function servingOptions(args: Arguments): {
  readonly where: ListenOptions;
  readonly options: Pick<ServerOptions, "keys" | "origins" | "hosts" | "log" | "files">;
} {
  const where = optionsFrom<ListenOptions>(args, listenFields);
  const { hostname = "127.0.0.1" } = where;
  const names = args.list("host-name");
  const isLocal = loopback.includes(hostname);
  const keys = readKeys(args.text("keys"), process.env.LIGHTGPT_KEYS);
  if (!isLocal && keys.length === 0) note(`${hostname} is open to other machines, and every request is taken: --keys`);
  return {
    where,
    options: {
      keys,
      origins: args.list("origin"),
      ...given({
        // By another name, a page that a browser shows could be taken for this server's own.
        hosts: isLocal || names.length > 0 ? [...loopback, "[::1]", ...names] : undefined,
        files: args.text("files"),
        log: args.flag("quiet") ? undefined : (entry: AccessLogEntry) => void print(toJson(entry)),
      }),
    },
  };
}

/** The chat template that the command line names a file of, if it does. */
export function templateOf(args: Arguments): { readonly template?: string } {
  const path = args.text("chat-template");
  return path === undefined ? {} : { template: readFileSync(path, "utf8") };
}

/** What a model is called: as asked for, or as its file. */
export function modelName(args: Arguments): string {
  const path = args.text("model");
  return args.text("name") ?? (path === undefined ? "tinytales" : basename(path).replace(/\.gguf$/i, ""));
}

/** Runs the subcommand. */
export async function serve(args: Arguments, signal: AbortSignal): Promise<void> {
  const { where, options: common } = servingOptions(args);
  const options = { ...common, ...templateOf(args) };
  const list = args.text("models");
  if (list === undefined) {
    const lm = await openServed(args, signal);
    await using _ = lm;
    return await run({ ...options, models: { [modelName(args)]: lm } }, where, args, signal);
  }
  for (const flag of ["model", "name"]) {
    if (args.flag(flag)) throw new UsageError(`--${flag} is not for --models, whose file says it`);
  }
  await run({ ...options, models: readModels(list) }, where, args, signal);
}

/** A model as what it is: one that generates, or one that makes vectors or ranks. */
export async function openServed(
  args: Arguments,
  signal: AbortSignal,
  more: Parameters<typeof openModel>[4] = {},
): Promise<LightGPT | Embedder> {
  const generating = () => openModel(args, signal, undefined, undefined, more);
  return await either(generating, () => openEmbedder(args, signal));
}

async function either(
  generating: () => Promise<LightGPT>,
  reading: () => Promise<Embedder>,
): Promise<LightGPT | Embedder> {
  try {
    return await generating();
  } catch (error) {
    if (!isReadingOnly(error)) throw error;
    return await reading();
  }
}

async function run(options: ServerOptions, where: ListenOptions, args: Arguments, signal: AbortSignal): Promise<void> {
  const server = createServer(options);
  await untilEnd(server, { name: Object.keys(options.models).join(", "), where, args, signal });
}

/** What a server is run with. */
interface Serving {
  /** What is served, for the line that tells the address. */
  readonly name: string;
  readonly where: ListenOptions;
  readonly args: Arguments;
  readonly signal: AbortSignal;
}

/** Lets a server listen until SIGTERM or Ctrl-C, and closes it. */
export async function untilEnd(server: Server, { name, where, args, signal }: Serving): Promise<void> {
  const listening = await listen(server, where);
  note(`serving ${name} at ${listening.url}/v1; a page to try it is at ${listening.url}/; Ctrl-C ends`);
  await endAsked(signal);
  if (server.open > 0) note(`waiting for ${server.open} requests to end`);
  await server.close(1000 * (args.number("grace") ?? 10));
  await listening.close();
}

/** Resolves at SIGTERM or Ctrl-C. */
export async function endAsked(signal: AbortSignal): Promise<void> {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  process.once("SIGTERM", stop);
  signal.addEventListener("abort", stop, { once: true });
  if (!signal.aborted) await asked;
  process.off("SIGTERM", stop);
}

/** The keys of a file and of the environment. */
function readKeys(path: string | undefined, variable: string | undefined): ServerKey[] {
  const lines = [
    ...(path === undefined ? [] : readFileSync(path, "utf8").split(/\r?\n/)),
    ...(variable?.split(",") ?? []),
  ];
  const keys = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const [key, ...tenant] = line.split(/\s+/);
    return { key, ...(tenant.length > 0 ? { tenant: tenant.join(" ") } : {}) };
  });
  if (path !== undefined && keys.length === 0) throw new UsageError(`${path} has no key`);
  return keys;
}

/** The models that a file lists: `{ "name": { "path": ..., "template": ..., "idleMs": ..., and options of loading } }`. */
function readModels(path: string): Record<string, ServedModelOptions> {
  const list: unknown = JSON.parse(readFileSync(path, "utf8"));
  checkObject(path, list);
  return Object.fromEntries(
    Object.entries(list).map(([name, entry]) => {
      checkObject(`${path}: ${name}`, entry);
      const { path: file, template, idleMs, ...options } = entry as Record<string, unknown>;
      if (typeof file !== "string") refuseOption(`${path}: ${name}.path`, "the path of a GGUF file", file);
      const load = () =>
        either(
          () => LightGPT.load(file, options as LightGPTOptions),
          () => Embedder.load(file, options as EmbedderOptions),
        );
      return [name, { load, ...given({ template, idleMs }) } as ServedModelOptions];
    }),
  );
}
