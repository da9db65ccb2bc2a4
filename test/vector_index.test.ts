/**
 * VectorIndex: what a search finds against plain loops, whatever threads, segments and filters; rows that go and come; its file as a
 * stream, whole and damaged; what is refused.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError, InvalidArgumentError, LightGPTError } from "../mod.ts";
import { binarySimilarity, type SearchHit, toBinary, toInt8, VectorIndex } from "../exports/embedding.ts";

/** Numbers that look random, and are the same on every runtime. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const kinds = ["f32", "int8", "binary"] as const;
type Kind = typeof kinds[number];

/** A score by plain loops, added in the order that the design says. */
function scoreOf(kind: Kind, row: Float32Array, query: Float32Array): number {
  if (kind === "binary") return Math.fround(binarySimilarity(toBinary(row), toBinary(query)));
  if (kind === "int8") {
    const [a, b] = [toInt8(row), toInt8(query)];
    const sum = a.data.reduce((sum, value, index) => sum + value * (b.data[index] as number), 0);
    return Math.fround(Math.fround(sum) * Math.fround(Math.fround(a.scale) * Math.fround(b.scale)));
  }
  // A product of two floats is exact in a double, and so nearly is the sum: compared within a rounding.
  return row.reduce((sum, value, index) => sum + value * (query[index] as number), 0);
}

async function bytesOf(index: VectorIndex): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of index.save()) parts.push(part);
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const bits = (hits: readonly SearchHit[]) => hits.map(({ id, score }) => [id, score]);

