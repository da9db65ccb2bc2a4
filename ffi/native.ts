/**
 * The only caller of the native functions: one typed wrapper for each. Deno throws on a wrong type, Bun turns 1.7 into 1 and
 * takes any number for a pointer, so every argument is checked here first. A status below 0 becomes a typed error.
 *
 * @module
 */
import { type AbiName, PRODUCT, QUANTIZE, TOPIC, WORKSPACE } from "./abi.ts";
import { checkBuffer, checkU32 } from "./buffers.ts";
import type { LightGPTError } from "./errors.ts";
import { errorFrom, type Library, library } from "./library.ts";
import type { NativeArgument } from "./runtime/types.ts";

export { type Buffers, checkBuffer, checkU32 } from "./buffers.ts";

/** What {@link Native.modelStatus} reports. */
export interface ModelStatus {
  /** Whether the model can be used. */
  readonly ready: boolean;
  /** Bytes of the file's tensors that have been packed. */
  readonly bytesDone: number;
  /** Bytes of all tensors in the file. */
  readonly bytesTotal: number;
  /** Bytes of memory that the packed weights take. */
  readonly residentBytes: number;
}

/** What {@link Native.memory} reports. */
export interface NativeMemory {
  /** Bytes of packed weights. */
  readonly weights: number;
  /** Bytes of KV pages. */
  readonly kv: number;
  /** Bytes of scratch memory. */
  readonly scratch: number;
  /** Models and engines that have not been freed. */
  readonly handles: number;
  /** Threads of the pool. */
  readonly threads: number;
  /** How often the library has asked for memory since it was opened. */
  readonly allocations: number;
  /** The bytes that it asked for, in all. */
  readonly allocatedBytes: number;
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
}

/** How {@link Native.quantize} rounds; the numbers are those of `QUANTIZE` in `abi.ts`. */
export interface QuantizeSettings {
  /** As what the values are stored: 0 f32, 1 f16, 30 bf16. */
  readonly source?: number;
  /** 0 nearest, 1 search. */
  readonly rounding?: number;
  /** 0 keep, 1 clip, 2 split. */
  readonly outliers?: number;
  /** In standard deviations of a block. */
  readonly threshold?: number;
  /** Values of a row. */
  readonly columns?: number;
  /** Threads that compute. */
  readonly threads?: number;
  /** What an error in each column counts; empty: all the same. */
  readonly importance?: Float32Array;
  /** One bit a value, set for outliers that were split off. */
  readonly mask?: Uint32Array;
}

/** The sizes of {@link Native.matmul}. */
export interface ProductSettings {
  /** Rows of the matrix. */
  readonly rows: number;
  /** Values of a row, and of a vector. */
  readonly columns: number;
  /** How many vectors. */
  readonly vectors: number;
  /** How activations are rounded: 8 or 16 bits. */
  readonly activationBits: 8 | 16;
  /** Threads that compute. */
  readonly threads: number;
}

/** So many bytes every process may have that got as far as this. */
const trifle = 2 ** 26;
const noFloats = new Float32Array(0);
const noWords = new Uint32Array(0);

/** The native functions, with their arguments checked and their failures thrown. */
export class Native {
  readonly #library: Library;
  readonly #detail = new Uint8Array(1024);
  readonly #figures = new Float64Array(7);
  readonly #threshold = new Float32Array(1);
  readonly #thresholdBits = new Uint32Array(this.#threshold.buffer);

  /** Wraps an opened library. */
  constructor(library: Library) {
    this.#library = library;
  }

