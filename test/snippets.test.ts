/**
 * Every snippet of README.md and docs/, run as a reader would run it: TypeScript on the runtime that runs the tests (unless it
 * names the other one), shell lines in a shell that knows `lightgpt`. `model.gguf` is the embedded model with a chat template.
 * A snippet that cannot be run has `<!-- not run: why -->` above it, and is in the list below. A page runs on one of the two runtimes,
 * in turn; one that names a runtime, on both.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join, relative } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { writeGguf } from "../scripts/gguf-writer.ts";
import { toolPath } from "../scripts/tools.js";
import * as everything from "../mod.ts";
import { half } from "./halves.ts";
import { readJson, repository } from "./kit.ts";
import { inLanes } from "./lanes.ts";
import { text } from "./models.ts";

/** How many snippets of a file may be marked as not run. */
const notRunMost: Readonly<Record<string, number>> = {
  "README.md": 1,
  "docs/cluster.md": 4,
  "docs/constraints.md": 1,
  "docs/deploying.md": 3,
  "docs/frameworks.md": 2,
  "docs/lightgpt.md": 1,
  "docs/models.md": 2,
  "docs/recipes.md": 1,
  "docs/serving.md": 1,
  "docs/start.md": 2,
};

/** npm scripts that take minutes or run the tests themselves: that they exist is all that is checked. */
const slowScripts = ["test", "bench", "package", "arm64", "release", "docs", "reliability", "bundlers"];

const isDeno = "Deno" in globalThis;
/** Inside the repository, where both runtimes resolve the package's own name. */
const dist = join(repository, "dist");
mkdirSync(dist, { recursive: true });
const directory = mkdtempSync(join(dist, "snippets-"));
const manifest = readJson<{ scripts: Record<string, string> }>(
  repository,
  "package.json",
);

interface Snippet {
  readonly file: string;
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly notRun: string | undefined;
}

/** The fenced blocks of a page. */
function snippetsOf(file: string): Snippet[] {
  const page = readFileSync(join(repository, file), "utf8");
  const pattern = /(?:^<!-- not run: (.+) -->\n+)?^```(\w*)\n([\s\S]*?)^```$/gm;
  return [...page.matchAll(pattern)].map(({ 0: whole, 1: notRun, 2: language, 3: code, index }) => ({
    file,
    line: page.slice(0, index + whole.indexOf("```")).split("\n").length,
    language,
    code,
    notRun,
  }));
}

const pages = [
  "README.md",
  ...readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md")).sort()
    .map((name) => `docs/${name}`),
];
const snippets = pages.flatMap(snippetsOf);

/** A snippet without imports has everything that `mod.ts` exports, and a model `lm`. */
function whole(code: string): string {
  if (/^import /m.test(code)) return code;
  const uses = (name: string) =>
    new RegExp(`\\b${name}\\b`).test(code) && !new RegExp(`(?:const|using|let) ${name}\\b`).test(code);
  const names = Object.keys(everything).filter((name) => uses(name) || name === "LightGPT");
  const model = uses("lm") ? `await using lm = await LightGPT.load("model.gguf");\n` : "";
  return `import { ${
    names.join(", ")
  } } from "@lightgpt/lightgpt";\nimport process from "node:process";\n${model}${code}`;
}

interface Outcome {
  readonly code: number | null;
  readonly stderr: string;
}

/** Where the snippets of a page run, one after the other: what one writes, another may read. */
function folderOf(page: string): string {
  return join(directory, page.replace(/\W/g, "-"));
}

function run(cwd: string, program: string, words: string[]): Promise<Outcome> {
  const path = [join(directory, "bin"), process.env.PATH].join(delimiter);
  const env = { ...process.env, NO_COLOR: "1", PATH: path, LIGHTGPT_CACHE: join(directory, "cache") };
  const child = spawn(program, words, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => stderr += part);
  const timer = setTimeout(() => child.kill("SIGKILL"), 240_000);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ code, stderr });
    });
  });
}

