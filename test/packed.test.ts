/**
 * Packed weights on disk: the same bits as without, one copy for all processes, and never worse than a start without them,
 * whatever is wrong with the file, its source, the folder or the disk.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { LightGPT, type LightGPTOptions, Model, type PackedUse, readGguf } from "../mod.ts";
import { PACKED_FILE } from "../ffi/wire.ts";
import { checkPacked, listPacked, makeRoom } from "../src/model/packed/folder.ts";
import { identitiesOf } from "../src/files/gguf/read.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { lightgpt } from "./command.ts";
import {
  gemma3,
  gemma4,
  nemotronExperts,
  phi3,
  qwen2,
  type Shape,
  smallModelBytes,
  withDirectory,
} from "./small-models.ts";

const prompt = [1, 3, 5, 7, 9];

/** The logits of a model, loaded with these options. */
async function logitsOf(
  path: string,
  options: LightGPTOptions,
): Promise<{ logits: string; packedPath?: string; warnings: string[] }> {
  await using lm = await LightGPT.load(path, { threads: 2, tune: "off", ...options });
  const logits = sumOf(await lm.logits(prompt, { all: true }));
  const { packedPath, warnings } = lm.model;
  return { logits, ...(packedPath === undefined ? {} : { packedPath }), warnings: [...warnings] };
}

function sumOf(logits: Float32Array): string {
  return createHash("sha256").update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)).digest("hex");
}

/** Calls `body` with a model file and a folder for packed weights that is not there yet. */
function withModel(shape: Shape, body: (model: string, folder: string) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const model = join(directory, "model.gguf");
    writeFileSync(model, smallModelBytes(shape));
    await body(model, join(directory, "packed"));
  });
}

const keep = (folder: string) => ({ packed: { folder } });
const use = (folder: string, use: PackedUse = "auto") => ({ packed: { folder, use } });

/** The one file of a folder; nothing else is in it. */
function onlyFile(folder: string): string {
  const names = readdirSync(folder);
  assertEquals(names.length, 1, names.join());
  return join(folder, names[0]);
}

describe("packed weights on disk", () => {
  const shapes: Readonly<Record<string, Shape>> = { qwen2, gemma4, nemotronExperts: nemotronExperts() };
  for (const [name, shape] of Object.entries(shapes)) {
    it(`give the same bits as without, ${name}`, () =>
      withModel(shape, async (model, folder) => {
        const plain = await logitsOf(model, use(folder));
        assertEquals(plain.warnings, []);
        assert(!existsSync(folder), "auto keeps nothing");
        const first = await logitsOf(model, keep(folder));
        const path = onlyFile(folder);
        assertEquals(first, { ...plain, packedPath: path });
        const { ino, mode } = statSync(path);
        assertEquals([mode & 0o777, statSync(folder).mode & 0o777], [0o600, 0o700]);
        for (const options of [use(folder), keep(folder)]) assertEquals(await logitsOf(model, options), first);
        assertEquals(statSync(onlyFile(folder)).ino, ino);
        assertEquals(await logitsOf(model, use(folder, "off")), plain);
      }));
  }

  it(
    "are mapped, read only and shared, also by the process that wrote them",
    { skip: process.platform !== "linux" },
    () =>
      withModel(qwen2, async (model, folder) => {
        for (const options of [keep(folder), use(folder)]) {
          using loaded = await Model.load(model, options);
          const { ino } = statSync(loaded.packedPath as string);
          const line = readFileSync("/proc/self/maps", "utf8").split("\n").find((line) => line.includes(` ${ino} `));
          assertStringIncludes(line ?? "", " r--s 00200000 ");
        }
        assert(!readFileSync("/proc/self/maps", "utf8").includes(folder), "freed with the model");
      }),
  );

  it("belong to the file and not to its name, and to no other file", () =>
    withModel(qwen2, async (model, folder) => {
      const { packedPath } = await logitsOf(model, keep(folder));
      const moved = `${model}.moved`;
      renameSync(model, moved);
      assertEquals((await logitsOf(moved, use(folder))).packedPath, packedPath);
      writeFileSync(model, smallModelBytes(phi3));
      assertEquals((await logitsOf(model, use(folder))).packedPath, undefined);
    }));

  it("are known by the same on every runtime: no part of a millisecond counts", () =>
    withModel(qwen2, (model) => {
      utimesSync(model, 1.7e9, 1.7e9 + 0.1234567);
      const [identity] = identitiesOf(readGguf(model));
      assertEquals(identity, `${statSync(model).ino}:${statSync(model).size}:1700000000123`);
      return Promise.resolve();
    }));

  it("are not used once their source has changed, and go when others are kept", () =>
    withModel(qwen2, async (model, folder) => {
      await logitsOf(model, keep(folder));
      const old = onlyFile(folder);
      // One byte of a weight, in place; the time of the change is the system's.
      const bytes = readFileSync(model);
      bytes[bytes.length - 3] ^= 1;
      writeFileSync(model, bytes);
      const changed = await logitsOf(model, use(folder));
      assertEquals([changed.packedPath, changed.warnings], [undefined, []]);
      assertEquals(listPacked(folder).map(({ stale }) => stale), ["its source has changed"]);
      const kept = await logitsOf(model, keep(folder));
      assertEquals(kept.logits, changed.logits);
      assert(onlyFile(folder) === kept.packedPath && kept.packedPath !== old);
    }));
});

