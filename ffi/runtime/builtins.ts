/**
 * Node's own modules, each loaded when it is first used. Importing them costs: `node:fs` takes 60 ms in Deno, two thirds of
 * what an empty program does, and a small model is loaded and gives its first token without any of them.
 *
 * @module
 */

/** Those that are used on the way to a first token, or by what comes along with it. */
interface Modules {
  "node:child_process": typeof import("node:child_process");
  "node:crypto": typeof import("node:crypto");
  "node:fs": typeof import("node:fs");
  "node:http": typeof import("node:http");
  "node:module": typeof import("node:module");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
  "node:process": typeof import("node:process");
  "node:stream": typeof import("node:stream");
  "node:stream/promises": typeof import("node:stream/promises");
  "node:timers": typeof import("node:timers");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
  "node:zlib": typeof import("node:zlib");
}

/** The event loop's turn: timers, files and sockets. */
export function turn(): Promise<void> {
  const { setImmediate } = globalThis as unknown as { setImmediate(callback: () => void): void };
  return new Promise((resolve) => setImmediate(resolve));
}

/** One of Node's modules. */
export function node<Name extends keyof Modules>(name: Name): Modules[Name] {
  // Not the import of `process`: that is what takes the time.
  const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): unknown } };
  return process.getBuiltinModule(name) as Modules[Name];
}