  /** The version of the library. */
  get version(): string {
    return (this.#describe(TOPIC.version) as { version: string }).version;
  }

  /** The tensor types that the library computes with. */
  get formats(): readonly NativeFormat[] {
    return this.#describe(TOPIC.formats) as NativeFormat[];
  }

  /** The processor and the CPU level in use. */
  get processor(): NativeProcessor {
    return this.#describe(TOPIC.processor) as NativeProcessor;
  }

  /**
   * Bytes of memory that this process may have; undefined where that is not known, and where no more than a trifle is wanted:
   * to ask takes Deno 40 ms.
   */
  memoryFor(wanted: number): number | undefined {
    return wanted <= trifle ? undefined : this.#library.runtime.memory();
  }

  /** What the library holds at the moment. */
  memory(): NativeMemory {
    this.#checked("lg_memory", "library", this.#figures, this.#figures.byteLength);
    const [weights = 0, kv = 0, scratch = 0, handles = 0, threads = 0, allocations = 0, allocatedBytes = 0] =
      this.#figures;
    return { weights, kv, scratch, handles, threads, allocations, allocatedBytes };
  }

  /** Bytes a second that `threads` threads read together from `mebibytes` of memory. Blocks for about a second. */
  bandwidth(threads: number, mebibytes: number): number {
    checkU32(threads, "threads");
    checkU32(mebibytes, "mebibytes");
    return this.#checked("lg_bandwidth", "library", threads, mebibytes) * 1e6;
  }

  /** How many loops a thread of the pool spins before it sleeps, for the whole process; returns what it was. */
  spin(loops: number): number {
    checkU32(loops, "loops");
    return this.#checked("lg_spin", "spin", loops);
  }

  /** Begins to load the model that `description` (`MODEL` in `abi.ts`) describes; returns its handle. */
  modelLoad(description: Uint8Array): number {
    checkBuffer("Uint8Array", description, "model description");
    return this.#detailed("lg_model_load", "model", description, description.length);
  }

  /** How far loading is; throws what ended it. */
  modelStatus(model: number): ModelStatus {
    checkU32(model, "model handle");
    const figures = this.#figures;
    const status = this.#detailed("lg_model_status", "model", model, figures, figures.byteLength);
    const [bytesDone, bytesTotal, residentBytes] = figures as unknown as [number, number, number];
    return { ready: status === 1, bytesDone, bytesTotal, residentBytes };
  }

  /** Frees a model or ends its loading; false if that was done before. */
  modelFree(model: number): boolean {
    return this.#free("lg_model_free", model);
  }

  /** Opens an engine over a model with `options` (`ENGINE` in `abi.ts`); returns its handle. */
  engineOpen(model: number, options: Uint32Array): number {
    checkU32(model, "model handle");
    checkBuffer("Uint32Array", options, "engine options");
    return this.#detailed("lg_engine_open", "engine", model, options, options.byteLength);
  }

  /** Frees an engine; false if that was done before. */
  engineFree(engine: number): boolean {
    return this.#free("lg_engine_free", engine);
  }

  /** Queues the step that the first `words` words of `batch` (`BATCH` in `abi.ts`) describe, or runs it at once. */
  submit(engine: number, batch: Uint32Array, words: number = batch.length): void {
    checkU32(engine, "engine handle");
    checkBuffer("Uint32Array", batch, "batch", words);
    this.#detailed("lg_submit", "engine", engine, batch, words * 4);
  }

  /** Whether nothing is in flight for an engine or model. */
  idle(handle: number): boolean {
    checkU32(handle, "handle");
    return this.#checked("lg_wait", "handle", handle, 0) === 1;
  }

  /** Waits, off the JavaScript thread, until nothing is in flight for an engine or model, or `milliseconds` are over. */
  async wait(handle: number, milliseconds: number): Promise<boolean> {
    checkU32(handle, "handle");
    checkU32(milliseconds, "milliseconds");
    await this.#library.doorbell.ring(handle, milliseconds);
    return this.idle(handle); // the doorbell is a hint; the handle's state is the truth
  }

  /** Fetches what the last step gave: words of `BATCH.result` and rows of logits; returns how many sequences. */
  take(engine: number, results: Uint32Array, logits: Float32Array): number {
    checkU32(engine, "engine handle");
    checkBuffer("Uint32Array", results, "results");
    checkBuffer("Float32Array", logits, "logits");
    return this.#checked("lg_take", "engine", engine, results, results.byteLength, logits, logits.byteLength);
  }

  /** Asks the step in flight to give a sequence up; false if there is no such sequence in flight. */
  cancel(engine: number, sequence: number): boolean {
    checkU32(engine, "engine handle");
    checkU32(sequence, "sequence");
    return this.#checked("lg_cancel", "engine", engine, sequence) === 1;
  }

  /** Copies a KV page of an engine that has no step in flight. */
  pageCopy(engine: number, from: number, to: number): void {
    checkU32(engine, "engine handle");
    checkU32(from, "page");
    checkU32(to, "page");
    this.#checked("lg_page_copy", "page", engine, from, to);
  }

  /** Gives the memory of KV pages back to the system until they are written again; returns how many bytes. */
  pageDiscard(engine: number, first: number, count: number): number {
    checkU32(engine, "engine handle");
    checkU32(first, "page");
    checkU32(count, "pages");
    this.#checked("lg_page_discard", "page", engine, first, count, this.#figures, this.#figures.byteLength);
    return this.#figures[0];
  }

  /** Writes a KV page and its checksum to `out`; returns the bytes. */
  pageExport(engine: number, page: number, out: Uint8Array): number {
    checkU32(engine, "engine handle");
    checkU32(page, "page");
    checkBuffer("Uint8Array", out, "page bytes");
    return this.#checked("lg_page_export", "page", engine, page, out, out.length);
  }

  /** Takes over a KV page that {@link Native.pageExport} wrote; false where its checksum is wrong. */
  pageImport(engine: number, page: number, bytes: Uint8Array): boolean {
    checkU32(engine, "engine handle");
    checkU32(page, "page");
    checkBuffer("Uint8Array", bytes, "page bytes");
    const status = this.#library.call.lg_page_import(engine, page, bytes, bytes.length);
    if (status >= 0) return true;
    if (this.#library.statuses.get(status) === "modelFormat") return false;
    throw errorFrom(this.#library.statuses, status, new Uint8Array(0), "page");
  }

  /**
   * Chooses a token by the sampler in the first `count` words of `words` (`SAMPLER` in `abi.ts`). What came of it is in
   * front of `workspace` (`SAMPLED`), whose memory `bytes` shows as well.
   */
  sample(words: Uint32Array, count: number, logits: Float32Array, workspace: Uint32Array, bytes: Uint8Array): void {
    checkBuffer("Float32Array", logits, "logits");
    const size = workspace.byteLength;
    const status = this.#library.call.lg_sample(words, count * 4, logits, logits.length, workspace, size);
    if (status < 0) throw errorFrom(this.#library.statuses, status, bytes.subarray(0, WORKSPACE.head * 4), "sampler");
  }

  /**
   * Turns floats into blocks of a format; returns the bytes written before the first block that cannot be made (values
   * that are not finite, or that need a scale which the format cannot hold).
   */
  quantize(
    format: number,
    values: Float32Array | Uint16Array,
    blocks: Uint8Array,
    {
      source = 0,
      rounding = 0,
      outliers = 0,
      threshold = 0,
      columns = values.length,
      threads = 1,
      importance = noFloats,
      mask = noWords,
    }: QuantizeSettings = {},
  ): number {
    checkU32(format, "format");
    if (source === 0) checkBuffer("Float32Array", values as Float32Array, "values");
    else checkBuffer("Uint16Array", values as Uint16Array, "values");
    checkBuffer("Uint8Array", blocks, "blocks");
    checkBuffer("Float32Array", importance, "importance");
    checkBuffer("Uint32Array", mask, "outlier mask");
    this.#threshold[0] = threshold;
    const sizes = [values.byteLength, importance.byteLength, mask.byteLength, blocks.byteLength];
    const bits = this.#thresholdBits[0] as number;
    const words = [1, format, source, rounding, outliers, bits, columns, threads, ...sizes];
    words.forEach((word, index) => checkU32(word, QUANTIZE[index] as string));
    const options = Uint32Array.from(words);
    const where = `format ${format}`;
    return this.#checked("lg_quantize", where, options, options.byteLength, values, importance, mask, blocks);
  }

  /** Turns blocks of a format into floats; returns how many. */
  dequantize(format: number, blocks: Uint8Array, values: Float32Array, threads: number = 1): number {
    checkU32(format, "format");
    checkU32(threads, "threads");
    checkBuffer("Uint8Array", blocks, "blocks");
    checkBuffer("Float32Array", values, "values");
    const where = `format ${format}`;
    return this.#checked("lg_dequantize", where, format, blocks, blocks.length, values, values.length, threads);
  }

  /** Rows of blocks times vectors: `out[vector * rows + row]`; `x` has the vectors one after the other. */
  matmul(
    format: number,
    blocks: Uint8Array,
    x: Float32Array,
    out: Float32Array,
    { rows, columns, vectors, activationBits, threads }: ProductSettings,
  ): void {
    checkBuffer("Uint8Array", blocks, "blocks");
    checkBuffer("Float32Array", x, "vectors");
    checkBuffer("Float32Array", out, "results");
    const sizes = [blocks.byteLength, x.byteLength, out.byteLength];
    const words = [1, format, rows, columns, vectors, activationBits, threads, ...sizes];
    words.forEach((word, index) => checkU32(word, PRODUCT[index] as string));
    const options = Uint32Array.from(words);
    this.#checked("lg_matmul", "vectors", options, options.byteLength, blocks, x, out);
  }

  /** The error for a status that came in a result and not from a call. */
  statusError(status: number, where: string): LightGPTError {
    return errorFrom(this.#library.statuses, status, new Uint8Array(0), where);
  }

  #describe(topic: number): unknown {
    let buffer = new Uint8Array(4096);
    let length = this.#checked("lg_describe", "library", topic, buffer, buffer.length);
    if (length > buffer.length) {
      buffer = new Uint8Array(length);
      length = this.#checked("lg_describe", "library", topic, buffer, buffer.length);
    }
    return JSON.parse(new TextDecoder().decode(buffer.subarray(0, length)));
  }

  #free(name: AbiName, handle: number): boolean {
    checkU32(handle, "handle");
    const status = this.#library.call[name](handle);
    if (status >= 0) return true;
    if (this.#library.statuses.get(status) === "closed") return false;
    throw errorFrom(this.#library.statuses, status, new Uint8Array(0), "handle");
  }

  #checked(name: AbiName, where: string, ...parameters: NativeArgument[]): number {
    const status = this.#library.call[name](...parameters);
    if (status < 0) throw errorFrom(this.#library.statuses, status, new Uint8Array(0), where);
    return status;
  }

  /** Calls a function whose last two arguments are the buffer for the details of an error. */
  #detailed(name: AbiName, where: string, ...parameters: NativeArgument[]): number {
    this.#detail[0] = 0;
    const status = this.#library.call[name](...parameters, this.#detail, this.#detail.length);
    if (status < 0) throw errorFrom(this.#library.statuses, status, this.#detail, where);
    return status;
  }
}

let shared: Native | undefined;

/** The native functions of this process; opens the library on first use. */
export function native(): Native {
  return shared ??= new Native(library());
}
