/**
 * Every flag of the commands that make and measure files has an effect: with it, what is written or said is another, or it is
 * refused where it cannot be heeded. One half of them on each runtime.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { collectImportance, Model, quantizeFile } from "../mod.ts";
import { COMMANDS } from "../cli/options.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { lightgpt } from "./command.ts";
import { halfOf } from "./halves.ts";
import { byteLevel, text } from "./models.ts";
import { qwen2, smallModelBytes } from "./small-models.ts";
import { writeAdapter } from "./adapter-files.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-flags-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const model = embeddedModel();
const story = "Once upon a time there was a little fox. The fox lived in a den by the river. ";

/**
 * What a flag's words come to: other bytes or words than without it, or a refusal that says this; or it allows a command that is
 * refused without it.
 */
type Effect = [words: string[], refused?: string] | { allows: string[] };

before(async () => {
  writeFileSync(at("text.txt"), story.repeat(8));
  writeFileSync(at("other.txt"), "Mia and Tom had a red boat and a blue kite, and they went to the sea. ".repeat(9));
  await quantizeFile(model, at("other.gguf"), { type: "q4_1", rounding: "nearest" });
  await using loaded = await Model.load(model);
  (await collectImportance(loaded, story)).write(at("matrix.gguf"));
  writeAdapter(at("adapter.gguf"), model, { rank: 2, alpha: 2, seed: 5 });
  const more = Array.from({ length: 22 }, (_, i) => `<${i}>`);
  const vocabulary = byteLevel([], more, { "tokenizer.ggml.pre": text("unheard-of") });
  writeFileSync(at("unknown.gguf"), smallModelBytes({ ...qwen2, values: vocabulary }));
  writeFileSync(at("letters.txt"), "abcdefgh ijklm nop".repeat(60));
});

/** What a command leaves: what it says, the sum of what it writes, and what it keeps for the next time. */
interface Left {
  readonly code: number | null;
  readonly said: string;
  readonly made: string;
  readonly kept: readonly string[];
}

/** Runs a command; nothing is kept from before. */
async function outcome(words: readonly string[]): Promise<Left> {
  rmSync(at("out.gguf"), { force: true });
  rmSync(at("cache"), { recursive: true, force: true });
  const { code, stdout, stderr } = await lightgpt([...words], { env: { LIGHTGPT_CACHE: at("cache") } });
  const bytes = existsSync(at("out.gguf")) ? readFileSync(at("out.gguf")) : new Uint8Array();
  const kept = existsSync(at("cache")) ? readdirSync(at("cache")) : [];
  return { code, said: stdout + stderr, made: createHash("sha256").update(bytes).digest("hex"), kept };
}

function describeCommand(command: string, words: readonly string[], effects: Readonly<Record<string, Effect>>): void {
  const given = words.filter((word) => word.startsWith("--")).map((word) => word.slice(2));
  describe(`each flag of ${command}`, () => {
    it("is tried", () => {
      assertEquals([...Object.keys(effects), ...given].sort(), Object.keys(COMMANDS[command].options).sort());
    });
    let plain: Left;
    before(async () => {
      plain = await outcome(words.map((word) => word.replace("@", `${folder}/`)));
      assertEquals(plain.code, 0, plain.said);
    });
    for (const [flag, effect] of halfOf(Object.entries(effects))) {
      it(`has an effect: --${flag}`, async () => {
        if ("allows" in effect) {
          const all = effect.allows.map((word) => word.replace("@", `${folder}/`));
          const [without, allowed] = [await outcome(all), await outcome([...all, `--${flag}`])];
          assert(without.code !== 0, without.said);
          assertStringIncludes(without.said, "allowUnknownPreTokenizer");
          assertEquals(allowed.code, 0, allowed.said);
          return;
        }
        const [own, refused] = effect;
        const all = [...words, `--${flag}`, ...own].map((word) => word.replace("@", `${folder}/`));
        const found = await outcome(all);
        if (refused === undefined) {
          assertEquals(found.code, 0, found.said);
          assertNotEquals(found, plain);
        } else {
          assert(found.code !== 0, found.said);
          assertStringIncludes(found.said, refused);
        }
      });
    }
  });
}

describeCommand("quantize", ["quantize", model, "@out.gguf", "--type", "q4_0"], {
  rounding: [["nearest"]],
  calibrate: [["@text.txt"], "rounding"],
  "calibrate-tokens": [["64"], "calibrat"],
  "tensor-type": [["ffn_down=q8_0"]],
  threads: [["0"], "--threads"],
  imatrix: [["@matrix.gguf"]],
  outliers: [["clip"]],
  "outlier-threshold": [["2"], "outlier"],
  "allow-unknown-pre-tokenizer": {
    allows: [
      ...["quantize", "@unknown.gguf", "@out.gguf", "--type", "q4_0", "--rounding", "calibrated"],
      ...["--calibrate", "@letters.txt"],
    ],
  },
  json: [[]],
});

describeCommand("imatrix", ["imatrix", "--file", "@text.txt", "--out", "@out.gguf"], {
  model: [["@other.gguf"]],
  context: [["8"]],
  window: [["32"]],
  threads: [["0"], "--threads"],
  activations: [["int16"]],
  "allow-unknown-pre-tokenizer": {
    allows: ["imatrix", "--model", "@unknown.gguf", "--file", "@letters.txt", "--out", "@out.gguf"],
  },
  json: [[]],
});

describeCommand("perplexity", ["perplexity", "--file", "@text.txt", "--window", "64"], {
  model: [["@other.gguf"]],
  context: [["8"], "window"],
  lora: [["@adapter.gguf"]],
  "allow-unknown-pre-tokenizer": { allows: ["perplexity", "--model", "@unknown.gguf", "--file", "@letters.txt"] },
  threads: [["0"], "--threads"],
  kv: [["q8_0"]],
  activations: [["int16"]],
  memory: [["1MiB"], "memory"],
  packed: [["keep"]],
  tune: [[]],
  method: [["llama.cpp"]],
  "kl-divergence-base": [["@out.gguf"]],
  "kl-divergence": [[], "--kl-divergence-base"],
  compare: [["@other.gguf"]],
  json: [[]],
});
