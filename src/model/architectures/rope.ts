/**
 * The rotary positions of a model: in which ways its layers rotate (base, scale of positions, YaRN, factors per frequency),
 * and which layer in which. Schemes that interpolate in other ways are refused by name.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { type Gguf, type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import { pow } from "./elementary.ts";
import type { LayerParameters, Rotation, Traits } from "./types.ts";
import { hasHeads } from "./recurrent.ts";
import { readYarn } from "./yarn.ts";

/** How positions are turned into rotations. */
export interface Rope {
  readonly rotations: readonly Rotation[];
  /** Of each layer, its rotation's number from 1, or 0. */
  readonly ofLayers: readonly number[];
  /** The name of the tensor whose values divide the angles, if there is one. */
  readonly factors: string | undefined;
}

/** A layer before its rotation is known. */
type Unrotated = Omit<LayerParameters, "rotation">;

const SCALINGS = ["none", "linear", "longrope", "yarn"];
/** No ramp: all pairs are scaled. */
const ALL_SCALED = { rampBegin: -1, rampEnd: 0 };

/** Reads the rotary positions; `context` decides between the factors for short and for long contexts. */
export function planRope(
  gguf: Gguf,
  architecture: string,
  traits: Traits,
  layers: readonly Unrotated[],
  context: number,
): Rope {
  const { metadata } = gguf;
  const whole = readRotation(gguf, architecture, traits, layers, context);
  const rotations: Rotation[] = [whole.whole];
  const isWindowed = layers.some(({ window }) => window > 0);
  const windowed = isWindowed ? readWindowed(metadata, architecture, traits, whole, layers) : undefined;
  if (windowed !== undefined) rotations.push(windowed);
  const key = `${architecture}.rope.scaling.finetuned`;
  const isRotated = traits.rotationSwitch === undefined || metadata.flag(key, true);
  const ofLayers = layers.map(({ mixer, window }, layer) => {
    if (!isRotated || traits.ropeStyle === "none" || !hasHeads(mixer)) return 0;
    const { unrotated } = traits;
    if (typeof unrotated === "number" && layer % unrotated === unrotated - 1) return 0;
    if (unrotated === "unwindowed" && isWindowed && window === 0) return 0;
    return window > 0 ? rotations.length : 1;
  });
  return { rotations, ofLayers, factors: whole.factors };
}

/** The rotation of layers that see everything, with YaRN where the file has it, and without. */
function readRotation(
  gguf: Gguf,
  architecture: string,
  traits: Traits,
  layers: readonly Unrotated[],
  context: number,
): { whole: Rotation; plain: Rotation; factors: string | undefined } {
  const { metadata } = gguf;
  const key = (name: string) => `${architecture}.rope.${name}`;
  const own = layers.filter(({ mixer, window }) => hasHeads(mixer) && !(traits.windowHeads && window > 0));
  const kDim = Math.min(LIMITS.headDimMax, ...own.map((layer) => layer.kDim));
  const dimensions = traits.ropeStyle === "none" ? 2 : readDimensions(metadata, key("dimension_count"), kDim);
  if (traits.sections) checkSections(metadata, key("dimension_sections"), dimensions / 2);
  const scaling = metadata.text(key("scaling.type"), "linear");
  if (!SCALINGS.includes(scaling)) {
    throw metadata.unsupported(key("scaling.type"), `one of ${SCALINGS.join(", ")}`, `'${scaling}'`);
  }
  const oldKey = key("scale_linear");
  const factor = metadata.number(key("scaling.factor"), {
    least: 0,
    fallback: metadata.has(oldKey) ? metadata.number(oldKey, { least: 0 }) : 0,
  });
  const factors = traits.ropeStyle === "none" ? undefined : chooseFactors(gguf, architecture, scaling, context);
  const base = readBase(metadata, architecture, traits, kDim);
  const plain = {
    dimensions,
    factors: factors !== undefined,
    base,
    // Writers put 0 where there is no factor.
    scale: scaling === "none" || factor === 0 ? 1 : 1 / factor,
    magnitude: metadata.positive(key("scaling.attn_factor"), 1),
    ...ALL_SCALED,
  };
  if (scaling === "yarn" && typeof traits.localRopeBase === "number") {
    throw metadata.unsupported(
      key("scaling.type"),
      "none or linear in a model with a rotation of its windows",
      "'yarn'",
    );
  }
  return { whole: stretched(metadata, architecture, traits, plain), plain, factors };
}

