/**
 * The tensors of a Hugging Face folder under the names that GGUF has for them, and changed as they are there: vectors as
 * F32, rows of llama's q and k in another order, gemma's norms with the 1 that the folder leaves out, experts stacked. What
 * they are called, `names.ts` knows, and how rows are read, `rows.ts`.
 *
 * @module
 */
import { LightGPTError, UnsupportedError } from "../../../ffi/errors.ts";
import { pow } from "../../model/architectures/elementary.ts";
import type { SourceTensor } from "../weight_source.ts";
import type { Config } from "./config.ts";
import { LAYOUT, ownName } from "./layout.ts";
import type { Cut } from "./names.ts";
import { asFloats, blocksOf, picked, reshaped, type Rows, rowsOf, stacked, turnedOver, withColumns } from "./rows.ts";
import { byGroups, groupColumns, headsInTurn, permuted } from "./head_order.ts";
import { refused, type SafeTensor } from "./safetensors.ts";

/** Numbers of tensor types by their names in the folder. */
const TYPES: ReadonlyMap<string, number> = new Map([["F32", 0], ["F16", 1], ["BF16", 30]]);

/** Buffers that some folders have beside the weights: tables that are computed nowadays. */
const buffers = /(^|\.)(position_ids|(original_)?inv_freq|(cos|sin)_cached|causal_mask)$|\.attn\.(masked_)?bias$/;
/** What reads pictures, and sound. */
const pictures = /^(model\.)?(vision_tower|multi_modal_projector|visual|embed_vision|audio_tower|embed_audio)\./;
/** What guesses further tokens. */
const drafters = /^(model\.)?mtp(\.|_)/;

/** Matrices that stay exact: routers, and the taps of short convolutions. */
const exact =
  /^(position_embd|token_types)\.weight$|\.(ffn_gate_inp|ffn_gate_inp_shexp|ssm_conv1d|shortconv\.conv)\.weight$/;

/** What a folder may have as a matrix of one row, and a file has as a vector. */
const oneRow = /\.(ffn_gate_inp_shexp\.weight|exp_probs_b\.bias)$/;

/** A tensor of the file, or one of those that are stacked to one. */
interface Made {
  readonly name: string;
  readonly expert: number | undefined;
  readonly rows: Rows;
  /** Matrices that it is a stack of; 0: it is a vector. */
  readonly slabs: number;
  readonly from: SafeTensor;
}

/** Where a tensor goes. */
interface Place extends Cut {
  /** What comes before the names. */
  readonly prefix: string;
  readonly expert: number | undefined;
}

/** A folder's tensors as a source of the quantizer, and what a user should know of those that are left out. */
export function mapTensors(
  tensors: readonly SafeTensor[],
  config: Config,
): { readonly mapped: SourceTensor[]; readonly warnings: string[] } {
  const made = new Map<string, Made[]>();
  const [unread, drafted, omitted]: [string[], string[], string[]] = [[], [], []];
  const scales = new Map(tensors.filter(({ name }) => name.endsWith("_scales")).map((tensor) => [tensor.name, tensor]));
  for (const tensor of tensors) {
    const { name } = tensor;
    const isScale = config.family.blocks && tensors.some((other) => other.name === name.replace(/_scales$/, "_blocks"));
    if (buffers.test(name) || (isScale && name.endsWith("_scales"))) continue;
    if (config.family.textConfig !== undefined && pictures.test(name)) {
      unread.push(name);
      continue;
    }
    if (config.family.drafter && isDrafter(name, config)) {
      drafted.push(name);
      continue;
    }
    if (config.family.layout?.omitted?.names.test(ownName(tensor, config))) {
      omitted.push(name);
      continue;
    }
    const place = placeOf(tensor, config);
    if (place === undefined && tensor.bytes === 0) continue;
    if (place === undefined) {
      const { family: { architecture }, layers } = config;
      throw refused(tensor, `the tensors of ${architecture} with ${layers} layers`, "it has no place there");
    }
    if (config.tied && place.into[0] === "output.weight") continue;
    for (const part of convert(tensor, place, config, scales)) put(made, part);
  }
  const heads = config.family.layout?.omitted;
  const place = (name: string) => order(name, config.layers);
  const mapped = [...made.values()].map((parts) => joined(parts, config));
  return {
    mapped: mapped.sort((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1)),
    warnings: [
      ...leftOut(unread, "that read pictures", "the file is of the text part"),
      ...leftOut(drafted, "of extra prediction layers", "they take no part in what the model says"),
      ...leftOut(omitted, heads?.what ?? "", heads?.why ?? ""),
    ],
  };
}

function leftOut(names: readonly string[], what: string, why: string): string[] {
  return names.length === 0 ? [] : [`${names.length} tensors ${what} are left out, ${names[0]} the first: ${why}.`];
}

/** Adds a tensor; only parts of a stack may have one name. */
function put(made: Map<string, Made[]>, part: Made): void {
  const others = made.get(part.name);
  if (others === undefined) return void made.set(part.name, [part]);
  if (part.expert === undefined || others.some(({ expert }) => expert === part.expert || expert === undefined)) {
    throw refused(part.from, `one tensor for ${part.name}`, "another one has the same place");
  }
  others.push(part);
}

