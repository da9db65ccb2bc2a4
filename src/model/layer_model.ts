/**
 * One layer of a model, loaded alone: what reads a text layer by layer needs, so that memory does not grow with the model.
 * The first layer takes tokens as the model does. A later one takes the hidden states that the layer before it left in a file: they
 * are its embedding table, and the number of a position is its token.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import type { ModelHandle } from "../../ffi/wire.ts";
import type { PlannedTensor } from "./architectures/tensor_plan.ts";
import type { ModelPlan } from "./architectures/architectures.ts";
import { describeModel } from "./encode_model.ts";
import { finishLoading } from "./model.ts";

/** Hidden states on disk: rows of 32-bit floats, little-endian. */
export interface StatesFile {
  readonly path: string;
  /** How many rows there are. */
  readonly positions: number;
}

/** A model of one layer, as an engine takes it. */
export class LayerModel implements Disposable {
  /** What the library was told. */
  readonly plan: ModelPlan;
  /** Bytes of memory that its weights take. */
  readonly residentBytes: number;
  #handle: ModelHandle | undefined;

  private constructor(plan: ModelPlan, handle: ModelHandle, residentBytes: number) {
    this.plan = plan;
    this.residentBytes = residentBytes;
    this.#handle = handle;
  }

  /** Loads layer `layer`; `states` are its inputs, absent for the first layer. */
  static async load(
    plan: ModelPlan,
    files: readonly string[],
    layer: number,
    { states, signal }: { states?: StatesFile | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<LayerModel> {
    const alone = planLayer(plan, layer, files.length, states);
    return await LayerModel.loadPlanned(alone, states === undefined ? files : [...files, states.path], signal);
  }

  /** Loads what is planned as a model of one layer. */
  static async loadPlanned(plan: ModelPlan, files: readonly string[], signal?: AbortSignal): Promise<LayerModel> {
    const handle = native().modelLoad(describeModel(plan, files));
    try {
      const { residentBytes } = await finishLoading(handle, { signal, onProgress: undefined });
      return new LayerModel(plan, handle, residentBytes);
    } catch (error) {
      native().modelFree(handle);
      throw error;
    }
  }

  /** Tokens that it takes: those of the vocabulary, or one for each position. */
  get vocabulary(): number {
    return this.plan.hyperparameters.vocabulary;
  }

  /** What native code knows it by. */
  get handle(): ModelHandle {
    if (this.#handle === undefined) {
      throw new ClosedError("A layer was used after it was disposed.", { where: "model" });
    }
    return this.#handle;
  }

  /** Frees its weights. */
  [Symbol.dispose](): void {
    if (this.#handle !== undefined) native().modelFree(this.#handle);
    this.#handle = undefined;
  }
}

/** The plan of one layer. Its output matrix is its embedding table, which no logits are made of. */
function planLayer(plan: ModelPlan, layer: number, file: number, states: StatesFile | undefined): ModelPlan {
  const { hyperparameters: all, tensors } = plan;
  const own = all.perLayer[layer];
  if (own === undefined) throw new RangeError(`no layer ${layer} of ${all.layers}`);
  const kept: PlannedTensor[] = [];
  for (const tensor of tensors) {
    const isOfNoLayer = ofNoLayer.has(tensor.role);
    if (!isOfNoLayer && tensor.layer !== layer) continue;
    if (tensor.role === "output") continue;
    if (tensor.role !== "token_embd" || states === undefined) kept.push({ ...tensor, layer: 0 });
    else kept.push({ ...tensor, ...tableOf(tensor, all.embedding, file, states.positions) });
  }
  const vocabulary = states?.positions ?? all.vocabulary;
  return {
    ...plan,
    hyperparameters: { ...all, layers: 1, perLayer: [own], vocabulary, ...(states === undefined ? {} : ofStates) },
    tensors: kept,
  };
}

/** What is done to embeddings, and what becomes of a whole text's row, is done to no states. */
const ofStates = {
  embeddingScale: 1,
  positions: 0,
  tokenTypes: 0,
  denseInner: 0,
  denseWidth: 0,
  rankWidth: 0,
  rankScores: 0,
} as const;

/** Roles of the tensors that belong to no layer. */
const ofNoLayer: ReadonlySet<string> = new Set(["token_embd", "output", "output_norm", "rope_freqs"]);

/** A file of states as the tensor of an embedding table. */
function tableOf(embedding: PlannedTensor, columns: number, file: number, rows: number): Partial<PlannedTensor> {
  const bytes = 4 * columns * rows;
  const tensor = { ...embedding.tensor, type: 0, typeName: "F32", file, offset: 0, bytes, dims: [columns, rows] };
  return { tensor, columns, rows, slabs: 1, offset: 0, stride: bytes, bytes };
}
