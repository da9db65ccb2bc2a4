/**
 * Calls of tools through the server, in every interface: whole and streamed the same, held to their schemas, conversations with
 * their results; and thoughts, which every interface tells apart.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { eventsOf, serveStories, type SmallServer } from "./small-server.ts";
import { own } from "./tool-templates.ts";

const parameters = {
  type: "object",
  properties: { city: { type: "string", maxLength: 8 }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const names = ["weather", "tides"];
const tools = names.map((name) => ({ type: "function", function: { name, description: "Tells.", parameters } }));
const messages = [{ role: "user", content: "How is it?" }];

/** A call as it is told. */
interface ToldCall {
  readonly id: string;
  readonly type: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Arguments that meet the schema. */
function checkInput({ city, days }: { city?: unknown; days?: unknown }): void {
  assert(typeof city === "string" && city.length <= 8 && typeof days === "number" && days >= 1 && days <= 9, `${city}`);
}

describe("tools of a server", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories({ template: own.json.replace("{{ tools | tojson }}", "") });
  });
  after(() => small[Symbol.asyncDispose]());
  const ask = async (path: string, body: object) => await (await small.post(path, body)).json();
  const json = (body: object) => ask("/v1/chat/completions", body);

  it("are called with arguments that meet their schemas, whole and streamed alike", async () => {
    for (const tool_choice of ["required", { type: "function", function: { name: "tides" } }]) {
      const body = { messages, tools, tool_choice, parallel_tool_calls: false, seed: 3, max_tokens: 200 };
      const { choices: [{ message, finish_reason }], usage } = await json(body);
      assertEquals([finish_reason, message.content, message.tool_calls.length], ["tool_calls", null, 1]);
      const [{ type, id, function: called }]: ToldCall[] = message.tool_calls;
      assert(type === "function" && id !== "" && (typeof tool_choice === "string" || called.name === "tides"));
      checkInput(JSON.parse(called.arguments));
      const events = await eventsOf(await small.post("/v1/chat/completions", { ...body, stream: true }));
      const choices = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]);
      const streamed = choices.flatMap(({ delta }) => delta.tool_calls ?? []);
      assertEquals([streamed[0].type, streamed[0].function.name], ["function", called.name]);
      assert(
        streamed.slice(1).every((part) => part.index === 0 && part.id === undefined && !("name" in part.function)),
      );
      assertEquals(streamed.map((part) => part.function.arguments).join(""), called.arguments);
      assertGreater(streamed.length, 5);
      assertEquals(choices.at(-1).finish_reason, "tool_calls");
      // The call and its result go back, and the conversation goes on.
      const result = { role: "tool", tool_call_id: id, content: "Windy." };
      const next = [...messages, message, result];
      const { choices: [after] } = await json({ messages: next, tools, tool_choice: "none", seed: 1, max_tokens: 5 });
      assertEquals([after.message.tool_calls, after.finish_reason], [undefined, "length"]);
      assert(usage.completion_tokens > 5);
    }
  });

  it("are the same calls in every interface, and their results go back", async () => {
    const most = { seed: 3, max_tokens: 200 };
    const one = { tool_choice: "required", parallel_tool_calls: false };
    const { choices: [{ message }] } = await json({ messages, tools, ...one, ...most });
    const calls = message.tool_calls.map(({ function: called }: ToldCall) => called);
    const result = { role: "tool", tool_call_id: "x", content: "Windy." };
    const next = { messages: [...messages, message, result], tools, seed: 1, max_tokens: 8 };
    const expected = (await json(next)).choices[0].message;

    const flat = names.map((name) => ({ type: "function", name, description: "Tells.", parameters }));
    const asked = { input: messages, tools: flat, seed: 3, max_output_tokens: 200 };
    const response = await ask("/v1/responses", { ...asked, ...one });
    const items = response.output.filter(({ type }: { type: string }) => type === "function_call");
    assertEquals(items.map(({ name, arguments: text }: Record<string, string>) => ({ name, arguments: text })), calls);
    const results = items.map(({ call_id }: { call_id: string }) => ({
      type: "function_call_output",
      call_id,
      output: "Windy.",
    }));
    const later = { ...asked, seed: 1, max_output_tokens: 8 };
    const byId = await ask("/v1/responses", { ...later, previous_response_id: response.id, input: results });
    const byItems = await ask("/v1/responses", { ...later, input: [...messages, ...response.output, ...results] });
    assertEquals(byId.output[0].content, byItems.output[0].content);
    assertEquals(byId.output[0].content[0].text, expected.content);

    const anthropic = names.map((name) => ({ name, description: "Tells.", input_schema: parameters }));
    const ours = { messages, tools: anthropic, tool_choice: { type: "any", disable_parallel_tool_use: true }, ...most };
    const { content, stop_reason } = await ask("/v1/messages", ours);
    assertEquals(stop_reason, "tool_use");
    const told = content.map(({ name, input }: { name: string; input: object }) => [name, input]);
    assertEquals(told, calls.map((call: ToldCall["function"]) => [call.name, JSON.parse(call.arguments)]));
    const answered = content.map(({ id }: { id: string }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: [{ type: "text", text: "Windy." }],
    }));
    const turns = [...messages, { role: "assistant", content }, { role: "user", content: answered }];
    const then = await ask("/v1/messages", { messages: turns, tools: anthropic, seed: 1, max_tokens: 8 });
    assertEquals(then.content[0].text, byId.output[0].content[0].text);

    const held = { messages, tools, stream: false, options: { seed: 3, num_predict: 200 } };
    const { message: spoken } = await ask("/api/chat", held);
    assertEquals(spoken.role, "assistant");
    const lines = (await (await small.post("/api/chat", { ...held, stream: true })).text()).trimEnd().split("\n");
    const parts = lines.map((line) => JSON.parse(line).message);
    assertEquals(parts.map((part) => part.content).join(""), spoken.content);
    const withoutIds = (list: readonly { function: unknown }[] = []) => list.map((call) => call.function);
    assertEquals(withoutIds(parts.flatMap((part) => part.tool_calls ?? [])), withoutIds(spoken.tool_calls));
    const input = JSON.parse(calls[0].arguments);
    const talk = [
      ...messages,
      { role: "assistant", content: "", tool_calls: [{ function: { name: calls[0].name, arguments: input } }] },
      { role: "tool", content: "Windy.", tool_name: calls[0].name },
    ];
    const last = await ask("/api/chat", { messages: talk, tools, stream: false, options: { seed: 1, num_predict: 8 } });
    assertEquals(last.message.content, expected.content);
  });

  it("come as the events of each interface", async () => {
    const flat = names.map((name) => ({ type: "function", name, parameters }));
    const asked = { input: messages, tools: flat, tool_choice: "required", seed: 3, max_output_tokens: 200 };
    const whole = await ask("/v1/responses", asked);
    const events = (await eventsOf(await small.post("/v1/responses", { ...asked, stream: true })))
      .map((event) => JSON.parse(event));
    assertEquals(events.map(({ sequence_number }) => sequence_number), events.map((_, index) => index));
    const bare = (items: Record<string, unknown>[]) => items.map(({ id: _, call_id: __, ...item }) => item);
    assertEquals(bare(events.at(-1).response.output), bare(whole.output));
    const done = events.filter(({ type }) => type === "response.output_item.done").map(({ item }) => item);
    assertEquals(done, events.at(-1).response.output);
    const deltas = events.filter(({ type }) => type === "response.function_call_arguments.delta");
    const grown = done.map(({ id }) => deltas.map((one) => one.item_id === id ? one.delta : "").join(""));
    assertEquals(grown, done.map((item) => item.arguments));
    assertGreater(deltas.length, 3 * done.length);

    const anthropic = names.map((name) => ({ name, input_schema: parameters }));
    const body = { messages, tools: anthropic, tool_choice: { type: "tool", name: "tides" }, seed: 3, max_tokens: 200 };
    const { content } = await ask("/v1/messages", body);
    const parts = (await eventsOf(await small.post("/v1/messages", { ...body, stream: true })))
      .map((event) => JSON.parse(event));
    const blocks: { name: string; text: string }[] = [];
    for (const { type, content_block, delta, index } of parts) {
      if (type === "content_block_start") blocks[index] = { name: content_block.name, text: "" };
      if (type === "content_block_delta") blocks[index].text += delta.partial_json;
    }
    assertEquals(
      blocks.map(({ name, text }) => [name, JSON.parse(text)]),
      content.map(({ name, input }: { name: string; input: object }) => [name, input]),
    );
    assertEquals(parts.find(({ type }) => type === "message_delta").delta.stop_reason, "tool_use");
    assertGreater(parts.filter(({ type }) => type === "content_block_delta").length, 5);
  });

  it("are not called where an answer is cut, and refused where they cannot be", async () => {
    const cut = await json({ messages, tools, tool_choice: "required", seed: 3, max_tokens: 6 });
    assertEquals([cut.choices[0].finish_reason, cut.choices[0].message.tool_calls], ["length", undefined]);
    const flat = names.map((name) => ({ type: "function", name, parameters }));
    const short = { input: "?", tools: flat, tool_choice: "required", seed: 3, max_output_tokens: 6 };
    const { status, output } = await ask("/v1/responses", short);
    assertEquals([status, output.map(({ type }: { type: string }) => type)], ["incomplete", ["message"]]);
    // One whose name has come is an item that is incomplete.
    const later = { ...short, max_output_tokens: 44 };
    const whole = (await ask("/v1/responses", later)).output;
    const stream = (await eventsOf(await small.post("/v1/responses", { ...later, stream: true })))
      .map((event) => JSON.parse(event)).at(-1).response;
    for (const items of [whole, stream.output]) {
      assertEquals(items.map((item: { type: string; status: string }) => [item.type, item.status]), [[
        "function_call",
        "incomplete",
      ]]);
    }
    assertEquals([stream.status, stream.output[0].arguments], ["incomplete", whole[0].arguments]);
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

it("thoughts are told apart in every interface, and their tokens counted", async () => {
  await using small = await serveStories({ template: own.thinking });
  const ask = async (path: string, body: object) => await (await small.post(path, body)).json();
  // The mark that ends thoughts comes at once: what stands before it is a thought, what comes behind it the answer.
  const constraint = { regex: "Hm, so\\.</think>It is so\\." };
  const submit = small.lm.batcher.submit.bind(small.lm.batcher);
  small.lm.batcher.submit = (request) => submit({ ...request, constraint });
  const most = { seed: 1, max_tokens: 90 };
  const { choices: [{ message }], usage } = await ask("/v1/chat/completions", { messages, ...most });
  assertEquals([message.reasoning_content, message.content], ["Hm, so.", "It is so."]);
  const { reasoning_tokens } = usage.completion_tokens_details;
  assert(reasoning_tokens > 2 && reasoning_tokens < usage.completion_tokens, `${reasoning_tokens}`);
  const response = await ask("/v1/responses", { input: messages, seed: 1, max_output_tokens: 90 });
  assertEquals(
    response.output.map(({ type, content }: { type: string; content: { text: string }[] }) => [type, content[0].text]),
    [["reasoning", "Hm, so."], ["message", "It is so."]],
  );
  assertEquals(response.usage.output_tokens_details.reasoning_tokens, reasoning_tokens);
  const events = (await eventsOf(
    await small.post("/v1/responses", { input: messages, seed: 1, max_output_tokens: 90, stream: true }),
  )).map((event) => JSON.parse(event));
  const joined = (type: string) => events.map((event) => event.type === type ? event.delta : "").join("");
  assertEquals(joined("response.reasoning_text.delta"), "Hm, so.");
  assertEquals(joined("response.output_text.delta"), "It is so.");
  const { content } = await ask("/v1/messages", { messages, ...most });
  assertEquals(content, [{ type: "thinking", thinking: "Hm, so.", signature: "" }, {
    type: "text",
    text: "It is so.",
  }]);
  // Anthropic's blocks go back as they came.
  const turns = [...messages, { role: "assistant", content }, messages[0]];
  assertEquals((await small.post("/v1/messages", { messages: turns, ...most })).status, 200);
  const { message: line } = await ask("/api/chat", { messages, stream: false, options: { seed: 1, num_predict: 90 } });
  assertEquals([line.thinking, line.content], ["Hm, so.", "It is so."]);
});