/** A program in a folder of its own that the shell of the snippets finds. */
function command(name: string, script: string): void {
  const path = join(directory, "bin", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

const flags = isDeno ? ["run", "--allow-all", "--no-prompt", "--no-check", "--quiet"] : [];

before(() => {
  mkdirSync(join(directory, "bin"));
  const model = everything.readGguf(join(repository, "models/tinytales-q4_0.gguf"));
  const bytes = readFileSync(join(repository, "models/tinytales-q4_0.gguf"));
  const template = text(
    "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
      "{{ m.content }}{% for c in m.tool_calls or [] %}" +
      '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>{% endfor %} {% endfor %}',
  );
  const tensors = [...model.tensors.values()].map(({ name, type, dims, offset, bytes: length }) => (
    { name, type, dims, data: bytes.subarray(offset, offset + length) }
  ));
  const made = join(directory, "model.gguf");
  writeGguf(made, model.metadata, new Map([["tokenizer.chat_template", template]]), tensors);
  const lines = ["The red fox", "A little hen"].map((prompt) => JSON.stringify({ prompt }));
  for (const page of pages) {
    const place = folderOf(page);
    mkdirSync(place);
    copyFileSync(made, join(place, "model.gguf"));
    writeFileSync(join(place, "prompts.jsonl"), lines.join("\n") + "\n");
    writeFileSync(join(place, "book.txt"), "Once upon a time there was a fox. The fox lived in a den. ".repeat(40));
  }

  command("lightgpt", `exec "${process.execPath}" ${flags.join(" ")} "${join(repository, "cli/main.ts")}" "$@"`);
  for (const name of ["deno", "bun"]) command(name, `exec "${toolPath(name)}" "$@"`);
});
after(() => rmSync(directory, { recursive: true, force: true }));

describe("snippets", () => {
  it("are run, but for a few that say why", () => {
    const marked = Object.fromEntries(
      pages.map((page) => [page, snippets.filter(({ file, notRun }) => file === page && notRun !== undefined).length]),
    );
    for (const [page, count] of Object.entries(marked)) {
      assertEquals(count, notRunMost[page] ?? 0, `${page}: marked snippets`);
    }
    const known = ["ts", "sh", "text", "json"];
    assertEquals(
      snippets.filter(({ language }) => !known.includes(language)).map(({ file, line }) => `${file}:${line}`),
      [],
    );
    assert(snippets.filter(({ language }) => language === "ts").length >= 6);
  });

  const chosen = snippets.filter(({ notRun, language }) =>
    notRun === undefined && (language === "ts" || language === "sh")
  );
  const byPage = pages.map((page) => chosen.filter(({ file }) => file === page)).filter(({ length }) => length > 0)
    .filter((page, index) => index % 2 === half || page.some(({ code }) => /\b(Bun|Deno)\./.test(code)));
  const outcomes = inLanes(byPage.map((page) => async () => {
    const found = new Map<number, Outcome>();
    for (const snippet of page) if (!isSkipped(snippet)) found.set(snippet.line, await runSnippet(snippet));
    return found;
  }));
  for (const [index, page] of byPage.entries()) {
    for (const snippet of page) {
      it(`${snippet.file}:${snippet.line}`, { skip: isSkipped(snippet) }, async () => {
        const outcome = (await outcomes(index)).get(snippet.line);
        // What a program writes to standard error is wrong; what a command does may be for people.
        assertEquals(outcome?.code, 0, outcome?.stderr);
        if (snippet.language === "ts") assertEquals(outcome?.stderr, "");
      });
    }
  }

  it("have the right types", { skip: !isDeno }, async () => {
    const files = chosen.filter(({ language }) => language === "ts").map((snippet) =>
      relative(directory, written(snippet))
    );
    assert(files.length > 5);
    const { code, stderr } = await run(directory, process.execPath, ["check", "--quiet", ...files]);
    assertEquals(code, 0, stderr);
  });
});

/** Of the other runtime, or for a shell that is not there. */
function isSkipped({ language, code }: Snippet): boolean {
  if (language === "sh") return process.platform === "win32";
  return (isDeno ? /\bBun\./ : /\bDeno\./).test(code);
}

async function runSnippet(snippet: Snippet): Promise<Outcome> {
  const { file, language, code } = snippet;
  const place = folderOf(file);
  if (language === "sh") return await run(place, "sh", ["-e", "-c", code.split("\n").map(shellLine).join("\n")]);
  return await run(place, process.execPath, [...flags, written(snippet)]);
}

/** Where the program of a snippet is, once it is written there. */
function written({ file, line, code }: Snippet): string {
  const path = join(folderOf(file), `line-${line}.ts`);
  writeFileSync(path, whole(code));
  return path;
}

/** A line for our shell: npm's scripts run in the repository, those that take long are only looked up. */
function shellLine(line: string): string {
  const npm = line.match(/^npm (?:run (\S+)|(start|test))/);
  if (!npm) return line;
  const script = npm[1] ?? npm[2];
  assert(Object.hasOwn(manifest.scripts, script), `there is no npm script "${script}"`);
  return slowScripts.includes(script) ? "" : `(cd "${repository}" && ${line.replace(/^npm/, "npm --silent")}\n)`;
}
