/**
 * An agent with two tools: the model asks for the weather and for sums, the program answers, until there is an answer in words.
 *
 *     deno run -A examples/agent.ts model.gguf "How warm is it in Rome and in Oslo?"      (or: bun examples/agent.ts ...)
 *
 * Without a file the small story model stands in for one that knows tools: it makes something up.
 */
import process from "node:process";
import { jsonSchema, LightGPT, runTools, tool } from "../mod.ts";

const [file, question = "How warm is it in Rome?"] = process.argv.slice(2);
const tools = {
  weather: tool({
    description: "The weather of a city today.",
    input: jsonSchema<{ city: string }>({
      type: "object",
      properties: { city: { type: "string", minLength: 1, maxLength: 30 } },
      required: ["city"],
    }),
    run: ({ city }) => {
      console.log(`weather of ${city}`);
      return { city, degrees: 10 + city.length };
    },
  }),
  sum: tool({
    description: "The sum of two numbers.",
    input: jsonSchema<{ a: number; b: number }>({
      type: "object",
      properties: { a: { type: "number" }, b: { type: "number" } },
      required: ["a", "b"],
    }),
    run: ({ a, b }) => {
      console.log(`sum of ${a} and ${b}`);
      return a + b;
    },
  }),
};
/** A template for the story model, which has none. */
const template = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}" +
  '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>{% endfor %} {% endfor %}';
await using lm = await LightGPT.load(file);
const { answer, rounds } = await runTools(lm, [{ role: "user", content: question }], {
  tools,
  ...(file === undefined ? { template, toolChoice: "required" as const, rounds: 2, sampling: { seed: 6 } } : {}),
  maxTokens: 200,
  timeoutMs: 120_000,
});
console.log(`${answer.text}\n(${rounds} answers)`);
