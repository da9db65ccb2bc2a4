/**
 * The native functions as the rest of the house uses them: the calls of `wire_calls.ts` with failures thrown, results read, and
 * the buffers for results and for details of errors at hand. Whatever is passed down was checked by those calls.
 *
 * @module
 */
import { checked } from "./call.ts";
import { type Library, library } from "./library.ts";
import {
  type AdapterHandle,
  type EngineHandle,
  type KvType,
  LOAD_STATES,
  type LoadState,
  type ModelHandle,
  type NativeFunctions,
  type Status,
  STATUSES,
  WORKSPACE,
} from "./wire.ts";
import * as calls from "./wire_calls.ts";
import type { Words } from "./words.ts";

export { type Buffers, checkBuffer, checkU32 } from "./buffers.ts";

/** What {@link Native.modelStatus} reports. */
export interface ModelStatus extends calls.ModelProgress {
  /** How far loading is, and what became of packed weights. */
  readonly state: LoadState;
}

/** A tensor type that the library computes with. */
export interface NativeFormat {
  /** ggml's number of the type. */
  readonly id: number;
  /** Its name, such as `q4_0`. */
  readonly name: string;
  /** Elements of one block. */
  readonly blockElements: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** Whether floats can be turned into it. */
  readonly encodes: boolean;
}

/** What the library says about the processor. */
export interface NativeProcessor {
  /** Its architecture, such as `x86_64`. */
  readonly arch: string;
  /** The operating system. */
  readonly os: string;
  /** The CPU level in use. */
  readonly level: string;
  /** The levels that this processor can run, the lowest first. */
  readonly levels: readonly string[];
  /** The level that the processor has and the system refused to this process, such as `amx`; else empty. */
  readonly refused: string;
}

/** Bytes that every process can have: for no more, the runtime is not asked. */
const unaskedBytes = 2 ** 26;

/** The native functions, with their failures thrown. */
export class Native {
  readonly #library: Library;
  readonly #on: NativeFunctions;
  readonly #details = new Uint8Array(1024);
  readonly #progress = calls.roomForModelProgress();
  readonly #figures = calls.roomForMemoryFigures();
  readonly #discarded = calls.roomForDiscarded();
  readonly #sums = calls.roomForDifference();

  /** Wraps an opened library. */
  constructor(library: Library) {
    this.#library = library;
    this.#on = library.call;
  }

  /** The tensor types that the library computes with. */
  get formats(): readonly NativeFormat[] {
    return this.#described("formats") as NativeFormat[];
  }

  /** The processor and the CPU level in use. */
  get processor(): NativeProcessor {
    return this.#described("processor") as NativeProcessor;
  }

  /** Bytes of memory that this process may have; undefined where that is not known, or so few are wanted that it is not asked (40 ms in Deno). */
  memoryFor(wanted: number): number | undefined {
    return wanted <= unaskedBytes ? undefined : this.#library.runtime.memory();
  }

