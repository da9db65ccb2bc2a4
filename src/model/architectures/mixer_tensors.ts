/**
 * The tensors of mixers that keep a state, kind by kind: their roles, names and shapes.
 *
 * @module
 */
import type { Mixer } from "../../../ffi/wire.ts";
import type { Hyperparameters, LayerParameters, Role } from "./types.ts";

/** Rows of a tensor, with what they are for. */
export interface Part {
  readonly role: Role;
  readonly rows: number;
}

/** A tensor of a mixer: its name behind that of the layer, and its shape. */
export type MixerTensor =
  & { readonly name: string; readonly columns: number; readonly optional?: true }
  & (
    /** A matrix; one whose values are used one by one, in f32; or a vector, also in f32, of so many parts. */
    | { readonly form: "matrix" | "taps" | "vector"; readonly role: Role; readonly rows: number }
    /** A matrix whose rows have several roles. */
    | { readonly form: "parts"; readonly parts: readonly Part[] }
  );

/** The tensors of what keeps a state. */
export function mixerTensors(sizes: Hyperparameters, parameters: LayerParameters): MixerTensor[] {
  const lists: Record<Mixer, (sizes: Hyperparameters, parameters: LayerParameters) => MixerTensor[]> = {
    attention: () => [],
    shortConvolution: convolutionTensors,
    deltaRule: deltaTensors,
    latent: () => [],
    mamba2: mambaTensors,
    paired: mambaTensors,
    none: () => [],
  };
  return lists[parameters.mixer](sizes, parameters);
}

function convolutionTensors({ embedding }: Hyperparameters, { convKernel }: LayerParameters): MixerTensor[] {
  return [
    { role: "ssm_in", name: "shortconv.in_proj.weight", form: "matrix", columns: embedding, rows: 3 * embedding },
    { role: "ssm_conv1d", name: "shortconv.conv.weight", form: "taps", columns: convKernel, rows: embedding },
    { role: "ssm_out", name: "shortconv.out_proj.weight", form: "matrix", columns: embedding, rows: embedding },
  ];
}

function deltaTensors(
  { embedding }: Hyperparameters,
  { convKernel, stateHeads: heads, stateGroups, stateSize: size, stateGatesTogether, stateRowsTogether }:
    LayerParameters,
): MixerTensor[] {
  const values = heads * size;
  const channels = 2 * stateGroups * size + values;
  const matrix = (role: Role, name: string, rows: number, columns = embedding) =>
    ({ role, name: `${name}.weight`, form: "matrix", columns, rows }) as const;
  const vector = (role: Role, name: string, columns: number) =>
    ({ role, name, form: "vector", columns, rows: 1 }) as const;
  return [
    ...stateRowsTogether
      ? [matrix("ssm_in", "ssm_in", channels + values)]
      : [matrix("ssm_in", "attn_qkv", channels), matrix("ssm_gate", "attn_gate", values)],
    ...stateGatesTogether
      ? [matrix("ssm_ba", "ssm_ba", 2 * heads)]
      : [matrix("ssm_beta", "ssm_beta", heads), matrix("ssm_alpha", "ssm_alpha", heads)],
    { role: "ssm_conv1d", name: "ssm_conv1d.weight", form: "taps", columns: convKernel, rows: channels },
    vector("ssm_a", "ssm_a", heads),
    vector("ssm_dt_bias", "ssm_dt.bias", heads),
    vector("ssm_norm", "ssm_norm.weight", size),
    matrix("ssm_out", "ssm_out", embedding, values),
  ];
}

function mambaTensors(
  { embedding }: Hyperparameters,
  { convKernel, stateHeads, stateGroups, stateSize, stateWidth }: LayerParameters,
): MixerTensor[] {
  const inner = stateHeads * stateWidth;
  const channels = inner + 2 * stateGroups * stateSize;
  const perHead = (role: Role, name: string) => ({ role, name, form: "vector", columns: 1, rows: stateHeads }) as const;
  return [
    {
      form: "parts",
      name: "ssm_in.weight",
      columns: embedding,
      parts: [
        { role: "ssm_gate", rows: inner },
        { role: "ssm_in", rows: channels },
        { role: "ssm_dt", rows: stateHeads },
      ],
    },
    { role: "ssm_conv1d", name: "ssm_conv1d.weight", form: "taps", columns: convKernel, rows: channels },
    { role: "ssm_conv1d_bias", name: "ssm_conv1d.bias", form: "vector", columns: channels, rows: 1, optional: true },
    { role: "ssm_dt_bias", name: "ssm_dt.bias", form: "vector", columns: stateHeads, rows: 1 },
    perHead("ssm_a", "ssm_a"),
    perHead("ssm_d", "ssm_d"),
    {
      role: "ssm_norm",
      name: "ssm_norm.weight",
      form: "vector",
      columns: inner / stateGroups,
      rows: stateGroups,
      optional: true,
    },
    { role: "ssm_out", name: "ssm_out.weight", form: "matrix", columns: inner, rows: embedding },
  ];
}
