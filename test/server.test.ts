/**
 * The server without a socket: what it answers in OpenAI's interfaces, whole and streamed, and who may ask.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { type Completion, InvalidArgumentError, LightGPT } from "../mod.ts";
import { type AccessLogEntry, createServer, type ServerOptions } from "../exports/server.ts";
import { eventsOf, posted, serveStories, type SmallServer, template } from "./small-server.ts";

interface Told {
  readonly text: string;
  readonly finish: string;
  /** Tokens' texts with the bits of their log probabilities. */
  readonly logprobs: readonly (readonly [string, number])[];
}

interface Chunk {
  readonly choices: {
    readonly index: number;
    readonly text?: string;
    readonly delta?: { readonly content?: string };
    readonly message?: { readonly content: string };
    readonly finish_reason: string | null;
    readonly logprobs: {
      readonly content?: { readonly token: string; readonly logprob: number }[];
      readonly tokens?: string[];
      readonly token_logprobs?: number[];
    } | null;
  }[];
  readonly usage?: Record<string, unknown>;
}

/** One answer of a body, or of the events that it came in. */
function toldBy(chunks: readonly Chunk[], index = 0): Told {
  let [text, finish] = ["", ""];
  const logprobs: [string, number][] = [];
  for (const { choices } of chunks) {
    for (const choice of choices.filter((one) => one.index === index)) {
      text += choice.message?.content ?? choice.delta?.content ?? choice.text ?? "";
      finish = choice.finish_reason ?? finish;
      const { content = [], tokens = [], token_logprobs = [] } = choice.logprobs ?? {};
      logprobs.push(...content.map(({ token, logprob }) => [token, logprob] as [string, number]));
      logprobs.push(...tokens.map((token, at) => [token, token_logprobs[at]] as [string, number]));
    }
  }
  return { text, finish, logprobs };
}

async function streamed(response: Response): Promise<Chunk[]> {
  const events = await eventsOf(response);
  assertEquals(events.at(-1), "[DONE]");
  return events.slice(0, -1).map((event) => JSON.parse(event));
}