/** A rotation with what YaRN makes of it, where the file wants it. */
function stretched(metadata: Metadata, architecture: string, traits: Traits, plain: Rotation): Rotation {
  if (metadata.text(`${architecture}.rope.scaling.type`, "linear") !== "yarn") return plain;
  return { ...plain, ...readYarn(metadata, architecture, traits, plain) };
}

/** The rotation of windowed layers, where it is another. */
function readWindowed(
  metadata: Metadata,
  architecture: string,
  traits: Traits,
  { whole, plain: unstretched }: { readonly whole: Rotation; readonly plain: Rotation },
  layers: readonly Unrotated[],
): Rotation | undefined {
  const { localRopeBase, plainWindows, windowHeads } = traits;
  const key = `${architecture}.rope.freq_base_swa`;
  if (localRopeBase === "same") {
    if (!metadata.has(key)) return undefined;
    return stretched(metadata, architecture, traits, { ...unstretched, base: metadata.positive(key) });
  }
  const plain = { ...whole, factors: false, scale: 1, ...ALL_SCALED };
  if (windowHeads) {
    const kDim = Math.min(...layers.filter(({ window }) => window > 0).map((layer) => layer.kDim));
    plain.dimensions = readDimensions(metadata, `${architecture}.rope.dimension_count_swa`, kDim);
  }
  if (localRopeBase !== undefined) return { ...plain, base: metadata.positive(key, localRopeBase) };
  return plainWindows ? { ...plain, magnitude: 1 } : undefined;
}

function readDimensions(metadata: Metadata, key: string, kDim: number): number {
  const dimensions = metadata.count(key, { least: 2, most: kDim, fallback: kDim });
  if (dimensions % 2 !== 0) throw metadata.wrong(key, "an even number", `${dimensions}`);
  return dimensions;
}

function readBase(metadata: Metadata, architecture: string, { alpha }: Traits, kDim: number): number {
  const base = metadata.positive(`${architecture}.rope.freq_base`, 10_000);
  const key = `${architecture}.rope.scaling.alpha`;
  const stretch = alpha === undefined ? 0 : metadata.number(key, { least: 0, fallback: 0 });
  if (stretch === 0) return base;
  if (kDim <= 2) throw metadata.unsupported(key, "0 in a model with keys of 2 elements", `${stretch}`);
  const wide = base * pow(stretch, kDim / (kDim - 2));
  if (Number.isFinite(wide)) return wide;
  throw metadata.wrong(key, "a number that leaves the rotary base finite", `${stretch}`);
}

/** Components of a position are the same in a text, so sections change nothing where they leave out no pair. */
function checkSections(metadata: Metadata, key: string, pairs: number): void {
  const sections = metadata.get(key);
  const sizes = sections instanceof MetadataArray ? Array.from(sections, Number) : [];
  const isCount = (size: number) => Number.isInteger(size) && size >= 0 && size <= LIMITS.headDimMax;
  const expected = `sizes of sections that together are ${pairs}, half the rotated elements`;
  const [time = 0, height = 0, width = 0, other = 0] = sizes;
  if (sizes.length > 4 || !sizes.every(isCount) || time + height + width !== pairs || other !== 0) {
    throw metadata.wrong(key, expected, sizes.length === 0 ? "none" : `[${sizes.join(", ")}]`);
  }
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
