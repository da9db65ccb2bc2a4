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
import { UnsupportedError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { openReader, type Window, type WindowReader } from "../measuring/text_windows.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { LayerModel } from "../model/layer_model.ts";
import { readPlan } from "../model/model.ts";
import { cancelledBy } from "../options/checks.ts";
import { given } from "../options/schema.ts";
import { loadTokenizer } from "../text/tokenizer/load.ts";
import { CalibrationSteps, INSIDE, STATES, type Step } from "./calibration_steps.ts";
import { CalibrationStore } from "./calibration_store.ts";
import { CalibrationSums } from "./calibration_sums.ts";
import { calibrationWindows } from "./calibration_text.ts";
import { ExpertInputs, ExpertRows } from "./expert_rows.ts";
import type { Calibration, TensorCalibrator } from "./round_calibrated.ts";
import { RowFile } from "./row_file.ts";

/** Positions that are read together. */
const windowMost = 256;

/** A layer in work. */
interface Layer {
  readonly index: number;
  readonly copy: LayerModel;
  readonly reader: WindowReader;
  /** What was kept of the original, by its number: inputs of products, and states. */
  readonly original: ReadonlyMap<number, RowFile>;
  /** Whose the original's inner rows of experts are. */
  readonly originalRows: ExpertRows;
}

/** What calibrates one matrix: the step that it is of, and its place in a stack. */
interface Known {
  readonly step: Step;
  readonly matrix: number;
  readonly calibration: Calibration | "unreached";
}

/** Options for a {@link Calibrator}. */
export interface CalibratorOptions {
  readonly text: string;
  /** How many tokens of the text are read, at most. */
  readonly tokens: number;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** Whether words are cut by default rules where the file names unknown ones. */
  readonly allowUnknownPreTokenizer: boolean;
  /** The file that is made: states, inputs and finished blocks lie in a folder beside it, which is removed at the end. */
  readonly output: string;
  /** What decides the blocks besides the model and the text: work that was broken off is gone on with where all are the same. */
  readonly work: string;
}

type Opened = Pick<ReturnType<typeof readPlan>, "gguf" | "plan">;

/** Has a model read a text, layer by layer. */
export class Calibrator implements TensorCalibrator {
  readonly #model: Opened;
  readonly #windows: readonly Window[];
  readonly #positions: number;
  readonly #options: CalibratorOptions;
  readonly #steps: CalibrationSteps;
  readonly #sums: CalibrationSums;
  readonly #store: CalibrationStore;
  /** Layers that another process had finished. */
  readonly #begun: number;
  /** States before the layer in work, of the original and of the copy; absent before the first layer. */
  #states: { readonly original: RowFile; readonly copy: RowFile } | undefined;
  #layer: Layer | undefined;
  /** Files that are open. */
  readonly #files = new Set<RowFile>();
  #known: Known | undefined;
  /** The experts' inputs of a step. */
  #inputs: { readonly step: Step; readonly of: ExpertInputs } | undefined;

  private constructor(model: Opened, windows: readonly Window[], options: CalibratorOptions) {
    this.#model = model;
    this.#windows = windows;
    this.#positions = windows.reduce((sum, { tokens }) => sum + tokens.length, 0);
    this.#options = options;
    this.#steps = new CalibrationSteps(model.plan);
    this.#sums = new CalibrationSums(this.#steps.all, options.threads, options.signal);
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
    checkLayers(path, plan);
    const window = Math.min(windowMost, context);
    const { text, tokens, signal, allowUnknownPreTokenizer } = options;
    const tokenizer = await loadTokenizer(gguf, { allowUnknownPreTokenizer, ...given({ signal }) });
    const windows = await calibrationWindows({ tokenizer, plan }, text, { tokens, window, signal });
    return new Calibrator({ gguf, plan }, windows, options);
  }

  /** When a tensor's turn is: those of one step together, steps in the order they are made. */
  order(name: string): number {
    return this.#steps.of(name)?.order ?? -1;
  }

  /** The blocks of a tensor that were made before this process began; undefined where there are none. */
  made(name: string): Uint8Array | undefined {
    const step = this.#steps.of(name);
    return step === undefined || step.layer >= this.#begun ? undefined : this.#store.kept(name);
  }

  /** What the rounding of a tensor, or of one matrix of a stack, goes by, until the next is asked for. */
  async calibrationFor(name: string, matrix: number): Promise<Calibration | "unreached" | undefined> {
    const step = this.#steps.of(name);
    if (step === undefined) return undefined;
    const known = this.#known;
    if (known?.step === step && known.matrix === matrix) return known.calibration;
    // A layer none of whose matrices changes is gone through all the same.
    let current = this.#layer;
    while (current === undefined || current.index < step.layer) {
      if (current !== undefined) await this.#leave(current);
      current = this.#layer = await this.#enter(current === undefined ? this.#begun : current.index + 1);
    }
    this.#known = undefined;
    const calibration = step.ofExperts ? await this.#sumExpert(current, step, matrix) : await this.#sum(current, step);
    this.#known = { step, matrix, calibration };
    return calibration;
  }

  /** Puts a tensor's new blocks into the copy, for what comes after it, and keeps them for a process that goes on. */
  replace(name: string, format: number, blocks: Uint8Array): void {
    this.#store.keep(name, blocks);
    const before = this.#model.gguf.tensors.get(name);
    if (before === undefined || this.#layer === undefined) return;
    if (blocks.length > before.bytes) return; // only what shrinks fits in its place
    const { handle } = this.#layer.copy;
    for (const { role, tensor, offset, stride, slabs, bytes } of this.#model.plan.tensors) {
      if (tensor.name !== name) continue;
      const scale = blocks.length / tensor.bytes;
      const own = bytes * scale;
      const parts = new Uint8Array(own);
      // Of a stack whose matrices hold several roles, each has its part of each.
      for (let slab = 0; slab < slabs; slab++) {
        const from = (offset - tensor.offset + slab * stride) * scale;
        parts.set(blocks.subarray(from, from + own / slabs), slab * own / slabs);
      }
      native().replace({ model: handle, layer: 0, role, format, blocks: parts });
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
    const kinds = this.#steps.keptOf(index);
    const originalRows = new ExpertRows();
    const files = new Map(kinds.map((kind) => {
      const name = kind === STATES ? `original-${index + 1}` : `seen-${kind}`;
      return [kind, this.#file(name, this.#steps.columnsOf(index, kind))];
    }));
    {
      using original = await this.#load(index, this.#states?.original);
      const reader = openReader(original, windowMost, this.#options.threads);
      try {
        await this.#read(reader, index, kinds, (rows, position) => {
          for (const [slot, kind] of kinds.entries()) {
            const isLabelled = this.#steps.labels(index, kind);
            files.get(kind)!.append(
              isLabelled ? originalRows.add(rows[slot]!, position, files.get(kind)!.columns) : rows[slot]!,
            );
          }
        });
      } finally {
        await reader.dispose();
      }
    }
    const copy = await this.#load(index, this.#states?.copy);
    const reader = openReader(copy, windowMost, this.#options.threads);
    return { index, copy, reader, original: files, originalRows };
  }

  /** Has the copy, rounded now, read the text for its states after the layer. */
  async #leave(layer: Layer): Promise<void> {
    const copy = this.#file(`copy-${layer.index + 1}`, this.#embedding);
    await this.#read(layer.reader, layer.index, [STATES], ([rows]) => copy.append(rows!));
    const before = this.#states;
    this.#states = { original: layer.original.get(STATES)!, copy };
    this.#store.finish(layer.index + 1);
    if (before !== undefined) { for (const file of [before.original, before.copy]) this.#discard(file); }
    await this.#close(layer);
  }

  async #close({ reader, copy, original }: Layer): Promise<void> {
    this.#forget();
    await reader.dispose();
    copy[Symbol.dispose]();
    for (const file of original.values()) if (file !== this.#states?.original) this.#discard(file);
    this.#layer = undefined;
  }

  async #sum({ index, reader, original }: Layer, step: Step): Promise<Calibration> {
    const after = step.stream === undefined ? undefined : step.isMixers ? INSIDE : STATES;
    const file = original.get(after ?? step.captured)!;
    const room = new Float32Array(windowMost * file.columns);
    this.#sums.begin(step);
    await this.#read(
      reader,
      index,
      after === undefined ? this.#steps.readFor(step) : [step.captured, after],
      async ([inputs, stream], position) => {
        const rows = room.subarray(0, inputs!.length / step.columns * file.columns);
        file.read(position, rows);
        if (after === undefined) await this.#sums.add(rows, inputs!);
        else await this.#sums.addToStream(rows, stream!, inputs!);
      },
    );
    return await this.#sums.finish();
  }

  /** The same for one expert, of the rows that came to it. */
  async #sumExpert(layer: Layer, step: Step, expert: number): Promise<Calibration | "unreached"> {
    if (this.#inputs?.step !== step) {
      this.#forget();
      this.#inputs = { step, of: await this.#readExperts(layer, step) };
    }
    const { of } = this.#inputs;
    if (of.count(expert) === 0) return "unreached";
    this.#sums.begin(step);
    for (const [original, copy] of of.rows(expert, windowMost)) await this.#sums.add(original, copy);
    return await this.#sums.finish();
  }

  /** Has the copy read the text for what its experts see. */
  async #readExperts({ index, reader, original, originalRows }: Layer, step: Step): Promise<ExpertInputs> {
    const file = this.#file("copy-seen", step.columns);
    const rows = new ExpertRows();
    const width = this.#steps.columnsOf(index, this.#steps.innerKind);
    await this.#read(reader, index, this.#steps.readFor(step), (captured, position) => {
      const [first, last] = [captured[0]!, captured.at(-1)!];
      const inner = rows.add(last, position, width);
      file.append(step.isInner ? inner : first);
    });
    return new ExpertInputs({ file, rows }, { file: original.get(step.captured)!, rows: originalRows }, step.isInner);
  }

  /** Drops the experts' inputs of a step that is done. */
  #forget(): void {
    if (this.#inputs !== undefined) this.#discard(this.#inputs.of.copy.file);
    this.#inputs = undefined;
  }

  /** Reads the text once and hands over, window by window, what was asked for. */
  async #read(
    reader: WindowReader,
    layer: number,
    kinds: readonly number[],
    take: (rows: readonly Float32Array[], position: number) => Promise<void> | void,
  ): Promise<void> {
    const { signal } = this.#options;
    const [first, last] = [kinds[0]!, kinds.at(-1)!];
    reader.inputs.capture(first, last - first + 1, this.#steps.madeFor(kinds));
    const rooms = kinds.map((kind) => new Float32Array(windowMost * this.#steps.floatsOf(layer, kind)));
    let position = 0;
    for (const window of this.#windows) {
      const { tokens } = window;
      if (signal?.aborted) throw cancelledBy(signal);
      // After the first layer a position's number is its token.
      const ids = this.#states === undefined ? tokens : tokens.map((_, index) => position + index);
      await reader.read({ ...window, tokens: ids });
      await take(
        kinds.map((kind, slot) => rooms[slot]!.subarray(0, reader.inputs.captured(kind, rooms[slot]!))),
        position,
      );
      position += tokens.length;
    }
  }

  get #embedding(): number {
    return this.#model.plan.hyperparameters.embedding;
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

/** Refuses models of which a layer cannot be computed alone, from the states before it. */
function checkLayers(path: string, { hyperparameters: { architecture, layerInputs, perLayer } }: ModelPlan): void {
  if (layerInputs === 0 && perLayer.every(({ keys }) => keys !== "ofLayer")) return;
  const inputs = "inputs of their own, or the keys of another layer";
  throw new UnsupportedError(
    `${path}: calibrated rounding goes layer by layer, and layers of ${architecture} take more than the states before them ` +
      `(${inputs}); expected the rounding search, with an importance matrix.`,
    { what: "calibrated rounding of such a model", where: "rounding", expected: "search", got: "calibrated" },
  );
}

/** Names everything that decides the blocks: the model's files as they are, the tokens, and what the caller says. */
function workOf({ gguf }: Opened, windows: readonly Window[], work: string): string {
  const hash = node("node:crypto").createHash("sha256").update(work);
  for (const file of gguf.files) {
    const { size, mtimeMs } = node("node:fs").statSync(file);
    hash.update(`\n${node("node:path").resolve(file)} ${size} ${mtimeMs}`);
  }
  for (const { tokens, lengths } of windows) {
    hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)).update(lengths.join());
  }
  return hash.digest("hex");
}
