/**
 * JSON that comes in parts: random values in random parts, and what is known after each.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { describe, it } from "node:test";
import { GrowingJson } from "../src/text/growing_json.ts";
import { randomFrom } from "./simulation.ts";
import { workedMs } from "./worked.ts";

/** What is known after each character of a text. */
function known(text: string): unknown[] {
  const json = new GrowingJson();
  return Array.from({ length: text.length }, (_, at) => {
    json.push(text[at]);
    return json.value;
  });
}

describe("JSON that grows", () => {
  it("is the value of its text in the end, however it is cut, and what was given out stays as it was", () => {
    const random = randomFrom(11);
    const pick = <T>(list: readonly T[]) => list[random(list.length)];
    const strings = [
      "",
      "a",
      'q"\\/',
      "ä€😀",
      "\n\t\r\b\f\u0001",
      "__proto__",
      "constructor",
      "\ud83d",
      "\ude00\ud83d",
      "{[,:",
    ];
    const make = (depth: number): unknown => {
      const kind = random(depth > 3 ? 3 : 6);
      if (kind === 0) return pick([null, true, false]);
      if (kind === 1) return pick([0, -1, 1.5, 1e21, -2.5e-7, 123456789]);
      if (kind === 2) return pick(strings);
      if (kind < 5) return Array.from({ length: random(4) }, () => make(depth + 1));
      return Object.fromEntries(strings.filter(() => random(4) === 0).map((name) => [name, make(depth + 1)]));
    };
    for (let round = 0; round < 400; round++) {
      const value = make(0);
      let text = JSON.stringify(value, undefined, pick([undefined, 1]));
      // All characters above ASCII, and half of the others in strings, as escapes.
      if (random(2)) {
        text = text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
      }
      const json = new GrowingJson();
      const given: { readonly value: unknown; readonly text: string }[] = [];
      for (let at = 0; at < text.length;) {
        const end = at + 1 + random(6);
        json.push(text.slice(at, end));
        given.push({ value: json.value, text: JSON.stringify(json.value) });
        at = end;
      }
      json.end();
      assertEquals(JSON.stringify(json.value), JSON.stringify(JSON.parse(text)), text);
      assertEquals(Object.getPrototypeOf(json.value ?? {}), Object.getPrototypeOf(value ?? {}));
      for (const each of given) assertEquals(JSON.stringify(each.value), each.text);
    }
  });

  it("has texts from their beginning, and numbers and words when they are whole", () => {
    assertEquals(known('{"a":12,"b":["x\\n"'), [
      ...Array(5).fill({}).with(0, {}),
      {},
      {},
      { a: 12 },
      ...Array(4).fill({ a: 12 }),
      { a: 12, b: [] },
      { a: 12, b: [""] },
      { a: 12, b: ["x"] },
      { a: 12, b: ["x"] },
      { a: 12, b: ["x\n"] },
      { a: 12, b: ["x\n"] },
    ]);
    assertEquals(known("[tru"), [[], [], [], []]);
    // Half of an escape is no text yet, nor is half of a character.
    assertEquals(known('"\\ud83d\\ude00"').map((value) => (value as string).length), [0, ...Array(11).fill(0), 2, 2]);
  });

  it("shares what did not change, and reads each character once", () => {
    const json = new GrowingJson();
    json.push('{"done":{"list":[1,2,3]},"open":{"text":"a');
    const before = json.value as { done: unknown; open: unknown };
    json.push("b");
    const after = json.value as { done: unknown; open: unknown };
    assert(before !== after && before.done === after.done && before.open !== after.open);
    json.push("");
    assert(json.value === after, "nothing came, nothing is new");
    const begin = workedMs();
    const long = new GrowingJson();
    long.push('{"a":["');
    for (let part = 0; part < 300_000; part++) {
      long.push("abcdefgh");
      assert(long.value !== undefined);
    }
    assertLess(workedMs() - begin, 10_000);
  });
});