describe("a server", () => {
  let small: SmallServer;
  const log: AccessLogEntry[] = [];
  before(async () => {
    small = await serveStories({ log: (entry) => void log.push(entry) });
  });
  after(() => small[Symbol.asyncDispose]());

  const inProcess = ({ text, tokens, logprobs = [], stopReason }: Completion): Told => ({
    text,
    finish: stopReason === "maxTokens" || stopReason === "context" ? "length" : "stop",
    logprobs: tokens.map((token, at) => {
      return [new TextDecoder().decode(small.lm.model.tokenizer.piece(token)), logprobs[at].logprob] as const;
    }),
  });

  it("answers a conversation with the same bits, whole, streamed and in process", async () => {
    const messages = [{ role: "system", content: "Tell." }, { role: "user", content: "Of a fox." }];
    const asked = [
      { temperature: 0, max_tokens: 24 },
      { temperature: 1.1, top_k: 30, top_p: 0.9, seed: 5, stop: ["."], max_completion_tokens: 60 },
      { seed: 6, frequency_penalty: 0.5, presence_penalty: 0.2, minP: 0.02, max_tokens: 24 },
      { seed: 7, mirostat: { tau: 3 }, max_tokens: 24, logit_bias: { 400: 3 } },
    ];
    const same = [
      { maxTokens: 24, sampling: { temperature: 0 } },
      { maxTokens: 60, sampling: { temperature: 1.1, topK: 30, topP: 0.9, seed: 5 }, stop: ["."] },
      { maxTokens: 24, sampling: { seed: 6, penalties: { frequency: 0.5, presence: 0.2 }, minP: 0.02 } },
      { maxTokens: 24, sampling: { seed: 7, mirostat: { tau: 3 }, bias: { 400: 3 } } },
    ];
    for (const [index, options] of asked.entries()) {
      const body = { model: "stories", messages, logprobs: true, top_logprobs: 2, ...options };
      const expected = inProcess(await small.lm.reply(messages, { template, logprobs: 2, ...same[index] }));
      const whole = await (await small.post("/v1/chat/completions", body)).json();
      assertEquals(toldBy([whole]), expected);
      const chunks = await streamed(await small.post("/v1/chat/completions", { ...body, stream: true }));
      assertEquals(toldBy(chunks), expected);
      assertEquals(whole.usage.completion_tokens, expected.logprobs.length);
      // The same job by the other interface, with the prompt that the template makes.
      const prompt = [...await small.lm.chatTokens(messages, { template })];
      const { messages: _, top_logprobs: __, max_completion_tokens, ...rest } = {
        max_completion_tokens: undefined,
        ...body,
      };
      const most = max_completion_tokens === undefined ? {} : { max_tokens: max_completion_tokens };
      const plain = await (await small.post("/v1/completions", { ...rest, ...most, prompt, logprobs: 2 })).json();
      assertEquals(toldBy([plain]), expected);
    }
  });

  it("gives several answers with seeds that follow one another, and the counts of tokens", async () => {
    const body = { prompt: ["The fox", "The hen"], n: 2, seed: 11, max_tokens: 9 };
    const { choices, usage } = await (await small.post("/v1/completions", body)).json();
    const expected = await Promise.all(
      ["The fox", "The hen"].flatMap((prompt) =>
        [11, 12].map((seed) => small.lm.complete(prompt, { sampling: { seed }, maxTokens: 9 }))
      ),
    );
    assertEquals(choices.map(({ text }: { text: string }) => text), expected.map(({ text }) => text));
    assertEquals(choices.map(({ index }: { index: number }) => index), [0, 1, 2, 3]);
    const prompts = expected[0].promptTokens + expected[2].promptTokens;
    assertEquals([usage.prompt_tokens, usage.total_tokens], [prompts, prompts + 36]);
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await streamed(await small.post("/v1/completions", { ...body, ...options }));
    for (const index of [0, 1, 2, 3]) assertEquals(toldBy(chunks, index).text, expected[index].text);
    const { prompt_tokens_details: _, completion_tokens_details: __, ...counts } = chunks.at(-1)?.usage ?? {};
    assertEquals(counts, { prompt_tokens: prompts, completion_tokens: 36, total_tokens: prompts + 36 });
  });

  it("goes on with an answer that is begun, and reads contents in parts", async () => {
    const begun = [{ role: "user", content: "Of a fox." }, { role: "assistant", content: " Once upon a" }];
    const body = { messages: begun, temperature: 0, max_tokens: 8 };
    const { choices: [{ message }] } = await (await small.post("/v1/chat/completions", body)).json();
    const prompt = "user: Of a fox.\nassistant: Once upon a";
    assertEquals(
      message.content,
      (await small.lm.complete(prompt, { sampling: { temperature: 0 }, maxTokens: 8 })).text,
    );
    const parts = [{ type: "text", text: "Of" }, { type: "text", text: "a fox." }];
    const count = async (messages: unknown) => (await (await small.post("/tokenize", { messages })).json()).tokens;
    assertEquals(
      await count([{ role: "developer", content: parts }]),
      await count([{ role: "system", content: "Of\na fox." }]),
    );
  });

  it("holds answers to a schema", async () => {
    const schema = {
      type: "object",
      properties: { red: { type: "boolean" } },
      required: ["red"],
      additionalProperties: false,
    };
    for (
      const [format, test] of [
        [{ type: "json_schema", json_schema: { name: "x", schema, strict: true } }, (value: object) => "red" in value],
        [{ type: "json_object" }, (value: object) => typeof value === "object"],
      ] as const
    ) {
      const body = { messages: [{ role: "user", content: "?" }], response_format: format, seed: 3, max_tokens: 200 };
      const { choices: [{ message, finish_reason }] } = await (await small.post("/v1/chat/completions", body)).json();
      if (finish_reason === "stop") assert(test(JSON.parse(message.content)), message.content);
    }
    const choice = { prompt: "The fox was ", constraint: { choice: ["red", "blue"] } };
    const { choices: [{ text }] } = await (await small.post("/v1/completions", choice)).json();
    assert(text === "red" || text === "blue");
  });

  it("tells of itself: models, tokens, readiness, figures, its interface", async () => {
    assertEquals((await (await small.get("/v1/models")).json()).data.map(({ id }: { id: string }) => id), ["stories"]);
    assertEquals((await (await small.get("/v1/models/stories")).json()).id, "stories");
    assertEquals((await small.get("/v1/models/others")).status, 404);
    assertEquals([(await small.get("/health")).status, (await small.get("/ready")).status], [200, 200]);
    const { tokens, count } = await (await small.post("/tokenize", { prompt: "Once upon" })).json();
    assertEquals([tokens, count], [[...small.lm.tokenize("Once upon")], tokens.length]);
    const { prompt } = await (await small.post("/detokenize", { tokens })).json();
    assertEquals(prompt, small.lm.detokenize(tokens));
    const figures = await (await small.get("/metrics")).text();
    const figure = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(figures)?.[1]);
    const named = '\\{model_name="stories"\\}';
    const { tokens: chosen, queued, running } = small.lm.metrics.report();
    assertEquals(figure(`lightgpt_tokens_total${named}`), chosen);
    assertEquals(figure(`vllm:generation_tokens_total${named}`), chosen);
    assertEquals([`running${named}`, `waiting${named}`].map((name) => figure(`vllm:num_requests_${name}`)), [
      running,
      queued,
    ]);
    assertEquals(figure(`vllm:e2e_request_latency_seconds_count${named}`), log.filter(({ tokens }) => tokens).length);
    assertEquals(
      figure('lightgpt_http_requests_total\\{status="200"\\}'),
      log.filter(({ status, path }) => status === 200 && path !== "/metrics").length,
    );
    const { requests } = small.lm.metrics.report();
    for (const [name, count] of [["queue", chosen], ["prefill", chosen], ["decode", requests.finished]] as const) {
      const all = figure(`vllm:request_${name}_time_seconds_count${named}`);
      assert(all >= requests.finished && all <= count, `${name}: ${all}`);
      const sum = figure(`vllm:request_${name}_time_seconds_sum${named}`);
      assert(name === "queue" ? sum >= 0 : sum > 0, `${name}: ${sum}`);
    }
    const types = figures.match(/^# TYPE \S+/gm) ?? [];
    assertEquals(new Set(types).size, types.length, "each name is one family");
    const { paths } = await (await small.get("/openapi.json")).json();
    const { properties } = paths["/v1/chat/completions"].post.requestBody.content["application/json"].schema;
    assertEquals([properties.top_p.maximum, properties.messages !== undefined], [1, true]);
    const { length } = log;
    const response = await small.post("/v1/completions", { prompt: "Once", max_tokens: 3, seed: 1 }, {
      "x-request-id": "mine",
    });
    assertEquals(response.headers.get("x-request-id"), "mine");
    await response.text();
    const { id, path, status, model, tokens: made } = log[length];
    assertEquals([id, path, status, model, made], ["mine", "/v1/completions", 200, "stories", 3]);
  });
});

