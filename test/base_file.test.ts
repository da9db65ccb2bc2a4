/**
 * Perplexity by llama.cpp's method beside what llama-perplexity (commit de3ff815e) says of the same files, and the file of log
 * probabilities that both write and read. `data/qwen2.kld` is its own:
 *
 *     llama-perplexity -m qwen2.gguf -f article.txt -c 64 -b 64 --chunks 4 --kl-divergence-base qwen2.kld \
 *         -ctk f32 -ctv f32 -fa off
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { InvalidArgumentError, LightGPT, LightGPTError, ModelFormatError, quantizeFile } from "../mod.ts";
import { BaseReader, BaseWriter } from "../src/measuring/base_file.ts";
import { atOnce } from "../src/options/sliced.ts";
import { lightgpt } from "./command.ts";
import { dataDirectory, excerptDirectory, repository } from "./kit.ts";

const theirs = join(dataDirectory, "qwen2.kld");
const qwen2 = join(excerptDirectory, "archs", "qwen2.gguf");
const llama = join(excerptDirectory, "archs", "llama_mha_f16.gguf");
const textFile = join(repository, "bench", "texts", "article.txt");
const text = readFileSync(textFile, "utf8");
const window = 64;
/** Bytes before the tokens. */
const header = 20;

const open = (path: string, options = {}) => LightGPT.load(path, { threads: 1, kv: "f32", cache: false, ...options });

