/**
 * Models by name, from a hub on loopback: what is fetched, where it is kept, what is asked again, and what is said of a hub that fails.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { LightGPTError } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import type { DownloadProgress, HubContext } from "../src/files/hub/types.ts";
import { contextIn, find, hasty, randomFile } from "./hub_context.ts";
import { repository } from "./kit.ts";
import { type Fault, type Seen, sumOf, TestHub } from "./hub_server.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const tales = new Uint8Array(readFileSync(embeddedModel()));
const large = randomFile(1_500_000, "large");
let hub: TestHub;
let folder: string;

/** Faults for the storage's answers, in turn; then none. */
function storage(...faults: (Fault | undefined)[]): void {
  hub.fault = ({ host }: Seen) => host === "storage" ? faults.shift() : undefined;
}

/** The error of a name, as one line. */
async function failure(name: string, more: Partial<HubContext> = {}): Promise<string> {
  const error = await assertRejects(
    () => find(contextIn(folder, hub.endpoint, more), name),
    LightGPTError,
  ) as LightGPTError;
  assertMatch(error.message, /^[^\n]+\.$/);
  assertEquals(wrongFiles(), []);
  return error.message;
}

/** Files that have a final name, or a name in a snapshot, and are not what they are called. */
function wrongFiles(): string[] {
  const blobs = join(folder, "hub", "models--user--model", "blobs");
  if (!existsSync(blobs)) return [];
  return readdirSync(blobs).filter((name) => /^[\da-f]{64}$/.test(name))
    .filter((name) => sumOf(readFileSync(join(blobs, name))) !== name);
}

const context = (more: Partial<HubContext> = {}) => contextIn(folder, hub.endpoint, more);
const asked = (host: Seen["host"]) => hub.seen.filter((seen) => seen.host === host).length;

