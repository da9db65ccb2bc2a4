/**
 * LangChain over a model in this process, by its own functions: texts, streams, chains, objects, tools, thoughts, aborts, vectors,
 * and what is refused. `@langchain/core` is what this repository itself is checked with.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { Embedder } from "../exports/embedding.ts";
import { ChatLightGPT, LightGPTEmbeddings } from "../exports/langchain.ts";
import { InvalidArgumentError, LightGPT, UnsupportedError } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { template } from "./small-server.ts";
import { own } from "./tool-templates.ts";

const colour = z.object({ red: z.boolean() });
const talk = [new SystemMessage("Tell."), new HumanMessage("Of a fox.")];
const sampling = { temperature: 0.9, seed: 4 };

describe("LangChain in this process", () => {
  let lm: LightGPT;
  let model: ChatLightGPT;
  const withChat = (more: object) => new ChatLightGPT({ model: lm, chat: { template, sampling, ...more } });
  before(async () => {
    lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    model = withChat({ maxTokens: 24 });
  });
  after(() => lm.dispose());

  it("gives the text, the end and the usage that the model itself gives, whole and streamed", async () => {
    const messages = [{ role: "system", content: "Tell." }, { role: "user", content: "Of a fox." }];
    const expected = await lm.reply(messages, { template, sampling, maxTokens: 24 });
    const answer = await model.invoke(talk);
    assertEquals([answer.text, answer.response_metadata.finish_reason, answer.response_metadata.model_name], [
      expected.text,
      "length",
      "lightgpt",
    ]);
    assertEquals([answer.usage_metadata?.input_tokens, answer.usage_metadata?.output_tokens], [
      expected.promptTokens,
      24,
    ]);
    let streamed = "";
    let parts = 0;
    for await (const { text } of await model.stream(talk)) {
      streamed += text;
      parts++;
    }
    assertEquals(streamed, expected.text);
    assertGreater(parts, 10);
    const prompt = ChatPromptTemplate.fromMessages([["system", "Tell."], ["human", "Of a {animal}."]]);
    const chain = prompt.pipe(model).pipe(new StringOutputParser());
    assertEquals(await chain.invoke({ animal: "fox" }), expected.text);
    assertEquals(await chain.batch([{ animal: "fox" }, { animal: "fox" }]), [expected.text, expected.text]);
    const short = await model.invoke(talk, { stop: ["."], chat: { maxTokens: 200 } });
    assertEquals([short.text.includes("."), short.response_metadata.finish_reason], [false, "stop"]);
  });

  it("gives objects of a schema, alone and with their message", async () => {
    const held = withChat({ maxTokens: 99 });
    const { red } = await held.withStructuredOutput(colour).invoke(talk);
    assertEquals(typeof red, "boolean");
    const plain = { type: "object", properties: { red: { type: "boolean" } }, required: ["red"] };
    const { raw, parsed } = await held.withStructuredOutput<{ red: boolean }>(plain, { includeRaw: true }).invoke(talk);
    assertEquals([typeof parsed.red, JSON.parse(raw.text)], ["boolean", parsed]);
    assertThrows(
      () => held.withStructuredOutput(colour, { method: "functionCalling" }),
      InvalidArgumentError,
      "jsonSchema",
    );
  });

  it("calls tools, and goes on with what they gave", async () => {
    const weather = tool(({ city }) => `${city}: warm`, {
      name: "weather",
      description: "The weather.",
      schema: z.object({ city: z.string().min(1).max(9) }),
    });
    const base = new ChatLightGPT({ model: lm, chat: { template: own.json, sampling, parallelToolCalls: false } });
    const forced = base.bindTools([weather], { tool_choice: "any" });
    const asked = await forced.invoke(talk);
    const [call] = asked.tool_calls ?? [];
    assertEquals([call.name, asked.response_metadata.finish_reason], ["weather", "tool_calls"]);
    const result: ToolMessage = await weather.invoke(call);
    assertEquals(result.content, `${call.args.city}: warm`);
    const none = base.bindTools([weather], { tool_choice: "none", chat: { maxTokens: 20 } });
    assertGreater((await none.invoke([...talk, asked, result])).text.length, 0);
    const nameless = new ToolMessage({ content: "warm", tool_call_id: call.id ?? "" });
    assertEquals((await none.invoke([...talk, asked, nameless])).usage_metadata?.output_tokens, 20);
    let whole: AIMessage | undefined;
    for await (const chunk of await base.bindTools([weather], { tool_choice: "weather" }).stream(talk)) {
      whole = whole === undefined ? chunk : (whole as typeof chunk).concat(chunk);
    }
    assertEquals(whole?.tool_calls?.[0].name, "weather");
    await assertRejects(
      async () => void await forced.invoke(talk, { stop: ["."] }),
      InvalidArgumentError,
      "beside tools",
    );
  });

  it("tells thoughts apart", async () => {
    const thinking =
      "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
      "{{ m.content }} {% endfor %}{% if add_generation_prompt %}<think>{% endif %}";
    const answer = await withChat({ template: thinking, maxTokens: 40, reasoning: { budget: 8 } }).invoke(talk);
    const { reasoning_content: thoughts } = answer.additional_kwargs;
    assert(typeof thoughts === "string" && thoughts.length > 0 && !answer.text.includes("think>"));
  });

  it("ends by the signal, and the request is gone", async () => {
    const open = () => lm.batcher.stats().queued + lm.batcher.stats().running;
    const long = withChat({ maxTokens: 400, sampling: { temperature: 1e9, seed: 2 } });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    await assertRejects(async () => void await long.invoke(talk, { signal: controller.signal }));
    for await (const _ of await long.stream(talk)) break;
    for (let tries = 0; open() > 0; tries++) {
      assert(tries < 5000, "it is still open");
      await new Promise((done) => setTimeout(done, 5));
    }
  });

  it("refuses what no model here reads", async () => {
    const image = new HumanMessage({
      content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA" } }],
    });
    const error = await model.invoke([image]).catch((error: Error) => error);
    assert(error instanceof UnsupportedError);
    assertStringIncludes(error.message, 'messages[0].content[0]: a part of the type "image_url"');
    assertThrows(() => new ChatLightGPT({ model: {} as LightGPT }), InvalidArgumentError, "a LightGPT");
    const wrong = await model.invoke(talk, { tool_choice: { type: "other" } }).catch((error: Error) => error);
    assert(wrong instanceof InvalidArgumentError);
  });

  it("makes vectors, which stores and retrievers take", async () => {
    const texts = ["a fox", "a hen"];
    const expected = await lm.embed(texts, { pooling: "mean" });
    const embeddings = new LightGPTEmbeddings({ model: lm, embed: { pooling: "mean" }, query: { prompt: "query: " } });
    const rows = await embeddings.embedDocuments(texts);
    assertEquals(rows, [Array.from(expected.row(0)), Array.from(expected.row(1))]);
    const query = await lm.embed("query: a fox", { pooling: "mean" });
    assertEquals(await embeddings.embedQuery("a fox"), Array.from(query.row(0)));
    await using embedder = await Embedder.load(embeddedModel());
    assertEquals(
      await new LightGPTEmbeddings({ model: embedder, embed: { pooling: "mean" } }).embedDocuments(texts),
      rows,
    );
    assertThrows(() => new LightGPTEmbeddings({ model: {} as LightGPT }), InvalidArgumentError, "an Embedder");
  });
});
