/**
 * A server of NATS for tests, and processes that meet at it. Without `nats-server` on the machine its tests are skipped by name; the
 * project's CI installs it.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { repository } from "./kit.ts";

/** Why there is no server, or false where there is one: what a test is skipped with. */
export const noNats: string | false = spawnSync("nats-server", ["--version"]).status === 0
  ? false
  : "needs nats-server (apt-get install nats-server)";

/** A server of NATS. */
export interface NatsServer extends AsyncDisposable {
  readonly url: string;
  /** Its process. */
  child(): ChildProcess;
  /** Ends it at once, as a crash does; its files stay. */
  kill(): Promise<void>;
  /** Starts it again with its files, and with other flags where they are given. */
  start(flags?: readonly string[]): Promise<void>;
}

/** Processes that live. None outlives the tests, however these end. */
const living = new Set<ChildProcess>();
process.once("exit", () => living.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

function tied(child: ChildProcess): ChildProcess {
  living.add(child);
  child.once("exit", () => living.delete(child));
  return child;
}

/** Starts a server with a folder of its own. */
export async function startNats(flags: readonly string[] = []): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-nats-"));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async (own = flags) => {
    const words = ["-js", "-sd", folder, "-a", "127.0.0.1", "-p", `${port}`, ...own];
    child = tied(spawn("nats-server", words, { stdio: ["ignore", "ignore", "pipe"] }));
    await said(child, /Server is ready/);
  };
  const kill = async () => void await ended(child, "SIGKILL");
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    child: () => child as ChildProcess,
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A process of the command. */
export interface Command extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it has written to standard error. */
  readonly told: () => string;
  /** Ends it, and waits until it has ended; gives its exit code. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null>;
}

/** The runtimes that can be started, the one of the tests first. */
export const runtimes: readonly (readonly string[])[] = (() => {
  const bun = [join(repository, "node_modules/.bin/bun"), "run"];
  const deno = [join(repository, "node_modules/.bin/deno"), "run", "-A", "--no-check"];
  return "Deno" in globalThis ? [deno, bun] : [bun, deno];
})();

/** How often something is begun that a busy machine has kept from meeting NATS in time. */
const beginningsMost = 10;

/**
 * Does what connects to a server of NATS that is there. A machine without time to spare lets either miss the seconds of a connection:
 * the error says so, and it is begun again.
 */
export async function surely<T>(connect: () => Promise<T>): Promise<T> {
  for (let beginnings = 1;; beginnings++) {
    try {
      return await connect();
    } catch (error) {
      const isSlow = error instanceof Error && /does not answer|cannot be reached/.test(error.message);
      if (!isSlow || beginnings === beginningsMost) throw error;
      console.log(`begun again (${beginnings}): ${error.message.slice(0, 200)}`);
    }
  }
}

/** Starts `lightgpt` on a runtime; resolves when it has said that it is ready. */
export async function startCommand(
  words: readonly string[],
  { runtime = runtimes[0], env = {} }: { runtime?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Command> {
  const [program, ...flags] = runtime;
  const child = tied(spawn(program, [...flags, "cli/main.ts", ...words], {
    cwd: repository,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  }));
  const end = (signal: "SIGKILL" | "SIGTERM") => ended(child, signal);
  const told = await said(child, /Ctrl-C ends/);
  return { child, told, end, [Symbol.asyncDispose]: async () => void await end("SIGKILL") };
}

/** Waits for a line of standard error; gives what is there since. */
function said(child: ChildProcess, line: RegExp): Promise<() => string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stderr?.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      if (line.test(text)) resolve(() => text);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`It has ended with ${code}: ${text}`)));
  });
}

function ended(child: ChildProcess | undefined, signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
  return new Promise((resolve) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return resolve(child?.exitCode ?? null);
    }
    child.once("exit", resolve);
    child.kill(signal);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
