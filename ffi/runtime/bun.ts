/**
 * The boundary as Bun draws it: `bun:ffi`, and a Worker as the doorbell. The Worker is made from the few lines below, gets
 * `lg_wait`'s address (the library itself was opened by the main thread: first opens in several threads at once have crashed
 * Bun) and sits in it for a bounded time. It keeps the process alive only while a caller waits.
 *
 * @module
 */
import { timerDoorbell } from "./doorbell.ts";
import { node } from "./builtins.ts";
import { privacyOf } from "./privacy.ts";
import type { EngineHandle, ModelHandle, Signature } from "../wire.ts";
import type { Doorbell, Files, FunctionName, Handler, OpenLibrary, Runtime, Socket } from "./types.ts";

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

/** Waits that end in time before the Worker is started; one that doesn't starts it at once. */
const waitsBefore = 4;

const workerSource = `
const { CFunction } = process.getBuiltinModule("bun:ffi");
let wait;
self.onmessage = ({ data }) => {
  if (wait === undefined) {
    wait = new CFunction({ ptr: data, args: ["u32", "u32"], returns: "i32" });
    postMessage(0);
  } else postMessage(wait(data.handle, data.milliseconds));
};`;

/**
 * One Worker that waits for one caller at a time; a caller that comes while it is taken, or not there yet, asks by timer. It starts
 * after some waits: until then its start would only slow down what is waited for, which with a small model is soon over.
 */
class WorkerDoorbell implements Doorbell {
  readonly #address: number;
  readonly #otherwise: Doorbell;
  #worker: BunWorker | undefined;
  #waits = 0;
  #state: "absent" | "starting" | "free" | "taken" | "failed" = "absent";
  #answer: ((answer: number) => void) | undefined;

  constructor(address: number, otherwise: Doorbell) {
    this.#address = address;
    this.#otherwise = otherwise;
  }

  #start(): void {
    this.#state = "starting";
    const url = URL.createObjectURL(new Blob([workerSource], { type: "text/javascript" }));
    try {
      this.#worker = new Worker(url) as BunWorker;
    } catch {
      // The system gives this process no more threads: the timer goes on asking.
      this.#state = "failed";
      URL.revokeObjectURL(url);
      return;
    }
    this.#worker.unref();
    this.#worker.onmessage = ({ data }: MessageEvent<number>) => {
      URL.revokeObjectURL(url); // the first message says that the Worker has read it
      this.#state = "free";
      this.#answer?.(data);
      this.#answer = undefined;
    };
    // A hint that cannot be given is no failure: the timer asks instead, and 0 means "not yet".
    this.#worker.onerror = (event: ErrorEvent) => {
      event.preventDefault();
      this.#state = "failed";
      this.#answer?.(0);
      this.#answer = undefined;
    };
    this.#worker.postMessage(this.#address);
  }

  async ring(handle: ModelHandle | EngineHandle, milliseconds: number): Promise<number> {
    const worker = this.#worker;
    if (this.#state !== "free" || worker === undefined) {
      const answer = await this.#otherwise.ring(handle, milliseconds);
      if (this.#state === "absent" && (answer === 0 || ++this.#waits === waitsBefore)) this.#start();
      return answer;
    }
    this.#state = "taken";
    worker.ref();
    try {
      return await new Promise((resolve) => {
        this.#answer = resolve;
        worker.postMessage({ handle, milliseconds });
      });
    } finally {
      worker.unref();
    }
  }
}

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
};

/** Bun as a {@link Runtime}. */
export const bun: Runtime = {
  name: "Bun",
  get platform(): string {
    return node("node:process").platform;
  },
  get arch(): string {
    return node("node:process").arch;
  },
  files,
  // A process report would take 20 ms. musl's loader may be there beside glibc's, so what is mapped decides.
  get libc(): Runtime["libc"] {
    if (bun.platform !== "linux") return undefined;
    if (!node("node:fs").existsSync(`/lib/ld-musl-${bun.arch === "x64" ? "x86_64" : "aarch64"}.so.1`)) return "gnu";
    return /\/ld-musl-/.test(new TextDecoder().decode(files.read("/proc/self/maps"))) ? "musl" : "gnu";
  },

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
    return new WorkerDoorbell(ptr, timerDoorbell(library));
  },

  variable(name: string): string | undefined {
    return node("node:process").env[name];
  },

  isEmbedded(path: string): boolean {
    return /^(\/\$bunfs\/|[A-Z]:[\\/]~BUN[\\/])/.test(path);
  },

  memory(): number | undefined {
    return Math.min(node("node:os").totalmem(), node("node:process").constrainedMemory() || Infinity);
  },

  resident(): number {
    return node("node:process").memoryUsage.rss();
  },

  listen(hostname: string, port: number, handler: Handler): Socket {
    const { Bun: { serve } } = globalThis as unknown as { readonly Bun: BunServe };
    // 0: by itself Bun cuts a request that is silent for ten seconds, as one that waits in a queue is.
    const server = serve({ hostname, port, idleTimeout: 0, fetch: (request) => handler(request) });
    return { port: server.port, close: () => server.stop() };
  },

  allows(): boolean {
    return true;
  },
};
