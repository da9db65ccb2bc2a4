/**
 * `npm run bench`: LightGPT beside llama.cpp and beside what the machine can do (`bench/run.ts`), or with `headline`,
 * `speculation`, `quality`, `draw` or `plots` as the first word the table against a plain program, answers with guessed tokens
 * and without, the record of quality, the pictures of
 * the records, or those of `docs/sampling.md`. The peer and the plotting
 * library are packages of their own, installed when they are first needed, so that users never get them. Other arguments
 * are passed on.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.js";
import { setup } from "./setup.js";
import { Failure, main, root, run, toolPath } from "./tools.js";

const folder = join(root, "bench");

/** What each first word runs, and the package that it needs. */
const benches = {
  peers: { file: "run.ts", packages: "peers", needs: "node-llama-cpp", natives: true, direct: true },
  headline: { file: "headline.ts", natives: true },
  speculation: { file: "speculation.ts", library: true },
  quality: { file: "quality/main.ts", library: true },
  draw: { file: "charts/draw.mjs", packages: "charts", needs: "echarts" },
  plots: { file: "charts/sampling.mjs", packages: "charts", needs: "echarts", library: true },
};

async function installPackages({ packages, needs }) {
  if (packages === undefined || existsSync(join(folder, packages, "node_modules", needs))) return;
  console.error(`lightgpt: installing ${needs} into bench/${packages} ...`);
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  // What the packages bring is enough: onnxruntime-node's script would fetch CUDA from a server that may be out of reach.
  const words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { code, output } = await run(npm, words, { cwd: join(folder, packages) });
  if (code !== 0) throw new Failure(`npm could not install ${needs}: ${output.trim().slice(-300)}`);
}

/**
 * llama.cpp as a program, without a binding between: compiled against the headers that node-llama-cpp brings in a bundle, linked
 * with its libraries. It needs git and a C++ compiler; without them the rows against it are left out.
 */
async function buildDirect() {
  const modules = join(folder, "peers", "node_modules");
  const built = join(modules, ".direct");
  if (existsSync(join(built, "without-amx"))) return;
  const platform = `${process.platform === "darwin" ? "mac" : process.platform}-${process.arch}`;
  const backends = join(modules, "@node-llama-cpp", platform, "bins", platform);
  const attempt = async () => {
    if (process.platform !== "linux") return "so far this is for Linux only";
    const bundle = join(modules, "node-llama-cpp", "llama", "gitRelease.bundle");
    const sources = join(built, "llama.cpp");
    if (!existsSync(sources)) {
      const { code, output } = await run("git", ["clone", "--quiet", bundle, sources]);
      if (code !== 0) return output;
    }
    const libraries = readdirSync(backends).filter((name) => /^lib(llama|ggml)\.v|^libggml-base\.so/.test(name))
      .map((name) => join(backends, name));
    const include = ["include", "ggml/include"].map((name) => `-I${join(sources, name)}`);
    const words = ["-O2", "-std=c++17", ...include, join(folder, "peers", "direct.cpp"), "-o", join(built, "direct")];
    const { code, output } = await run("c++", [...words, ...libraries, `-Wl,-rpath,${backends}`]);
    return code === 0 ? undefined : output;
  };
  const problem = await attempt();
  if (problem !== undefined) {
    console.error(
      `lightgpt: no program of llama.cpp to compare with, only node-llama-cpp: ${problem.trim().slice(-300)}`,
    );
    return;
  }
  const { release } = JSON.parse(
    readFileSync(join(modules, "node-llama-cpp", "llama", "binariesGithubRelease.json"), "utf8"),
  );
  const version = `llama.cpp ${release}, as a program, node-llama-cpp's prebuilt libraries`;
  const backendsWithoutAmx = linkWithoutAmx(backends, join(built, "without-amx"));
  writeFileSync(join(built, "direct.json"), JSON.stringify({ backends, backendsWithoutAmx, version }) + "\n");
}

/** A folder with llama.cpp's backends but for the one that has AMX: of those that are there it takes the best. */
function linkWithoutAmx(backends, folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(backends)) {
    const link = join(folder, name);
    if (/^libggml-cpu-/.test(name) && !/sapphirerapids/.test(name) && !existsSync(link)) {
      symlinkSync(join(backends, name), link);
    }
  }
  return folder;
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
  if (chosen.direct) await buildDirect();
  const args = [join(folder, chosen.file), ...(isNamed || first === undefined ? rest : [first, ...rest])];
  const child = spawn(toolPath("bun"), args, { cwd: root, stdio: "inherit" });
  process.exitCode = await new Promise((done, fail) => child.on("error", fail).on("close", (code) => done(code ?? 1)));
}

main(import.meta.url, bench);
