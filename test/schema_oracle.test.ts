/**
 * Another's verdicts: each schema of `data/ajv-verdicts.json`, of drafts 4 to 2020-12, with the values that ajv 8 and ajv-draft-04
 * found valid of those listed there. Where ours differ, the standard says so, or more is enforced than it asks for.
 *
 * @module
 */
import { assert, assertGreater } from "@std/assert";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Grammar } from "../mod.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";

useTokenizer();

type Schema = Readonly<Record<string, unknown>>;

/** JSON in strings, so that a schema is a line. */
interface Verdicts {
  readonly values: string;
  /** Each schema, and a 1 for each value that is valid, else 0. */
  readonly schemas: readonly { readonly schema: string; readonly valid: string }[];
}

/** Why more values fit than ajv finds. */
function whyMore({ $schema, $ref, multipleOf }: Schema): string | undefined {
  if ($ref !== undefined && /draft-0[467]/.test(String($schema))) return "up to draft 7 nothing beside $ref counts";
  if (multipleOf === 0.1) return "0.3 is a multiple of 0.1, if not in floats";
  return undefined;
}

/** Why fewer values fit. */
function whyFewer({ $schema, format, nullable, ...keywords }: Schema): string | undefined {
  if (format !== undefined) return "formats are enforced";
  if (nullable !== undefined) return "a word of OpenAPI 3.0 that no draft knows";
  const later = ["minContains", "dependentRequired", "unevaluatedProperties"].some((name) => name in keywords);
  return later && String($schema).includes("draft-07") ? "keywords of later drafts are enforced in all" : undefined;
}

describe("schemas and values that ajv has judged", () => {
  it("get the same verdicts, but where the reason is known", async () => {
    const { values, schemas }: Verdicts = JSON.parse(
      readFileSync(new URL("data/ajv-verdicts.json", import.meta.url), "utf8"),
    );
    const texts = (JSON.parse(values) as unknown[]).map((value) => JSON.stringify(value));
    let same = 0;
    for (const { schema: told, valid } of schemas) {
      const schema: Schema = JSON.parse(told);
      const grammar = await Grammar.schema(schema, tokenizer);
      const [more, fewer] = [whyMore(schema), whyFewer(schema)];
      for (const [index, text] of texts.entries()) {
        const [ours, theirs] = [has(grammar, text), valid[index] === "1"];
        if (ours === theirs) same++;
        else assert((ours ? more : fewer) !== undefined, `${told}: ${text} is ${ours ? "accepted" : "rejected"}`);
      }
    }
    assertGreater(same, 6890);
  });
});
