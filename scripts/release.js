/**
 * `npm run release -- --check`: whether this checkout could be released. Versions are the same everywhere and the changelog
 * has them with a date; the tables of docs/ are current; both packages, for all platforms, are within their sizes and need
 * nothing native; then the packed .tgz is tried in an empty folder, on both runtimes. `--here` packs the library of this
 * machine only, which takes a minute instead of ten. Each line says what held; the first that doesn't ends it.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "./build.js";
import { bytesMost, compile, dependencies, install, pack, platforms, publishDry, stage } from "./package.js";
import { setup } from "./setup.js";
import { Failure, main, manifest, root, run, toolPath } from "./tools.js";

function read(path) {
  return readFileSync(join(root, path), "utf8");
}

/** The version that each place names. */
export function versions(text = read) {
  const found = (path, pattern) => text(path).match(pattern)?.[1];
  return {
    "package.json": JSON.parse(text("package.json")).version,
    "package-lock.json": JSON.parse(text("package-lock.json")).version,
    "deno.json": JSON.parse(text("deno.json")).version,
    "build.zig.zon": found("build.zig.zon", /\.version = "([^"]+)"/),
    "kernels/wire.zig": found("kernels/wire.zig", /version = "([^"]+)"/),
    "ffi/wire.ts": found("ffi/wire.ts", /VERSION = "([^"]+)"/),
    "CHANGELOG.md": found("CHANGELOG.md", /^## (\S+)/m),
  };
}

/** Everything wrong with the versions and the changelog. */
export function versionViolations(text = read) {
  const all = versions(text);
  const wanted = all["package.json"];
  const different = Object.entries(all).filter(([, version]) => version !== wanted)
    .map(([path, version]) => `${path} has the version ${version}, package.json ${wanted}`);
  const title = text("CHANGELOG.md").match(/^## .*/m)?.[0] ?? "";
  const isDated = /^## \S+ \(\d{4}-\d{2}-\d{2}\)$/.test(title);
  return isDated
    ? different
    : [...different, `CHANGELOG.md begins with "${title}"; expected "## ${wanted} (YYYY-MM-DD)"`];
}

/** Everything wrong with what the package depends on at run time. */
export function dependencyViolations() {
  return dependencies(Object.keys(manifest.dependencies)).flatMap((name) => {
    const folder = join(root, "node_modules", name);
    const { scripts = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const installs = ["preinstall", "install", "postinstall"].filter((script) => scripts[script] !== undefined);
    const native = readdirSync(folder, { recursive: true }).map(String)
      .filter((file) => /\.(node|so|dylib|dll|gyp)$/.test(file));
    const named = read("README.md").includes(`\`${name}\``) || !Object.hasOwn(manifest.dependencies, name);
    return [
      ...installs.map((script) => `${name} runs a script when it is installed: ${script}`),
      ...native.map((file) => `${name} has native parts: ${file}`),
      ...(named ? [] : [`README.md doesn't say what ${name} is for`]),
    ];
  });
}

/** Whether tables are current: as `npm run tables` would write them. */
async function tables() {
  await must(toolPath("bun"), ["test", join(root, "test", "tables.test.ts")], { cwd: root });
}

async function must(program, words, options) {
  const { code, output } = await run(program, words, options);
  if (code !== 0) throw new Failure(`${program} ${words.join(" ")} ended with ${code}:\n${output.trim()}`);
  return output;
}

/** Packs both packages; returns where they lie. */
async function packages(here) {
  const [jsr, npm] = ["jsr", "npm"].map((name) => join(root, "dist", name));
  const files = await stage(jsr, { here });
  for (const { folder } of here ? [] : platforms) {
    if (!files.some((path) => path.startsWith(`lib/${folder}/`))) throw new Failure(`no library for ${folder}`);
  }
  await compile(jsr, npm);
  await publishDry(jsr);
  const { path, bytes } = await pack(npm);
  const most = here ? bytesMost.here : bytesMost.all;
  if (bytes > most) throw new Failure(`${path} has ${bytes} bytes; at most ${most} are allowed`);
  return { path, megabytes: (bytes / 1e6).toFixed(1) };
}

/** Tries the packed .tgz in an empty folder. */
async function tryPacked(path) {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-release-"));
  try {
    const installed = await install(path, folder);
    cpSync(join(root, "scripts", "smoke.ts"), join(folder, "smoke.ts"));
    cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
    mkdirSync(join(folder, "examples"));
    for (const name of readdirSync(join(root, "examples"))) {
      const text = read(`examples/${name}`).replaceAll('"../mod.ts"', JSON.stringify(manifest.name));
      writeFileSync(join(folder, "examples", name), text);
    }
    writeFileSync(join(folder, "prompts.jsonl"), '{"prompt":"The fox"}\n{"prompt":"The hen"}\n');
    const said = {};
    for (const runtime of ["bun", "deno"]) {
      const flags = runtime === "deno" ? ["run", "-A", "--no-prompt", "--no-check", "--quiet"] : [];
      const start = (file, ...rest) => must(toolPath(runtime), [...flags, file, ...rest], { cwd: folder });
      const facts = await start("smoke.ts", manifest.name);
      if (facts !== (said.facts ??= facts)) throw new Failure(`deno says\n${facts}, not\n${said.facts}`);
      const version = (await start(join(installed, "cli/main.js"), "--version")).trim();
      if (version !== `lightgpt ${manifest.version}`) throw new Failure(`the command says ${version}`);
      const story = await start(
        join(installed, "cli/main.js"),
        "run",
        "The red fox",
        "--max-tokens",
        "9",
        "--seed",
        "1",
      );
      if (!/[a-z]{2}/.test(story)) throw new Failure(`the command tells no story: ${story}`);
      const words = { "batch.ts": ["prompts.jsonl"], "summarize.ts": ["LICENSE"] };
      // A server and a chat don't end by themselves; test/examples.test.ts talks to them.
      const names = readdirSync(join(folder, "examples")).filter((name) => !["serve.ts", "chat.ts"].includes(name));
      for (const name of names) await start(join("examples", name), ...(words[name] ?? []));
      console.log(`${runtime}: a little of everything, the command, ${names.length} examples, from the .tgz`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main(import.meta.url, async () => {
  const words = process.argv.slice(2);
  const unknown = words.find((word) => !["--check", "--here"].includes(word));
  if (unknown !== undefined || !words.includes("--check")) {
    throw new Failure("npm run release -- --check [--here]; docs/releasing.md says how to publish");
  }
  await setup();
  await build();
  // Told at the end, so that the rest can be tried before the day is known.
  const wrong = [...versionViolations(), ...dependencyViolations()];
  console.log(wrong.length === 0 ? `versions: ${manifest.version} everywhere` : wrong.join("\n"));
  await tables();
  console.log("tables: current");
  const { path, megabytes } = await packages(words.includes("--here"));
  console.log(`packages: dist/jsr would be taken by JSR; ${path} has ${megabytes} MB`);
  await tryPacked(path);
  if (wrong.length > 0) throw new Failure(`not ready: ${wrong.join("; ")}`);
  console.log("ready");
});
