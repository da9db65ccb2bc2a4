/**
 * What calibrated rounding goes by: the inputs that the matrices of a model see while it reads a text. A model is rounded layer by layer,
 * and only one layer is in memory. What lies between two layers is kept on disk: the hidden states of all positions, those of the original
 * and those of a copy in which all that comes before is rounded already.
 *
 * In a layer the text goes through the original once, and the inputs of its four products are kept. Through the copy it goes before each
 * product, so that a matrix is rounded for the inputs it will get and makes up for what they have lost, and once more at the end, for the
 * states after the layer. So time is linear in layers and tokens.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import type { Engine } from "../engine/engine.ts";
import { openReader, readWindow, windowsOf } from "../measuring/text_windows.ts";
import type { Role } from "../model/architectures/types.ts";
import { LayerModel } from "../model/layer_model.ts";
import { readPlan } from "../model/model.ts";
import { cancelledBy } from "../options/checks.ts";
import { loadTokenizer } from "../text/tokenizer/tokenizer.ts";
import { CalibrationSums } from "./calibration_sums.ts";
import type { Calibration, TensorCalibrator } from "./round_calibrated.ts";
import { RowFile } from "./row_file.ts";

/** Which product a tensor's input is that of, in its layer (`Native.capture`). */
const PRODUCTS = {
  attn_q: 0,
  attn_k: 0,
  attn_v: 0,
  attn_output: 1,
  ffn_gate: 2,
  ffn_up: 2,
  ffn_down: 3,
} as const satisfies Partial<Record<Role, number>>;
const productsOfLayer = 4;
/** What a model of one layer gives after its four products and the one of the logits: the states after the layer. */
const statesOfLayer = productsOfLayer + 1;

const matrixName = /^blk\.(\d+)\.(\w+)\.weight$/;

/** Positions that are read together. */
const windowMost = 256;

/** A layer in work. */
interface Layer {
  readonly index: number;
  readonly copy: LayerModel;
  readonly engine: Engine;
  /** The inputs of the original's products. */
  readonly inputs: readonly RowFile[];
}

/** Options for a {@link Calibrator}. */
export interface CalibratorOptions {
  readonly text: string;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** The file that is made: states and inputs lie in a folder beside it, which is removed at the end. */
  readonly output: string;
}

type Opened = Pick<ReturnType<typeof readPlan>, "gguf" | "plan">;

/** Has a model read a text, layer by layer. */
export class Calibrator implements TensorCalibrator {
  readonly #model: Opened;
  readonly #windows: readonly Uint32Array[];
  readonly #positions: number;
  readonly #options: CalibratorOptions;
  readonly #sums: CalibrationSums;
  /** States before the layer in work, of the original and of the copy; absent before the first layer. */
  #states: { readonly original: RowFile; readonly copy: RowFile } | undefined;
  /** The original's states after the layer in work. */
  #after: RowFile | undefined;
  #layer: Layer | undefined;
  #product = -1;
  #calibration: Calibration | undefined;
  #folder: string | undefined;

  private constructor(model: Opened, windows: readonly Uint32Array[], options: CalibratorOptions) {
    this.#model = model;
    this.#windows = windows;
    this.#positions = windows.reduce((sum, { length }) => sum + length, 0);
    this.#options = options;
    const widest = Math.max(
      ...model.plan.hyperparameters.perLayer.flatMap((_, layer) =>
        Array.from({ length: productsOfLayer }, (_, product) => columnsOf(model, layer, product))
      ),
    );
    this.#sums = new CalibrationSums(widest, options.threads, options.signal);
  }

  /** Reads the model's plan and vocabulary, and the text; no weights yet. */
  static async open(path: string, options: CalibratorOptions): Promise<Calibrator> {
    const { gguf, plan, context } = readPlan(path);
    const window = Math.min(windowMost, context);
    const windows = await windowsOf({ tokenizer: loadTokenizer(gguf) }, options.text, window, options.signal);
    return new Calibrator({ gguf, plan }, windows, options);
  }

  /** When a tensor's turn is: those of one product together, products in the order they are made. */
  order(name: string): number {
    return productOf(name) ?? -1;
  }

