/**
 * Calibrated rounding of whole files: that a killed run is gone on with, that models of other kinds are rounded as well, and what
 * becomes of texts that nobody calibrates by, and of a full disk.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, type QuantizeFileOptions, readGguf } from "../mod.ts";
import { CalibrationStore } from "../src/converting/calibration_store.ts";
import { calibrationWindows } from "../src/converting/calibration_text.ts";
import { loadTokenizer } from "./tokenizers.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { lightgpt } from "./command.ts";
import { half } from "./halves.ts";
import { excerptDirectory, repository } from "./kit.ts";
import { workedMs } from "./worked.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-calibrating-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const embedded = join(repository, "models", "tinytales-q4_0.gguf");
const story = "Once upon a time there was a little fox. The fox lived in a den by the river, and it was happy. ";
const text = story.repeat(20);
const options = { type: "q4_0", rounding: "calibrated", calibration: text } as const satisfies QuantizeFileOptions;
/** What an attempt left beside a file. */
const leftovers = (name: string) => readdirSync(folder).filter((other) => other.startsWith(name) && other !== name);

before(() => quantizeFile(embedded, at("source.gguf"), { type: "q8_0" }));

describe("a calibration that was killed", () => {
  const skip = half === 0 && "runs on Bun's turn";
  it("is gone on with after its last finished layer, to the same bytes", { skip }, async () => {
    await quantizeFile(at("source.gguf"), at("whole.gguf"), options);
    const whole = readFileSync(at("whole.gguf"));
    const work = at("killed.gguf.calibrating");
    const source = `
      import { existsSync, readFileSync } from "node:fs";
      import { quantizeFile } from "${repositoryUrl}mod.ts";
      const progress = ${JSON.stringify(join(work, "progress.json"))};
      await quantizeFile(${JSON.stringify(at("source.gguf"))}, ${JSON.stringify(at("killed.gguf"))}, {
        ...${JSON.stringify(options)},
        onProgress: () => {
          if (existsSync(progress) && JSON.parse(readFileSync(progress, "utf8")).layers >= 2) console.log("two layers");
        },
      });`;
    const { signal } = await runChild(source, { onOutput: (kill) => kill("SIGKILL"), timeoutMs: 120_000 });
    assertEquals([signal, existsSync(at("killed.gguf"))], ["SIGKILL", false]);
    const { layers } = JSON.parse(readFileSync(join(work, "progress.json"), "utf8"));
    assert(layers >= 2 && layers < 5, `${layers} layers`);
    cpSync(work, at("left"), { recursive: true });

    const seen: number[] = [];
    await quantizeFile(at("source.gguf"), at("killed.gguf"), { ...options, onProgress: (done) => seen.push(done) });
    assert(readFileSync(at("killed.gguf")).equals(whole));
    assertEquals(leftovers("killed.gguf"), []);

    // What was finished is taken as it is: one changed byte of it is one changed byte of the file.
    cpSync(at("left"), work, { recursive: true });
    const blocks = join(work, "blk.0.ffn_down.weight.blocks");
    const bytes = readFileSync(blocks);
    bytes[5] ^= 1;
    writeFileSync(blocks, bytes);
    await quantizeFile(at("source.gguf"), at("killed.gguf"), options);
    const changed = readFileSync(at("killed.gguf"));
    assertEquals(changed.reduce((count, byte, index) => count + (byte === whole[index] ? 0 : 1), 0), 1);
  });

  it("is not taken for other work, nor from a process that still runs", () => {
    const open = (work: string) => CalibrationStore.open(at("shared.gguf"), work);
    const first = open("one text");
    first.finish(3);
    const beside = open("one text");
    assertEquals([first.layers, beside.layers], [3, 0]);
    assert(first.path("x") !== beside.path("x"));
    beside.remove();
    first.remove();
    assertEquals(leftovers("shared.gguf"), []);
    mkdirSync(at("shared.gguf.calibrating"));
    const write = (progress: string) => writeFileSync(at("shared.gguf.calibrating/progress.json"), progress);
    const dead = 2 ** 22 + 5; // beyond the largest number of a process
    for (
      const [progress, layers] of [
        [JSON.stringify({ process: dead, work: "one text", layers: 3 }), 3],
        [JSON.stringify({ process: dead, work: "another", layers: 3 }), 0],
        ['{"process": 12', 0],
        ["[]", 0],
      ] as const
    ) {
      write(progress);
      const store = open("one text");
      assertEquals(store.layers, layers, progress);
      store.remove();
      mkdirSync(at("shared.gguf.calibrating"));
    }
    rmSync(at("shared.gguf.calibrating"), { recursive: true });
  });
});

