/**
 * The package as its users meet it: installed, imported over HTTP, compiled into one program; on each runtime what it can.
 * A server on this machine stands for the registry.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { build as esbuild } from "esbuild";
import { bundled, bytesMost, compile, install, installedMost, pack, publishDry, stage } from "../scripts/package.js";
import { toolPath } from "../scripts/tools.js";
import { note, often } from "./counts.ts";
import { repository } from "./kit.ts";

const isDeno = "Deno" in globalThis;
const isBun = "Bun" in globalThis;
const isNode = !isDeno && !isBun;
const directory = mkdtempSync(join(tmpdir(), "lightgpt-package-"));
const name = "@lightgpt/lightgpt";
const folder = join(directory, "jsr");
const npm = join(directory, "npm");
let files: string[];
let installed: string;
let bytes: number;

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(program: string, words: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const child = spawn(program, words, {
    cwd: directory,
    env: { ...process.env, NO_COLOR: "1", LIGHTGPT_CACHE: join(directory, "cache"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => outcome.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => outcome.stderr += text);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done({ ...outcome, code }));
  });
}

/** Runs a module on the runtime that runs the tests. */
function runFile(path: string, words: string[] = [], env: Record<string, string> = {}): Promise<Outcome> {
  const flags = isDeno ? ["run", "-A", "--no-prompt", "--no-check", "--quiet"] : [];
  return run(process.execPath, [...flags, path, ...words], env);
}

/** Ten lines, as in the README. */
function program(specifier: string, before = "", model = ""): string {
  return `${before}
import { LightGPT } from "${specifier}";
await using lm = await LightGPT.load(${model});
let text = "";
for await (const piece of lm.generate("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } })) text += piece;
console.log(text);
`;
}

/** All JavaScript of a package. */
function codeOf(folder: string): string {
  return readdirSync(folder, { recursive: true }).map(String).filter((path) => path.endsWith(".js"))
    .map((path) => readFileSync(join(folder, path), "utf8")).join("\n");
}

