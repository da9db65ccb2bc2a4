/**
 * The tensors of models that read whole texts, beside those of their layers' halves: what is added to embeddings, what a text's
 * pooled row goes through, and the norms behind each half's addition to the stream.
 *
 * @module
 */
import type { Hyperparameters, Role, Traits } from "./types.ts";

/** A matrix, or a vector that may be absent. */
export interface TextTensor {
  readonly form: "matrix" | "vector" | "bias";
  readonly role: Role;
  readonly name: string;
  readonly columns: number;
  readonly rows: number;
}

function matrix(role: Role, name: string, columns: number, rows: number): TextTensor {
  return { form: "matrix", role, name, columns, rows };
}

function vector(role: Role, name: string, columns: number, isOptional = false): TextTensor {
  return { form: isOptional ? "bias" : "vector", role, name, columns, rows: 1 };
}

/** Those of no layer. */
export function textTensors(sizes: Hyperparameters, traits: Traits): TextTensor[] {
  const { embedding, positions, tokenTypes, denseInner, denseWidth, rankWidth, rankScores } = sizes;
  const found: TextTensor[] = [];
  if (positions > 0) found.push(matrix("position_embd", "position_embd.weight", embedding, positions));
  if (tokenTypes > 0) found.push(matrix("token_types", "token_types.weight", embedding, tokenTypes));
  if (traits.embeddingNorm) {
    found.push(vector("token_embd_norm", "token_embd_norm.weight", embedding));
    found.push(vector("token_embd_norm_bias", "token_embd_norm.bias", embedding, true));
  }
  if (denseInner > 0) {
    found.push(matrix("dense_2", "dense_2.weight", embedding, denseInner));
    found.push(matrix("dense_3", "dense_3.weight", denseInner, denseWidth));
  }
  if (rankWidth > 0) {
    found.push(matrix("cls", "cls.weight", embedding, rankWidth));
    found.push(vector("cls_bias", "cls.bias", rankWidth, true));
    found.push(vector("cls_norm", "cls.norm.weight", rankWidth, true));
  }
  if (rankScores === 0 || rankWidth === 1) return found;
  found.push(matrix("cls_output", "cls.output.weight", embedding, rankScores));
  found.push(vector("cls_output_bias", "cls.output.bias", rankScores, true));
  return found;
}

/** Those of a layer whose halves are normed with the stream; some files have two norms behind attention. */
export function streamNorms({ embedding }: Hyperparameters, layer: number): TextTensor[] {
  const name = (part: string) => `blk.${layer}.${part}`;
  return [
    vector("attn_output_norm", name("attn_output_norm.weight"), embedding),
    vector("attn_output_norm_bias", name("attn_output_norm.bias"), embedding, true),
    vector("attn_norm_2", name("attn_norm_2.weight"), embedding, true),
    vector("attn_norm_2_bias", name("attn_norm_2.bias"), embedding, true),
    vector("layer_output_norm", name("layer_output_norm.weight"), embedding),
    vector("layer_output_norm_bias", name("layer_output_norm.bias"), embedding, true),
  ];
}
