/**
 * `npm run package`: the package as users get it, in dist/jsr: sources, the small model, the library for every platform,
 * and a table of their SHA-256 sums in `ffi/sums.ts`; in dist/npm the same as JavaScript with types, for neither Node nor
 * Deno reads TypeScript below node_modules: in few files, with the packages that it depends on, in a syntax that an old Node
 * can read and refuse; then the .tgz of that. `--here` takes only the library of this machine, which
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
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { build as esbuild } from "esbuild";
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

/** What one of a single platform may take where it is installed. */
export const installedMost = { bytes: 7.2e6, files: 300 };

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

/** Packages that npm's package has inside, so that installing it brings nothing else. */
export const bundled = dependencies(Object.keys(manifest.dependencies));

/** Our package.json without what only we need: installing the package brings its dependencies, and runs no script. */
function packageManifest() {
  const { name, version, description, keywords, license, type, exports, bin } = manifest;
  const { peerDependencies, peerDependenciesMeta } = manifest;
  const conditions = (path) => ({ types: path.replace(/\.ts$/, ".d.ts"), default: `./${outputOf(path)}.js` });
  return {
    name,
    version,
    description,
    keywords,
    license,
    type,
    exports: {
      ...Object.fromEntries(Object.entries(exports).map(([from, to]) => [from, conditions(to)])),
      // Bundlers and compilers put these files into a program, as a path.
      ...Object.fromEntries(
        assetFolders.map((name) => [`./${name}/*`, { types: "./asset.d.ts", default: `./${name}/*` }]),
      ),
    },
    bin: Object.fromEntries(Object.entries(bin).map(([command, path]) => [command, `./${outputOf(path)}.js`])),
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
  // Of what Deno makes, the types are wanted.
  for (const path of filesOf(unpacked).filter((path) => path.endsWith(".js"))) rmSync(join(unpacked, path));
  for (const name of readdirSync(unpacked)) renameSync(join(unpacked, name), join(target, name));
  rmSync(unpacked, { recursive: true });
  writeFileSync(join(target, "package.json"), text(packageManifest()));
  writeFileSync(join(target, "asset.d.ts"), assetTypes);
  writeFileSync(join(target, "LICENSES.txt"), licences());
  writeFileSync(join(target, "README.md"), readme(target));
  await bundle(folder, target);
  removeEmpty(target);
  const missing = filesOf(folder).filter((path) => path !== "deno.json" && !/\.ts$/.test(path))
    .filter((path) => !existsSync(join(target, path)));
  if (missing.length > 0) throw new Failure(`deno pack left out ${missing.join(", ")}`);
}

/** Where the module of an export or a command goes: all in folders of the same depth, beside that of their common parts. */
function outputOf(path) {
  return path === "./mod.ts" ? "exports/mod" : path.slice("./".length, -".ts".length);
}

/** Puts the modules of the JSR package into few files, with what they depend on; what is loaded on demand stays apart. */
async function bundle(folder, target) {
  const entries = [...Object.values(manifest.exports), ...Object.values(manifest.bin)];
  const options = { platform: "node", format: "esm", target: "node20", charset: "utf8", logLevel: "error" };
  const here = "ffi/here";
  await esbuild({ ...options, entryPoints: [join(folder, `${here}.ts`)], outfile: join(target, `${here}.js`) });
  await esbuild({
    ...options,
    bundle: true,
    splitting: true,
    entryPoints: Object.fromEntries(entries.map((path) => [outputOf(path), join(folder, path)])),
    outdir: target,
    chunkNames: "chunks/[name]-[hash]",
    // Names stay, for stack traces and for what console.log shows of an object.
    minifyWhitespace: true,
    minifySyntax: true,
    nodePaths: [join(root, "node_modules")],
    external: Object.keys(manifest.peerDependencies),
    plugins: [{ name: "package", setup: (build) => resolveParts(build, `../${here}.js`) }],
  });
  for (const path of filesOf(target).filter((path) => path.endsWith(".js"))) withNames(join(target, path));
}

/** `var A = class _A` is how esbuild writes a class that names itself; what is seen of it should be A. */
function withNames(path) {
  const code = readFileSync(path, "utf8");
  const names = Array.from(code.matchAll(/\b(\w+)=class _\1\b/g), ([, name]) => name);
  if (names.length > 0) writeFileSync(path, code.replace(new RegExp(`\\b_(${names.join("|")})\\b`, "g"), "$1"));
}

/** The module that knows where the package lies stays a file of its own; a CommonJS module has Node's parts by a call. */
function resolveParts(build, here) {
  build.onResolve({ filter: /\/here\.ts$/ }, () => ({ path: here, external: true }));
  build.onResolve(
    { filter: /^(node:)?[a-z_/]+$/ },
    ({ path, kind }) => kind === "require-call" && isBuiltin(path) ? { path, namespace: "builtin" } : undefined,
  );
  build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
    contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
  }));
  build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => ({
    contents: withSiblings(readFileSync(path, "utf8")),
    loader: "ts",
  }));
}

/** A module with those parts of its own folder that it loads on demand: in a bundle these cost little, and files cost more. */
function withSiblings(code) {
  const imports = [];
  const inner = code.replace(/await import\("(\.\/[^"]+)"\)/g, (_, path) => {
    const name = `sibling${imports.length}`;
    imports.push(`import * as ${name} from "${path}";\n`);
    return name;
  });
  return inner + imports.join("");
}

/** The README with those links that lead to files of the package; pages of the repository are named, for it has no address yet. */
function readme(target) {
  const text = readFileSync(join(root, "README.md"), "utf8");
  return text.replace(/(!?)\[([^\]]*)\]\(([^):#]+)(#[^)]*)?\)/g, (link, image, words, path) => {
    if (existsSync(join(target, path))) return link;
    if (image === "!") return "";
    return words === path ? `\`${path}\`` : `${words} (\`${path}\` of the repository)`;
  });
}

/** The licences of what is inside. */
function licences() {
  return bundled.map((name) => {
    const folder = join(root, "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  }).join("\n----\n\n");
}

function removeEmpty(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const inner = join(folder, entry.name);
    removeEmpty(inner);
    if (readdirSync(inner).length === 0) rmSync(inner, { recursive: true });
  }
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

/** Unpacks a .tgz where an installation would have put it in `folder`. */
export async function install(tgz, folder) {
  const target = join(folder, "node_modules", ...manifest.name.split("/"));
  mkdirSync(target, { recursive: true });
  await must("tar", ["-xzf", tgz, "--strip-components=1", "-C", target], {});
  writeFileSync(
    join(folder, "package.json"),
    text({ type: "module", dependencies: { [manifest.name]: manifest.version } }),
  );
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
