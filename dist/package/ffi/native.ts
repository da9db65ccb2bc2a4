/**
 * The only caller of the native functions: one typed wrapper for each. Deno throws on a wrong type, Bun turns 1.7 into 1 and
 * takes any number for a pointer, so every argument is checked here first. A status below 0 becomes a typed error.
 *
 * @module
 */
import { type AbiName, TOPIC } from "./abi.ts";
import { InvalidArgumentError } from "./errors.ts";
import { errorFrom, type Library, library } from "./library.ts";
import type { NativeArgument } from "./runtime.ts";

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

/** The typed arrays that may be passed down, by name. */
export interface Buffers {
  /** Bytes. */
  Uint8Array: Uint8Array;
  /** Words. */
  Uint32Array: Uint32Array;
  /** Floats. */
  Float32Array: Float32Array;
}

const elementBytes = { Uint8Array: 1, Uint32Array: 4, Float32Array: 4 } as const;

/** The native functions, with their arguments checked and their failures thrown. */
export class Native {
  readonly #library: Library;
  readonly #detail = new Uint8Array(1024);
  readonly #figures = new Float64Array(5);

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

  /** Bytes of memory that this process may have, where that is known. */
  get memoryLimit(): number | undefined {
    return this.#library.runtime.memory();
  }

  /** What the library holds at the moment. */
  memory(): NativeMemory {
    this.#checked("lg_memory", "library", this.#figures, this.#figures.byteLength);
    const [weights, kv, scratch, handles, threads] = this.#figures as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    return { weights, kv, scratch, handles, threads };
  }

  /** Bytes a second that `threads` threads read together from `mebibytes` of memory. Blocks for about a second. */
  bandwidth(threads: number, mebibytes: number): number {
    checkU32(threads, "threads");
    checkU32(mebibytes, "mebibytes");
    return this.#checked("lg_bandwidth", "library", threads, mebibytes) * 1e6;
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

  /** Turns floats into blocks of a format; returns the bytes written. */
  quantize(format: number, values: Float32Array, blocks: Uint8Array): number {
    checkU32(format, "format");
    checkBuffer("Float32Array", values, "values");
    checkBuffer("Uint8Array", blocks, "blocks");
    return this.#checked("lg_quantize", `format ${format}`, format, values, values.length, blocks, blocks.length);
  }

  /** Turns blocks of a format into floats; returns how many. */
  dequantize(format: number, blocks: Uint8Array, values: Float32Array): number {
    checkU32(format, "format");
    checkBuffer("Uint8Array", blocks, "blocks");
    checkBuffer("Float32Array", values, "values");
    return this.#checked("lg_dequantize", `format ${format}`, format, blocks, blocks.length, values, values.length);
  }

  /** The error for a status that came in a result and not from a call. */
  statusError(status: number, where: string): Error {
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

/** Throws unless `value` is an integer that fits 32 bits without a sign. */
export function checkU32(value: number, what: string): void {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return;
  throw new InvalidArgumentError(`${what}: expected an integer from 0 to 4294967295, got ${String(value)}.`, {
    what: "not an unsigned integer",
    where: what,
    expected: "an integer from 0 to 4294967295",
    got: String(value),
  });
}

/**
 * Throws unless native code may use `view`: of the right type, over memory that is neither detached, resizable nor shared,
 * aligned, and at least `length` elements long.
 */
export function checkBuffer<Name extends keyof Buffers>(
  name: Name,
  view: Buffers[Name],
  what: string,
  length: number = 0,
): void {
  // Not instanceof: a view that comes from another realm is as good.
  const found: unknown = view;
  const wrong = !ArrayBuffer.isView(found) || Object.prototype.toString.call(found) !== `[object ${name}]`
    ? describe(found)
    : bufferFault(found, elementBytes[name]);
  if (wrong !== undefined) refuse(what, `a ${name} over plain memory`, wrong);
  if (!Number.isInteger(length) || length < 0 || length > view.length) {
    refuse(what, `at least ${length} elements`, `${view.length}`);
  }
  if (view.byteLength > 0xffff_ffff) refuse(what, "less than 4 GiB", `${view.byteLength} bytes`);
}

function bufferFault(view: ArrayBufferView, bytes: number): string | undefined {
  const { buffer } = view;
  if (typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer) return "shared memory";
  if (!(buffer instanceof ArrayBuffer)) return "memory of an unknown kind";
  if (buffer.detached) return "a detached buffer";
  if (buffer.resizable) return "a resizable buffer";
  if (view.byteOffset % bytes !== 0) return `memory that is not aligned to ${bytes} bytes`;
  return undefined;
}

function describe(value: unknown): string {
  return value === null || typeof value !== "object"
    ? String(value)
    : Object.prototype.toString.call(value).slice(8, -1);
}

function refuse(what: string, expected: string, got: string): never {
  throw new InvalidArgumentError(`${what}: expected ${expected}, got ${got}.`, {
    what: "a buffer that native code may not use",
    where: what,
    expected,
    got,
  });
}
