/**
 * llama.cpp's own tools (llama-quantize, llama-imatrix, llama-perplexity), built once from the source that node-llama-cpp
 * carries as a git bundle; 6 to 20 minutes. `LIGHTGPT_LLAMA_TOOLS` names a folder that has them already.
 *
 *     node bench/peers/tools.mjs      # builds them, unless that was done, and says where they are
 *
 * AMX is left out: GCC 12 drops the stores of `_tile_loadconfig`.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Failure, main, root, run } from "../../scripts/tools.js";

/** The tools that the record of quality needs. */
export const names = ["llama-quantize", "llama-imatrix", "llama-perplexity"];
const modules = join(root, "bench", "peers", "node_modules");
const sources = join(modules, ".tools");

/**
 * Where the tools are, and the commit that they were built from. Builds them where they are nowhere.
 *
 * @returns {Promise<{ folder: string, commit: string }>}
 */
export async function llamaTools(env = process.env) {
  const named = env.LIGHTGPT_LLAMA_TOOLS;
  const folder = named ?? join(sources, "build", "bin");
  const missing = () => names.filter((name) => !existsSync(join(folder, name)));
  if (named !== undefined && missing().length > 0) {
    throw new Failure(`LIGHTGPT_LLAMA_TOOLS: ${named} has no ${missing().join(", ")}`);
  }
  if (missing().length > 0) await buildTools();
  const { code, output } = await run(join(folder, "llama-perplexity"), ["--version"]);
  const commit = /commit ([0-9a-f]{7,40})/.exec(output)?.[1];
  if (code !== 0 || commit === undefined) throw new Failure(`${folder}: llama-perplexity --version names no commit`);
  return { folder, commit };
}

async function buildTools() {
  const bundle = join(modules, "node-llama-cpp", "llama", "gitRelease.bundle");
  console.error("lightgpt: building llama.cpp's tools, once (6 to 20 minutes) ...");
  const step = async (program, words, options = {}) => {
    const { code, output } = await run(program, words, options);
    if (code !== 0) throw new Failure(`${program} ${words[0]} failed: ${output.trim().slice(-500)}`);
  };
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  if (!existsSync(bundle)) await step(npm, ["ci", "--ignore-scripts"], { cwd: join(root, "bench", "peers") });
  if (!existsSync(sources)) await step("git", ["clone", "--quiet", bundle, sources]);
  const off = ["AMX_TILE", "AMX_INT8", "AMX_BF16"].map((name) => `-DGGML_${name}=OFF`);
  const parts = ["TESTS", "EXAMPLES", "SERVER", "CURL", "OPENSSL"].map((name) => `-DLLAMA_${name}=OFF`);
  const build = join(sources, "build");
  await step("cmake", ["-S", sources, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", ...off, ...parts]);
  await step("cmake", ["--build", build, "-j", `${cpus().length}`, "--target", ...names]);
}

main(import.meta.url, async () => {
  const { folder, commit } = await llamaTools();
  console.log(`${folder}, commit ${commit}`);
});