function writeProgram(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** Whether `deno compile` lacks the runtime that it puts around a program, which it would fetch. */
const noDenort = isDeno && await (async () => {
  const main = writeProgram("empty.ts", "");
  const { code, stderr } = await run(process.execPath, ["compile", "--output", join(directory, "empty"), main]);
  return code !== 0 && /Setting up base binary|denort/.test(stderr);
})();

before(async () => {
  files = await stage(folder, { here: true });
  await compile(folder, npm);
  const packed = await pack(npm);
  bytes = packed.bytes;
  installed = await install(packed.path, directory);
  // What it does not bring: a program that uses LangChain has it.
  symlinkSync(join(repository, "node_modules/@langchain"), join(directory, "node_modules/@langchain"), "junction");
});
after(() => rmSync(directory, { recursive: true, force: true }));

describe("the package", () => {
  it("has a sum for each file that is no code, and none of ours that users don't need", () => {
    const sums = readFileSync(join(folder, "ffi", "sums.ts"), "utf8");
    const assets = files.filter((path) => /\.(so|dylib|dll|gguf)$/.test(path));
    assert(assets.length >= 2);
    for (const path of assets) {
      const sum = createHash("sha256").update(readFileSync(join(folder, path))).digest("hex");
      assertStringIncludes(sums, `"${path}": {`);
      assertStringIncludes(sums, sum);
    }
    assert(!files.some((path) => /^(test|bench|kernels|scripts)\//.test(path)));
  });

  it("is small: one platform and the model within 5 MB, and installed in few files", () => {
    assertLess(bytes, bytesMost.here);
    const sizes = readdirSync(installed, { recursive: true }).map((path) => statSync(join(installed, String(path))))
      .filter((entry) => entry.isFile()).map(({ size }) => size);
    assertLess(sizes.length, installedMost.files);
    assertLess(sizes.reduce((sum, size) => sum + size, 0), installedMost.bytes);
  });

  it("runs no script when it is installed, and needs nothing that has native parts", () => {
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assertEquals([manifest.scripts, manifest.devDependencies, manifest.private], [undefined, undefined, undefined]);
    assertEquals(manifest.dependencies, undefined);
    for (const needed of bundled) {
      const path = join(repository, "node_modules", needed);
      const { scripts = {}, gypfile } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
      assertEquals(
        [scripts.install, scripts.preinstall, scripts.postinstall, gypfile],
        Array(4).fill(undefined),
        needed,
      );
      const native = readdirSync(path, { recursive: true }).map(String).filter((file) =>
        /\.(node|so|dylib|dll|gyp)$/.test(file)
      );
      assertEquals(native, [], needed);
    }
  });

  it("has what it takes from other packages inside, with their licences", () => {
    const code = codeOf(installed);
    assertGreater(bundled.length, 2);
    const licences = readFileSync(join(installed, "LICENSES.txt"), "utf8");
    for (const name of bundled) {
      assert(licences.includes(`${name} `), name);
      assert(!new RegExp(`(from|import|import\\() ?"${name}`).test(code), name);
    }
    const named = new Set(Array.from(code.matchAll(/\b(?:from|import) ?\(?"(@?\w[\w@/:.-]*)"/g), ([, name]) => name));
    const others = [...named].filter((name) => !/^node:|^@nats-io\/|^@langchain\/core|^bun:/.test(name));
    assertEquals(others, [], "it needs no other package");
  });

  it("keeps the names of its classes", async () => {
    const main = writeProgram(
      "names.ts",
      `import * as all from "${name}";
const wrong = Object.entries(all).filter(([name, value]) => /^class\\b/.test(String(value)) && value.name !== name);
console.log(wrong.map(([name, value]) => name + " is " + value.name).join());\n`,
    );
    const { code, stdout, stderr } = await runFile(main);
    assertEquals([code, stdout.trim()], [0, ""], stderr);
  });

  it("has a README whose links lead to files of the package, or to other hosts", () => {
    const readme = readFileSync(join(installed, "README.md"), "utf8");
    const targets = Array.from(readme.matchAll(/\]\(([^)#]+)[^)]*\)/g), ([, target]) => target);
    assertEquals(targets.filter((target) => !/^https?:/.test(target) && !existsSync(join(installed, target))), []);
    assert(!/\[[^\]]*\]\((docs|examples|bench)\//.test(readme));
  });

  it("has a progress bar, for which a library is inside", async () => {
    const [chunk] = readdirSync(join(installed, "chunks")).filter((path) => path.startsWith("cli-progress-"));
    const main = writeProgram(
      "bar.ts",
      `import progress from "${name.replace("@", "./node_modules/@")}/chunks/${chunk}";
const bar = new progress.SingleBar({ noTTYOutput: true, stream: process.stdout, format: "{value} of {total}" });
bar.start(2, 0); bar.update(2); bar.stop();\n`,
    );
    const { stdout, stderr } = await runFile(main);
    assertStringIncludes(stdout, "2 of 2", stderr);
  });

  it("would be taken by JSR, without slow types", { skip: !isDeno }, async () => {
    assertStringIncludes(await publishDry(folder), "Dry run complete");
  });

  it("exports the same to both registries, and all of it can be imported", async () => {
    const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
    const ours = read(join(repository, "package.json"));
    assertEquals(ours.exports, read(join(repository, "deno.json")).exports);
    const entries = Object.keys(ours.exports);
    assertEquals(Object.keys(read(join(installed, "package.json")).exports), [...entries, "./lib/*", "./models/*"]);
    const paths = entries.map((entry) => name + entry.slice(1));
    const main = writeProgram(
      "exports.ts",
      paths.map((path, index) => `import * as m${index} from ${JSON.stringify(path)};\n`).join("") +
        `console.log(JSON.stringify([${paths.map((_, index) => `Object.keys(m${index})`)}]));\n`,
    );
    const { code, stdout, stderr } = await runFile(main);
    assertEquals([code, stderr], [0, ""]);
    const [face, command, ...components] = JSON.parse(stdout) as string[][];
    assertEquals(command, ["main"]);
    // What serves, and what other packages ask, is no part of the whole, which loads nothing of either.
    const apart: Record<string, string[]> = {
      "./server": ["createServer", "listen"],
      "./ai-sdk": ["createProvider", "embeddingModel", "languageModel"],
      "./langchain": ["ChatLightGPT", "LightGPTEmbeddings"],
      "./cluster": ["openGateway", "startWorker"],
      "./embedding": [
        "Embeddings",
        "VectorIndex",
        "binarySimilarity",
        "int8Similarity",
        "similarity",
        "toBinary",
        "toInt8",
      ],
    };
    for (const [index, names] of components.entries()) {
      const entry = entries[index + 2];
      assertEquals(names.filter((exported) => !face.includes(exported)), apart[entry] ?? [], entry);
      // The other components are each named after the class that they have.
      assert(entry in apart || names.some((exported) => exported.toLowerCase().endsWith(entry.slice(2))), entry);
    }
    if (isDeno) assertEquals((await run(process.execPath, ["check", "--quiet", main])).code, 0, "the types");
  });

  it("tells a story where it is installed, and has the command", async () => {
    const main = writeProgram("installed.ts", program(name));
    const { code, stdout, stderr } = await runFile(main);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /[a-z]{2}/);
    const command = await runFile(join(installed, "cli/start.js"), [
      "run",
      "Once upon a time",
      "--max-tokens",
      "9",
      "--temperature",
      "0",
    ]);
    assertEquals([command.code, command.stdout.trim()], [0, stdout.trim()], command.stderr);
    assertMatch(readFileSync(join(installed, "cli/start.js"), "utf8"), /^#!\/usr\/bin\/env node\n/);
  });

  it("compiles into one binary with Bun, library and model inside", { skip: !isBun }, async () => {
    const library = files.find((path) => path.startsWith("lib/"));
    const inside = `import library from "${name}/${library}" with { type: "file" };
import model from "${name}/models/tinytales-q4_0.gguf" with { type: "file" };
process.env.LIGHTGPT_LIBRARY = library;`;
    const main = writeProgram("compiled.ts", program(name, inside, "model"));
    const binary = join(directory, "story");
    const built = await run(process.execPath, ["build", "--compile", main, "--outfile", binary]);
    assertEquals(built.code, 0, built.stderr);
    const cache = join(directory, "empty", "cache");
    const { code, stdout, stderr } = await run(binary, [], { LIGHTGPT_CACHE: cache });
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, (await run(process.execPath, [writeProgram("plain.ts", program(name))])).stdout);
    assert(readdirSync(cache).length >= 1);
  });

  it("compiles into one binary with Bun that finds a large model beside it", { skip: !isBun }, async () => {
    const library = files.find((path) => path.startsWith("lib/"));
    const inside = `import library from "${name}/${library}" with { type: "file" };
import { dirname, join } from "node:path";
process.env.LIGHTGPT_LIBRARY = library;`;
    const main = writeProgram("beside.ts", program(name, inside, 'join(dirname(process.execPath), "model.gguf")'));
    const place = join(directory, "elsewhere");
    mkdirSync(place);
    const binary = join(place, "beside");
    const built = await run(process.execPath, ["build", "--compile", main, "--outfile", binary]);
    assertEquals(built.code, 0, built.stderr);
    const missing = await run(binary, []);
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, join(place, "model.gguf"));
    cpSync(join(installed, "models", "tinytales-q4_0.gguf"), join(place, "model.gguf"));
    const { code, stdout, stderr } = await run(binary, []);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /[a-z]{2}/);
  });

  const compiles = `compiles into one binary with Deno, library and model inside${
    noDenort ? " (its runtime, denort, cannot be downloaded here)" : ""
  }`;
  it(compiles, { skip: !isDeno || noDenort }, async () => {
    const inside = `import { dirname, join } from "node:path";
import { existsSync } from "node:fs";
import process from "node:process";
const beside = join(dirname(process.execPath), "model.gguf");`;
    const main = writeProgram("compiled-deno.ts", program(name, inside, "existsSync(beside) ? beside : undefined"));
    const place = join(directory, "compiled-deno");
    mkdirSync(place);
    const binary = join(place, "story");
    const include = ["lib", "models"].flatMap((part) => ["--include", join("node_modules", name, part)]);
    const built = await run(process.execPath, ["compile", "-A", "--no-check", ...include, "--output", binary, main]);
    assertEquals(built.code, 0, built.stderr);
    const plain = await runFile(writeProgram("plain-deno.ts", program(name)));
    const small = await run(binary, []);
    assertEquals([small.code, small.stdout], [0, plain.stdout], small.stderr);
    cpSync(join(installed, "models", "tinytales-q4_0.gguf"), join(place, "model.gguf"));
    const large = await run(binary, []);
    assertEquals([large.code, large.stdout], [0, plain.stdout], large.stderr);
  });

  it("needs no folder that can be written", { skip: process.platform !== "linux" }, async () => {
    const main = writeProgram("read-only.ts", program(name));
    const nowhere = "/proc/lightgpt"; // a file system that takes no files, not even root's
    const { code, stdout, stderr } = await runFile(main, [], {
      HOME: nowhere,
      LIGHTGPT_CACHE: nowhere,
      TMPDIR: nowhere,
    });
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /[a-z]{2}/);
  });
});

describe("a bundle", () => {
  const source = (model = "") =>
    `import { LightGPT } from "${name}";
const ask = async () => {
  const lm = await LightGPT.load(${model});
  console.log((await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } })).text);
  await lm.dispose();
};
ask().catch((error) => console.log(error.code, error.message));
`;
  /** Bundles by each bundler that this runtime has, and by esbuild; the paths of what came. */
  const bundle = async (main: string, out: string, external = false): Promise<string[]> => {
    const made: string[] = [];
    for (const format of external ? ["esm"] as const : ["esm", "cjs"] as const) {
      const outfile = join(directory, out, "es", format === "esm" ? "app.mjs" : "app.cjs");
      const packages = external ? "external" : "bundle";
      const logLevel = "error"; // esbuild warns that CommonJS has no import.meta
      await esbuild({ entryPoints: [main], bundle: true, platform: "node", format, packages, outfile, logLevel });
      made.push(outfile);
    }
    const outfile = join(directory, out, "own", "app.js");
    const words = isBun
      ? ["build", main, "--target=bun", "--outfile", outfile, ...external ? ["--packages=external"] : []]
      : ["bundle", "--quiet", "--output", outfile, ...external ? ["--packages", "external"] : [], main];
    if (isNode) return made;
    const { code, stderr } = await run(process.execPath, words);
    assertEquals(code, 0, stderr);
    return [...made, outfile];
  };
  const env = () => ({ LIGHTGPT_LIBRARY: join(installed, files.find((path) => path.startsWith("lib/")) ?? "") });

  it("that leaves LightGPT out runs", async () => {
    const main = writeProgram("external.ts", source());
    for (const path of await bundle(main, "external", true)) {
      const { code, stdout, stderr } = await runFile(path);
      assertEquals([code, stderr], [0, ""], path);
      assertMatch(stdout, /[a-z]{2}/);
    }
  });

  it("that holds LightGPT runs where library and model are named, and else says what to do", async () => {
    const model = JSON.stringify(join(installed, "models", "tinytales-q4_0.gguf"));
    for (const path of await bundle(writeProgram("inside.ts", source()), "inside")) {
      const { code, stdout } = await runFile(path, [], env());
      assertEquals(code, 0, path);
      assertMatch(
        stdout,
        /^io LightGPT's file models.* left out of the bundle \(external\), or the path of a model;/,
        path,
      );
    }
    for (const path of await bundle(writeProgram("named.ts", source(model)), "named")) {
      const named = await runFile(path, [], env());
      assertEquals(named.code, 0, named.stderr);
      assertMatch(named.stdout, /^[^:]*[a-z]{2}/);
      const { stdout } = await runFile(path);
      assertMatch(stdout, /^io LightGPT's file lib\/.* left out of the bundle \(external\), or LIGHTGPT_LIBRARY/, path);
    }
  });
});

describe("the package on a Node without foreign functions", { skip: !isNode }, () => {
  /** Flags under which this Node is like an older one. */
  const older = () => [
    "--import",
    writeProgram("older.mjs", 'process.getBuiltinModule("node:module").isBuiltin = () => false;\n'),
  ];
  const words = ["run", "Once upon a time", "--max-tokens", "9", "--temperature", "0"];
  const command = () => join(installed, "cli/start.js");
  const sentence = /LightGPT runs on Deno 2\.9, Bun 1\.4 and Node 26\.10, or newer; this is Node \d+\.\d+\.\d+/;

  it("is written in a syntax that Node 20 reads", () => {
    const modules = readdirSync(installed, { recursive: true }).map(String).filter((path) => path.endsWith(".js"));
    assertGreater(modules.length, 10);
    for (const path of modules) {
      const text = readFileSync(join(installed, path), "utf8");
      assert(!/(^|[;{}])\s*(await )?using \w+ ?= ?/m.test(text), path);
    }
  });

  it("is refused in one sentence", async () => {
    const main = writeProgram(
      "refused.ts",
      `import { LightGPT, UnsupportedError } from "${name}";
await LightGPT.load().catch((error) => console.log(error instanceof UnsupportedError, error.message));\n`,
    );
    const { code, stdout, stderr } = await run(process.execPath, [...older(), main]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, new RegExp(`^true ${sentence.source}\\.\n$`));
  });

  it("has a command that runs on Bun or Deno where one is on the PATH, and else says what is needed", async () => {
    const { stdout: expected } = await run(process.execPath, [command(), ...words]);
    assertMatch(expected, /[a-z]{2}/);
    const nowhere = await run(process.execPath, [...older(), command(), ...words], { PATH: directory });
    assertEquals([nowhere.code, nowhere.stdout], [1, ""]);
    assertMatch(
      nowhere.stderr,
      new RegExp(`^lightgpt: ${sentence.source}, and neither bun nor deno is on the PATH\\.\n$`),
    );
    for (const other of ["bun", "deno"]) {
      const path = join(directory, `only-${other}`);
      mkdirSync(path);
      symlinkSync(toolPath(other), join(path, other));
      const told = await run(process.execPath, [...older(), command(), ...words], { PATH: path });
      assertEquals([told.code, told.stdout], [0, expected], told.stderr);
    }
  });
});

describe("the package over HTTP", { skip: !isDeno }, () => {
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? "/").slice(1);
    if (!files.includes(path)) return void response.writeHead(404).end();
    const type = path.endsWith(".ts") ? "application/typescript" : "application/octet-stream";
    response.writeHead(200, { "content-type": path.endsWith(".json") ? "application/json" : type });
    response.end(readFileSync(join(folder, path)));
  });
  let main: string;
  let host: string;
  const cache = join(directory, "http-cache");
  const env = { DENO_DIR: join(directory, "deno"), LIGHTGPT_CACHE: cache };
  const least = () => [
    "--allow-env=LIGHTGPT_CACHE,LIGHTGPT_LIBRARY,LIGHTGPT_CPU,LIGHTGPT_DOORBELL",
    `--allow-read=${cache}`,
    `--allow-write=${cache}`,
    `--allow-ffi=${cache}`,
    `--allow-net=${host}`,
  ];
  const start = (flags: string[]) =>
    run(
      process.execPath,
      ["run", "--no-prompt", "--no-check", "--quiet", `--allow-import=${host}`, ...flags, main],
      env,
    );

  before(async () => {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    // A folder of its own, so that no package.json is near.
    mkdirSync(join(directory, "over-http"));
    main = writeProgram(join("over-http", "main.ts"), program(`http://${host}/mod.ts`));
  });
  after(() => server.close());

  it("names the flag that is missing", async () => {
    for (const flag of ["--allow-net", "--allow-read", "--allow-write", "--allow-ffi"]) {
      rmSync(cache, { recursive: true, force: true });
      const { code, stderr } = await start(least().filter((given) => !given.startsWith(flag)));
      assertEquals(code, 1);
      assertMatch(stderr, new RegExp(`allow it with ${flag}=`), flag);
    }
  });

  it("may be fetched by two processes at once", async () => {
    rmSync(cache, { recursive: true, force: true });
    const both = await Promise.all([start(least()), start(least())]);
    assertEquals(both.map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""]]);
    assertEquals(both[0].stdout, both[1].stdout);
    assertEquals(readdirSync(cache).length, 2);
  });

  it("fetches once, with few permissions, and works offline afterwards", async () => {
    rmSync(cache, { recursive: true, force: true });
    const first = await start(least());
    assertEquals([first.code, first.stderr], [0, ""]);
    assertMatch(first.stdout, /[a-z]{2}/);
    await new Promise((closed) => server.close(closed));
    const second = await start(least());
    assertEquals([second.code, second.stdout], [0, first.stdout], second.stderr);
    assertEquals(readdirSync(cache).length, 2);
  });
});

