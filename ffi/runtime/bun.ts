/**
 * The boundary as Bun draws it: `bun:ffi`, and a Worker as the doorbell. The Worker is made from the few lines below and gets
 * `lg_wait`'s address (the library itself was opened by the main thread: first opens in several threads at once have crashed
 * Bun).
 *
 * @module
 */
import { node } from "./builtins.ts";
import { timerDoorbell } from "./doorbell.ts";
import { withSystem } from "./system.ts";
import { type WaitingThread, WorkerDoorbell } from "./worker_doorbell.ts";
import type { Signature } from "../wire.ts";
import type { Doorbell, FunctionName, Handler, OpenLibrary, Runtime, Socket } from "./types.ts";

/** What we use of `bun:ffi`, so that `deno check` needs no types of Bun's. */
interface BunFfi {
  dlopen(
    path: string,
    functions: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, { readonly ptr: number }> };
}

/** What we use of Bun's server. */
interface BunServe {
  serve(
    options: { hostname: string; port: number; idleTimeout: number; fetch: Handler },
  ): { readonly port: number; stop(): Promise<void> };
}

/** The methods that Bun's Worker has and the standard one lacks. */
interface BunWorker extends Worker {
  ref(): void;
  unref(): void;
}

function ffi(): BunFfi {
  // Not an import: Deno would refuse the name.
  const builtin: (name: string) => unknown = node("node:process").getBuiltinModule;
  return builtin("bun:ffi") as BunFfi;
}

const workerSource = `
const { CFunction } = process.getBuiltinModule("bun:ffi");
let wait;
self.onmessage = ({ data }) => {
  if (wait === undefined) {
    wait = new CFunction({ ptr: data, args: ["u32", "u32"], returns: "i32" });
    postMessage(0);
  } else postMessage(wait(data.handle, data.milliseconds));
};`;

function startThread(address: number, answer: (returned: number) => void, fail: () => void): WaitingThread {
  const url = URL.createObjectURL(new Blob([workerSource], { type: "text/javascript" }));
  let worker: BunWorker;
  try {
    worker = new Worker(url) as BunWorker;
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  worker.onmessage = ({ data }: MessageEvent<number>) => {
    URL.revokeObjectURL(url); // the first message says that the Worker has read it
    answer(data);
  };
  worker.onerror = (event: ErrorEvent) => {
    event.preventDefault();
    fail();
  };
  worker.postMessage(address);
  return { wait: (what) => worker.postMessage(what), ref: () => worker.ref(), unref: () => worker.unref() };
}

/** Bun as a {@link Runtime}. */
export const bun: Runtime = withSystem({
  name: "Bun",
  hearsLeaving: true,

  open<Name extends FunctionName>(path: string, functions: Readonly<Record<Name, Signature>>): OpenLibrary<Name> {
    const definitions: Record<string, { args: string[]; returns: string }> = {};
    for (const [name, { parameters }] of Object.entries<Signature>(functions)) {
      definitions[name] = { args: parameters.map((type) => type === "buffer" ? "ptr" : type), returns: "i32" };
    }
    const { symbols } = ffi().dlopen(path, definitions);
    return { call: symbols as unknown as OpenLibrary<Name>["call"] };
  },

  doorbell(library: OpenLibrary): Doorbell {
    const { ptr } = library.call.lg_wait as unknown as { readonly ptr: number };
    return new WorkerDoorbell((answer, fail) => startThread(ptr, answer, fail), timerDoorbell(library));
  },

  isEmbedded(path: string): boolean {
    return /^(\/\$bunfs\/|[A-Z]:[\\/]~BUN[\\/])/.test(path);
  },

  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async listen(hostname: string, port: number, handler: Handler): Promise<Socket> {
    const { Bun: { serve } } = globalThis as unknown as { readonly Bun: BunServe };
    // 0: by itself Bun cuts a request that is silent for ten seconds, as one that waits in a queue is.
    const server = serve({ hostname, port, idleTimeout: 0, fetch: (request) => handler(request) });
    return { port: server.port, close: () => server.stop() };
  },

  allows(): boolean {
    return true;
  },
});
