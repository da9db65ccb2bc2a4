/**
 * One request to a hub or an index, answered or refused in a sentence. Redirects are followed here and not by the runtime: a token
 * goes to the host that it is for and to no other, and a public host can't send the program to a file or to an address inside
 * the network.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import { joined } from "../../options/byte_source.ts";
import { assertNotAborted } from "../../options/checks.ts";
import { sleep } from "../../options/sleep.ts";
import type { HubContext } from "./types.ts";

/** How often a question is asked that nothing answers: what waits for a list should soon know that none comes. */
const questionsMost = 2;
/** Redirects in a row that are followed. */
const hopsMost = 10;

/** What to ask. */
export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  /** A value for `authorization`, for this address' origin only. */
  readonly authorization?: string | undefined;
  /** Ends this request alone. */
  readonly signal?: AbortSignal;
}

/** A failure that another try may mend: no answer, a cut connection, a busy server. */
export class PassingError extends Error {
  /** Seconds that the server asked to wait. */
  readonly waitSeconds: number | undefined;

  /** Makes one; the message says what happened. */
  constructor(message: string, { cause, waitSeconds }: { cause?: unknown; waitSeconds?: number | undefined } = {}) {
    super(message, { cause });
    this.waitSeconds = waitSeconds;
  }
}

/** Sends a request and follows what redirects it; resolves when the answer's headers are there, whatever its status. */
export async function send(
  context: Pick<HubContext, "patience" | "signal">,
  address: URL,
  { headers = {}, authorization, signal }: Asked = {},
): Promise<Response> {
  let url = address;
  for (let hop = 0; hop <= hopsMost; hop++) {
    const own: Record<string, string> = { "accept-encoding": "identity", "user-agent": "lightgpt", ...headers };
    if (authorization !== undefined && url.origin === address.origin) own.authorization = authorization;
    const response = await once(context, url, own, signal);
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    url = nextAddress(url, location);
  }
  throw refused(address, `it redirects more than ${hopsMost} times`, "an address of a file");
}

async function once(
  { patience, signal: whole }: Pick<HubContext, "patience" | "signal">,
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const patienceEnds = new AbortController();
  const signals = [whole, signal, patienceEnds.signal].filter((each) => each !== undefined);
  const timer = setTimeout(() => patienceEnds.abort(), patience.answerMs);
  try {
    return await fetch(url, { headers, redirect: "manual", signal: AbortSignal.any(signals) });
  } catch (cause) {
    assertNotAborted(whole);
    if (signal?.aborted) throw cause;
    if (cause instanceof Error && cause.name === "NotCapable") throw notAllowed(url, cause);
    const why = patienceEnds.signal.aborted ? `no answer in ${patience.answerMs / 1000} s` : reasonOf(cause);
    throw new PassingError(`${url.host} does not answer (${why})`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

function notAllowed(url: URL, cause: Error): LightGPTError {
  const expected = `--allow-net=${url.host}`;
  return new LightGPTError("io", `LightGPT may not ask ${url.host}: allow it with ${expected}.`, {
    what: "a missing permission",
    where: url.host,
    expected,
  }, { cause });
}

/** Why a connection failed, in a few words. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as Error & { readonly code?: unknown };
  if (typeof code === "string") return code;
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message.split("\n", 1)[0] as string;
}

/** Where a redirect leads; throws where it must not be followed. */
export function nextAddress(from: URL, location: string): URL {
  const to = URL.parse(location, from);
  if (to === null) throw refused(from, "it redirects to what is no address", "an address");
  if (to.protocol !== "https:" && !(to.protocol === "http:" && from.protocol === "http:")) {
    throw refused(from, `it redirects to ${shortened(to)}`, "an address that begins with https:");
  }
  if (isInside(to.hostname) && !isInside(from.hostname)) {
    throw refused(from, `it redirects to ${to.host}, an address inside this network`, "a host of the public network");
  }
  return to;
}

/** Whether a host is this machine or of a private network, by its name. */
export function isInside(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase().replace(/\.$/, "");
  if (host === "localhost" || /\.(localhost|local|internal)$/.test(host)) return true;
  const mapped = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(host);
  if (mapped) return isInside(dotted(mapped.slice(1).map((word) => parseInt(word, 16))));
  if (/^(::1?|f[cd][\da-f]{2}:.*|fe[89ab][\da-f]:.*)$/.test(host)) return true;
  return /^(0|10|127)\.|^169\.254\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./
    .test(host) && /^[\d.]+$/.test(host);
}

function dotted(words: readonly number[]): string {
  return words.flatMap((word) => [word >> 8, word & 255]).join(".");
}

/** Seconds that an answer asks to wait: a number, or a time by the server's own clock, for ours may be off. */
export function waitOf(response: Response): number | undefined {
  const text = response.headers.get("retry-after");
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const [until, now] = [Date.parse(text), Date.parse(response.headers.get("date") ?? "")];
  return Number.isNaN(until) || Number.isNaN(now) ? undefined : Math.max(0, Math.ceil((until - now) / 1000));
}

/** Does something again as long as what goes wrong may pass; says at last what that was. */
export async function persist<T>(
  context: Pick<HubContext, "patience" | "signal">,
  attempt: () => Promise<T>,
): Promise<T> {
  const most = Math.min(questionsMost, context.patience.triesMost);
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingError) || tries >= most) throw error;
      await pauseAfter(context, tries, error);
    }
  }
}

