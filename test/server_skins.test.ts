/**
 * The server in the interfaces of Anthropic and Ollama: the same job gives the same text as in OpenAI's and in process, whole and
 * streamed, and what is wrong is told in each interface's own form.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { after, before, describe, it } from "node:test";
import type { Completion } from "../mod.ts";
import { serveStories, type SmallServer, template } from "./small-server.ts";

const messages = [{ role: "system", content: "Tell." }, { role: "user", content: "Of a fox." }];
const turns = messages.slice(1);

/** The events of Anthropic's streams. */
interface AnthropicEvent {
  readonly type: string;
  readonly delta?: { readonly text?: string; readonly stop_reason?: string; readonly stop_sequence?: string | null };
  readonly usage?: Record<string, number>;
  readonly message?: { readonly usage: Record<string, number> };
}

describe("the skins of a server", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories();
  });
  after(() => small[Symbol.asyncDispose]());

  const json = async (path: string, body: unknown) => await (await small.post(path, body)).json();
  const lines = async (path: string, body: unknown) =>
    (await (await small.post(path, body)).text()).trimEnd().split("\n").map((line) => JSON.parse(line));
  const reply = (options: object): Promise<Completion> => small.lm.reply(messages, { template, ...options });

  it("of Anthropic: a message, its events, its counts", async () => {
    for (const [stop, max_tokens] of [[[], 20], [[".", ","], 80]] as const) {
      const sampling = { temperature: 1, seed: 5, topK: 20 };
      const expected = await reply({ sampling, maxTokens: max_tokens, stop });
      const body = {
        model: "stories",
        system: [{ type: "text", text: "Tell.", cache_control: { type: "ephemeral" } }],
        messages: turns,
        max_tokens,
        stop_sequences: stop,
        temperature: 1,
        top_k: 20,
        seed: 5,
      };
      const whole = await json("/v1/messages", body);
      const reason = expected.stop === undefined ? "max_tokens" : "stop_sequence";
      assertEquals(whole.content, [{ type: "text", text: expected.text }]);
      assertEquals([whole.stop_reason, whole.stop_sequence], [reason, expected.stop ?? null]);
      const { input_tokens, cache_read_input_tokens, output_tokens } = whole.usage;
      assertEquals(input_tokens + cache_read_input_tokens, expected.promptTokens);
      assertEquals(output_tokens, expected.generatedTokens);
      const response = await small.post("/v1/messages", { ...body, stream: true });
      const text = await response.text();
      const events = text.trimEnd().split("\n\n").map((event) => {
        const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(event) as RegExpExecArray;
        const parsed: AnthropicEvent = JSON.parse(data);
        assertEquals(parsed.type, name);
        return parsed;
      });
      const types = events.map(({ type }) => type).filter((type) => type !== "content_block_delta");
      const [start, ...rest] = [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
      ];
      assertEquals(types, [start, ...rest]);
      assertEquals(events.map(({ delta }) => delta?.text ?? "").join(""), expected.text);
      const last = events.at(-2);
      assertEquals([last?.delta?.stop_reason, last?.delta?.stop_sequence], [reason, expected.stop ?? null]);
      assertEquals(last?.usage?.output_tokens, expected.generatedTokens);
    }
    const count = await json("/v1/messages/count_tokens", { model: "stories", system: "Tell.", messages: turns });
    assertEquals(count, { input_tokens: (await small.lm.chatTokens(messages, { template })).length });
  });

  it("of Ollama: lines, counts, and the options of its own", async () => {
    const sampling = { temperature: 1.1, topK: 30, minP: 0.01, seed: 8, penalties: { repetition: 1.2, window: 20 } };
    const expected = await reply({ sampling, maxTokens: 18 });
    const options = { temperature: 1.1, top_k: 30, min_p: 0.01, seed: 8, repeat_penalty: 1.2, repeat_last_n: 20 };
    const body = { model: "stories:latest", messages, options: { ...options, num_predict: 18, num_ctx: 256 } };
    const whole = await json("/api/chat", { ...body, stream: false });
    assertEquals(whole.message, { role: "assistant", content: expected.text });
    const counts = [whole.done, whole.done_reason, whole.prompt_eval_count, whole.eval_count];
    assertEquals(counts, [true, "length", expected.promptTokens, 18]);
    const streamed = await lines("/api/chat", body);
    assertEquals(streamed.map(({ message }) => message.content).join(""), expected.text);
    assertEquals(streamed.map(({ done }) => done).lastIndexOf(false), streamed.length - 2);
    assertEquals(streamed.at(-1).eval_count, 18);
    const { messages: _, ...rest } = body;
    const generated = await json("/api/generate", { ...rest, system: "Tell.", prompt: "Of a fox.", stream: false });
    assertEquals(generated.response, expected.text);
    const raw = await json("/api/generate", { ...rest, prompt: "The fox", raw: true, stream: false });
    assertEquals(raw.response, (await small.lm.complete("The fox", { sampling, maxTokens: 18 })).text);
    const surprise = { mirostat: 2, mirostat_tau: 3, seed: 1, num_predict: 9 };
    const { response } = await json("/api/generate", {
      prompt: "The fox",
      raw: true,
      stream: false,
      options: surprise,
    });
    const same = { sampling: { mirostat: { tau: 3 }, seed: 1 }, maxTokens: 9 };
    assertEquals(response, (await small.lm.complete("The fox", same)).text);
    const schema = { type: "object", properties: { red: { type: "boolean" } }, required: ["red"] };
    const held = await json("/api/chat", {
      messages,
      format: schema,
      stream: false,
      options: { seed: 1, num_predict: 99 },
    });
    if (held.done_reason === "stop") assert("red" in JSON.parse(held.message.content));
  });

  it("of Ollama: what there is, and a request that only loads", async () => {
    const { models: [{ name, details }] } = await (await small.get("/api/tags")).json();
    assertEquals([name, details.family], ["stories", "llama"]);
    const shown = await json("/api/show", { model: "stories" });
    assertEquals([shown.template, shown.model_info["general.architecture"]], [template, "llama"]);
    assert((await (await small.get("/api/version")).json()).version !== "");
    for (const path of ["/api/chat", "/api/generate"]) {
      assertEquals((await json(path, { model: "stories", stream: false })).done_reason, "load");
      assertEquals((await lines(path, { model: "stories" })).map(({ done_reason }) => done_reason), ["load"]);
    }
  });

  it("of OpenAI's responses: whole, events with their numbers, and conversations that go on", async () => {
    const sampling = { temperature: 1, seed: 5 };
    const expected = await reply({ sampling, maxTokens: 20, logprobs: 1 });
    const rest = { model: "stories", temperature: 1, seed: 5, max_output_tokens: 20, top_logprobs: 1 };
    const body = { ...rest, instructions: "Tell.", input: "Of a fox.", include: ["message.output_text.logprobs"] };
    const whole = await json("/v1/responses", body);
    assertEquals([whole.status, whole.incomplete_details], ["incomplete", { reason: "max_output_tokens" }]);
    const [{ text, logprobs }] = whole.output[0].content;
    assertEquals(text, expected.text);
    const bits = expected.logprobs?.map(({ logprob }) => logprob);
    assertEquals(logprobs.map(({ logprob }: { logprob: number }) => logprob), bits);
    assertEquals([whole.usage.input_tokens, whole.usage.output_tokens], [expected.promptTokens, 20]);
    const items = [{ role: "user", content: [{ type: "input_text", text: "Of a fox." }] }];
    const response = await small.post("/v1/responses", { ...body, input: items, stream: true });
    const events = (await response.text()).trimEnd().split("\n\n").map((event) => {
      const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(event) as RegExpExecArray;
      assertEquals(JSON.parse(data).type, name);
      return JSON.parse(data);
    });
    assertEquals(events.map(({ sequence_number }) => sequence_number), events.map((_, index) => index));
    assertEquals(events.map(({ delta }) => delta ?? "").join(""), expected.text);
    const last = events.at(-1);
    assertEquals([last.type, last.response.output[0].content], ["response.incomplete", whole.output[0].content]);
    // A later one goes on from it, and so from what was said.
    const next = await json("/v1/responses", {
      ...rest,
      top_logprobs: 0,
      previous_response_id: whole.id,
      input: "And then?",
    });
    const talk = [turns[0], { role: "assistant", content: expected.text }, { role: "user", content: "And then?" }];
    const same = await small.lm.reply(talk, { template, sampling, maxTokens: 20 });
    assertEquals(next.output[0].content[0].text, same.text);
    const counted = await json("/v1/responses/input_tokens", { previous_response_id: whole.id, input: "And then?" });
    assertEquals(counted, { object: "response.input_tokens", input_tokens: same.promptTokens });
    assertEquals((await (await small.get(`/v1/responses/${whole.id}`)).json()).output, whole.output);
    assertEquals((await small.get(`/v1/responses/${whole.id}?stream=true`)).status, 400);
    const forget = new Request(`http://localhost/v1/responses/${whole.id}`, { method: "DELETE" });
    assertEquals((await (await small.server.fetch(forget)).json()).deleted, true);
    assertEquals((await small.get(`/v1/responses/${whole.id}`)).status, 404);
    const short = await json("/v1/responses", { input: "Hi", store: false, max_output_tokens: 2 });
    assertEquals((await small.get(`/v1/responses/${short.id}`)).status, 404);
    const schema = {
      type: "object",
      properties: { red: { type: "boolean" } },
      required: ["red"],
      additionalProperties: false,
    };
    const held = await json("/v1/responses", {
      ...rest,
      top_logprobs: 0,
      max_output_tokens: 99,
      input: "Of a fox.",
      text: { format: { type: "json_schema", name: "x", schema } },
    });
    if (held.status === "completed") assert("red" in JSON.parse(held.output[0].content[0].text));
  });

  it("say what is wrong in their own form", async () => {
    const good = { messages: turns, max_tokens: 5 };
    const wrong: [string, object, number, RegExp][] = [
      ["/v1/messages", { messages: turns }, 400, /max_tokens/],
      ["/v1/messages", { ...good, messages: [{ role: "robot", content: "x" }] }, 400, /messages\[0\]\.role/],
      ["/v1/messages", { ...good, tools: [{ name: "f" }] }, 400, /tools\[0\]\.input_schema/],
      ["/v1/messages", { ...good, tools: [{ type: "bash_20250124", name: "bash" }] }, 400, /tools\[0\]\.type/],
      ["/v1/messages", { ...good, tools: [{ name: "a b", input_schema: {} }] }, 400, /tools\[0\]\.name/],
      ["/v1/messages", { ...good, tool_choice: { type: "any" } }, 400, /tool_choice/],
      ["/v1/messages", { ...good, tool_choice: { type: "all" } }, 400, /tool_choice\.type/],
      ["/v1/messages", { ...good, thinking: { type: "enabled", budget_tokens: 1024 } }, 400, /thinking\.budget_tokens/],
      ["/v1/messages", { ...good, thinking: { type: "enabled" } }, 400, /thinking\.budget_tokens/],
      ["/v1/messages", { ...good, stop: "x" }, 400, /stop/],
      ["/v1/messages", { ...good, model: "claude" }, 404, /claude/],
      ["/v1/messages", { ...good, messages: [{ role: "user", content: [{ type: "image" }] }] }, 400, /type/],
      ["/v1/messages/count_tokens", { messages: turns, max_tokens: 5 }, 400, /max_tokens/],
      ["/api/chat", { messages: turns, options: { num_ctx: 4096 } }, 400, /512.*4096/],
      ["/api/chat", { messages: turns, options: { tfs_z: 0.5 } }, 400, /tfs_z/],
      ["/api/chat", { messages: turns, options: { mirostat: 1 } }, 400, /mirostat/],
      ["/api/chat", { messages: turns, options: { mirostat_tau: 1 } }, 400, /mirostat must be 2/],
      ["/api/chat", { messages: turns, think: true }, 400, /enable_thinking/],
      ["/api/chat", { messages: turns, format: "xml" }, 400, /format/],
      ["/api/generate", { prompt: "x", images: ["aGk="] }, 400, /images/],
      ["/api/generate", { prompt: "x", raw: true, system: "y" }, 400, /system/],
      ["/v1/responses", {}, 400, /input/],
      ["/v1/responses", { input: [{ type: "function_call_output", call_id: "1" }] }, 400, /input\[0\]\.output/],
      ["/v1/responses", { input: [{ type: "item_reference", id: "1" }] }, 400, /input\[0\]\.id/],
      ["/v1/responses", { input: "x", tools: [{ type: "web_search" }] }, 400, /tools\[0\]\.type/],
      ["/v1/responses", { input: "x", tools: [{ type: "function", name: "a b" }] }, 400, /tools\[0\]\.name/],
      ["/v1/responses", { input: "x", tool_choice: "required" }, 400, /tool_choice/],
      ["/v1/responses", { input: "x", stream_options: { include_obfuscation: false } }, 400, /stream must be true/],
      ["/v1/responses", { input: "x", stream: true, stream_options: { include_usage: true } }, 400, /include_usage/],
      ["/v1/responses", { input: [{ role: "user", content: [{ type: "input_image" }] }] }, 400, /input\[0\]\.content/],
      ["/v1/responses", { input: "x", previous_response_id: "resp_1" }, 404, /resp_1/],
      ["/v1/responses/input_tokens", {}, 400, /input/],
      ["/v1/responses/compact", { input: "x" }, 405, /not for \/v1\/responses\/compact; GET and DELETE are/],
      ["/chat/completions", good, 404, /did you mean \/v1\/chat\/completions\?/],
      ["/v1/v1/messages", good, 404, /did you mean \/v1\/messages\?/],
      ["//api/chat", good, 404, /did you mean \/api\/chat\?/],
      ["/v1/responses", { input: "x", background: true, store: false }, 400, /store/],
      ["/api/chat", { messages: [{ role: "tool", content: "x" }] }, 400, /messages\[0\]\.role/],
      [
        "/api/chat",
        { messages: turns, tools: [{ type: "function", function: {} }] },
        400,
        /tools\[0\]\.function\.name/,
      ],
      ["/v1/responses", { input: "x", truncation: "auto" }, 400, /truncation/],
      ["/v1/responses", { input: "x", include: ["web_search_call.results"] }, 400, /include/],
      ["/v1/responses", { input: "x", text: { format: { type: "xml" } } }, 400, /type/],
      ["/v1/responses", { input: "x", reasoning: { effort: "high" } }, 400, /reasoning\.effort/],
      ["/v1/responses", { input: "x", top_logprobs: 3 }, 400, /top_logprobs/],
      ["/api/embed", { input: "x" }, 400, /pooling/],
      ["/api/embed", { input: 7 }, 400, /input/],
      ["/api/embeddings", { prompt: 7 }, 400, /prompt/],
    ];
    for (const [path, body, status, message] of wrong) {
      const response = await small.post(path, body);
      const { type, error } = await response.json();
      const text = path.startsWith("/api") ? error : error.message;
      assertEquals(response.status, status, `${path} ${text}`);
      assert(message.test(text), text);
      if (path.startsWith("/v1/messages")) assertEquals([type, typeof error.type], ["error", "string"]);
    }
  });
});