/** As GGUF files have them: the embedding, the layers, what comes after; the same however the folder is cut. */
function order(name: string, layers: number): number {
  const layer = /^blk\.(\d+)\./.exec(name)?.[1];
  return layer !== undefined ? Number(layer) : name.startsWith("token_embd.") ? -1 : layers;
}

function isDrafter(name: string, { layers }: Config): boolean {
  return drafters.test(name) || Number(/^model\.layers\.(\d{1,3})\./.exec(name)?.[1] ?? -1) >= layers;
}

/** Where it goes in a GGUF file; undefined where the architecture has no such tensor. */
function placeOf(tensor: SafeTensor, config: Config): Place | undefined {
  const { family: { layout = LAYOUT }, names, layers } = config;
  const own = ownName(tensor, config);
  const [, base, kind] = /^(.*)\.(weight|bias)$/.exec(own) ?? [];
  const outer = layout.outer.get(base ?? "");
  if (outer !== undefined) return { prefix: "", into: [`${outer}.${kind}`], expert: undefined };
  const [, layer, part] = layout.layer.exec(own) ?? [];
  if (part === undefined || Number(layer) >= layers) return undefined;
  const number = /\.experts\.(\d{1,5})\./.exec(part)?.[1];
  const expert = number === undefined ? undefined : Number(number);
  const general = expert === undefined ? part : part.replace(/\.experts\.\d+\./, ".experts.#.");
  const short = general.replace(/\.(weight|bias)$/, "");
  const found = names.get(general) ?? names.get(short);
  if (found === undefined) return undefined;
  const cut = typeof found !== "string" ? found : { into: [names.has(general) ? found : `${found}.${kind}`] };
  return { ...cut, prefix: `blk.${Number(layer)}.`, expert };
}

/** What becomes of a tensor. */
function convert(
  tensor: SafeTensor,
  place: Place,
  config: Config,
  scales: ReadonlyMap<string, SafeTensor>,
): Made[] {
  const names = place.into.map((name) => place.prefix + name);
  const { rows: whole, slabs } = readable(tensor, place, config, scales);
  const used = withoutUnused(whole, names[0], config);
  const changed = withoutOne(permuted(tensor, names[0], used, config), names[0], config);
  const ordered = place.heads === undefined ? changed : headsInTurn(tensor, changed, place.heads, config);
  const shaped = place.as === undefined
    ? ordered
    : reshaped(ordered, place.as === "column" ? 1 : groupColumns(tensor, config));
  const parts = place.by === undefined ? [shaped] : cut(tensor, ordered, place.by, slabs, config);
  return names.map((name, index) => {
    const isVector = place.as === undefined && parts[index].count === 1 &&
      (tensor.shape.length === 1 || oneRow.test(name));
    const isExact = isVector || place.as !== undefined || exact.test(name) || !name.endsWith(".weight");
    const rows = isExact ? asFloats(parts[index]) : parts[index];
    return { name, expert: place.expert, rows, slabs: isVector ? 0 : slabs, from: tensor };
  });
}

/** A tensor's rows as they are, or turned over; and how many matrices they are. */
function readable(
  tensor: SafeTensor,
  { turned, stacked: isBelow }: Place,
  { family, experts }: Config,
  scales: ReadonlyMap<string, SafeTensor>,
): { readonly rows: Rows; readonly slabs: number } {
  const { shape } = tensor;
  const says = `its shape is [${shape.join(", ")}]`;
  if (family.blocks && tensor.name.endsWith("_blocks")) return blocks(tensor, scales);
  const type = TYPES.get(tensor.type);
  if (type === undefined) {
    throw new UnsupportedError(
      `${tensor.file.path}: ${tensor.name} is ${tensor.type}, which cannot be read here; expected F32, F16 or BF16.`,
      { what: "a tensor type that cannot be read", where: tensor.name, expected: "F32, F16, BF16", got: tensor.type },
    );
  }
  // The taps of a short convolution have a size of 1 between their channels and their number.
  const isStack = shape.length === 3 && shape[1] !== 1;
  const most = /\.(experts|conv1d|conv\.conv|input_linear|output_linear)\b/.test(tensor.name) ? 3 : 2;
  if (shape.length < 1 || shape.length > most || shape.some((size) => size < 1)) {
    throw refused(tensor, most === 3 ? "a stack of matrices" : "a vector or a matrix", says);
  }
  const slabs = isStack ? shape[0] : isBelow ? experts : 1;
  const rows = rowsOf(tensor, type);
  if (rows.count % slabs !== 0) throw refused(tensor, `rows for each of ${slabs} experts`, says);
  return { rows: turned ? turnedOver(rows, slabs) : rows, slabs };
}

