/**
 * `npm run arm64`: what users of 64-bit ARM get, tried on an x86-64 Linux machine: the library for aarch64-linux at each
 * of its levels, `LightGPT` and the command, on npm's arm64 Bun and Deno under qemu-user. Everything must be the same, bit
 * for bit, as here. What it needs and cannot get is named, and that part is skipped; everything fetched stays in
 * node_modules/.cache. The Zig tests of arm64 code are part of `npm test`.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { build } from "./build.js";
import { stage } from "./package.js";
import { setup } from "./setup.js";
import { Failure, main, root, run, toolPath, tools } from "./tools.js";

const cache = join(root, "node_modules", ".cache", "lightgpt-arm64");

/** The runtimes as npm has them, and the processor levels that each is tried at. */
const runtimes = [
  { name: "bun", package: "@oven/bun-linux-aarch64", program: "bin/bun", levels: ["baseline", "dotprod", "i8mm"] },
  { name: "deno", package: "@deno/linux-arm64-glibc", program: "deno", levels: ["i8mm"] },
];

/** Debian's packages of the arm64 C library, and where they and their likes on other systems put it. */
const libc = {
  packages: ["libc6-arm64-cross", "libgcc-s1-arm64-cross"],
  places: ["/usr/aarch64-linux-gnu", "/usr/aarch64-redhat-linux/sys-root/fc"],
};

/** A part that cannot be tried here, and why. */
class Skip extends Error {}

function findQemu() {
  const names = ["qemu-aarch64", "qemu-aarch64-static"];
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  const found = places.find(existsSync);
  if (found === undefined) throw new Skip("qemu-aarch64 is not installed (Debian, Ubuntu: apt-get install qemu-user)");
  return found;
}

/** A folder with lib/ld-linux-aarch64.so.1: of the system, of ours, or fetched now, which needs no rights. */
async function findSysroot() {
  const fetched = join(cache, "sysroot");
  const places = [process.env.QEMU_LD_PREFIX, ...libc.places, join(fetched, "usr", "aarch64-linux-gnu")];
  const find = () => places.find((place) => place && existsSync(join(place, "lib", "ld-linux-aarch64.so.1")));
  if (find() !== undefined) return find();
  const wanted = `the arm64 C library is not at hand (apt-get install ${libc.packages.join(" ")}, or QEMU_LD_PREFIX)`;
  mkdirSync(fetched, { recursive: true });
  const got = await run("apt-get", ["download", ...libc.packages], { cwd: fetched });
  if (got.code !== 0) throw new Skip(wanted);
  for (const name of readdirSync(fetched).filter((file) => file.endsWith(".deb"))) {
    const { code } = await run("dpkg", ["-x", name, "."], { cwd: fetched });
    if (code !== 0) throw new Skip(wanted);
  }
  return find() ?? (() => {
    throw new Skip(wanted);
  })();
}

/** A runtime's arm64 program of the pinned version, from npm. */
async function findRuntime({ name, package: spec, program }) {
  const { version } = tools.find((tool) => tool.name === name);
  const folder = join(cache, `${name}-${version}`);
  if (existsSync(join(folder, program))) return join(folder, program);
  const unfinished = `${folder}.part`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  console.error(`lightgpt: fetching ${spec} ${version} ...`);
  const { code, output } = await run("npm", ["pack", "--silent", `${spec}@${version}`], { cwd: unfinished });
  if (code !== 0) throw new Skip(`${spec} ${version} cannot be had from npm: ${output.trim().split("\n")[0]}`);
  const unpacked = await run("tar", ["-xzf", output.trim(), "--strip-components=1"], { cwd: unfinished });
  if (unpacked.code !== 0) throw new Failure(`${spec} cannot be unpacked: ${unpacked.output}`);
  renameSync(unfinished, folder);
  return join(folder, program);
}

/** Runs a program to its end; its standard output, or a failure. */
function output(program, words, env = {}) {
  const child = spawn(program, words, { cwd: root, env: { ...process.env, NO_COLOR: "1", ...env } });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  child.stdin.end();
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => {
      if (code === 0) return done(stdout);
      fail(new Failure(`${program} ${words.join(" ")} ended with ${code ?? signal}:\n${stderr.trim()}`));
    });
  });
}

/** The words after a runtime's program that run a file of the staged package. */
function words(runtime, folder, file, rest) {
  const start = runtime.name === "deno" ? ["run", "--allow-all", "--no-prompt", "--no-check", "--quiet"] : [];
  return [...start, join(folder, file), ...rest];
}

const told = ["run", "The red fox", "--max-tokens", "20", "--seed", "11"];

async function tryRuntime(runtime, qemu, folder, expected) {
  const sysroot = await findSysroot();
  const program = await findRuntime(runtime);
  const emulated = (file, rest, level) =>
    output(qemu, ["-cpu", "max", "-L", sysroot, program, ...words(runtime, folder, file, rest)], {
      LIGHTGPT_CPU: level,
    });
  for (const level of runtime.levels) {
    const facts = await emulated("smoke.ts", ["./mod.ts"], level);
    if (facts !== expected.facts) {
      throw new Failure(`${runtime.name} at ${level} says\n${facts}, not\n${expected.facts}`);
    }
    console.log(`${runtime.name} aarch64, ${level}: the same facts as on x86-64`);
  }
  const story = await emulated("cli/main.ts", told, runtime.levels.at(-1));
  if (story !== expected.story) throw new Failure(`${runtime.name}'s command says ${story}, not ${expected.story}`);
  console.log(`${runtime.name} aarch64, the command: the same story as on x86-64`);
}

main(import.meta.url, async () => {
  await setup();
  await build();
  const folder = join(root, "dist", "arm64");
  await stage(folder, { only: ["linux-arm64"] });
  cpSync(join(root, "scripts", "smoke.ts"), join(folder, "smoke.ts"));
  let skipped = 0;
  try {
    if (process.platform !== "linux" || process.arch !== "x64") {
      throw new Skip("this compares with an x86-64 Linux machine");
    }
    const qemu = findQemu();
    const expected = {};
    for (const runtime of runtimes) {
      const here = (file, rest) => output(toolPath(runtime.name), words(runtime, root, file, rest));
      const [facts, story] = [await here("scripts/smoke.ts", ["../mod.ts"]), await here("cli/main.ts", told)];
      if (facts !== (expected.facts ??= facts)) throw new Failure(`${runtime.name} differs from bun on this machine`);
      if (story !== (expected.story ??= story)) throw new Failure(`${runtime.name}'s story differs on this machine`);
    }
    for (const runtime of runtimes) {
      try {
        await tryRuntime(runtime, qemu, folder, expected);
      } catch (error) {
        if (!(error instanceof Skip)) throw error;
        skipped++;
        console.log(`${runtime.name} aarch64: SKIPPED, ${error.message}`);
      }
    }
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
    skipped++;
    console.log(`aarch64: SKIPPED, ${error.message}`);
  }
  console.log(skipped === 0 ? "arm64: everything tried" : "arm64: the library was built, not everything tried");
});
