/**
 * Schemas at their edges: opposites where nothing is left, numbers whose digits say more than their doubles, and properties under
 * names that a schema does not list.
 *
 * @module
 */
import { assert } from "@std/assert";
import { describe, it } from "node:test";
import { Grammar } from "../mod.ts";
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
});
