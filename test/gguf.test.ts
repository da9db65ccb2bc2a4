/**
 * Reading GGUF files: what the parser checks, what it may allocate, cuts at every byte, and work in proportion to the file.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPTError, ModelFormatError } from "../ffi/errors.ts";
import { LightGPT } from "../mod.ts";
import { encodeGguf, type NewTensor, type NewValue } from "../scripts/gguf-writer.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { parseGguf, readGguf } from "../src/files/gguf/read.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import { loadTokenizer } from "./tokenizers.ts";
import { repository } from "./kit.ts";
import { arrayOf, f32, flag, memorySource, metadataOnly, sentencePiece, text, u32, type Values } from "./models.ts";
import { smallModelBytes, withDirectory } from "./small-models.ts";

const parse = (bytes: Uint8Array) => parseGguf(memorySource("test.gguf", bytes));

describe("metadata", () => {
  const values: Values = {
    u8: { type: VALUE_TYPE.uint8, value: 255 },
    i8: { type: VALUE_TYPE.int8, value: -128 },
    u16: { type: VALUE_TYPE.uint16, value: 65535 },
    i16: { type: VALUE_TYPE.int16, value: -32768 },
    u32: u32(2 ** 32 - 1),
    i32: { type: VALUE_TYPE.int32, value: -(2 ** 31) },
    u64: { type: VALUE_TYPE.uint64, value: 2n ** 64n - 1n },
    i64: { type: VALUE_TYPE.int64, value: -(2n ** 63n) },
    short: { type: VALUE_TYPE.uint64, value: 7 },
    f32: f32(0.5),
    f64: { type: VALUE_TYPE.float64, value: 0.1 },
    bool: flag(true),
    string: text("é\0😀"),
    strings: arrayOf("string", ["a", "", "é"]),
    numbers: arrayOf("int16", [1, -1]),
    nothing: arrayOf("string", []),
    __proto__x: text("no path of an object"),
  };
  const { metadata } = metadataOnly(values);

  it("has every type of value", () => {
    for (const [key, { value }] of Object.entries(values)) {
      const got = metadata.get(key);
      assertEquals(
        typeof got === "object" ? Array.from(got) : got,
        typeof value === "object" ? Array.from(value) : value,
      );
    }
    assertEquals([...metadata.keys()], Object.keys(values));
    assertEquals(metadata.get("constructor"), undefined);
  });

  it("gives numbers that are whole, finite and within their range, or an error that names key and byte", () => {
    assertEquals([metadata.count("u32"), metadata.count("short"), metadata.number("i32")], [
      2 ** 32 - 1,
      7,
      -(2 ** 31),
    ]);
    for (
      const read of [
        () => metadata.count("f32"),
        () => metadata.count("bool"),
        () => metadata.count("u64"),
        () => metadata.count("i8"),
        () => metadata.number("string"),
        () => metadata.text("u8"),
        () => metadata.flag("u8", true),
        () => metadata.array("strings", VALUE_TYPE.int32),
        () => metadata.positive("i8"),
      ]
    ) {
      const { field, offset } = assertThrows(read, ModelFormatError);
      assertEquals(offset, metadata.offsetOf(field));
      assert(offset !== undefined);
    }
    assertThrows(() => metadata.count("absent"), ModelFormatError, "is missing");
  });

  it("shows names without control characters", () => {
    const key = "\u001b[31mred";
    const error = assertThrows(
      () => metadataOnly({ [key]: text("") }).metadata.count(key),
      ModelFormatError,
      "\\x1b[31mred",
    );
    assertEquals(error.field, key);
  });
});

function withKeys(keys: readonly string[]): Uint8Array {
  return encodeGguf(new Map(keys.map((key) => [key, { type: VALUE_TYPE.uint8, value: 0 }])), []);
}

describe("a cut file", () => {
  const whole = smallModelBytes({
    architecture: "llama",
    layers: 1,
    embedding: 16,
    heads: 2,
    kvHeads: 1,
    feedForward: 16,
  });

  it("is refused wherever it was cut, with the byte where something is missing", () => {
    const end = Math.max(...Array.from(parse(whole).tensors.values(), ({ offset, bytes }) => offset + bytes));
    const steps = new Set(
      Array.from({ length: whole.length }, (_, at) => at).filter((at) => at < 3000 || at % 61 === 0),
    );
    for (const at of steps) {
      if (at >= end) continue;
      const error = assertThrows(() => parse(whole.subarray(0, at)), ModelFormatError);
      assert(error.offset !== undefined && error.offset <= at + 8, `cut at ${at}: ${error.message}`);
    }
    parse(whole.subarray(0, end));
  });

  it("is refused before anything native is called, every 4 KiB of a real one", async () => {
    const real = readFileSync(join(repository, "models", "tinytales-q4_0.gguf"));
    for (let at = 0; at < real.length; at += 4096) {
      assertThrows(() => parse(real.subarray(0, at)), ModelFormatError);
    }
    await withDirectory(async (directory) => {
      const path = join(directory, "cut.gguf");
      writeFileSync(path, real.subarray(0, real.length >> 1));
      await assertRejects(() => LightGPT.load(path), ModelFormatError, "ends behind the end of the file");
    });
  });
});

describe("a tensor table", () => {
  const size = 64;
  const tensors = ["first", "second"].map((name) => ({ name, type: 0, dims: [8, 2], data: new Uint8Array(size) }));
  const bytes = encodeGguf(new Map(), tensors);
  const nameAt = (name: string) => Buffer.from(bytes).indexOf(name);
  /** Reads the file with one number of a tensor's entry replaced: `at` bytes behind its name. */
  const readWith = (name: string, at: number, value: number) => {
    const changed = bytes.slice();
    new DataView(changed.buffer).setBigUint64(nameAt(name) + name.length + at, BigInt(value), true);
    return () => parseGguf(memorySource("changed.gguf", changed));
  };
  const sizesAt = 4; // behind the number of dimensions
  const offsetAt = sizesAt + 2 * 8 + 4; // behind two sizes and the type

  it("has tensors side by side", () => {
    const { tensors } = readWith("second", offsetAt, size)();
    assertEquals([...tensors.values()].map(({ bytes }) => bytes), [size, size]);
  });

  it("whose tensors overlap is refused", () => {
    for (const offset of [0, 32]) {
      const error = assertThrows(readWith("second", offsetAt, offset), ModelFormatError, "overlap");
      assertEquals(error.field, "second");
    }
  });

  it("whose tensors have no elements, lie askew or end behind the file is refused", () => {
    assertThrows(readWith("first", sizesAt, 0), ModelFormatError, "dimension 0 of the tensor first");
    assertThrows(readWith("second", offsetAt, size + 4), ModelFormatError, "ends behind the end");
    assertThrows(readWith("first", offsetAt, 4), ModelFormatError, "not aligned");
    assertThrows(readWith("second", offsetAt, 2 * size), ModelFormatError, "ends behind the end");
  });
});

