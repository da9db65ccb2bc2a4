/**
 * Every program in examples/, run as its first lines say, on the runtime that runs the tests. A test fails where an example
 * has none here.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { repository } from "./kit.ts";

const folder = join(repository, "examples");
const tried = new Set<string>();

function start(name: string, words: string[] = [], env: Record<string, string> = {}): ChildProcess {
  tried.add(name);
  const flags = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet", "--no-check"] : [];
  return spawn(process.execPath, [...flags, join(folder, name), ...words], {
    cwd: repository,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
}

/** What an example prints; it must end well and complain of nothing. */
function outputOf(name: string, words: string[] = [], input = ""): Promise<string> {
  const child = start(name, words);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin?.end(input);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0 && stderr === "") done(stdout);
      else fail(new Error(`${name} ended with ${code}: ${stderr}`));
    });
  });
}

describe("examples", () => {
  after(() => {
    const all = readdirSync(folder).filter((name) => name.endsWith(".ts"));
    assertEquals(all.filter((name) => !tried.has(name)), [], "examples without a test");
  });

  it("story.ts streams a story", async () => {
    assertMatch(await outputOf("story.ts", ["The red fox"]), /^The red fox[\s\S]{40}/);
  });

  it("chat.ts answers turn after turn", async () => {
    const lines = (await outputOf("chat.ts", [], "Once upon a time\nThe end of the day\n")).trimEnd().split("\n");
    assert(lines.length >= 2 && lines.every((line) => line !== undefined));
  });

  it("search.ts finds a passage, and says where it stands", async () => {
    const notes = mkdtempSync(join(tmpdir(), "lightgpt-notes-"));
    writeFileSync(join(notes, "a.md"), "# Cats\n\nThe cat sat on the mat.\n\nIt was warm.\n");
    writeFileSync(join(notes, "b.md"), "# Trains\n\nThe red train was late.\n");
    const found = await outputOf("search.ts", [notes, "The cat sat on the mat"]);
    rmSync(notes, { recursive: true });
    assertMatch(found, /^\S+[ab]\.md:\d+ {2}\(-?\d\.\d{3}\)\n/);
    assertStringIncludes(found, "a.md:3");
    assertStringIncludes(found, "The red train was late.");
  });

  it("summarize.ts goes over a file part by part", async () => {
    assert((await outputOf("summarize.ts", ["LICENSE"])).trim().length > 0);
  });

  it("batch.ts completes each line of a file, in order, and goes on after one that fails", async () => {
    const directory = mkdtempSync(join(tmpdir(), "lightgpt-batch-"));
    try {
      const file = join(directory, "prompts.jsonl");
      const prompts = [...Array.from({ length: 30 }, (_, i) => `Story ${i}. The`), "too long ".repeat(600), "The end"];
      const lines = [...prompts.map((prompt) => JSON.stringify({ prompt })), "no JSON"];
      writeFileSync(file, lines.join("\n\n"));
      const results = (await outputOf("batch.ts", [file])).trimEnd().split("\n").map((line) => JSON.parse(line));
      assertEquals(results.map(({ line }) => line).toSorted((a, b) => a - b), lines.map((_, index) => 2 * index + 1));
      const [bad, ...done] = results.toSorted((a, b) => b.line - a.line);
      assertMatch(bad.error, /expected .* got no JSON/);
      for (const { line, text, error } of done) {
        if (line === 61) assertMatch(error, /context/);
        else assert(text.length > 0, `no text for line ${line}`);
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("agent.ts runs the tools that the model calls", async () => {
    const text = await outputOf("agent.ts");
    assertMatch(text, /^(?:weather of |sum of )/);
    assertStringIncludes(text, "(2 answers)");
  });

  it("classify.ts compares what could come next", async () => {
    const shares = (await outputOf("classify.ts")).split("\n").map((line) => line.match(/She (\d+) %, He (\d+) %/));
    const [girl, boy] = shares;
    assert(girl && boy);
    assert(Number(girl[1]) > 50 && Number(boy[1]) < 50, `${girl[0]} and ${boy[0]}`);
    assertMatch(girl.input ?? "", /\.\.\. She \(/);
    assertMatch(boy.input ?? "", /\.\.\. He \(/);
  });

  it("extract.ts gives an object, whatever the model is", async () => {
    assertMatch(await outputOf("extract.ts"), /^(.{0,60}, \d{1,3}, of .+|cut after: \{[^]*)\n$/);
  });

  it("quantize.ts makes a matrix seven times smaller", async () => {
    const text = await outputOf("quantize.ts");
    assertStringIncludes(text, "2097152 bytes became 294912");
    const [product, exact] = (text.match(/-?\d+\.\d{3}/g) ?? []).map(Number);
    assert(Math.abs(product - exact) < 0.1 * Math.abs(exact) + 1);
  });

  it("processor.ts keeps a letter out of a story", async () => {
    const text = await outputOf("processor.ts", ["o"]);
    assert(text.length > 60 && !/o/i.test(text), text);
  });

  it("serve.ts sends server-sent events, and hears when nobody listens any more", async () => {
    const port = String(20_000 + process.pid % 20_000);
    const server = start("serve.ts", [], { PORT: port });
    try {
      const body = JSON.stringify({ model: "stories", prompt: "The red fox", max_tokens: 60, stream: true });
      const headers = { "content-type": "application/json" };
      const ask = (init = {}) =>
        fetch(`http://127.0.0.1:${port}/v1/completions`, { method: "POST", headers, body, ...init });
      let response: Response | undefined;
      for (let attempt = 0; response === undefined && attempt < 4000; attempt++) {
        response = await ask().catch(() => undefined);
        if (response === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert(response !== undefined, "no answer within 200 s");
      const events = await response.text();
      assertMatch(events, /^data: {"id":/);
      assertMatch(events, /data: \[DONE\]\n\n$/);
      for (let round = 0; round < 5; round++) {
        const controller = new AbortController();
        const { body } = await ask({ signal: controller.signal });
        await body?.getReader().read();
        controller.abort();
      }
      assertEquals((await ask({ body: "{}" })).status, 400);
      assertMatch(await (await ask()).text(), /\[DONE\]/);
    } finally {
      server.kill();
    }
  });
});
