/**
 * Limits of control groups on Linux, of version 1, version 2, or both at once. A limit holds for a group and all groups in
 * it, so each group from the process's own up to the root of the mount is read, and the least limit counts.
 *
 * @module
 */
import { type Source, wholeNumber } from "./source.ts";
import type { MemoryLimit } from "./types.ts";

/** What limits were found. */
export interface CgroupLimits {
  /** Processors' worth of time; undefined: as much as there is. */
  readonly quota: number | undefined;
  /** Limits of memory, the innermost first. */
  readonly memory: readonly MemoryLimit[];
  /** The folder of the process's own group of version 2, where there is one. */
  readonly folder: string | undefined;
}

/** A folder with control files, and the folder that it may not leave. */
interface Group {
  readonly version: 1 | 2;
  readonly folder: string;
  readonly mount: string;
}

/** From here on, version 1's limit of memory means that there is none. */
const noLimit = 2 ** 60;
/** The deepest nesting of groups that is followed. */
const depthMost = 64;

/** Reads the limits of this process, each when it is used. */
export function readCgroups(source: Source): CgroupLimits {
  const groups = source.read("/proc/self/cgroup");
  const mounts = source.read("/proc/self/mountinfo");
  const memory = () => foldersOf(groups, mounts, "memory");
  return {
    get quota() {
      const quotas = foldersOf(groups, mounts, "cpu").flatMap((group) =>
        within(group).map((folder) => quotaOf(source, group.version, folder))
      );
      const least = quotas.reduce<number>((least, quota) => Math.min(least, quota ?? Infinity), Infinity);
      return Number.isFinite(least) ? least : undefined;
    },
    get memory() {
      return memory().flatMap((group) => within(group).flatMap((folder) => limitsOf(source, group.version, folder)));
    },
    get folder() {
      return memory().find(({ version }) => version === 2)?.folder;
    },
  };
}

/** Where the files of a controller lie: in version 2's tree, in one of version 1's, or, on a machine between, in both. */
function foldersOf(groups: string | undefined, mounts: string | undefined, controller: string): Group[] {
  if (groups === undefined) return [];
  const found: Group[] = [];
  for (const line of groups.split("\n")) {
    const [, id, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (id === undefined || controllers === undefined || path === undefined) continue;
    const version = id === "0" && controllers === "" ? 2 : 1;
    if (version === 1 && !controllers.split(",").includes(controller)) continue;
    const mount = findMount(mounts, version, controller);
    if (mount) found.push({ version, mount: mount.point, folder: join(mount.point, below(path, mount.root)) });
    else if (mounts === undefined) {
      // The usual places; in a container they show the container's own group.
      const point = version === 2 ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${controller}`;
      found.push({ version, mount: point, folder: point });
    }
  }
  return found;
}

/** The mount that shows a hierarchy: its place, and which group lies there. */
function findMount(
  mounts: string | undefined,
  version: 1 | 2,
  controller: string,
): { root: string; point: string } | undefined {
  for (const line of mounts?.split("\n") ?? []) {
    const [before, after] = line.split(" - ");
    const [, , , root, point] = before?.split(" ") ?? [];
    const [type, , options] = after?.split(" ") ?? [];
    if (root === undefined || point === undefined) continue;
    const isIt = version === 2 ? type === "cgroup2" : type === "cgroup" && options?.split(",").includes(controller);
    if (isIt) return { root: unescape(root), point: unescape(point) };
  }
  return undefined;
}

/** Blanks in paths are written `\040`. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** The group's path below the mount. A path outside of it belongs to another namespace: then the mount itself is our group. */
function below(path: string, root: string): string {
  if (path.split("/").includes("..")) return "/";
  if (root === "/") return path;
  return path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : "/";
}

function join(mount: string, path: string): string {
  return `${mount.replace(/\/$/, "")}/${path.replace(/^\//, "")}`.replace(/\/$/, "");
}

/** The group's folder and those around it, up to the mount. */
function within({ folder, mount }: Group): string[] {
  const folders = [folder];
  for (let at = folder; at.length > mount.length && folders.length < depthMost;) {
    at = at.slice(0, at.lastIndexOf("/"));
    folders.push(at);
  }
  return folders;
}

/** Processors' worth of time, or undefined. */
function quotaOf(source: Source, version: 1 | 2, folder: string): number | undefined {
  const [quota, period] = version === 2
    ? source.read(`${folder}/cpu.max`)?.split(/\s+/) ?? []
    : [source.read(`${folder}/cpu.cfs_quota_us`), source.read(`${folder}/cpu.cfs_period_us`)];
  const [time, of] = [wholeNumber(quota), wholeNumber(period)];
  if (time && of) return time / of;
  const isNone = quota === undefined || quota === "max" || quota === "-1";
  if (!isNone) source.note(`${folder} has a quota of processor time that is no number; it is ignored.`);
  return undefined;
}

/** The limits of one group. */
function limitsOf(source: Source, version: 1 | 2, folder: string): MemoryLimit[] {
  const names = version === 2 ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"];
  return names.flatMap((name) => {
    const text = source.read(`${folder}/${name}`);
    const bytes = wholeNumber(text);
    if (bytes === undefined) {
      if (text !== undefined && text !== "max") source.note(`${folder}/${name} is no number; it is ignored.`);
      return [];
    }
    if (bytes >= noLimit) return [];
    return [{ source: `${folder}/${name}`, bytes, usedBytes: usedOf(source, version, folder) }];
  });
}

/** What a group uses, without file pages that the system takes back when it needs them. */
function usedOf(source: Source, version: 1 | 2, folder: string): number | undefined {
  const used = wholeNumber(source.read(`${folder}/${version === 2 ? "memory.current" : "memory.usage_in_bytes"}`));
  if (used === undefined) return undefined;
  const name = version === 2 ? "inactive_file" : "total_inactive_file";
  const idle = new RegExp(`^${name} (\\d+)$`, "m").exec(source.read(`${folder}/memory.stat`) ?? "")?.[1];
  return Math.max(0, used - (wholeNumber(idle) ?? 0));
}
