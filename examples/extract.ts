/**
 * Takes what a text says of a person, as an object whose fields have types. Whatever model it is: the object has these fields.
 *
 *     deno run -A examples/extract.ts "My neighbour Ada Klein, who is 71, moved here from Trier." model.gguf
 *
 * The small story model only shows how it goes; give one that follows instructions to get what the text says.
 */
import process from "node:process";
import { jsonSchema, LightGPT, ObjectError } from "../mod.ts";

const [text = "My neighbour Ada Klein, who is 71, moved here from Trier.", model] = process.argv.slice(2);
await using lm = await LightGPT.load(model);

/** A schema of zod, arktype or valibot does as well, and needs no type beside it. */
const person = jsonSchema<{ name: string; age: number; city: string | null }>({
  type: "object",
  properties: {
    name: { type: "string", maxLength: 30 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    city: { type: ["string", "null"], maxLength: 30 },
  },
  required: ["name", "age", "city"],
});
try {
  const { object } = await lm.object(`Text: ${text}\nThe person in the text, as JSON:\n`, {
    schema: person,
    maxTokens: 120,
    sampling: { temperature: 0 },
  });
  console.log(`${object.name}, ${object.age}, of ${object.city ?? "nowhere"}`);
} catch (error) {
  // The only way not to get an object: it was cut. The rest are mistakes of the program.
  if (!(error instanceof ObjectError)) throw error;
  console.log(`cut after: ${error.text}`);
}