describe("a packed file that cannot be used", () => {
  const header = (path: string) => JSON.parse(readFileSync(path).subarray(0, 4096).toString().split("\n")[0]);
  const rewrite = (path: string, change: object) => {
    const [bytes, text] = [readFileSync(path), `${JSON.stringify({ ...header(path), ...change })}\n`];
    bytes.fill(0, 0, 4096).write(text);
    writeFileSync(path, bytes);
  };
  const faults: Readonly<Record<string, { spoil: (path: string) => void; says: string }>> = {
    "a header of zeros": {
      spoil: (path) => writeFileSync(path, readFileSync(path).fill(0, 0, 4096)),
      says: "its header is damaged",
    },
    "a header that is no text": {
      spoil: (path) => writeFileSync(path, readFileSync(path).fill(255, 0, 40)),
      says: "its header is damaged",
    },
    "nothing in it": { spoil: (path) => truncateSync(path, 0), says: "its header is damaged" },
    "its end cut off": { spoil: (path) => truncateSync(path, statSync(path).size - 8), says: " bytes instead of " },
    "a byte too many": { spoil: (path) => appendFileSync(path, "x"), says: " bytes instead of " },
    "another size, which its header has too": {
      spoil: (path) => {
        truncateSync(path, statSync(path).size - 64);
        rewrite(path, { bytes: statSync(path).size });
      },
      says: "expected ",
    },
    "another layout": {
      spoil: (path) => rewrite(path, { layout: 0 }),
      says: `its layout is 0, not ${PACKED_FILE.layout}`,
    },
    "another model's key": { spoil: (path) => rewrite(path, { key: "0" }), says: "it is another model's" },
  };
  for (const [name, { spoil, says }] of Object.entries(faults)) {
    it(`is passed over with ${name}, and made anew`, () =>
      withModel(qwen2, async (model, folder) => {
        const good = await logitsOf(model, keep(folder));
        const path = onlyFile(folder);
        spoil(path);
        const { warnings, ...rest } = await logitsOf(model, use(folder));
        assertEquals(rest, { logits: good.logits });
        assertEquals(warnings.length, 1);
        assertStringIncludes(warnings[0], "Packed weights on disk are not used: ");
        assertStringIncludes(warnings[0], says);
        assertEquals((await logitsOf(model, keep(folder))).packedPath, path);
        assertEquals(await logitsOf(model, use(folder)), good);
        await checkPacked(listPacked(folder)[0]);
      }));
  }

  it("is found by its sums where a weight has changed", () =>
    withModel(qwen2, async (model, folder) => {
      await logitsOf(model, keep(folder));
      const path = onlyFile(folder);
      await checkPacked(listPacked(folder)[0]);
      const bytes = readFileSync(path);
      for (const at of [PACKED_FILE.headerBytes, bytes.length - 1]) {
        bytes[at] ^= 1;
        writeFileSync(path, bytes);
        await assertRejects(
          () => checkPacked(listPacked(folder)[0]),
          Error,
          "expected the bytes that were written, got others",
        );
        bytes[at] ^= 1;
      }
    }));
});

