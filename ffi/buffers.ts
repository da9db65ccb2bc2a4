/**
 * Checks of what is passed down to native code: numbers that fit their type, and views of memory that it may use.
 *
 * @module
 */
import { InvalidArgumentError } from "./errors.ts";

/** The typed arrays that may be passed down, by name. */
export interface Buffers {
  /** Bytes. */
  Uint8Array: Uint8Array;
  /** Half floats of either kind, as bits. */
  Uint16Array: Uint16Array;
  /** Words. */
  Uint32Array: Uint32Array;
  /** Floats. */
  Float32Array: Float32Array;
  /** Doubles. */
  Float64Array: Float64Array;
}

const elementBytes = { Uint8Array: 1, Uint16Array: 2, Uint32Array: 4, Float32Array: 4, Float64Array: 8 } as const;

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
  if (value === null || typeof value !== "object") return String(value);
  try {
    return Object.prototype.toString.call(value).slice(8, -1);
  } catch (error) {
    // A proxy of the caller: what it throws is no better a description.
    return error instanceof Error ? "an object that throws" : "an object that throws something";
  }
}

function refuse(what: string, expected: string, got: string): never {
  throw new InvalidArgumentError(`${what}: expected ${expected}, got ${got}.`, {
    what: "a buffer that native code may not use",
    where: what,
    expected,
    got,
  });
}
