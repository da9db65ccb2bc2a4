/**
 * JSON Schema as a grammar: the suite of the drafts, real schemas with valid and invalid values, the cases in which other engines
 * fail, and random texts that a model without sense writes.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { Grammar, LightGPT, LightGPTError } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { note, often } from "./counts.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";
import { describeWholeKit } from "./kit.ts";
import { workedMs } from "./worked.ts";

useTokenizer();

/** The grammar of a schema; where it is refused, the words. */
async function grammarOf(schema: unknown): Promise<Grammar | string> {
  try {
    return await Grammar.schema(schema, tokenizer);
  } catch (error) {
    assert(error instanceof LightGPTError, String(error));
    return error.message;
  }
}

interface Group {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly data: unknown; readonly valid: boolean; readonly description: string }[];
}

function unpacked(path: string): string {
  return gunzipSync(readFileSync(path)).toString();
}

/** Why schemas of the suite are refused, and how many of its cases are so at most: of each draft, for each reason. */
const refusals: readonly (readonly [words: string, what: string, cases: readonly number[]])[] = [
  ["a reference inside the schema", "documents that would have to be fetched", [48, 27]],
  ["uniqueItems is not enforced", "items that are not of a few values", [41, 41]],
  ["format idn-hostname", "a format that is not enforced", [7, 6]],
  ["minProperties 4", "more properties than names have a place", [4, 7]],
  ["multipleOf 0.123456789", "more digits than are looked at", [1, 1]],
];

/** How many cases are right at least, and in which files valid values are rejected. */
const suites: readonly (readonly [draft: string, least: number, rejections: Readonly<Record<string, number>>])[] = [
  // Formats are enforced, where the suite has them say nothing; metaschemas cannot turn keywords off.
  ["draft2020-12", 1179, { "format.json": 18, "vocabulary.json": 1 }],
  ["draft7", 800, {}],
];

describeWholeKit("JSON-Schema-Test-Suite", "schema-suite", (directory) => {
  for (const [index, [draft, least, rejections]] of suites.entries()) {
    it(`${draft}: nothing invalid is accepted, and all that is not right has its reason`, async () => {
      const suite: Record<string, readonly Group[]> = JSON.parse(unpacked(join(directory, `${draft}.json.gz`)));
      let right = 0;
      const refused: Record<string, number> = {};
      const rejected: Record<string, number> = {};
      for (const [path, groups] of Object.entries(suite)) {
        if (path.startsWith("optional")) continue;
        for (const { schema, tests, description } of groups) {
          // Files of draft 7 don't say which draft they are of.
          const said = draft === "draft7" && schema !== null && typeof schema === "object"
            ? { $schema: "http://json-schema.org/draft-07/schema#", ...schema }
            : schema;
          const grammar = await grammarOf(said);
          for (const { data, valid, description: test } of tests) {
            // A schema that nothing meets is refused, which is right for all values.
            const isEmpty = typeof grammar === "string" && grammar.includes("No text fits");
            if (isEmpty && !valid) right++;
            else if (typeof grammar === "string") {
              const what = refusals.find(([words]) => grammar.includes(words))?.[1] ?? grammar;
              refused[what] = (refused[what] ?? 0) + 1;
            } else if (has(grammar, JSON.stringify(data)) === valid) right++;
            else {
              assert(valid, `${path}, ${description}, ${test}: ${JSON.stringify(data)} is accepted`);
              rejected[path] = (rejected[path] ?? 0) + 1;
            }
          }
        }
      }
      for (const [, what, cases] of refusals) {
        assert((refused[what] ?? 0) <= cases[index], `${what}: ${refused[what]}`);
        delete refused[what];
      }
      assertEquals(refused, {}, "refused for another reason");
      assertEquals(rejected, rejections);
      assertGreater(right, least - 1);
    });
  }
});

