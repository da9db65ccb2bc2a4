/**
 * onnxruntime and transformers.js in a process of its own, on the texts of `../embedding.ts`: ids ready, one text a call (their best:
 * padding costs what lengths differ), pooled to unit vectors. Prints a line of JSON for each: milliseconds of wall time and of the
 * processor's. `minilm_onnx.py` makes the files.
 *
 *     node embedding.mjs FOLDER '{"lengths":[20,400],"threads":1}'
 *
 * @module
 */
import { join } from "node:path";
import process from "node:process";
import { AutoModel, env, Tensor as ModelTensor } from "@huggingface/transformers";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [folder, words] = process.argv.slice(2);
const { lengths, threads, vocabulary } = JSON.parse(words);
/** Texts before the clock starts. */
const warmUp = 20;

const idsOf = (length, salt) =>
  BigInt64Array.from({ length }, (_, at) => BigInt(1000 + (at * 7919 + salt * 104_729) % (vocabulary - 1000)));
const texts = lengths.map((length, salt) => idsOf(length, salt));

/** The mean of the rows, of length 1. */
function pooled(rows, tokens) {
  const width = rows.length / tokens;
  const vector = new Float32Array(width);
  for (let at = 0; at < rows.length; at++) vector[at % width] += rows[at];
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function inputsOf(ids, Kind) {
  const dims = [1, ids.length];
  return {
    input_ids: new Kind("int64", ids, dims),
    attention_mask: new Kind("int64", new BigInt64Array(ids.length).fill(1n), dims),
    token_type_ids: new Kind("int64", new BigInt64Array(ids.length), dims),
  };
}

async function timed(name, embed) {
  for (const ids of texts.slice(0, warmUp)) await embed(ids);
  const before = process.cpuUsage();
  const begin = performance.now();
  for (const ids of texts) await embed(ids);
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ name, ms, cpuMs: (user + system) / 1000 }));
}

const session = { intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: "sequential" };
for (const [name, file] of [["onnxruntime F32", "model.onnx"], ["onnxruntime int8", "model_quantized.onnx"]]) {
  const run = await InferenceSession.create(join(folder, "onnx", file), { ...session, graphOptimizationLevel: "all" });
  await timed(name, async (ids) => {
    const { last_hidden_state: { data } } = await run.run(inputsOf(ids, Tensor));
    return pooled(data, ids.length);
  });
  await run.release();
}
env.allowRemoteModels = false;
const model = await AutoModel.from_pretrained(folder, {
  local_files_only: true,
  dtype: "fp32",
  session_options: session,
});
await timed("transformers.js F32", async (ids) => {
  const { last_hidden_state: { data } } = await model(inputsOf(ids, ModelTensor));
  return pooled(data, ids.length);
});
process.exit(0); // onnxruntime's threads keep the process alive
