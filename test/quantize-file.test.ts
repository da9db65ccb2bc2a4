/**
 * Quantizing whole files: what is written, that it loads, what it costs, and that nothing is lost or left behind when the
 * input is bad, the disk is full or the process is killed.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, readGguf } from "../mod.ts";
import { formatName } from "../src/files/formats.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import type { NewValue } from "../src/files/gguf/encode.ts";
import { GgufWriter } from "../src/files/gguf/write.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { half } from "./halves.ts";
import { describeTales, repository } from "./kit.ts";

reckonProcessors(3);

const directory = mkdtempSync(join(tmpdir(), "lightgpt-quantize-"));
const embedded = join(repository, "models", "tinytales-q4_0.gguf");
after(() => rmSync(directory, { recursive: true, force: true }));

/** A path in the test's folder. */
const at = (name: string) => join(directory, name);

/** What of a failed attempt is left in a folder. */
const leftovers = (folder = directory) => readdirSync(folder).filter((name) => name.includes("partial"));

/** A GGUF file of F32 matrices: names, sizes (columns first), values. */
function writeFloats(path: string, tensors: { name: string; dims: number[]; values: Float32Array }[]): void {
  const writer = new GgufWriter(
    path,
    new Map(),
    tensors.map(({ name, dims, values }) => ({ name, dims, type: 0, bytes: values.byteLength })),
  );
  for (const { values } of tensors) writer.write(new Uint8Array(values.buffer));
  writer.finish();
}

const wave = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 0.7) * (1 + i % 5));

describe("quantizeFile", () => {
  it("keeps metadata, shapes and vectors, and tells what it did", async () => {
    const report = await quantizeFile(embedded, at("q8.gguf"), { type: "q8_0" });
    const [before, made] = [readGguf(embedded), readGguf(at("q8.gguf"))];
    assertEquals(made.bytes, report.bytes);
    for (const key of before.metadata.keys()) {
      assert(made.metadata.has(key), key);
      if (key === "general.file_type") continue;
      const both = [before, made].map(({ metadata }) =>
        JSON.stringify([...metadata.entries()].find(([k]) => k === key))
      );
      assertEquals(both[0], both[1]);
      assertEquals(
        before.metadata.array("tokenizer.ggml.tokens", 8)?.at(300),
        made.metadata.array("tokenizer.ggml.tokens", 8)?.at(300),
      );
    }
    assertEquals(made.metadata.count("general.file_type"), 7);
    for (const [name, { dims, typeName }] of made.tensors) {
      assertEquals(dims, before.tensors.get(name)?.dims);
      assertEquals(typeName, dims.length === 1 ? "F32" : "Q8_0");
    }
    assertEquals(report.tensors.length, made.tensors.size);
    assertEquals(report.warnings.length, 1);
    assertStringIncludes(report.warnings[0], "35 tensors are Q4_0 already");
    await using lm = await LightGPT.load(at("q8.gguf"));
    assertStringIncludes(
      (await lm.complete("Once upon a time", { maxTokens: 20, sampling: { temperature: 0 } })).text,
      " ",
    );
  });

  it("copies tensors that have their type already", async () => {
    const report = await quantizeFile(embedded, at("copy.gguf"), {
      type: "q4_0",
      tensorTypes: [{ pattern: "token_embd", format: "q8_0" }],
    });
    assertEquals(report.warnings, []);
    assertEquals(report.tensors.map(({ relativeError }) => relativeError).filter((error) => error !== 0), []);
  });

  it("gives the same bytes with any number of threads", async () => {
    const tensorTypes = [{ pattern: "ffn", format: "q8_0" }] as const;
    const made = await Promise.all([1, 2, 3].map(async (threads) => {
      await quantizeFile(embedded, at(`threads-${threads}.gguf`), { type: "f16", tensorTypes, threads });
      return readFileSync(at(`threads-${threads}.gguf`));
    }));
    assert(made[0].equals(made[1]) && made[0].equals(made[2]));
  });

  it("falls back where rows do not fit, and says so", async () => {
    writeFloats(at("odd.gguf"), [
      { name: "odd.weight", dims: [48, 3], values: wave(144) },
      { name: "even.weight", dims: [64, 2, 3], values: wave(384) },
    ]);
    const report = await quantizeFile(at("odd.gguf"), at("odd-q8.gguf"), { type: "q8_0" });
    assertEquals(report.warnings, ["odd.weight: rows of 48 do not fit q8_0's blocks; f16 instead."]);
    const types = [...readGguf(at("odd-q8.gguf")).tensors.values()].map(({ type }) => formatName(type));
    assertEquals(types, ["F16", "Q8_0"]);
  });

  it("weighs columns by their importance, of each matrix of a stack by its own", async () => {
    writeFloats(at("stack.gguf"), [{ name: "stack.weight", dims: [32, 64, 2], values: wave(4096) }]);
    const importance = new Float32Array(64).fill(1e-4);
    importance[3] = importance[32 + 20] = 1;
    await quantizeFile(at("stack.gguf"), at("plain.gguf"), { type: "q4_0" });
    await quantizeFile(at("stack.gguf"), at("weighed.gguf"), {
      type: "q4_0",
      importance: new Map([["stack.weight", importance]]),
    });
    const [plain, weighed] = ["plain", "weighed"].map((name) => readFileSync(at(`${name}.gguf`)));
    assert(!plain.equals(weighed));
  });
});