describeWholeKit("formats", "schema-suite", (directory) => {
  it("of the optional suite: nothing invalid is accepted, and most is right", async () => {
    const suite: Record<string, readonly Group[]> = JSON.parse(unpacked(join(directory, "draft2020-12.json.gz")));
    let [right, rejected] = [0, 0];
    for (const [path, groups] of Object.entries(suite)) {
      if (!path.startsWith("optional/format/")) continue;
      for (const { schema, tests } of groups) {
        const grammar = await grammarOf(schema);
        for (const { data, valid, description } of typeof grammar === "string" ? [] : tests) {
          const isThere = has(grammar as Grammar, JSON.stringify(data));
          assert(valid || !isThere, `${path}, ${description}: ${JSON.stringify(data)} is accepted`);
          if (isThere === valid) right++;
          else rejected++;
        }
      }
    }
    assertGreater(right, 610);
    assertLess(rejected, 56);
  });
});

describeWholeKit("real schemas", "maskbench", (directory) => {
  it("accept no invalid value, and are seldom refused", async () => {
    const lines = unpacked(join(directory, "maskbench.jsonl.gz")).trim().split("\n");
    const counts = { schemas: 0, refused: 0, valid: 0, rejected: 0, invalid: 0 };
    for (let index = often(5, 0); index < lines.length; index += often(40, 1)) {
      const { name, schema, tests }: Group & { name: string } = JSON.parse(lines[index]);
      counts.schemas++;
      const grammar = await grammarOf(schema);
      if (typeof grammar === "string") counts.refused++;
      for (const { data, valid } of typeof grammar === "string" ? [] : tests) {
        const isThere = has(grammar as Grammar, JSON.stringify(data));
        if (!valid) assert(!isThere, `${name}: ${JSON.stringify(data)} is accepted`);
        counts.rejected += Number(valid && !isThere);
        counts[valid ? "valid" : "invalid"]++;
      }
    }
    assert(counts.schemas > 40 && counts.valid > 50 && counts.invalid > 50, JSON.stringify(counts));
    assertLess(counts.refused / counts.schemas, 0.08);
    assertEquals(counts.rejected, 0);
    for (const [what, count] of Object.entries(counts)) note(38, `of the kit's real schemas: ${what}`, count);
  });
});

