/**
 * The package's own files that are no code: the native library and the small model. Beside a file: module they are opened in
 * place. Of a package that was imported from the net, each is fetched once, checked against the table of sums, put into
 * the user's cache as a whole, and checked again whenever it is opened; after the first time no network is used.
 *
 * @module
 */
import { cacheDirectory, provideFile } from "./cache_directory.ts";
import { LightGPTError } from "./errors.ts";
import { here } from "./here.ts";
import { node } from "./runtime/builtins.ts";
import { currentRuntime } from "./runtime/pick.ts";
import type { Runtime } from "./runtime/types.ts";
import { type FileSum, SUMS } from "./sums.ts";

/** Where a package's files are and what they must be; others than the default are for tests. */
export interface AssetSource {
  /** The package's folder, with a slash at its end. */
  readonly base: URL;
  /** The sums of its files by their path. */
  readonly sums: Readonly<Record<string, FileSum>>;
}

/** Whether a bundler has put this code into another file, which no file of the package lies beside. */
const isBundled = !/\/ffi\/here\.[jt]s$/.test(here ?? "");

const own: AssetSource = { base: new URL("../", here ?? "file:///"), sums: SUMS };

/** Whether files must be fetched before they can be opened. */
export function isRemote({ base }: AssetSource = own): boolean {
  return base.protocol !== "file:";
}

/** Whether the package has a file of this path, by its table: in a checkout, which has none, no file is one of a package. */
export function hasAsset(path: string, { sums }: AssetSource = own): boolean {
  return Object.hasOwn(sums, path);
}

/** The platforms that a package has a library for; none in a checkout. */
export function packagedPlatforms({ sums }: AssetSource = own): string[] {
  return Object.keys(sums).flatMap((path) => path.match(/^lib\/([^/]+)\//)?.[1] ?? []).sort();
}

/**
 * The file's place on this machine. Throws an error of the code `io` where it must be fetched first, which
 * {@link fetchAsset} does.
 */
export function assetPath(runtime: Runtime, path: string, source: AssetSource = own): string {
  if (!isRemote(source)) return source === own && isBundled ? unbundled(path) : placeOf(path, source);
  const sum = sumOf(path, source);
  const cached = cachedPath(runtime, path, sum.sha256);
  const fault = readFault(cached, sum);
  if (fault === undefined) return cached;
  throw failure(path, `is not in the cache (${fault})`, "an `await prepare()` before it is used", cached);
}

/** Sees to it that {@link assetPath} can be asked; returns what it will say. */
export async function fetchAsset(runtime: Runtime, path: string, source: AssetSource = own): Promise<string> {
  if (!isRemote(source)) return assetPath(runtime, path, source);
  const sum = sumOf(path, source);
  const cached = cachedPath(runtime, path, sum.sha256);
  if (readFault(cached, sum) === undefined) return cached;
  const bytes = await download(new URL(path, source.base), path, sum);
  store(cached, bytes, sum, path);
  return cached;
}

/**
 * The path of a file that native code can open: of one inside a compiled program, a copy in the user's cache, made once; any
 * other is given back as it is.
 */
export function localFile(runtime: Runtime, path: string): string {
  if (!runtime.isEmbedded(path)) return path;
  const bytes = runtime.files.read(path);
  const sha256 = sha256Of(bytes);
  const copy = cachedPath(runtime, path, sha256);
  const sum = { bytes: bytes.length, sha256 };
  if (readFault(copy, sum) !== undefined) store(copy, bytes, sum, path);
  return copy;
}

/** A file that a bundler has left behind, unless the program has put the package's folders above its own. */
function unbundled(path: string): string {
  const place = placeOf(path, own);
  if (currentRuntime().files.identity(place) !== undefined) return place;
  const remedy = path.startsWith("lib/") ? "LIGHTGPT_LIBRARY to name the library" : "the path of a model";
  throw failure(
    path,
    `is not where a bundler has put LightGPT's code (${place})`,
    `@lightgpt/lightgpt to be left out of the bundle (external), or ${remedy}; docs/bundlers.md says how`,
    place,
  );
}

function sumOf(path: string, { sums, base }: AssetSource): FileSum {
  const sum = Object.hasOwn(sums, path) ? sums[path] : undefined;
  if (sum !== undefined) return sum;
  throw failure(path, `is not part of the package at ${base.href}`, "a package that was made with `npm run package`");
}

/** Where a file of a package on this machine lies. */
function placeOf(path: string, { base }: AssetSource): string {
  const url = new URL(path, base);
  // Most paths are what they look like; all others, Windows' among them, are Node's to read.
  if (url.host === "" && /^\/[\w./@+-]*$/.test(url.pathname) && currentRuntime().platform !== "win32") {
    return url.pathname;
  }
  return node("node:url").fileURLToPath(url);
}

/** The sum is in the name: two versions never meet. */
function cachedPath(runtime: Runtime, path: string, sha256: string): string {
  const { basename, join } = node("node:path");
  return join(cacheDirectory(runtime), `${sha256.slice(0, 16)}-${basename(path)}`);
}

/** Why a cached file cannot be used, or undefined. */
function readFault(path: string, sum: FileSum): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = currentRuntime().files.read(path);
  } catch (error) {
    if (isPermission(error)) throw permission(error, "--allow-read", path);
    return error instanceof Error && "code" in error && error.code === "ENOENT" ? "it was never fetched" : `${error}`;
  }
  return faultOf(bytes, sum);
}