describe("perplexity as llama-perplexity measures it", () => {
  let folder: string;
  before(() => folder = mkdtempSync(join(tmpdir(), "lightgpt-base-")));
  after(() => rmSync(folder, { recursive: true }));
  const place = (name: string) => join(folder, name);

  /** A copy of the model with some bytes changed. */
  function forged(name: string, change: (bytes: Uint8Array<ArrayBuffer>, view: DataView) => Uint8Array): string {
    const bytes = new Uint8Array(readFileSync(theirs));
    writeFileSync(place(name), change(bytes, new DataView(bytes.buffer)));
    return place(name);
  }

  it("is its number where texts begin with BOS, and where they do not", async () => {
    await quantizeFile(llama, place("llama-f32.gguf"), { type: "f32", threads: 1 });
    for (
      const [path, bos, perplexity, tokens] of [
        [place("llama-f32.gguf"), true, 3003.3805, 29 * 31],
        [qwen2, false, 1422.6688, 26 * 31],
      ] as const
    ) {
      await using lm = await open(path);
      assertEquals(lm.model.tokenizer.addBos, bos);
      const measured = await lm.perplexity(text, { method: "llama.cpp", window });
      assertEquals(measured.tokens, tokens);
      assertAlmostEquals(measured.perplexity, perplexity, 2e-4);
      assert((await lm.perplexity(text, { window })).tokens > 1.9 * tokens, "full counts the first halves too");
    }
  });

  it("compares with its file, which gives its figures", async () => {
    const tensorTypes = [{ pattern: "token_embd", format: "q8_0" }] as const;
    await quantizeFile(qwen2, place("q4_0.gguf"), { type: "q4_0", rounding: "nearest", tensorTypes, threads: 1 });
    await quantizeFile(place("q4_0.gguf"), place("rounded.gguf"), { type: "f32", threads: 1 });
    await using lm = await open(place("rounded.gguf"));
    const comparison = await lm.accuracy({ klDivergenceBase: theirs, text, window });
    assertEquals(comparison.tokens, 4 * 31);
    assertAlmostEquals(comparison.perplexity, 1134.877674, 2e-4);
    assertAlmostEquals(comparison.reference, 1107.40678, 2e-4);
    assertAlmostEquals(comparison.divergence, 0.223979, 1e-6);
    assertAlmostEquals(comparison.divergence99, 0.693771, 2e-6);
    assertAlmostEquals(100 * comparison.same, 43.548, 1e-3);
    // Without a text the file's tokens are enough, and a live reference comes to about the same.
    assertEquals(await lm.accuracy({ klDivergenceBase: theirs }), comparison);
    await using exact = await open(qwen2);
    const live = await lm.accuracy({ reference: exact, text, window, method: "llama.cpp" });
    assertEquals(live.tokens, 26 * 31);
    assertAlmostEquals(live.divergence, comparison.divergence, 0.03);
  });

  it("writes its file: the same header and tokens, and rows that differ by its rounding", async () => {
    await using lm = await open(qwen2);
    const cut = lm.model.tokenizer.decode(lm.tokenize(text).subarray(0, 4 * window));
    const path = place("ours.kld");
    const { perplexity } = await lm.perplexity(cut, { window, klDivergenceBase: path });
    assertAlmostEquals(perplexity, 1107.4127, 2e-4);
    const [ours, their] = [path, theirs].map((file) => new Uint8Array(readFileSync(file)));
    assertEquals(ours!.length, their!.length);
    const rowsAt = header + 4 * 4 * window;
    assertEquals(ours!.subarray(0, rowsAt), their!.subarray(0, rowsAt));
    const { vocabularySize } = lm.model.tokenizer;
    const rowBytes = 2 * (2 * Math.ceil(vocabularySize / 2) + 4);
    assertEquals((their!.length - rowsAt) / rowBytes, 4 * 31);
    for (let at = rowsAt; at < their!.length; at += rowBytes) {
      const [mine, other] = [ours!, their!].map((file) => new DataView(file.buffer, file.byteOffset + at, rowBytes));
      for (const head of [0, 4]) assertAlmostEquals(mine!.getFloat32(head, true), other!.getFloat32(head, true), 2e-5);
      for (let word = 8; word < rowBytes; word += 2) {
        assertLessOrEqual(Math.abs(mine!.getUint16(word, true) - other!.getUint16(word, true)), 2);
      }
    }
    const same = await lm.accuracy({ klDivergenceBase: path, text: cut });
    assertAlmostEquals(same.divergence, 0, 1e-5);
    assertEquals(same.same, 1);
    assertEquals(readdirSync(folder).filter((name) => name.startsWith("ours.kld")), ["ours.kld"]);
  });

  it("keeps rows whose logits are all equal, or far apart", () => {
    const path = place("rows.kld");
    const rows = [[1, 1, 1, 1, 1], [0, -40, -3, 2, -16], [-500, -500, -500, -500, 9]].map((row) =>
      Float32Array.from(row)
    );
    {
      using writer = new BaseWriter(path, {
        window: 3,
        vocabulary: 5,
        tokens: Uint32Array.of(0, 1, 2, 0, 1, 2, 4, 4, 4),
      });
      for (const row of rows) atOnce(writer.write(row));
      writer.finish();
    }
    using reader = new BaseReader(path);
    const out = new Float32Array(15);
    atOnce(reader.rows(0, out));
    for (const [index, row] of rows.entries()) {
      const most = Math.max(...row);
      const sum = most + Math.log(row.reduce((total, logit) => total + Math.exp(logit - most), 0));
      for (const [token, logit] of row.entries()) {
        // No more than 16 nats below the greatest is kept, in steps of 65 535.
        assertAlmostEquals(out[5 * index + token]!, Math.max(logit, most - 16) - sum, 16 / 65535);
      }
    }
  });

  it("leaves nothing where it was ended", async () => {
    await using lm = await open(qwen2);
    const controller = new AbortController();
    const onProgress = (done: number) => done > 0 && controller.abort();
    const options = { window, klDivergenceBase: place("ended.kld"), onProgress, signal: controller.signal };
    await assertRejects(() => lm.perplexity(text, options), LightGPTError, "Cancelled");
    assertEquals(readdirSync(folder).filter((name) => name.startsWith("ended")), []);
    await assertRejects(
      () => lm.perplexity(text, { window, klDivergenceBase: place("no/where.kld") }),
      LightGPTError,
      "its folder does not exist",
    );
    assert(!existsSync(place("no")));
  });

  it("refuses a file of another vocabulary, text or window, and one that was cut or broken", async () => {
    await using lm = await open(qwen2);
    const rowsAt = header + 4 * 4 * window;
    for (
      const [options, type, message] of [
        [{ klDivergenceBase: forged("cut", (bytes) => bytes.subarray(0, 90_000)) }, ModelFormatError, "it was cut"],
        [
          { klDivergenceBase: forged("head", (bytes) => bytes.subarray(0, 9)) },
          ModelFormatError,
          "its header alone 20",
        ],
        [{ klDivergenceBase: qwen2 }, ModelFormatError, "does not begin with _logits_"],
        [
          { klDivergenceBase: place("none.kld") },
          LightGPTError,
          "there is no such file; expected a file of log probabilities",
        ],
        [{ klDivergenceBase: theirs, window: 128 }, InvalidArgumentError, "windows of 64 tokens, not 128"],
        [
          { klDivergenceBase: theirs, text: `x${text}` },
          InvalidArgumentError,
          "another text, or with another vocabulary",
        ],
        [{ klDivergenceBase: theirs, reference: lm }, InvalidArgumentError, "none beside klDivergenceBase"],
        [{ klDivergenceBase: theirs, method: "full" as const }, InvalidArgumentError, 'expected "llama.cpp"'],
        [{ text }, InvalidArgumentError, "reference: expected a GGUF file"],
        [{ reference: lm }, InvalidArgumentError, "text: expected a string"],
      ] as const
    ) {
      const error = await assertRejects(() => lm.accuracy(options), type);
      assert(error.message.includes(message), error.message);
    }
    const tokens = forged("tokens", (bytes, view) => (view.setUint32(header, 999, true), bytes));
    await assertRejects(() => lm.accuracy({ klDivergenceBase: tokens }), ModelFormatError, "the token 999");
    const rows = forged("rows", (bytes, view) => (view.setFloat32(rowsAt + 4, NaN, true), bytes));
    await assertRejects(() => lm.accuracy({ klDivergenceBase: rows }), ModelFormatError, "row 0 add up to NaN");
    const sizes = forged("sizes", (bytes, view) => (view.setUint32(8, 2 ** 31, true), bytes));
    await assertRejects(() => lm.accuracy({ klDivergenceBase: sizes }), ModelFormatError, "windows of 2147483648");
    await using other = await open(join(excerptDirectory, "archs", "gemma3.gguf"));
    await assertRejects(
      () => other.accuracy({ klDivergenceBase: theirs }),
      InvalidArgumentError,
      "a model with 384 tokens",
    );
    await using small = await open(qwen2, { context: 60 });
    await assertRejects(() => small.accuracy({ klDivergenceBase: theirs }), InvalidArgumentError, "the context of 60");
    await assertRejects(
      () => lm.perplexity(text, { method: "full", klDivergenceBase: place("full.kld") }),
      InvalidArgumentError,
      'method: expected "llama.cpp"',
    );
    await assertRejects(
      () => lm.perplexity("too short", { method: "llama.cpp", window }),
      InvalidArgumentError,
      "needs two windows, 128 tokens",
    );
    await assertRejects(
      () => lm.perplexity(text, { method: "llama.cpp", window: 2 }),
      InvalidArgumentError,
      "window: expected an integer from 3",
    );
    assertThrows(() => new BaseReader(folder), LightGPTError);
  });

  it("is the command's too", async () => {
    const model = ["--model", qwen2, "--threads", "1", "--kv", "f32"];
    const measure = (...words: string[]) => lightgpt(["perplexity", ...model, ...words]);
    const said = await measure("--file", textFile, "--method", "llama.cpp", "--window", "64");
    assertEquals(said.stdout, "1422.66889 over 806 tokens\n");
    const base = place("command.kld");
    const written = await measure("--file", textFile, "--window", "64", "--kl-divergence-base", base, "--json");
    assertAlmostEquals(JSON.parse(written.stdout).perplexity, 1422.6688, 2e-4);
    const read = await measure("--kl-divergence-base", base, "--kl-divergence");
    assertEquals(read.code, 0);
    for (
      const line of [/over 806 tokens/, /mean KL {8}-?0\.00000/, /99th of 100 {4}0\.0000/, /same choice {4}100\.000 %/]
    ) {
      assert(line.test(read.stdout), read.stdout);
    }
    for (
      const [words, message] of [
        [["--kl-divergence"], "--kl-divergence needs --kl-divergence-base"],
        [["--method", "half", "--file", textFile], "--method needs full, llama.cpp"],
        [["--kl-divergence-base", base], "perplexity needs --file"],
        [["--kl-divergence-base", base, "--compare", qwen2, "--file", textFile], "two references"],
      ] as const
    ) {
      const { code, stderr } = await measure(...words);
      assertEquals(code, 2);
      assert(stderr.includes(message), stderr);
    }
    const { code, stderr } = await measure("--kl-divergence-base", qwen2, "--kl-divergence");
    assertEquals(code, 1);
    assert(stderr.includes("does not begin with _logits_"), stderr);
  });
});