it("takes only requests with a key, of which each tenant has its own cache and its own share", async () => {
  const keys = ["the first key", { key: "the second key", tenant: "two" }];
  const seen: AccessLogEntry[] = [];
  await using small = await serveStories({ keys, limits: { openPerKey: 1 }, log: (entry) => void seen.push(entry) });
  const paths = ["/v1/models", "/ready", "/metrics", "/openapi.json", "/v1/models/stories", "/nowhere"];
  for (
    const headers of [{}, { authorization: "Bearer the first" }, { authorization: "the first key" }, {
      "x-api-key": "",
    }]
  ) {
    for (const path of paths) assertEquals((await small.get(path, headers as never)).status, 401, path);
    assertEquals((await small.post("/v1/completions", { prompt: "x" }, headers as never)).status, 401);
  }
  assertEquals((await small.get("/health")).status, 200);
  const ask = async (headers: Record<string, string>) => {
    const body = { prompt: "Once upon a time there was a small red fox who lived in a wood", max_tokens: 1 };
    return (await (await small.post("/v1/completions", body, headers)).json()).usage.prompt_tokens_details
      .cached_tokens;
  };
  const [first, second] = [{ authorization: "Bearer the first key" }, { "x-api-key": "the second key" }];
  assertEquals(await ask(first), 0);
  assert(await ask(first) > 0, "its own prefix is found");
  assertEquals(await ask(second), 0, "another's is not");
  const tenants = seen.flatMap(({ status, tenant }) => status === 200 && tenant ? [tenant] : []);
  assertEquals([tenants.length, tenants[0] === tenants[1], tenants[2]], [3, true, "two"]);
  const text = JSON.stringify(seen);
  assert(!text.includes("first key") && !text.includes("second key"), "no key is logged");
  const made = await (await small.post("/v1/responses", { input: "Of a fox.", max_output_tokens: 2 }, first)).json();
  for (const [headers, status] of [[second, 404], [first, 200]] as const) {
    assertEquals((await small.get(`/v1/responses/${made.id}`, headers)).status, status);
    const next = { input: "And?", previous_response_id: made.id, max_output_tokens: 1 };
    assertEquals((await small.post("/v1/responses", next, headers)).status, status);
  }
  // A stream that is not read is open.
  const body = { prompt: "Once", stream: true, max_tokens: 50 };
  const open = await small.post("/v1/completions", body, first);
  const refused = await small.post("/v1/completions", body, first);
  assertEquals([refused.status, (await refused.json()).error.code], [429, "too_many_open"]);
  const other = await small.post("/v1/completions", { ...body, stream: false }, second);
  assertEquals(other.status, 200);
  await open.body?.cancel();
  assertEquals((await small.post("/v1/completions", { ...body, stream: false }, first)).status, 200);
});

