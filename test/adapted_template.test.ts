/**
 * What clients of OpenAI's interface send: arguments as JSON text, and content that is null. The template sees what it
 * wants; `ChatTemplate` itself changes nothing.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type ChatMessage, ChatTemplate, InvalidArgumentError, type JsonValue, LightGPTError } from "../mod.ts";
import { AdaptedTemplate } from "../src/text/chat/adapted_template.ts";
import { describeKit, readJson } from "./kit.ts";

const now = new Date(2026, 0, 15, 12);

async function served(source: string, messages: ChatMessage[]): Promise<string> {
  const template = await AdaptedTemplate.read(source);
  return template.runs(messages, { now }).map(({ text }) => text).join("");
}

function calling(given: JsonValue, more: Partial<ChatMessage> = {}): ChatMessage[] {
  const call = { id: "call12345", type: "function", function: { name: "f", arguments: given } };
  return [{ role: "user", content: "q" }, { role: "assistant", content: "", tool_calls: [call], ...more }];
}

/** What one template cannot do without; the adapted one would have it of itself. */
const firefunction = { functions: "[]", datetime: "2026-01-15" };

const over = (expression: string) =>
  `{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls %}${expression}{% endfor %};{% endfor %}`;

describe("arguments of tool calls as JSON text", () => {
  const text = '{"town": "Bern", "n": [1, 2.5, null]}';

  it("are parsed once where the template wants the object", async () => {
    const object = JSON.parse(text);
    const wanting = [
      "{{ c.function.arguments|tojson }}",
      "{% for k, v in c.function.arguments|items %}<{{ k }}>{{ v }}{% endfor %}",
      "{% for k in c.function.arguments %}{{ k }}={{ c.function.arguments[k]|string }}{% endfor %}",
    ];
    for (const expression of wanting) {
      const template = await ChatTemplate.parse(over(expression));
      assertEquals(
        await served(over(expression), calling(text)),
        template.render(calling(object), { now }),
        expression,
      );
    }
  });

  it("stay text where the template writes them as they are, or takes both", async () => {
    const both =
      "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}{{ c.function.arguments|tojson }}{% endif %}";
    for (const expression of ["{{ c.function.arguments }}", "{{ '' + c.function.arguments }}", both]) {
      assertEquals(await served(over(expression), calling(text)), `user:q;assistant:${text};`, expression);
      const compact = '{"a":1}';
      assertEquals(await served(over(expression), calling(compact)), `user:q;assistant:${compact};`, expression);
    }
  });

  it("become text where the template writes no object", async () => {
    for (const expression of ["{{ '' + c.function.arguments }}", "{{ c.function.arguments }}"]) {
      assertEquals(await served(over(expression), calling({ a: [1, "é"] })), 'user:q;assistant:{"a":[1,"é"]};');
    }
  });

  it("stand beside no content where the template shows them only so", async () => {
    const source =
      "{% for m in messages %}{% if m.content is none %}{{ m.tool_calls[0].function.arguments | tojson }}" +
      "{% else %}{{ m.content }}{% endif %};{% endfor %}";
    assertEquals(await served(source, calling({ a: 1 })), 'q;{"a": 1};');
    assertEquals(await served(source, calling({ a: 1 }, { content: "words" })), "q;words;");
    const both = source.replace("is none", "is none or not m.content");
    assertEquals(await served(both, calling({ a: 1 }, { content: "" })), 'q;{"a": 1};');
  });

  it("stay text where they are no object", async () => {
    for (const odd of ["[1]", "7", '"x"', "not JSON", ""]) {
      const expected = `user:q;assistant:${JSON.stringify(odd)};`;
      assertEquals(await served(over("{{ c.function.arguments|tojson }}"), calling(odd)), expected);
    }
  });
});

