/**
 * Layers that keep a state in place of keys: which these are, their sizes, and their tensors. What the kinds compute is in
 * `docs/design/layers.md`.
 *
 * @module
 */
import { LIMITS, type Mixer } from "../../../ffi/wire.ts";
import { type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import type { Hyperparameters, LayerParameters, Role, Traits } from "./types.ts";

/** What a layer with a state has beside what every layer has. */
export type Recurrent = Pick<LayerParameters, "mixer" | "convKernel">;

/** A layer that has attention and no state. */
export const attentionOnly: Recurrent = { mixer: "attention", convKernel: 0 };

/** A tensor of a mixer. */
export interface MixerTensor {
  readonly role: Role;
  /** Its name behind that of the layer. */
  readonly name: string;
  /** A matrix; one whose values are used one by one, in f32; or a vector, also in f32. */
  readonly form: "matrix" | "taps" | "vector";
  readonly columns: number;
  readonly rows: number;
}

/** For each layer what it has in place of attention; undefined where it has attention. */
export function readRecurrent(
  metadata: Metadata,
  architecture: string,
  { recurrent }: Traits,
  layers: number,
): (Recurrent | undefined)[] {
  if (recurrent === undefined) return new Array<undefined>(layers).fill(undefined);
  const convKernel = readTaps(metadata, `${architecture}.shortconv.l_cache`);
  const key = `${architecture}.attention.head_count_kv`;
  const heads = metadata.get(key);
  if (!(heads instanceof MetadataArray) || heads.length !== layers) {
    const got = heads instanceof MetadataArray ? `an array of ${heads.length}` : `${heads ?? "nothing"}`;
    throw metadata.wrong(
      key,
      `an array with a number for each of ${layers} layers, 0 where there is no attention`,
      got,
    );
  }
  return Array.from(heads, (count) => count === 0 ? { mixer: recurrent, convKernel } : undefined);
}

/** Taps of a short convolution. */
function readTaps(metadata: Metadata, key: string): number {
  const taps = metadata.count(key, { least: 0 });
  if (taps >= 2 && taps <= LIMITS.convKernelMax) return taps;
  throw metadata.wrong(key, `2 to ${LIMITS.convKernelMax} taps of a short convolution`, `${taps}`);
}

/** The tensors of a layer's mixer, unless that is attention. */
export function mixerTensors({ embedding }: Hyperparameters, { mixer, convKernel }: LayerParameters): MixerTensor[] {
  const lists: Record<Mixer, MixerTensor[]> = {
    attention: [],
    shortConvolution: [
      { role: "ssm_in", name: "shortconv.in_proj.weight", form: "matrix", columns: embedding, rows: 3 * embedding },
      { role: "ssm_conv1d", name: "shortconv.conv.weight", form: "taps", columns: convKernel, rows: embedding },
      { role: "ssm_out", name: "shortconv.out_proj.weight", form: "matrix", columns: embedding, rows: embedding },
    ],
  };
  return lists[mixer];
}
