/**
 * What a small real model takes out of short texts: with a schema every answer is an object of it, and no fewer of its fields are
 * right than without.
 *
 * @module
 */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { it } from "node:test";
import { jsonSchema, LightGPT } from "../../mod.ts";
import { note, often } from "../counts.ts";
import { half } from "../halves.ts";
import { readJson, repository } from "../kit.ts";
import { describeReal } from "./models.ts";

type Value = Readonly<Record<string, unknown>>;

const { schemas, texts } = readJson<{
  readonly schemas: Readonly<Record<string, { readonly properties: Value }>>;
  readonly texts: readonly { readonly kind: string; readonly text: string; readonly value: Value }[];
}>(repository, "bench/texts/extraction.json");

/**
 * The same schema with bounds: at temperature 0 a small model goes on with a list that need not end. What meets it meets the
 * schema.
 */
function bounded({ properties, ...rest }: { readonly properties: Value }): NonNullable<unknown> {
  const most = { maxItems: 4, maxLength: 40 };
  const inner = Object.entries(properties).map(([name, schema]) => [name, { ...(schema as Value), ...most }]);
  return { ...rest, properties: Object.fromEntries(inner) };
}

/** How many fields of a value are what the text says; of one that is none, none are. */
function right(value: unknown, wanted: Value): number {
  const found = value !== null && typeof value === "object" ? value as Value : {};
  return Object.entries(wanted).filter(([name, inner]) => {
    const got = found[name];
    if (typeof inner === "string" && typeof got === "string") return got.trim().toLowerCase() === inner.toLowerCase();
    return JSON.stringify(got) === JSON.stringify(inner);
  }).length;
}

/** The first object in an answer that is free to be anything; undefined where there is none. */
function objectIn(text: string): unknown {
  const from = text.indexOf("{");
  for (let to = text.indexOf("}", from); from >= 0 && to >= 0; to = text.indexOf("}", to + 1)) {
    try {
      return JSON.parse(text.slice(from, to + 1));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return undefined;
}

describeReal("objects by smollm2", "smollm2", (path) => {
  const skip = half === 0 && "runs on Bun's turn";
  it("are valid, and no fewer of their fields right than without a schema", { skip }, async () => {
    await using lm = await LightGPT.load(path, { context: 1024 });
    // Of each kind as many.
    const chosen = texts.filter((_, index) => index % 10 < often(1, 10));
    const options = { maxTokens: 160, sampling: { temperature: 0 } };
    let [withSchema, without, fields] = [0, 0, 0];
    for (const { kind, text, value } of chosen) {
      const names = Object.keys(schemas[kind].properties).join(", ");
      const content = `Text: ${text}\n\nWrite the ${kind} in this text as a JSON object with the fields ${names}.`;
      const messages = [{ role: "user", content }];
      const { object, text: written } = await lm.object(messages, {
        schema: jsonSchema(bounded(schemas[kind])),
        ...options,
      });
      assertEquals(object, JSON.parse(written));
      assertEquals(Object.keys(object as Value), Object.keys(schemas[kind].properties));
      withSchema += right(object, value);
      without += right(objectIn((await lm.reply(messages, options)).text), value);
      fields += Object.keys(value).length;
    }
    assert(chosen.length >= 5);
    assertGreaterOrEqual(withSchema, without);
    note(38, "fields right with a schema", withSchema);
    note(38, "fields right without", without);
    note(38, "fields", fields);
  });
});
