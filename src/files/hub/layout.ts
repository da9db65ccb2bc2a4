/**
 * Hugging Face's cache: `models--user--repo` with the bytes in `blobs`, a folder of names for each commit in `snapshots`, and the commit
 * of a branch in `refs`. What other tools have fetched is found here, and what is fetched here they find.
 *
 * @module
 */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { replaceFile } from "../../../ffi/cache_directory.ts";
import type { HubName } from "./names.ts";
import { attempt } from "./partial_file.ts";
import type { ListedFile } from "./types.ts";

/** A file of a snapshot. */
export interface CachedFile extends ListedFile {
  /** Where it lies. */
  readonly location: string;
}

/** A revision of a repository that is in the cache. */
export interface CachedRevision {
  readonly repository: string;
  /** Its branch or tag, or else its commit. */
  readonly revision: string;
  readonly commit: string;
  readonly files: readonly CachedFile[];
}

/** The folder of a repository. */
export function repositoryFolder(hubFolder: string, repository: string): string {
  return join(hubFolder, `models--${repository.replaceAll("/", "--")}`);
}

/** Where the bytes of a blob lie. */
export function blobPath(hubFolder: string, repository: string, blob: string): string {
  return join(repositoryFolder(hubFolder, repository), "blobs", blob);
}

/** The files of a revision that are there; undefined where none of it is. */
export function cachedFiles(hubFolder: string, { repository, revision }: Pick<HubName, "repository" | "revision">):
  | { readonly commit: string; readonly files: CachedFile[] }
  | undefined {
  const folder = repositoryFolder(hubFolder, repository);
  const commit = commitOf(folder, revision);
  if (commit === undefined) return undefined;
  return { commit, files: filesBelow(join(folder, "snapshots", commit)) };
}

function commitOf(folder: string, revision: string): string | undefined {
  if (/^[\da-f]{40}$/.test(revision)) return revision;
  const path = join(folder, "refs", ...revision.split("/"));
  if (!existsSync(path)) return undefined;
  const commit = readFileSync(path, "utf8").trim();
  return /^[\da-f]{40}$/.test(commit) ? commit : undefined;
}

/** The files below a folder, by their paths with slashes; links that lead nowhere are none. */
export function filesBelow(folder: string): CachedFile[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    const location = join(folder, name);
    const status = statSync(location, { throwIfNoEntry: false });
    return status?.isFile() ? [{ path: name.split(sep).join("/"), bytes: status.size, location }] : [];
  });
}

/** Gives a blob its name in a snapshot, and says which commit the revision is. Returns the file's place. */
export function placeBlob(
  hubFolder: string,
  { repository, revision }: Pick<HubName, "repository" | "revision">,
  commit: string,
  { path, blob }: { readonly path: string; readonly blob: string },
): string {
  const folder = repositoryFolder(hubFolder, repository);
  const place = join(folder, "snapshots", commit, ...path.split("/"));
  const bytes = blobPath(hubFolder, repository, blob);
  attempt(place, () => {
    mkdirSync(dirname(place), { recursive: true });
    if (lstatSync(place, { throwIfNoEntry: false }) !== undefined && !existsSync(place)) rmSync(place); // a link that leads nowhere
    if (!existsSync(place)) link(bytes, place);
  });
  if (revision !== commit) {
    const ref = join(folder, "refs", ...revision.split("/"));
    attempt(ref, () => replaceFile(ref, commit));
  }
  return place;
}

/** A symbolic link; where the system or a permission has none, a hard link, or the file itself. */
function link(bytes: string, place: string): void {
  const ways = [
    () => symlinkSync(relative(dirname(place), bytes), place),
    () => linkSync(bytes, place),
    () => renameSync(bytes, place),
  ];
  let failure: unknown;
  for (const way of ways) {
    try {
      return way();
    } catch (error) {
      if (existsSync(place)) return; // another process was first
      failure = error;
    }
  }
  throw failure;
}

/** All revisions in the cache, with their files. */
export function cachedRevisions(hubFolder: string): CachedRevision[] {
  if (!existsSync(hubFolder)) return [];
  return readdirSync(hubFolder).flatMap((name) => {
    const [, user, repo] = /^models--(.+?)--(.+)$/.exec(name) ?? [];
    if (user === undefined || repo === undefined) return [];
    const folder = join(hubFolder, name);
    const snapshots = join(folder, "snapshots");
    if (!existsSync(snapshots)) return [];
    const refs = new Map(
      filesBelow(join(folder, "refs")).map(({ path, location }) => [readFileSync(location, "utf8").trim(), path]),
    );
    return readdirSync(snapshots).filter((commit) => /^[\da-f]{40}$/.test(commit)).map((commit) => ({
      repository: `${user}/${repo}`,
      revision: refs.get(commit) ?? commit,
      commit,
      files: filesBelow(join(snapshots, commit)),
    }));
  });
}

/** Removes files of a revision, and the blobs that no other snapshot has; returns the bytes that became free. */
export function removeCached(
  hubFolder: string,
  { repository, commit }: CachedRevision,
  files: readonly CachedFile[],
): number {
  const folder = repositoryFolder(hubFolder, repository);
  const blobs = join(folder, "blobs");
  let freed = 0;
  for (const { location, bytes } of files) {
    const blob = blobOf(location, blobs);
    attempt(location, () => rmSync(location));
    if (blob !== undefined && isLinked(folder, blob)) continue;
    if (blob !== undefined) attempt(blob, () => rmSync(blob, { force: true }));
    freed += bytes;
  }
  removeEmpty(folder, commit);
  return freed;
}

/** The blob that a name of a snapshot stands for: where its link leads, or the same file under its other name. */
function blobOf(location: string, blobs: string): string | undefined {
  if (lstatSync(location).isSymbolicLink()) {
    const blob = resolve(dirname(location), readlinkSync(location));
    return dirname(blob) === resolve(blobs) ? blob : undefined;
  }
  const { ino, dev } = statSync(location);
  const names = existsSync(blobs) ? readdirSync(blobs).map((name) => resolve(blobs, name)) : [];
  return names.find((path) => {
    const status = statSync(path);
    return status.ino === ino && status.dev === dev;
  });
}

/** Whether a link of any snapshot leads to a blob, or another name of one is left. */
function isLinked(folder: string, blob: string): boolean {
  if ((statSync(blob, { throwIfNoEntry: false })?.nlink ?? 1) > 1) return true;
  const snapshots = join(folder, "snapshots");
  return readdirSync(snapshots, { recursive: true, encoding: "utf8" }).some((name) => {
    const path = join(snapshots, name);
    return lstatSync(path).isSymbolicLink() && resolve(dirname(path), readlinkSync(path)) === blob;
  });
}

/** Removes the folders that nothing is in any more, up to the repository's. */
function removeEmpty(folder: string, commit: string): void {
  const snapshot = join(folder, "snapshots", commit);
  if (filesBelow(snapshot).length > 0) return;
  rmSync(snapshot, { recursive: true, force: true });
  for (const { path, location } of filesBelow(join(folder, "refs"))) {
    if (readFileSync(location, "utf8").trim() === commit) rmSync(join(folder, "refs", ...path.split("/")));
  }
  const snapshots = join(folder, "snapshots");
  if (readdirSync(snapshots).length > 0) return;
  rmdirSync(snapshots);
  if (!existsSync(join(folder, "blobs")) || readdirSync(join(folder, "blobs")).length === 0) {
    rmSync(folder, { recursive: true, force: true });
  }
}