  /** What the library holds at the moment. */
  memory(): calls.MemoryFigures {
    checked(calls.memory(this.#on, this.#figures), "library");
    return calls.readMemoryFigures(this.#figures);
  }

  /** Bytes of a page of a described model, and the pages of a state. */
  kvBytes(description: Words<"model">, kvType: KvType, pageSize: number): calls.KvSizes {
    const sizes = calls.roomForKvSizes();
    checked(calls.kvBytes(this.#on, description, kvType, pageSize, sizes), "keys and values");
    return calls.readKvSizes(sizes);
  }

  /** Bytes a second that threads read together from some memory. Blocks for about a second. */
  bandwidth(given: calls.BandwidthArguments): number {
    return checked(calls.bandwidth(this.#on, given), "library") * 1e6;
  }

  /** How many loops a thread of the pool spins before it sleeps, for the whole process; returns what it was. */
  spin(loops: number): number {
    return checked(calls.spin(this.#on, loops), "spin");
  }

  /** Begins to load the model that `description` describes; returns its handle. */
  modelLoad(description: Words<"model">): ModelHandle {
    return checked(calls.modelLoad(this.#on, description, this.#fresh()), "model", this.#details);
  }

  /** How far loading is; throws what ended it. */
  modelStatus(model: ModelHandle): ModelStatus {
    const status = checked(calls.modelStatus(this.#on, model, this.#progress, this.#fresh()), "model", this.#details);
    return { state: LOAD_STATES[status] as LoadState, ...calls.readModelProgress(this.#progress) };
  }

  /** Compares some pieces of a packed file with their sums; returns where to go on, or 0 at the end. `path` is UTF-8. */
  packedCheck(path: Uint8Array, first: number): number {
    const details = this.#fresh();
    return checked(calls.packedCheck(this.#on, { path, first, details }), "packed weights", this.#details);
  }

  /** Frees a model or ends its loading; false if that was done before. */
  modelFree(model: ModelHandle): boolean {
    return unless("closed", calls.modelFree(this.#on, model), "handle");
  }

  /** Begins an adapter of a loaded model; returns its handle. */
  adapterOpen(model: ModelHandle): AdapterHandle {
    return checked(calls.adapterOpen(this.#on, model, this.#fresh()), "adapter", this.#details);
  }

  /** Adds a pair to an adapter that no step has used; returns the bytes that it takes. */
  adapterAdd(given: calls.AdapterAddArguments): number {
    return checked(calls.adapterAdd(this.#on, given), "adapter");
  }

  /** Frees an adapter; false if that was done before. */
  adapterFree(adapter: AdapterHandle): boolean {
    return unless("closed", calls.adapterFree(this.#on, adapter), "handle");
  }

  /** Opens an engine over a model; returns its handle. */
  engineOpen(model: ModelHandle, options: Words<"engine">): EngineHandle {
    return checked(calls.engineOpen(this.#on, model, options, this.#fresh()), "engine", this.#details);
  }

  /** Frees an engine; false if that was done before. */
  engineFree(engine: EngineHandle): boolean {
    return unless("closed", calls.engineFree(this.#on, engine), "handle");
  }

  /** Queues the step that a batch describes, or runs it at once. */
  submit(engine: EngineHandle, batch: Words<"batch">): void {
    checked(calls.submit(this.#on, engine, batch, this.#fresh()), "engine", this.#details);
  }

  /** Whether nothing is in flight for an engine or model, or a chain has results to take. */
  idle(handle: ModelHandle | EngineHandle): boolean {
    return checked(calls.wait(this.#on, handle, 0), "handle") === 1;
  }

  /**
   * Waits, off the JavaScript thread, until nothing is in flight for an engine or model, a chain has results to take, or
   * `milliseconds` are over.
   */
  async wait(handle: ModelHandle | EngineHandle, milliseconds: number): Promise<boolean> {
    await this.#library.doorbell.ring(handle, milliseconds);
    return this.idle(handle); // the doorbell is a hint; the handle's state is the truth
  }

  /** Fetches what the last step, or ended rounds of a chain, gave: results and rows of logits; returns how many results. */
  take(engine: EngineHandle, results: calls.StepResult, logits: Float32Array): number {
    return checked(calls.take(this.#on, engine, results, logits), "engine");
  }

  /** Lets so many rounds of the chain in flight run in all, 0: none after the one in flight; false where no round follows. */
  chain(engine: EngineHandle, granted: number): boolean {
    return checked(calls.chain(this.#on, engine, granted), "engine") === 1;
  }

  /** Hands over what the choice of a sequence in the round in flight goes by; false where that is not awaited. */
  mask(engine: EngineHandle, sequence: number, choice: Words<"sampler">): boolean {
    return checked(calls.mask(this.#on, engine, sequence, choice, this.#fresh()), "engine", this.#details) === 1;
  }

  /** Asks the step in flight to give a sequence up; false if there is no such sequence in flight. */
  cancel(engine: EngineHandle, sequence: number): boolean {
    return checked(calls.cancel(this.#on, engine, sequence), "engine") === 1;
  }

  /** Copies a KV page of an engine that has no step in flight. */
  pageCopy(given: calls.PageCopyArguments): void {
    checked(calls.pageCopy(this.#on, given), "page");
  }

  /** Gives the memory of KV pages back to the system until they are written again; returns how many bytes. */
  pageDiscard(given: Omit<calls.PageDiscardArguments, "discarded">): number {
    checked(calls.pageDiscard(this.#on, { ...given, discarded: this.#discarded }), "page");
    return calls.readDiscarded(this.#discarded).bytes;
  }

  /** Gives the memory of what windowed layers keep in a KV page back to the system. */
  pageLeave(engine: EngineHandle, page: number): void {
    checked(calls.pageLeave(this.#on, engine, page), "page");
  }

  /** Writes a KV page and its checksum to `out`, with `whole` 0 without what windowed layers keep; returns the bytes. */
  pageExport(given: calls.PageExportArguments): number {
    return checked(calls.pageExport(this.#on, given), "page");
  }

  /** Takes over a KV page that {@link Native.pageExport} wrote; false where its checksum is wrong. */
  pageImport(engine: EngineHandle, page: number, bytes: Uint8Array): boolean {
    return unless("modelFormat", calls.pageImport(this.#on, engine, page, bytes), "page");
  }

  /** Chooses a token. What came of it is in front of `workspace`, whose memory `bytes` shows as well. */
  sample(sampler: Words<"sampler">, logits: Float32Array, workspace: Uint32Array, bytes: Uint8Array): void {
    const status = calls.sample(this.#on, sampler, logits, workspace);
    if (status < 0) checked(status, "sampler", bytes.subarray(0, WORKSPACE.head * 4));
  }

  /**
   * Turns floats into blocks of a format; returns the bytes written before the first block that cannot be made (values
   * that are not finite, or that need a scale which the format cannot hold).
   */
  quantize(given: calls.QuantizeArguments): number {
    return checked(calls.quantize(this.#on, given), `format ${given.format}`);
  }

  /** Turns blocks of a format into floats; returns how many. */
  dequantize(given: calls.DequantizeArguments): number {
    return checked(calls.dequantize(this.#on, given), `format ${given.format}`);
  }

  /** Adds up the squares of the inputs of an engine's products from now on, from nothing; or no longer. */
  sumInputs(engine: EngineHandle, isOn: boolean): void {
    checked(calls.sumInputs(this.#on, engine, isOn ? 1 : 0), "sums");
  }

  /** Copies the sums of squares of a product's input, of one matrix of a stack; returns over how many rows. */
  inputSums(given: calls.InputSumsArguments): number {
    return checked(calls.inputSums(this.#on, given), "sums");
  }

  /** How far blocks are from values, of which there are at most `LIMITS.differenceValuesMax`. */
  difference(given: Omit<calls.DifferenceArguments, "sums">): calls.Difference {
    checked(calls.difference(this.#on, { ...given, sums: this.#sums }), `format ${given.format}`);
    return calls.readDifference(this.#sums);
  }

  /** Asks for large pages for memory that nothing was written to yet, which are read faster. */
  largePages(part: Uint8Array): void {
    checked(calls.largePages(this.#on, part), "part");
  }

  /** The nearest rows of an index, each as its place and the bits of its score in `results`; returns how many. */
  search(given: calls.SearchArguments): number {
    return checked(calls.search(this.#on, given), "index");
  }

  /** Rows of blocks times vectors, which lie one after the other: `results[vector * rows + row]`. */
  matmul(given: calls.MatmulArguments): void {
    checked(calls.matmul(this.#on, given), "vectors");
  }

  /**
   * Keeps the inputs of a step's products `first` to `first + count - 1` from now on; 0: of none. Layer l has the products
   * 4 l (q, k, v), 4 l + 1 (attention's output), 4 l + 2 (gate, up) and 4 l + 3 (down); the last makes the logits. One
   * number more are the hidden states after the last layer.
   */
  capture(given: calls.CaptureArguments): void {
    checked(calls.capture(this.#on, given), "engine");
  }

  /** Copies the rows kept of a product in the last step to `rows`; returns how many floats. */
  captured(engine: EngineHandle, product: number, rows: Float32Array): number {
    return checked(calls.captured(this.#on, engine, product, rows), "rows");
  }

  /** Packs other blocks in the place of a matrix of a loaded model, of which no step may run meanwhile. */
  replace(given: calls.ReplaceArguments): void {
    checked(calls.replace(this.#on, given), "matrix");
  }

  /** Adds the sum over rows of x[i] y[j] to some rows i of a square matrix; of x with itself, where j >= i only. */
  gram(given: calls.GramArguments): void {
    checked(calls.gram(this.#on, given), "sums");
  }

  /** Columns `begin` to `end` of the upper factor of a symmetric matrix, the last first; the diagonal gets inverses. */
  factor(given: calls.FactorArguments): void {
    checked(calls.factor(this.#on, given), "matrix");
  }

  /** Rows times the inverse of R R', in their place, with R as {@link Native.factor} leaves it. */
  solve(given: calls.SolveArguments): void {
    checked(calls.solve(this.#on, given), "rows");
  }

  /** Rounds rows with errors compensated; returns how many come before the first that is refused. Values become errors. */
  calibrate(given: calls.CalibrateArguments): number {
    return checked(calls.calibrate(this.#on, given), `format ${given.format}`);
  }

  /** Builds the trie of tokens whose bytes lie in `text` from one start to the next; returns its words. */
  trie(given: calls.TrieArguments): number {
    return checked(calls.trie(this.#on, given), "trie");
  }

  /** Walks a trie and sets the bits of the tokens that are allowed; returns how many transitions were missing. */
  walk(given: calls.WalkArguments): number {
    return checked(calls.walk(this.#on, given), "mask");
  }

  #described(topic: "formats" | "processor"): unknown {
    return JSON.parse(textOf((buffer) => checked(calls.describe(this.#on, topic, buffer), "library")));
  }

  /** The buffer for an error's details, without those of the call before. */
  #fresh(): Uint8Array {
    this.#details[0] = 0;
    return this.#details;
  }
}

/** True unless the status is the one that is no failure here. */
function unless(name: Status, status: number, where: string): boolean {
  if (status === STATUSES[name]) return false;
  checked(status, where);
  return true;
}

/** Text that a native function writes: asked for once more with room when it is longer than expected. */
function textOf(write: (buffer: Uint8Array) => number): string {
  let buffer = new Uint8Array(4096);
  let length = write(buffer);
  if (length > buffer.length) {
    buffer = new Uint8Array(length);
    length = write(buffer);
  }
  return new TextDecoder().decode(buffer.subarray(0, length));
}

let shared: Native | undefined;

/** The native functions of this process; opens the library on first use. */
export function native(): Native {
  return shared ??= new Native(library());
}
