/**
 * `lightgpt ps`: the models of a server that runs.
 *
 * @module
 */
import process from "node:process";
import { LightGPTError } from "../ffi/errors.ts";
import type { Arguments } from "./arguments.ts";
import { print, toJson } from "./output.ts";
import { UsageError } from "./types.ts";

/** Milliseconds for an answer of this machine. */
const patienceMs = 5000;

/** Runs the subcommand. */
export async function ps(args: Arguments, signal: AbortSignal): Promise<void> {
  const url = args.text("url") ?? "http://127.0.0.1:8080";
  const base = URL.parse(url);
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new UsageError(`--url needs the address of a server, got "${url}"`);
  }
  const key = args.text("key") ?? process.env.LIGHTGPT_KEY;
  const models = await ask(new URL("v1/models", base.href.endsWith("/") ? base : `${base.href}/`), key, signal);
  if (args.flag("json")) return await print(toJson(models));
  await print(models.length === 0 ? "no models\n" : models.map(({ id }) => `${id}\n`).join(""));
}

async function ask(url: URL, key: string | undefined, signal: AbortSignal): Promise<{ readonly id: string }[]> {
  const fail = (what: string, expected: string, cause?: unknown) =>
    new LightGPTError("io", `${url.origin}: ${what}; expected ${expected}.`, { what, where: url.origin, expected }, {
      cause,
    });
  const running = "a running `lightgpt serve` (--url says where)";
  let response: Response;
  try {
    const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
    response = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]) });
  } catch (cause) {
    throw fail("no server answers", running, cause);
  }
  if (response.status === 401 || response.status === 403) {
    throw fail("it wants a key", "one of its keys in --key or LIGHTGPT_KEY");
  }
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const { data } = isJson ? await response.json() as { readonly data?: unknown } : {};
  if (!response.ok || !Array.isArray(data)) {
    throw fail(`what answers is no server of models (status ${response.status})`, running);
  }
  return data.flatMap((model) => {
    const { id } = (model ?? {}) as { readonly id?: unknown };
    return typeof id === "string" ? [{ ...model as object, id }] : [];
  });
}
