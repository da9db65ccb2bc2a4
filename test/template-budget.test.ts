/**
 * What chat templates may cost: hostile ones by hand and by a generator, and mutations of published ones. Each ends within
 * 50 ms of processor time (in the night run) and 64 MiB, by its text or by an error of ours.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { type ChatMessage, ChatTemplate, LightGPTError } from "../mod.ts";
import { Failure } from "../src/text/jinja/failure.ts";
import { isWholeNight, note, often } from "./counts.ts";
import { conversation, hostile, hostileTemplate, mutated } from "./hostile-templates.ts";
import { describeKit } from "./kit.ts";
import { randomFrom } from "./simulation.ts";
import { workedMs } from "./worked.ts";

/**
 * Processor time of a template: 50 ms at night, when the machine is quiet. What tests run beside takes some of it, and so does code
 * that is not compiled yet; a template that has no budget takes seconds.
 */
const most = isWholeNight ? 50 : 200;

const tools = [{
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { town: {} } } },
}];

/** Renders a template; gives what came of it, and fails where that is no error of ours. */
async function outcome(source: string): Promise<string> {
  try {
    const template = await ChatTemplate.parse(source);
    return `${template.render(conversation, { tools, variables: { bos_token: "<s>" } }).length} characters`;
  } catch (error) {
    assert(error instanceof LightGPTError, `${source.slice(0, 200)}: ${error}`);
    // What fails within the language says how; anything else would be a mistake of ours.
    if (error.code === "modelFormat") assert(error.cause instanceof Failure, `${source}: ${error.cause}`);
    return error.code;
  }
}

/** Milliseconds of processor time; the least of a few tries, for the machine has other things to do. */
async function cost(source: string): Promise<number> {
  let least = Infinity;
  for (let time = 0; time < 8 && least > most; time++) {
    const before = workedMs();
    await outcome(source);
    least = Math.min(least, workedMs() - before);
  }
  return least;
}

describe("the budget of a chat template", () => {
  it(`ends ${hostile.length} hostile ones at once`, async () => {
    for (const source of hostile) {
      const spent = await cost(source);
      assert(spent < most, `${spent} ms: ${source.slice(0, 100)}`);
    }
  });

  const count = often(100, 1000);
  it(`ends ${count} generated ones that grow and repeat`, async () => {
    const below = randomFrom(3);
    const seen = new Map<string, number>();
    for (let time = 0; time < count; time++) {
      const source = hostileTemplate(below);
      const spent = await cost(source);
      assert(spent < most, `${spent} ms: ${source}`);
      const code = (await outcome(source)).split(" ").at(-1) as string;
      seen.set(code, (seen.get(code) ?? 0) + 1);
    }
    assert((seen.get("limit") ?? 0) > count / 3, JSON.stringify([...seen])); // or they would test little
    note(25, "generated hostile templates", count);
  });

  it("keeps little memory, whatever they try", async () => {
    const before = process.memoryUsage().rss;
    for (const source of hostile) await outcome(source);
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    assert(grown < 256, `${grown} MiB`); // all of them together, and what the runtime gives back late
  });

  it("is larger where a conversation is longer, and enough for long ones", async () => {
    const template = await ChatTemplate.parse(
      "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content | trim }}{% else %}" +
        "{% set c = m.content.split('</think>')[-1].lstrip('\\n') %}<|assistant|>{{ c }}{% endif %}{% endfor %}",
    );
    const turn: ChatMessage[] = [
      { role: "user", content: " Go on. ".repeat(20) },
      { role: "assistant", content: `<think>hm</think>\n\n${"Once upon a time. ".repeat(200)}` },
    ];
    const long = Array.from({ length: 5000 }, () => turn).flat();
    assertEquals(template.render(long).length, 5000 * template.render(turn).length);
  });
});

describeKit("the budget of mutated templates", "templates2", (directory) => {
  const sources = readdirSync(directory).filter((file) => file.endsWith(".jinja"))
    .map((file) => readFileSync(join(directory, file), "utf8"));
  const count = often(300, 10_000);
  it(`ends ${count} mutations of published ones`, async () => {
    const below = randomFrom(9);
    for (let time = 0; time < count; time++) {
      const source = mutated(sources[below(sources.length)], sources[below(sources.length)], below);
      const spent = await cost(source);
      assert(spent < most, `${spent} ms: ${source}`);
    }
    note(25, "mutated templates", count);
  });
});