describe("a folder of packed weights", () => {
  it("is not used, and nothing kept in it, where others may read or write it", () =>
    withModel(qwen2, async (model, folder) => {
      const plain = await logitsOf(model, keep(folder));
      for (const mode of [0o750, 0o702]) {
        chmodSync(folder, mode);
        for (const [options, what] of [[keep(folder), "kept"], [use(folder), "used"]] as const) {
          const { logits, packedPath, warnings } = await logitsOf(model, options);
          assertEquals([logits, packedPath], [plain.logits, undefined]);
          assertEquals(warnings, [
            `Packed weights on disk are not ${what}: ${folder} is not yours alone, so others may have changed what is in it; expected a folder of yours with the mode 700.`,
          ]);
        }
        assertThrows(() => listPacked(folder), Error, "is not yours alone");
      }
    }));

  it("that cannot be made is a warning", () =>
    withModel(qwen2, async (model) => {
      const { packedPath, warnings } = await logitsOf(model, keep(join(model, "packed")));
      assertEquals([packedPath, warnings.length], [undefined, 1]);
      assertStringIncludes(warnings[0], "Packed weights on disk are not kept: ");
      assertMatch(warnings[0], /ENOTDIR|Not a directory/);
    }));

  it("stays within its limit: what was used longest ago goes first", () =>
    withDirectory(async (directory) => {
      const folder = join(directory, "packed");
      const models = [qwen2, gemma3, phi3].map((shape) => {
        const model = join(directory, `${shape.architecture}.gguf`);
        writeFileSync(model, smallModelBytes(shape));
        return model;
      });
      const paths: string[] = [];
      for (const model of models.slice(0, 2)) paths.push((await logitsOf(model, keep(folder))).packedPath as string);
      for (const [index, path] of paths.entries()) utimesSync(path, 1000 + index, 1000 + index);
      assertEquals((await logitsOf(models[0], use(folder))).packedPath, paths[0]); // so that the other is the oldest
      const bytesMax = 2 * statSync(paths[0]).size + 1e6; // most of them is the room for their headers
      const { packedPath } = await logitsOf(models[2], { packed: { folder, bytesMax } });
      assertEquals(listPacked(folder).map(({ path }) => path).sort(), [paths[0], packedPath].sort());
      const tooSmall = await logitsOf(models[1], { packed: { folder, bytesMax: 10 } });
      assertEquals(tooSmall.packedPath, undefined);
      assertStringIncludes(tooSmall.warnings.join(), "and bytesMax is 10");
      writeFileSync(join(folder, "x.lgpacked.4194305-0-1.partial"), ""); // of a process that is no more
      makeRoom(folder, 0, 1, "");
      assertEquals(readdirSync(folder), []);
    }));

  it("is left as it was where loading ends early", () =>
    withModel(qwen2, async (model, folder) => {
      const controller = new AbortController();
      const onProgress = () => controller.abort();
      await assertRejects(() => Model.load(model, { ...keep(folder), onProgress, signal: controller.signal }));
      assertEquals(readdirSync(folder), []);
    }));
});

/** A program that keeps the embedded model's packed weights in `folder`; writes what came of it. */
const program = (folder: string, before = "") => `
  import process from "node:process";
  import { LightGPT } from "${repositoryUrl}mod.ts";
  ${before}
  await using lm = await LightGPT.load(undefined, { packed: { folder: ${JSON.stringify(folder)} }, tune: "off" });
  const found = await lm.logits([1, 3, 5, 7, 9], { all: true });
  const bytes = new Uint8Array(found.buffer, found.byteOffset, found.byteLength);
  const logits = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const { packedPath, warnings } = lm.model;
  console.log(JSON.stringify({ logits, packedPath, warnings }));`;

