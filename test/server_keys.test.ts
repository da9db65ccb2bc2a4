/**
 * Keys: every path wants one but those that tell nothing, and no tenant finds, hits, goes on from or ends what is another's, however
 * it asks. The pool: models that do not fit together take turns, and none goes while it is used.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { it } from "node:test";
import { LightGPT, OutOfMemoryError } from "../mod.ts";
import { createServer } from "../exports/server.ts";
import { ROUTES } from "../src/server/routes.ts";
import { often } from "./counts.ts";
import { randomFrom } from "./simulation.ts";
import { posted, serveStories } from "./small-server.ts";

const keys = ["alpha", "beta", "gamma"].map((tenant) => ({ key: `the key of ${tenant}`, tenant }));
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const by = (index: number) => ({ authorization: `Bearer ${keys[index].key}` });

it("every route wants a key but those that tell nothing of the server", async () => {
  await using small = await serveStories({ keys });
  const open: string[] = [];
  for (const { method, path } of ROUTES) {
    const url = `http://localhost${path.replace(/:name({.*})?/, "x")}`;
    const request = method === "POST" ? posted(url, {}) : new Request(url, { method });
    const response = await small.server.fetch(request);
    if (response.status !== 401) open.push(path);
    const { error, type } = response.status === 401 ? await response.json() : { error: {}, type: "" };
    assert(
      typeof error === "string" || type === "error" || error.code === "invalid_api_key" || open.includes(path),
      path,
    );
  }
  assertEquals(open, ["/", "/health"]);
});

it("no tenant finds, hits, goes on from, ends or forgets what is another's", async () => {
  await using small = await serveStories({ keys });
  const random = randomFrom(5);
  const path = "/v1/responses";
  const made: { id: string; owner: number }[] = [];
  const prefix = "Once upon a time there was a small red fox who lived in a wood with";
  let tries = 0;
  for (let round = 0; round < often(40, 2000); round++) {
    const owner = random(3);
    const background = random(2) === 0;
    const body = { input: `${prefix} ${random(4)}`, max_output_tokens: 2, seed: 1, background };
    const { id } = await (await small.post(path, body, by(owner))).json();
    made.push({ id, owner });
    // A server keeps the last thousand of them.
    const other = made[made.length - 1 - random(Math.min(made.length, 500))];
    for (let asking = 0; asking < 3; asking++) {
      if (asking === other.owner) continue;
      const request = (rest: string, method: string) =>
        small.server.fetch(new Request(`http://localhost${path}/${other.id}${rest}`, { method, headers: by(asking) }));
      const next = { input: "?", previous_response_id: other.id, max_output_tokens: 1 };
      const answers = [
        await request("", "GET"),
        await request("?stream=true", "GET"),
        await request("/cancel", "POST"),
        await request("", "DELETE"),
        await small.post(path, next, by(asking)),
      ];
      for (const answer of answers) {
        tries++;
        assertEquals([answer.status, (await answer.json()).error.code], [404, "response_not_found"]);
      }
    }
    const { status } = await small.get(`${path}/${other.id}`, by(other.owner));
    assertEquals(status, 200, "its own tenant finds it");
  }
  // The first to ask with words that only another has asked with hits nothing but what it asked itself.
  for (let asking = 0; asking < 3; asking++) {
    const words = {
      prompt: `Tenant ${asking} alone says these words here again and again, and none else`,
      max_tokens: 1,
    };
    const cached = async (index: number) =>
      (await (await small.post("/v1/completions", words, by(index))).json()).usage.prompt_tokens_details.cached_tokens;
    assertEquals(await cached(asking), 0);
    assert(await cached(asking) > 0);
    assertEquals(await cached((asking + 1) % 3), 0);
  }
  assertLess(500, tries + often(400, 0));
});

/** Models of which two fit; how many there were at most, and those that went while they were used. */
function models(names: readonly string[]) {
  const loaded = new Set<string>();
  const seen = { most: 0, wrong: [] as string[] };
  const model = (name: string) => ({
    load: async () => {
      if (loaded.size >= 2) throw new OutOfMemoryError("no room", { what: "memory", where: "memory" });
      loaded.add(name);
      seen.most = Math.max(seen.most, loaded.size);
      const lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 23 });
      const dispose = lm.dispose.bind(lm);
      lm.dispose = () => {
        const { running, paused, queued } = lm.batcher.stats();
        if (running + paused + queued > 0) seen.wrong.push(name);
        loaded.delete(name);
        return dispose();
      };
      return lm;
    },
  });
  return { server: createServer({ models: Object.fromEntries(names.map((name) => [name, model(name)])) }), seen };
}

it("models that do not fit together take turns: none fails, and none goes while it is used", async () => {
  const names = ["one", "two", "three"];
  const { server, seen } = models(names);
  await using _ = server;
  const random = randomFrom(9);
  const asked = Array.from({ length: often(24, 200) }, () => names[random(3)]);
  const running = asked.map(async (name, index) => {
    await pause(index * 10);
    const body = { model: name, prompt: "Once", max_tokens: 4, seed: index };
    const response = await server.fetch(posted("http://localhost/v1/completions", body));
    return response.status;
  });
  assertEquals((await Promise.all(running)).filter((status) => status !== 200), []);
  assertEquals([seen.most, seen.wrong], [2, []]);
});

it("a model that is asked for comes, however much those that are there are used", async () => {
  const { server, seen } = models(["one", "two", "three"]);
  await using _ = server;
  const ask = async (model: string, max_tokens: number) => {
    const response = await server.fetch(
      posted("http://localhost/v1/completions", { model, prompt: "Once", max_tokens }),
    );
    await response.text();
    return response.status;
  };
  await Promise.all(["one", "two"].map((name) => ask(name, 1)));
  let isOver = false;
  const statuses: number[] = [];
  // Three at a time for each: one of them is always open.
  const busy = ["one", "two"].flatMap((name) =>
    Array.from({ length: 3 }, async (_, index) => {
      await pause(10 * index);
      while (!isOver) statuses.push(await ask(name, 60));
    })
  );
  await pause(30);
  for (let round = 0; round < 3; round++) statuses.push(await ask("three", 2));
  isOver = true;
  await Promise.all(busy);
  assertEquals([statuses.filter((status) => status !== 200), seen.most, seen.wrong], [[], 2, []]);
});
