/**
 * llama.cpp's sampler through Bun's FFI: the chains of `bench/sampling.ts` that are of top-k, top-p and temperature, on
 * candidates filled anew from the logits before each choice, as llama.cpp itself does for each token.
 */
import { dlopen, ptr } from "bun:ffi";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const platform = `${
  process.platform === "win32" ? "win" : process.platform === "darwin" ? "mac" : "linux"
}-${process.arch}`;
const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "node_modules", "@node-llama-cpp", platform, "bins", platform);
if (!existsSync(folder)) throw new Error(`${folder} is not there; npm run bench installs it`);
const library = readdirSync(folder).find((name) => /^(lib)?llama\.(v.*\.)?(so|dylib|dll)$/.test(name));
const { symbols } = dlopen(join(folder, library), {
  // The parameters are a struct of one bool by value, which goes where an u8 goes.
  llama_sampler_chain_init: { args: ["u8"], returns: "ptr" },
  llama_sampler_chain_add: { args: ["ptr", "ptr"], returns: "void" },
  llama_sampler_init_top_k: { args: ["i32"], returns: "ptr" },
  llama_sampler_init_top_p: { args: ["f32", "usize"], returns: "ptr" },
  llama_sampler_init_temp: { args: ["f32"], returns: "ptr" },
  llama_sampler_init_dist: { args: ["u32"], returns: "ptr" },
  llama_sampler_init_greedy: { args: [], returns: "ptr" },
  llama_sampler_apply: { args: ["ptr", "ptr"], returns: "void" },
});

/** A function that chooses once; undefined for settings that are not compared. */
export function sampler(options, logits) {
  const known = ["topK", "topP", "temperature", "seed"];
  if (!Object.keys(options).every((key) => known.includes(key))) return undefined;
  const { topK = 40, topP = 0.95, temperature = 0.8, seed = 1 } = options;
  const chain = symbols.llama_sampler_chain_init(1);
  const add = (link) => symbols.llama_sampler_chain_add(chain, link);
  if (temperature === 0) add(symbols.llama_sampler_init_greedy());
  else {
    if (topK > 0) add(symbols.llama_sampler_init_top_k(topK));
    if (topP < 1) add(symbols.llama_sampler_init_top_p(topP, 1));
    if (temperature !== 1) add(symbols.llama_sampler_init_temp(temperature));
    add(symbols.llama_sampler_init_dist(seed));
  }
  // llama_token_data: id, logit, p; llama_token_data_array: data, size, selected, sorted.
  const template = new Int32Array(3 * logits.length);
  const floats = new Float32Array(template.buffer);
  for (const [id, logit] of logits.entries()) {
    template[3 * id] = id;
    floats[3 * id + 1] = logit;
  }
  const data = template.slice();
  const array = new BigInt64Array(4);
  const address = ptr(array);
  const first = BigInt(ptr(data));
  return () => {
    data.set(template);
    array[0] = first;
    array[1] = BigInt(logits.length);
    array[2] = -1n;
    array[3] = 0n;
    symbols.llama_sampler_apply(chain, address);
    return data[3 * Number(array[2])];
  };
}
