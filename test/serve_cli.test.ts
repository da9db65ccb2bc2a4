/**
 * `lightgpt serve` as a user starts it: its address, its log, its keys, and its end by SIGTERM.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { after, it } from "node:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertRefused, lightgpt } from "./command.ts";
import { kitDirectory, repository } from "./kit.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { template } from "./small-server.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-serve-"));

/** A server in a process of its own. */
interface Served {
  readonly child: ChildProcessWithoutNullStreams;
  readonly url: string;
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

const children: ChildProcessWithoutNullStreams[] = [];
// A test that fails leaves no server behind, not even one that waits for what is open.
after(() => children.forEach((child) => child.kill("SIGKILL")));

async function serve(words: string[], env: Record<string, string> = {}): Promise<Served> {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet"] : [];
  const child = spawn(process.execPath, [...start, join(repository, "cli/main.ts"), "serve", "--port", "0", ...words], {
    cwd: repository,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  children.push(child);
  const said = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => said.stdout += text);
  const ended = new Promise<number | null>((done) => child.on("close", (code) => done(code)));
  const url = await new Promise<string>((done, fail) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said.stderr += text;
      const [, found] = / at (http:\S+)\/v1;/.exec(said.stderr) ?? [];
      if (found !== undefined) done(found);
    });
    child.on("close", () => fail(new Error(said.stderr)));
  });
  return { child, url, said, ended };
}

const headers = { "content-type": "application/json", authorization: "Bearer none" };

it("serves on loopback with keys and a template, writes a line for each request, and ends what is open at SIGTERM", async () => {
  const [keys, jinja] = [join(folder, "keys"), join(folder, "chat.jinja")];
  writeFileSync(keys, "# the keys\nalongsecret the first tenant\n");
  writeFileSync(jinja, template);
  const words = ["--keys", keys, "--chat-template", jinja, "--name", "stories", "--threads", "1"];
  const { child, url, said, ended } = await serve(words, { LIGHTGPT_KEYS: "anothersecret" });
  const ask = (path: string, key: string, body?: unknown) =>
    fetch(`${url}${path}`, {
      headers: { ...headers, authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
  assertEquals((await ask("/ready", "anothersecret")).status, 200);
  assertMatch(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assertEquals((await fetch(`${url}/health`)).status, 200);
  assertEquals((await ask("/v1/models", "alongsecre")).status, 401);
  assertEquals((await (await ask("/v1/models", "anothersecret")).json()).data[0].id, "stories");
  const messages = [{ role: "user", content: "Of a fox." }];
  const whole = await (await ask("/v1/chat/completions", "alongsecret", { messages, max_tokens: 4, seed: 1 })).json();
  assertEquals(whole.usage.completion_tokens, 4);
  // A page that goes by another name; fetch sends no such header on some runtimes.
  const foreign = { ...headers, host: "evil.example", authorization: "Bearer alongsecret" };
  const status = await new Promise<number | undefined>((done, fail) => {
    get(`${url}/v1/models`, { headers: foreign }, (response) => done(response.resume().statusCode)).on("error", fail);
  });
  assertEquals(status, 403);
  const body = { prompt: "Once", max_tokens: 60, stream: true };
  const open = await Promise.all(Array.from({ length: 50 }, (_, seed) => {
    return ask("/v1/completions", "alongsecret", { ...body, seed });
  }));
  // What is not read yet keeps the server: so it is asked while it ends.
  const [last, ...others] = open;
  process.kill(child.pid as number, "SIGTERM");
  while (!said.stderr.includes("waiting for")) await new Promise((done) => setTimeout(done, 5));
  const refused = await ask("/v1/completions", "alongsecret", body);
  assertEquals([refused.status, (await refused.json()).error.code], [503, "not_ready"]);
  assertEquals((await ask("/ready", "alongsecret")).status, 503);
  for (const stream of [...others, last]) assert((await stream.text()).endsWith("data: [DONE]\n\n"));
  assertEquals(await ended, 0, said.stderr);
  const lines = said.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.find(({ path, status }) => path === "/v1/models" && status === 401)?.tenant, undefined);
  const { tenant, tokens, model } = lines.find(({ path }) => path === "/v1/chat/completions");
  assertEquals([tenant, tokens, model], ["the first tenant", 4, "stories"]);
  assert(!said.stdout.includes("alongsecret") && !said.stderr.includes("alongsecret"));
});

it("serves the models of a file, each when it is asked for", async () => {
  const list = join(folder, "models.json");
  const path = embeddedModel();
  writeFileSync(list, JSON.stringify({ one: { path, context: 64 }, two: { path, template, idleMs: 1000 } }));
  const { child, url, said, ended } = await serve(["--models", list, "--quiet"]);
  for (const [model, status] of [["one", 200], ["two", 200], ["three", 404]] as const) {
    const body = JSON.stringify({ model, prompt: "Once", max_tokens: 2 });
    assertEquals((await fetch(`${url}/v1/completions`, { method: "POST", headers, body })).status, status, model);
  }
  process.kill(child.pid as number, "SIGTERM");
  assertEquals([await ended, said.stdout], [0, ""]);
});

it("serves a model of vectors alone, and beside others", { skip: kitDirectory === undefined }, async () => {
  const path = join(kitDirectory as string, "embed/bert_mean.gguf");
  const list = join(folder, "both.json");
  writeFileSync(list, JSON.stringify({ stories: { path: embeddedModel() }, vectors: { path, threads: 1 } }));
  for (const words of [["--model", path, "--name", "vectors", "--threads", "1"], ["--models", list]]) {
    const { child, url, ended, said } = await serve([...words, "--quiet"]);
    const body = JSON.stringify({ model: "vectors", input: ["the cat", "the dog"] });
    const response = await fetch(`${url}/v1/embeddings`, { method: "POST", headers, body });
    assertEquals((await response.json()).data?.length, 2);
    process.kill(child.pid as number, "SIGTERM");
    assertEquals([await ended, said.stdout], [0, ""]);
  }
  for (const words of [["--kv", "f16"], ["--tune"]]) {
    assertRefused(await lightgpt(["serve", "--model", path, ...words]), 2, `${words[0]} is for models that generate`);
  }
});

it("says what is wrong with its words", async () => {
  const [empty, broken] = [join(folder, "none"), join(folder, "broken.json")];
  writeFileSync(empty, "# none\n");
  writeFileSync(broken, JSON.stringify({ one: { context: 64 } }));
  assertRefused(await lightgpt(["serve", "--keys", empty]), 2, "has no key");
  assertRefused(await lightgpt(["serve", "--models", broken]), 2, "one.path");
  assertRefused(await lightgpt(["serve", "--models", broken, "--model", "x"]), 2, "--model is not for --models");
  assertRefused(await lightgpt(["serve", "--port", "70000"]), 2, "--port");
  assertRefused(
    await lightgpt(["serve", "--host", "203.0.113.1", "--keys", empty], { env: { LIGHTGPT_KEYS: "" } }),
    2,
    "key",
  );
});
