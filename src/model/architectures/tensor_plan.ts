/**
 * The tensors of a plan as they are collected: each is looked up by its name in the file, checked for presence, shape and type, and
 * gets its role; what was not looked up in the end is refused.
 *
 * @module
 */
import { formatInstead, FORMATS } from "../../files/formats.ts";
import type { Gguf, Tensor } from "../../files/gguf/read.ts";
import type { Part } from "./mixer_tensors.ts";
import { tensorError, unsupportedTensor } from "./tensor_errors.ts";
import type { TextTensor } from "./text_tensors.ts";
import type { Role } from "./types.ts";

/**
 * A tensor, or some rows of one, with its role.
 */
export interface PlannedTensor {
  /** What it is for. */
  readonly role: Role;
  /** Its layer, 0 for those of no layer. */
  readonly layer: number;
  /** The tensor of the file that holds it. */
  readonly tensor: Tensor;
  /** Elements of a row. */
  readonly columns: number;
  /** Rows; 1 for a vector. */
  readonly rows: number;
  /** Matrices of so many rows: one for each expert, or 1. */
  readonly slabs: number;
  /** Bytes from the beginning of a slab to that of the next. */
  readonly stride: number;
  /** Its first byte in its file. */
  readonly offset: number;
  /** Its bytes, of all slabs. */
  readonly bytes: number;
  /** Where in the list of tensors, counted from 1, that of its scales is: what it gives is multiplied by them; 0: none. */
  readonly scale: number;
}

/** Tensors that some files have and that nothing depends on: tables that are computed nowadays. */
const IGNORED =
  /^(rope_freqs|rope_factors_(long|short)|blk\.\d+\.(attn_rot_embd|rope_freqs)|attn_rot_embd)(\.weight)?$/;

/** Matrices that have no scales, or whose scales have a role of their own. */
const UNSCALED = /^(per_layer_)?token_embd\.|\.ffn_(down_exps|gate_inp)\./;

const F32 = 0;

/** Collects tensors, each checked for presence, shape and type. */
export class Plan {
  readonly tensors: PlannedTensor[] = [];
  readonly #gguf: Gguf;
  readonly #used = new Set<string>();

