/**
 * One job, however it is asked for: in every interface, streamed and whole, and in process, the same text, the same tokens and log
 * probabilities, the same counts. Jobs are drawn at random.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { after, before, it } from "node:test";
import type { Completion } from "../mod.ts";
import { often } from "./counts.ts";
import { randomFrom } from "./simulation.ts";
import { eventsOf, serveStories, type SmallServer, template } from "./small-server.ts";

let small: SmallServer;
before(async () => {
  small = await serveStories();
});
after(() => small[Symbol.asyncDispose]());

/** An answer as an interface tells it; log probabilities where it does. */
interface Told {
  readonly text: string;
  readonly prompt: number;
  readonly tokens: number;
  readonly logprobs?: readonly number[];
}

interface Sampling {
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly seed: number;
}

interface Job {
  readonly messages: { readonly role: "system" | "user" | "assistant"; readonly content: string }[];
  readonly sampling: Sampling;
  readonly most: number;
}

const words = ["fox", "hen", "the", "red", "ran", "Tell", "of a", "snow", "ä", "🦊", "\n", "{", "once", "end."];

function drawn(random: (below: number) => number): Job {
  const said = () => Array.from({ length: 1 + random(8) }, () => words[random(words.length)]).join(" ");
  const turns = Array.from({ length: random(2) }, () => [
    { role: "user" as const, content: said() },
    { role: "assistant" as const, content: said() },
  ]).flat();
  return {
    messages: [{ role: "system", content: said() }, ...turns, { role: "user", content: said() }],
    sampling: {
      temperature: random(3) === 0 ? 0 : random(16) / 10,
      top_p: (1 + random(100)) / 100,
      top_k: 1 + random(60),
      seed: random(1 << 30),
    },
    most: 1 + random(24),
  };
}

/** What the tests read of answers of whatever interface. */
// deno-lint-ignore no-explicit-any
type Body = any;

const post = async (path: string, body: object): Promise<Body> => await (await small.post(path, body)).json();

async function streamed(path: string, body: object): Promise<Body[]> {
  const response = await small.post(path, { ...body, stream: true });
  if (path.startsWith("/api/")) return (await response.text()).trimEnd().split("\n").map((line) => JSON.parse(line));
  return (await eventsOf(response)).filter((event) => event !== "[DONE]").map((event) => JSON.parse(event));
}

const usage = ({ prompt_tokens, completion_tokens }: Body) => ({ prompt: prompt_tokens, tokens: completion_tokens });
/** Anthropic counts what was found in the cache apart. */
const countedApart = ({ input_tokens, cache_read_input_tokens, output_tokens }: Body) => ({
  prompt: input_tokens + cache_read_input_tokens,
  tokens: output_tokens,
});
const counted = ({ input_tokens, output_tokens }: Body) => ({ prompt: input_tokens, tokens: output_tokens });
const joined = (texts: readonly (string | undefined)[]) => texts.map((text) => text ?? "").join("");
const withUsage = { stream_options: { include_usage: true } };