describe("VectorIndex", () => {
  for (const kind of kinds) {
    for (const dimensions of [8, 40, 384]) {
      it(`${kind}, ${dimensions} numbers: the nearest rows, with any threads, filtered, after removals`, async () => {
        const count = 3000;
        const rows = numbers(count * dimensions, 3);
        const row = (id: number) => rows.subarray(id * dimensions, (id + 1) * dimensions);
        const one = new VectorIndex({ kind, dimensions, threads: 1 });
        const two = new VectorIndex({ kind, dimensions, threads: 2 });
        const ids = one.add(rows);
        assertEquals([...ids], Array.from({ length: count }, (_, id) => id));
        for (let id = 0; id < count; id += 100) two.add(rows.subarray(id * dimensions, (id + 100) * dimensions));
        const query = numbers(dimensions, 9);
        const ranked = (wanted: (id: number) => boolean) =>
          Array.from(ids).filter(wanted).map((id) => ({ id, score: scoreOf(kind, row(id), query) }))
            .sort((a, b) => b.score - a.score || a.id - b.id);
        const check = (hits: SearchHit[], wanted: SearchHit[]) => {
          if (kind === "f32") {
            hits.forEach(({ id, score }) => assertLess(Math.abs(score - scoreOf(kind, row(id), query)), 1e-5));
            assertLess((wanted.at(-1)?.score ?? 0) - (hits.at(-1)?.score ?? NaN), 1e-5);
          } else assertEquals(bits(hits), bits(wanted));
        };
        check(await one.search(query, { top: 20 }), ranked(() => true).slice(0, 20));
        assertEquals(await two.search(query, { top: 20 }), await one.search(query, { top: 20 }));
        const filter = one.mask([5, 77, 2999, 31, 32]);
        check(await two.search(query, { filter }), ranked((id) => [5, 77, 2999, 31, 32].includes(id)));
        assertEquals((await one.search(query, { top: count + 5 })).length, count);
        const gone = (await one.search(query, { top: 3 })).map(({ id }) => id);
        one.remove(gone);
        assertEquals([one.count, one.has(gone[0] as number)], [count - 3, false]);
        check(await one.search(query, { top: 20 }), ranked((id) => !gone.includes(id)).slice(0, 20));
        // Numbers of rows that went are given again.
        const again = one.add(row(gone[2] as number));
        assertEquals([...again], [gone[2]]);
        check(await one.search(query, { top: 1 }), [ranked((id) => id === gone[2])[0] as SearchHit]);
      });
    }

    it(`${kind}: a file is the index again, in pieces of any size`, async () => {
      const dimensions = 64;
      const index = new VectorIndex({ kind, dimensions });
      index.add(numbers(1000 * dimensions, 5));
      index.remove([0, 500, 999]);
      const bytes = await bytesOf(index);
      for (const size of [7, 1000, bytes.length]) {
        const pieces = function* () {
          for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
        };
        const read = await VectorIndex.load(pieces(), { threads: 1 });
        assertEquals([read.kind, read.dimensions, read.count], [kind, dimensions, 997]);
        const query = numbers(dimensions, 6);
        assertEquals(await read.search(query), await index.search(query));
        assertEquals(read.vector(7), index.vector(7));
        assertEquals([...read.add(numbers(4 * dimensions, 8))].sort((a, b) => a - b), [0, 500, 999, 1000]);
        const empty = await VectorIndex.load([await bytesOf(new VectorIndex({ kind, dimensions }))]);
        assertEquals([empty.count, await empty.search(query)], [0, []]);
      }
    });
  }

  it("several segments: rows of an index of 20 MB stay where they are", async () => {
    const dimensions = 4096;
    const index = new VectorIndex({ dimensions, kind: "f32" });
    const part = new Float32Array(200 * dimensions);
    for (let at = 0; at < 6; at++) {
      for (let row = 0; row < 200; row++) part[row * dimensions] = Math.sin(at * 200 + row);
      index.add(part);
    }
    const query = new Float32Array(dimensions);
    query[0] = 1;
    const wanted = Array.from({ length: 1200 }, (_, id) => ({ id, score: Math.fround(Math.sin(id)) }))
      .sort((a, b) => b.score - a.score || a.id - b.id);
    assertEquals(await index.search(query), wanted.slice(0, 10));
    const read = await VectorIndex.load(index.save());
    assertEquals(await read.search(query, { top: 50 }), wanted.slice(0, 50));
    const controller = new AbortController();
    controller.abort();
    await assertRejects(() => index.search(query, { signal: controller.signal }), CancelledError);
  });

  it("a damaged file is refused", async () => {
    const index = new VectorIndex({ dimensions: 32, kind: "int8" });
    index.add(numbers(32 * 100, 2));
    const bytes = await bytesOf(index);
    const load = (changed: Uint8Array) => VectorIndex.load([changed]);
    for (let length = 0; length < bytes.length; length += 97) {
      await assertRejects(() => load(bytes.slice(0, length)), LightGPTError, "index cannot be read");
    }
    for (let at = 0; at < bytes.length; at += 61) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      await assertRejects(() => load(changed), LightGPTError, "index cannot be read");
    }
    await assertRejects(() => load(Uint8Array.of(...bytes, 0)), LightGPTError, "something follows");
    // A head that says what there is not takes no memory.
    const large = Uint8Array.from(bytes);
    new DataView(large.buffer).setUint32(16, 2 ** 31, true);
    await assertRejects(() => load(large), LightGPTError, "it ends within");
    await assertRejects(() => VectorIndex.load([7 as unknown as Uint8Array]), InvalidArgumentError, "Uint8Array");
  });

  it("refuses what it cannot keep or find, by name", async () => {
    const index = new VectorIndex({ dimensions: 4 });
    index.add([1, 0, 0, 0, 0, 1, 0, 0]);
    const refused: [() => unknown, string][] = [
      [() => new VectorIndex({ dimensions: 0 }), "dimensions"],
      [() => new VectorIndex({ dimensions: 12, kind: "binary" }), "dimensions: expected a multiple of 8"],
      [() => new VectorIndex({ dimensions: 4, kind: "int4" as "int8" }), "kind"],
      [() => index.add([1, 2, 3]), "vectors: expected vectors of 4 numbers, got"],
      [() => index.add([1, 2, 3, NaN]), "vectors[3]: expected a finite number"],
      [() => index.add([1, 2, 3, 4, 1, Infinity, 3, 4]), "vectors[1][1]: expected a finite number"],
      [() => index.add([1e30, 0, 0, 0]), "squares"],
      [() => index.remove(2), "ids[0]: expected a row that is there"],
      [() => index.remove([0, 0]), "ids[1]"],
      [() => index.mask([9]), "ids[0]"],
      [() => index.vector(9), "id: expected a row that is there"],
    ];
    for (const [call, includes] of refused) {
      const { message } = assertThrows(call, InvalidArgumentError);
      assert(message.includes(includes), message);
    }
    assertEquals(index.count, 2);
    await assertRejects(() => index.search([1, 0, 0]), InvalidArgumentError, "query: expected 4 numbers");
    await assertRejects(() => index.search([1, 0, 0, NaN]), InvalidArgumentError, "query[3]");
    await assertRejects(() => index.search([1, 0, 0, 0], { top: 0 }), InvalidArgumentError, "top");
    const filter = [1] as unknown as Uint32Array;
    await assertRejects(() => index.search([1, 0, 0, 0], { filter }), InvalidArgumentError, "filter");
  });

  it("nothing changes while it is searched or saved", async () => {
    const index = new VectorIndex({ dimensions: 4 });
    index.add([1, 0, 0, 0, 0, 1, 0, 0]);
    const search = index.search([1, 0, 0, 0]);
    assertThrows(() => index.remove(0), InvalidArgumentError, "1 searches or saves are under way");
    assertThrows(() => index.add([0, 0, 0, 1]), InvalidArgumentError, "under way");
    assertEquals((await search).length, 2);
    for await (const _ of index.save()) {
      assertThrows(() => index.remove(0), InvalidArgumentError, "under way");
      break;
    }
    index.remove(0);
    assertEquals((await index.search([1, 0, 0, 0])).map(({ id }) => id), [1]);
  });
});
