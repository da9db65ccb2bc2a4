/**
 * `npm test`: sets up, builds, and runs everything: Zig tests, the TypeScript tests on Deno, the same on Bun and some of
 * them on Node, and the checks. Each part prints its counts; the last line is `N passed, M failed` over all of them, the
 * line before it names what was skipped. A part that cannot start has failed. The runtimes run their tests beside one another
 * and beside those of Zig: a runtime keeps little more than one core busy, and waits now and then. `npm test -- deno bun` runs only those parts;
 * `npm test -- node-all` runs all tests on Node, `npm test -- mutants` is `mutants.js`.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, environment } from "./build.js";
import { checkDocs } from "./check-docs.js";
import { checkImports } from "./check-imports.js";
import { checkLibrary } from "./check-library.js";
import { checkBenches } from "./check-benches.js";
import { checkLock } from "./check-lock.js";
import { checkStyle } from "./check-style.js";
import { checkWire } from "./check-wire.js";
import { tryMutants } from "./mutants.js";
import { countBun, countDeno, countNode, countZig } from "./report.js";
import { setup } from "./setup.js";
import { Failure, main, manifest, root, run, toolPath, tools } from "./tools.js";

/** A test that takes longer has hung; the longest, seeded mutations of model files, take a minute. */
const testMs = 300_000;
const env = { ...environment(), NO_COLOR: "1" };
const scratch = mkdtempSync(join(tmpdir(), "lightgpt-test-"));

const suites = {
  checks,
  zig: async () => {
    const { code, output } = await run(toolPath("zig"), ["build", "test", "--summary", "failures"], { env });
    return { ...countZig(output, code), output };
  },
  deno: async () => {
    const xml = join(scratch, "deno.xml");
    const args = ["test", "--allow-all", "--quiet", "--no-check", `--junit-path=${xml}`, "test/"];
    const { code, output } = await run(toolPath("deno"), args, { env });
    return { ...countDeno(readIfThere(xml), code), output };
  },
  bun: async () => {
    const xml = join(scratch, "bun.xml");
    const args = ["test", `--timeout=${testMs}`, "--reporter=junit", `--reporter-outfile=${xml}`];
    const { code, output } = await run(toolPath("bun"), args, { env });
    return { ...countBun(readIfThere(xml), output, code), output };
  },
  node: () => onNode(nodeFiles.map((name) => `test/${name}.test.ts`)),
};

/** Parts that run only where they are named. */
const extras = {
  "node-all": () => onNode([...filesOf("test")].filter((path) => path.endsWith(".test.ts")), 2),
};

/**
 * What runs on Node each time: one minute for whatever touches the border, the event loop, files, sockets and how a process
 * ends, and for the bits; what is computed in TypeScript alone has been tested on two runtimes by then.
 */
const nodeFiles = [
  "abi",
  "assets",
  "batcher",
  "buffers",
  "chat",
  "clients/frameworks",
  "constraint_same",
  "dispose",
  "doorbell",
  "errors",
  "exact",
  "exit",
  "generation",
  "handles",
  "langchain",
  "lightgpt",
  "sampler",
  "server_sockets",
  "start",
  "streams",
  "tokenizer",
];

/** Runs tests on Node, a process for each file as Node's runner does it, and so many beside one another. */
async function onNode(files, processes = 1) {
  const { program, version } = tools.find(({ name }) => name === "node");
  if (program.length === 0) {
    return { passed: 0, failed: 0, skipped: [`all (npm has no Node ${version} for this machine)`], output: "" };
  }
  const xml = join(scratch, "node.xml");
  const reports = ["junit", xml, "spec", "stdout"];
  const flags = [0, 2].flatMap((
    i,
  ) => [`--test-reporter=${reports[i]}`, `--test-reporter-destination=${reports[i + 1]}`]);
  const own = {
    ...env,
    // Node warns of foreign functions in each process, which tests of what a program writes need not expect.
    NODE_OPTIONS: `${env.NODE_OPTIONS ?? ""} --disable-warning=ExperimentalWarning`.trim(),
    // Each process would turn all of our TypeScript into JavaScript again: a second of every one's time.
    NODE_COMPILE_CACHE: join(scratch, "node-cache"),
  };
  const args = ["--test", `--test-concurrency=${processes}`, `--test-timeout=${testMs}`, ...flags, ...files];
  const { code, output } = await run(toolPath("node"), args, { env: own });
  return { ...countNode(readIfThere(xml), code), output };
}

