/**
 * `npm run package`: the package as users get it, in dist/jsr: sources, the small model, the library for every platform,
 * and a table of their SHA-256 sums in `ffi/sums.ts`; in dist/npm the same as JavaScript with types, for neither Node nor
 * Deno reads TypeScript below node_modules, in a syntax that an old Node can read and refuse; then the .tgz of that. `--here` takes only the library of this machine, which
 * is enough to try a package and is what the tests do. docs/releasing.md says how they are published.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { transform } from "esbuild";
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
  "cli",
  "exports",
  "ffi",
  "src",
  "models",
  "README.md",
  "CHANGELOG.md",
  "LICENSE",
];

/**
 * Lays the package out for JSR in `folder`, with the library of all platforms, of `only` some, or of this machine (`here`).
 * Returns its paths.
 */
export async function stage(folder, { here = false, only = platforms.map((platform) => platform.folder) } = {}) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const source of sources) cpSync(join(root, source), join(folder, source), { recursive: true });
  if (here) await stageHere(folder);
  else await stageOthers(folder, only);
  const assets = filesOf(folder).filter((path) => path.startsWith("lib/") || path.endsWith(".gguf"));
  writeFileSync(join(folder, "ffi", "sums.ts"), sumsModule(folder, assets));
  writeFileSync(join(folder, "deno.json"), text(denoManifest()));
  return filesOf(folder);
}

async function stageHere(folder) {
  await build();
  const musl = process.platform === "linux" && /\/ld-musl-/.test(readFileSync("/proc/self/maps", "utf8"));
  const target = join(folder, "lib", `${process.platform}-${process.arch}${musl ? "-musl" : ""}`);
  mkdirSync(target, { recursive: true });
  cpSync(library, join(target, library.split(/[\\/]/).at(-1)));
}

