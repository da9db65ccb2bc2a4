/**
 * What no client should send, and some does: each is refused with the status and the field that is wrong, within
 * milliseconds and before a token is computed; bodies that are changed at random never fail the server.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { after, before, it } from "node:test";
import { note, often } from "./counts.ts";
import { randomFrom } from "./simulation.ts";
import { serveStories, type SmallServer } from "./small-server.ts";
import { workedMs } from "./worked.ts";

let small: SmallServer;
before(async () => {
  small = await serveStories({ limits: { bodyBytesMax: 1 << 20, messagesMax: 64, choicesMax: 8 } });
});
after(() => small[Symbol.asyncDispose]());

const chat = "/v1/chat/completions";
const text = "/v1/completions";
const talk = { messages: [{ role: "user", content: "Hello" }] };
const said = (message: unknown) => ({ messages: [message] });

/** Path, body, status, and what the error names. */
const wrong: readonly (readonly [string, unknown, number, string | null])[] = [
  [chat, "", 400, null],
  [chat, "{", 400, null],
  [chat, "null", 400, null],
  [chat, "[]", 400, null],
  [chat, '"text"', 400, null],
  [chat, Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 400, null],
  [chat, `{"messages": ${"[".repeat(100_000)}`, 400, null],
  [chat, `{"messages": ${'{"a":'.repeat(1000)}`, 400, null],
  [chat, " ".repeat((1 << 20) + 1), 413, null],
  [chat, {}, 400, "messages"],
  [chat, { messages: null }, 400, "messages"],
  [chat, { messages: "Hello" }, 400, "messages"],
  [chat, { messages: {} }, 400, "messages"],
  [chat, { messages: [] }, 400, "messages"],
  [chat, { messages: new Array(65).fill(talk.messages[0]) }, 400, "messages"],
  [chat, said(null), 400, "messages[0]"],
  [chat, said([]), 400, "messages[0]"],
  [chat, said({ content: "x" }), 400, "messages[0].role"],
  [chat, said({ role: "robot", content: "x" }), 400, "messages[0].role"],
  [chat, said({ role: "__proto__", content: "x" }), 400, "messages[0].role"],
  [chat, said({ role: "user" }), 400, "messages[0].content"],
  [chat, said({ role: "user", content: 1 }), 400, "messages[0].content"],
  [chat, said({ role: "user", content: [1] }), 400, "messages[0].content[0]"],
  [chat, said({ role: "user", content: [{ type: "image_url", image_url: {} }] }), 400, "messages[0].content[0].type"],
  [chat, said({ role: "user", content: [{ type: "text" }] }), 400, "messages[0].content[0].text"],
  [chat, said({ role: "user", content: "x", name: 1 }), 400, "messages[0].name"],
  [chat, said({ role: "user", content: "x", audio: { id: "1" } }), 400, "messages[0].audio"],
  [chat, said({ role: "user", content: "many words ".repeat(2000) }), 400, "messages"],
  [chat, { ...talk, model: "gpt-5" }, 404, "model"],
  [chat, { ...talk, model: 7 }, 404, "model"],
  [chat, { ...talk, model: "__proto__" }, 404, "model"],
  [chat, { ...talk, temprature: 1 }, 400, "temprature"],
  [chat, { ...talk, temperature: -1 }, 400, "temperature"],
  [chat, { ...talk, temperature: "hot" }, 400, "temperature"],
  [chat, `{"messages":[{"role":"user","content":"x"}],"temperature":1e999}`, 400, "temperature"],
  [chat, { ...talk, top_p: 0 }, 400, "top_p"],
  [chat, { ...talk, top_p: 1.5 }, 400, "top_p"],
  [chat, { ...talk, top_k: 1.5 }, 400, "top_k"],
  [chat, { ...talk, topK: 4, top_k: 5 }, 400, "top_k"],
  [chat, { ...talk, min_p: 2 }, 400, "min_p"],
  [chat, { ...talk, seed: -1 }, 400, "seed"],
  [chat, { ...talk, seed: 2 ** 60 }, 400, "seed"],
  [chat, { ...talk, n: 0 }, 400, "n"],
  [chat, { ...talk, n: 9 }, 400, "n"],
  [chat, { ...talk, n: 1e9 }, 400, "n"],
  [chat, { ...talk, max_tokens: -1 }, 400, "max_tokens"],
  [chat, { ...talk, max_completion_tokens: 1.5 }, 400, "max_completion_tokens"],
  [chat, { ...talk, max_tokens: 1, max_completion_tokens: 2 }, 400, "max_tokens"],
  [chat, { ...talk, stop: "" }, 400, "stop"],
  [chat, { ...talk, stop: [1] }, 400, "stop"],
  [chat, { ...talk, stream: "yes" }, 400, "stream"],
  [chat, { ...talk, stream_options: { include_usage: true } }, 400, "stream_options"],
  [chat, { ...talk, stream: true, stream_options: { include_use: true } }, 400, "include_use"],
  [chat, { ...talk, logprobs: 1 }, 400, "logprobs"],
  [chat, { ...talk, top_logprobs: 2 }, 400, "top_logprobs"],
  [chat, { ...talk, logprobs: true, top_logprobs: 21 }, 400, "top_logprobs"],
  [chat, { ...talk, logit_bias: [1] }, 400, "logit_bias"],
  [chat, { ...talk, logit_bias: { x: 1 } }, 400, "logit_bias"],
  [chat, { ...talk, logit_bias: { 5: "1" } }, 400, "logit_bias of token 5"],
  [chat, { ...talk, logit_bias: { 100_000: 1 } }, 400, "bias"],
  [chat, { ...talk, presence_penalty: "1" }, 400, "presence_penalty"],
  [chat, { ...talk, presence_penalty: 1, penalties: { presence: 1 } }, 400, "presence_penalty"],
  [chat, { ...talk, mirostat: {}, top_k: 5 }, 400, "mirostat"],
  [chat, { ...talk, response_format: "json" }, 400, "response_format"],
  [chat, { ...talk, response_format: { type: "xml" } }, 400, "response_format.type"],
  [chat, { ...talk, response_format: { type: "json_schema" } }, 400, "response_format.json_schema"],
  [
    chat,
    { ...talk, response_format: { type: "json_schema", json_schema: { schema: { type: "text" } } } },
    400,
    "response_format",
  ],
  [chat, { ...talk, response_format: { type: "json_object" }, stop: ["x"] }, 400, "stop"],
  [chat, { ...talk, constraint: { regex: "(" } }, 400, "constraint"],
  [chat, { ...talk, constraint: {} }, 400, "constraint"],
  [chat, { ...talk, tools: [{ type: "function", function: { name: "f" } }] }, 400, "tools"],
  [chat, { ...talk, tool_choice: "required" }, 400, "tool_choice"],
  [chat, { ...talk, store: true }, 400, "store"],
  [chat, { ...talk, service_tier: "priority" }, 400, "service_tier"],
  [chat, { ...talk, modalities: ["audio"] }, 400, "modalities"],
  [chat, { ...talk, audio: {} }, 400, "audio"],
  [chat, { ...talk, web_search_options: {} }, 400, "web_search_options"],
  [chat, { ...talk, prediction: {} }, 400, "prediction"],
  [chat, { ...talk, functions: [] }, 400, "functions"],
  [chat, { ...talk, reasoning_effort: "high" }, 400, "reasoning_effort"],
  [chat, { ...talk, chat_template_kwargs: [] }, 400, "chat_template_kwargs"],
  [text, {}, 400, "prompt"],
  [text, { prompt: 1 }, 400, "prompt"],
  [text, { prompt: [] }, 400, "prompt"],
  [text, { prompt: [[]] }, 400, "prompt"],
  [text, { prompt: [1, "x"] }, 400, "prompt[0]"],
  [text, { prompt: [-1] }, 400, "prompt[0]"],
  [text, { prompt: [1e12] }, 400, "prompt[0]"],
  [text, { prompt: new Array(600).fill(400) }, 400, "prompt"],
  [text, { prompt: "word ".repeat(20_000) }, 400, "prompt"],
  [text, { prompt: new Array(9).fill("x") }, 400, "prompt"],
  [text, { prompt: ["x", "y"], n: 5 }, 400, "n"],
  [text, { prompt: "x", best_of: 2 }, 400, "best_of"],
  [text, { prompt: "x", suffix: "y" }, 400, "suffix"],
  [text, { prompt: "x", echo: true, logprobs: 1 }, 400, "logprobs"],
  [text, { prompt: "x", logprobs: -1 }, 400, "logprobs"],
  ["/tokenize", {}, 400, "prompt"],
  ["/tokenize", { prompt: "x", ...talk }, 400, "prompt"],
  ["/detokenize", { tokens: [1e9] }, 400, "tokens[0]"],
  ["/v1/embeddings", { input: "x" }, 400, "pooling"],
  ["/v1/embeddings", { input: {} }, 400, "input"],
  ["/v1/rerank", { query: "x" }, 400, "documents"],
  ["/nowhere", {}, 404, null],
  ["/v1/models", {}, 405, null],
];

