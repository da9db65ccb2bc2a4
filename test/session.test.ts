/**
 * Conversations that are kept, conversations that are made to fit, and requests that give what they have when they are stopped.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import {
  type ChatMessage,
  type Completion,
  jsonSchema,
  LightGPT,
  LightGPTError,
  type SessionOptions,
  tool,
} from "../mod.ts";
import { own } from "./tool-templates.ts";

const template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}" +
  "{% if add_generation_prompt %}[assistant] {% endif %}";
const greedy = { template, sampling: { temperature: 0 } } as const;
const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });

let lm: LightGPT;
before(async () => void (lm = await LightGPT.load(undefined, { context: 256 })));
after(() => lm.dispose());

/** A long conversation: every turn has its number in it. */
const turns = (count: number): ChatMessage[] =>
  Array.from({ length: count }, (_, turn) => [user(`Turn ${turn} of the fox.`), assistant(`Yes, ${turn}.`)]).flat();

describe("a session", () => {
  it("keeps turns and answers, and answers as chat does", async () => {
    const session = lm.session({ ...greedy, system: "Be kind.", maxTokens: 8 });
    const first = await session.reply("Hello!");
    const messages = [{ role: "system", content: "Be kind." }, user("Hello!")];
    assertEquals(first.text, (await lm.reply(messages, { ...greedy, maxTokens: 8 })).text);
    assertEquals(session.messages, [user("Hello!"), assistant(first.text)]);
    let text = "";
    for await (const piece of session.chat("Once", { maxTokens: 5 })) text += piece.text;
    assertEquals(session.messages.length, 4);
    assertEquals(session.messages[3], assistant(text));
    const again = await lm.reply([...messages, assistant(first.text), user("Once")], { ...greedy, maxTokens: 5 });
    assertEquals(text, again.text);
    assertEquals(String(JSON.stringify(first)).includes('"dropped":[]'), true);
  });

  it("makes the prompt of a turn once, with tools and without; twice only where a function may shorten it", async () => {
    const { tokenizer } = lm.model;
    const encode = tokenizer.encodeAsync.bind(tokenizer);
    let prompts = 0;
    tokenizer.encodeAsync = (...parameters) => {
      prompts++;
      return encode(...parameters);
    };
    try {
      const made = async (options: SessionOptions) => {
        prompts = 0;
        await lm.session({ ...greedy, ...options, maxTokens: 4 }).reply("Hello!");
        return prompts;
      };
      assertEquals(await made({}), 1);
      assertEquals(await made({ onContextFull: "error" }), 1);
      assertEquals(await made({ messages: turns(30), onContextFull: (messages) => messages.slice(-2) }), 2);
      prompts = 0;
      const tools = { add: tool({ description: "Adds.", input: jsonSchema({ type: "object" }), run: () => 1 }) };
      await lm.session({ ...greedy, maxTokens: 4 }).reply("Hello!", { tools, template: own.json });
      assertEquals(prompts, 1);
    } finally {
      tokenizer.encodeAsync = encode;
    }
  });

  it("goes on from its JSON, and finds what was read in the cache", async () => {
    const session = lm.session({ ...greedy, maxTokens: 6 });
    await session.reply("There was a small red fox who lived in a big green wood with his friends.");
    const again = lm.session({ ...greedy, maxTokens: 6, ...JSON.parse(JSON.stringify(session)) });
    assertEquals(again.messages, session.messages);
    const next = await again.reply("And then?");
    assert(next.cachedTokens > 20, `${next.cachedTokens} of ${next.promptTokens}`);
    assertEquals((await session.reply("And then?")).text, next.text);
  });

  it("answers anew, forgets, and takes a message or several as a turn", async () => {
    const session = lm.session({ ...greedy, maxTokens: 4 });
    const { text } = await session.reply([user("One"), user("Two")]);
    let anew = "";
    for await (const piece of session.regenerate()) anew += piece.text;
    assertEquals(anew, text);
    assertEquals(session.messages, [user("One"), user("Two"), assistant(text)]);
    session.clear();
    assertEquals(session.messages, []);
    assertThrows(() => session.regenerate(), LightGPTError, "an empty conversation");
  });

  it("begins the answer as it is told, which stays in the conversation", async () => {
    const session = lm.session({ ...greedy, maxTokens: 4 });
    const { text, promptTokens } = await session.reply("Who?", { prefill: "The fox" });
    assertEquals(session.messages[1], assistant(`The fox${text}`));
    assertEquals(await lm.countTokens([user("Who?")], { template }) + 2, promptTokens);
    const whole = await lm.complete(`[user] Who?\n[assistant] The fox`, { maxTokens: 4, sampling: { temperature: 0 } });
    assertEquals(text, whole.text);
  });

  it("forgets the oldest turns where the context is full, and says which", async () => {
    const session = lm.session({ ...greedy, system: "Be kind.", messages: turns(30), maxTokens: 8 });
    const { dropped, promptTokens } = await session.reply("The last?");
    assert(dropped.length > 0 && dropped.length % 2 === 0);
    assertEquals(dropped, turns(30).slice(0, dropped.length));
    assertEquals(session.messages.slice(0, -2), turns(30).slice(dropped.length));
    // A quarter of what fits is free, so that the next turns find their beginning in the cache.
    assert(promptTokens <= (256 - 8) * 3 / 4);
    const next = await session.reply("And?");
    assertEquals(next.dropped, []);
    assert(next.cachedTokens > promptTokens / 2);
  });

  it("refuses a full context where told to, or asks", async () => {
    const strict = lm.session({ ...greedy, messages: turns(30), maxTokens: 8, onContextFull: "error" });
    const error = await assertRejects(() => strict.reply("The last?"), LightGPTError);
    assertEquals(error.code, "limit");
    assertEquals(strict.messages, turns(30));
    const asked = lm.session({ ...greedy, messages: turns(30), maxTokens: 8, onContextFull: (all) => all.slice(-3) });
    const { dropped } = await asked.reply("The last?");
    assertEquals(dropped.length, 58);
    assertEquals(asked.messages.length, 4);
    const useless = lm.session({ ...greedy, messages: turns(30), maxTokens: 8, onContextFull: (all) => all });
    assertEquals((await assertRejects(() => useless.reply("The last?"), LightGPTError)).code, "limit");
  });

  it("keeps what was said where it is stopped, and takes a turn back that fails", async () => {
    const session = lm.session({ ...greedy, maxTokens: 50 });
    const controller = new AbortController();
    let said = "";
    const stopped = (async () => {
      for await (const piece of session.chat("Hello!", { signal: controller.signal })) {
        said += piece.text;
        if (said.length > 12) controller.abort();
      }
    })();
    assertEquals((await assertRejects(() => stopped, LightGPTError)).code, "cancelled");
    assertEquals(session.messages[0], user("Hello!"));
    assert(String(session.messages[1].content).startsWith(said));
    const before = session.messages;
    await assertRejects(() => session.reply("More", { maxTokens: -1 }), LightGPTError);
    assertEquals(session.messages, before);
    for await (const piece of session.chat("More")) {
      if (piece.text !== "") break;
    }
    assertEquals(session.messages.length, 4);
  });

  it("answers one turn at a time", async () => {
    const session = lm.session({ ...greedy, maxTokens: 20 });
    const first = session.reply("Hello!");
    const error = await assertRejects(() => session.reply("Wait!"), LightGPTError);
    assertEquals(error.code, "invalidArgument");
    await first;
    assertEquals(session.messages.length, 2);
  });
});