describe("calibrated rounding", () => {
  for (const name of ["phi3_partial", "gemma3", "qwen3"]) {
    it(`brings ${name} nearer to its original than a search`, async () => {
      const original = join(excerptDirectory, "archs", `${name}.gguf`);
      // Its vocabulary is too small for a text of words.
      const letters = Array.from({ length: 3000 }, (_, i) => "abcdefgh ijklm nop"[(i * i + (i >> 3)) % 18]).join("");
      await using exact = await LightGPT.load(original);
      const found: number[] = [];
      for (const rounding of ["search", "calibrated"] as const) {
        const calibration = rounding === "calibrated" ? { calibration: letters } : {};
        await quantizeFile(original, at(`${name}.gguf`), { type: "q4_0", rounding, ...calibration });
        await using made = await LightGPT.load(at(`${name}.gguf`));
        const { divergence } = await made.accuracy({ reference: exact, text: letters.slice(0, 400) });
        found.push(divergence);
      }
      assertLess(found[1], found[0]);
    });
  }
});

describe("a text to calibrate by", () => {
  const tokenizer = loadTokenizer(readGguf(embedded));
  const windows = (text: string, tokens: number) =>
    calibrationWindows({ tokenizer, plan: { texts: { generates: true } } }, text, {
      tokens,
      window: 64,
      signal: undefined,
    });

  it("of one token is refused, and nothing is left behind", async () => {
    for (const calibration of ["a", "Once upon a time"]) {
      await assertRejects(
        () => quantizeFile(embedded, at("short.gguf"), { ...options, type: "q4_1", calibration }),
        LightGPTError,
        "calibration: expected a text of at least 64 tokens",
      );
      assertEquals(readdirSync(folder).filter((name) => name.startsWith("short")), []);
    }
  });

  it("of 100 MB is read at as many places as are asked for, from beginning to end", async () => {
    const part = (i: number) =>
      `The fox number ${String(i).padStart(4, "0")} ran home and slept until morning. `.repeat(1500);
    const long = Array.from({ length: 1200 }, (_, i) => part(i)).join("\n");
    assert(long.length > 90e6);
    const begin = workedMs();
    const found = await windows(long, 1024);
    assertLess(workedMs() - begin, 10_000);
    assertEquals([found.length, found.reduce((sum, { tokens }) => sum + tokens.length, 0)], [16, 1024]);
    const numbers = found.map(({ tokens }) => Number(/number (\d{4})/.exec(tokenizer.decode(tokens))?.[1]));
    assertEquals(numbers[0], 0);
    numbers.forEach((number, i) => assert(Math.abs(number - i * 75) <= 1, `${number} at ${i}`));
  });

  it("may be longer than what is asked for, or shorter", async () => {
    const all = await windows(text, 1 << 20);
    const some = await windows(text, 128);
    assertEquals(some.length, 2);
    assertEquals(some[0], all[0]);
    assertEquals(some[1], all[Math.floor(all.length / 2)]);
  });

  it("may be in a language that the model has never seen", async () => {
    const others = [1, 2, 3, 4].map((layer) => ({ pattern: `blk.${layer}.`, format: "q8_0" }) as const);
    const calibration = "Жила-была лисица. 从前有一只狐狸。 キツネがいました。 ".repeat(12);
    const { tensors } = await quantizeFile(at("source.gguf"), at("foreign.gguf"), {
      ...options,
      calibration,
      tensorTypes: others,
    });
    assert(tensors.every(({ relativeError }) => relativeError < 0.5));
    await using made = await LightGPT.load(at("foreign.gguf"));
    assert(Number.isFinite((await made.perplexity(text)).perplexity));
  });

  it("that is not UTF-8 is refused by the command", async () => {
    writeFileSync(at("bytes.txt"), Uint8Array.of(...new TextEncoder().encode(text), 0xff, 0x41));
    const { code, stderr } = await lightgpt([
      "quantize",
      embedded,
      at("bytes.gguf"),
      "--type",
      "q4_1",
      "--rounding",
      "calibrated",
      "--calibrate",
      at("bytes.txt"),
    ]);
    assertEquals(code === 0, false);
    assertStringIncludes(stderr, "is no text in UTF-8");
    assertEquals(existsSync(at("bytes.gguf")), false);
    for (const words of [["imatrix", "--out", at("bytes.gguf")], ["perplexity"]]) {
      const measured = await lightgpt([...words, "--model", embedded, "--file", at("bytes.txt")]);
      assertEquals(measured.code === 0, false);
      assertStringIncludes(measured.stderr, "is no text in UTF-8");
    }
    assertEquals(existsSync(at("bytes.gguf")), false);
  });
});

describe("a calibration on a full disk", () => {
  const canMount = process.platform === "linux" && process.getuid?.() === 0 && mounts(at("small"));
  it("says so and leaves nothing", { skip: !canMount && "needs a file system to fill" }, async () => {
    try {
      copyFileSync(at("source.gguf"), at("original.gguf"));
      await assertRejects(
        () => quantizeFile(at("original.gguf"), at("small/out.gguf"), { ...options, calibration: text.repeat(3) }),
        LightGPTError,
        "the disk is full",
      );
      assertEquals(readdirSync(at("small")), []);
    } finally {
      execFileSync("umount", [at("small")]);
    }
  });
});

/** Mounts a file system that holds the result and not what is kept meanwhile; false where that is not allowed. */
function mounts(path: string): boolean {
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", path], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not allowed here: the test is skipped by name
  }
}
