/**
 * What calibrated rounding goes by: the inputs that the matrices of a model see while it reads a text. A model is rounded layer by layer,
 * and only one layer is in memory. What lies between two layers is kept on disk: the hidden states of all positions, those of the original
 * and those of a copy in which all that comes before is rounded already.
 *
 * In a layer the text goes through the original once, and what its products see and leave is kept. Through the copy it goes before each
 * product, so that a matrix is rounded for the inputs it will get and makes up for what they have lost, and once more at the end, for the
 * states after the layer. So time is linear in layers and tokens.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import type { Engine } from "../engine/engine.ts";
import { openReader, readWindow } from "../measuring/text_windows.ts";
import { LayerModel } from "../model/layer_model.ts";
import { readPlan } from "../model/model.ts";
import { cancelledBy } from "../options/checks.ts";
import { given } from "../options/schema.ts";
import { loadTokenizerAsync } from "../text/tokenizer/tokenizer.ts";
import { CalibrationStore } from "./calibration_store.ts";
import { CalibrationSums, type Summed } from "./calibration_sums.ts";
import { calibrationWindows } from "./calibration_text.ts";
import type { Calibration, TensorCalibrator } from "./round_calibrated.ts";
import { RowFile } from "./row_file.ts";

/** Which product a matrix is multiplied in, in its layer (`Native.capture`); some files have several in one. */
const PRODUCTS: Readonly<Record<string, number>> = {
  attn_q: 0,
  attn_k: 0,
  attn_v: 0,
  attn_qkv: 0,
  attn_output: 1,
  ffn_gate: 2,
  ffn_up: 2,
  ffn_down: 3,
};
const productsOfLayer = 4;
/** What a model of one layer gives after its four products and the one of the logits: the states after the layer. */
const statesOfLayer = productsOfLayer + 1;
/** The states between its mixer and its feed-forward. */
const statesInside = statesOfLayer + 1;

const matrixName = /^blk\.(\d+)\.(\w+)\.weight$/;

/** Positions that are read together. */
const windowMost = 256;

/** A layer in work. */
interface Layer {
  readonly index: number;
  readonly copy: LayerModel;
  readonly engine: Engine;
  /** What was kept of the original, by its number: inputs of products, and states. */
  readonly original: ReadonlyMap<number, RowFile>;
}

/** Options for a {@link Calibrator}. */
export interface CalibratorOptions {
  readonly text: string;
  /** How many tokens of the text are read, at most. */
  readonly tokens: number;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** The file that is made: states, inputs and finished blocks lie in a folder beside it, which is removed at the end. */
  readonly output: string;
  /** What decides the blocks besides the model and the text: work that was broken off is gone on with where all are the same. */
  readonly work: string;
}

type Opened = Pick<ReturnType<typeof readPlan>, "gguf" | "plan">;

/** Has a model read a text, layer by layer. */
export class Calibrator implements TensorCalibrator {
  readonly #model: Opened;
  readonly #windows: readonly Uint32Array[];
  readonly #positions: number;
  readonly #options: CalibratorOptions;
  readonly #sums: CalibrationSums;
  readonly #store: CalibrationStore;
  /** Layers that another process had finished. */
  readonly #begun: number;
  /** States before the layer in work, of the original and of the copy; absent before the first layer. */
  #states: { readonly original: RowFile; readonly copy: RowFile } | undefined;
  #layer: Layer | undefined;
  /** Files that are open. */
  readonly #files = new Set<RowFile>();
  #product = -1;
  #calibration: Calibration | undefined;