describe("what quantizeFile reads", () => {
  it("may be a split file: the parts give the bytes of the whole", async () => {
    const whole = readGguf(embedded);
    const bytes = readFileSync(embedded);
    const tensors = [...whole.tensors.values()];
    const u16 = (value: number) => ({ type: VALUE_TYPE.uint16, value });
    for (const index of [0, 1, 2]) {
      const part = tensors.filter((_, at) => Math.floor(at * 3 / tensors.length) === index);
      const values = new Map<string, NewValue>([["split.no", u16(index)], ["split.count", u16(3)]]);
      values.set("split.tensors.count", { type: VALUE_TYPE.int32, value: tensors.length });
      if (index === 0) {
        for (const [key, value] of whole.metadata.entries()) {
          values.set(key, { type: whole.metadata.typeOf(key) ?? 0, value });
        }
      }
      const infos = part.map(({ name, dims, type, bytes }) => ({ name, dims, type, bytes }));
      const writer = new GgufWriter(at(`part-0000${index + 1}-of-00003.gguf`), values, infos);
      for (const { offset, bytes: length } of part) writer.write(bytes.subarray(offset, offset + length));
      writer.finish();
    }
    await quantizeFile(at("part-00001-of-00003.gguf"), at("of-parts.gguf"), { type: "q8_0" });
    await quantizeFile(embedded, at("of-whole.gguf"), { type: "q8_0" });
    assert(readFileSync(at("of-parts.gguf")).equals(readFileSync(at("of-whole.gguf"))));
    const over = quantizeFile(at("part-00001-of-00003.gguf"), at("part-00002-of-00003.gguf"), { type: "q8_0" });
    await assertRejects(() => over, LightGPTError, "is a file of the input");
    const second = quantizeFile(at("part-00002-of-00003.gguf"), at("x.gguf"), { type: "q8_0" });
    await assertRejects(() => second, LightGPTError, "open the first part");
  });

  it("may have rows that a K-format does not fit: a format of blocks of 32 stands in, and a warning says so", async () => {
    writeFloats(at("rows.gguf"), [{ name: "rows.weight", dims: [96, 2], values: wave(192) }]);
    const stands: Record<string, string> = { q2_k: "IQ4_NL", q3_k: "IQ4_NL", q4_k: "Q5_0", q5_k: "Q5_1", q6_k: "Q8_0" };
    for (const [format, instead] of Object.entries(stands)) {
      const { warnings, tensors } = await quantizeFile(at("rows.gguf"), at("rows-k.gguf"), { type: format });
      assertEquals(tensors[0].to, instead);
      assertStringIncludes(warnings[0], `rows of 96 do not fit ${format}'s blocks; ${instead.toLowerCase()} instead`);
    }
  });

  it("may have its outliers clipped; what is stored apart has no place in a file", async () => {
    writeFloats(at("far.gguf"), [{ name: "far.weight", dims: [32, 1], values: wave(32).fill(90, 3, 4) }]);
    const write = (policy: "keep" | "clip" | "split") =>
      quantizeFile(at("far.gguf"), at(`far-${policy}.gguf`), { type: "q8_0", outliers: { policy, threshold: 2 } });
    const [kept, clipped] = [await write("keep"), await write("clip")];
    assertLess(kept.tensors[0].relativeError, 0.02);
    assert(clipped.tensors[0].relativeError > 0.1);
    await assertRejects(() => write("split"), LightGPTError, "GGUF has no type for values that are stored apart");
  });
});