describe("what is no file of ours", () => {
  it("is an error about the path", () =>
    withDirectory(async (directory) => {
      mkdirSync(join(directory, "folder"));
      for (const [path, what] of [["absent.gguf", "no such file"], ["folder", "not a regular file"]]) {
        const error = await assertRejects(() => LightGPT.load(join(directory, path)), LightGPTError, what);
        assertEquals(error.code, "io");
      }
    }));

  it("a file that becomes shorter while it is read", () => {
    const bytes = smallModelBytes({ architecture: "llama" });
    const source = memorySource("shrinking", bytes.subarray(0, 1000));
    assertThrows(() => parseGguf({ ...source, size: bytes.length }), ModelFormatError, "became shorter");
  });
});

describe("what the parser allocates", () => {
  /** The most bytes that a file asked for at once, as the source sees it. */
  function largestRead(bytes: Uint8Array, size: number): number {
    let most = 0;
    const source = memorySource("sparse", bytes);
    const read = (target: Uint8Array, offset: number) => {
      most = Math.max(most, target.buffer.byteLength);
      const count = source.read(target, offset);
      return count > 0 ? count : target.fill(0).length;
    };
    assertThrows(() => parseGguf({ name: "sparse", size, read }), ModelFormatError);
    return most;
  }
  /** The header up to a value of this type, then these integers. */
  function announcing(type: number, ...integers: bigint[]): Uint8Array {
    const bytes = new Uint8Array(24 + 8 + 1 + 4 + 8 * integers.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x46554747, true);
    view.setUint32(4, 3, true);
    view.setBigUint64(16, 1n, true);
    view.setBigUint64(24, 1n, true);
    bytes[32] = 97;
    view.setUint32(33, type, true);
    let at = 37;
    for (const integer of integers) {
      if (type === VALUE_TYPE.array && at === 37) {
        view.setUint32(at, Number(integer), true);
        at += 4;
      } else {
        view.setBigUint64(at, integer, true);
        at += 8;
      }
    }
    return bytes;
  }
  const gigabytes = 8 * 2 ** 30;

  it("is not what a file of gigabytes announces, but what its header needs", () => {
    assertLessOrEqual(largestRead(announcing(VALUE_TYPE.string, 2n ** 33n), gigabytes), 2 ** 20);
    assertLessOrEqual(largestRead(announcing(VALUE_TYPE.array, 10n, 2n ** 40n), gigabytes), 2 ** 20);
    assertLessOrEqual(largestRead(announcing(VALUE_TYPE.array, 8n, 2n ** 24n + 1n), gigabytes), 2 ** 20);
  });

  it("is at most 4 times the header and 1 MiB", () => {
    // 60 000 keys of the shortest kind, behind which gigabytes of tensors could come.
    const bytes = withKeys(Array.from({ length: 60_000 }, (_, index) => index.toString(36)));
    const { metadata } = parse(bytes);
    assertEquals(metadata.size, 60_000);
    let most = 0;
    const source = memorySource("keys", bytes);
    parseGguf({
      ...source,
      read: (target, offset) => {
        most = Math.max(most, target.buffer.byteLength);
        return source.read(target, offset);
      },
    });
    assertLessOrEqual(most, 4 * bytes.length + 2 ** 20);
  });
});