describe("content that is null or missing", () => {
  it("is empty where the template fails with it or writes None", async () => {
    for (const content of [null, undefined]) {
      const messages = calling({ a: 1 });
      messages[1] = { ...messages[1], content } as ChatMessage;
      assertEquals(await served("{{ messages[1].content + 'x' }}", messages), "x");
      assertEquals(await served("{{ messages[1].content }}x", messages), "x");
      assertEquals(await served("{{ messages[1].content|trim }}x", messages), "x");
    }
  });

  it("is itself where the template tests it", async () => {
    const messages = calling({ a: 1 }, { content: null });
    assertEquals(await served("{% if messages[1].content is none %}nothing{% endif %}", messages), "nothing");
  });

  it("leaves other failures and other Nones as they are", async () => {
    const messages = calling({ a: 1 }, { content: null });
    await assertRejects(() => served("{{ raise_exception('no') }}", messages), InvalidArgumentError, "no");
    assertEquals(await served("{{ messages[1].content }}{{ none }}", messages), "None");
    await assertRejects(() => served("x", "nonsense" as unknown as ChatMessage[]), InvalidArgumentError, "messages");
    await assertRejects(() => served("x", [null] as unknown as ChatMessage[]), InvalidArgumentError, "messages[0]");
  });
});

describeKit("what servers are sent, by published templates", "templates2", (directory) => {
  const { cases, templates } = readJson<{
    cases: Record<string, Record<string, JsonValue> & { messages: ChatMessage[] }>;
    templates: Record<string, unknown>;
  }>(directory, "manifest.json");

  it("arguments as text give the prompt of the object, or have the text in it", async () => {
    let asObject = 0;
    for (const name of Object.keys(templates)) {
      const source = readFileSync(join(directory, `${name}.jinja`), "utf8");
      const [template, reader] = [await ChatTemplate.parse(source), await AdaptedTemplate.read(source)];
      const { messages, tools, add_generation_prompt: _, bos_token, eos_token } = cases.callstr;
      const tokens = { bos_token: String(bos_token), eos_token: String(eos_token) };
      const options = { now, tokens, variables: firefunction, ...(tools === undefined ? {} : { tools }) };
      const object = messages.map((message) => ({ ...message, ...called(message, { town: "Bern" }) }));
      const prompt = (act: () => string) => {
        try {
          return act();
        } catch (error) {
          assert(error instanceof LightGPTError);
          return undefined;
        }
      };
      const expected = prompt(() => template.render(object, options));
      const given = prompt(() => reader.runs(messages, options).map(({ text }) => text).join(""));
      if (given === expected) asObject++;
      else assert(given?.includes('{"town": "Bern"}'), `${name}: ${given ?? "refused"}`);
    }
    assert(asObject > Object.keys(templates).length / 3, `${asObject}`);
  });

  it("no content gives the prompt of an empty one, where Python fails or writes None", async () => {
    for (const name of Object.keys(templates)) {
      const source = readFileSync(join(directory, `${name}.jinja`), "utf8");
      const [template, reader] = [await ChatTemplate.parse(source), await AdaptedTemplate.read(source)];
      const { messages, tools, add_generation_prompt: _, ...own } = cases.callnone;
      const variables = { ...own, ...firefunction };
      const options = { now, variables, ...(tools === undefined ? {} : { tools }) };
      const filled = messages.map((message) => ({ ...message, content: message.content ?? "" }));
      const act = () => reader.runs(messages, options).map(({ text }) => text).join("");
      let expected: string;
      try {
        expected = template.render(filled, options);
      } catch {
        assertThrows(act, LightGPTError); // refused for another reason
        continue;
      }
      const prompt = act();
      assert(!prompt.includes("None"), name);
      if (prompt !== expected) assertEquals(prompt, template.render(messages, options), name);
    }
  });
});

describe("a template that knows tools as a text", () => {
  const source = '{{ functions + "|" + datetime }}{# functools[ #}{{ " functools[" }}';

  it("has them and the day in its own names, unless they are given", async () => {
    const template = await AdaptedTemplate.read(source);
    const tools = [{ type: "function", function: { name: "f" } }];
    const day = new Date(Date.UTC(2026, 0, 15, 12));
    const text = (options: Parameters<AdaptedTemplate["runs"]>[1]) =>
      template.runs([{ role: "user", content: "q" }], options).map(({ text }) => text).join("");
    assertEquals(text({ tools, now: day }), `${JSON.stringify(tools, null, 4)}|2026-01-15 functools[`);
    assertEquals(text({ now: day, variables: { functions: "none" } }), "none|2026-01-15 functools[");
  });
});

function called(message: ChatMessage, given: JsonValue): Partial<ChatMessage> {
  if (!Array.isArray(message.tool_calls)) return {};
  const [call] = message.tool_calls as { function: Record<string, JsonValue> }[];
  return { tool_calls: [{ ...call, function: { ...call.function, arguments: given } }] };
}