describe("packed weights and other processes", { skip: process.platform === "win32" }, () => {
  it("end right where two write them at once", () =>
    withDirectory(async (directory) => {
      const folder = join(directory, "packed");
      const outcomes = await Promise.all([runChild(program(folder)), runChild(program(folder))]);
      const plain = await logitsOf(embeddedModel(), { packed: "off" });
      const packedPath = onlyFile(folder);
      for (const { stdout, stderr } of outcomes) {
        assertEquals(JSON.parse(stdout || `{"stderr":${JSON.stringify(stderr)}}`), { ...plain, packedPath });
      }
      await checkPacked(listPacked(folder)[0]);
    }));

  it(
    "are a warning where the system allows no file so large",
    { skip: !has("prlimit") && "no prlimit" },
    () =>
      withDirectory(async (directory) => {
        const folder = join(directory, "packed");
        // Deno writes its own caches meanwhile, and would be ended by a signal; what is tested hears it in Bun.
        const heard = "Deno" in globalThis ? 'process.on("SIGXFSZ", () => {});' : "";
        const limit =
          `${heard} (await import("node:child_process")).execFileSync("prlimit", ["--pid", \`\${process.pid}\`, "--fsize=3000000:"]);`;
        const { stdout, stderr } = await runChild(program(folder, limit));
        const plain = await logitsOf(embeddedModel(), { packed: "off" });
        assertEquals(JSON.parse(stdout || `"${stderr}"`), {
          ...plain,
          warnings: [
            "Packed weights on disk are not kept: the file would be larger than the system allows (ulimit -f).",
          ],
        });
        assertEquals(readdirSync(folder), []);
      }),
  );

  const small = mountSmall();
  after(() => {
    if (small === undefined) return;
    spawnSync("umount", [small]);
    rmdirSync(small);
  });
  it(
    "are a warning where the disk is full",
    { skip: small === undefined && "no right to mount a small disk" },
    async () => {
      const folder = join(small as string, "packed");
      const { warnings, ...rest } = await logitsOf(embeddedModel(), { packed: { folder } });
      assertEquals(rest, { logits: (await logitsOf(embeddedModel(), { packed: "off" })).logits });
      assertEquals(warnings, ["Packed weights on disk are not kept: the disk is full."]);
      assertEquals(readdirSync(folder), []);
    },
  );
});

function has(command: string): boolean {
  return spawnSync(command, ["--version"]).status === 0;
}

/** A file system of 1 MiB, where this may be had. */
function mountSmall(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const place = mkdtempSync(join(tmpdir(), "lightgpt-small-"));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", place]).status === 0) return place;
  rmdirSync(place);
  return undefined;
}

describe("lightgpt pack", () => {
  it("keeps, lists, checks and removes", () =>
    withModel(qwen2, async (model, folder) => {
      const pack = async (...words: string[]) => {
        const { code, stdout, stderr } = await lightgpt(["pack", "--folder", folder, "--json", ...words]);
        return { code, found: stdout === "" ? undefined : JSON.parse(stdout), stderr };
      };
      const { found: { path } } = await pack(model);
      assertEquals(onlyFile(folder), path);
      const { found: [listed] } = await pack("--list");
      assertEquals({ ...listed, usedAt: "" }, {
        path,
        bytes: statSync(path).size,
        source: model,
        usedAt: "",
        stale: null,
      });
      assertEquals((await pack("--check", model)).found, [{ path, fault: null }]);
      const bytes = readFileSync(path);
      bytes[PACKED_FILE.headerBytes] ^= 1;
      writeFileSync(path, bytes);
      const { code, stderr } = await pack("--check");
      assertEquals(code, 1);
      assertStringIncludes(stderr, "expected the bytes that were written");
      assertEquals((await pack("--remove", model)).found, [{ path, bytes: bytes.length }]);
      assertEquals(readdirSync(folder), []);
      mkdirSync(folder, { recursive: true });
      chmodSync(folder, 0o755);
      const refused = await pack(model);
      assertEquals([refused.code, refused.found], [1, undefined]);
      assertStringIncludes(refused.stderr, "is not yours alone");
    }));
});
