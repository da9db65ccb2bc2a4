/**
 * Answers with calls and thoughts from a whole model: pieces, budgets, what begins behind thoughts, agents and their limits, foreign
 * text, and what is refused.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import {
  type Answer,
  type AnswerOptions,
  CancelledError,
  type ChatMessage,
  InvalidArgumentError,
  jsonSchema,
  LightGPT,
  LightGPTError,
  runTools,
  tool,
  toolResult,
  toolsOf,
  UnsupportedError,
} from "../mod.ts";
import { own, templateOf } from "./tool-templates.ts";

let lm: LightGPT;
before(async () => {
  lm = await LightGPT.load();
});
after(() => lm.dispose());

const messages: ChatMessage[] = [{ role: "user", content: "How is the weather in Rome?" }];
const city = jsonSchema<{ city: string }>({
  type: "object",
  properties: { city: { type: "string", minLength: 1, maxLength: 9 } },
  required: ["city"],
});
const weather = tool({ description: "The weather.", input: city, run: ({ city }) => `${city}: warm` });
const time = tool({ description: "The time.", input: jsonSchema({}), run: () => "noon" });
const tools = { weather, time };
const common = { template: own.json, tools, maxTokens: 300 };
const thinking =
  "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
  "{{ m.content }} {% endfor %}{% if add_generation_prompt %}<think>{% endif %}";

describe("an answer with tools", () => {
  it("is calls alone where they are required, whatever the seed", async () => {
    for (let seed = 0; seed < 12; seed++) {
      const sampling = { seed, temperature: 2, topK: 0, topP: 1 };
      const parallelToolCalls = false; // at this temperature more and more of them come
      const { toolCalls, text, message } = await lm.reply(messages, {
        ...common,
        toolChoice: "required",
        parallelToolCalls,
        sampling,
      });
      assert(toolCalls.length > 0, "no call");
      assertEquals(text, "");
      for (const call of toolCalls) {
        if (call.name === "weather") assert(call.input.city.length > 0 && Array.from(call.input.city).length <= 9);
        else assertEquals([call.name, call.input], ["time", {}]);
      }
      assertEquals((message.tool_calls as unknown[]).length, toolCalls.length);
    }
  });

  it("is one call of the tool that is named, and none where none is wanted", async () => {
    const named = await lm.reply(messages, { ...common, toolChoice: { name: "time" } });
    assertEquals(named.toolCalls.map(({ name, input }) => [name, input]), [["time", {}]]);
    const none = await lm.reply(messages, { ...common, toolChoice: "none", maxTokens: 30, sampling: { seed: 1 } });
    assertEquals([none.toolCalls, none.text.length > 0], [[], true]);
  });

  it("comes in pieces that are the whole", async () => {
    const options = { ...common, toolChoice: "required", sampling: { seed: 1 } } as const;
    const pieces = lm.chat(messages, options);
    const names: string[] = [];
    let [grown, parts] = ["", 0];
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) {
      const piece = next.value;
      if (piece.type === "toolCallDelta") {
        grown += piece.text;
        parts++;
      }
      if (piece.type !== "toolCall") continue;
      assertEquals(JSON.parse(grown), piece.input);
      grown = "";
      names.push(piece.name);
    }
    const answer: Answer<typeof tools> = next.value;
    assertGreater(parts, 2 * names.length);
    assertEquals(answer.toolCalls.map(({ name }) => name), names);
    assertEquals((await lm.reply(messages, options)).tokens, answer.tokens);
    assertEquals(JSON.parse(JSON.stringify(answer)).toolCalls.length, names.length);
  });

  it("goes on where its prompt has begun it", async () => {
    const headed = { ...common, template: own.headed, sampling: { seed: 2 }, maxTokens: 100, parallelToolCalls: false };
    const { toolCalls, tokens } = await lm.reply(messages, { ...headed, toolChoice: "required" });
    assertEquals(toolCalls.length, 1);
    assert(lm.detokenize(tokens).startsWith(`${toolCalls[0].name}\n{`), lm.detokenize(tokens));
    const none = await lm.reply(messages, { ...headed, toolChoice: "none" });
    assertEquals(none.text, lm.detokenize(none.tokens).slice("all\n".length));
  });

  it("that is cut within a call is an error", async () => {
    const cut = () => lm.reply(messages, { ...common, toolChoice: "required", maxTokens: 4 });
    assertEquals((await assertRejects(cut, LightGPTError) as LightGPTError).code, "incomplete");
  });

  it("has what the tool's own check made of its input, or its refusal", async () => {
    const schema = { type: "object", properties: { n: { type: "integer", minimum: 1, maximum: 9 } }, required: ["n"] };
    const doubling = jsonSchema<{ n: number }, number>(schema, ({ n }) => ({ value: 2 * n }));
    const double = { double: tool({ description: "Doubles.", input: doubling }) };
    // With some seeds this model writes on until it is cut.
    const once = { ...common, toolChoice: "required", parallelToolCalls: false, sampling: { seed: 1 } } as const;
    const { toolCalls: [call] } = await lm.reply(messages, { ...once, tools: double });
    assert(call.input >= 2 && call.input <= 18);
    const never = tool({ description: "Never.", input: jsonSchema(schema, () => ({ issues: [{ message: "odd" }] })) });
    const refused = () => lm.reply(messages, { ...once, tools: { never } });
    assertEquals((await assertRejects(refused, LightGPTError, "odd") as LightGPTError).code, "invalidOutput");
  });
});

describe("thoughts", () => {
  it("are told apart, end when their budget is used up, and leave no mark in the text", async () => {
    for (const budget of [0, 1, 20, 64]) {
      const { reasoning, text, tokens } = await lm.reply(messages, {
        template: thinking,
        reasoning: { budget },
        maxTokens: budget + 60,
        sampling: { seed: 1 }, // with some seeds the model ends its text within its thoughts, or right behind them
      });
      assert(lm.tokenize(reasoning, { addSpecial: false }).length <= budget + 1, `${budget}: ${reasoning}`);
      if (budget === 0) assertEquals(reasoning, "");
      assert(text.length > 0 && !/think>/.test(text + reasoning), text);
      assertStringIncludes(lm.detokenize(tokens), "</think>");
    }
  });

  it("do not come where the prompt has ended them", async () => {
    const template = thinking.replace("<think>{% endif %}", "<think>{% if off %}</think> {% endif %}{% endif %}");
    const reply = (off: boolean) =>
      lm.reply(messages, {
        template,
        variables: { off },
        reasoning: { budget: 8 },
        sampling: { seed: 1 },
        constraint: { regex: "(<think>)?[a-z ]{1,20}" },
      });
    const [on, none] = [await reply(false), await reply(true)];
    assertEquals([on.reasoning.length > 0, none.reasoning], [true, ""]);
    assertEquals(lm.detokenize(none.tokens), none.text);
  });

  it("come before a constraint, which begins right behind them", async () => {
    const { reasoning, text } = await lm.reply(messages, {
      template: thinking,
      reasoning: { budget: 8 },
      sampling: { seed: 1 },
      constraint: { choice: ["yes", "no"] },
    });
    assert(reasoning.length > 0);
    assert(text === "yes" || text === "no", text);
  });

  it("are a message of their own where a template has them so, and no head of one is in the text", async () => {
    const reply = (more: AnswerOptions) =>
      lm.reply(
        messages,
        { template: own.harmony, reasoning: { budget: 8 }, sampling: { seed: 1 }, ...more } as AnswerOptions,
      );
    const { reasoning, text, tokens } = await reply({ constraint: { choice: ["yes", "no"] } });
    assert(reasoning.length > 0 && (text === "yes" || text === "no"), text);
    const heads = /analysis<\|message\|>[^<]*<\|end\|><\|start\|>assistant\s*<\|channel\|>final<\|message\|>(yes|no)$/;
    assert(heads.test(lm.detokenize(tokens)), lm.detokenize(tokens));
    for (const more of [{ tools, toolChoice: "none" }, {}] as const) {
      const answer = await reply({ ...more, maxTokens: 120 });
      assert(answer.reasoning.length > 0 && answer.text.length > 0 && !/<\||final/.test(answer.text), answer.text);
    }
  });

  it("come before calls", async () => {
    const template = own.thinking;
    const { reasoning, toolCalls } = await lm.reply(messages, {
      ...common,
      template,
      toolChoice: "required",
      reasoning: { budget: 5 },
      // With some seeds this model writes calls until it is cut.
      parallelToolCalls: false,
      sampling: { seed: 1 },
    });
    assert(reasoning.length > 0 && toolCalls.length > 0);
  });

  it("have no budget where a template shows none", async () => {
    await assertRejects(
      () => lm.reply(messages, { template: own.json, reasoning: { budget: 5 } }),
      UnsupportedError,
      "budget",
    );
  });
});

describe("an agent", () => {
  const options = {
    ...common,
    toolChoice: "required" as const,
    parallelToolCalls: false,
    rounds: 2,
    sampling: { seed: 3 },
    maxTokens: 100,
  };

  it("gets results of functions, and answers in words in the last round", async () => {
    const run = await runTools(lm, messages, options);
    assertEquals([run.rounds, run.answer.toolCalls], [2, []]);
    const results = run.messages.filter(({ role }) => role === "tool");
    assert(results.length > 0);
    for (const { content } of results) assert(content === "noon" || /: warm$/.test(content as string), `${content}`);
    assertEquals(run.messages.map(({ role }) => role), [
      "user",
      "assistant",
      ...results.map(() => "tool"),
      "assistant",
    ]);
  });

  it("hears of a function's error, or ends with it", async () => {
    const fail = () => {
      throw new Error("no network");
    };
    const failing = { weather: tool({ description: "The weather.", input: city, run: fail }) };
    const run = await runTools(lm, messages, { ...options, tools: failing });
    assertEquals(run.messages.find(({ role }) => role === "tool")?.content, '{"error":"no network"}');
    await assertRejects(
      () => runTools(lm, messages, { ...options, tools: failing, onError: "throw" }),
      Error,
      "no network",
    );
  });

  it("ends when its time is over or its signal says so", async () => {
    let heard: AbortSignal | undefined;
    const slow = tool({
      description: "Slow.",
      input: jsonSchema({}),
      run: (_input, { signal }) => {
        heard = signal;
        return new Promise(() => {});
      },
    });
    const waiting = { ...options, tools: { slow } };
    // On a busy machine the call comes late.
    for (let timeoutMs = 1500; heard === undefined && timeoutMs < 100_000; timeoutMs *= 4) {
      await assertRejects(() => runTools(lm, messages, { ...waiting, timeoutMs }), CancelledError);
    }
    assertEquals(heard?.aborted, true);
    const signal = AbortSignal.abort();
    await assertRejects(() => runTools(lm, messages, { ...waiting, signal }), CancelledError);
    const silent = { silent: tool({ description: "Nothing.", input: jsonSchema({}) }) };
    await assertRejects(() => runTools(lm, messages, { ...options, tools: silent }), InvalidArgumentError, "run");
  });
});

describe("foreign text", () => {
  it("in descriptions, calls and results never becomes a control token", async () => {
    const { render, tokenizer } = await templateOf(own.json);
    const [end] = tokenizer.encode("<|im_end|>", { parseSpecial: true, addSpecial: false });
    const count = (word: string) => {
      const call = { id: "a", type: "function", function: { name: "time", arguments: { text: word } } };
      const all: ChatMessage[] = [
        ...messages,
        { role: "assistant", content: "", tool_calls: [call] },
        toolResult({ id: "a", name: "time" }, { word }),
      ];
      const declared = [{
        type: "function",
        function: { name: "time", description: word, parameters: { title: word } },
      }];
      const runs = render(all, { tools: declared, addGenerationPrompt: true });
      return tokenizer.encodeRuns(runs).filter((token) => token === end).length;
    };
    assertEquals(count("plain"), 3);
    assertEquals(count("<|im_end|>"), 3);
  });
});

describe("what is wrong with tools", () => {
  const refused = (options: object, words: string) =>
    assertRejects(() => lm.reply(messages, { ...common, ...options } as never), InvalidArgumentError, words);

  it("is named", async () => {
    await refused({ tools: { "<|im_end|>": time } }, "the name of a tool");
    await refused({ tools: {}, toolChoice: "auto" }, "at least one tool");
    await refused({ toolChoice: { name: "clock" } }, "weather or time");
    await refused({ toolChoice: "always" }, "toolChoice");
    await refused({ stop: "a" }, "stop");
    await refused({ constraint: { choice: ["a"] } }, "constraint");
    await refused({ tools: undefined, toolChoice: "required" }, "tools");
    await refused(
      { tools: { list: tool({ description: "A list.", input: jsonSchema({ type: "array" }) }) } },
      "object",
    );
    // It is refused before a token, whether it must be called, may be, or another is there.
    const never = tool({ description: "Never.", input: jsonSchema({ properties: { a: false }, required: ["a"] }) });
    for (const template of [own.json, own.tagged]) {
      for (const toolChoice of ["required", "auto"] as const) {
        await refused({ template, toolChoice, tools: { time, never } }, "No text fits tools.never.input");
      }
    }
    assertThrows(() => tool({ description: 1, input: city } as never), InvalidArgumentError, "tool.description");
    await assertRejects(
      () => lm.reply(messages, { ...common, template: "{{ messages[0].content }}" }),
      UnsupportedError,
    );
  });

  it("is a name that two have", () => {
    const one = { type: "function", function: { name: "time", description: "a", parameters: {} } };
    assertEquals(Object.keys(toolsOf([one])), ["time"]);
    assertThrows(() => toolsOf([one, one]), InvalidArgumentError, "another name");
  });
});
