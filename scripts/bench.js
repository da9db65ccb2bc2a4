/**
 * `npm run bench`: LightGPT beside llama.cpp and beside what the machine can do (`bench/run.ts`), or with `headline`,
 * `draw` or `plots` as the first word the table against a plain program, the pictures of the records, or those of
 * `docs/sampling.md`. The peer and the plotting
 * library are packages of their own, installed when they are first needed, so that users never get them. Other arguments
 * are passed on.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.js";
import { setup } from "./setup.js";
import { Failure, main, root, run, toolPath } from "./tools.js";

const folder = join(root, "bench");

/** What each first word runs, and the package that it needs. */
const benches = {
  peers: { file: "run.ts", packages: "peers", needs: "node-llama-cpp", natives: true },
  headline: { file: "headline.ts", natives: true },
  draw: { file: "charts/draw.mjs", packages: "charts", needs: "echarts" },
  plots: { file: "charts/sampling.mjs", packages: "charts", needs: "echarts", library: true },
};

async function installPackages({ packages, needs }) {
  if (packages === undefined || existsSync(join(folder, packages, "node_modules", needs))) return;
  console.error(`lightgpt: installing ${needs} into bench/${packages} ...`);
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { code, output } = await run(npm, ["ci", "--no-audit", "--no-fund"], { cwd: join(folder, packages) });
  if (code !== 0) throw new Failure(`npm could not install ${needs}: ${output.trim().slice(-300)}`);
}

async function buildNatives() {
  await build();
  const { code, output } = await run(toolPath("zig"), ["build", "bench-tools"]);
  if (code !== 0) throw new Failure(`the bench's programs could not be built: ${output.trim().slice(-300)}`);
}

async function bench() {
  const [first, ...rest] = process.argv.slice(2);
  const isNamed = Object.hasOwn(benches, first ?? "");
  const chosen = benches[isNamed ? first : "peers"];
  await setup();
  await installPackages(chosen);
  if (chosen.natives) await buildNatives();
  else if (chosen.library) await build();
  const args = [join(folder, chosen.file), ...(isNamed || first === undefined ? rest : [first, ...rest])];
  const child = spawn(toolPath("bun"), args, { cwd: root, stdio: "inherit" });
  process.exitCode = await new Promise((done, fail) => child.on("error", fail).on("close", (code) => done(code ?? 1)));
}

main(import.meta.url, bench);
