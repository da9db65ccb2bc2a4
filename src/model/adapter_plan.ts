/**
 * What an adapter's file (LoRA) is for a model: which pair of narrow matrices, A and B, is added to which matrix, and what their
 * product is multiplied by. Names, shapes and keys are checked here; no weights are read. Whatever would be computed wrongly
 * is refused: an adapter of another model, tensors without a place, kinds other than LoRA.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { ModelFormatError, UnsupportedError } from "../../ffi/errors.ts";
import { formatInstead, FORMATS } from "../files/formats.ts";
import type { Gguf, Tensor } from "../files/gguf/read.ts";
import type { ModelPlan, PlannedTensor } from "./architectures/architectures.ts";

/** A pair of an adapter, for one matrix of a model. */
export interface PlannedPair {
  /** The matrix: its place among the plan's tensors, which is its number in native code. */
  readonly matrix: number;
  /** Rows of A, columns of B. */
  readonly rank: number;
  /** What the product B A is multiplied by, whatever a request asks for. */
  readonly factor: number;
  readonly a: Tensor;
  readonly b: Tensor;
  /** The rows of B that belong to the matrix; more where several matrices are one tensor of the file. */
  readonly firstRow: number;
  readonly rows: number;
  /** Matrices of a stack, each of which has its own A and B: the experts. */
  readonly slabs: number;
  /** Rows of each B, the others' included. */
  readonly allRows: number;
}

const halves = [".lora_a", ".lora_b"] as const;

/** Checks an adapter's file against the plan of the model in `model`. */
export function planAdapter(gguf: Gguf, plan: ModelPlan, model: string): PlannedPair[] {
  const { metadata } = gguf;
  const type = metadata.text("general.type", "model");
  if (type !== "adapter") throw metadata.wrong("general.type", "adapter, a file that is added to a model", `'${type}'`);
  const kind = metadata.text("adapter.type");
  if (kind !== "lora") throw metadata.unsupported("adapter.type", "lora", `'${kind}'`);
  const { architecture } = plan.hyperparameters;
  const own = metadata.text("general.architecture");
  if (own !== architecture) {
    throw metadata.wrong("general.architecture", `${architecture}, as the model ${model} has it`, `'${own}'`);
  }
  const activating = "adapter.alora.invocation_tokens";
  if (metadata.has(activating)) {
    throw metadata.unsupported(activating, "none, an adapter for all tokens of a request", "a list of tokens");
  }
  const alpha = metadata.number("adapter.lora.alpha");
  if (gguf.tensors.size === 0) {
    throw new ModelFormatError(`${gguf.files[0]}: the adapter has no tensors; expected pairs of .lora_a and .lora_b.`, {
      field: "tensors",
      expected: "pairs of .lora_a and .lora_b",
      got: "none",
    });
  }
  const bases = new Set(Array.from(gguf.tensors.keys(), (name) => baseOf(gguf, name)));
  return [...bases].flatMap((base) => planPair(gguf, plan, base, alpha, model));
}

/** The name of the model's tensor that one of an adapter is for. */
function baseOf(gguf: Gguf, name: string): string {
  const half = halves.find((ending) => name.endsWith(ending));
  if (half !== undefined) return name.slice(0, -half.length);
  throw unsupported(gguf, name, "is of no LoRA pair", "names that end in .lora_a or .lora_b");
}

function planPair(gguf: Gguf, plan: ModelPlan, base: string, alpha: number, model: string): PlannedPair[] {
  const [a, b] = halves.map((half) => gguf.tensors.get(base + half));
  if (a === undefined || b === undefined) {
    const missing = base + halves[a === undefined ? 0 : 1];
    throw wrong(gguf, base + halves[a === undefined ? 1 : 0], `the tensor ${missing} is missing`, "both of a pair");
  }
  const parts = plan.tensors
    .map((planned, matrix) => ({ planned, matrix }))
    .filter(({ planned: { tensor } }) => tensor.name === base)
    .sort((one, other) => one.planned.offset - other.planned.offset);
  const [first] = parts;
  if (first === undefined) {
    throw wrong(gguf, a.name, `the model ${model} has no tensor ${base}`, "tensors that the model has");
  }
  checkKind(gguf, a, first.planned);
  const rank = a.dims[1] ?? 1;
  const { columns, slabs } = first.planned;
  const rows = parts.reduce((sum, { planned }) => sum + planned.rows, 0);
  checkShape(gguf, a, [columns, rank, slabs]);
  checkShape(gguf, b, [rank, rows, slabs]);
  if (rank > LIMITS.adapterRankMax) {
    throw unsupported(gguf, a.name, `has the rank ${rank}`, `at most ${LIMITS.adapterRankMax}`);
  }
  for (const tensor of [a, b]) {
    if (FORMATS.get(tensor.type)?.supported) continue;
    throw unsupported(gguf, tensor.name, `has the type ${tensor.typeName}`, formatInstead(tensor.type));
  }
  // As llama.cpp: an alpha of 0 stands for none, and then the rank counts for nothing.
  const factor = alpha === 0 ? 1 : alpha / rank;
  let firstRow = 0;
  return parts.map(({ planned, matrix }) => {
    const pair = { matrix, rank, factor, a, b, firstRow, rows: planned.rows, slabs, allRows: rows };
    firstRow += planned.rows;
    return pair;
  });
}

/** Refuses pairs of what is no plain matrix whose products are computed. */
function checkKind(gguf: Gguf, a: Tensor, { role, tensor, rows, slabs }: PlannedTensor): void {
  const expected = "pairs for matrices of attention, of the feed-forward part and its experts, and output.weight";
  if (role === "token_embd") throw unsupported(gguf, a.name, "changes the embeddings", expected);
  if (role === "ssm_conv1d") throw unsupported(gguf, a.name, "changes a short convolution", expected);
  if (slabs > 1 && !role.endsWith("_exps")) {
    throw unsupported(gguf, a.name, "changes matrices of single heads", expected);
  }
  if (rows === 1) throw unsupported(gguf, a.name, `changes ${tensor.name}, a vector`, expected);
}

function checkShape(gguf: Gguf, tensor: Tensor, sizes: readonly [columns: number, rows: number, slabs: number]): void {
  const { dims } = tensor;
  if (dims.length <= 4 && [0, 1, 2, 3].every((axis) => (dims[axis] ?? 1) === (sizes[axis] ?? 1))) return;
  const expected = sizes.slice(0, sizes[2] > 1 ? 3 : 2).join(" x ");
  throw wrong(gguf, tensor.name, `the tensor ${tensor.name} is ${dims.join(" x ")}`, expected);
}

function wrong(gguf: Gguf, name: string, message: string, expected: string): ModelFormatError {
  const offset = gguf.tensors.get(name)?.infoOffset;
  return new ModelFormatError(`${gguf.files[0]}: ${message}; expected ${expected} (byte ${offset})`, {
    field: name,
    ...(offset === undefined ? {} : { offset }),
    expected,
  });
}

function unsupported(gguf: Gguf, name: string, what: string, expected: string): UnsupportedError {
  return new UnsupportedError(
    `${gguf.files[0]}: the tensor ${name} ${what}, which is not supported; expected ${expected}.`,
    { what: "an adapter that is not supported", where: name, expected },
  );
}
