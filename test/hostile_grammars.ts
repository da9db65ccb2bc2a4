/**
 * Entries for hostile values: grammars, and objects of schemas.
 *
 * @module
 */
import * as face from "../mod.ts";
import { schemaFields } from "../src/grammar/schema_options.ts";
import { objectFields } from "../src/lightgpt/object_options.ts";
import { argument, drain, options } from "./hostile_entries.ts";

/** Adds the entries. */
export function grammarEntries(lm: face.LightGPT): void {
  const { tokenizer } = lm.model;
  for (const name of ["regex", "gbnf", "lark", "schema", "choice"] as const) {
    argument(`Grammar.${name}`, (value) => face.Grammar[name](value, tokenizer));
    argument(`Grammar.${name} tokenizer`, (value) => face.Grammar[name]("a" as never, value));
  }
  options("Grammar.schema", schemaFields, (value) => face.Grammar.schema(true, tokenizer, value));
  const made = face.Grammar.choice(["a"], tokenizer);
  argument("Grammar.checkTokenizer", async (value) => (await made).checkTokenizer(value));
  const call = (name: "accept" | "allows" | "follow") => async (value: never) => (await made).matcher()[name](value);
  (["accept", "allows", "follow"] as const).forEach((name) => argument(`Grammar.${name}`, call(name)));
  const prompt = "Once";
  const schema = face.jsonSchema({ enum: [1] });
  argument("jsonSchema schema", (value) => face.jsonSchema(value));
  argument("jsonSchema validate", (value) => face.jsonSchema({}, value));
  argument("LightGPT.object prompt", (value) => lm.object(value, { schema }));
  options("LightGPT.object", objectFields, (value) => lm.object(prompt, value), { schema });
  argument("LightGPT.objectStream prompt", (value) => drain(lm.objectStream(value, { schema })));
  options("LightGPT.objectStream", objectFields, (value) => drain(lm.objectStream(prompt, value)), { schema });
  argument("Sampler grammar", (value) => new face.Sampler({ grammar: value }));
  argument("Sampler.begin", (value) => new face.Sampler().begin(value));
}
