/**
 * Objects of schemas: types and values of the libraries that follow Standard Schema, objects that are closed, answers that are
 * cut or refused, and partial objects that grow.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import { after, before, describe, it } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import {
  type DeepPartial,
  InvalidArgumentError,
  jsonSchema,
  LightGPT,
  ObjectError,
  type ObjectOptions,
  type StandardSchema,
  UnsupportedError,
} from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { inputSchema } from "../src/grammar/standard/read.ts";

/** Compiles only where the two types are the same. */
function expectType<Expected>() {
  return <Got>(value: Got, ..._same: Same<Expected, Got> extends true ? [] : ["another type"]): Got => value;
}
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

const wild = { temperature: 2, topK: 0, topP: 1 };

describe("an object", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(embeddedModel(), { threads: 1 });
  });
  after(() => lm.dispose());

  it("has the type and the value of its library's schema", async () => {
    const sampling = { ...wild, seed: 1 };
    const hero = z.object({
      name: z.string().regex(/^[A-Z][a-z]{2,8}$/),
      kind: z.enum(["fox", "hen"]),
      age: z.int().min(1).max(30),
      tags: z.array(z.string().max(5)).max(2).optional(),
    });
    const one = await lm.object("The hero: ", { schema: hero, sampling });
    expectType<{ name: string; kind: "fox" | "hen"; age: number; tags?: string[] | undefined }>()(one.object);
    assertEquals(hero.parse(JSON.parse(one.text)), one.object);

    const tale = type({ title: "string <= 12", "pages?": "1 <= number.integer <= 9" });
    const two = await lm.object("The tale: ", { schema: tale, sampling });
    expectType<{ title: string; pages?: number }>()(two.object);
    assert(!(tale(JSON.parse(two.text)) instanceof type.errors));

    const pair = toStandardJsonSchema(v.object({ a: v.pipe(v.string(), v.maxLength(4)), b: v.boolean() }));
    const three = await lm.object("The pair: ", { schema: pair, sampling });
    expectType<{ a: string; b: boolean }>()(three.object);
    assertEquals(Object.keys(three.object), ["a", "b"]);

    const plain = jsonSchema<{ size: 1 | 2 }>({
      properties: { size: { enum: [1, 2] } },
      required: ["size"],
      type: "object",
    });
    const four = await lm.object("The size: ", { schema: plain, sampling });
    expectType<{ size: 1 | 2 }>()(four.object);
    assert([1, 2].includes(four.object.size));
    // As TypeBox makes them: a kind under a symbol, and the type under a name that no value has.
    const typebox = { type: "boolean", [Symbol.for("TypeBox.Kind")]: "Boolean" } as { type: string; static: boolean };
    expectType<StandardSchema<boolean>>()(jsonSchema(typebox));
    const five = await lm.object("Is it so? ", { schema: jsonSchema(typebox), sampling });
    expectType<boolean>()(five.object);
    assertEquals(typeof five.object, "boolean");
    // @ts-expect-error: the fields of a completion have their own types
    four.seed satisfies string;
    assertEquals([four.stopReason, JSON.parse(JSON.stringify(four)).object], ["endOfText", four.object]);
    assertGreater(four.promptTokens, 0);
  });

  it("is what the schema's own check makes of it", async () => {
    const schema = z.object({
      words: z.string().max(9).transform((text) => text.length),
      kind: z.literal("x").default("x"),
    });
    const { object, text } = await lm.object("Words: ", { schema, sampling: { ...wild, seed: 2 } });
    expectType<{ words: number; kind: "x" }>()(object);
    assertEquals(object, { words: JSON.parse(text).words.length, kind: "x" });
    const later = jsonSchema<number, string>({ enum: [7] }, (value) => Promise.resolve({ value: `${value}!` }));
    assertEquals((await lm.object("Seven: ", { schema: later })).object, "7!");
  });

  it("is refused where the schema's own check does, and incomplete where it was cut", async () => {
    const never = z.object({ a: z.literal(1) }).refine(() => false, { message: "never", path: ["a"] });
    const error = await assertRejects(() => lm.object("A: ", { schema: never }), ObjectError, "at a: never");
    assertEquals([error.code, error.issues[0].message, error.detail.where], ["invalidOutput", "never", "a"]);
    assertEquals(JSON.parse(error.text), { a: 1 });
    const long = jsonSchema({ type: "array", items: { enum: ["again"] }, minItems: 400 });
    const cut = await assertRejects(
      () => lm.object("Long: ", { schema: long, maxTokens: 7 }),
      ObjectError,
      "maxTokens",
    );
    assertEquals([cut.code, cut.detail.where, cut.detail.got, cut.text[0]], ["incomplete", "maxTokens", cut.text, "["]);
    const none = await assertRejects(() => lm.object("Long: ", { schema: long, maxTokens: 0 }), ObjectError);
    assertEquals([none.code, none.text], ["incomplete", ""]);
    // A number that is cut may have been meant longer, so it is none.
    const number = jsonSchema({ type: "integer", minimum: 1000 });
    assertEquals(
      (await assertRejects(() => lm.object("N: ", { schema: number, maxTokens: 1 }), ObjectError)).code,
      "incomplete",
    );
    const endless = jsonSchema({ type: "array", items: { enum: ["and again"] }, minItems: 1000 });
    const full = await assertRejects(() => lm.object(lm.tokenize("x ".repeat(240)), { schema: endless }), ObjectError);
    assertEquals([full.code, full.detail.where], ["incomplete", "context"]);
    // However fast the machine is, its time is over before the context is full.
    const slow = () => {
      const begin = performance.now();
      while (performance.now() < begin + 5);
    };
    const inTime = { schema: endless, logitsProcessor: slow, deadlineMs: 15 };
    const late = await assertRejects(() => lm.object("Long: ", inTime), ObjectError);
    assertEquals([late.code, late.detail.where], ["incomplete", "deadlineMs"]);
    const controller = new AbortController();
    const { signal } = controller;
    const stopping = { schema: endless, signal, logitsProcessor: () => controller.abort() };
    const ended = await assertRejects(() => lm.object("Long: ", stopping));
    assertEquals((ended as ObjectError).code, "cancelled");
  });

  it("may be asked for in a conversation", async () => {
    const template = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}";
    const schema = z.object({ yes: z.boolean() });
    const messages = [{ role: "user", content: "Is it so?" }] as const;
    const { object } = await lm.object(messages, { schema, template });
    assertEquals(typeof object.yes, "boolean");
    await assertRejects(() => lm.object("Is it so?", { schema, template }), InvalidArgumentError, "template");
  });

  it("says which schemas and options it does not take", async () => {
    const cases: readonly [unknown, string][] = [
      [{ schema: { type: "object" } }, "Standard Schema"],
      [{}, "schema"],
      [{ schema: null }, "schema"],
      [{ schema: z.object({ a: z.date() }) }, "Date"],
      [{ schema: v.object({ a: v.string() }) }, "toStandardJsonSchema"],
      [{ schema: jsonSchema({ type: "integer" }), stop: "x" }, "stop"],
      [{ schema: jsonSchema({ type: "integer" }), constraint: { regex: "a" } }, "constraint"],
      [{ schema: jsonSchema({ type: "integer" }), additional: "any" }, "additional"],
      [{ schema: { "~standard": { version: 2, vendor: "x", jsonSchema: { input: () => ({}) } } } }, "version"],
      [{ schema: { "~standard": { version: 1, vendor: "x" } } }, "tells no JSON schema"],
      [{ schema: jsonSchema({ uniqueItems: true, type: "array" }) }, "uniqueItems"],
      [{ schema: jsonSchema({ allOf: [{ type: "string" }, { type: "null" }] }) }, "No text fits"],
    ];
    for (const [options, words] of cases) {
      const error = await assertRejects(() => lm.object("x", options as ObjectOptions), Error, words);
      assert(error instanceof InvalidArgumentError || error instanceof UnsupportedError, String(error));
    }
    const silent = { "~standard": { ...jsonSchema({ enum: [1] })["~standard"], validate: () => 3 } };
    await assertRejects(
      () => lm.object("x", { schema: silent as unknown as StandardSchema }),
      InvalidArgumentError,
      "check",
    );
  });

  it("grows part by part, and what was there stays", async () => {
    const schema = z.object({
      name: z.string().max(30),
      sizes: z.array(z.number().min(0).max(100)).min(2).max(6),
      inner: z.object({
        ok: z.boolean(),
        text: z.string().max(30),
        list: z.array(z.array(z.string().max(6)).max(3)).max(3),
      }),
    });
    for (let seed = 0; seed < 12; seed++) {
      const parts: unknown[] = [];
      let text = "";
      const stream = lm.objectStream("A thing: ", { schema, sampling: { ...wild, seed } });
      let next = await stream.next();
      for (; !next.done; next = await stream.next()) {
        expectType<string | undefined>()(next.value.partial?.inner?.text);
        parts.push(next.value.partial);
        text += next.value.text;
      }
      assertEquals(text, next.value.text);
      assertEquals(parts.at(-1), next.value.object);
      assertGreater(parts.length, 8);
      for (const [index, part] of parts.entries()) if (index > 0) assertWithin(parts[index - 1], part);
    }
  });

  it("that is a number, a text or a word alone grows, too", async () => {
    for (const schema of [z.int().min(100).max(99_999), z.string().min(3).max(20), z.boolean()]) {
      const stream = lm.objectStream("It is ", { schema, sampling: { ...wild, seed: 5 } });
      let last: unknown;
      let next = await stream.next();
      for (; !next.done; next = await stream.next()) last = next.value.partial;
      assertEquals(last, next.value.object);
    }
  });
});