  private constructor(model: Opened, windows: readonly Uint32Array[], options: CalibratorOptions) {
    this.#model = model;
    this.#windows = windows;
    this.#positions = windows.reduce((sum, { length }) => sum + length, 0);
    this.#options = options;
    const products = model.plan.hyperparameters.perLayer.flatMap((_, layer) =>
      Array.from({ length: productsOfLayer }, (_, product) => this.#summed(layer, product))
    );
    this.#sums = new CalibrationSums(products, options.threads, options.signal);
    this.#store = CalibrationStore.open(options.output, workOf(model, windows, options.work));
    this.#begun = this.#store.layers;
    if (this.#begun > 0) {
      const [original, copy] = ["original", "copy"].map((whose) =>
        this.#file(`${whose}-${this.#begun}`, this.#embedding, this.#positions)
      );
      this.#states = { original: original!, copy: copy! };
    }
  }

  /** Reads the model's plan and vocabulary, and the text; no weights yet. */
  static async open(path: string, options: CalibratorOptions): Promise<Calibrator> {
    const { gguf, plan, context } = readPlan(path);
    const window = Math.min(windowMost, context);
    const { text, tokens, signal } = options;
    const tokenizer = await loadTokenizerAsync(gguf, given({ signal }));
    const windows = await calibrationWindows({ tokenizer }, text, { tokens, window, signal });
    return new Calibrator({ gguf, plan }, windows, options);
  }

  /** When a tensor's turn is: those of one product together, products in the order they are made. */
  order(name: string): number {
    return productOf(name) ?? -1;
  }

  /** The blocks of a tensor that were made before this process began; undefined where there are none. */
  made(name: string): Uint8Array | undefined {
    const product = productOf(name);
    if (product === undefined || product >= productsOfLayer * this.#begun) return undefined;
    return this.#store.kept(name);
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
      current = this.#layer = await this.#enter(current === undefined ? this.#begun : current.index + 1);
    }
    this.#product = product;
    this.#calibration = await this.#sum(current, product % productsOfLayer);
    return this.#calibration;
  }

  /** Puts a tensor's new blocks into the copy, for what comes after it, and keeps them for a process that goes on. */
  replace(name: string, format: number, blocks: Uint8Array): void {
    this.#store.keep(name, blocks);
    const before = this.#model.gguf.tensors.get(name);
    if (before === undefined || this.#layer === undefined) return;
    if (blocks.length > before.bytes) return; // only what shrinks fits in its place
    const { handle } = this.#layer.copy;
    for (const { role, tensor, offset, bytes } of this.#model.plan.tensors) {
      if (tensor.name !== name) continue;
      const [from, to] = [offset - tensor.offset, offset - tensor.offset + bytes].map((at) =>
        at / tensor.bytes * blocks.length
      );
      native().replace({ model: handle, layer: 0, role, format, blocks: blocks.subarray(from, to) });
    }
  }

  /** Frees the layer in work, and closes and removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#layer !== undefined) await this.#close(this.#layer);
    for (const file of this.#files) this.#discard(file);
    this.#store.remove();
  }

  /** Loads a layer, and has the original read the text: what its products see and leave is kept. */
  async #enter(index: number): Promise<Layer> {
    const kinds = Array.from({ length: productsOfLayer }, (_, product) => product)
      .filter((product) => this.#summed(index, product).stream === undefined);
    kinds.push(statesOfLayer, statesInside);
    const files = new Map(kinds.map((kind) => {
      const name = kind === statesOfLayer ? `original-${index + 1}` : `seen-${kind}`;
      return [kind, this.#file(name, this.#columnsOf(index, kind))];
    }));
    {
      using original = await this.#load(index, this.#states?.original);
      const engine = openReader(original, windowMost, this.#options.threads);
      try {
        await this.#read(engine, index, kinds, (rows) => {
          for (const [slot, kind] of kinds.entries()) files.get(kind)!.append(rows[slot]!);
        });
      } finally {
        await engine.dispose();
      }
    }
    const copy = await this.#load(index, this.#states?.copy);
    return { index, copy, engine: openReader(copy, windowMost, this.#options.threads), original: files };
  }

  /** Has the copy, rounded now, read the text for its states after the layer. */
  async #leave(layer: Layer): Promise<void> {
    const copy = this.#file(`copy-${layer.index + 1}`, this.#embedding);
    await this.#read(layer.engine, layer.index, [statesOfLayer], ([rows]) => copy.append(rows!));
    const before = this.#states;
    this.#states = { original: layer.original.get(statesOfLayer)!, copy };
    this.#store.finish(layer.index + 1);
    if (before !== undefined) { for (const file of [before.original, before.copy]) this.#discard(file); }
    await this.#close(layer);
  }

  async #close({ engine, copy, original }: Layer): Promise<void> {
    await engine.dispose();
    copy[Symbol.dispose]();
    for (const file of original.values()) if (file !== this.#states?.original) this.#discard(file);
    this.#layer = undefined;
  }

  async #sum({ index, engine, original }: Layer, product: number): Promise<Calibration> {
    const of = this.#summed(index, product);
    const after = product === 1 ? statesInside : statesOfLayer;
    const kind = of.stream === undefined ? product : after;
    const file = original.get(kind)!;
    const room = new Float32Array(windowMost * file.columns);
    let position = 0;
    this.#sums.begin(of);
    await this.#read(
      engine,
      index,
      of.stream === undefined ? [product] : [product, after],
      async ([inputs, stream]) => {
        const rows = room.subarray(0, inputs!.length / of.columns * file.columns);
        file.read(position, rows);
        position += rows.length / file.columns;
        if (of.stream === undefined) await this.#sums.add(rows, inputs!);
        else await this.#sums.addToStream(rows, stream!, inputs!);
      },
    );
    return await this.#sums.finish();
  }

  /** Reads the text once and hands over, window by window, what was asked for. */
  async #read(
    engine: Engine,
    layer: number,
    kinds: readonly number[],
    take: (rows: readonly Float32Array[]) => Promise<void> | void,
  ): Promise<void> {
    const { signal } = this.#options;
    const first = kinds[0]!;
    engine.capture(first, kinds.at(-1)! - first + 1);
    const rooms = kinds.map((kind) => new Float32Array(windowMost * this.#columnsOf(layer, kind)));
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

  /** What the sums of a product are of: its results go to the stream as they are, unless a norm comes first. */
  #summed(layer: number, product: number): Summed {
    const norm = product === 1 ? "post_attention_norm" : "post_ffw_norm";
    const isAdded = product === 1 || product === 3;
    const isNormed = this.#model.plan.tensors.some((tensor) => tensor.role === norm && tensor.layer === layer);
    return {
      columns: this.#columnsOf(layer, product),
      stream: isAdded && !isNormed ? this.#embedding : undefined,
    };
  }

  /** Floats of what is captured under a number. */
  #columnsOf(layer: number, kind: number): number {
    const { embedding, perLayer } = this.#model.plan.hyperparameters;
    const { heads, feedForward, vDim } = perLayer[layer]!;
    return [embedding, heads * vDim, embedding, feedForward][kind] ?? embedding;
  }

  #file(name: string, columns: number, rows?: number): RowFile {
    const file = new RowFile(this.#store.path(name), columns, rows);
    this.#files.add(file);
    return file;
  }

  #discard(file: RowFile): void {
    this.#files.delete(file);
    file[Symbol.dispose]();
    node("node:fs").rmSync(file.path, { force: true });
  }

  #load(index: number, states: RowFile | undefined): Promise<LayerModel> {
    const { plan, gguf } = this.#model;
    const from = states === undefined ? undefined : { path: states.path, positions: this.#positions };
    return LayerModel.load(plan, gguf.files, index, { states: from, signal: this.#options.signal });
  }
}

/** Names everything that decides the blocks: the model's files as they are, the tokens, and what the caller says. */
function workOf({ gguf }: Opened, windows: readonly Uint32Array[], work: string): string {
  const hash = node("node:crypto").createHash("sha256").update(work);
  for (const file of gguf.files) {
    const { size, mtimeMs } = node("node:fs").statSync(file);
    hash.update(`\n${node("node:path").resolve(file)} ${size} ${mtimeMs}`);
  }
  for (const window of windows) hash.update(new Uint8Array(window.buffer, window.byteOffset, window.byteLength));
  return hash.digest("hex");
}

/** The number of the product that a tensor is multiplied in, as `Native.capture` numbers them. */
export function productOf(name: string): number | undefined {
  const [, layer, role = ""] = matrixName.exec(name) ?? [];
  return Object.hasOwn(PRODUCTS, role) ? productsOfLayer * Number(layer) + PRODUCTS[role]! : undefined;
}