function sha256Of(bytes: Uint8Array): string {
  return node("node:crypto").createHash("sha256").update(bytes).digest("hex");
}

function faultOf(bytes: Uint8Array, { bytes: length, sha256 }: FileSum): string | undefined {
  if (bytes.length !== length) return `${bytes.length} bytes instead of ${length}`;
  const found = sha256Of(bytes);
  return found === sha256 ? undefined : `the SHA-256 sum ${found} instead of ${sha256}`;
}

async function download(url: URL, path: string, sum: FileSum): Promise<Uint8Array> {
  let response: Response;
  let bytes: Uint8Array;
  try {
    response = await fetch(url);
    bytes = await readAtMost(response, sum.bytes);
  } catch (cause) {
    if (isPermission(cause)) throw permission(cause, "--allow-net", url.host);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw failure(
      path,
      `could not be fetched from ${url.href} (${reason})`,
      "a network for the first use",
      path,
      cause,
    );
  }
  if (!response.ok) {
    throw failure(path, `could not be fetched from ${url.href} (status ${response.status})`, "the published package");
  }
  const fault = faultOf(bytes, sum);
  if (fault === undefined) return bytes;
  const type = response.headers.get("content-type") ?? "";
  const page = type.includes("html") ? "; it is a web page, perhaps of a proxy or a login" : "";
  throw failure(path, `came wrong from ${url.href}: ${fault}${page}`, "the published file");
}

/** The body, or its beginning and one byte more than it may have. */
async function readAtMost(response: Response, most: number): Promise<Uint8Array> {
  const whole = new Uint8Array(most + 1);
  let length = 0;
  if (response.body === null) return whole.subarray(0, 0);
  for await (const chunk of response.body) {
    const part = chunk.subarray(0, whole.length - length);
    whole.set(part, length);
    length += part.length;
    if (length > most) break;
  }
  return whole.subarray(0, length);
}

/** Of two processes the first wins: what it wrote may be loaded already. */
function store(path: string, bytes: Uint8Array, sum: FileSum, asset: string): void {
  try {
    provideFile(path, bytes, () => readFault(path, sum) === undefined);
  } catch (cause) {
    if (isPermission(cause)) throw permission(cause, "--allow-write", node("node:path").dirname(path));
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw failure(asset, `cannot be kept in ${path} (${reason})`, "a writable folder in LIGHTGPT_CACHE", path, cause);
  }
}

function isPermission(error: unknown): boolean {
  return error instanceof Error && /NotCapable|PermissionDenied/.test(error.name) && /--allow-/.test(error.message);
}

function permission(cause: unknown, flag: string, what: string): LightGPTError {
  return new LightGPTError("io", `LightGPT may not do that yet: allow it with ${flag}=${what}.`, {
    what: "a missing permission",
    where: what,
    expected: `${flag}=${what}`,
  }, { cause });
}

function failure(path: string, why: string, expected: string, where = path, cause?: unknown): LightGPTError {
  return new LightGPTError(
    "io",
    `LightGPT's file ${path} ${why}; expected ${expected}.`,
    { what: why, where, expected },
    { cause },
  );
}
