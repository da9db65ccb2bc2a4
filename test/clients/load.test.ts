/**
 * OpenAI's client where more ask than there is room for: it asks again when it was told to, and is served.
 *
 * @module
 */
import { assertGreater, assertLess } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { listen } from "../../exports/server.ts";
import { repository } from "../kit.ts";
import { serveStories } from "../small-server.ts";

const name = "openai";
const isThere = existsSync(join(repository, "test/clients/node_modules", name));
const skip = isThere ? false : "the clients are not installed: npm ci --prefix test/clients";

/** What the test uses of the client. */
interface Client {
  readonly completions: { create(body: object): Promise<unknown> };
}

it("openai: asks again and is served, where half as many again come as there is room for", { skip }, async () => {
  await using small = await serveStories({}, { batchSequences: 4, queueMax: 8, cache: false });
  const listening = await listen(small.server, { port: 0 });
  try {
    const { default: OpenAI } = await import(name) as { default: new (options: object) => Client };
    const client = new OpenAI({ apiKey: "none", baseURL: `${listening.url}/v1` });
    const failed: unknown[] = [];
    for (let round = 0; round < 6; round++) {
      await Promise.all(Array.from({ length: 12 }, async (_, index) => {
        const asked = { model: "stories", prompt: "Once", max_tokens: 60, seed: 100 * round + index };
        await client.completions.create(asked).catch((error: unknown) => failed.push(error));
      }));
    }
    assertLess(failed.length, 0.05 * 72, failed.join(" "));
    const { refused } = small.lm.metrics.report().requests;
    // How many depends on how fast answers end.
    assertGreater(refused, 0, "none was refused at first");
  } finally {
    await small[Symbol.asyncDispose]();
    await listening.close();
  }
});