describe("work grows with the file", () => {
  /** Counts what is read, which is the work of a parser that looks at each byte once. */
  function bytesRead(bytes: Uint8Array): number {
    let total = 0;
    const source = memorySource("large", bytes);
    parseGguf({
      ...source,
      read: (target, offset) => {
        const count = source.read(target, offset);
        total += count;
        return count;
      },
    });
    return total;
  }

  it("65 000 keys, 20 000 tensors, 150 000 tokens, a template of 2 MB", () => {
    const none: NewTensor = { name: "", type: 0, dims: [1], data: new Uint8Array(4) };
    const tokens = Array.from({ length: 150_000 }, (_, token) => token.toString(36));
    for (
      const bytes of [
        withKeys(Array.from({ length: 65_000 }, (_, index) => `key.${index}`)),
        encodeGguf(new Map(), Array.from({ length: 20_000 }, (_, index) => ({ ...none, name: `tensor.${index}` }))),
        encodeGguf(new Map([["tokenizer.ggml.tokens", arrayOf("string", tokens)]]), []),
        encodeGguf(new Map([["tokenizer.chat_template", text("x".repeat(2_000_000))]]), []),
      ]
    ) {
      assertLessOrEqual(bytesRead(bytes), bytes.length);
    }
  });

  it("200 000 keys are refused at once", () => {
    const bytes = withKeys(Array.from({ length: 200_000 }, (_, index) => `${index}`));
    let read = 0;
    const source = memorySource("keys", bytes);
    const counting = { ...source, read: (target: Uint8Array, at: number) => read = source.read(target, at) };
    assertThrows(() => parseGguf(counting), ModelFormatError, "metadata_kv_count");
    assertLess(read, 2 ** 17);
  });

  it("a vocabulary of 100 000 tokens in any order of scores", () => {
    const count = 100_000;
    const tokens = Array.from(
      { length: count },
      (_, token) => ({ text: `▁${token.toString(36)}`, score: (token * 7919) % count }),
    );
    const tokenizer = loadTokenizer(
      metadataOnly(sentencePiece([...tokens, "▁", ..."0123456789abcdefghijklmnopqrstuvwxyz"])),
    );
    assertEquals(tokenizer.decode(tokenizer.encode("any 4c2 text")), "any 4c2 text");
  });
});

it("a file's own alignment places its tensors", () => {
  for (const alignment of [8, 16, 64, 4096]) {
    const values = new Map<string, NewValue>([["general.alignment", u32(alignment)]]);
    const data = new Uint8Array(new Float32Array([1, 2, 3]).buffer);
    const tensors = ["a", "b"].map((name) => ({ name, type: 0, dims: [3], data }));
    const offsets = Array.from(parse(encodeGguf(values, tensors, alignment)).tensors.values(), ({ offset }) => offset);
    assertEquals(offsets.map((offset) => offset % alignment), [0, 0]);
    assertEquals(offsets[1] - offsets[0], Math.max(alignment, 16));
  }
});

it("another version is told from a damaged one", () => {
  const read = (version: number) => () => {
    const bytes = encodeGguf(new Map(), []);
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, version, true);
    return parse(bytes);
  };
  for (const version of [1, 4, 200, 2 << 24, 3 << 24]) {
    const error = assertThrows(read(version), LightGPTError, "version");
    assertEquals([error.code, error.detail.where], ["unsupported", "version"], `${version}`);
  }
  for (const version of [0, 1000, 0x01000003, 0xffffffff]) {
    assertEquals(assertThrows(read(version), ModelFormatError, "version").field, "version", `${version}`);
  }
});

it("version 2 reads as version 3 does", () => {
  const bytes = smallModelBytes({ architecture: "llama" });
  bytes[4] = 2;
  assertEquals(
    planModel(parse(bytes)).parameters,
    planModel(parse(smallModelBytes({ architecture: "llama" }))).parameters,
  );
});

it("readGguf and parseGguf see the same", () =>
  withDirectory((directory) => {
    const path = join(directory, "model.gguf");
    writeFileSync(path, smallModelBytes({ architecture: "qwen2", biases: ["q", "k", "v"] }));
    const [file, memory] = [readGguf(path), parse(readFileSync(path))];
    assertEquals([...file.tensors.values()], [...memory.tensors.values()]);
    assertEquals(file.bytes, memory.bytes);
    return Promise.resolve();
  }));