  /** What a tensor's rounding goes by, until the next product's; undefined for those that are no matrix of a layer. */
  async calibrationFor(name: string): Promise<Calibration | undefined> {
    const product = productOf(name);
    if (product === undefined) return undefined;
    if (product === this.#product) return this.#calibration;
    const layer = Math.floor(product / productsOfLayer);
    // A layer none of whose matrices changes is gone through all the same.
    let current = this.#layer;
    while (current === undefined || current.index < layer) {
      if (current !== undefined) await this.#leave(current);
      current = this.#layer = await this.#enter(current === undefined ? 0 : current.index + 1);
    }
    this.#product = product;
    this.#calibration = await this.#sum(current, product % productsOfLayer);
    return this.#calibration;
  }

  /** Puts a tensor's new blocks into the copy, for what comes after it. */
  replace(name: string, format: number, blocks: Uint8Array): void {
    const [, , role] = matrixName.exec(name) ?? [];
    if (!isMatrix(role) || this.#layer === undefined) return;
    const before = this.#model.gguf.tensors.get(name);
    if (before === undefined || blocks.length > before.bytes) return; // only what shrinks fits in its place
    native().replace({ model: this.#layer.copy.handle, layer: 0, role, format, blocks });
  }

  /** Frees the layer in work, and closes and removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#layer !== undefined) await this.#close(this.#layer);
    for (const file of [this.#states?.original, this.#states?.copy, this.#after]) discard(file);
    if (this.#folder !== undefined) node("node:fs").rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Loads a layer, and has the original read the text: its products' inputs and its states after the layer are kept. */
  async #enter(index: number): Promise<Layer> {
    const inputs = Array.from(
      { length: productsOfLayer },
      (_, product) => new RowFile(this.#path(`input-${product}`), columnsOf(this.#model, index, product)),
    );
    this.#after = new RowFile(this.#path(`original-${index + 1}`), this.#embedding);
    {
      using original = await this.#load(index, this.#states?.original);
      const engine = openReader(original, windowMost, this.#options.threads);
      try {
        await this.#read(engine, [0, 1, 2, 3, statesOfLayer], (rows) => {
          for (const [product, file] of inputs.entries()) file.append(rows[product]!);
          this.#after!.append(rows[productsOfLayer]!);
        });
      } finally {
        await engine.dispose();
      }
    }
    const copy = await this.#load(index, this.#states?.copy);
    return { index, copy, engine: openReader(copy, windowMost, this.#options.threads), inputs };
  }

  /** Has the copy, rounded now, read the text for its states after the layer. */
  async #leave(layer: Layer): Promise<void> {
    const copy = new RowFile(this.#path(`copy-${layer.index + 1}`), this.#embedding);
    await this.#read(layer.engine, [statesOfLayer], ([rows]) => copy.append(rows!));
    await this.#close(layer);
    const before = this.#states;
    this.#states = { original: this.#after!, copy };
    this.#after = undefined;
    for (const file of [before?.original, before?.copy]) discard(file);
  }

  async #close({ engine, copy, inputs }: Layer): Promise<void> {
    await engine.dispose();
    copy[Symbol.dispose]();
    inputs.forEach(discard);
    this.#layer = undefined;
  }

  async #sum({ index, engine, inputs }: Layer, product: number): Promise<Calibration> {
    const columns = columnsOf(this.#model, index, product);
    const room = new Float32Array(windowMost * columns);
    let position = 0;
    this.#sums.begin(columns);
    await this.#read(engine, [product], async ([copy]) => {
      const original = room.subarray(0, copy!.length);
      inputs[product]!.read(position, original);
      position += original.length / columns;
      await this.#sums.add(original, copy!);
    });
    return await this.#sums.finish();
  }

  /** Reads the text once and hands over, window by window, what was asked for. */
  async #read(
    engine: Engine,
    kinds: readonly number[],
    take: (rows: readonly Float32Array[]) => Promise<void> | void,
  ): Promise<void> {
    const { signal } = this.#options;
    const first = kinds[0]!;
    engine.capture(first, kinds.at(-1)! - first + 1);
    const rooms = kinds.map((kind) => new Float32Array(windowMost * this.#width(kind)));
    let position = 0;
    for (const tokens of this.#windows) {
      if (signal?.aborted) throw cancelledBy(signal);
      // After the first layer a position's number is its token.
      const ids = this.#states === undefined ? tokens : tokens.map((_, index) => position + index);
      await readWindow(engine, ids);
      await take(kinds.map((kind, slot) => rooms[slot]!.subarray(0, engine.captured(kind, rooms[slot]!))));
      position += tokens.length;
    }
  }

  get #embedding(): number {
    return this.#model.plan.hyperparameters.embedding;
  }

  #width(kind: number): number {
    if (kind === statesOfLayer) return this.#embedding;
    return Math.max(
      ...this.#model.plan.hyperparameters.perLayer.map((_, layer) => columnsOf(this.#model, layer, kind)),
    );
  }

  #load(index: number, states: RowFile | undefined): Promise<LayerModel> {
    const { plan, gguf } = this.#model;
    const from = states === undefined ? undefined : { path: states.path, positions: this.#positions };
    return LayerModel.load(plan, gguf.files, index, { states: from, signal: this.#options.signal });
  }

  #path(name: string): string {
    this.#folder ??= node("node:fs").mkdtempSync(`${this.#options.output}.calibrating-`);
    return node("node:path").join(this.#folder, `${name}.f32`);
  }
}

function discard(file: RowFile | undefined): void {
  if (file === undefined) return;
  file[Symbol.dispose]();
  node("node:fs").rmSync(file.path, { force: true });
}

function columnsOf({ plan }: Opened, layer: number, product: number): number {
  const { embedding, perLayer } = plan.hyperparameters;
  const { heads, feedForward, vDim } = perLayer[layer]!;
  return [embedding, heads * vDim, embedding, feedForward][product]!;
}

/** The number of the product that a tensor is multiplied in, as `Native.capture` numbers them. */
export function productOf(name: string): number | undefined {
  const [, layer, role] = matrixName.exec(name) ?? [];
  return isMatrix(role) ? productsOfLayer * Number(layer) + PRODUCTS[role] : undefined;
}

function isMatrix(role: string | undefined): role is keyof typeof PRODUCTS {
  return role !== undefined && Object.hasOwn(PRODUCTS, role);
}