describe("Workers", () => {
  it("may load LightGPT in the main thread and in several at once", async () => {
    const worker = writeProgram(
      "worker.ts",
      program(new URL("../mod.ts", import.meta.url).href) +
        (isNode
          ? 'import { parentPort } from "node:worker_threads";\nparentPort.postMessage(text);\n'
          : "postMessage(text);\n"),
    );
    const main = writeProgram(
      "workers.ts",
      `import { LightGPT } from "${new URL("../mod.ts", import.meta.url).href}";
${isNode ? 'import { Worker } from "node:worker_threads";' : ""}
const workers = Array.from({ length: ${
        often(4, 8)
      } }, () => new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
const told = workers.map((worker) => new Promise((resolve, reject) => {
  ${
        isNode
          ? 'worker.on("message", resolve); worker.on("error", reject);'
          : "worker.onmessage = ({ data }) => resolve(data); worker.onerror = (event) => reject(event.error ?? event.message);"
      }
}));
await using lm = await LightGPT.load();
const { text } = await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } });
for (const other of await Promise.all(told)) if (other !== text) throw new Error(other + " is not " + text);
for (const worker of workers) worker.terminate();
console.log("alike");
`,
    );
    assert(worker.endsWith("worker.ts"));
    for (let round = 0; round < often(3, 50); round++) {
      const { code, stdout, stderr } = await runFile(main);
      assertEquals([code, stdout.trim().split("\n").at(-1)], [0, "alike"], stderr);
    }
    note(18, "rounds of workers", often(3, 50));
  });
});
