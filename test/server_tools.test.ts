/**
 * Calls of tools through the server: whole and streamed the same, held to their schemas, and conversations with their results.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { eventsOf, serveStories, type SmallServer } from "./small-server.ts";
import { own } from "./tool-templates.ts";

const parameters = {
  type: "object",
  properties: { city: { type: "string", maxLength: 8 }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools = ["weather", "tides"].map((name) => ({
  type: "function",
  function: { name, description: "Tells.", parameters },
}));
const messages = [{ role: "user", content: "How is it?" }];

/** A call as it is told. */
interface ToldCall {
  readonly id: string;
  readonly type: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

describe("tools of a server", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories({ template: own.json.replace("{{ tools | tojson }}", "") });
  });
  after(() => small[Symbol.asyncDispose]());
  const json = async (body: unknown) => await (await small.post("/v1/chat/completions", body)).json();

  it("are called with arguments that meet their schemas, whole and streamed alike", async () => {
    for (const tool_choice of ["required", { type: "function", function: { name: "tides" } }]) {
      const body = { messages, tools, tool_choice, parallel_tool_calls: false, seed: 3, max_tokens: 200 };
      const { choices: [{ message, finish_reason }], usage } = await json(body);
      assertEquals([finish_reason, message.content, message.tool_calls.length], ["tool_calls", null, 1]);
      const [{ type, id, function: called }]: ToldCall[] = message.tool_calls;
      assert(type === "function" && id !== "" && (typeof tool_choice === "string" || called.name === "tides"));
      const { city, days } = JSON.parse(called.arguments);
      assert(typeof city === "string" && city.length <= 8 && days >= 1 && days <= 9, called.arguments);
      const events = await eventsOf(await small.post("/v1/chat/completions", { ...body, stream: true }));
      const choices = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]);
      const streamed = choices.flatMap(({ delta }) => delta.tool_calls ?? []);
      assertEquals(streamed.map((call) => call.function), [called]);
      assertEquals(choices.at(-1).finish_reason, "tool_calls");
      // The call and its result go back, and the conversation goes on.
      const result = { role: "tool", tool_call_id: id, content: "Windy." };
      const next = [...messages, message, result];
      const { choices: [after] } = await json({ messages: next, tools, tool_choice: "none", seed: 1, max_tokens: 5 });
      assertEquals([after.message.tool_calls, after.finish_reason], [undefined, "length"]);
      assert(usage.completion_tokens > 5);
    }
  });

  it("are not called where an answer is cut, and refused where they cannot be", async () => {
    const cut = await json({ messages, tools, tool_choice: "required", seed: 3, max_tokens: 6 });
    assertEquals([cut.choices[0].finish_reason, cut.choices[0].message.tool_calls], ["length", undefined]);
    const wrong: [object, string][] = [
      [{ tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
      [{ tools: {} }, "tools"],
      [{ tools, tool_choice: "always" }, "tool_choice"],
      [{ tools, tool_choice: { type: "function", function: { name: "none" } } }, "tool_choice"],
      [{ tool_choice: "required" }, "tool_choice"],
      [{ tools, stop: "x" }, "stop"],
      [{ tools, response_format: { type: "json_object" } }, "tools"],
      [{ tools, messages: [...messages, { role: "assistant", content: "Well," }] }, "messages"],
      [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].tool_call_id"],
      [
        { messages: [{ role: "assistant", tool_calls: [{ id: "1", function: { name: "f", arguments: {} } }] }] },
        "messages[0].tool_calls[0].function.arguments",
      ],
    ];
    for (const [more, param] of wrong) {
      const response = await small.post("/v1/chat/completions", { messages, max_tokens: 5, ...more });
      const { error } = await response.json();
      assertEquals([response.status, error.param], [400, param], error.message);
    }
  });
});
