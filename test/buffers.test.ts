/**
 * What may cross the boundary: only plain memory of the right type, length and alignment, and only integers where integers
 * are meant. Everything else is a typed error, and no native function hears of it.
 *
 * @module
 */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { InvalidArgumentError, LightGPTError } from "../ffi/errors.ts";
import { library } from "../ffi/library.ts";
import { checkBuffer, checkU32, Native, native } from "../ffi/native.ts";

/** A value of a type that the compiler would not let through. */
function wrong<T>(value: unknown): T {
  return value as T;
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(64);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

/** The same functions, but every call fails the test. */
function untouchable(): Native {
  const call = new Proxy(library().call, {
    get: (_, name) => () => {
      throw new Error(`${String(name)} was called`);
    },
  });
  return new Native({ ...library(), call });
}

const buffers: [what: string, value: unknown, says: string][] = [
  ["undefined", undefined, "got undefined"],
  ["null", null, "got null"],
  ["a number", 4096, "got 4096"],
  ["a pointer as a bigint", 4096n, "got 4096"],
  ["a string", "abc", "got abc"],
  ["an array", [1, 2, 3], "got Array"],
  ["an object with a length", { length: 8, byteLength: 8, buffer: new ArrayBuffer(8) }, "got Object"],
  ["a bare ArrayBuffer", new ArrayBuffer(8), "got ArrayBuffer"],
  ["a DataView", new DataView(new ArrayBuffer(8)), "got DataView"],
  ["signed bytes", new Int8Array(8), "got Int8Array"],
  ["clamped bytes", new Uint8ClampedArray(8), "got Uint8ClampedArray"],
  ["words", new Uint32Array(8), "got Uint32Array"],
  ["doubles", new Float64Array(8), "got Float64Array"],
  ["longs", new BigUint64Array(8), "got BigUint64Array"],
  ["a detached buffer", detached(), "got a detached buffer"],
  ["a resizable buffer", new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 })), "got a resizable buffer"],
  ["a fixed view of a resizable one", new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }), 0, 4), "resizable"],
  ["shared memory", new Uint8Array(new SharedArrayBuffer(8)), "got shared memory"],
];

describe("a buffer", () => {
  for (const [what, value, says] of buffers) {
    it(`is not ${what}`, () => {
      const error = assertThrows(() => checkBuffer("Uint8Array", wrong(value), "blocks"), InvalidArgumentError);
      assertStringIncludes(error.message, "blocks: expected a Uint8Array over plain memory");
      assertStringIncludes(error.message, says);
      assertThrows(() => untouchable().dequantize(0, wrong(value), new Float32Array(1)), InvalidArgumentError);
      assertThrows(() => untouchable().modelLoad(wrong(value)), InvalidArgumentError);
    });
  }

  it("is long enough, and its length is a length", () => {
    const words = new Uint32Array(4);
    checkBuffer("Uint32Array", words, "batch", 4);
    for (const length of [5, -1, 1.5, NaN, Infinity]) {
      assertThrows(() => checkBuffer("Uint32Array", words, "batch", length), InvalidArgumentError, "batch");
      assertThrows(() => untouchable().submit(1, words, length), InvalidArgumentError, "batch");
    }
  });

  it("may be empty, or a part of a larger one", () => {
    checkBuffer("Uint8Array", new Uint8Array(0), "blocks");
    checkBuffer("Uint8Array", new Uint8Array(16).subarray(3, 7), "blocks");
    checkBuffer("Float32Array", new Float32Array(new ArrayBuffer(16), 4, 2), "values");
    assertEquals(native().quantize(0, new Float32Array(0), new Uint8Array(0)), 0);
    assertEquals(native().dequantize(0, new Uint8Array(0), new Float32Array(0)), 0);
  });

  it("is checked by native code again: too small for what it should hold", () => {
    assertThrows(() => native().quantize(0, new Float32Array(8), new Uint8Array(31)), InvalidArgumentError);
    assertThrows(() => native().quantize(2, new Float32Array(33), new Uint8Array(99)), InvalidArgumentError);
    assertThrows(() => native().quantize(4711, new Float32Array(32), new Uint8Array(99)), LightGPTError, "format 4711");
  });
});

describe("an integer", () => {
  for (const value of [1.7, -1, NaN, Infinity, 2 ** 32, "7", 7n, null, undefined, true, {}]) {
    it(`is not ${typeof value} ${String(value)}`, () => {
      assertThrows(() => checkU32(wrong(value), "handle"), InvalidArgumentError, "handle: expected an integer");
      const strict = untouchable();
      assertThrows(() => strict.modelFree(wrong(value)), InvalidArgumentError);
      assertThrows(() => strict.engineFree(wrong(value)), InvalidArgumentError);
      assertThrows(() => strict.cancel(wrong(value), 0), InvalidArgumentError);
      assertThrows(() => strict.cancel(1, wrong(value)), InvalidArgumentError);
      assertThrows(() => strict.quantize(wrong(value), new Float32Array(0), new Uint8Array(0)), InvalidArgumentError);
    });
  }

  it("is one up to 32 bits", () => {
    for (const value of [0, -0, 1, 2 ** 32 - 1]) checkU32(value, "handle");
  });
});

describe("blocks and floats", () => {
  it("come back as they went, through both copies of a view", () => {
    const values = Float32Array.from({ length: 64 }, (_, index) => Math.fround((index - 31) / 8));
    const blocks = new Uint8Array(512).subarray(1, 257); // not aligned: bytes need not be
    assertEquals(native().quantize(0, values, blocks), 256);
    const back = new Float32Array(64);
    assertEquals(native().dequantize(0, blocks, back), 64);
    assertEquals(back, values);
  });
});