/** The parts that run beside one another, three at a time; the longest begin first. */
const beside = ["deno", "bun", "zig", "node", "node-all"];

/** Formatters, linters, types, documentation, and our own rules: each is one that passes or fails. */
async function checks() {
  const entries = Object.values(manifest.exports);
  const typescript = [...entries, ...["test", "bench", "scripts", "examples"].flatMap(filesOf)];
  const deno = (...args) => tool("deno", args);
  const list = {
    "deno fmt": () => deno("fmt", "--check"),
    "deno lint": () => deno("lint"),
    "deno check": () => deno("check", "--quiet", ...typescript),
    // LangChain's classes are extended there: many types are its own, which this check calls private.
    "deno doc --lint": () => deno("doc", "--lint", ...entries.filter((entry) => !entry.endsWith("/langchain.ts"))),
    "zig fmt": () => tool("zig", ["fmt", "--check", "build.zig", "build.zig.zon", "kernels", "bench"]),
    "benches": checkBenches,
    "docs": checkDocs,
    "imports": checkImports,
    "style": checkStyle,
    "wire": checkWire,
    "library": checkLibrary,
    "lock file": checkLock,
  };
  const counts = { passed: 0, failed: 0, skipped: [], output: "" };
  for (const [name, check] of Object.entries(list)) {
    const problems = await attempt(check);
    if (problems.length === 0) {
      counts.passed++;
    } else {
      counts.failed++;
      counts.output += `${name}:\n${problems.map((line) => `  ${line}\n`).join("")}`;
    }
  }
  return counts;
}

async function tool(name, args) {
  const { code, output } = await run(toolPath(name), args, { env });
  return code === 0 ? [] : [output.trim().replaceAll("\n", "\n  ") || `exit code ${code}`];
}

/** A check that throws has found something, too. */
async function attempt(check) {
  try {
    return await check();
  } catch (error) {
    return [error instanceof Error ? error.stack ?? error.message : String(error)];
  }
}

function filesOf(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((path) => path.endsWith(".ts") && !path.includes("node_modules"))
    .map((path) => join(folder, path));
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** The parts that the command line asks for; all but the mutants where it names none. */
function chosen([first, ...words]) {
  if (first === "mutants") return { mutants: () => tryMutants(words) };
  const wanted = first === undefined ? Object.keys(suites) : [first, ...words];
  const all = { ...suites, ...extras };
  const unknown = wanted.find((name) => !Object.hasOwn(all, name));
  const known = [...Object.keys(all), "mutants"].join(", ");
  if (unknown !== undefined) throw new Failure(`no part "${unknown}"; there are ${known}`);
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)));
}

async function test() {
  const parts = chosen(process.argv.slice(2));
  await setup(Object.keys(parts).some((name) => name.startsWith("node")) ? ["node"] : []);
  const total = { passed: 0, failed: 0, skipped: [] };
  const problem = await attempt(build);
  if (problem) {
    console.log(`build: ${problem[0]}`);
    total.failed++;
  }
  const one = async ([name, suite]) => {
    const begin = performance.now();
    const { passed, failed, skipped, output } = await suite();
    if (failed > 0) console.log(output.trimEnd());
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped.length} skipped (${seconds} s)`);
    total.passed += passed;
    total.failed += failed;
    total.skipped.push(...skipped.map((what) => `${name}: ${what}`));
  };
  for (const part of Object.entries(parts)) if (!beside.includes(part[0])) await one(part);
  const left = Object.entries(parts).filter(([name]) => beside.includes(name))
    .sort(([a], [b]) => beside.indexOf(a) - beside.indexOf(b));
  const lane = async () => {
    for (let part = left.shift(); part !== undefined; part = left.shift()) await one(part);
  };
  await Promise.all([lane(), lane(), lane()]);
  console.log(total.skipped.length > 0 ? `skipped: ${total.skipped.join("; ")}` : "skipped: nothing");
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

main(import.meta.url, () => test().finally(() => rmSync(scratch, { recursive: true, force: true })));