describe("a conversation that has to fit", () => {
  it("loses as few of its oldest turns as will do, never the system message or the last turn", async () => {
    const messages = [{ role: "system", content: "Be kind." }, ...turns(12), user("The last?")];
    const whole = await lm.countTokens(messages, { template });
    assertEquals((await lm.fit(messages, { template, tokens: whole })).dropped, []);
    for (const most of [whole - 1, 100, 60, 30]) {
      const { messages: left, dropped, tokens } = await lm.fit(messages, { template, tokens: most });
      assertEquals([messages[0], ...dropped, ...left.slice(1)], messages);
      assertEquals(tokens, await lm.countTokens(left, { template }));
      assert(tokens <= most);
      const more = [left[0], ...dropped.slice(-2), ...left.slice(1)];
      assert(await lm.countTokens(more, { template }) > most, "one turn more would have fitted");
    }
    await assertRejects(() => lm.fit(messages, { template, tokens: 5 }), LightGPTError, "more than 5");
  });

  it("has one message shortened at its end, whole characters", async () => {
    const messages = [user(`Read: ${"The fox 🦊 ran. ".repeat(40)}`), user("What ran?")];
    for (const cut of [0, -2]) {
      const { messages: [short, last], tokens, dropped } = await lm.fit(messages, { template, tokens: 50, cut });
      assertEquals([last, dropped, tokens <= 50, tokens > 40], [messages[1], [], true, true]);
      const text = String(short.content);
      assert(String(messages[0].content).startsWith(text) && text.isWellFormed());
    }
    await assertRejects(() => lm.fit(messages, { template, tokens: 50, cut: 2 }), LightGPTError, "cut");
    await assertRejects(() => lm.fit(messages, { template, tokens: 3, cut: 0 }), LightGPTError, "more than 3");
  });

  it("is counted as a text is", async () => {
    assertEquals(await lm.countTokens("The small red fox"), lm.tokenize("The small red fox").length);
    const messages = [user("Hello!")];
    assertEquals(await lm.countTokens(messages, { template }), (await lm.chatTokens(messages, { template })).length);
  });
});

