/**
 * The clients that people use, unchanged, against a server on a socket: OpenAI's, the AI SDK, Anthropic's and Ollama's. They are
 * installed by `.ci/run` (`npm ci --prefix test/clients`), and skipped by name where they are not.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Embedder } from "../../exports/embedding.ts";
import { createServer, listen, type Listening, type Server } from "../../exports/server.ts";
import type { Completion } from "../../mod.ts";
import { describeWholeKit, repository } from "../kit.ts";
import { serveStories, type SmallServer, template } from "../small-server.ts";

const isThere = existsSync(join(repository, "test/clients/node_modules/openai"));
const skip = isThere ? false : "the clients are not installed: npm ci --prefix test/clients";

/** A client's class; none of the packages is there for the type checker. */
type Client = new (options: object) => Methods;
/** Objects of clients, of which a test knows what it asks for. */
// deno-lint-ignore no-explicit-any
type Methods = any;

/** A package by a name that no type checker follows. */
async function load(name: string): Promise<Methods> {
  return await import(name);
}

const messages = [{ role: "system", content: "Tell." }, { role: "user", content: "Of a fox." }];
const schema = {
  type: "object",
  properties: { red: { type: "boolean" } },
  required: ["red"],
  additionalProperties: false,
};

describe("clients", { skip }, () => {
  let small: SmallServer;
  let listening: Listening;
  let expected: Completion;
  const key = "a long secret";
  const rest = { temperature: 0.9, seed: 4 };
  before(async () => {
    small = await serveStories({ keys: [key] });
    listening = await listen(small.server, { port: 0 });
    expected = await small.lm.reply(messages, { template, sampling: rest, maxTokens: 24 });
  });
  after(async () => {
    await small[Symbol.asyncDispose]();
    await listening.close();
  });

  const openai = async (more: object = {}) => {
    const { default: OpenAI } = await load("openai") as { default: Client };
    return new OpenAI({ apiKey: key, baseURL: `${listening.url}/v1`, maxRetries: 0, ...more });
  };

  it("openai: chat, streams, completions, logprobs, schemas, models, errors", async () => {
    const client = await openai();
    const asked = { model: "stories", messages, max_tokens: 24, ...rest };
    const chat = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2 });
    assertEquals(chat.choices[0].message.content, expected.text);
    assertEquals(chat.choices[0].logprobs.content.length, 24);
    let text = "";
    let usage: unknown;
    const streamed = { ...asked, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(streamed)) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assertEquals([text, (usage as { completion_tokens: number }).completion_tokens], [expected.text, 24]);
    const runner = client.chat.completions.stream(asked);
    assertEquals((await runner.finalChatCompletion()).choices[0].message.content, expected.text);
    const prompt = [...await small.lm.chatTokens(messages, { template })];
    const completion = await client.completions.create({ model: "stories", prompt, max_tokens: 24, ...rest });
    assertEquals(completion.choices[0].text, expected.text);
    const response_format = { type: "json_schema", json_schema: { name: "x", schema, strict: true } };
    const parsed = await client.chat.completions.parse({ ...asked, max_tokens: 99, response_format });
    assertEquals(typeof parsed.choices[0].message.parsed.red, "boolean");
    assertEquals((await client.models.list()).data.map(({ id }: { id: string }) => id), ["stories"]);
    const error = await client.chat.completions.create({ ...asked, top_p: 3 }).catch((error: unknown) => error);
    assertEquals([error.status, error.param, error.type], [400, "top_p", "invalid_request_error"]);
    assert(error.requestID?.startsWith("req_"));
    const denied = await (await openai({ apiKey: "not the secret" })).models.list().catch((error: unknown) => error);
    assertEquals([denied.status, denied.code], [401, "invalid_api_key"]);
  });

  it("openai: responses, whole, streamed, gone on with, found and forgotten", async () => {
    const client = await openai();
    const [{ content: instructions }, { content: input }] = messages;
    const asked = { model: "stories", instructions, input, max_output_tokens: 24, ...rest };
    const whole = await client.responses.create(asked);
    assertEquals([whole.output_text, whole.status], [expected.text, "incomplete"]);
    const { input_tokens } = await client.responses.inputTokens.count({ model: "stories", instructions, input });
    assertEquals(input_tokens, whole.usage.input_tokens);
    let text = "";
    const types: string[] = [];
    for await (const event of await client.responses.create({ ...asked, stream: true })) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assertEquals([text, types.at(-1)], [expected.text, "response.incomplete"]);
    assertEquals((await client.responses.stream(asked).finalResponse()).output_text, expected.text);
    const next = await client.responses.create({ ...asked, input: "And?", previous_response_id: whole.id });
    assertEquals(next.previous_response_id, whole.id);
    assertEquals((await client.responses.retrieve(whole.id)).output_text, expected.text);
    await client.responses.delete(whole.id);
    assertEquals((await client.responses.retrieve(whole.id).catch((error: unknown) => error)).status, 404);
  });

  it("openai: leaving a stream frees its place, and a fault throws", async () => {
    const client = await openai();
    const asked = { model: "stories", prompt: "Once", max_tokens: 300, stream: true, seed: 1 };
    for await (const _ of await client.completions.create(asked)) break;
    for (let tries = 0; small.server.open > 0; tries++) {
      assert(tries < 5000, "it is still open");
      await new Promise((done) => setTimeout(done, 5));
    }
    const submit = small.lm.batcher.submit.bind(small.lm.batcher);
    small.lm.batcher.submit = (request) =>
      submit({
        ...request,
        logitsProcessor: (logits, { generated }) => void (logits[0] = generated.length > 5 ? NaN : 0),
      });
    try {
      await assertRejects(async () => {
        for await (const _ of await client.completions.create(asked)) { /* until it fails */ }
      });
    } finally {
      small.lm.batcher.submit = submit;
    }
  });

  it("ai: text, streams, objects", async () => {
    const { generateObject, generateText, jsonSchema, streamText } = await load("ai");
    const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
    const options = { name: "lightgpt", apiKey: key, baseURL: `${listening.url}/v1`, includeUsage: true };
    const model = createOpenAICompatible({ ...options, supportsStructuredOutputs: true })("stories");
    const [{ content: instructions }, { content: prompt }] = messages;
    const asked = { model, instructions, prompt, maxOutputTokens: 24, maxRetries: 0, ...rest };
    const { text, finishReason, usage } = await generateText(asked);
    assertEquals([text, finishReason, usage.outputTokens], [expected.text, "length", 24]);
    let streamed = "";
    for await (const part of streamText(asked).textStream) streamed += part;
    assertEquals(streamed, expected.text);
    const { object } = await generateObject({ ...asked, maxOutputTokens: 99, schema: jsonSchema(schema) });
    assertEquals(typeof object.red, "boolean");
  });

  it("@ai-sdk/openai, by responses: text, streams, objects, a conversation that goes on", async () => {
    const { generateObject, generateText, jsonSchema, streamText } = await load("ai");
    const { createOpenAI } = await load("@ai-sdk/openai");
    const model = createOpenAI({ apiKey: key, baseURL: `${listening.url}/v1` })("stories");
    const [{ content: instructions }, turn] = messages;
    const options = { template, sampling: { temperature: 0 }, maxTokens: 24 };
    const asked = { model, instructions, maxOutputTokens: 24, maxRetries: 0, temperature: 0 };
    const first = await generateText({ ...asked, messages: [turn] });
    const said = await small.lm.reply(messages, options);
    assertEquals([first.text, first.finishReason, first.usage.outputTokens], [said.text, "length", 24]);
    let streamed = "";
    for await (const part of streamText({ ...asked, messages: [turn] }).textStream) streamed += part;
    assertEquals(streamed, said.text);
    // It sends no text that the server keeps, but its item's id.
    const more = { role: "user", content: "And?" };
    const { text } = await generateText({ ...asked, messages: [turn, ...first.response.messages, more] });
    const talk = [...messages, { role: "assistant", content: said.text }, more];
    assertEquals(text, (await small.lm.reply(talk, options)).text);
    const held = { ...asked, messages: [turn], maxOutputTokens: 99, schema: jsonSchema(schema) };
    assertEquals(typeof (await generateObject(held)).object.red, "boolean");
  });

  it("@langchain/openai: text, streams, objects", async () => {
    const { ChatOpenAI } = await load("@langchain/openai") as { ChatOpenAI: Client };
    const options = { model: "stories", apiKey: key, configuration: { baseURL: `${listening.url}/v1` }, maxRetries: 0 };
    const sampling = { temperature: rest.temperature, modelKwargs: { seed: rest.seed } };
    const model = new ChatOpenAI({ ...options, ...sampling, maxTokens: 24 });
    const talk = messages.map(({ role, content }) => [role === "user" ? "human" : role, content]);
    const { content, response_metadata, usage_metadata } = await model.invoke(talk);
    assertEquals([content, response_metadata.finish_reason, usage_metadata.output_tokens], [
      expected.text,
      "length",
      24,
    ]);
    let streamed = "";
    for await (const part of await model.stream(talk)) streamed += part.content;
    assertEquals(streamed, expected.text);
    const held = new ChatOpenAI({ ...options, ...sampling, maxTokens: 99 }).withStructuredOutput(
      { title: "colour", $schema: "https://json-schema.org/draft/2020-12/schema", ...schema },
      { method: "jsonSchema" },
    );
    assertEquals(typeof (await held.invoke(talk)).red, "boolean");
    const wrong = await new ChatOpenAI({ ...options, topP: 3 }).invoke(talk).catch((error: unknown) => error);
    assertEquals([wrong.status, wrong.param], [400, "top_p"]);
  });

  it("@openai/agents: by responses and by chats, whole and streamed", async () => {
    const { Agent, OpenAIProvider, Runner, setTracingDisabled } = await load("@openai/agents") as Methods;
    setTracingDisabled(true);
    const [{ content: instructions }, { content: input }] = messages;
    // An answer that is cut is an error to these agents: this one ends.
    const constraint = { choice: ["A fox was here.", "A hen was here."] };
    const { text: whole } = await small.lm.reply(messages, { template, sampling: rest, maxTokens: 24, constraint });
    const providerData = { seed: rest.seed, constraint };
    const modelSettings = { temperature: rest.temperature, maxTokens: 24, providerData };
    const agent = new Agent({ name: "teller", instructions, model: "stories", modelSettings });
    for (const useResponses of [true, false]) {
      const modelProvider = new OpenAIProvider({ openAIClient: await openai(), useResponses });
      const runner = new Runner({ modelProvider, tracingDisabled: true });
      assertEquals((await runner.run(agent, input)).finalOutput, whole);
      const stream = await runner.run(agent, input, { stream: true });
      let text = "";
      for await (const part of stream.toTextStream()) text += part;
      await stream.completed;
      assertEquals([text, stream.finalOutput], [whole, whole]);
    }
  });

  it("openai: a response in the background, from any event on, and cancelled", async () => {
    const client = await openai();
    const [{ content: instructions }, { content: input }] = messages;
    const asked = { model: "stories", instructions, input, max_output_tokens: 24, ...rest, background: true };
    const { id } = await client.responses.create(asked);
    let done = await client.responses.retrieve(id);
    for (; done.status === "queued" || done.status === "in_progress"; done = await client.responses.retrieve(id)) {
      await new Promise((turn) => setTimeout(turn, 2));
    }
    assertEquals(done.output_text, expected.text);
    const numbers: number[] = [];
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 4 })) {
      numbers.push(event.sequence_number);
    }
    assertEquals(numbers, Array.from({ length: numbers.length }, (_, index) => index + 5));
    const long = await client.responses.create({ ...asked, max_output_tokens: 400 });
    assert(["cancelled", "completed", "incomplete"].includes((await client.responses.cancel(long.id)).status));
  });

  it("@anthropic-ai/sdk: messages, streams, counts, errors", async () => {
    const { default: Anthropic } = await load("@anthropic-ai/sdk") as { default: Client };
    const client = new Anthropic({ apiKey: key, baseURL: listening.url, maxRetries: 0 });
    const [{ content: system }, turn] = messages;
    const asked = { model: "stories", system, messages: [turn], max_tokens: 24, ...rest };
    const whole = await client.messages.create(asked);
    assertEquals([whole.content[0].text, whole.stop_reason], [expected.text, "max_tokens"]);
    const final = await client.messages.stream(asked).finalMessage();
    assertEquals([final.content[0].text, final.usage.output_tokens], [expected.text, 24]);
    const { input_tokens } = await client.messages.countTokens({ model: "stories", system, messages: [turn] });
    assertEquals(input_tokens, expected.promptTokens);
    const error = await client.messages.create({ ...asked, max_tokens: -1 }).catch((error: unknown) => error);
    assertEquals([error.status, error.error.error.type], [400, "invalid_request_error"]);
  });

  it("ollama: chat, streams, generate, tags, show", async () => {
    const { Ollama } = await load("ollama") as { Ollama: Client };
    const client = new Ollama({ host: listening.url, headers: { authorization: `Bearer ${key}` } });
    const options = { ...rest, num_predict: 24 };
    const whole = await client.chat({ model: "stories", messages, options });
    assertEquals([whole.message.content, whole.eval_count], [expected.text, 24]);
    let text = "";
    for await (const part of await client.chat({ model: "stories", messages, options, stream: true })) {
      text += part.message.content;
    }
    assertEquals(text, expected.text);
    const [{ content: system }, { content: prompt }] = messages;
    assertEquals((await client.generate({ model: "stories", system, prompt, options })).response, expected.text);
    assertEquals((await client.list()).models[0].name, "stories");
    assertEquals((await client.show({ model: "stories" })).details.family, "llama");
    const error = await client.embed({ model: "stories", input: "x" }).catch((error: unknown) => error);
    assertEquals(error.status_code, 400);
    assert(error.error.startsWith("pooling: expected mean"), error.error);
  });
});

