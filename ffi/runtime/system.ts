/**
 * What Bun and Node have alike: files, memory and the environment, by Node's own modules, each loaded when it is first used.
 *
 * @module
 */
import { node } from "./builtins.ts";
import { privacyOf } from "./privacy.ts";
import type { Files, Runtime } from "./types.ts";

function identityOf({ dev, ino, size, mtimeMs }: Record<"dev" | "ino" | "size" | "mtimeMs", number>): string {
  return `${dev}:${ino}:${size}:${mtimeMs}`;
}

const files: Files = {
  read: (path) => node("node:fs").readFileSync(path),

  open(path) {
    const { closeSync, fstatSync, openSync, readSync, statSync } = node("node:fs");
    // Asked before opening: to open a pipe would wait for a writer.
    if (!statSync(path).isFile()) return undefined;
    const descriptor = openSync(path, "r");
    const status = fstatSync(descriptor);
    if (!status.isFile()) {
      closeSync(descriptor);
      return undefined;
    }
    return {
      bytes: status.size,
      identity: identityOf(status),
      read: (target, offset) => readSync(descriptor, target, 0, target.length, offset),
      close: () => closeSync(descriptor),
    };
  },

  identity(path) {
    const status = node("node:fs").statSync(path, { throwIfNoEntry: false });
    return status && identityOf(status);
  },

  privacy(path) {
    const status = node("node:fs").statSync(path, { throwIfNoEntry: false });
    return privacyOf(status?.isDirectory() ? status : undefined, node("node:process").getuid?.());
  },

  touch(path) {
    const now = new Date();
    node("node:fs").utimesSync(path, now, now);
  },

  makeFolder(path) {
    const { existsSync, mkdirSync } = node("node:fs");
    const { dirname } = node("node:path");
    let first = path;
    while (!existsSync(first) && !existsSync(dirname(first))) first = dirname(first);
    // By itself: Node tries for ever to make a folder in one that is there and takes none, as /proc is.
    if (!existsSync(first)) mkdirSync(first);
    mkdirSync(path, { recursive: true });
  },
};

/** The part of a {@link Runtime} that Node's modules give. */
type System = Pick<Runtime, "platform" | "arch" | "files" | "libc" | "variable" | "memory" | "resident">;

const system: System = {
  files,

  get platform(): string {
    return node("node:process").platform;
  },

  get arch(): string {
    return node("node:process").arch;
  },

  // A process report would take 20 ms. musl's loader may be there beside glibc's, so what is mapped decides.
  get libc(): Runtime["libc"] {
    if (system.platform !== "linux") return undefined;
    const loader = `/lib/ld-musl-${system.arch === "x64" ? "x86_64" : "aarch64"}.so.1`;
    if (!node("node:fs").existsSync(loader)) return "gnu";
    return /\/ld-musl-/.test(new TextDecoder().decode(files.read("/proc/self/maps"))) ? "musl" : "gnu";
  },

  variable(name: string): string | undefined {
    return node("node:process").env[name];
  },

  memory(): number | undefined {
    return Math.min(node("node:os").totalmem(), node("node:process").constrainedMemory() || Infinity);
  },

  resident(): number {
    return node("node:process").memoryUsage.rss();
  },
};

/** A runtime of its `own` part and what Node's modules give; nothing is asked for before it is used. */
export function withSystem(own: Omit<Runtime, keyof System>): Runtime {
  return Object.defineProperties(own, Object.getOwnPropertyDescriptors(system)) as Runtime;
}