it("bad requests are refused in OpenAI's shape, by the field, before anything is computed", async () => {
  const { steps } = small.lm.batcher.stats();
  const slow: string[] = [];
  for (const [path, body, status, param] of wrong) {
    const shown = `${path} ${body instanceof Uint8Array ? "bytes" : JSON.stringify(body).slice(0, 120)}`;
    const begin = workedMs();
    const response = await small.post(path, body);
    const ms = workedMs() - begin;
    const { error } = await response.json();
    assertEquals([response.status, error.param], [status, param], `${shown}: ${error.message}`);
    assert(typeof error.message === "string" && typeof error.type === "string" && "code" in error, shown);
    // The first request loads the template language, the first of a kind is compiled, and other programs run here, too.
    let least = ms;
    for (let tries = 0; least >= 10 && tries < 8; tries++) {
      const again = workedMs();
      await small.post(path, body);
      least = Math.min(least, workedMs() - again);
    }
    if (least >= 10) slow.push(`${shown}: ${least} ms`);
  }
  assertLess(slow.length, 3, slow.join("\n"));
  note(28, "bad requests", wrong.length);
  assertEquals(small.lm.batcher.stats().steps, steps);
  const plain = { "content-type": "text/plain" };
  assertEquals((await small.post(chat, talk, plain)).status, 415);
  // As curl sends it where nothing is said of its type: Ollama's examples are so.
  const curl = { "content-type": "application/x-www-form-urlencoded" };
  assertEquals((await small.post(chat, talk, curl)).status, 415);
  assertEquals((await small.post("/api/chat", talk, plain)).status, 415);
  assertEquals((await small.post("/api/show", { model: "stories" }, curl)).status, 200);
  const packed = await small.post(chat, talk, { "content-encoding": "gzip" });
  const { error } = await packed.json();
  assertEquals([packed.status, error.message], [415, "The body must come as it is, and its content-encoding is gzip."]);
  assertEquals((await small.get(chat)).status, 405);
});