it("takes requests of known pages only, and by known names", async () => {
  await using small = await serveStories({ origins: ["https://example.org"], hosts: ["localhost"] });
  const page = (origin: string) => small.get("/v1/models", { origin });
  const refused = await page("https://evil.example");
  const { error } = await refused.json();
  assertEquals([refused.status, /https:\/\/evil\.example .*--origin/.test(error.message)], [403, true], error.message);
  assertEquals((await page("null")).status, 403);
  const taken = await page("https://example.org");
  assertEquals([taken.status, taken.headers.get("access-control-allow-origin")], [200, "https://example.org"]);
  assertEquals((await small.get("/v1/models")).headers.get("access-control-allow-origin"), null);
  const preflight = new Request("http://localhost/v1/completions", {
    method: "OPTIONS",
    headers: { origin: "https://example.org", "access-control-request-headers": "authorization" },
  });
  const allowed = await small.server.fetch(preflight);
  assertEquals([allowed.status, allowed.headers.get("access-control-allow-headers")], [204, "authorization"]);
  const unknown = await small.server.fetch(new Request("http://evil.example/v1/models"));
  const named = (await unknown.json()).error.message;
  assertEquals([unknown.status, /evil\.example; .*--host-name/.test(named)], [403, true], named);
});

it("finishes what is open when it is closed, and takes no more", async () => {
  await using small = await serveStories();
  const ended: string[] = [];
  const body = { prompt: "Once", max_tokens: 40, seed: 1, stream: true };
  const open = await small.post("/v1/completions", body);
  const reading = eventsOf(open).then((events) => ended.push(events.at(-1) as string));
  const closed = small.server.close(5000).then(() => ended.push("closed"));
  assertEquals((await small.get("/ready")).status, 503);
  assertEquals((await small.post("/v1/completions", body)).status, 503);
  await Promise.all([reading, closed]);
  assertEquals(ended.sort(), ["[DONE]", "closed"]);
  assertEquals((await small.lm.complete("Once", { maxTokens: 1 })).generatedTokens, 1, "the model is the caller's");
});

it("ends what outlasts the grace, not cleanly", async () => {
  await using small = await serveStories();
  const response = await small.post("/v1/completions", { prompt: "Once", stream: true, max_tokens: 400 });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await small.server.close(20);
  const rest = (async () => {
    for (;;) if ((await reader.read()).done) return "clean";
  })();
  assertEquals(await rest.catch((error: Error) => error.message.slice(0, 29)), "A streamed answer has failed:");
});

it("loads models when they are asked for, once, and disposes of the idle", async () => {
  let [loads, disposals] = [0, 0];
  const load = async () => {
    loads++;
    const lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 24 });
    const dispose = lm.dispose.bind(lm);
    lm.dispose = () => {
      disposals++;
      return dispose();
    };
    return lm;
  };
  await using server = createServer({ models: { one: { load, idleMs: 30 }, two: { load, template } } });
  const ask = (model: string) =>
    server.fetch(posted("http://localhost/v1/completions", { model, prompt: "Once", max_tokens: 3 }));
  const statuses = await Promise.all(["one", "one", "two", "one"].map(async (model) => (await ask(model)).status));
  assertEquals([statuses, loads], [[200, 200, 200, 200], 2]);
  while (disposals === 0) await new Promise((done) => setTimeout(done, 5));
  assertEquals((await ask("two")).status, 200);
  assertEquals(loads, 2);
  assertEquals([(await ask("one")).status, loads], [200, 3]);
});

it("refuses options that mean nothing", () => {
  const wrong: [object, string][] = [
    [{}, "models"],
    [{ models: {} }, "models"],
    [{ models: { a: {} } }, "models.a.load"],
    [{ models: { a: { load: () => {} } }, keys: ["short"] }, "keys[0]"],
    [{ models: { a: { load: () => {} } }, keys: [{ key: "a long secret", priority: 10 }] }, "keys[0].priority"],
    [{ models: { a: { load: () => {} } }, limits: { bodyBytesMax: 0 } }, "limits.bodyBytesMax"],
    [{ models: { a: { load: () => {} } }, origins: "*" }, "origins"],
  ];
  for (const [options, where] of wrong) {
    assertThrows(() => createServer(options as ServerOptions), InvalidArgumentError, where);
  }
});
