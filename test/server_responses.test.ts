/**
 * Responses that are kept: made in the background, read again from any event on, ended, gone on from, forgotten; and how many are
 * kept for how long.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { eventsOf, serveStories, type SmallServer } from "./small-server.ts";

const path = "/v1/responses";
const asked = { input: "Of a fox.", seed: 5, max_output_tokens: 20 };
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

describe("responses that are kept", () => {
  let small: SmallServer;
  /** Bans the tokens that end a text, so that a response is long. */
  let long: Record<string, unknown>;
  before(async () => {
    small = await serveStories({ limits: { heartbeatMs: 20 } });
    const bias = Object.fromEntries([...small.lm.model.tokenizer.endOfGeneration].map((token) => [token, -100]));
    long = { ...asked, max_output_tokens: 400, logit_bias: bias };
  });
  after(() => small[Symbol.asyncDispose]());
  const ask = async (body: object) => await (await small.post(path, body)).json();
  const get = async (id: string) => await (await small.get(`${path}/${id}`)).json();
  const cancel = (id: string) =>
    small.server.fetch(new Request(`http://localhost${path}/${id}/cancel`, { method: "POST" }));
  const forget = (id: string) => small.server.fetch(new Request(`http://localhost${path}/${id}`, { method: "DELETE" }));
  const ended = async (id: string) => {
    for (;;) {
      const response = await get(id);
      if (response.status !== "queued" && response.status !== "in_progress") return response;
      await pause(2);
    }
  };
  const text = (response: { output: { content: { text: string }[] }[] }) => response.output[0].content[0].text;
  const events = async (response: Response) => (await eventsOf(response)).map((event) => JSON.parse(event));

  it("go on in the background, and are told as they are and as events from any number on", async () => {
    const expected = await ask(asked);
    const begun = await ask({ ...asked, background: true });
    assertEquals([begun.status, begun.background, begun.output], ["queued", true, []]);
    const done = await ended(begun.id);
    assertEquals([done.status, text(done), done.usage.output_tokens], ["incomplete", text(expected), 20]);
    const all = await events(await small.get(`${path}/${begun.id}?stream=true`));
    assertEquals(all.map(({ sequence_number }) => sequence_number), all.map((_, index) => index));
    assertEquals(all.slice(0, 3).map(({ type }) => type), [
      "response.created",
      "response.queued",
      "response.in_progress",
    ]);
    assertEquals(all.at(-1).response, done);
    assertEquals(all.map(({ delta }) => delta ?? "").join(""), text(expected));
    for (const after of [0, 5, all.length - 2, all.length - 1, all.length + 9]) {
      const rest = await events(await small.get(`${path}/${begun.id}?stream=true&starting_after=${after}`));
      assertEquals(rest, all.slice(after + 1));
    }
    // The client that asked may leave: the work goes on, and another reads on where it was.
    const response = await small.post(path, { ...asked, background: true, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    const first = new TextDecoder().decode(value).trimEnd().split("\n\n")
      .map((event) => JSON.parse(event.split("data: ")[1]));
    await reader.cancel();
    const { id } = first[0].response;
    const rest = await events(await small.get(`${path}/${id}?stream=true&starting_after=${first.length - 1}`));
    const whole = [...first, ...rest];
    assertEquals(whole.map(({ type }) => type), all.map(({ type }) => type));
    assertEquals(whole.map(({ delta }) => delta ?? "").join(""), text(expected));
    const next = await ask({ ...asked, input: "And?", previous_response_id: begun.id });
    assertEquals(text(next), text(await ask({ ...asked, input: "And?", previous_response_id: expected.id })));
  });

  it("are ended by a cancel, and by being forgotten", async () => {
    for (const end of [cancel, forget]) {
      const { id } = await ask({ ...long, background: true });
      const reading = small.get(`${path}/${id}?stream=true`).then((response) => response.text());
      const failed = assertRejects(() => reading);
      while (small.lm.batcher.stats().running === 0) await pause(1);
      const unfinished = await ask({ ...asked, previous_response_id: id });
      assertEquals([unfinished.error.param, /in_progress/.test(unfinished.error.message)], [
        "previous_response_id",
        true,
      ]);
      const told = await (await end(id)).json();
      await failed;
      assertEquals([small.server.open, small.lm.batcher.stats().running], [0, 0]);
      if (end === forget) {
        assertEquals([told.deleted, (await get(id)).error.code], [true, "response_not_found"]);
        continue;
      }
      assertEquals([told.status, told.error, (await get(id)).status], ["cancelled", null, "cancelled"]);
      assertEquals((await (await cancel(id)).json()).status, "cancelled", "again is fine");
      assertEquals((await ask({ ...asked, previous_response_id: id })).error.param, "previous_response_id");
      const text = await small.get(`${path}/${id}?stream=true`).then((response) => response.text()).catch(String);
      assert(text.includes("cancelled"), text);
    }
  });

  it("say that they have failed", async () => {
    const submit = small.lm.batcher.submit.bind(small.lm.batcher);
    small.lm.batcher.submit = (request) => submit({ ...request, logitsProcessor: (logits) => void (logits[7] = NaN) });
    try {
      const { id } = await ask({ ...asked, background: true });
      const { status, error } = await ended(id);
      assertEquals([status, error.code], ["failed", "non_finite"]);
      await assertRejects(() => small.get(`${path}/${id}?stream=true`).then((response) => response.text()));
    } finally {
      small.lm.batcher.submit = submit;
    }
  });

  it("are not told otherwise", async () => {
    const { id } = await ask(asked);
    const { id: done } = await ask({ ...asked, background: true });
    await ended(done);
    const wrong: [string, string | null][] = [
      [`${id}?stream=true`, "stream"],
      [`${id}?stream=yes`, "stream"],
      [`${id}?starting_after=1`, "starting_after"],
      [`${id}?include=x`, "include"],
      [`${done}?stream=true&starting_after=x`, "starting_after"],
      [`${done}?stream=true&starting_after=1.5`, "starting_after"],
      [`${done}?stream=true&starting_after=`, "starting_after"],
    ];
    for (const [query, param] of wrong) {
      const response = await small.get(`${path}/${query}`);
      assertEquals([response.status, (await response.json()).error.param], [400, param], query);
    }
    assertEquals((await (await cancel(id)).json()).error.code, "not_in_background");
    for (const act of [cancel, forget]) assertEquals((await act("resp_none")).status, 404);
    assertEquals((await small.get(`${path}/a/b`)).status, 404);
    assertEquals((await small.get(`${path}/${id}/cancel`)).status, 405);
  });
});

it("only so many responses are kept, of so many bytes, for so long", async () => {
  const keptOf = async (limits: object, waitMs = 0) => {
    await using small = await serveStories({ limits });
    const ids: string[] = [];
    for (let count = 0; count < 4; count++) ids.push((await (await small.post(path, asked)).json()).id);
    await pause(waitMs);
    const statuses = await Promise.all(ids.map(async (id) => (await small.get(`${path}/${id}`)).status));
    return statuses.map((status) => status === 200);
  };
  assertEquals(await keptOf({}), [true, true, true, true]);
  assertEquals(await keptOf({ answersMax: 2 }), [false, false, true, true]);
  const [first, , , last] = await keptOf({ answersBytesMax: 6000 });
  assertEquals([first, last], [false, true]);
  assertEquals(await keptOf({ answersMs: 20 }, 30), [false, false, false, false]);
});