describe("bad input to quantizeFile", () => {
  it("is refused before anything is written", async () => {
    copyFileSync(embedded, at("input.gguf"));
    symlinkSync(at("input.gguf"), at("symbolic.gguf"));
    linkSync(at("input.gguf"), at("hard.gguf"));
    for (const output of ["input.gguf", "symbolic.gguf", "hard.gguf"]) {
      await assertRejects(
        () => quantizeFile(at("input.gguf"), at(output), { type: "q8_0" }),
        LightGPTError,
        "is a file of the input; expected another path",
      );
    }
    const refused: [Promise<unknown>, string][] = [
      [quantizeFile(embedded, at("none/out.gguf"), { type: "q8_0" }), "its folder does not exist"],
      [quantizeFile(embedded, at("x.gguf"), { type: "q7_x" }), "type: expected "],
      [
        quantizeFile(embedded, at("x.gguf"), { type: "q8_0", tensorTypes: [{ pattern: "nose", format: "f16" }] }),
        'tensorTypes: expected a part of the name of a tensor in the file, got "nose"',
      ],
      [quantizeFile(at("absent.gguf"), at("x.gguf"), { type: "q8_0" }), "there is no such file"],
    ];
    for (const [call, message] of refused) await assertRejects(() => call, LightGPTError, message);
    mkdirSync(at("folder.gguf"));
    await assertRejects(
      () => quantizeFile(embedded, at("folder.gguf"), { type: "q8_0" }),
      LightGPTError,
      "it is a folder",
    );
    assert(readFileSync(at("input.gguf")).equals(readFileSync(embedded)), "the source is what it was");
    assertEquals(leftovers(), []);
  });

  it("with a value that is not finite names tensor, row and column", async () => {
    const values = wave(640);
    values[5 * 64 + 9] = NaN;
    writeFloats(at("nan.gguf"), [{ name: "sick.weight", dims: [64, 10], values }]);
    await assertRejects(
      () => quantizeFile(at("nan.gguf"), at("x.gguf"), { type: "q8_0" }),
      LightGPTError,
      "sick.weight: row 5, column 9: expected finite values, got NaN.",
    );
    assertEquals([...leftovers(), ...readdirSync(directory).filter((name) => name === "x.gguf")], []);
  });

  it("that changes or ends meanwhile is an error, and what lay at the output stays", async () => {
    for (const [change, message] of [[appendFileSync, "it changed"], [truncateSync, "it "]] as const) {
      copyFileSync(embedded, at("unsteady.gguf"));
      copyFileSync(embedded, at("before.gguf"));
      let once = true;
      const onProgress = () => {
        if (once) {
          change === appendFileSync ? change(at("unsteady.gguf"), "x") : truncateSync(at("unsteady.gguf"), 500_000);
        }
        once = false;
      };
      await assertRejects(
        () => quantizeFile(at("unsteady.gguf"), at("before.gguf"), { type: "q8_0", onProgress }),
        LightGPTError,
        message,
      );
      assert(readFileSync(at("before.gguf")).equals(readFileSync(embedded)));
      assertEquals(leftovers(), []);
    }
  });

  it("is given up by an AbortSignal, and nothing stays", async () => {
    const controller = new AbortController();
    const onProgress = (done: number) => done > 0 && controller.abort();
    await assertRejects(
      () => quantizeFile(embedded, at("given-up.gguf"), { type: "q8_0", signal: controller.signal, onProgress }),
      LightGPTError,
      "Cancelled",
    );
    assertEquals(readdirSync(directory).filter((name) => name.startsWith("given-up")), []);
  });

  const canMount = process.platform === "linux" && process.getuid?.() === 0 && mounts(at("small"));
  it("on a full disk says so and leaves nothing", { skip: !canMount && "needs a file system to fill" }, async () => {
    try {
      await assertRejects(
        () => quantizeFile(embedded, at("small/out.gguf"), { type: "q8_0" }),
        LightGPTError,
        "the disk is full; nothing was left behind",
      );
      assertEquals(readdirSync(at("small")), []);
    } finally {
      execFileSync("umount", [at("small")]);
    }
  });
});

