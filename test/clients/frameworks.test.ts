/**
 * The AI SDK over a model in this process, by its own functions: texts, streams, objects, tools, thoughts, aborts, errors, and what
 * is refused. The package is installed as the clients are, and the tests are skipped by name where it is not.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { type AiSdkModel, createProvider, embeddingModel, languageModel } from "../../exports/ai-sdk.ts";
import { InvalidArgumentError, LightGPT, UnsupportedError } from "../../mod.ts";
import { repository } from "../kit.ts";
import { template } from "../small-server.ts";
import { own } from "../tool-templates.ts";

const isThere = existsSync(join(repository, "test/clients/node_modules/ai"));
const skip = isThere ? false : "the clients are not installed: npm ci --prefix test/clients";

/** Objects of packages that are not there for the type checker. */
// deno-lint-ignore no-explicit-any
type Methods = any;

/** A package by a name that no type checker follows. */
async function load(name: string): Promise<Methods> {
  return await import(name);
}

const schema = {
  type: "object",
  properties: { red: { type: "boolean" } },
  required: ["red"],
  additionalProperties: false,
};
const city = {
  type: "object",
  properties: { city: { type: "string", minLength: 1, maxLength: 9 } },
  required: ["city"],
};
const thinking =
  "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
  "{{ m.content }} {% endfor %}{% if add_generation_prompt %}<think>{% endif %}";