describe("a schema", () => {
  async function verdicts(schema: unknown, accepted: readonly string[], rejected: readonly string[]): Promise<void> {
    const grammar = await Grammar.schema(schema, tokenizer);
    for (const text of accepted) assert(has(grammar, text), `${text} by ${JSON.stringify(schema)}`);
    for (const text of rejected) assert(!has(grammar, text), `${text} by ${JSON.stringify(schema)}`);
  }

  it("holds where other engines let go", async () => {
    const base = { properties: { a: { type: "integer" } }, required: ["a"] };
    await verdicts({ type: "string", pattern: "^\\d+$" }, ['"123"'], ['"12a"', '""']);
    await verdicts({ allOf: [base, { properties: { b: { const: 1 } }, required: ["b"] }] }, ['{"a":2,"b":1}'], [
      '{"a":2}',
      '{"a":2,"b":2}',
    ]);
    await verdicts({ type: "string", pattern: "^a+$", maxLength: 3 }, ['"aaa"'], ['"aaaa"', '"b"', '""']);
    await verdicts({ type: "string", pattern: "b" }, ['"abc"'], ['"ac"']);
    await verdicts({ properties: { a: { type: "integer" } }, type: "object" }, ['{"a":1}', "{}"], [
      '{"\\u0061":"x"}',
      '{"a":1,"a":2}',
      '{"a":1,"\\u0061":"x"}',
    ]);
    await verdicts({ type: "object", properties: {}, additionalProperties: false }, ["{}"], ['{"a":1}']);
    await verdicts({ type: "array", maxItems: 0 }, ["[]"], ["[1]"]);
    const keys = { 'a"b\\': { const: 1 }, "\u00e9\u{1f600}": { const: 2 }, "\u0000": { const: 3 } };
    await verdicts({ properties: keys, required: Object.keys(keys), additionalProperties: false }, [
      JSON.stringify({ 'a"b\\': 1, "\u00e9\u{1f600}": 2, "\u0000": 3 }),
    ], [JSON.stringify({ 'a"b': 1, "\u00e9\u{1f600}": 2, "\u0000": 3 }), '{"a"b":1}']);
    await verdicts({
      type: "array",
      items: { enum: ["a", 1, 2, true, null] },
      uniqueItems: true,
      minItems: 1,
      maxItems: 3,
    }, [
      '["a"]',
      "[2, 1]",
      '[null,true,"a"]',
    ], ["[]", "[1,1]", "[1,1.0]", '["a",1,"a"]', '["a",1,2,true]', "[3]"]);
    await verdicts({ multipleOf: 0.01 }, ["1.25", "3", "-0.10"], ["1.255"]);
    await verdicts({ type: "number", minimum: -1.5, exclusiveMaximum: 10 }, ["-1.5", "0", "9.99", "-0.0"], [
      "-1.51",
      "10",
      "10.0",
    ]);
    await verdicts({ oneOf: [{ multipleOf: 2 }, { multipleOf: 3 }], type: "integer" }, ["2", "3", "9"], [
      "6",
      "5",
      "0",
    ]);
    await verdicts({ type: "array", contains: { const: 1 }, minContains: 2, maxContains: 3 }, ["[1,2,1]"], [
      "[1]",
      "[1,1,1,1]",
    ]);
    await verdicts({ type: "string", format: "date" }, ['"2024-02-29"'], ['"2026-02-31"', '"2023-02-29"']);
    await verdicts({ type: ["string", "null"] }, ['"a"', "null"], ["1"]);
    await verdicts({ enum: [1, "a", null, { b: [true] }] }, ["1", '"a"', "null", '{"b":[true]}'], [
      "2",
      '{"b":[false]}',
    ]);
    const tree = {
      $ref: "#/$defs/t",
      $defs: { t: { type: "object", properties: { l: { $ref: "#/$defs/t" } }, additionalProperties: false } },
    };
    await verdicts(tree, ['{"l":{"l":{}}}', "{}"], ['{"l":1}']);
    await verdicts({ type: "string" }, ['"\\ud83d\\ude00"'].map((text) => JSON.stringify(JSON.parse(text))), [
      '"\\ud83d"',
    ]);
    await verdicts({}, ["1", "{}", "[1, 2]"], [`${"1".repeat(400)}`, "[     1]", "1e400"]);
  });

  it("asks for a property under some name also where the least number of properties is met", async () => {
    const some = { required: ["a"], minProperties: 1, not: { patternProperties: { "^x": { type: "integer" } } } };
    await verdicts({ type: "object", ...some }, ['{"a":1,"x":"s"}', '{"a":1,"b":2,"xy":null}'], [
      '{"a":1}',
      '{"a":1,"x":2}',
    ]);
    const counted = { type: "object", required: ["a"], minProperties: 2, maxProperties: 3 };
    await verdicts(counted, ['{"a":1,"b":2}', '{"a":1,"b":2,"c":3}'], ['{"a":1}', '{"a":1,"b":2,"c":3,"d":4}']);
  });

  it("keeps the order of its properties where that is asked for, counts without unrolling, and lays out as asked", async () => {
    const schema = {
      type: "object",
      properties: { reasoning: { type: "string" }, answer: { type: "string" } },
      required: ["reasoning", "answer"],
    };
    await verdicts(schema, ['{"reasoning":"a","answer":"b"}', '{\n  "answer": "b",\n  "reasoning": "a"\n}'], ["{}"]);
    const ordered = await Grammar.schema(schema, tokenizer, { order: "schema" });
    assert(has(ordered, '{"reasoning":"a","answer":"b"}') && !has(ordered, '{"answer":"b","reasoning":"a"}'));
    const compact = await Grammar.schema(schema, tokenizer, { whitespace: "compact" });
    assert(!has(compact, '{"reasoning": "a", "answer": "b"}') && has(compact, '{"reasoning":"a","answer":"b"}'));
    const long = await Grammar.schema({ type: "string", maxLength: 100_000 }, tokenizer);
    assert(has(long, JSON.stringify("ä".repeat(3000))));
    const many = await Grammar.schema(
      { type: "array", minItems: 10, maxItems: 1000, items: { type: "boolean" } },
      tokenizer,
    );
    assert(has(many, JSON.stringify(Array(1000).fill(true))) && !has(many, JSON.stringify(Array(1001).fill(true))));
  });

  it("leads dynamic references to the outermost schema of their name", async () => {
    const list = {
      $id: "http://x/list",
      $defs: { item: { $dynamicAnchor: "item" } },
      type: "array",
      items: { $dynamicRef: "#item" },
    };
    const numbers = {
      $id: "http://x/numbers",
      $ref: "list",
      $defs: { list, own: { $dynamicAnchor: "item", type: "number" } },
    };
    await verdicts(numbers, ["[1,2]"], ['["a"]']);
    await verdicts({ ...list, $id: "http://y/list" }, ["[1,2]", '["a"]'], ["1"]);
    const tree = {
      $schema: "https://json-schema.org/draft/2019-09/schema",
      $id: "http://x/tree",
      $recursiveAnchor: true,
      type: "object",
      properties: { inner: { $recursiveRef: "#" } },
    };
    const closed = { $id: "http://x/closed", $recursiveAnchor: true, $ref: "tree", unevaluatedProperties: false };
    const both = { $schema: tree.$schema, ...closed, $defs: { tree } };
    await verdicts(both, ['{"inner":{"inner":{}}}'], ['{"inner":{"other":1}}']);
    await verdicts(tree, ['{"inner":{"other":1}}'], ['{"inner":1}']);
  });

  it("has the opposites of what nothing has looked at, and of items behind others", async () => {
    const seen = { properties: { a: {} }, unevaluatedProperties: { type: "integer" } };
    await verdicts({ type: "object", not: seen }, ['{"b":"x"}', '{"a":1,"b":2,"c":null}'], ['{"a":"x"}', '{"b":1}']);
    const items = { prefixItems: [{}], contains: { const: 0 }, unevaluatedItems: { type: "string" } };
    await verdicts({ type: "array", ...items }, ['[1,0,"a"]', "[0]"], ["[1,0,2]", "[1]"]);
    await verdicts({ type: "array", not: items, minItems: 2 }, ["[1,0,2]", "[1,2]"], ['[1,0,"a"]']);
    await verdicts({ type: "array", not: { prefixItems: [{}], items: { type: "string" } } }, ["[1,2]"], [
      '[1,"a"]',
      "[]",
    ]);
    await verdicts(
      { $schema: "https://json-schema.org/draft/2019-09/schema", contains: { const: 0 }, unevaluatedItems: false },
      ["{}"],
      ["[0]"],
    );
  });

  it("lists the names that no draft knows, or refuses them", async () => {
    const schema = { type: "integer", "x-unit": "m", example: 3, allOf: [{ nullable: true }] };
    assertEquals((await Grammar.schema(schema, tokenizer)).ignored, ["x-unit", "example", "nullable"]);
    assertEquals((await Grammar.schema({ type: "integer", title: "A" }, tokenizer)).ignored, []);
    await assertRejects(() => Grammar.schema(schema, tokenizer, { unknown: "refuse" }), LightGPTError, "x-unit");
  });

  it("says what it does not enforce, where, and what is a slip", async () => {
    const refused: [unknown, string, string][] = [
      [{ type: "array", uniqueItems: true }, "unsupported", "uniqueItems"],
      [{ $ref: "https://example.com/schema" }, "unsupported", "$ref"],
      [{ properties: { a: { maxmum: 3 } } }, "invalidArgument", "maximum"],
      [{ type: "strin" }, "invalidArgument", "/type"],
      [{ type: "string", format: "colour" }, "unsupported", "format"],
      [{ type: "string", pattern: "(" }, "invalidArgument", "/pattern"],
      [{ type: "string", pattern: "(?=a)" }, "unsupported", "/pattern"],
      [{ $ref: "#/$defs/none" }, "invalidArgument", "#/$defs/none"],
      [{ $ref: "#" }, "invalidArgument", "come back"],
      [{ allOf: [{ type: "string" }, { type: "number" }] }, "invalidArgument", "No text fits"],
      [{ type: "integer", minimum: 2, maximum: 1 }, "invalidArgument", "No text fits"],
      [false, "invalidArgument", "No text fits"],
      ["object", "invalidArgument", "an object or a boolean"],
      [{ multipleOf: 0 }, "invalidArgument", "above 0"],
      [{ minLength: -1 }, "invalidArgument", "minLength"],
      [{ uniqueItems: "yes" }, "invalidArgument", "/uniqueItems"],
      [{ dependentRequired: { a: "b" } }, "invalidArgument", "/dependentRequired"],
      [{ dependencies: 1 }, "invalidArgument", "/dependencies"],
      [{ then: "x" }, "invalidArgument", "/then"],
      [{ minContains: "1" }, "invalidArgument", "/minContains"],
    ];
    for (const [schema, code, words] of refused) {
      const error = await assertRejects(() => Grammar.schema(schema, tokenizer), LightGPTError, words);
      assertEquals(error.code, code, JSON.stringify(schema));
    }
  });

  it("is refused, or done, in good time however hostile", async () => {
    let deep: unknown = { type: "string" };
    for (let depth = 0; depth < 10_000; depth++) deep = { items: deep };
    const doubling = Object.fromEntries(
      Array.from(
        { length: 40 },
        (
          _,
          index,
        ) => [`d${index}`, { anyOf: [{ $ref: `#/$defs/d${index + 1}` }, { not: { $ref: `#/$defs/d${index + 1}` } }] }],
      ),
    );
    const hostile = [
      deep,
      { $ref: "#/$defs/d0", $defs: { ...doubling, d40: { type: "string" } } },
      { type: "string", pattern: "(a|a)*(a|a)*(a|a)*b{1,1000000000}" },
      { type: "string", pattern: "(((((a{1,100}){1,100}){1,100}){1,100}){1,100}){1,100}" },
      { enum: Array.from({ length: 50_000 }, (_, index) => `value ${index}`) },
      { type: "array", minItems: 1_000_000_000, contains: { const: 1 }, maxContains: 1_000_000 },
    ];
    for (const schema of hostile) {
      const begin = workedMs();
      await grammarOf(schema);
      assertLess(workedMs() - begin, 10_000, JSON.stringify(schema).slice(0, 60));
    }
  });

  it("is done in a moment where references double from each to the next", async () => {
    const leaf = {
      type: "object",
      properties: { a: { type: "integer" } },
      required: ["a"],
      additionalProperties: false,
    };
    const joints: ((next: unknown) => unknown)[] = [
      (next) => ({ allOf: [next, next] }),
      (next) => ({ anyOf: [next, next] }),
      (next) => ({ not: { allOf: [{ not: next }, { not: next }] } }),
      (next) => ({ allOf: [{ anyOf: [next, next] }, next] }),
    ];
    for (const joint of joints) {
      const steps = Array.from({ length: 40 }, (_, index) => [`d${index}`, joint({ $ref: `#/$defs/d${index + 1}` })]);
      const schema = { $ref: "#/$defs/d0", $defs: { ...Object.fromEntries(steps), d40: leaf } };
      await verdicts(schema, ['{"a":1}'], ["{}", '{"a":"x"}', "1"]);
    }
  });
});

describe("answers held to a schema", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(embeddedModel(), { threads: 1 });
  });
  after(() => lm.dispose());

  it("are valid, whatever the model would rather say", async () => {
    const schema = {
      type: "object",
      properties: {
        name: { type: "string", maxLength: 12 },
        kind: { enum: ["fox", "hen"] },
        age: { type: "integer", minimum: 1, maximum: 30 },
        friends: { type: "array", items: { type: "string", pattern: "^[A-Z][a-z]{1,6}$" }, maxItems: 3 },
      },
      required: ["name", "kind", "age"],
      additionalProperties: false,
    };
    for (let seed = 0; seed < 20; seed++) {
      const { text, stopReason } = await lm.complete("Once upon a time", {
        constraint: { schema },
        sampling: { seed, temperature: 2, topK: 0, topP: 1 },
      });
      assertEquals(stopReason, "endOfText");
      const value = JSON.parse(text);
      assert(value.name.length <= 24 && ["fox", "hen"].includes(value.kind) && value.age >= 1 && value.age <= 30, text);
      for (const friend of value.friends ?? []) assert(/^[A-Z][a-z]{1,6}$/.test(friend), text);
    }
  });
});
