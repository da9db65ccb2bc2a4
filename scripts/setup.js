/**
 * Sees to it that node_modules/.bin has deno, bun and zig of the pinned versions, and node where it is asked for: what is
 * there already, else what PATH has, else what npm installs. Once all is in place it only asks the tools for their
 * versions and uses no network.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure, installed, link, main, manifest, onPath, root, run, tools, versionOf } from "./tools.js";

const architectures = { x64: "x86-64", arm64: "ARM64" };
const systems = { linux: "Linux", darwin: "macOS", win32: "Windows" };

/**
 * Sets everything up, the spare tools named in `spares` too; the messages go to standard error, so that a story stays alone
 * on standard output.
 */
export async function setup(spares = []) {
  checkMachine(process.version, process.platform, process.arch);
  const needed = tools.filter(({ name, spare, program }) => !spare || (spares.includes(name) && program.length > 0));
  let missing = await missingTools(needed);
  if (missing.length === 0 && missingPackages().length === 0) return;
  await install(missing.length > 0);
  missing = await missingTools(needed);
  if (missing.length > 0) throw new Failure(await explainMissing(missing));
  const packages = missingPackages();
  if (packages.length > 0) throw new Failure(`npm did not install ${packages.join(", ")}; run \`npm ci\` to see why`);
}

/** Refuses a machine for which there are no kernels or no tools, by name. */
export function checkMachine(version, platform, arch) {
  const major = Number(version.slice(1).split(".")[0]);
  if (major < 20) throw new Failure(`Node 20 or newer is needed, this is ${version}; get one from https://nodejs.org`);
  if (!Object.hasOwn(architectures, arch)) {
    throw new Failure(`no kernels for the processor "${arch}"; LightGPT runs on ${list(architectures)}`);
  }
  if (!Object.hasOwn(systems, platform)) {
    throw new Failure(`no toolchain for the system "${platform}"; LightGPT builds on ${list(systems)}`);
  }
}

function list(names) {
  return Object.values(names).join(", ");
}

/** Those of the tools that cannot be had without installing; the others are linked into node_modules/.bin. */
async function missingTools(needed) {
  const found = await Promise.all(needed.map(async (tool) => (await provide(tool)) ? undefined : tool));
  return found.filter((tool) => tool !== undefined);
}

async function provide(tool) {
  if (existsSync(link(tool)) && await versionOf(tool, link(tool)) === tool.version) return true;
  for (const program of [...onPath(tool), ...installed(tool)]) {
    if (await versionOf(tool, program) !== tool.version) continue;
    makeLink(tool, program);
    return true;
  }
  return tool.name === "bun" && await repairBun(tool);
}

/** npm may block install scripts; Bun's package then holds no program until its script has run. */
async function repairBun(tool) {
  const script = join(root, "node_modules", "bun", "install.js");
  if (!existsSync(script)) return false;
  await run(process.execPath, [script], { cwd: dirname(script) });
  const [program] = installed(tool);
  if (program === undefined || await versionOf(tool, program) !== tool.version) return false;
  makeLink(tool, program);
  return true;
}

function makeLink(tool, program) {
  const path = link(tool);
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  if (process.platform === "win32") writeFileSync(path, `@"${program}" %*\r\n`);
  else symlinkSync(program, path);
}

/** Packages other than the tools that are absent or of another version. */
function missingPackages() {
  return Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([name, version]) => {
      const path = join(root, "node_modules", name, "package.json");
      if (!existsSync(path)) return true;
      return !version.startsWith("file:") && JSON.parse(readFileSync(path, "utf8")).version !== version;
    })
    .map(([name]) => name);
}

/** `npm ci`, or where the lock file doesn't please this npm, `npm install` without writing to it. */
async function install(withTools) {
  const names = withTools ? tools.map((tool) => `${tool.name} ${tool.version}`).join(", ") : "packages";
  console.error(`lightgpt: installing ${names} from npm${withTools ? " (about 800 MB, half a minute)" : ""} ...`);
  const common = ["--no-audit", "--no-fund", "--include=dev", "--fetch-retries=2", "--fetch-retry-mintimeout=1000"];
  common.push("--loglevel=error"); // `npm start --silent` would silence the reason, too
  // npm removes what it is told to omit: tools that came with an earlier install must stay.
  const keepsTools = withTools || tools.some((tool) => installed(tool).length > 0);
  common.push(keepsTools ? "--include=optional" : "--omit=optional");
  let result = await npm(["ci", ...common]);
  if (result.code !== 0 && !offline(result.output)) result = await npm(["install", "--no-save", ...common]);
  if (result.code === 0) return;
  if (offline(result.output)) {
    throw new Failure(
      `cannot reach the npm registry (${offline(result.output)}); connect to the network and run again`,
    );
  }
  const reason = result.output.split("\n").filter((line) => /^npm (error|ERR!)/.test(line)).slice(0, 3).join(" | ");
  throw new Failure(`npm could not install the tools: ${reason || result.output.trim().slice(-300)}`);
}

function npm(args) {
  const script = process.env.npm_execpath;
  const options = { show: process.env.LIGHTGPT_DEBUG === "1" };
  if (script?.endsWith("npm-cli.js")) return run(process.execPath, [script, ...args], options);
  return run(process.platform === "win32" ? "npm.cmd" : "npm", args, options);
}

/** The network error that npm names, if that is why it failed. */
export function offline(output) {
  return output.match(/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED)\b/)
    ?.[1];
}

/** Says of each missing tool what was found in its place. */
async function explainMissing(missing) {
  const parts = [];
  for (const tool of missing) {
    const others = [];
    for (const program of [...onPath(tool), ...installed(tool)]) {
      const version = await versionOf(tool, program);
      others.push(version ? `${program} is ${version}` : `${program} doesn't run here`);
    }
    parts.push(`${tool.name} ${tool.version} is needed (${others.join("; ") || "npm has none for this machine"})`);
  }
  return `${parts.join(", ")}; put it on PATH or remove node_modules and run again`;
}

main(import.meta.url, () => setup());