it("a prompt that fills the context is refused with both numbers", async () => {
  const { error } = await (await small.post(text, { prompt: new Array(512).fill(400) })).json();
  assertEquals(error.code, "context_length_exceeded");
  assert(/512.*512/.test(error.message), error.message);
});

it("bodies that are changed at random are answered or refused, and never fail the server", async () => {
  const random = randomFrom(7);
  const pick = <T>(list: readonly T[]) => list[random(list.length)];
  const values = [null, true, 0, -1, 1.5, 1e300, "", "x", "stories", [], {}, [[]], [null], { type: "text" }, {
    a: { b: 1 },
  }];
  const bodies = [...wrong.flatMap(([path, body]) => typeof body === "object" ? [[path, body] as const] : [])]
    .filter(([, body]) => JSON.stringify(body).length < 2000);
  const good = [
    [chat, talk],
    [text, { prompt: "x" }],
    ["/tokenize", { prompt: "x" }],
    ["/v1/embeddings", { input: ["x", [1, 2]], pooling: "mean", dimensions: 8 }],
    ["/v1/rerank", { query: "x", documents: ["x"], top_n: 1 }],
    ["/api/embed", { input: ["x"], dimensions: 8 }],
    ["/v1/responses", { input: "x", max_output_tokens: 1 }],
    ["/v1/messages", { ...talk, max_tokens: 1 }],
    ["/api/chat", { ...talk, options: { num_predict: 1 } }],
    ["/api/generate", { prompt: "x", options: { num_predict: 1 } }],
  ] as const;
  const names = [
    "messages",
    "prompt",
    "n",
    "stop",
    "seed",
    "logprobs",
    "response_format",
    "model",
    "mirostat",
    "stream",
  ];
  const headerNames = ["content-type", "content-length", "authorization", "x-api-key", "x-request-id", "accept"];
  headerNames.push("origin", "host", "connection", "anthropic-version", "x-stainless-retry-count", "cookie", "range");
  const headerValues = ["", "x", "0", "-1", "1e9", "null", "application/json; charset=utf-16", "APPLICATION/JSON ; x"];
  headerValues.push("Bearer ", "Bearer \u00ff\u0080", "http://localhost", "[::1]:x", "../../etc", "a".repeat(20_000));
  const statuses = new Map<number, number>();
  const rounds = often(4000, 100_000);
  for (let round = 0; round < rounds; round++) {
    const [path, body] = random(2) === 0 ? pick(good) : pick(bodies);
    const most = path.startsWith("/v1/c") ? { max_tokens: 1 } : {};
    let sent: string | Uint8Array = JSON.stringify({ ...most, ...body as object, [pick(names)]: pick(values) });
    if (random(2) === 0) {
      const bytes = new TextEncoder().encode(sent);
      for (let change = 0; change <= random(3); change++) bytes[random(bytes.length)] = random(256);
      sent = random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    }
    const headers = random(4) === 0 ? { [pick(headerNames)]: pick(headerValues) } : {};
    const response = await small.post(path, sent, headers);
    assertLess(
      response.status,
      500,
      `${JSON.stringify(headers)} ${path} ${new TextDecoder().decode(new TextEncoder().encode(String(sent)))}`,
    );
    await response.text();
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
  }
  assert((statuses.get(200) ?? 0) > 20 && (statuses.get(400) ?? 0) > 500, JSON.stringify([...statuses]));
  assertEquals([small.server.open, small.lm.batcher.stats().running], [0, 0]);
  note(28, "changed bodies", rounds);
});
