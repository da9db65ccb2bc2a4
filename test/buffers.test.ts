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
import type { QuantizeArguments } from "../ffi/wire_calls.ts";
import { Words } from "../ffi/words.ts";

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

/** Plain rounding of a row of floats, but for what is said. */
function quantizing(said: Partial<QuantizeArguments>): QuantizeArguments {
  const { values = new Float32Array(0) } = said;
  return {
    format: 0,
    source: "f32",
    rounding: "nearest",
    outliers: "keep",
    threshold: 0,
    columns: values.length,
    threads: 1,
    values,
    importance: new Float32Array(0),
    mask: new Uint32Array(0),
    blocks: new Uint8Array(0),
    ...said,
  };
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
      const dequantizing = { format: 0, blocks: wrong<Uint8Array>(value), values: new Float32Array(1), threads: 1 };
      assertThrows(() => untouchable().dequantize(dequantizing), InvalidArgumentError);
      assertThrows(() => untouchable().quantize(quantizing({ blocks: wrong(value) })), InvalidArgumentError, "blocks");
    });
  }

  it("is one of two types where it may be either", () => {
    for (const value of [new Int16Array(4), new Uint32Array(4), [1, 2], undefined]) {
      const given = quantizing({ columns: 4, values: new Float32Array(0) });
      const error = assertThrows(
        () => untouchable().quantize({ ...given, values: wrong(value) }),
        InvalidArgumentError,
      );
      assertStringIncludes(error.message, "values: expected a Uint16Array over plain memory");
    }
  });

  it("is long enough, and its length is a length", () => {
    const words = new Uint32Array(4);
    checkBuffer("Uint32Array", words, "batch", 4);
    for (const length of [5, -1, 1.5, NaN, Infinity]) {
      assertThrows(() => checkBuffer("Uint32Array", words, "batch", length), InvalidArgumentError, "batch");
    }
  });

  it("may be empty, or a part of a larger one", () => {
    checkBuffer("Uint8Array", new Uint8Array(0), "blocks");
    checkBuffer("Uint8Array", new Uint8Array(16).subarray(3, 7), "blocks");
    checkBuffer("Float32Array", new Float32Array(new ArrayBuffer(16), 4, 2), "values");
    assertEquals(native().quantize(quantizing({})), 0);
    const nothing = { format: 0, blocks: new Uint8Array(0), values: new Float32Array(0), threads: 1 };
    assertEquals(native().dequantize(nothing), 0);
  });

  it("is checked by native code again: too small for what it should hold", () => {
    const refused = (said: Partial<QuantizeArguments>, Kind = InvalidArgumentError, text = "") =>
      assertThrows(() => native().quantize(quantizing(said)), Kind, text);
    refused({ values: new Float32Array(8), blocks: new Uint8Array(31) });
    refused({ format: 2, values: new Float32Array(33), blocks: new Uint8Array(99) });
    const unknown = { format: 4711, values: new Float32Array(32), blocks: new Uint8Array(99) };
    refused(unknown, LightGPTError as typeof InvalidArgumentError, "format 4711");
    const [x, sums] = [new Float32Array(6), new Float32Array(4)];
    assertThrows(
      () => native().gram({ xColumns: 2, columns: 2, threads: 1, begin: 0, end: 2, x, y: x.subarray(2), sums }),
      InvalidArgumentError,
    );
    assertThrows(
      () => native().gram({ xColumns: 3, columns: 3, threads: 1, begin: 0, end: 3, x, y: x, sums }),
      InvalidArgumentError,
    );
    assertThrows(
      () => native().gram({ xColumns: 4, columns: 4, threads: 1, begin: 0, end: 4, x, y: x, sums: x }),
      InvalidArgumentError,
    );
    for (const [begin, end] of [[1, 1], [0, 3]] as const) {
      assertThrows(
        () => native().gram({ xColumns: 2, columns: 2, threads: 1, begin, end, x, y: x, sums }),
        InvalidArgumentError,
      );
    }
    native().gram({ xColumns: 2, columns: 2, threads: 1, begin: 0, end: 2, x, y: x, sums });
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
      assertThrows(() => strict.cancel(wrong(1), wrong(value)), InvalidArgumentError);
      assertThrows(() => strict.quantize(quantizing({ format: wrong(value) })), InvalidArgumentError, "format");
      assertThrows(() => strict.pageCopy({ engine: wrong(1), from: 0, to: wrong(value) }), InvalidArgumentError, "to:");
    });
  }

  it("is one up to 32 bits", () => {
    for (const value of [0, -0, 1, 2 ** 32 - 1]) checkU32(value, "handle");
  });
});

describe("words", () => {
  it("are what they were given, wherever their buffer has to grow", () => {
    const words = new Words("batch", 0);
    const expected: number[] = [];
    for (let round = 0; round < 200; round++) {
      words.reserve(8);
      words.u32(round, "round");
      words.bool(round % 2 === 1);
      words.choice("b", ["a", "b"], "letter");
      words.f32(0.5);
      words.f64(-2);
      words.u64(7n << 32n | 3n);
      words.list([round, 5]);
      words.floats(Float32Array.of(1));
      words.bytes(Uint8Array.of(1, 2, 3, 4, 5));
      const tail = [round, 5, 0x3f80_0000, 0x0403_0201, 5];
      expected.push(round, round % 2, 1, 0x3f00_0000, 0, 0xc000_0000, 3, 7, ...tail);
    }
    assertEquals([...words.words.subarray(0, words.length)], expected);
    words.clear();
    words.bytes(Uint8Array.of(9));
    assertEquals([...words.words.subarray(0, words.length)], [9], "nothing of before is left in the padding");
  });

  it("are no names that there are not", () => {
    const words = new Words("batch");
    assertThrows(() => words.choice("c", ["a", "b"], "letter"), InvalidArgumentError, "letter: expected one of a, b");
    assertThrows(() => words.u32(2 ** 32, "number"), InvalidArgumentError, "number");
    assertEquals(words.length, 0);
  });
});

describe("blocks and floats", () => {
  it("come back as they went, through both copies of a view", () => {
    const values = Float32Array.from({ length: 64 }, (_, index) => Math.fround((index - 31) / 8));
    const blocks = new Uint8Array(512).subarray(1, 257); // not aligned: bytes need not be
    assertEquals(native().quantize(quantizing({ values, blocks })), 256);
    const back = new Float32Array(64);
    assertEquals(native().dequantize({ format: 0, blocks, values: back, threads: 1 }), 64);
    assertEquals(back, values);
  });
});
