/**
 * The boundary as Node draws it: `node:ffi`, which Node has from 26.10 on, and a worker thread as the doorbell. That thread opens the
 * library once more by its path, for an address alone makes no function here; the library pins itself when it is first called.
 *
 * @module
 */
import { node } from "./builtins.ts";
import { timerDoorbell } from "./doorbell.ts";
import { withSystem } from "./system.ts";
import { type WaitingThread, WorkerDoorbell } from "./worker_doorbell.ts";
import type { Signature } from "../wire.ts";
import type { Doorbell, FunctionName, Handler, OpenLibrary, Permission, Runtime, Socket } from "./types.ts";

/** What we use of `node:ffi`. A definition with other keys than these would be taken for a function without arguments. */
interface NodeFfi {
  dlopen(
    path: string,
    functions: Record<string, { arguments: string[]; return: "i32" }>,
  ): { lib: unknown; functions: unknown };
}

/** What we use of Node's permissions, which are there where it was started with `--permission`. */
interface NodePermissions {
  has(scope: string, reference?: string): boolean;
}

function ffi(): NodeFfi {
  // Not an import: the other runtimes would refuse the name.
  const builtin: (name: string) => unknown = node("node:process").getBuiltinModule;
  return builtin("node:ffi") as NodeFfi;
}

const workerSource = `
const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
const { functions } = process.getBuiltinModule("node:ffi").dlopen(workerData, {
  lg_wait: { arguments: ["u32", "u32"], return: "i32" },
});
parentPort.on("message", ({ handle, milliseconds }) => parentPort.postMessage(functions.lg_wait(handle, milliseconds)));
parentPort.postMessage(0);`;

function startThread(path: string, answer: (returned: number) => void, fail: () => void): WaitingThread {
  const { Worker } = node("node:worker_threads");
  // Node has warned in the thread that asks; the program's own arguments, of a test runner for instance, are not for this one.
  const options = { eval: true, workerData: path, execArgv: ["--disable-warning=ExperimentalWarning"] };
  const worker = new Worker(workerSource, options);
  worker.on("message", answer);
  worker.on("error", fail);
  return { wait: (what) => worker.postMessage(what), ref: () => worker.ref(), unref: () => worker.unref() };
}

/** What has been opened, so that nothing closes it while the process lives. */
const opened: unknown[] = [];

/** Node as a {@link Runtime}. */
export const nodeRuntime: Runtime = withSystem({
  name: "Node",
  hearsLeaving: true,

  open<Name extends FunctionName>(path: string, functions: Readonly<Record<Name, Signature>>): OpenLibrary<Name> {
    const definitions: Record<string, { arguments: string[]; return: "i32" }> = {};
    for (const [name, { parameters }] of Object.entries<Signature>(functions)) {
      definitions[name] = { arguments: [...parameters], return: "i32" };
    }
    const { lib, functions: call } = ffi().dlopen(path, definitions);
    opened.push(lib);
    return { call: call as OpenLibrary<Name>["call"] };
  },

  doorbell(library: OpenLibrary, path: string): Doorbell {
    return new WorkerDoorbell((answer, fail) => startThread(path, answer, fail), timerDoorbell(library));
  },

  isEmbedded(): boolean {
    return false; // a single executable of Node's has no paths for what is inside
  },

  async listen(hostname: string, port: number, handler: Handler): Promise<Socket> {
    const { listenHttp } = await import("./node_http.ts"); // only a server needs it
    return await listenHttp(hostname, port, handler);
  },

  allows(what: Permission, which: string): boolean {
    const { permission } = node("node:process") as { readonly permission?: NodePermissions };
    if (permission === undefined || what === "sys") return true;
    return what === "run" ? permission.has("child") : permission.has(`fs.${what}`, which);
  },
});

/** Whether this is a Node that has foreign functions: one from 26.10 on, or started with `--experimental-ffi`. */
export function hasForeignFunctions(): boolean {
  const { process } = globalThis as { readonly process?: { getBuiltinModule?: unknown } };
  return typeof process?.getBuiltinModule === "function" && node("node:module").isBuiltin("node:ffi");
}
