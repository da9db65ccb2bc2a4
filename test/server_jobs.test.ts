/**
 * Jobs are plain data: what the skins make of bodies survives being written as text and read again, and gives the same answer, from
 * its beginning and from where it broke off.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { InvalidArgumentError, LightGPT, LightGPTError, type Piece } from "../mod.ts";
import { LocalBackend } from "../src/server/backend.ts";
import { jobText, readJob } from "../src/server/job_text.ts";
import { Models } from "../src/server/models.ts";
import { serverOf } from "../src/server/server.ts";
import type { Backend, Job, ModelPool } from "../src/server/types.ts";
import { posted } from "./small-server.ts";
import { own } from "./tool-templates.ts";

const tool = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells.",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 6 } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
const schema = { type: "object", properties: { name: { type: "string", maxLength: 5 } }, required: ["name"] };
const messages = [{ role: "user", content: "How is it?" }];
const max_tokens = 24;
const bodies: readonly [path: string, body: Record<string, unknown>][] = [
  ["/v1/completions", {
    prompt: "Once upon a time",
    max_tokens,
    n: 2,
    seed: 5,
    logprobs: 3,
    frequency_penalty: 0.5,
    logit_bias: { "400": -3 },
  }],
  ["/v1/completions", { prompt: ["The fox", "The hen"], max_tokens, mirostat: { tau: 4 }, stop: ["."], seed: 6 }],
  ["/v1/chat/completions", {
    messages,
    seed: 7,
    max_tokens,
    response_format: { type: "json_schema", json_schema: { name: "hero", schema } },
  }],
  ["/v1/chat/completions", { messages, seed: 8, tools: [tool], tool_choice: "required", max_tokens: 90 }],
  ["/v1/messages", { messages, seed: 9, max_tokens, dry: { multiplier: 2, allowedLength: 1, breakers: ["."] } }],
  ["/api/generate", {
    prompt: "Once",
    raw: true,
    stream: false,
    options: { seed: 10, num_predict: max_tokens, repeat_penalty: 1.2 },
  }],
];

async function piecesOf(backend: Backend, job: Job): Promise<Piece[]> {
  const pieces = await backend.submit(job, new AbortController().signal);
  return await Array.fromAsync(pieces);
}

describe("a job", () => {
  let lm: LightGPT;
  let backend: Backend;
  const jobs: Job[] = [];
  before(async () => {
    lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    backend = new LocalBackend(lm);
    // A server whose backend keeps what it is given: no skin can do more than give it jobs.
    const models = new Models({ stories: lm }, own.json.replace("{{ tools | tojson }}", ""));
    const submit: Backend["submit"] = (job, signal) => {
      jobs.push(job);
      return backend.submit(job, signal);
    };
    const pool: ModelPool = {
      list: models.list,
      isReady: true,
      take: async (name) => {
        const lease = await models.take(name);
        return { ...lease, served: { ...lease.served, backend: { submit }, lm: undefined } };
      },
      close: () => Promise.resolve(),
    };
    await using server = serverOf(pool, {});
    for (const [path, body] of bodies) {
      const response = await server.fetch(posted(`http://localhost${path}`, body));
      assertEquals(response.status, 200, await response.text());
    }
    const metrics = await server.fetch(new Request("http://localhost/metrics"));
    assert((await metrics.text()).includes("http_requests_total"), "also without a model of this process");
  });
  after(() => lm.dispose());

  it("is the same when it was text", () => {
    assertEquals(jobs.length, 8);
    assert(jobs.some(({ held }) => held !== undefined) && jobs.some(({ constraint }) => constraint !== undefined));
    for (const job of jobs) assertEquals(readJob(jobText(job)), job);
  });

  it("gives the same tokens, log probabilities and texts, also from where it broke off", async () => {
    for (const job of jobs) {
      const whole = await piecesOf(backend, job);
      assert(whole.length > 2);
      assertEquals(await piecesOf(backend, readJob(jobText(job))), whole);
      const cut = whole.length >> 1;
      const { mu } = whole[cut - 1];
      const tokens = whole.slice(0, cut).map(({ token }) => token);
      const rest = { ...job, resume: mu === undefined ? { tokens } : { tokens, mu } };
      assertEquals(await piecesOf(backend, readJob(jobText(rest))), whole.slice(cut));
    }
  });

  it("that is none is refused, and one that is wrong where it is run", async () => {
    for (const text of ["", "[]", "null", "{}", '{"prompt": 3}', '{"prompt": "%"}']) {
      assertThrows(() => readJob(text), LightGPTError, "cannot be read");
    }
    const [job] = jobs;
    const wrong = readJob(jobText({ ...job, prompt: Uint32Array.of(1 << 30) }));
    await assertRejects(() => piecesOf(backend, wrong), InvalidArgumentError, "expected an id from 0 to 2047");
  });
});