describeWholeKit("clients of vectors", "embed", (directory) => {
  let embedder: Embedder;
  let server: Server;
  let listening: Listening;
  const key = "a long secret";
  const texts = ["the cat", "the dog and the cat"];
  before(async () => {
    if (!isThere) return;
    embedder = await Embedder.load(join(directory, "bert_mean.gguf"));
    server = createServer({ models: { vectors: embedder }, keys: [key] });
    listening = await listen(server, { port: 0 });
  });
  after(async () => {
    if (!isThere) return;
    await server.close(0);
    await listening.close();
    await embedder.dispose();
  });
  const wanted = async (options = {}) => [...await embedder.embed(texts, options)].map((row) => row.slice());
  const told = (vectors: Iterable<Iterable<number>>) => Array.from(vectors, (row) => Float32Array.from(row));

  it("openai: vectors as bytes and numbers, shorter ones, errors", { skip }, async () => {
    const { default: OpenAI } = await load("openai") as { default: Client };
    const client = new OpenAI({ apiKey: key, baseURL: `${listening.url}/v1`, maxRetries: 0 });
    for (const encoding_format of [undefined, "float"]) {
      const { data, usage } = await client.embeddings.create({ model: "vectors", input: texts, encoding_format });
      assertEquals(told(data.map(({ embedding }: { embedding: number[] }) => embedding)), await wanted());
      assertEquals(usage.total_tokens, (await embedder.embed(texts)).tokens);
    }
    const { data } = await client.embeddings.create({ model: "vectors", input: texts, dimensions: 8 });
    assertEquals(
      told(data.map(({ embedding }: { embedding: number[] }) => embedding)),
      await wanted({ dimensions: 8 }),
    );
    const error = await client.embeddings.create({ model: "vectors", input: ["a", ""] }).catch((error: unknown) =>
      error
    );
    assertEquals([error.status, error.param], [400, "input[1]"]);
  });

  it("@langchain/openai and ollama: vectors of documents and of a query", { skip }, async () => {
    const { OpenAIEmbeddings } = await load("@langchain/openai") as { OpenAIEmbeddings: Client };
    const configuration = { baseURL: `${listening.url}/v1` };
    const chain = new OpenAIEmbeddings({ model: "vectors", apiKey: key, configuration, maxRetries: 0 });
    assertEquals(told(await chain.embedDocuments(texts)), await wanted());
    assertEquals(told([await chain.embedQuery(texts[1])]), (await wanted()).slice(1));
    const { Ollama } = await load("ollama") as { Ollama: Client };
    const client = new Ollama({ host: listening.url, headers: { authorization: `Bearer ${key}` } });
    assertEquals(told((await client.embed({ model: "vectors", input: texts })).embeddings), await wanted());
    assertEquals(told([(await client.embeddings({ model: "vectors", prompt: texts[0] })).embedding]), [
      (await wanted())[0],
    ]);
    const error = await client.chat({ model: "vectors", messages }).catch((error: unknown) => error);
    assertEquals(error.status_code, 400);
  });
});