/** Every way to ask for a job. */
const ways: Record<string, (job: Job) => Promise<Told>> = {
  async "chat completions"({ messages, sampling, most }) {
    const body = { messages, ...sampling, max_tokens: most, logprobs: true };
    const { choices: [{ message, logprobs }], ...whole } = await post("/v1/chat/completions", body);
    const text = message.content;
    return { text, ...usage(whole.usage), logprobs: logprobs.content.map((one: Body) => one.logprob) };
  },
  async "chat completions, streamed"({ messages, sampling, most }) {
    const body = { messages, ...sampling, max_tokens: most, logprobs: true, ...withUsage };
    const chunks = await streamed("/v1/chat/completions", body);
    const choices = chunks.flatMap((chunk) => chunk.choices);
    return {
      text: joined(choices.map(({ delta }) => delta.content)),
      ...usage(chunks.at(-1).usage),
      logprobs: choices.flatMap(({ logprobs }) => (logprobs?.content ?? []).map((one: Body) => one.logprob)),
    };
  },
  async completions({ messages, sampling, most }) {
    const prompt = [...await small.lm.chatTokens(messages, { template })];
    const body = { prompt, ...sampling, max_tokens: most, logprobs: 0 };
    const { choices: [{ text, logprobs }], ...whole } = await post("/v1/completions", body);
    return { text, ...usage(whole.usage), logprobs: logprobs.token_logprobs };
  },
  async "completions, streamed"({ messages, sampling, most }) {
    const prompt = [...await small.lm.chatTokens(messages, { template })];
    const chunks = await streamed("/v1/completions", {
      prompt,
      ...sampling,
      max_tokens: most,
      logprobs: 0,
      ...withUsage,
    });
    const choices = chunks.flatMap((chunk) => chunk.choices);
    return {
      text: joined(choices.map(({ text }) => text)),
      ...usage(chunks.at(-1).usage),
      logprobs: choices.flatMap(({ logprobs }) => logprobs?.token_logprobs ?? []),
    };
  },
  async responses({ messages, sampling, most }) {
    const body = { input: messages, ...sampling, max_output_tokens: most, store: false };
    const { output, ...whole } = await post("/v1/responses", body);
    return {
      text: joined(output.flatMap((one: Body) => one.content.map((part: Body) => part.text))),
      ...counted(whole.usage),
    };
  },
  async "responses, streamed"({ messages, sampling, most }) {
    const body = { input: messages, ...sampling, max_output_tokens: most, store: false };
    const events = await streamed("/v1/responses", body);
    return { text: joined(events.map(({ delta }) => delta)), ...counted(events.at(-1).response.usage) };
  },
  async messages({ messages: [system, ...messages], sampling, most }) {
    const body = { system: system.content, messages, ...sampling, max_tokens: most };
    const { content, ...whole } = await post("/v1/messages", body);
    return { text: joined(content.map((one: Body) => one.text)), ...countedApart(whole.usage) };
  },
  async "messages, streamed"({ messages: [system, ...messages], sampling, most }) {
    const body = { system: system.content, messages, ...sampling, max_tokens: most };
    const events = await streamed("/v1/messages", body);
    const { usage } = events.find(({ type }) => type === "message_delta");
    return { text: joined(events.map(({ delta }) => delta?.text)), ...countedApart(usage) };
  },
  async "Ollama's chat"({ messages, sampling, most }) {
    const body = { messages, options: { ...sampling, num_predict: most }, stream: false };
    const { message, prompt_eval_count: prompt, eval_count: tokens } = await post("/api/chat", body);
    return { text: message.content, prompt, tokens };
  },
  async "Ollama's chat, streamed"({ messages, sampling, most }) {
    const lines = await streamed("/api/chat", { messages, options: { ...sampling, num_predict: most } });
    const { prompt_eval_count: prompt, eval_count: tokens } = lines.at(-1);
    return { text: joined(lines.map(({ message }) => message?.content)), prompt, tokens };
  },
};

it("a job is the same in every interface, streamed, whole and in process: text, log probabilities, counts", async () => {
  const random = randomFrom(21);
  for (let round = 0; round < often(12, 200); round++) {
    const job = drawn(random);
    const { temperature, top_p, top_k, seed } = job.sampling;
    const completion: Completion = await small.lm.reply(job.messages, {
      template,
      sampling: { temperature, topP: top_p, topK: top_k, seed },
      maxTokens: job.most,
      logprobs: 0,
    });
    const expected = {
      text: completion.text,
      prompt: completion.promptTokens,
      tokens: completion.generatedTokens,
      logprobs: (completion.logprobs ?? []).map(({ logprob }) => logprob),
    };
    const told = await Promise.all(Object.entries(ways).map(async ([name, ask]) => ({ name, ...await ask(job) })));
    for (const { name, ...one } of told) {
      const { logprobs: _, ...plain } = expected;
      assertEquals(one, one.logprobs === undefined ? plain : expected, `${name}: ${JSON.stringify(job)}`);
    }
  }
});
