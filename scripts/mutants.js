/**
 * `npm test -- mutants`: one-line faults, each put into a copy of the repository, and the tests that should notice. Those
 * that no test notices are named: a behaviour whose reason is untested. Not part of `npm test`, for it takes long; a test
 * sees that each fault of `test/mutants.json` still applies. `npm test -- mutants seed stop` tries those whose names
 * hold one of the words.
 *
 * A fault is a text that occurs once in the files of a room, and what stands there instead. Its tests are files, run by
 * Bun, or `zig: FILTER`. A fault in Zig that a file shall notice needs the library built anew, which takes a minute.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "./build.js";
import { Failure, root, run, toolPath } from "./tools.js";

/** A test file that takes longer has hung: its fault is noticed. */
const testMs = 300_000;

/** Those of `test/mutants.json`. */
export function mutants() {
  return JSON.parse(readFileSync(join(root, "test", "mutants.json"), "utf8"));
}

/** The file of a room in which a fault's text stands; throws where it stands nowhere, or more than once. */
export function placeOf({ name, room, old, new: other }, within = root) {
  const files = readdirSync(join(within, room), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|zig)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const found = files.flatMap((file) => Array(readFileSync(file, "utf8").split(old).length - 1).fill(file));
  if (old === other) throw new Failure(`the mutant "${name}" changes nothing`);
  if (found.length !== 1) {
    throw new Failure(
      `the mutant "${name}" no longer applies: ${room} has its text ${found.length} times. Where the behaviour has moved, ` +
        `give test/mutants.json the new text; where it is gone, take the mutant out:\n${old}`,
    );
  }
  return found[0];
}

/** A copy of the files that git knows or would know, with the tools and the library. */
function copy() {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-mutants-"));
  const listed = spawnSync("git", ["ls-files", "-coz", "--exclude-standard"], { cwd: root, encoding: "utf8" });
  if (listed.status !== 0) throw new Failure(`git ls-files failed: ${listed.stderr}`);
  for (const path of listed.stdout.split("\0").filter((path) => path !== "" && existsSync(join(root, path)))) {
    cpSync(join(root, path), join(folder, path));
  }
  // Not Zig's cache: it names sources by their whole paths, and would take the unchanged ones here for those of the copy.
  cpSync(join(root, "lib"), join(folder, "lib"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  return folder;
}

/** Runs a test in the copy; true where it passes. */
async function passes(folder, test) {
  const env = { ...environment(), LIGHTGPT_CACHE: join(folder, ".cache") };
  const options = { cwd: folder, env, timeout: 2 * testMs };
  if (test.startsWith("zig: ")) {
    const { code } = await run(toolPath("zig"), ["build", "test", `-Dtest-filter=${test.slice(5)}`], options);
    return code === 0;
  }
  const { code } = await run(toolPath("bun"), ["test", test, `--timeout=${testMs}`], options);
  return code === 0;
}

/** Puts a fault in, runs its tests until one fails, and takes it out; returns the test that failed. */
async function noticedBy(folder, mutant) {
  const file = placeOf(mutant, folder);
  const text = readFileSync(file, "utf8");
  const isLibrary = file.endsWith(".zig") && mutant.tests.some((test) => test.endsWith(".ts"));
  writeFileSync(file, text.replace(mutant.old, () => mutant.new));
  try {
    if (isLibrary) await build(folder);
    for (const test of mutant.tests) if (!await passes(folder, test)) return test;
    return undefined;
  } finally {
    writeFileSync(file, text);
    if (isLibrary) await build(folder);
  }
}

async function build(folder) {
  const { code, output } = await run("node", ["scripts/build.js"], { cwd: folder, env: environment() });
  if (code !== 0) throw new Failure(`a mutant does not build:\n${output}`);
}

/** Tries the faults whose names hold one of `words`, or all; counts as the other parts of `npm test` do. */
export async function tryMutants(words = []) {
  const wanted = mutants().filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  if (wanted.length === 0) throw new Failure(`no mutant's name holds ${words.join(" or ")}`);
  for (const mutant of wanted) placeOf(mutant);
  const folder = copy();
  const counts = { passed: 0, failed: 0, skipped: [], output: "" };
  try {
    // A test that fails without a fault notices nothing.
    for (const test of new Set(wanted.flatMap(({ tests }) => tests))) {
      if (!await passes(folder, test)) throw new Failure(`${test} fails without any mutant`);
    }
    for (const mutant of wanted) {
      const test = await noticedBy(folder, mutant);
      console.log(test === undefined ? `SURVIVED  ${mutant.name}` : `noticed   ${mutant.name} (${test})`);
      if (test === undefined) {
        counts.failed++;
        counts.output += `survived: ${mutant.name}; none of ${mutant.tests.join(", ")} failed\n`;
      } else counts.passed++;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return counts;
}
