/**
 * Reading a model's header and vocabulary, and tokenizing a megabyte: how long in a process of its own, as a program that
 * starts feels it, on the runtime that runs this.
 *
 *     deno run -A bench/vocabulary.ts [FILE] [--runs 7]        bun bench/vocabulary.ts [FILE] [--runs 7]
 *
 * Without a file it makes two of 128 000 tokens: byte-level with 127 700 merges, and SentencePiece. The least of the runs
 * is what the work takes, the median what the machine made of it; the time on the processor is the main thread's (Linux).
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "../src/engine/median.ts";
import { encodeGguf, type NewValue } from "../scripts/gguf-writer.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import { loadTokenizer } from "../src/text/tokenizer/load.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";

const tokenCount = 128_000;
const letters = [..."etaoinshrdlucmfwypvbgkjqxz"];

/** Made-up words, each of two that came before: every token is what a merge makes. */
function words(first: readonly string[], count: number): { tokens: string[]; merges: string[] } {
  const tokens = [...first];
  const seen = new Set(tokens);
  const merges: string[] = [];
  for (let state = 1; tokens.length < count;) {
    state = Math.imul(state, 0x5851f42d) + 0x14057b7e | 0;
    // Short ones are taken more often, as in a trained vocabulary.
    const left = tokens[(state >>> 8) % Math.min(tokens.length, 4000)];
    const right = tokens[(state >>> 5) % Math.min(tokens.length, 1 + (state >>> 20))];
    if (
      /[<>]/.test(left + right) || seen.has(left + right) || left.length + right.length > 16 ||
      /^[\u2581\u0120]/.test(right)
    ) continue;
    seen.add(left + right);
    tokens.push(left + right);
    merges.push(`${left} ${right}`);
  }
  return { tokens, merges };
}

function array(type: keyof typeof VALUE_TYPE, values: (string | number)[]): NewValue {
  return { type: VALUE_TYPE.array, value: Object.assign(values, { elementType: VALUE_TYPE[type] }) };
}

function file(kind: "gpt2" | "llama"): string {
  const path = join(tmpdir(), "lightgpt-bench", `vocabulary-${kind}.gguf`);
  if (existsSync(path)) return path;
  const printable = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const other = Array.from({ length: 162 }, (_, index) => String.fromCharCode(index < 68 ? 0x100 + index : 93 + index));
  const isBytes = kind === "gpt2";
  const base = isBytes
    ? [...new Set([...letters, ...printable, ...other, ...Array.from("\u00ae\u00ff")])]
    : ["<unk>", "<s>", "</s>", ...bytes, "\u2581", ...letters, ...printable];
  const { tokens, merges } = words([...new Set(base)], tokenCount);
  const type = (token: string, id: number) => isBytes ? 1 : id === 0 ? 2 : id < 3 ? 3 : token.startsWith("<0x") ? 6 : 1;
  const values = new Map<string, NewValue>([
    ["general.architecture", { type: VALUE_TYPE.string, value: "llama" }],
    ["tokenizer.ggml.model", { type: VALUE_TYPE.string, value: kind }],
    ["tokenizer.ggml.tokens", array("string", tokens)],
    ["tokenizer.ggml.token_type", array("int32", tokens.map(type))],
    ["tokenizer.ggml.scores", array("float32", tokens.map((_, id) => -id))],
    ...(isBytes ? [["tokenizer.ggml.merges", array("string", merges)] as const] : []),
    ["tokenizer.ggml.pre", { type: VALUE_TYPE.string, value: isBytes ? "llama-bpe" : "default" }],
  ]);
  mkdirSync(join(tmpdir(), "lightgpt-bench"), { recursive: true });
  writeFileSync(`${path}.part`, encodeGguf(values, []));
  renameSync(`${path}.part`, path);
  return path;
}

/** Nanoseconds that this thread has had a processor, as milliseconds; NaN where the system doesn't say. */
function processorMs(): number {
  const path = "/proc/thread-self/schedstat";
  return existsSync(path) ? Number(readFileSync(path, "utf8").split(" ", 1)[0]) / 1e6 : NaN;
}

async function timed(work: () => unknown): Promise<[wall: number, processor: number]> {
  const [wall, processor] = [performance.now(), processorMs()];
  await work();
  return [performance.now() - wall, processorMs() - processor];
}

/** A megabyte each of prose, of one long word of few and of many different parts, and of white space. */
function texts(): Record<string, string> {
  const prose = "Once upon a time there was a little girl, who lived in a house by the bridge for 1234 years. ";
  const random = Array.from({ length: 1 << 20 }, (_, at) => letters[(Math.imul(at + 1, 0x9e3779b1) >>> 9) % 26]);
  return {
    "prose": prose.repeat(1 + (1 << 20) / prose.length).slice(0, 1 << 20),
    "one word, repeating": "abcdefgh".repeat(1 << 17),
    "one word, random": random.join(""),
    "white space": " ".repeat(1 << 20),
  };
}

/** What a child prints: names and times. */
async function measure(path: string): Promise<Record<string, [number, number]>> {
  processorMs(); // the first look costs more
  let tokenizer: Tokenizer | undefined;
  const found: Record<string, [number, number]> = {
    "header, vocabulary, first words": await timed(async () => {
      tokenizer = await loadTokenizer(readGguf(path));
      tokenizer.encode("Hello world");
    }),
  };
  for (const [name, text] of Object.entries(texts())) {
    found[`1 MiB of ${name}`] = await timed(() => tokenizer?.encode(text));
  }
  return found;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { runs: { type: "string", default: "7" }, once: { type: "boolean", default: false } },
  });
  if (values.once) {
    console.log(JSON.stringify(await measure(positionals[0])));
    return;
  }
  const self = fileURLToPath(import.meta.url);
  const flags = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  for (const path of positionals.length > 0 ? positionals : [file("gpt2"), file("llama")]) {
    console.log(path);
    const runs = Array.from({ length: Number(values.runs) }, () => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, self, path, "--once"]);
      if (status !== 0) throw new Error(`${stderr}`);
      return JSON.parse(`${stdout}`) as Record<string, [number, number]>;
    });
    for (const name of Object.keys(runs[0])) {
      const [wall, processor] = [0, 1].map((index) => runs.map((run) => run[name][index]).sort((a, b) => a - b));
      const middle = median(wall);
      console.log(
        `  ${name.padEnd(36)} least ${wall[0].toFixed(0).padStart(5)} ms   median ${middle.toFixed(0).padStart(5)} ms` +
          `   processor ${processor[0].toFixed(0).padStart(5)} ms`,
      );
    }
  }
}

await main();
