/**
 * The tensors of a Hugging Face folder under the names that GGUF has for them, and changed as they are there: vectors as
 * F32, rows of llama's q and k in another order, gemma's norms with the 1 that the folder leaves out.
 *
 * @module
 */
import { LightGPTError, ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { native } from "../../../ffi/native.ts";
import type { SourceTensor } from "../weight_source.ts";
import type { Config } from "./config.ts";
import type { SafeTensor } from "./safetensors.ts";

/** Numbers of tensor types by their names in the folder. */
const TYPES: ReadonlyMap<string, number> = new Map([["F32", 0], ["F16", 1], ["BF16", 30]]);

const OUTER: ReadonlyMap<string, string> = new Map([
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["lm_head", "output"],
]);

const LAYER: ReadonlyMap<string, string> = new Map([
  ["input_layernorm", "attn_norm"],
  ["self_attn.q_proj", "attn_q"],
  ["self_attn.k_proj", "attn_k"],
  ["self_attn.v_proj", "attn_v"],
  ["self_attn.qkv_proj", "attn_qkv"],
  ["self_attn.o_proj", "attn_output"],
  ["self_attn.q_norm", "attn_q_norm"],
  ["self_attn.k_norm", "attn_k_norm"],
  ["post_attention_layernorm", "ffn_norm"],
  ["mlp.gate_proj", "ffn_gate"],
  ["mlp.up_proj", "ffn_up"],
  ["mlp.gate_up_proj", "ffn_up"],
  ["mlp.down_proj", "ffn_down"],
]);

/** Where there are two norms around each part. */
const FOUR_NORMS: ReadonlyMap<string, string> = new Map([
  ["post_attention_layernorm", "post_attention_norm"],
  ["pre_feedforward_layernorm", "ffn_norm"],
  ["post_feedforward_layernorm", "post_ffw_norm"],
]);

/** Buffers that some folders have beside the weights: tables that are computed nowadays. */
const buffers = /(^|\.)(position_ids|(original_)?inv_freq|(cos|sin)_cached|causal_mask)$|\.attn\.(masked_)?bias$/;
/** What reads pictures. */
const pictures = /^(model\.)?(vision_tower|multi_modal_projector)\./;

/** A folder's tensors as a source of the quantizer, and what a user should know of those that are left out. */
export function mapTensors(
  tensors: readonly SafeTensor[],
  config: Config,
): { readonly mapped: SourceTensor[]; readonly warnings: string[] } {
  const mapped = new Map<string, SourceTensor>();
  const skipped: string[] = [];
  for (const tensor of tensors) {
    if (buffers.test(tensor.name)) continue;
    if (config.family.textConfig !== undefined && pictures.test(tensor.name)) {
      skipped.push(tensor.name);
      continue;
    }
    const name = nameOf(tensor, config);
    if (name === undefined && tensor.bytes === 0) continue;
    if (name === undefined) {
      const { family: { architecture }, layers } = config;
      throw refused(tensor, `the tensors of ${architecture} with ${layers} layers`, "it has no place there");
    }
    if (name === "output.weight" && config.tied) continue;
    if (mapped.has(name)) throw refused(tensor, `one tensor for ${name}`, "another one has the same place");
    mapped.set(name, convert(tensor, name, config));
  }
  const place = (name: string) => order(name, config.layers);
  return {
    mapped: [...mapped.values()].sort((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1)),
    warnings: skipped.length === 0 ? [] : [
      `${skipped.length} tensors that read pictures are left out, ${
        skipped[0]
      } the first: the file is of the text part.`,
    ],
  };
}

/** As GGUF files have them: the embedding, the layers, what comes after; the same however the folder is cut. */
function order(name: string, layers: number): number {
  const layer = /^blk\.(\d+)\./.exec(name)?.[1];
  return layer !== undefined ? Number(layer) : name.startsWith("token_embd") ? -1 : layers;
}

/** The name in a GGUF file; undefined where the architecture has no such tensor. */
function nameOf(tensor: SafeTensor, { family, layers }: Config): string | undefined {
  // The text part of a model that reads pictures, as older and newer folders have it.
  const own = family.textConfig === undefined
    ? tensor.name
    : tensor.name.replace(/^language_model\.(?=model\.|lm_head\.)/, "").replace(/^model\.language_model\./, "model.");
  const [, base, kind] = /^(.*)\.(weight|bias)$/.exec(own) ?? [];
  const outer = OUTER.get(base ?? "");
  if (outer !== undefined) return `${outer}.${kind}`;
  const [, layer, part] = /^model\.layers\.(\d{1,3})\.(.+)$/.exec(base ?? "") ?? [];
  const name = (family.fourNorms ? FOUR_NORMS.get(part ?? "") : undefined) ?? LAYER.get(part ?? "");
  if (name === undefined || Number(layer) >= layers) return undefined;
  return `blk.${Number(layer)}.${name}.${kind}`;
}

function convert(tensor: SafeTensor, name: string, config: Config): SourceTensor {
  const type = TYPES.get(tensor.type);
  if (type === undefined) {
    throw new UnsupportedError(
      `${tensor.file.path}: ${tensor.name} is ${tensor.type}, which cannot be read here; expected F32, F16 or BF16.`,
      { what: "a tensor type that cannot be read", where: tensor.name, expected: "F32, F16, BF16", got: tensor.type },
    );
  }
  const { shape } = tensor;
  if (shape.length < 1 || shape.length > 2 || shape.some((size) => size < 1)) {
    throw refused(tensor, "a vector or a matrix", `its shape is [${shape.join(", ")}]`);
  }
  const heads = name.includes(".attn_q.") ? config.heads : name.includes(".attn_k.") ? config.keyHeads : 0;
  const turned = config.family.permuted && heads > 0 ? config.headDim : 0;
  if (turned > 0 && shape[0] !== heads * turned) {
    throw refused(tensor, `${heads * turned} rows, ${heads} heads of ${turned}`, `its shape is [${shape.join(", ")}]`);
  }
  if (shape.length === 1) {
    return vector(tensor, name, type, turned, config.family.normsLessOne === true && name.includes("norm"));
  }
  const rowBytes = tensor.bytes / shape[0];
  const dims = [shape[1], shape[0]];
  const read = (target: Uint8Array, at: number) => {
    if (turned === 0) return tensor.file.read(target, tensor.offset + at);
    if (at % rowBytes !== 0 || target.length % rowBytes !== 0) {
      throw new LightGPTError(
        "invalidArgument",
        `${tensor.name}: ${target.length} bytes from ${at} are no whole rows.`,
      );
    }
    for (let done = 0; done < target.length; done += rowBytes) {
      const row = rowBefore((at + done) / rowBytes, turned);
      tensor.file.read(target.subarray(done, done + rowBytes), tensor.offset + row * rowBytes);
    }
  };
  return { name, type, dims, bytes: tensor.bytes, read };
}

/** The row of the folder that is row `row` of the file: element k of a head's first half comes before k of its second. */
function rowBefore(row: number, headDim: number): number {
  const inHead = row % headDim;
  return row - inHead + (inHead % 2) * (headDim / 2) + Math.floor(inHead / 2);
}

function vector(tensor: SafeTensor, name: string, type: number, turned: number, lessOne: boolean): SourceTensor {
  const [length] = tensor.shape;
  const all = () => {
    const bytes = new Uint8Array(tensor.bytes);
    tensor.file.read(bytes, tensor.offset);
    const values = new Float32Array(length);
    native().dequantize({ format: type, blocks: bytes, values, threads: 1 });
    if (lessOne) { for (let i = 0; i < length; i++) values[i] += 1; }
    return turned === 0 ? values : values.map((_, i) => values[rowBefore(i, turned)]);
  };
  return {
    name,
    type: 0,
    dims: [length],
    bytes: 4 * length,
    read: (target, at) => target.set(new Uint8Array(all().buffer).subarray(at, at + target.length)),
  };
}

/** A tensor that the folder does not have. */
export function madeTensor(name: string, values: Float32Array): SourceTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const read = (target: Uint8Array, at: number) => target.set(bytes.subarray(at, at + target.length));
  return { name, type: 0, dims: [values.length], bytes: bytes.length, read };
}

function refused({ file, name }: SafeTensor, expected: string, got: string): ModelFormatError {
  return new ModelFormatError(`${file.path}: the tensor ${name} cannot be used, ${got}; expected ${expected}`, {
    field: name,
    expected,
    got,
  });
}
