/**
 * Objects in every order of their properties, against a reading of the keywords that is written here: random schemas, all
 * permutations of all subsets of a few names, and no place from which an object cannot be ended.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { Grammar, LightGPTError } from "../mod.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";

useTokenizer();

const names = ["a", "b", "xa", "y"];

interface ObjectSchema {
  readonly type: "object";
  readonly properties: Record<string, { readonly type: string }>;
  readonly required: readonly string[];
  readonly minProperties: number;
  readonly maxProperties?: number;
  readonly patternProperties?: { readonly "^x": { readonly type: string } };
  readonly additionalProperties: boolean | { readonly type: string };
  readonly dependentRequired?: Record<string, readonly string[]>;
  readonly not?: { readonly patternProperties: { readonly "^x": { readonly type: string } } };
}

/** A small generator of Lehmer's kind, so that a failure comes again. */
function randomOf(seed: number): (below: number) => number {
  let state = 48271 * (seed + 1) % 0x7fff_ffff;
  return (below) => (state = 48271 * state % 0x7fff_ffff) % below;
}

function randomSchema(random: (below: number) => number): ObjectSchema {
  const type = () => ({ type: random(2) === 0 ? "integer" : "string" });
  const properties = Object.fromEntries(names.filter(() => random(3) > 0).map((name) => [name, type()]));
  const least = random(3);
  return {
    type: "object",
    properties,
    required: Object.keys(properties).filter(() => random(3) === 0),
    minProperties: least,
    ...(random(2) === 0 ? { maxProperties: least + random(4) } : {}),
    ...(random(3) === 0 ? { patternProperties: { "^x": type() } } : {}),
    additionalProperties: [true, false, type()][random(3)],
    ...(random(3) === 0 ? { dependentRequired: { [names[random(4)]]: [names[random(4)]] } } : {}),
    ...(random(4) === 0 ? { not: { patternProperties: { "^x": type() } } } : {}),
  };
}

/** Whether a value meets the schema, by the words of the standard. */
function meets(schema: ObjectSchema, value: Record<string, number | string>): boolean {
  const keys = Object.keys(value);
  const isOf = (name: string, { type }: { readonly type: string }) =>
    (type === "integer") === Number.isInteger(value[name]);
  const pattern = schema.patternProperties?.["^x"];
  const isX = (name: string) => name.startsWith("x");
  return schema.required.every((name) => name in value) &&
    keys.length >= schema.minProperties && keys.length <= (schema.maxProperties ?? Infinity) &&
    keys.every((name) => !(name in schema.properties) || isOf(name, schema.properties[name])) &&
    keys.every((name) => !pattern || !isX(name) || isOf(name, pattern)) &&
    keys.every((name) => {
      const { additionalProperties: more } = schema;
      if (name in schema.properties || (pattern && isX(name)) || more === true) return true;
      return more !== false && isOf(name, more);
    }) &&
    Object.entries(schema.dependentRequired ?? {})
      .every(([name, others]) => !(name in value) || others.every((other) => other in value)) &&
    (!schema.not || keys.some((name) => isX(name) && !isOf(name, schema.not!.patternProperties["^x"])));
}

/** Every order of every subset. */
function* orders(all: readonly string[]): Generator<readonly string[]> {
  yield [];
  for (const name of all) for (const rest of orders(all.filter((other) => other !== name))) yield [name, ...rest];
}

async function grammarOf(schema: ObjectSchema, order: "any" | "schema"): Promise<Grammar | undefined> {
  try {
    return await Grammar.schema(schema, tokenizer, { order, whitespace: "compact" });
  } catch (error) {
    assert(error instanceof LightGPTError, String(error));
    return undefined;
  }
}

describe("the properties of an object", () => {
  it("come in any order, and in that of the schema where it is asked for", async () => {
    let [right, refused, compared] = [0, 0, 0];
    for (let seed = 0; seed < 60; seed++) {
      const random = randomOf(seed);
      const schema = randomSchema(random);
      const [any, ordered] = [await grammarOf(schema, "any"), await grammarOf(schema, "schema")];
      if (!any || !ordered) refused++;
      for (const keys of orders([...names, "z"])) {
        const value = Object.fromEntries(keys.map((name) => [name, random(2) === 0 ? 7 : "t"]));
        const [text, isValid] = [JSON.stringify(value), meets(schema, value)];
        if (!any || !ordered) continue;
        // Of properties that the schema doesn't name one counts towards the least number: two may have one name.
        const named = new Set([...Object.keys(schema.properties), ...Object.keys(schema.dependentRequired ?? {})]);
        const others = keys.filter((name) => !named.has(name)).length;
        if (isValid && others > 1 && keys.length - others + 1 < schema.minProperties) continue;
        assertEquals(has(any, text), isValid, `${text} by ${JSON.stringify(schema)}`);
        right += Number(isValid);
        compared++;
        if (has(ordered, text)) assert(isValid, `${text} in the order of ${JSON.stringify(schema)}`);
      }
    }
    assert(right > 500 && compared > 10_000 && refused < 30, `${right} right of ${compared}, ${refused} refused`);
  });

  it("never lead to a place from which the object cannot be ended", async () => {
    for (let seed = 100; seed < 130; seed++) {
      const random = randomOf(seed);
      const schema = { ...randomSchema(random) };
      const grammar = await grammarOf(schema, "any");
      const matcher = grammar?.matcher();
      for (let step = 0; matcher && !matcher.isDone && step < 40; step++) {
        const words = matcher.words();
        const tokens = Array.from({ length: 32 * words.length }, (_, token) => token)
          .filter((token) => (words[token >> 5] >>> (token & 31)) & 1);
        assert(tokens.length > 0, `nothing may follow, by ${JSON.stringify(schema)}`);
        matcher.accept(tokens[random(tokens.length)]);
      }
    }
  });

  it("are told apart by the counts that matter, however many there are", async () => {
    const many = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const properties = Object.fromEntries(many.map((name) => [name, { type: "integer" }]));
    const grammar = await Grammar.schema({ properties, type: "object", additionalProperties: false }, tokenizer);
    const backwards = Object.fromEntries(many.toReversed().map((name) => [name, 1]));
    assert(has(grammar, JSON.stringify(backwards)));
    assert(!has(grammar, `${JSON.stringify(backwards).slice(0, -1)},"n7":2}`));
  });

  it("may be in a new order again and again: a grammar that serves many requests does not fill up", async () => {
    const letters = Array.from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV");
    const properties = Object.fromEntries(letters.map((name) => [name, { const: 0 }]));
    const grammar = await Grammar.schema({ properties, type: "object", additionalProperties: false }, tokenizer);
    const random = randomOf(7);
    const shuffled = () => {
      const left = [...letters];
      const chosen = letters.map(() => left.splice(random(left.length), 1)[0]);
      return new TextEncoder().encode(JSON.stringify(Object.fromEntries(chosen.map((name) => [name, 0]))));
    };
    const old = grammar.matcher();
    for (let object = 0; object < 400 && !old.isWorn; object++) assert(grammar.matcher().follow(shuffled()));
    assert(old.isWorn, "400 orders are as many states as a grammar may have");
    assert(!grammar.matcher().isWorn && grammar.matcher().follow(shuffled()));
    assert(old.follow(shuffled()) && old.isComplete, "a text that has begun goes on");
  });
});
