/**
 * A real model by its short name, as `npm run models` has fetched it, and the real hub where it is reached: the table of short names is
 * compared with it.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "node:test";
import { fetchModel, LightGPT, LightGPTError } from "../../mod.ts";
import { catalog } from "../../src/files/hub/catalog.ts";
import { candidatesOf } from "../../src/files/hub/choose.ts";
import { hubAddress, hubContext } from "../../src/files/hub/environment.ts";
import { repositoryFiles } from "../../src/files/hub/find_model.ts";
import { describeReal } from "./models.ts";

describeReal("a model by its short name", "smollm2", (path) => {
  it("is found where it lies, and answers", async () => {
    assertEquals(await fetchModel("smollm2:135m"), path);
    await using lm = await LightGPT.load("smollm2:135m", { context: 512 });
    const { text } = await lm.reply([{ role: "user", content: "What is 2+2?" }], {
      maxTokens: 24,
      sampling: { temperature: 0 },
    });
    assertMatch(text, /4/);
  });
});

/** Whether the real hub answers. */
async function reachesHub(): Promise<boolean> {
  try {
    await (await fetch(hubAddress, { method: "HEAD", signal: AbortSignal.timeout(2000) })).body?.cancel();
    return true;
  } catch (error) {
    assert(error instanceof Error);
    return false;
  }
}

if (await reachesHub()) {
  describe("the table of short names", () => {
    it("names repositories that have the file", async () => {
      const context = hubContext({ signal: undefined, onProgress: undefined });
      for (const { name, repository, type } of catalog) {
        const { files } = await repositoryFiles(context, { kind: "hub", repository, revision: "main", type });
        assert(candidatesOf(files).some((candidate) => candidate.type === type), name);
      }
    });
  });
} else {
  it.skip("the table of short names: the hub is not reached from here (npm run catalog)", () => {});
}

describe("a hub that is not reached", () => {
  it("is said in one sentence", async () => {
    const context = { ...hubContext({ signal: undefined, onProgress: undefined }), endpoint: "http://127.0.0.1:9" };
    const error = await repositoryFiles(context, { kind: "hub", repository: "a/b", revision: "main" }).catch((
      e: unknown,
    ) => e);
    assert(error instanceof LightGPTError);
    assertMatch(
      error.message,
      /^hf:a\/b: 127\.0\.0\.1:9 does not answer \([^)]*\); expected a network \(a mirror's address/,
    );
  });
});