describe("models of the hub", () => {
  before(async () => {
    hub = await TestHub.open();
    hub.repositories.set("user/model", {
      commit,
      files: {
        "README.md": new Uint8Array(3),
        "Model-Q4_K_M.gguf": large,
        "Model-Q8_0.gguf": tales,
        "mmproj-Model-f16.gguf": tales,
        "deep/Model Ünïcode-Q2_K.gguf": tales,
        "parts/Model-F16-00001-of-00002.gguf": randomFile(70_000, "1"),
        "parts/Model-F16-00002-of-00002.gguf": randomFile(80_000, "2"),
        "../outside-Q5_K_M.gguf": tales,
      },
    });
    hub.repositories.set("user/several", { commit, files: { "a-Q4_0.gguf": tales, "b-Q4_0.gguf": tales } });
    hub.repositories.set("user/plain", { commit, files: { "model.gguf": tales }, plain: ["model.gguf"] });
    hub.repositories.set("user/torch", { commit, files: { "model.safetensors": tales, "config.json": tales } });
  });
  after(() => hub.close());
  beforeEach(() => {
    hub.calm();
    folder = mkdtempSync(join(tmpdir(), "lightgpt-hub-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("are kept as Hugging Face's tools keep them, and not fetched again", async () => {
    const path = await find(context(), "hf:user/model");
    const repository = join(folder, "hub", "models--user--model");
    assertEquals(path, join(repository, "snapshots", commit, "Model-Q4_K_M.gguf"));
    assertEquals(readlinkSync(path), join("..", "..", "blobs", sumOf(large)));
    assertEquals(readFileSync(join(repository, "refs", "main"), "utf8"), commit);
    assertEquals(sumOf(readFileSync(path)), sumOf(large));
    assertEquals(readdirSync(join(repository, "blobs")), [sumOf(large)], "nothing is left beside it");
    assert(asked("storage") > 4, "several ranges");
    hub.calm();
    assertEquals(await find(context(), "hf:user/model:q4_k_m"), path);
    assertEquals(await find(context({ isOffline: true }), "hf:user/model/Model-Q4_K_M.gguf"), path);
    assertEquals(await find(context(), `hf:user/model@${commit}`), path);
    assertEquals(hub.seen, []);
  });

  it("are found by type, file, address, with spaces and letters of any language, and in parts", async () => {
    const ends = async (name: string, end: string) => {
      const path = await find(context(), name);
      assert(path.endsWith(join("snapshots", commit, ...end.split("/"))), path);
      return path;
    };
    await ends("hf:user/model:Q8_0", "Model-Q8_0.gguf");
    await ends("hf:user/model/deep/Model Ünïcode-Q2_K.gguf", "deep/Model Ünïcode-Q2_K.gguf");
    await ends(`${hub.endpoint}/user/model/resolve/main/Model-Q8_0.gguf`, "Model-Q8_0.gguf");
    const first = await ends("hf:user/model:F16", "parts/Model-F16-00001-of-00002.gguf");
    assert(existsSync(first.replace("00001-of", "00002-of")));
    assertEquals((await find(context(), "hf:user/plain")).endsWith("model.gguf"), true);
  });

  it("are newer where the hub has a newer one and is asked", async () => {
    const old = await find(context(), "hf:user/plain");
    const newer = commit.replace("0", "f");
    hub.repositories.set("user/plain", { commit: newer, files: { "model.gguf": tales }, plain: ["model.gguf"] });
    assertEquals(await find(context(), "hf:user/plain"), old);
    hub.seen.length = 0;
    assertEquals(await find(context(), "hf:user/plain", true), old.replace(commit, newer));
    assertEquals(asked("storage"), 0, "the same bytes are not fetched again");
    const notes: DownloadProgress[] = [];
    hub.fault = () => ({ kind: "reset" });
    const kept = await find(context({ onProgress: (progress) => notes.push(progress) }), "hf:user/plain", true);
    assertEquals(kept, old.replace(commit, newer));
    assertMatch(notes.at(-1)?.note ?? "", /does not answer.*; what is here stays as it is$/);
    hub.repositories.set("user/plain", { commit, files: { "model.gguf": tales }, plain: ["model.gguf"] });
  });

  it("come whole through cuts, resets, silence, wrong ranges, ignored ranges and busy servers", async () => {
    const ways: (Fault | undefined)[][] = [
      [{ kind: "cut", after: 10_000 }, undefined, { kind: "cut", after: 0 }, { kind: "cut", after: 60_000 }],
      [{ kind: "reset" }, { kind: "reset" }, undefined, { kind: "reset" }],
      [{ kind: "stall", after: 5000 }, undefined, { kind: "silent" }],
      [undefined, { kind: "wrongRange" }, { kind: "notRange" }],
      [undefined, undefined, { kind: "ignoreRange" }],
      [{ kind: "ignoreRange" }, { kind: "cut", after: 700_000 }],
      [{ kind: "status", status: 503 }, undefined, { kind: "status", status: 429, headers: { "retry-after": "0" } }],
      [undefined, { kind: "status", status: 403 }], // a signed address that has run out
      [undefined, { kind: "etag", etag: '"other"' }], // the storage's tag is not the hub's sum
    ];
    for (const faults of ways) {
      const shown = JSON.stringify(faults);
      storage(...faults);
      const path = await find(context(), "hf:user/model");
      assertEquals(sumOf(readFileSync(path)), sumOf(large), shown);
      rmSync(join(folder, "hub"), { recursive: true });
    }
  });

  it("go on where an earlier try ended, also that of another process", async () => {
    const controller = new AbortController();
    hub.fault = ({ host, range }) => {
      if (host === "storage" && Number(/=(\d+)/.exec(range ?? "")?.[1]) >= 700_000) controller.abort();
      return undefined;
    };
    const slow = { ...hasty, connections: 1 };
    await assertRejects(
      () => find(context({ signal: controller.signal, patience: slow }), "hf:user/model"),
      LightGPTError,
      "Cancelled",
    );
    hub.calm();
    const first: DownloadProgress[] = [];
    await find(context({ onProgress: (progress) => first.push(progress) }), "hf:user/model");
    const begun = first.find(({ state }) => state === "downloading");
    assert(begun !== undefined && begun.bytesDone > 700_000, `${begun?.bytesDone}`);
    const [start] = hub.seen.filter(({ host }) => host === "storage").map(({ range }) =>
      Number(/=(\d+)/.exec(range ?? "")?.[1])
    );
    assert(start !== undefined && start > 600_000, `${start}`);
    assertEquals(first.at(-1)?.bytesDone, large.length);
  });

  it("are never kept where the sum is wrong", async () => {
    hub.fault = ({ host }) => host === "storage" ? { kind: "flip" } : undefined;
    assertMatch(
      await failure("hf:user/model"),
      /what came has the SHA-256 [\da-f]{64}; expected [\da-f]{64}; it was removed/,
    );
    assertEquals(readdirSync(join(folder, "hub", "models--user--model", "blobs")), []);
  });

  it("begin anew where what an earlier try has left is wrong", async () => {
    storage(undefined, { kind: "flip" }, ...Array.from({ length: 40 }, (): Fault => ({ kind: "reset" })));
    await failure("hf:user/model");
    hub.calm();
    assertEquals(sumOf(readFileSync(await find(context(), "hf:user/model"))), sumOf(large));
  });

  it("are refused with what is wrong and what would help", async () => {
    const says = async (
      expected: RegExp,
      fault: (seen: Seen) => Fault | undefined,
      name = "hf:user/model",
      more = {},
    ) => {
      hub.fault = fault;
      assertMatch(await failure(name, more), expected);
      hub.calm();
    };
    const all = (fault: Fault) => () => fault;
    const stored = (fault: Fault) => ({ host }: Seen) => host === "storage" ? fault : undefined;
    const status = (status: number, code?: string): Fault => ({
      kind: "status",
      status,
      headers: code ? { "x-error-code": code } : {},
    });
    const token = { value: "hf_x", from: "HF_TOKEN" };
    await says(/answers with a web page, perhaps of a proxy or a login/, all({ kind: "html" }));
    await says(/answers with a web page, perhaps of a proxy or a login/, stored({ kind: "html" }));
    await says(
      /its file begins with "VERS"/,
      stored({ kind: "body", body: "VERSION 1".repeat(314_368), type: "text/plain" }),
      "hf:user/plain",
    );
    await says(/compresses its file/, stored({ kind: "zip" }));
    await says(
      /its file has 9 bytes; expected a GGUF file of 1500000/,
      stored({ kind: "body", body: "123456789", type: "x/y" }),
    );
    await says(/sends other bytes than those asked for, 3 times in a row/, stored({ kind: "wrongRange" }));
    await says(/sent nothing for 0.2 s, 3 times in a row/, stored({ kind: "stall", after: 0 }));
    await says(
      /does not answer \(no answer in 0.3 s\); expected a network \(a mirror's address goes into HF_ENDPOINT/,
      all({ kind: "silent" }),
    );
    await says(/cannot answer now \(status 500\)/, all(status(500)));
    await says(/asks to wait 7200 s/, all({ kind: "status", status: 429, headers: { "retry-after": "7200" } }));
    await says(
      /agreed to their terms; expected that you agree at .*user\/model, and a token of your account in HF_TOKEN/,
      all(status(401, "GatedRepo")),
    );
    await says(
      /the token of HF_TOKEN may not read it; expected that its account agrees/,
      all(status(403, "GatedRepo")),
      "hf:user/model",
      { token },
    );
    await says(/the storage behind 127.0.0.1:\d+ refuses \(403\), 3 times in a row/, stored(status(403)));
    await says(/the hub does not know the token of HF_TOKEN/, all(status(401)), "hf:user/model", { token });
    await says(
      /the hub has no such repository; expected the name of one .*; a private one also needs a token/,
      all(status(404)),
    );
    await says(
      /there is no revision "v9"; expected a branch, a tag or a commit/,
      all(status(404, "RevisionNotFound")),
      "hf:user/model@v9",
    );
    await says(/redirects more than 10 times/, all({ kind: "redirect", location: "/round" }));
    await says(
      /redirects to file:; expected an address that begins with https:/,
      stored({ kind: "redirect", location: "file:///etc/passwd" }),
    );
    await says(
      /has no GGUF file; expected a repository with GGUF files: search the hub/,
      () => undefined,
      "hf:user/torch",
    );
    await says(
      /has no GGUF file of the type Q3_K_M; expected one of F16, Q4_K_M, Q8_0, Q2_K/,
      () => undefined,
      "hf:user/model:Q3_K_M",
    );
    await says(
      /has no GGUF file x\.gguf; expected one of parts.*Model-Q4_K_M\.gguf/,
      () => undefined,
      "hf:user/model/x.gguf",
    );
    await says(
      /has 2 files that fit: hf:user\/several\/a-Q4_0.gguf, hf:user\/several\/b-Q4_0.gguf; expected one of them/,
      () => undefined,
      "hf:user/several",
    );
    await says(/it is not here, and HF_HUB_OFFLINE allows no network/, () => undefined, "hf:user/model", {
      isOffline: true,
    });
    await says(/the disk of .* has 1\.0 MB free; expected 35 MB free/, () => undefined, "hf:user/model", {
      freeBytes: () => 1e6,
    });
  });

  it("show a token to the hub alone", async () => {
    await find(context({ token: { value: "hf_secret", from: "HF_TOKEN" } }), "hf:user/model");
    const tokens = (
      host: Seen["host"],
    ) => [...new Set(hub.seen.filter((seen) => seen.host === host).map(({ authorization }) => authorization))];
    assertEquals(tokens("hub"), ["Bearer hf_secret"]);
    assertEquals(tokens("storage"), [undefined]);
  });

  it("are fetched once where two ask at once", async () => {
    const states = new Set<string>();
    const second = context({ onProgress: ({ state }) => states.add(state) });
    const paths = await Promise.all([find(context(), "hf:user/model"), find(second, "hf:user/model")]);
    assertEquals(paths[0], paths[1]);
    const ranges = hub.seen.filter(({ host }) => host === "storage").map(({ range }) => range);
    assertEquals(new Set(ranges).size, ranges.length, "no range was asked for twice");
  });

  it("are told with name, size, rate and time", async () => {
    const told: DownloadProgress[] = [];
    await find(context({ onProgress: (progress) => told.push(progress) }), "hf:user/model");
    assertEquals([...new Set(told.map(({ state }) => state))], ["asking", "downloading", "checking"]);
    const end = told.findLast(({ state }) => state === "downloading") as DownloadProgress;
    assertEquals([end.name, end.bytesDone, end.bytesTotal, end.secondsLeft], [
      "Model-Q4_K_M.gguf",
      large.length,
      large.length,
      0,
    ]);
    assert(end.bytesPerSecond > 0);
    assertMatch(end.source, /^127\.0\.0\.1:\d+$/);
  });

  it("say where they cannot be kept", async () => {
    writeFileSync(join(folder, "hub"), "a file");
    assertMatch(
      await failure("hf:user/model"),
      /its folder is a file; HF_HUB_CACHE names another folder|cannot be written/,
    );
    rmSync(join(folder, "hub"));
    if (process.getuid?.() === 0 || process.platform === "win32") return; // may write everywhere
    mkdirSync(join(folder, "hub"));
    chmodSync(join(folder, "hub"), 0o500);
    assertMatch(await failure("hf:user/model"), /writing there is not allowed; HF_HUB_CACHE/);
    chmodSync(join(folder, "hub"), 0o700);
  });

  it("keep what came where the system allows no larger file", async () => {
    if (process.platform !== "linux") return;
    const start = "Deno" in globalThis ? "run --allow-all --no-check --no-code-cache --quiet" : "";
    const child = join(repository, "test", "hub_child.ts");
    const command = `ulimit -f 500; exec '${process.execPath}' ${start} '${child}' '${folder}' '${hub.endpoint}'`;
    const stderr = await new Promise<string>((done) => {
      const program = spawn("bash", ["-c", command], {
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...process.env, TMPDIR: folder },
      });
      let text = "";
      program.stderr.setEncoding("utf8").on("data", (part: string) => text += part);
      program.on("close", () => done(text));
    });
    assertMatch(stderr, /allows a file to be \(ulimit -f\); what came so far is kept/);
    assertEquals(wrongFiles(), []);
    hub.calm();
    assertEquals(sumOf(readFileSync(await find(context(), "hf:user/model"))), sumOf(large));
    const sent = hub.seen.filter(({ host }) => host === "storage").length;
    assert(sent < 14, `${sent} ranges of the file's 23 pieces`);
  });

  it("leave nothing outside their folder, whatever the hub calls its files", async () => {
    assertMatch(await failure("hf:user/model:Q5_K_M"), /no GGUF file of the type Q5_K_M/);
    hub.fault = ({ path }) =>
      path.startsWith("/api/")
        ? {
          kind: "body",
          type: "application/json",
          body: JSON.stringify({
            sha: "../../../../x",
            siblings: [],
          }),
        }
        : undefined;
    assertMatch(await failure("hf:user/model"), /no commit and no files/);
    assertEquals(readdirSync(folder).filter((name) => name !== "hub"), []);
    assertEquals(statSync(folder).isDirectory(), true);
  });
});
