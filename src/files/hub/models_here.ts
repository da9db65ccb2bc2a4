/**
 * The models that are on this machine, by the names that load them: of the hub's cache, of addresses and wheels, of Ollama and LM
 * Studio. Those of other programs are never removed.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { LightGPTError } from "../../../ffi/errors.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { Runtime } from "../../../ffi/runtime/types.ts";
import { catalog } from "./catalog.ts";
import { type Candidate, candidatesOf } from "./choose.ts";
import { type CachedFile, cachedRevisions, removeCached } from "./layout.ts";
import { hubText, type ModelName } from "./names.ts";
import { lmStudioModels, ollamaModels } from "./other_programs.ts";
import { ownModels } from "./own_models.ts";
import { attempt } from "./partial_file.ts";
import type { HubContext } from "./types.ts";

/** A model that is here. */
export interface ModelHere {
  /** The name that loads it. */
  readonly name: string;
  /** Its short name, where it has one. */
  readonly short: string | undefined;
  /** The type of weights, as its file's name tells it. */
  readonly type: string | undefined;
  readonly bytes: number;
  /** Its file, or the first of its files. */
  readonly location: string;
  /** Removes it and returns the bytes that became free; undefined where it is another program's. */
  readonly remove: (() => number) | undefined;
}

/** All of them. */
export function modelsHere(
  context: Pick<HubContext, "hubFolder" | "ownFolder">,
  runtime: Runtime = currentRuntime(),
): ModelHere[] {
  const fromHub = cachedRevisions(context.hubFolder).flatMap((revision) => {
    const candidates = candidatesOf(revision.files);
    return candidates.map((candidate): ModelHere => {
      const { repository } = revision;
      const { type, bytes, files, path } = candidate;
      const only = type !== undefined && candidates.filter((each) => each.type === type).length === 1;
      return {
        name: hubText({ repository, revision: revision.revision, ...only ? { type } : { file: path } }),
        short: revision.revision === "main" ? shortOf(repository, candidate) : undefined,
        type,
        bytes,
        location: (files[0] as CachedFile).location,
        remove: () => removeCached(context.hubFolder, revision, files),
      };
    });
  });
  const own = ownModels(context).map(({ name, files, whole }): ModelHere => ({
    name,
    short: catalog.some((entry) => entry.name === name) ? name : undefined,
    type: candidatesOf(files)[0]?.type,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    location: (files[0] as CachedFile).location,
    remove: () => {
      attempt(whole, () => rmSync(whole, { recursive: true, force: true }));
      return files.reduce((sum, { bytes }) => sum + bytes, 0);
    },
  }));
  const others = [...ollamaModels(runtime), ...lmStudioModels(runtime)].map(({ name, location, bytes }): ModelHere => ({
    name,
    short: undefined,
    type: undefined,
    bytes,
    location,
    remove: undefined,
  }));
  return [...fromHub, ...own, ...others];
}

function shortOf(repository: string, { type }: Candidate): string | undefined {
  return catalog.find((entry) => entry.repository === repository && entry.type === type)?.name;
}

/** The models that a name means among those here. */
export function matching(models: readonly ModelHere[], text: string, name: ModelName | undefined): ModelHere[] {
  const wanted = text.toLowerCase();
  const exact = models.filter(({ name, short, location }) =>
    name.toLowerCase() === wanted || short === wanted || location === text
  );
  if (exact.length > 0 || name?.kind !== "hub") return exact;
  const whole = hubText({ repository: name.repository, revision: name.revision });
  return models.filter((model) =>
    name.type === undefined && name.file === undefined && model.name.startsWith(`${whole}:`)
  );
}

/** Removes a model; returns the bytes that became free. */
export function removeModel({ name, remove }: ModelHere): number {
  if (remove !== undefined) return remove();
  const program = name.startsWith("ollama:") ? "`ollama rm`" : "LM Studio";
  throw new LightGPTError("io", `${name} belongs to another program; ${program} removes it.`, {
    what: "a model of another program",
    where: name,
    expected: program,
  });
}