describe("the AI SDK in this process", { skip }, () => {
  let lm: LightGPT;
  let ai: Methods;
  let model: AiSdkModel;
  const asked = {
    instructions: "Tell.",
    prompt: "Of a fox.",
    maxOutputTokens: 24,
    maxRetries: 0,
    temperature: 0.9,
    seed: 4,
  };
  before(async () => {
    lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    ai = await load("ai");
    model = languageModel(lm, { id: "stories", chat: { template } });
  });
  after(() => lm.dispose());

  it("gives the text, the end and the usage that the model itself gives", async () => {
    const messages = [{ role: "system", content: "Tell." }, {
      role: "user",
      content: "Of a fox.",
    }];
    const expected = await lm.reply(messages, {
      template,
      sampling: { temperature: 0.9, seed: 4 },
      maxTokens: 24,
    });
    const { text, finishReason, usage, warnings } = await ai.generateText({
      ...asked,
      model,
    });
    assertEquals([text, finishReason, warnings ?? []], [
      expected.text,
      "length",
      [],
    ]);
    assertEquals([usage.inputTokens, usage.outputTokens], [
      expected.promptTokens,
      24,
    ]);
    const stream = ai.streamText({ ...asked, model });
    let streamed = "";
    for await (const part of stream.textStream) streamed += part;
    assertEquals([streamed, (await stream.usage).outputTokens], [
      expected.text,
      24,
    ]);
    const provider = ai.createProviderRegistry({
      local: createProvider({ stories: lm }),
    });
    const named = provider.languageModel("local:stories");
    const providerOptions = { lightgpt: { template } };
    assertEquals(
      (await ai.generateText({ ...asked, model: named, providerOptions })).text,
      expected.text,
    );
  });

  it("stops at a text", async () => {
    const { text, finishReason } = await ai.generateText({
      ...asked,
      model,
      maxOutputTokens: 200,
      stopSequences: ["."],
    });
    assertEquals([text.includes("."), finishReason], [false, "stop"]);
    assertGreater(text.length, 0);
  });

  it("gives objects of a schema, whole and as they grow", async () => {
    const { object } = await ai.generateObject({
      ...asked,
      maxOutputTokens: 99,
      model,
      schema: ai.jsonSchema(schema),
    });
    assertEquals(typeof object.red, "boolean");
    const output = ai.Output.object({ schema: ai.jsonSchema(schema) });
    const told = await ai.generateText({
      ...asked,
      maxOutputTokens: 99,
      model,
      output,
    });
    assertEquals(typeof told.output.red, "boolean");
    let last: Methods;
    const stream = ai.streamObject({
      ...asked,
      maxOutputTokens: 99,
      model,
      schema: ai.jsonSchema(schema),
    });
    for await (const part of stream.partialObjectStream) last = part;
    assertEquals(last, await stream.object);
  });

  it("calls tools, runs them, and goes on with what they gave", async () => {
    const calls: unknown[] = [];
    const weather = ai.tool({
      description: "The weather.",
      inputSchema: ai.jsonSchema(city),
      execute: (
        input: { city: string },
      ) => (calls.push(input), `${input.city}: warm`),
    });
    const withTools = languageModel(lm, { chat: { template: own.json } });
    const rest = {
      ...asked,
      maxOutputTokens: 300,
      model: withTools,
      tools: { weather },
      toolChoice: "required",
    };
    const { toolCalls, toolResults, finishReason } = await ai.generateText(
      rest,
    );
    assertEquals([toolCalls[0].toolName, finishReason], [
      "weather",
      "tool-calls",
    ]);
    assertEquals(toolResults[0].output, `${toolCalls[0].input.city}: warm`);
    const again = await ai.generateText({
      ...rest,
      toolChoice: "auto",
      stopWhen: ai.stepCountIs(2),
      prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
        toolChoice: stepNumber === 0 ? "required" : "none",
      }),
    });
    assertEquals([
      again.steps.length,
      again.steps[0].toolCalls.length > 0,
      again.text.length > 0,
    ], [2, true, true]);
    const types = new Set<string>();
    for await (const { type } of ai.streamText(rest).fullStream) {
      types.add(type);
    }
    for (const type of ["tool-input-start", "tool-call", "tool-result"]) {
      assert(types.has(type), type);
    }
    assertGreater(calls.length, 2);
  });

  it("tells thoughts apart", async () => {
    const thoughtful = languageModel(lm, {
      chat: { template: thinking, reasoning: { budget: 8 } },
    });
    const { reasoningText, text } = await ai.generateText({
      ...asked,
      maxOutputTokens: 40,
      model: thoughtful,
    });
    assert(
      reasoningText.length > 0 && text.length > 0 && !text.includes("think>"),
    );
    const none = await ai.generateText({
      ...asked,
      maxOutputTokens: 40,
      model: thoughtful,
      reasoning: "none",
    });
    assertEquals(none.reasoningText ?? "", "");
  });

  it("ends by the signal with its reason, whole and streamed, and the request is gone", async () => {
    const open = () => lm.batcher.stats().queued + lm.batcher.stats().running;
    const long = { ...asked, model, maxOutputTokens: 400, temperature: 1e9 };
    const controller = new AbortController();
    const whole = ai.generateText({ ...long, abortSignal: controller.signal });
    setTimeout(() => controller.abort(), 2);
    assertEquals(
      (await whole.catch((error: Error) => error)).name,
      "AbortError",
    );
    const early = await ai.generateText({
      ...long,
      abortSignal: AbortSignal.abort(),
    }).catch((error: Error) => error);
    assertEquals(early.name, "AbortError");
    const { stream } = await model.doStream({
      prompt: [{ role: "user", content: "Once" }],
      maxOutputTokens: 400,
    });
    const reader = stream.getReader();
    for (let parts = 0; parts < 5; parts++) await reader.read();
    await reader.cancel();
    for (let tries = 0; open() > 0; tries++) {
      assert(tries < 5000, "it is still open");
      await new Promise((done) => setTimeout(done, 5));
    }
  });

  it("refuses what no model here reads, and warns of what has no meaning here", async () => {
    const image = {
      type: "image",
      image: new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
      mediaType: "image/png",
    };
    const messages = [{
      role: "user",
      content: [{ type: "text", text: "What is this?" }, image],
    }];
    const { prompt: _prompt, instructions: _instructions, ...rest } = asked;
    const error = await ai.generateText({ ...rest, model, messages }).catch((
      error: Error,
    ) => error);
    assert(error instanceof UnsupportedError);
    assertStringIncludes(
      error.message,
      'prompt[0].content[1]: a part of the type "file"',
    );
    const wrong = await ai.generateText({ ...asked, model, topP: 7 }).catch((
      error: Error,
    ) => error);
    assert(wrong instanceof InvalidArgumentError);
    const { warnings } = await model.doGenerate({
      prompt: [{ role: "user", content: "Once" }],
      maxOutputTokens: 9,
      responseFormat: { type: "json" },
      tools: [{ type: "provider", name: "search" }],
    }).catch((error: Error) => ({ warnings: [error] as Methods[] }));
    assertEquals(warnings.map(({ feature }: Methods) => feature), [
      "the tool search",
      "responseFormat without a schema",
    ]);
    const provider = createProvider({ stories: lm });
    assertThrows(() => provider.imageModel("stories"), UnsupportedError, "image");
    assertThrows(() => provider.embeddingModel("other"), InvalidArgumentError, "stories");
    assertThrows(
      () => provider.languageModel("other"),
      InvalidArgumentError,
      "stories",
    );
    assertThrows(
      () => languageModel({} as LightGPT),
      InvalidArgumentError,
      "a LightGPT",
    );
    await assertRejects(
      async () => void await model.doGenerate({ prompt: 7 as never }),
      InvalidArgumentError,
      "an array of messages",
    );
  });

  it("makes vectors, one and many", async () => {
    const values = ["a fox", "a hen"];
    const expected = await lm.embed(values, { pooling: "mean" });
    const options = { embed: { pooling: "mean" } } as const;
    const many = await ai.embedMany({ model: embeddingModel(lm, options), values });
    assertEquals([many.embeddings, many.usage.tokens], [
      [Array.from(expected.row(0)), Array.from(expected.row(1))],
      expected.tokens,
    ]);
    const registry = ai.createProviderRegistry({ local: createProvider({ stories: lm }) });
    const one = await ai.embed({
      model: registry.embeddingModel("local:stories"),
      value: "a fox",
      providerOptions: { lightgpt: { pooling: "mean" } },
    });
    assertEquals(one.embedding, many.embeddings[0]);
    const gone = await ai.embed({
      model: embeddingModel(lm, options),
      value: "a fox",
      abortSignal: AbortSignal.abort(),
      maxRetries: 0,
    }).catch((error: Error) => error);
    assertEquals(gone.name, "AbortError");
    assertThrows(() => embeddingModel({} as LightGPT), InvalidArgumentError, "an Embedder");
  });

  it("has the types that the SDK asks for", { skip: !("Deno" in globalThis) }, () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-types-"));
    const file = join(folder, "model.ts");
    const at = (path: string) => pathToFileURL(join(repository, path)).href;
    writeFileSync(
      file,
      `import type { EmbeddingModelV4, LanguageModelV4, ProviderV4 } from "${
        at("test/clients/node_modules/@ai-sdk/provider/dist/index.d.ts")
      }";
import type { AiSdkEmbeddingModel, AiSdkModel, AiSdkProvider } from "${at("exports/ai-sdk.ts")}";
export const asVectors = (model: AiSdkEmbeddingModel): EmbeddingModelV4 => model;
export const asModel = (model: AiSdkModel): LanguageModelV4 => model;
export const asProvider = (provider: AiSdkProvider): ProviderV4 => provider;\n`,
    );
    const { status, stderr } = spawnSync(process.execPath, ["check", "--quiet", file], {
      cwd: repository,
      encoding: "utf8",
    });
    rmSync(folder, { recursive: true });
    assertEquals(status, 0, stderr);
  });
});