async function stageOthers(folder, only) {
  for (const { target, folder: name } of platforms.filter((platform) => only.includes(platform.folder))) {
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

/** Our deno.json without what only we need. */
function denoManifest() {
  const { name, version, license, exports, imports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const used = Object.entries(imports).filter(([, target]) => target.startsWith("npm:"));
  // "!": also where a .gitignore around it says otherwise, as ours does.
  const publish = { exclude: ["!lib", "!models"] };
  return { name, version, license, exports, imports: Object.fromEntries(used), publish };
}

/** Packages that have some hundred files each, and the one module that names them: of that, npm's package has a bundle. */
export const bundled = { module: "src/server/libraries", names: ["hono", "zod"] };

/** What installing the package brings. */
export function installedDependencies() {
  return Object.fromEntries(Object.entries(manifest.dependencies).filter(([name]) => !bundled.names.includes(name)));
}

/** Our package.json without what only we need: installing the package brings its dependencies, and runs no script. */
function packageManifest() {
  const { name, version, description, license, type, exports, bin, peerDependencies, peerDependenciesMeta } = manifest;
  const compiled = (path) => path.replace(/\.ts$/, "");
  const conditions = (path) => ({ types: `${compiled(path)}.d.ts`, default: `${compiled(path)}.js` });
  return {
    name,
    version,
    description,
    license,
    type,
    exports: {
      ...Object.fromEntries(Object.entries(exports).map(([from, to]) => [from, conditions(to)])),
      // Bundlers and compilers put these files into a program, as a path.
      ...Object.fromEntries(
        assetFolders.map((name) => [`./${name}/*`, { types: "./asset.d.ts", default: `./${name}/*` }]),
      ),
    },
    bin: Object.fromEntries(Object.entries(bin).map(([command, path]) => [command, `${compiled(path)}.js`])),
    dependencies: installedDependencies(),
    // The clients of NATS: only a cluster needs them.
    peerDependencies,
    peerDependenciesMeta,
    engines: { bun: ">=1.4", deno: ">=2.9", node: ">=26.10" },
    publishConfig: { access: "public" },
  };
}

/** Folders whose files are no code. */
const assetFolders = ["lib", "models"];
const assetTypes =
  "/** The path of a file that a bundler has put into a program. */\ndeclare const path: string;\nexport default path;\n";

function text(json) {
  return JSON.stringify(json, null, 2) + "\n";
}

/** The JSR package of `folder` as JavaScript with types, in `target`, for npm. */
export async function compile(folder, target) {
  const unpacked = join(target, "package");
  const tgz = join(target, "compiled.tgz");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  await packModules(folder, tgz);
  await must("tar", ["-xzf", "compiled.tgz"], { cwd: target });
  rmSync(tgz);
  for (const name of readdirSync(unpacked)) renameSync(join(unpacked, name), join(target, name));
  rmSync(unpacked, { recursive: true });
  writeFileSync(join(target, "package.json"), text(packageManifest()));
  writeFileSync(join(target, "asset.d.ts"), assetTypes);
  await bundle(join(target, `${bundled.module}.js`));
  for (const path of filesOf(target).filter((path) => path.endsWith(".js"))) await lower(join(target, path));
  const missing = filesOf(folder).filter((path) => path !== "deno.json" && !/\.ts$/.test(path))
    .filter((path) => !existsSync(join(target, path)));
  if (missing.length > 0) throw new Failure(`deno pack left out ${missing.join(", ")}`);
}

/** Puts the packages that a module names into it, with their licences. */
async function bundle(path) {
  const words = ["build", join(root, `${bundled.module}.ts`), "--target=node", "--outfile", path];
  await must(toolPath("bun"), words, { cwd: root });
  const licences = bundled.names.map((name) => {
    const { version } = JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim()}`;
  });
  writeFileSync(path, `/*!\n${licences.join("\n\n")}\n*/\n${readFileSync(path, "utf8")}`);
}

/** `deno pack` of a folder; what it takes are the exports and what they import, so the commands are exports for the while. */
async function packModules(folder, tgz) {
  const path = join(folder, "deno.json");
  const before = readFileSync(path, "utf8");
  const { exports, ...rest } = JSON.parse(before);
  const commands = Object.entries(manifest.bin).map(([name, file]) => [`./bin/${name}`, file]);
  writeFileSync(path, text({ ...rest, exports: { ...exports, ...Object.fromEntries(commands) } }));
  try {
    await denoIn(folder, ["pack", "--quiet", "--allow-dirty", "--no-source-maps", "--output", tgz]);
  } finally {
    writeFileSync(path, before);
  }
}

/** Rewrites a module in the syntax of Node 20, so that an older Node than is needed says so instead of failing to parse it. */
async function lower(path) {
  const { code } = await transform(readFileSync(path, "utf8"), { target: "node20", format: "esm", charset: "utf8" });
  writeFileSync(path, code);
}

/** What JSR would say to the package of `folder`; fails where it would refuse it, or where a file would be left out. */
export async function publishDry(folder) {
  const output = await denoIn(folder, ["publish", "--dry-run", "--allow-dirty"]);
  const missing = filesOf(folder).filter((path) => !output.includes(`/${path} (`));
  if (missing.length > 0) throw new Failure(`deno publish would leave out ${missing.join(", ")}`);
  return output;
}

/** Runs Deno in a folder that borrows our dependencies for the while; it finds them by a package.json. */
async function denoIn(folder, words) {
  const modules = join(folder, "node_modules");
  const json = join(folder, "package.json");
  symlinkSync(join(root, "node_modules"), modules, "junction");
  writeFileSync(json, text({ ...packageManifest(), exports: undefined }));
  try {
    return await must(toolPath("deno"), words, { cwd: folder, env: { ...process.env, NO_COLOR: "1" } });
  } finally {
    rmSync(modules);
    rmSync(json);
  }
}

async function must(program, words, options) {
  const { code, output } = await run(program, words, options);
  if (code !== 0) throw new Failure(`${program} ${words[0]} failed:\n${output.trim()}`);
  return output;
}

/** Packs `folder` into a .tgz beside it; its bytes and path. */
export async function pack(folder) {
  const destination = join(folder, "..");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const output = await must(npm, ["pack", "--json", "--pack-destination", destination], { cwd: folder });
  const path = join(destination, JSON.parse(output.slice(output.indexOf("["))).at(0).filename);
  return { path, bytes: statSync(path).size };
}

/** Unpacks a .tgz where an installation would have put it in `folder`, beside links to our copies of its dependencies. */
export async function install(tgz, folder) {
  const target = join(folder, "node_modules", ...manifest.name.split("/"));
  mkdirSync(target, { recursive: true });
  await must("tar", ["-xzf", tgz, "--strip-components=1", "-C", target], {});
  writeFileSync(
    join(folder, "package.json"),
    text({ type: "module", dependencies: { [manifest.name]: manifest.version } }),
  );
  for (const name of dependencies(Object.keys(installedDependencies()))) {
    const link = join(folder, "node_modules", ...name.split("/"));
    if (existsSync(link)) continue;
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", ...name.split("/")), link, "junction");
  }
  return target;
}

/** These packages and those that they need. */
export function dependencies(names) {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const found = new Set();
  const visit = (name) => {
    if (found.has(name)) return;
    found.add(name);
    Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {}).forEach(visit);
  };
  names.forEach(visit);
  return [...found];
}

main(import.meta.url, async () => {
  await setup();
  const here = process.argv.includes("--here");
  const [jsr, npm] = ["jsr", "npm"].map((name) => join(root, "dist", name));
  await stage(jsr, { here });
  await compile(jsr, npm);
  const { path, bytes } = await pack(npm);
  const most = here ? bytesMost.here : bytesMost.all;
  console.log(`${path}: ${(bytes / 1e6).toFixed(1)} MB, ${filesOf(npm).length} files`);
  if (bytes > most) throw new Failure(`the package has ${bytes} bytes; at most ${most} are allowed`);
});