/** Waits before another try: longer each time, or as long as the server asks. */
export async function pauseAfter(
  { patience, signal }: Pick<HubContext, "patience" | "signal">,
  tries: number,
  { waitSeconds, message }: PassingError,
): Promise<void> {
  if (waitSeconds !== undefined && waitSeconds > patience.waitMostSeconds) {
    throw new LightGPTError("io", `${message}; it asks to wait ${waitSeconds} s: try again then.`, {
      what: "a server that is busy",
      expected: `another try in ${waitSeconds} s`,
    });
  }
  const ms = waitSeconds === undefined ? patience.pauseMs * 2 ** (tries - 1) : 1000 * waitSeconds;
  await sleep(Math.min(ms, 1000 * patience.waitMostSeconds), signal);
}

/** The body as text; throws where it is longer than `most` bytes or is cut. */
export async function textOf(response: Response, url: URL, most: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length;
      if (bytes > most) throw refused(url, `its answer is longer than ${most} bytes`, "a list of files");
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof LightGPTError) throw cause;
    throw new PassingError(`${url.host} broke off (${reasonOf(cause)})`, { cause });
  }
  const declared = response.headers.get("content-length");
  if (declared !== null && Number(declared) !== bytes) throw new PassingError(`${url.host} broke off`);
  return new TextDecoder().decode(joined(chunks));
}

/** Throws what a busy or failing server's status means for a try: {@link PassingError}. */
export function assertNotPassing(response: Response, url: URL): void {
  const { status } = response;
  if (status !== 408 && status !== 425 && status !== 429 && status < 500) return;
  const what = status === 429 ? "answers too many requests" : "cannot answer now";
  throw new PassingError(`${url.host} ${what} (status ${status})`, { waitSeconds: waitOf(response) });
}

/** An error about an address. */
export function refused(url: URL, why: string, expected: string, cause?: unknown): LightGPTError {
  return new LightGPTError("io", `${shortened(url)}: ${why}; expected ${expected}.`, {
    what: why,
    where: url.origin === "null" ? url.protocol : url.origin + url.pathname,
    expected,
  }, { cause });
}

/** An address without what may be secret in it: signatures, passwords. */
function shortened(url: URL): string {
  const text = url.origin === "null" ? url.protocol : url.origin + url.pathname;
  return text.length <= 160 ? text : `${text.slice(0, 160)}...`;
}
