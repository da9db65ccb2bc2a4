/**
 * Batches: lines are worked at least once and written exactly once, in order, with the same bytes whenever they are worked; what was
 * ended goes on; bad lines, foreign results and full disks are told.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { LightGPTError } from "../mod.ts";
import { type FileRun, runBatchFiles } from "../src/server/batches/file_lines.ts";
import { serveStories } from "./small-server.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-batches-"));
const at = (name: string) => join(folder, name);

function line(id: string, body: object, url = "/v1/completions"): string {
  return JSON.stringify({ custom_id: id, method: "POST", url, body });
}

function write(name: string, lines: readonly string[]): string {
  writeFileSync(at(name), lines.map((one) => `${one}\n`).join(""));
  return at(name);
}

/** A server that answers by the prompt, later ones often sooner, and refuses now and then. */
function strange(seen: string[] = []): FileRun["fetch"] {
  let count = 0;
  return async (request) => {
    const { prompt, seed } = await request.json() as { prompt: string; seed: number };
    if (++count % 7 === 0) {
      return Response.json({ error: {} }, { status: count % 2 ? 429 : 503, headers: { "retry-after-ms": "1" } });
    }
    await new Promise((resolve) => setTimeout(resolve, (count * 13) % 9));
    request.signal.throwIfAborted();
    seen.push(prompt);
    if (prompt === "bad") return Response.json({ error: { message: "prompt: no" } }, { status: 400 });
    return Response.json({ id: `cmpl-${count}`, created: count, choices: [{ text: `${prompt}${seed}` }] });
  };
}

describe("a batch", () => {
  after(() => {
    if (canMount) spawnSync("umount", [small]);
    rmSync(folder, { recursive: true, force: true });
  });
  const lines = Array.from({ length: 60 }, (_, index) => line(`line ${index}`, { prompt: `p${index}` }));
  const run = (more: Partial<FileRun> & { output: string }) =>
    runBatchFiles({ fetch: strange(), input: at("in"), atOnce: 8, ...more });

  it("is written in order, and a second run of it writes the same", async () => {
    write("in", lines);
    const seen: string[] = [];
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number) => void progress.push([done, total]);
    const report = await run({ output: at("out"), fetch: strange(seen), onProgress });
    assertEquals(report, { lines: 60, earlier: 0, failed: 0 });
    const all = readFileSync(at("out"), "utf8");
    const ids = all.trimEnd().split("\n").map((one) => JSON.parse(one).custom_id);
    assertEquals(ids, Array.from({ length: 60 }, (_, index) => `line ${index}`));
    assertEquals([seen.length, progress[0], progress.at(-1)], [60, [0, 60], [60, 60]]);
    await run({ output: at("again"), atOnce: 3 });
    assertEquals(readFileSync(at("again"), "utf8"), all);
    // One that has everything does nothing.
    assertEquals(await run({ output: at("out") }), { lines: 60, earlier: 60, failed: 0 });
    assertEquals(readFileSync(at("out"), "utf8"), all);
  });

  it("goes on where it was ended, also in the middle of a line", async () => {
    const whole = readFileSync(at("out"), "utf8");
    for (const bytes of [0, 1, 1000, whole.length - 1]) {
      writeFileSync(at("cut"), whole);
      truncateSync(at("cut"), bytes);
      const seen: string[] = [];
      const { earlier } = await run({ output: at("cut"), fetch: strange(seen) });
      assertEquals(readFileSync(at("cut"), "utf8"), whole);
      assertEquals(seen.length, 60 - earlier, "no line is worked again");
    }
  });

  it("ends by its signal, and what is written is whole", async () => {
    const controller = new AbortController();
    const onProgress = (done: number) => done === 20 && controller.abort();
    await assertRejects(() => run({ output: at("ended"), signal: controller.signal, onProgress }), Error);
    const written = readFileSync(at("ended"), "utf8");
    assert(written.endsWith("\n") && readFileSync(at("out"), "utf8").startsWith(written));
    assertEquals((await run({ output: at("ended") })).earlier, 20);
  });

  it("tells bad lines by their numbers, and works the others", async () => {
    const input = write("bad", [
      lines[0],
      "",
      "{",
      "[]",
      '{"custom_id": 3}',
      line("a", {}).replace("POST", "GET"),
      line("b", {}, "/v1/other"),
      line("c", { stream: true }),
      lines[0],
      line("d", { prompt: "bad" }),
      lines[1],
    ]);
    const told: string[] = [];
    const report = await run({ input, output: at("bad-out"), onFailed: (message) => void told.push(message) });
    assertEquals(report, { lines: 10, earlier: 0, failed: 8 });
    const numbers = told.map((message) => /^line (\d+): /.exec(message)?.[1]);
    assertEquals(numbers, ["3", "4", "5", "6", "7", "8", "9", "10"]);
    const results = readFileSync(at("bad-out"), "utf8").trimEnd().split("\n").map((one) => JSON.parse(one));
    assertEquals(results.map(({ custom_id }) => custom_id), [
      "line 0",
      null,
      null,
      null,
      "a",
      "b",
      "c",
      "line 0",
      "d",
      "line 1",
    ]);
    assertEquals(results[7].error.code, "invalid_line");
    assertEquals([results[8].response.status_code, results[8].response.body.error.message], [400, "prompt: no"]);
  });

  it("refuses results of another batch, itself as output, and a file that is not there", async () => {
    write("other", [line("other", {})]);
    await assertRejects(() => run({ output: at("other") }), LightGPTError, "line 1 is of another batch");
    await assertRejects(() => run({ output: at("in") }), LightGPTError, "another file");
    const short = write("short", lines.slice(0, 3));
    await assertRejects(() => run({ input: short, output: at("out") }), LightGPTError, "another batch");
    write("text", ["no results"]);
    await assertRejects(() => run({ output: at("text") }), LightGPTError, "no results of a batch");
    await assertRejects(() => run({ input: at("none"), output: at("new") }), LightGPTError, "there is no such file");
  });

  const small = at("small");
  mkdirSync(small);
  const canMount = process.platform === "linux" && process.getuid?.() === 0 &&
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", small]).status === 0;
  it("leaves whole lines on a full disk", { skip: !canMount && "needs a file system to fill" }, async () => {
    const output = join(small, "out");
    await assertRejects(() => run({ output }), LightGPTError, "the disk is full");
    const written = readFileSync(output, "utf8");
    assert(written.length > 0 && written.endsWith("\n") && readFileSync(at("out"), "utf8").startsWith(written));
  });
});