describe("a request that is stopped", () => {
  /** Reads a request, aborting after `pieces` of them; gives the texts and the completion. */
  async function stopped(pieces: number, options: Parameters<LightGPT["generate"]>[1]): Promise<[string, Completion]> {
    const controller = new AbortController();
    if (pieces === 0) controller.abort();
    const all = lm.generate("Once upon a time", { onAbort: "return", signal: controller.signal, ...options });
    let text = "", count = 0;
    for (;;) {
      const { done, value } = await all.next();
      if (done) return [text, value];
      text += value.text;
      if (++count === pieces) controller.abort();
    }
  }

  it("gives what it has, where told to", async () => {
    const whole = await lm.complete("Once upon a time", { maxTokens: 60, sampling: { temperature: 0 } });
    for (const pieces of [0, 1, 7]) {
      const [text, completion] = await stopped(pieces, { maxTokens: 60, sampling: { temperature: 0 } });
      assertEquals(completion.stopReason, "aborted");
      assertEquals(completion.text, text);
      assertEquals(completion.tokens, whole.tokens.slice(0, completion.tokens.length));
      assert(completion.tokens.length >= pieces);
    }
  });

  it("shows what was held back for a stop string", async () => {
    const { text: whole, tokens } = await lm.complete("Once upon a time", {
      maxTokens: 12,
      sampling: { temperature: 0 },
    });
    const [text, completion] = await stopped(9, { sampling: { temperature: 0 }, stop: `${whole.slice(0, 20)}#` });
    assertEquals(completion.text, text);
    assertEquals(completion.tokens.slice(0, 9), tokens.slice(0, 9));
    assertEquals(
      text,
      lm.detokenize(completion.tokens).trimStart().slice(-text.trimStart().length).padStart(text.length),
    );
  });

  it("says that its deadline has passed", async () => {
    const completion = await lm.complete("Once", { onAbort: "return", deadlineMs: 0.001, maxTokens: 200 });
    assertEquals(completion.stopReason, "deadline");
    const session = lm.session({ ...greedy, onAbort: "return", deadlineMs: 0.001 });
    const { stopReason, text } = await session.reply("Hello!");
    assertEquals([stopReason, session.messages.length], ["deadline", text === "" ? 0 : 2]);
  });

  it("is still an error without, or where the model is disposed", async () => {
    const signal = AbortSignal.abort();
    assertEquals((await assertRejects(() => lm.complete("Once", { signal }), LightGPTError)).code, "cancelled");
    const own = await LightGPT.load();
    const running = own.complete("Once", { onAbort: "return", maxTokens: 5000 }).catch((error) => error);
    await own.dispose();
    assertEquals((await running).code, "closed");
  });
});