function blocks(tensor: SafeTensor, scales: ReadonlyMap<string, SafeTensor>) {
  const other = scales.get(tensor.name.replace(/_blocks$/, "_scales"));
  if (other === undefined) throw refused(tensor, "a tensor of scales beside it", "there is none");
  const [experts, height, count, codes] = tensor.shape;
  const isRight = tensor.shape.length === 4 && codes === 16 && tensor.type === "U8" && other.type === "U8" &&
    JSON.stringify(other.shape) === JSON.stringify([experts, height, count]) && tensor.bytes > 0;
  if (!isRight) {
    const shapes = [tensor, other].map(({ type, shape }) => `${type} [${shape.join(", ")}]`).join(" and ");
    throw refused(tensor, "U8 [experts, rows, blocks, 16] and scales U8 [experts, rows, blocks]", `they are ${shapes}`);
  }
  return { rows: blocksOf(tensor, other), slabs: experts };
}

/** Values that a folder keeps in another form: norms less 1, and the logarithms of how fast states decay. */
function withoutOne(rows: Rows, name: string, { family }: Config): Rows {
  if (name.endsWith(".ssm_a")) return asFloats(rows, (value) => -pow(Math.E, value));
  const isNorm = name.includes("norm") && !name.includes("ssm_norm");
  return family.normsLessOne && isNorm ? asFloats(rows, (value) => value + 1) : rows;
}

/** The table of positions without the rows that no token has. */
function withoutUnused(rows: Rows, name: string, { unusedPositions }: Config): Rows {
  if (name !== "position_embd.weight" || unusedPositions === 0) return rows;
  return picked(rows, Math.max(1, rows.count - unusedPositions), (row) => row + unusedPositions);
}

/** Cuts the rows of each matrix into several. */
function cut(tensor: SafeTensor, rows: Rows, by: NonNullable<Cut["by"]>, slabs: number, config: Config): Rows[] {
  const says = `its shape is [${tensor.shape.join(", ")}]`;
  if (by === "groups") return byGroups(tensor, rows, config);
  // A vector for each expert is cut inside.
  const isVectors = tensor.name.endsWith("_bias");
  const height = isVectors ? rows.columns : rows.count / slabs;
  if (height % 2 !== 0) throw refused(tensor, "an even number of rows, for two tensors", says);
  const half = height / 2;
  const inside = (at: number, part: number) => by === "halves" ? part * half + at : 2 * at + part;
  return [0, 1].map((part) => {
    if (isVectors) return halved(withColumns(rows, 1, (at) => at < half ? inside(at, part) : 0), half);
    return picked(rows, slabs * half, (row) => Math.floor(row / half) * height + inside(row % half, part));
  });
}

/** The first columns of rows. */
function halved(rows: Rows, columns: number): Rows {
  const rowBytes = columns * rows.rowBytes / rows.columns;
  const read = (target: Uint8Array, first: number) => {
    const whole = new Uint8Array(rows.rowBytes);
    for (let done = 0; done < target.length; done += rowBytes) {
      rows.read(whole, first + done / rowBytes);
      target.set(whole.subarray(0, rowBytes), done);
    }
  };
  return { ...rows, columns, rowBytes, read };
}

/** A tensor of the file, of one or of all experts'. */
function joined(parts: readonly Made[], { experts }: Config): SourceTensor {
  const [first] = parts;
  if (first.expert === undefined) return source(first.name, first.rows, first.slabs);
  const sorted = [...parts].sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0));
  const absent = Array.from({ length: experts }, (_, expert) => expert).find((e) => sorted[e]?.expert !== e);
  if (absent !== undefined || sorted.length !== experts) {
    const name = first.from.name.replace(/\.experts\.\d+\./, `.experts.${absent ?? experts}.`);
    const expected = `${name} beside it, one for each of ${experts} experts`;
    throw refused(first.from, absent === undefined ? `experts below ${experts}` : expected, "the experts differ");
  }
  const other = sorted.find(({ rows }) =>
    rows.columns !== first.rows.columns || rows.count !== first.rows.count || rows.type !== first.rows.type
  );
  if (other !== undefined) {
    const says = `${other.from.type} [${other.from.shape.join(", ")}]`;
    throw refused(other.from, `${first.from.type} [${first.from.shape.join(", ")}], as other experts`, `it is ${says}`);
  }
  return source(first.name, stacked(sorted.map(({ rows }) => rows)), experts);
}

/** Rows as a tensor; `slabs` is 0 for a vector. */
function source(name: string, rows: Rows, slabs: number): SourceTensor {
  const { columns, count, rowBytes, type } = rows;
  const dims = slabs === 0 ? [columns] : slabs === 1 ? [columns, count] : [columns, count / slabs, slabs];
  const read = (target: Uint8Array, at: number) => {
    if (at % rowBytes !== 0 || target.length % rowBytes !== 0) {
      throw new LightGPTError("invalidArgument", `${name}: ${target.length} bytes from ${at} are no whole rows.`);
    }
    rows.read(target, at / rowBytes);
  };
  return { name, type, dims, bytes: count * rowBytes, read };
}

/** A tensor that the folder does not have. */
export function madeTensor(name: string, values: Float32Array): SourceTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const read = (target: Uint8Array, at: number) => target.set(bytes.subarray(at, at + target.length));
  return { name, type: 0, dims: [values.length], bytes: bytes.length, read };
}