/** Mounts a file system of 1 MB; false where that is not allowed. */
function mounts(folder: string): boolean {
  mkdirSync(folder);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not allowed here: the test is skipped by name
  }
}

describe("a killed process", () => {
  it("leaves no broken file under the name, 20 times", async () => {
    await quantizeFile(embedded, at("whole.gguf"), { type: "q8_0" });
    const whole = readFileSync(at("whole.gguf"));
    const before = readFileSync(embedded);
    let killed = 0;
    for (let round = 0; round < 20; round++) {
      const output = at(`killed-${round % 2}.gguf`); // half of the rounds find a whole file there
      const source = `
        import { quantizeFile } from "${repositoryUrl}mod.ts";
        for (;;) {
          console.log("begins");
          await quantizeFile(${JSON.stringify(embedded)}, ${JSON.stringify(output)}, { type: "q8_0" });
        }`;
      const { signal } = await runChild(source, {
        onOutput: (kill) => setTimeout(() => kill("SIGKILL"), 7 * round + 60 * Math.random()),
      });
      if (signal === "SIGKILL") killed++;
      const made = readdirSync(directory).filter((name) => at(name) === output);
      for (const name of made) assert(readFileSync(at(name)).equals(whole), `${name} is broken`);
    }
    assertEquals(killed, 20);
    assert(readFileSync(embedded).equals(before));
    for (const name of leftovers()) rmSync(at(name));
  });
});

describeTales("TinyTales as Q4_0", (tales) => {
  const original = join(tales, "tinytales-f32.gguf");
  const tensorTypes = [{ pattern: "token_embd", format: "q8_0" }] as const;

  const skip = half === 0 && "runs on Bun's turn";
  it("is nearer to F32 by a search than by plain rounding, and nearest by what the model reads", { skip }, async () => {
    const stories = readFileSync(join(tales, "valid-window.txt"), "utf8");
    const text = stories.slice(0, 6_000);
    await using exact = await LightGPT.load(original);
    const divergence = async (rounding: "nearest" | "search" | "calibrated") => {
      // Other stories than those that are compared.
      const calibration = rounding === "calibrated" ? { calibration: stories.slice(-12_000) } : {};
      const options = { type: "q4_0", rounding, tensorTypes, ...calibration };
      const report = await quantizeFile(original, at(`${rounding}.gguf`), options);
      assertEquals(report.bytes, 2_829_312);
      await using lm = await LightGPT.load(at(`${rounding}.gguf`));
      const { ratio, divergence, same, sameWhereSure } = await lm.accuracy({ reference: exact, text });
      assert(ratio > 0.97 && ratio < 1.03 && same > 0.9 && sameWhereSure > 0.97);
      return divergence;
    };
    const [nearest, search] = [await divergence("nearest"), await divergence("search")];
    assertLess(search, nearest);
    const calibrated = await divergence("calibrated");
    assertLess(calibrated, 0.75 * search);
    // The first layer alone, for it is the same work in each.
    const others = [1, 2, 3, 4].map((layer) => ({ pattern: `blk.${layer}.`, format: "f32" }) as const);
    const short = {
      type: "q4_0",
      rounding: "calibrated",
      tensorTypes: [...tensorTypes, ...others],
      calibration: stories.slice(-2_000),
    } as const;
    for (const threads of [1, 3]) {
      const { tensors } = await quantizeFile(original, at(`threads-${threads}.gguf`), { ...short, threads });
      assertEquals(tensors.filter(({ to }) => to === "Q4_0").length, 7);
    }
    assertEquals(readFileSync(at("threads-1.gguf")), readFileSync(at("threads-3.gguf")));
    await assertRejects(
      () => quantizeFile(original, at("no.gguf"), { type: "q4_0", calibration: "x" }),
      LightGPTError,
      "calibration",
    );
  });
});
