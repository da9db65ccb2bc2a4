/**
 * Every example in a doc comment of the product, run as a user would run it, and its types. Each runtime runs one half of them in one
 * process, one after the other; the files that they name are small models.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { collectImportance, Model, quantizeFile, readGguf } from "../mod.ts";
import { writeGguf } from "../scripts/gguf-writer.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { halfOf } from "./halves.ts";
import { repository } from "./kit.ts";
import { text } from "./models.ts";
import { type NatsServer, noNats, startNats } from "./nats-server.ts";

interface Example {
  readonly place: string;
  readonly code: string;
}

const isDeno = "Deno" in globalThis;
const flags = isDeno ? ["run", "--allow-all", "--no-prompt", "--no-check", "--quiet"] : [];
/** Inside the repository, where both runtimes resolve the package's own name. */
const dist = join(repository, "dist");
mkdirSync(dist, { recursive: true });
const directory = mkdtempSync(join(dist, "examples-"));

const sources = ["src", "ffi", "exports"].flatMap((folder) =>
  readdirSync(join(repository, folder), { recursive: true }).map((name) => join(folder, String(name)))
).filter((name) => name.endsWith(".ts"));
/** Examples of a cluster need a server of NATS to run; their types are always checked. */
const needsNats = ({ code }: Example) => code.includes("@lightgpt/lightgpt/cluster");
const examples = [...sources, "mod.ts"].flatMap(examplesOf);

/** The fenced TypeScript of the comments of a file. */
function examplesOf(path: string): Example[] {
  const source = readFileSync(join(repository, path), "utf8");
  const pattern = /^ *\* ```ts\n((?: *\*.*\n)*?) *\* ```$/gm;
  return [...source.matchAll(pattern)].map(({ 1: lines = "", index }) => ({
    place: `${path}:${source.slice(0, index).split("\n").length}`,
    code: lines.replace(/^ *\* ?/gm, ""),
  }));
}

/** A program that runs all examples and tells which failed, as JSON on standard error. */
function runner(indices: readonly number[]): string {
  return `
const instrument = { addCallback() {}, removeCallback() {}, record() {} };
const make = () => instrument;
// What examples declare: the program's own meter.
globalThis.meter = { createObservableCounter: make, createObservableGauge: make, createHistogram: make };
const failed = {};
const { error } = console;
console.error = () => {};
for (const index of [${indices}]) {
  try {
    await import(\`./example-\${index}.ts\`);
  } catch (reason) {
    failed[index] = String(reason);
  }
}
error(JSON.stringify(failed));
`;
}

describe("examples in doc comments", () => {
  let nats: NatsServer | undefined;
  before(async () => {
    const model = readGguf(embeddedModel());
    const bytes = readFileSync(embeddedModel());
    const template = text(
      "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
        "{{ m.content }}{% for c in m.tool_calls or [] %}" +
        '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>{% endfor %} {% endfor %}',
    );
    const tensors = [...model.tensors.values()].map(({ name, type, dims, offset, bytes: length }) => (
      { name, type, dims, data: bytes.subarray(offset, offset + length) }
    ));
    writeGguf(join(directory, "model.gguf"), model.metadata, new Map([["tokenizer.chat_template", template]]), tensors);
    for (const type of ["f16", "f32", "q4_0"]) {
      await quantizeFile(join(directory, "model.gguf"), join(directory, `model-${type}.gguf`), { type });
    }
    {
      await using loaded = await Model.load(join(directory, "model.gguf"));
      (await collectImportance(loaded, "Once upon a time there was a little fox. ")).write(
        join(directory, "imatrix.gguf"),
      );
    }
    writeFileSync(join(directory, "new.gguf"), bytes);
    writeFileSync(join(directory, "truncated.gguf"), bytes.subarray(0, 1000));
    if (!noNats) nats = await startNats();
    for (const [index, { code }] of examples.entries()) {
      const own = nats ? code.replaceAll("nats://127.0.0.1:4222", nats.url) : code;
      writeFileSync(join(directory, `example-${index}.ts`), own);
    }
    const indices = halfOf([...examples.keys()]).filter((index) => nats || !needsNats(examples[index]));
    writeFileSync(join(directory, "all.ts"), runner(indices));
  });
  after(async () => {
    rmSync(directory, { recursive: true, force: true });
    await nats?.[Symbol.asyncDispose]();
  });

  it("run", () => {
    assert(examples.length > 100, `${examples.length}`);
    const { status, stderr } = spawnSync(process.execPath, [...flags, "all.ts"], {
      cwd: directory,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1", LIGHTGPT_CACHE: join(directory, "cache") },
      timeout: 240_000,
    });
    assertEquals(status, 0, stderr);
    const failed = Object.entries(JSON.parse(stderr.trim().split("\n").at(-1) ?? "{}"));
    assertEquals(failed.map(([index, why]) => `${examples[Number(index)]?.place}: ${why}`), []);
  });

  it("have the right types", { skip: !isDeno }, () => {
    const files = examples.map((_, index) => `example-${index}.ts`);
    const options = { cwd: directory, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } } as const;
    const { status, stderr } = spawnSync(process.execPath, ["check", "--quiet", ...files], options);
    assertEquals(status, 0, stderr.replace(/example-(\d+)/g, (_, index) => examples[Number(index)]?.place ?? ""));
  });
});