  constructor(gguf: Gguf) {
    this.#gguf = gguf;
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name);
  }

  matrix(role: Role, layer: number, name: string, columns: number, rows: number): void {
    this.split(layer, name, columns, [{ role, rows }]);
  }

  /**
   * A matrix whose rows belong to several roles, one after the other; or `slabs` of such, which with `joined` are all of the
   * tensor's rows.
   */
  split(layer: number, name: string, columns: number, parts: readonly Part[], slabs = 1, joined = false): void {
    const rowsOfAll = parts.reduce((sum, { rows }) => sum + rows, 0);
    const tensor = joined ? this.#take(name, columns, rowsOfAll * slabs) : this.#take(name, columns, rowsOfAll, slabs);
    const format = FORMATS.get(tensor.type);
    if (format === undefined || !format.supported) {
      const instead = formatInstead(tensor.type);
      // Integers hold no weights; other types do, but not ones that we compute with.
      if (/^I\d+$/.test(tensor.typeName)) {
        throw tensorError(this.#gguf, name, `the tensor ${name} has the type ${tensor.typeName}`, instead);
      }
      throw unsupportedTensor(this.#gguf, name, `has the type ${tensor.typeName}`, instead);
    }
    const scale = this.#scales(layer, tensor.name, slabs);
    const rowBytes = columns / format.blockElements * format.blockBytes;
    let offset = tensor.offset;
    for (const { role, rows } of parts) {
      const [stride, bytes] = [rowsOfAll * rowBytes, slabs * rows * rowBytes];
      this.tensors.push({ role, layer, tensor, columns, rows, slabs, offset, stride, bytes, scale });
      offset += rows * rowBytes;
    }
  }

  /** A vector; of `parts` such, one after the other, one vector is made. */
  vector(role: Role, layer: number, name: string, length: number, parts = 1): void {
    this.#plain(role, layer, this.#take(name, length, parts), [length * parts, 1]);
  }

  /** A vector whose values belong to several roles, one after the other. */
  splitVector(layer: number, name: string, parts: readonly Part[]): void {
    const tensor = this.#take(name, parts.reduce((sum, { rows }) => sum + rows, 0), 1);
    let { offset } = tensor;
    for (const { role, rows } of parts) {
      this.#plain(role, layer, { ...tensor, offset, bytes: 4 * rows }, [rows, 1]);
      offset += 4 * rows;
    }
  }

  /** A matrix whose values are used one by one: it must be f32. */
  taps(role: Role, layer: number, name: string, columns: number, rows: number): void {
    this.#plain(role, layer, this.#take(name, columns, rows), [columns, rows]);
  }

  #plain(role: Role, layer: number, tensor: Tensor, [columns, rows]: readonly [number, number]): void {
    if (tensor.type !== F32) {
      throw unsupportedTensor(this.#gguf, tensor.name, `has the type ${tensor.typeName}`, "F32");
    }
    const { offset, bytes } = tensor;
    this.tensors.push({ role, layer, tensor, columns, rows, slabs: 1, offset, stride: bytes, bytes, scale: 0 });
  }

  /**
   * The scales of a matrix, one for each slab, as files of NVFP4 have them beside it; those of its input serve other arithmetic.
   *
   * @returns where they are in the list, counted from 1, or 0
   */
  #scales(layer: number, matrix: string, slabs: number): number {
    const name = matrix.replace(/\.weight$/, ".scale");
    this.ignore([matrix.replace(/\.weight$/, ".input_scale")]);
    // An embedding's rows are read back, and no file scales them.
    if (name === matrix || UNSCALED.test(matrix) || !this.has(name)) return 0;
    this.vector("scale", layer, name, slabs);
    return this.tensors.length;
  }

  /** A bias: taken where it is there, unless it is required. */
  bias(role: Role, layer: number, name: string, length: number, required = false, parts = 1): void {
    if (required || this.has(name)) this.vector(role, layer, name, length, parts);
  }

  /** One of a model that reads whole texts. */
  text(layer: number, { form, role, name, columns, rows }: TextTensor): void {
    if (form === "matrix") this.matrix(role, layer, name, columns, rows);
    else this[form](role, layer, name, columns);
  }

  /** Tensors that may be there, and that nothing reads. */
  ignore(names: readonly string[]): void {
    for (const name of names) this.#used.add(name);
  }

  /** Layers from `layers` on are a drafter's, which takes no part in the logits. */
  refuseUnused(layers: number): void {
    for (const name of this.#gguf.tensors.keys()) {
      if (this.#used.has(name) || IGNORED.test(name)) continue;
      if (Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0) >= layers) continue;
      const what = "has no place in this architecture, and the results would be wrong without it";
      throw unsupportedTensor(this.#gguf, name, what, "only tensors that the architecture uses");
    }
  }

  #take(name: string, columns: number, rows: number, slabs = 1): Tensor {
    const sizes = slabs > 1 ? [columns, rows, slabs] : rows > 1 ? [columns, rows] : [columns];
    const shape = sizes.join(" x ");
    const tensor = this.#gguf.tensors.get(name);
    if (tensor === undefined) {
      throw tensorError(this.#gguf, name, `the tensor ${name} is missing`, `one of the shape ${shape}`);
    }
    const [first, second = 1, third = 1, ...more] = tensor.dims;
    if (first !== columns || second !== rows || third !== slabs || more.some((size) => size !== 1)) {
      const got = `the tensor ${name} is ${tensor.dims.join(" x ")}`;
      throw tensorError(this.#gguf, name, got, shape);
    }
    this.#used.add(name);
    return tensor;
  }
}
