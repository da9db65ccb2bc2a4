/**
 * Schemas at their edges: opposites where nothing is left, numbers whose digits say more than their doubles, properties under
 * names that a schema does not list, patterns that look ahead, and formats.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { Grammar, InvalidArgumentError, LightGPTError, UnsupportedError } from "../mod.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";

useTokenizer();

describe("a schema", () => {
  async function verdicts(schema: unknown, accepted: readonly string[], rejected: readonly string[]): Promise<void> {
    const grammar = await Grammar.schema(schema, tokenizer);
    for (const text of accepted) assert(has(grammar, text), `${text} by ${JSON.stringify(schema)}`);
    for (const text of rejected) assert(!has(grammar, text), `${text} by ${JSON.stringify(schema)}`);
  }

  it("is not mistaken for what it gives where nothing is left to be met", async () => {
    await verdicts({ not: { oneOf: [{ type: "string" }, { type: "integer" }, false] } }, ["null", "[]"], ['"a"', "1"]);
    await verdicts({ not: { oneOf: [{}, false, {}] } }, ['"a"', "1", "[]"], []);
  });

  it("holds numbers by the doubles that are read of them, not by digits alone", async () => {
    const [below, above] = ["0.99999999999999999", "1.0000000000000001"]; // both are read as 1
    await verdicts({ exclusiveMaximum: 1 }, ["0.9999999999999999", "-3"], [below, "1"]);
    await verdicts({ exclusiveMinimum: 1 }, ["1.0000000000000002", "2"], [above, "1"]);
    await verdicts({ exclusiveMinimum: 0 }, ["0.00000000000000001"], ["0", "-0.0", "-1"]);
    await verdicts({ exclusiveMaximum: -1 }, ["-1.0000000000000002"], ["-1.00000000000000001", "-1", "0"]);
    await verdicts({ exclusiveMinimum: Number.MAX_VALUE }, ['"a"'], ["1"]);
    await verdicts({ not: { minimum: 1 } }, ["0.5"], [below, "1"]);
    await verdicts({ not: { maximum: 1 } }, ["1.5"], [above, "1"]);
    await verdicts({ not: { exclusiveMinimum: 5 } }, ["5", "4"], ["5.0000000000000008"]);
    await verdicts({ not: { const: 1 } }, ["0.9999999999999999", '"a"'], [below, above, "1.0"]);
    const fractions = ["0.5", "0.30000000000000004", "1700000000.05", "-0.05000000000000001", "99999999999999.5"];
    await verdicts({ not: { type: "integer" } }, fractions, [below, above, "12345678901234567.5", "3.0"]);
    await verdicts({ multipleOf: 3 }, ["-9", "9007199254740990"], ["11881999942397031", "4"]);
    await verdicts({ not: { multipleOf: 2 } }, ["3", "-1.5"], ["9007199254740993", "1.99999999999999999", "4"]);
    await verdicts({ not: { multipleOf: 0.5 } }, ["0.3", "1.25"], ["54631204280969881.1", "0.5"]);
  });

  it("has the property that breaks a schema of names at any place, and the one whose value does at the last", async () => {
    const names = { type: "object", not: { propertyNames: { pattern: "^[ak]" } } };
    await verdicts(names, ['{"q":1,"ab":2}', '{"ab":2,"q":1}'], ['{"ab":1}', "{}"]);
    await verdicts({ ...names, properties: { k: {} } }, ['{"q":1,"ab":2}', '{"ab":2,"q":1,"k":3}'], ['{"k":1}', "{}"]);
    await verdicts({ ...names, properties: { k: {} }, maxProperties: 2 }, ['{"q":1,"ab":2}', '{"k":2,"q":1}'], [
      '{"k":1,"q":1,"ab":2}',
      '{"k":1,"ab":1}',
    ]);
    const values = { type: "object", not: { additionalProperties: { type: "integer" } } };
    await verdicts(values, ['{"a":1,"b":"x"}'], ['{"b":"x","b":1}', '{"a":1}']);
  });

  it("counts properties under names that it does not list, where those are few", async () => {
    const pair = ['{"a":1,"b":2}', '{"b":1,"a":2}'];
    await verdicts({ type: "object", propertyNames: { enum: ["a", "b"] }, minProperties: 2 }, pair, [
      '{"a":1}',
      '{"a":1,"a":2}',
      '{"a":1,"c":2}',
    ]);
    const named = { patternProperties: { "^[ab]$": { type: "integer" } }, additionalProperties: false };
    await verdicts({ type: "object", ...named, minProperties: 2 }, pair, ['{"a":1}', '{"a":1,"b":"x"}']);
    await verdicts({ not: { enum: [{ a: 1 }, {}] } }, ['{"a":2}', '{"b":1}', '{"b":2,"a":1}', '{"b":1,"c":2}'], [
      '{"a":1}',
      "{}",
    ]);
  });

  it("has patterns that look ahead from the beginning", async () => {
    const patterns = [
      "^(?!@@)[@ab-]+$",
      "^(?=.*b)(?!.*aa)[ab@]{2,4}$",
      "^(?!a(b|@)*$)[ab@]+|^c",
      "^(?:a|(?!b)(?=[@-])[ab@-]*)$",
      "^(?=a(?=b))ab?",
      "^(a(?!b))?(@(?=a))?[ab@]*$",
    ];
    const letters = ["", "a", "b", "@", "-", "c"];
    const texts = new Set(letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c))));
    for (const pattern of patterns) {
      const own = new RegExp(pattern, "u");
      const [fit, others] = [true, false].map((fits) =>
        Array.from(texts).filter((text) => own.test(text) === fits).map((text) => JSON.stringify(text))
      );
      await verdicts({ type: "string", pattern }, fit, others);
    }
    for (const pattern of ["^((?!a)b)*$", "^a$(?=b)", "(?!a)", "^(?<!a)b"]) {
      await assertRejects(() => Grammar.schema({ pattern }, tokenizer), UnsupportedError, "/pattern");
    }
    for (const pattern of ["^(?!a){1}", "a{1}{2}", "^(?!a"]) {
      await assertRejects(() => Grammar.schema({ pattern }, tokenizer), InvalidArgumentError, "/pattern");
    }
  });

  it("narrows formats that are to be met, and widens those that are not", async () => {
    await verdicts({ format: "regex" }, ['"^(a|[b-d]{2,10}?)+$"', '""', '"\\\\d"'], [
      '"("',
      '"[b-a]"',
      '"a{3,2}"',
      '"*"',
    ]);
    await verdicts({ format: "url" }, ['"https://a-b.example.org:8080/x?y=1#z"'], ['"mailto:a@b.cd"', '"http://a"']);
    await verdicts({ format: "semver" }, ['"1.0.0"', '"1.2.3-rc.1+b.5"'], ['"1.0"', '"01.0.0"', '"1.0.0-01"']);
    await verdicts({ format: "cidr" }, ['"10.0.0.0/16"', '"::1/128"'], ['"10.0.0.0"', '"10.0.0.0/33"']);
    await verdicts({ format: "uri" }, ['"a:b"'], ['"a:"']);
    await verdicts({ format: "email" }, ['"a@b.c"'], ['"a@b"']);
    await verdicts({ type: "string", not: { format: "date-time" } }, ['"x"', '"2020-01-01"'], [
      '"2020-01-01t00:00:00z"',
      '"2020-01-01T23:59:60Z"',
    ]);
    await verdicts(
      { oneOf: [{ format: "date" }, { format: "date-time" }] },
      ['"2020-01-01"', '"2020-01-01T00:00:00Z"'],
      [
        '"x"',
        "1",
      ],
    );
    const email = { type: "object", not: { propertyNames: { format: "email" } } };
    await verdicts(email, ['{"a":1}'], ['{"a@b.c":1}', "{\"'@'@b\":1}"]);
    await verdicts({ format: "int32" }, ["2147483647", "-2147483648.0", '"a"'], ["2147483648", "1.5"]);
    await verdicts({ type: ["integer", "string"], format: "uint8" }, ["255", '"a"'], ["256", "-1"]);
    await assertRejects(
      () => Grammar.schema({ type: "string", format: "int64" }, tokenizer),
      UnsupportedError,
      "int64",
    );
  });

  it("takes the pattern beside a format for what a library means by it", async () => {
    const starts = { type: "string", format: "starts_with", pattern: "^ab" };
    await verdicts(starts, ['"abc"'], ['"b"']);
    assertEquals((await Grammar.schema(starts, tokenizer)).ignored, ["format starts_with"]);
    await assertRejects(() => Grammar.schema(starts, tokenizer, { unknown: "refuse" }), UnsupportedError, "/format");
    const named = { type: "string", format: "idn-hostname", pattern: "^ab" };
    await assertRejects(() => Grammar.schema(named, tokenizer), UnsupportedError, "idn-hostname");
  });

  it("has a hundred properties in any order, each once", async () => {
    const names = Array.from({ length: 100 }, (_, index) => `name${index}`);
    const schema = {
      properties: Object.fromEntries(names.map((name) => [name, { type: "boolean" }])),
      required: names.slice(50),
      additionalProperties: false,
    };
    const text = (names: readonly string[]) => `{${names.map((name) => `"${name}":true`).join()}}`;
    await verdicts({ type: "object", ...schema }, [text(names), text(names.toReversed()), text(names.slice(50))], [
      text(names.slice(51)),
      text([...names, "name7"]),
      text(names.slice(0, 99)),
    ]);
  });

  it("needs properties of several names, each of its own or one for all", async () => {
    const breaks = (names: string, value: unknown) => ({ not: { patternProperties: { [names]: value } } });
    const two = { type: "object", allOf: [breaks("a", { type: "integer" }), breaks("b", { type: "string" })] };
    for (const order of ["any", "schema"] as const) {
      const grammar = await Grammar.schema(two, tokenizer, { order });
      for (const text of ['{"a":"x","b":1}', '{"b":1,"a":"x"}', '{"ab":null}', '{"a":1,"xa":"x","b":1,"c":1}']) {
        assert(has(grammar, text), `${text} in ${order} order`);
      }
      for (const text of ['{"a":"x"}', '{"b":1}', '{"a":1,"b":1}', '{"a":"x","b":1,"b":"y"}', "{}"]) {
        assert(!has(grammar, text), `${text} in ${order} order`);
      }
      const one = await Grammar.schema({ ...two, maxProperties: 1 }, tokenizer, { order });
      assert(has(one, '{"ba":null}') && !has(one, '{"a":"x","b":1}') && !has(one, '{"ab":"x"}'));
      const bounded = await Grammar.schema({ ...two, maxProperties: 3 }, tokenizer, { order });
      assert(has(bounded, '{"c":0,"a":"x","b":1}') && !has(bounded, '{"c":0,"d":0,"a":"x","b":1}'));
    }
    const few = { type: "object", allOf: [breaks("^(a|b)$", { type: "null" }), breaks("^(b|c)$", { type: "null" })] };
    await verdicts(few, ['{"b":1}', '{"b":1,"x":2}', '{"c":1,"a":2}'], ['{"a":1}', '{"b":null}', "{}"]);
    const values = { type: "object", not: { patternProperties: { "^a": { type: "integer" } } } };
    await verdicts(values, ['{"ab":"x","b":1}', '{"ab":"x","ac":"y"}', '{"ac":1,"ab":"x"}'], ['{"b":1}', "{}"]);
  });

  it("is refused with the place of what is wrong, and without its values becoming others", async () => {
    const refused: [unknown, string][] = [
      [{ $ref: "#/%zz" }, "percent signs"],
      [{ $ref: "#/x-more/y", "x-more": { y: { maxmum: 3 } } }, "/x-more/y"],
      [{ properties: { a: { type: "array", uniqueItems: true } } }, "/properties/a/uniqueItems"],
      [{ items: { type: "object", minProperties: 3 } }, "/items/minProperties"],
      [{ divisibleBy: 3 }, "divisibleBy"],
      [{ const: Infinity }, "a finite number at const"],
      [{ enum: [NaN] }, "a finite number at 0"],
    ];
    for (const [schema, words] of refused) {
      await assertRejects(() => Grammar.schema(schema, tokenizer), LightGPTError, words);
    }
  });

  it("has the names that its draft gives, and drafts where documents begin", async () => {
    const inner = { id: "inner", $ref: "#/definitions/text" };
    const schema = { properties: { a: inner }, definitions: { text: { id: "text", type: "string" } } };
    for (const draft of [7, 6]) {
      await verdicts({ $schema: `http://json-schema.org/draft-0${draft}/schema#`, ...schema }, ['{"a":"x"}'], [
        '{"a":1}',
      ]);
    }
    const old = { $schema: "http://json-schema.org/draft-04/schema", id: "old", properties: { a: inner } };
    await verdicts({ definitions: { ...schema.definitions, old }, $ref: "#/definitions/old" }, ['{"a":"x"}'], [
      '{"a":1}',
    ]);
  });
});
