/**
 * The keywords of JSON Schema: those of each draft, slips of them, and references that would have to be fetched.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { Grammar, InvalidArgumentError, type Tokenizer, UnsupportedError } from "../mod.ts";
import { ANNOTATIONS, ENFORCED, REFUSED } from "../src/grammar/schema/keywords.ts";
import { vocabularyWith } from "./tool-templates.ts";

const tokenizer: Tokenizer = await vocabularyWith([]);

/** What each draft has that none before it had, as the drafts list it; draft 3 only what later ones do not have. */
const drafts: Readonly<Record<string, string>> = {
  "draft 3": "extends disallow divisibleBy",
  "draft 4": "id $schema $ref title description default multipleOf maximum exclusiveMaximum minimum exclusiveMinimum " +
    "maxLength minLength pattern additionalItems items maxItems minItems uniqueItems maxProperties minProperties " +
    "required additionalProperties definitions properties patternProperties dependencies enum type allOf anyOf oneOf " +
    "not format",
  "draft 6": "$id examples contains propertyNames const",
  "draft 7": "$comment readOnly writeOnly contentMediaType contentEncoding if then else",
  "2019-09": "$anchor $recursiveRef $recursiveAnchor $vocabulary $defs deprecated minContains maxContains " +
    "dependentRequired dependentSchemas unevaluatedItems unevaluatedProperties contentSchema",
  "2020-12": "$dynamicRef $dynamicAnchor prefixItems",
};

describe("keywords", () => {
  const all = [...ENFORCED, ...ANNOTATIONS, ...REFUSED];

  it("of all drafts are in one list each, and no other names are", () => {
    assertEquals(all.toSorted(), Object.values(drafts).flatMap((names) => names.split(" ")).toSorted());
  });

  it("that draft 3 alone had are refused by name", async () => {
    assertEquals(REFUSED, drafts["draft 3"].split(" "));
    for (const keyword of REFUSED) {
      await assertRejects(() => Grammar.schema({ [keyword]: 2 }, tokenizer), UnsupportedError, keyword);
    }
  });

  it("with a letter too few, too many or in the wrong place are refused with what is meant", async () => {
    const slips = [["maxLenght", "maxLength"], ["maxmum", "maximum"], ["propertys", ""]];
    for (const keyword of ENFORCED.filter((name) => name.length > 6 && name[0] !== "$")) {
      const [begin, end] = [keyword.slice(0, 3), keyword.slice(4)];
      for (
        const slip of [
          begin + end,
          `${begin}${keyword[3]}${keyword[3]}${end}`,
          begin + end[0] + keyword[3] + end.slice(1),
        ]
      ) {
        if (!all.includes(slip)) slips.push([slip, keyword]);
      }
    }
    for (const [slip, meant] of slips) {
      const made = () => Grammar.schema({ [slip]: 3 }, tokenizer);
      if (meant === "") assertEquals((await made()).ignored, [slip]);
      else await assertRejects(made, InvalidArgumentError, `${meant}, if that is meant`);
    }
  });
});

describe("references to other documents", () => {
  it("are refused, and nothing is fetched", async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      response.end('{"type":"integer"}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const schemas = [
      { $ref: `${origin}/integer.json` },
      { $id: `${origin}/root.json`, properties: { a: { $ref: "integer.json" } } },
      { items: { $dynamicRef: `${origin}/integer.json#node` } },
      { $schema: `${origin}/meta.json`, $ref: `${origin}/integer.json#/definitions/a` },
    ];
    for (const schema of schemas) {
      await assertRejects(() => Grammar.schema(schema, tokenizer), UnsupportedError, "a reference inside the schema");
    }
    // Names of documents that nothing refers to are no references.
    await Grammar.schema({ $id: `${origin}/root.json`, $schema: `${origin}/meta.json`, type: "integer" }, tokenizer);
    await new Promise((resolve) => server.close(resolve));
    assertEquals(asked, 0);
  });
});
