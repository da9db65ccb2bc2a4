/**
 * The rotary positions of a model: base, scale of positions, factors per frequency. Schemes that interpolate in other
 * ways are refused by name.
 *
 * @module
 */
import type { Traits } from "./types.ts";
import type { Gguf } from "../../files/gguf/read.ts";

/** How positions are turned into rotations. */
export interface Rope {
  /** Elements of a head that are rotated. */
  readonly dimensions: number;
  readonly base: number;
  /** What positions are multiplied by. */
  readonly scale: number;
  /** The base of windowed layers. */
  readonly localBase: number;
  /** What sine and cosine are multiplied by. */
  readonly magnitude: number;
  /** The name of the tensor whose values divide the angles, if there is one. */
  readonly factors: string | undefined;
}

const SCALINGS = ["none", "linear", "longrope"];

/** Reads the rotary positions; `context` decides between the factors for short and for long contexts. */
export function planRope(gguf: Gguf, architecture: string, traits: Traits, kDim: number, context: number): Rope {
  const { metadata } = gguf;
  const key = (name: string) => `${architecture}.rope.${name}`;
  const dimensions = metadata.count(key("dimension_count"), { least: 2, most: kDim, fallback: kDim });
  if (dimensions % 2 !== 0) throw metadata.wrong(key("dimension_count"), "an even number", `${dimensions}`);
  const base = metadata.positive(key("freq_base"), 10_000);
  const scaling = metadata.text(key("scaling.type"), "linear");
  if (!SCALINGS.includes(scaling)) {
    throw metadata.unsupported(key("scaling.type"), `one of ${SCALINGS.join(", ")}`, `'${scaling}'`);
  }
  const oldKey = key("scale_linear");
  const factor = metadata.number(key("scaling.factor"), {
    least: 0,
    fallback: metadata.has(oldKey) ? metadata.number(oldKey, { least: 0 }) : 0,
  });
  return {
    dimensions,
    base,
    // Writers put 0 where there is no factor.
    scale: scaling === "none" || factor === 0 ? 1 : 1 / factor,
    localBase: traits.localRopeBase === undefined
      ? base
      : metadata.positive(key("freq_base_swa"), traits.localRopeBase),
    magnitude: metadata.positive(key("scaling.attn_factor"), 1),
    factors: chooseFactors(gguf, architecture, scaling, context),
  };
}

/**
 * The tensor of factors: one for all contexts where there is one, else that for long or for short contexts. The tensors
 * decide and not the type of scaling, which files with such factors often don't state.
 */
function chooseFactors(
  { metadata, tensors }: Gguf,
  architecture: string,
  scaling: string,
  context: number,
): string | undefined {
  const [all, long, short] = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
  if (tensors.has(all)) return all;
  const trained = metadata.count(`${architecture}.context_length`);
  const key = `${architecture}.rope.scaling.original_context_length`;
  const original = metadata.count(key, { fallback: trained });
  const wanted = context > original ? long : short;
  if (tensors.has(long) || tensors.has(short)) return wanted;
  if (scaling === "longrope") {
    throw metadata.wrong(`${architecture}.rope.scaling.type`, `the tensor ${wanted} with it`, "longrope");
  }
  return undefined;
}
