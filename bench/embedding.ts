/**
 * How fast texts become vectors: a thousand of 20 to 400 tokens, ids ready, by one thread and by two, texts a second of wall time and
 * of the processor's. Beside it llama.cpp's own bench over the same file, where `LLAMA_BENCH` names it: one text of the mean
 * length a call, which is its best setting. Where `ONNX` names the folder that `peers/minilm_onnx.py` makes, onnxruntime and
 * transformers.js as well, on the same ids (`npm install` in `peers/` first).
 *
 *     bun bench/embedding.ts minilm-f32.gguf [minilm-q8_0.gguf ...]
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Embedder } from "../exports/embedding.ts";

const count = Number(process.env.TEXTS ?? 1000);
const [least, most] = [20, 400];
const mean = (least + most) / 2;

/** Lengths that are spread evenly, in an order that no size follows. */
const lengths = Array.from(
  { length: count },
  (_, index) => least + Math.floor((index * 7919 % count) / count * (most - least + 1)),
);

function told(name: string, tokens: number, ms: number, cpuMs: number): void {
  const rate = (per: number) =>
    `${(1000 * count / per).toFixed(1)} texts/s, ${(1000 * tokens / per).toFixed(0)} tokens/s`;
  console.log(`${name}: ${rate(ms)}; of the processor ${rate(cpuMs)}`);
}

/** The other programs, each in its turn. */
function tellPeers(folder: string, threads: number): void {
  const script = fileURLToPath(new URL("peers/embedding.mjs", import.meta.url));
  const plan = JSON.stringify({ lengths, threads, vocabulary: 30_522 });
  const { stdout, stderr } = spawnSync("node", [script, folder, plan], { encoding: "utf8" });
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  for (const line of stdout.split("\n").filter((one) => one !== "")) {
    const { name, ms, cpuMs } = JSON.parse(line) as { name: string; ms: number; cpuMs: number };
    told(`${name}, ${threads} threads`, tokens, ms, cpuMs);
  }
  if (stdout === "") throw new Error(`${script} says: ${stderr}`);
}

const { LLAMA_BENCH, ONNX } = process.env;
if (ONNX !== undefined) { for (const threads of [1, 2]) tellPeers(ONNX, threads); }
for (const path of process.argv.slice(2)) {
  for (const threads of [1, 2]) {
    await using embedder = await Embedder.load(path, { threads });
    const { vocabulary } = embedder.model;
    const texts = lengths.map((length, salt) =>
      Uint32Array.from({ length }, (_, at) => 1000 + (at * 7919 + salt * 104_729) % (vocabulary - 1000))
    );
    await embedder.embed(texts.slice(0, 20));
    const before = process.cpuUsage();
    const begin = performance.now();
    const { tokens } = await embedder.embed(texts);
    const ms = performance.now() - begin;
    const { user, system } = process.cpuUsage(before);
    told(`${path}, ${threads} threads`, tokens, ms, (user + system) / 1000);
    if (LLAMA_BENCH === undefined) continue;
    const words = [
      "-m",
      path,
      "-embd",
      "1",
      "-p",
      `${mean}`,
      "-n",
      "0",
      "-t",
      `${threads}`,
      "-r",
      "20",
      "-fa",
      "1",
      "-o",
      "json",
    ];
    const { stdout } = spawnSync(LLAMA_BENCH, words, { encoding: "utf8" });
    const [{ avg_ts }] = JSON.parse(stdout) as [{ avg_ts: number }];
    console.log(`llama.cpp, ${threads} threads: ${(avg_ts / mean).toFixed(1)} texts/s, ${avg_ts.toFixed(0)} tokens/s`);
  }
}