/** Fails unless what is in `before` is in `after`: texts as beginnings, lists as first items, all else as it is. */
function assertWithin(before: unknown, after: unknown): void {
  if (before === undefined) return;
  if (typeof before === "string") return assert(typeof after === "string" && after.startsWith(before));
  if (before === null || typeof before !== "object") return assertEquals(before, after);
  assert(after !== null && typeof after === "object" && Array.isArray(before) === Array.isArray(after));
  for (const [name, value] of Object.entries(before)) {
    assert(Object.hasOwn(after, name), name);
    assertWithin(value, (after as Record<string, unknown>)[name]);
  }
}

describe("a partial object's type", () => {
  it("may lack anything, and has texts that are not whole", () => {
    type Whole = { kind: "a" | "b"; list: { n: number }[]; more?: { on: boolean } };
    const partial = {} as DeepPartial<Whole>;
    expectType<string | undefined>()(partial.kind);
    expectType<number | undefined>()(partial.list?.[0]?.n);
    expectType<boolean | undefined>()(partial.more?.on);
    assertEquals(partial, {});
  });
});

describe("objects of a schema", () => {
  const told = (schema: Parameters<typeof inputSchema>[0]) => inputSchema(schema, "schema", "deny");

  it("are closed where a value stands", () => {
    const open = { type: "object", properties: { a: {} } };
    const shut = { ...open, additionalProperties: false };
    const cases: readonly [unknown, unknown][] = [
      [open, shut],
      [{ ...open, additionalProperties: true }, { ...open, additionalProperties: true }],
      [{ type: "object" }, { type: "object" }],
      [{ properties: { b: open } }, { properties: { b: shut }, additionalProperties: false }],
      [{ items: open }, { items: shut }],
      [{ prefixItems: [open, true] }, { prefixItems: [shut, true] }],
      [{ additionalProperties: open }, { additionalProperties: shut }],
      [{ anyOf: [open, { type: "null" }] }, { anyOf: [shut, { type: "null" }] }],
      [{ allOf: [open, open] }, { allOf: [open, open], unevaluatedProperties: false }],
      [{ ...open, oneOf: [open] }, { ...open, oneOf: [open], unevaluatedProperties: false }],
      [{ not: open, contains: open }, { not: open, contains: open }],
      [{ const: open, enum: [open] }, { const: open, enum: [open] }],
      [{ $ref: "#/$defs/x", $defs: { x: open } }, { $ref: "#/$defs/x", $defs: { x: shut } }],
      [
        { items: { $ref: "#/$defs/x" }, prefixItems: [{ allOf: [{ $ref: "#/$defs/x" }] }], $defs: { x: open } },
        {
          items: { allOf: [{ $ref: "#/$defs/x" }], unevaluatedProperties: false },
          prefixItems: [{ allOf: [{ $ref: "#/$defs/x" }], unevaluatedProperties: false }],
          $defs: { x: open },
        },
      ],
      [
        { items: { $ref: "#x" }, $defs: { y: { $anchor: "x", ...open } } },
        {
          items: { allOf: [{ $ref: "#x" }], unevaluatedProperties: false },
          $defs: { y: { $anchor: "x", ...open } },
        },
      ],
    ];
    for (const [schema, expected] of cases) assertEquals(told(jsonSchema(schema as object)), expected as never);
  });

  it("are those of libraries, for unions, intersections and what comes back to itself", async () => {
    await using lm = await LightGPT.load(embeddedModel(), { threads: 1 });
    const tree = z.object({
      v: z.int().max(9).min(0),
      get kids() {
        return z.array(tree).max(2);
      },
    });
    const shape = z.discriminatedUnion("k", [
      z.object({ k: z.literal("a"), x: z.int() }),
      z.object({ k: z.literal("b") }),
    ]);
    const named = z.object({ n: z.string().max(3) }).meta({ id: "named" });
    const both = z.object({ one: named, two: z.union([named, z.null()]) });
    const met = toStandardJsonSchema(
      v.intersect([v.object({ a: v.boolean() }), v.object({ b: v.boolean() })]),
    );
    const ark = type({ k: "'a'", x: "boolean" }).or({ k: "'b'" });
    for (const schema of [tree, shape, both, met, ark] as StandardSchema[]) {
      for (let seed = 0; seed < 4; seed++) {
        const { object, text } = await lm.object("X: ", { schema, sampling: { temperature: 1, seed } });
        // Whatever a library strips or lets through: nothing was written that is not listed.
        assertEquals(object, JSON.parse(text));
      }
    }
    const { text } = await lm.complete("X: ", {
      constraint: { schema: z.object({ a: z.boolean() }), whitespace: "compact" },
    });
    assert(['{"a":true}', '{"a":false}'].includes(text), text);
  });
});
