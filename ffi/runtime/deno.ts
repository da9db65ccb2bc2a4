/**
 * The boundary as Deno draws it: `Deno.dlopen`, and a nonblocking call as the doorbell. One of Deno's few blocking threads
 * sits in `lg_wait` for a bounded time and only while work is open, because a pending call keeps the process alive and
 * those threads are shared with file access.
 *
 * @module
 */
import { node } from "./builtins.ts";
import { privacyOf } from "./privacy.ts";
import type { ParameterType, Signature } from "../wire.ts";
import type { Doorbell, Files, FunctionName, Handler, OpenLibrary, Permission, Runtime, Socket } from "./types.ts";

/** What {@link deno} adds to the functions of a library that has `lg_wait`: the same function, called on another thread. */
interface WaitsElsewhere {
  lg_wait_elsewhere(handle: number, milliseconds: number): Promise<number>;
}

function definition(parameters: readonly ParameterType[]): Deno.ForeignFunction {
  return { parameters: [...parameters], result: "i32" };
}

function descriptor(what: Permission, which: string): Deno.PermissionDescriptor {
  if (what === "run") return { name: what, command: which };
  if (what === "sys") return { name: what, kind: which as NonNullable<Deno.SysPermissionDescriptor["kind"]> };
  return { name: what, path: which };
}

function identityOf({ dev, ino, size, mtime }: Deno.FileInfo): string {
  return `${dev}:${ino}:${size}:${mtime?.getTime()}`;
}

const files: Files = {
  read: (path) => Deno.readFileSync(path),

  open(path) {
    // Asked before opening: to open a pipe would wait for a writer.
    if (!Deno.statSync(path).isFile) return undefined;
    const file = Deno.openSync(path);
    const status = file.statSync();
    if (!status.isFile) {
      file.close();
      return undefined;
    }
    return {
      bytes: status.size,
      identity: identityOf(status),
      read(target, offset) {
        file.seekSync(offset, Deno.SeekMode.Start);
        return file.readSync(target) ?? 0;
      },
      close: () => file.close(),
    };
  },

  identity(path) {
    try {
      return identityOf(Deno.statSync(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },

  privacy(path) {
    try {
      const { isDirectory, mode, uid } = Deno.statSync(path);
      const isKnown = Deno.permissions.querySync({ name: "sys", kind: "uid" }).state === "granted";
      const folder = isDirectory && mode !== null && uid !== null ? { mode, uid } : undefined;
      return privacyOf(folder, isKnown ? Deno.uid() ?? undefined : undefined);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "absent";
      throw error;
    }
  },

  touch(path) {
    const now = new Date();
    Deno.utimeSync(path, now, now);
  },

  makeFolder: (path) => Deno.mkdirSync(path, { recursive: true }),
};

/** Deno as a {@link Runtime}. */
export const deno: Runtime = {
  name: "Deno",
  // 2.9.6 does so only where the whole body came along with the head: up to some 300 bytes.
  hearsLeaving: false,
  get platform(): string {
    const { os } = Deno.build;
    return os === "windows" ? "win32" : os;
  },
  get arch(): string {
    return Deno.build.arch === "x86_64" ? "x64" : "arm64";
  },
  files,
  get libc(): Runtime["libc"] {
    const { env } = Deno.build;
    return env === "musl" || env === "gnu" ? env : undefined;
  },

  open<Name extends FunctionName>(path: string, functions: Readonly<Record<Name, Signature>>): OpenLibrary<Name> {
    const interfaces: Record<string, Deno.ForeignFunction> = {};
    for (const [name, { parameters, blocks }] of Object.entries<Signature>(functions)) {
      interfaces[name] = definition(parameters);
      if (blocks) interfaces[`${name}_elsewhere`] = { ...definition(parameters), name, nonblocking: true };
    }
    const { symbols } = Deno.dlopen(path, interfaces);
    return { call: symbols as unknown as OpenLibrary<Name>["call"] };
  },

  doorbell(library: OpenLibrary): Doorbell {
    const { lg_wait_elsewhere } = library.call as unknown as WaitsElsewhere;
    return { ring: (handle, milliseconds) => lg_wait_elsewhere(handle, milliseconds) };
  },

  variable(name: string): string | undefined {
    const { state } = Deno.permissions.querySync({ name: "env", variable: name });
    return state === "granted" ? Deno.env.get(name) : undefined;
  },

  isEmbedded(path: string): boolean {
    return Deno.build.standalone && /[\\/]deno-compile-[^\\/]+[\\/]/.test(path);
  },

  memory(): number | undefined {
    const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
    if (state !== "granted") return undefined;
    return Math.min(Deno.systemMemoryInfo().total, node("node:process").constrainedMemory() || Infinity);
  },

  resident(): number {
    return Deno.memoryUsage().rss;
  },

  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async listen(hostname: string, port: number, handler: Handler): Promise<Socket> {
    const server = Deno.serve({ hostname, port, onListen: () => {} }, (request) => handler(request));
    return { port: (server.addr as Deno.NetAddr).port, close: () => server.shutdown() };
  },

  allows(what: Permission, which: string): boolean {
    return Deno.permissions.querySync(descriptor(what, which)).state === "granted";
  },
};
