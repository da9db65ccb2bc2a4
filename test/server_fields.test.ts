/**
 * What clients can send: each field of each interface is honoured, changes nothing, or is refused by its name; references to items of
 * a kept response; how much a model is to think, in the words of its template.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { createServer } from "../exports/server.ts";
import { clientInterfaces } from "./client-fields.ts";
import { posted, serveStories, type SmallServer, template } from "./small-server.ts";

/** A whole answer of any interface. */
interface Told {
  readonly error?: { readonly param?: string | null; readonly message: string } | string;
  readonly choices?: readonly { readonly message?: { readonly content: string }; readonly text?: string }[];
  readonly output?: readonly { readonly id: string; readonly content: readonly { readonly text: string }[] }[];
  readonly content?: readonly { readonly text: string }[];
  readonly message?: { readonly content: string };
  readonly response?: string;
}

function textOf({ choices, output, content, message, response }: Told): string | undefined {
  const [choice] = choices ?? [];
  return choice?.message?.content ?? choice?.text ?? output?.[0].content[0].text ?? content?.[0].text ??
    message?.content ?? response;
}

/** Whether an error names a field: as `param`, or in its sentence where an interface has nothing else. */
function doesName({ error }: Told, param: string): boolean {
  if (typeof error !== "string" && error?.param !== undefined) return error.param === param;
  const message = typeof error === "string" ? error : error?.message ?? "";
  return message.startsWith(param) || message.includes(`"${param}"`);
}

describe("the fields of clients", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories();
  });
  after(() => small[Symbol.asyncDispose]());

  for (const [name, { path, body, fields }] of Object.entries(clientInterfaces)) {
    it(`${name}: each is honoured, changes nothing, or is refused by its name`, async () => {
      const plain = textOf(await (await small.post(path, body)).json());
      assert(plain !== undefined && plain !== "");
      const wrong: string[] = [];
      for (const [field, value, fate] of fields) {
        const response = await small.post(path, { ...body, [field]: value });
        const text = await response.text();
        const isRight = typeof fate === "object"
          ? response.status === 400 && doesName(JSON.parse(text), fate.refused)
          : response.status === 200 && (fate === "taken" || textOf(JSON.parse(text)) === plain);
        if (!isRight) wrong.push(`${field}: ${JSON.stringify(value)}: ${response.status} ${text}`);
      }
      assertEquals(wrong, []);
    });
  }

  it("log probabilities of Ollama are those of OpenAI, whole and in lines", async () => {
    const { path, body } = clientInterfaces.ollamaChat;
    const asked = { ...body, logprobs: true, top_logprobs: 2 };
    const whole = await (await small.post(path, asked)).json();
    const same = { ...clientInterfaces.chat.body, logprobs: true, top_logprobs: 2 };
    const { choices: [{ logprobs }] } = await (await small.post(clientInterfaces.chat.path, same)).json();
    assertEquals([whole.logprobs.length, whole.logprobs], [6, logprobs.content]);
    const streamed = await (await small.post(path, { ...asked, stream: true })).text();
    const lines = streamed.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.flatMap((line) => line.logprobs ?? []), logprobs.content);
  });

  it("items of a kept response are found by their ids, by their tenant alone", async () => {
    const { path, body } = clientInterfaces.responses;
    const first: Told = await (await small.post(path, body)).json();
    const [item] = first.output as NonNullable<Told["output"]>;
    const more = { role: "user", content: "And?" };
    const asked = (said: unknown) => ({ ...body, input: [...body.input as unknown[], said, more] });
    const referred = await (await small.post(path, asked({ type: "item_reference", id: item.id }))).json();
    assertEquals(textOf(referred), textOf(await (await small.post(path, asked(item))).json()));
    const foreign = `msg_${"0".repeat(32)}0`;
    assertEquals((await small.post(path, asked({ type: "item_reference", id: foreign }))).status, 404);
    const absent = item.id.replace(/[0-9]$/, "7");
    const { error } = await (await small.post(path, asked({ type: "item_reference", id: absent }))).json();
    assertEquals(error.param, "input[1].id");
  });

  it("how much a model thinks is said in the words of its template", async () => {
    const { path, body } = clientInterfaces.chat;
    const { messages } = clientInterfaces.anthropic.body;
    const levels = `{{ reasoning_effort }} thinks. ${template}`;
    const onOff = `{% if enable_thinking is defined and not enable_thinking %}No thoughts. {% endif %}${template}`;
    const always = `<think>${template}`;
    const serve = (template: string) => createServer({ models: { stories: small.lm }, template });
    const cases = [
      [levels, path, { ...body, reasoning_effort: "high" }, { reasoning_effort: "high" }],
      [levels, "/v1/responses", { ...clientInterfaces.responses.body, reasoning: { effort: "low" } }, {
        reasoning_effort: "low",
      }],
      [levels, "/v1/messages", { ...clientInterfaces.anthropic.body, output_config: { effort: "max" } }, {
        reasoning_effort: "max",
      }],
      [levels, "/api/chat", { ...clientInterfaces.ollamaChat.body, think: "medium" }, { reasoning_effort: "medium" }],
      [onOff, path, { ...body, reasoning_effort: "none" }, { enable_thinking: false }],
      [onOff, "/api/chat", { ...clientInterfaces.ollamaChat.body, think: false }, { enable_thinking: false }],
    ] as const;
    for (const [template, path, body, variables] of cases) {
      await using server = serve(template);
      const told = await (await server.fetch(posted(`http://localhost${path}`, body))).json();
      const options = { template, variables, maxTokens: 6, sampling: { seed: 3 } };
      const { text } = await small.lm.reply(messages as never, options);
      assertEquals(textOf(told), text, JSON.stringify(variables));
    }
    await using server = serve(always);
    const { error } = await (await server.fetch(
      posted(`http://localhost${path}`, { ...body, reasoning_effort: "none" }),
    )).json();
    assertEquals(error.param, "reasoning_effort");
  });

  it("Ollama's program finds the server, and the models that are loaded", async () => {
    const head = new Request("http://localhost/", { method: "HEAD" }); // what it asks first
    const response = await small.server.fetch(head);
    assertEquals([response.status, await response.text()], [200, ""]);
    const { models: [{ name, size, expires_at }] } = await (await small.get("/api/ps")).json();
    assertEquals([name, size > 0, Number.isNaN(Date.parse(expires_at))], ["stories", true, false]);
  });
});
