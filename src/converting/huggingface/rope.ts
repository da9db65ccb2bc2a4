/**
 * Rotary positions of a folder: the base, the share of a head that is rotated, how positions are scaled. Llama 3.1 divides its
 * frequencies by factors, which become a tensor: 1 for those that turn often within the original context, the whole factor
 * for those that turn seldom, and in between something smooth.
 *
 * @module
 */
import type { NewValue } from "../../files/gguf/encode.ts";
import { lengthOf } from "../../model/architectures/yarn.ts";
import type { JsonFile } from "./json.ts";
import { f32, text, u32 } from "./own_keys.ts";
import type { Family } from "./types.ts";

type Set = (key: string, value: NewValue) => void;

/** By how much a stated length of what YaRN rotates may differ from the usual one. */
const sameLength = 1e-5;

/** Writes what the rotation is; returns the factors of its frequencies, where it has some. */
export function setRope(config: JsonFile, family: Family, headDim: number, set: Set): Float32Array | undefined {
  const { ropeBase, localRopeBase, rotated: usual = 1, scalings = [], explicit } = family;
  // Newer files have all of it in one object, or in one for each kind of layer.
  const all = config.object("rope_parameters");
  const [full, windowed] = ["full_attention", "sliding_attention"].map((kind) => all?.object(kind));
  if (localRopeBase === undefined && (full ?? windowed) !== undefined) {
    throw config.unsupported("rope_parameters", "the same for all layers");
  }
  const parameters = full ?? all;
  const fileOf = (key: string) => parameters?.get(key) === undefined ? config : parameters;
  const share = fileOf("partial_rotary_factor").positive("partial_rotary_factor", usual);
  const rotated = Math.floor(headDim * share);
  if (share > 1 || rotated % 2 !== 0 || rotated < 2) {
    throw fileOf("partial_rotary_factor").wrong("partial_rotary_factor", "an even part of a head");
  }
  const base = fileOf("rope_theta").positive("rope_theta", explicit ? undefined : ropeBase ?? 1e4);
  set("rope.dimension_count", u32(rotated));
  set("rope.freq_base", f32(base));
  if (localRopeBase !== undefined) {
    const local = windowed?.get("rope_theta") === undefined
      ? config.positive("rope_local_base_freq", localRopeBase)
      : windowed.positive("rope_theta");
    set("rope.freq_base_swa", f32(local));
    if ((windowed?.text("rope_type") ?? "default") !== "default") throw windowed?.unsupported("rope_type", "default");
  }
  const scaling = config.object("rope_scaling") ?? parameters;
  if (scaling === undefined) return undefined;
  const key = scaling.get("rope_type") === undefined ? "type" : "rope_type";
  const type = scaling.text(key) ?? "default";
  const known = ["default", "linear", ...scalings];
  if (!known.includes(type)) throw scaling.unsupported(key, known.join(", "));
  if (type === "llama3") return llama3Factors(readLlama3(scaling, rotated), base);
  if (type === "yarn") setYarn(config, scaling, family, set);
  if (type !== "linear") return undefined;
  set("rope.scaling.type", text("linear"));
  set("rope.scaling.factor", f32(scaling.positive("factor")));
  return undefined;
}

/** YaRN: what GGUF files of most families have no keys for must be as usual. */
function setYarn(config: JsonFile, scaling: JsonFile, { architecture }: Family, set: Set): void {
  const factor = scaling.positive("factor");
  const context = config.count("max_position_embeddings", { most: 1 << 24 });
  set("rope.scaling.type", text("yarn"));
  set("rope.scaling.factor", f32(factor));
  const original = scaling.count("original_max_position_embeddings", { fallback: context });
  set("rope.scaling.original_context_length", u32(original));
  const isMistral = architecture === "mistral3";
  for (const [key, usual] of [["beta_fast", 32], ["beta_slow", 1]] as const) {
    const beta = scaling.positive(key, usual);
    if (isMistral) set(`rope.scaling.yarn_${key}`, f32(beta));
    else if (beta !== usual) throw scaling.unsupported(key, `${usual}`);
  }
  const length = lengthOf(factor);
  for (const key of ["attention_factor", "attn_factor"]) {
    if (Math.abs(scaling.positive(key, length) / length - 1) > sameLength) {
      throw scaling.unsupported(key, `none, or ${length.toFixed(6)}, which the factor gives`);
    }
  }
  // Of gpt-oss llama.cpp truncates as of all others.
  if (!scaling.flag("truncate", true) && architecture !== "gpt-oss") throw scaling.unsupported("truncate", "true");
  for (const key of ["mscale", "mscale_all_dim"]) {
    if (!isMistral && scaling.get(key) !== undefined) throw scaling.unsupported(key, "none");
  }
}

/** How frequencies are scaled. */
interface Llama3Scaling {
  readonly factor: number;
  readonly lowFactor: number;
  readonly highFactor: number;
  readonly context: number;
  /** Elements of a head that are rotated. */
  readonly rotated: number;
}

/** Reads `rope_scaling`. */
function readLlama3(scaling: JsonFile, rotated: number): Llama3Scaling {
  const [lowFactor, highFactor] = [scaling.positive("low_freq_factor", 1), scaling.positive("high_freq_factor", 4)];
  if (!(highFactor > lowFactor)) throw scaling.wrong("high_freq_factor", `more than low_freq_factor, ${lowFactor}`);
  const context = scaling.count("original_max_position_embeddings", { fallback: 8192 });
  return { factor: scaling.positive("factor"), lowFactor, highFactor, context, rotated };
}

/** The factors. No power function: its last bits depend on the engine. */
function llama3Factors(
  { factor, lowFactor, highFactor, context, rotated }: Llama3Scaling,
  base: number,
): Float32Array {
  const step = root(base, rotated / 2);
  let power = 1;
  return Float32Array.from({ length: rotated / 2 }, () => {
    const wavelength = 2 * Math.PI * power;
    power *= step;
    if (wavelength < context / highFactor) return 1;
    if (wavelength > context / lowFactor) return factor;
    const smooth = (context / wavelength - lowFactor) / (highFactor - lowFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The n-th root of a number of at least 1, by bisection: only sums and products. */
function root(value: number, n: number): number {
  let [low, high] = [1, Math.max(1, value)];
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;
    let power = 1;
    for (let i = 0; i < n && power <= value; i++) power *= middle;
    if (power <= value) low = middle;
    else high = middle;
  }
}
