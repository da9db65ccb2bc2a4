/**
 * `npm run package`: the package as users get it, in dist/: sources, the small model, the library for every platform, and
 * a table of their SHA-256 sums in `ffi/sums.ts`; then its .tgz. `--here` takes only the library of this machine, which is
 * enough to try a package and is what the tests do. Publishing is `deno publish` and `npm publish` inside dist/package.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, environment, library } from "./build.js";
import { setup } from "./setup.js";
import { Failure, main, manifest, root, run, toolPath } from "./tools.js";

/** Zig's name of each platform, and the folder in which `ffi/library.ts` looks for its library. */
export const platforms = [
  { target: "x86_64-linux", folder: "linux-x64" },
  { target: "x86_64-linux-musl", folder: "linux-x64-musl" },
  { target: "aarch64-linux", folder: "linux-arm64" },
  { target: "aarch64-linux-musl", folder: "linux-arm64-musl" },
  { target: "x86_64-macos", folder: "darwin-x64" },
  { target: "aarch64-macos", folder: "darwin-arm64" },
  { target: "x86_64-windows", folder: "win32-x64" },
];

/** What a package of all platforms may weigh, and one of a single platform. */
export const bytesMost = { all: 15e6, here: 5e6 };

const sources = [
  "mod.ts",
  "cli.ts",
  "cli",
  "ffi",
  "src",
  "models",
  "README.md",
  "CHANGELOG.md",
  "LICENSE",
  "deno.json",
];

/** Lays the package out in `folder`; `here`: with the library of this machine only. Returns its paths. */
export async function stage(folder, { here = false } = {}) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const source of sources) cpSync(join(root, source), join(folder, source), { recursive: true });
  if (here) await stageHere(folder);
  else await stageAll(folder);
  const assets = filesOf(folder).filter((path) => path.startsWith("lib/") || path.endsWith(".gguf"));
  writeFileSync(join(folder, "ffi", "sums.ts"), sumsModule(folder, assets));
  writeFileSync(join(folder, "package.json"), JSON.stringify(packageManifest(), null, 2) + "\n");
  return filesOf(folder);
}

async function stageHere(folder) {
  await build();
  const musl = process.platform === "linux" && readdirSync("/lib").some((name) => name.startsWith("ld-musl-"));
  const target = join(folder, "lib", `${process.platform}-${process.arch}${musl ? "-musl" : ""}`);
  mkdirSync(target, { recursive: true });
  cpSync(library, join(target, library.split(/[\\/]/).at(-1)));
}

async function stageAll(folder) {
  for (const { target, folder: name } of platforms) {
    console.error(`lightgpt: building the library for ${target} ...`);
    const { code, output } = await run(toolPath("zig"), ["build", `-Dtarget=${target}`], { env: environment() });
    if (code !== 0) throw new Failure(`zig build -Dtarget=${target} failed:\n${output.trim()}`);
    cpSync(join(root, "lib", target), join(folder, "lib", name), { recursive: true });
  }
}

function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1).replaceAll("\\", "/"))
    .sort();
}

/** `ffi/sums.ts` with its table filled. */
function sumsModule(folder, assets) {
  const text = readFileSync(join(root, "ffi", "sums.ts"), "utf8");
  const rows = assets.map((path) => {
    const bytes = readFileSync(join(folder, path));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return `  ${JSON.stringify(path)}: {\n    bytes: ${bytes.length},\n    sha256: "${sha256}",\n  },\n`;
  });
  const filled = text.replace(/= \{\};/, `= {\n${rows.join("")}};`);
  if (filled === text) throw new Failure("ffi/sums.ts has no empty table to fill");
  return filled;
}

/** The manifest without what only we need: whoever installs the package gets its dependencies, and no script runs. */
function packageManifest() {
  const ours = new Set(["private", "scripts", "devDependencies", "optionalDependencies", "allowScripts", "engines"]);
  const kept = Object.entries(manifest).filter(([name]) => !ours.has(name));
  return { ...Object.fromEntries(kept), engines: { bun: ">=1.4", deno: ">=2.9" } };
}

/** The bytes of the packed .tgz in `folder`'s parent, and its path. */
export async function pack(folder) {
  const destination = join(folder, "..");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { code, output } = await run(npm, ["pack", "--json", "--pack-destination", destination], { cwd: folder });
  if (code !== 0) throw new Failure(`npm pack failed:\n${output.trim()}`);
  const path = join(destination, JSON.parse(output.slice(output.indexOf("["))).at(0).filename);
  return { path, bytes: statSync(path).size };
}

main(import.meta.url, async () => {
  await setup();
  const here = process.argv.includes("--here");
  const folder = join(root, "dist", "package");
  const files = await stage(folder, { here });
  const { path, bytes } = await pack(folder);
  const most = here ? bytesMost.here : bytesMost.all;
  console.log(`${path}: ${(bytes / 1e6).toFixed(1)} MB, ${files.length} files`);
  if (bytes > most) throw new Failure(`the package has ${bytes} bytes; at most ${most} are allowed`);
});