describe("batches of a server", () => {
  const files = mkdtempSync(join(tmpdir(), "lightgpt-files-"));
  after(() => rmSync(files, { recursive: true, force: true }));
  const keys = [{ key: "key of one", tenant: "one" }, { key: "key of two", tenant: "two" }];
  const headers = { authorization: "Bearer key of one" };

  it("are uploaded, worked, told and gone on with by the next server", async () => {
    const lines = Array.from(
      { length: 12 },
      (_, index) => line(`${index}`, { prompt: `Once ${index}`, max_tokens: 8 }),
    );
    let [batch, file]: [string, string] = ["", ""];
    {
      await using small = await serveStories({ files, keys });
      const send = (path: string, init: RequestInit = {}, own: Record<string, string> = headers) => {
        const request = new Request(`http://localhost${path}`, { ...init, headers: { ...own, ...init.headers } });
        return small.server.fetch(request);
      };
      const form = (text: string, purpose = "batch") => {
        const boundary = "b0undary";
        const part = (name: string, more: string, value: string) =>
          `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
        const body = `${part("purpose", "", purpose)}${part("file", '; filename="in.jsonl"', text)}--${boundary}--\r\n`;
        const length = { "content-length": `${new TextEncoder().encode(body).length}` };
        return {
          method: "POST",
          body,
          headers: { "content-type": `multipart/form-data; boundary=${boundary}`, ...length },
        };
      };
      const uploaded = await (await send("/v1/files", form(lines.join("\n")))).json();
      assertEquals([uploaded.object, uploaded.filename, uploaded.purpose], ["file", "in.jsonl", "batch"]);
      file = uploaded.id;
      const ask = { input_file_id: file, endpoint: "/v1/completions", completion_window: "24h" };
      const begun = await (await send("/v1/batches", { method: "POST", body: JSON.stringify(ask) })).json();
      assertEquals([begun.object, begun.status], ["batch", "in_progress"]);
      batch = begun.id;
      // Another tenant sees none of it.
      const other = { authorization: "Bearer key of two" };
      for (const path of [`/v1/files/${file}`, `/v1/files/${file}/content`, `/v1/batches/${batch}`]) {
        assertEquals((await send(path, {}, other)).status, 404, path);
      }
      assertEquals((await (await send("/v1/batches", {}, other)).json()).data, []);
      const wrong: [string, RequestInit, number][] = [
        ["/v1/files", form("x", "fine-tune"), 400],
        ["/v1/files", { method: "POST", body: "x", headers: { "content-length": "1" } }, 400],
        ["/v1/batches", { method: "POST", body: "x" }, 400],
        ["/v1/batches", { method: "POST", body: JSON.stringify({ ...ask, endpoint: "/v1/x" }) }, 400],
        ["/v1/batches", { method: "POST", body: JSON.stringify({ ...ask, input_file_id: "file-x" }) }, 404],
        ["/v1/files/..%2f..%2fx", {}, 404],
        ["/v1/batches/x", {}, 404],
        ["/v1/files", { method: "PUT" }, 404],
      ];
      for (const [path, init, status] of wrong) assertEquals((await send(path, init)).status, status, path);
      assertEquals((await small.server.fetch(new Request("http://localhost/v1/files"))).status, 401);
    }
    await using small = await serveStories({ files, keys });
    const get = async (path: string) => await small.server.fetch(new Request(`http://localhost${path}`, { headers }));
    let told = await (await get(`/v1/batches/${batch}`)).json();
    for (; told.status === "in_progress"; told = await (await get(`/v1/batches/${batch}`)).json()) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals([told.status, told.request_counts], ["completed", { total: 12, completed: 12, failed: 0 }]);
    const text = await (await get(`/v1/files/${told.output_file_id}/content`)).text();
    const results = text.trimEnd().split("\n").map((one) => JSON.parse(one));
    assertEquals(results.map(({ custom_id }) => custom_id), lines.map((_, index) => `${index}`));
    assert(results.every(({ response }) => response.body.choices[0].text !== ""));
    // The same lines, worked by the command's own way, give the same bytes.
    writeFileSync(join(files, "same"), lines.join("\n"));
    const output = join(files, "same-out");
    await runBatchFiles({ fetch: small.server.fetch, input: join(files, "same"), output, atOnce: 5, headers });
    assertEquals(readFileSync(output, "utf8"), text);
    appendFileSync(output, "x");
  });

  it("are refused where there is no folder", async () => {
    await using small = await serveStories();
    assertEquals((await small.get("/v1/batches")).status, 501);
  });
});
