/**
 * Real models as programs use them: a conversation of three turns, through `chat` and through the command; a prompt far
 * beyond Gemma's window, read whole and in pieces; cancelling in the middle; loading and disposing again and again.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { it } from "node:test";
import { type ChatMessage, LightGPT, LightGPTError } from "../../mod.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { inTerminal } from "../terminal.ts";
import { assertHeld, holding } from "../memory.ts";
import { halfOf } from "../halves.ts";
import { describeReal } from "./models.ts";

const questions = ["Who wrote Romeo and Juliet?", "What is the opposite of hot?", "And of large?"];
const article =
  "The river rises in the hills, passes three towns and a mill, and turns west where the old road crosses. ";

describeReal("smollm2", "smollm2", (path) => {
  it("holds a conversation of three turns, reading each turn once", async () => {
    await using lm = await LightGPT.load(path, { context: 1024 });
    const messages: ChatMessage[] = [];
    const answers: string[] = [];
    for (const content of questions) {
      messages.push({ role: "user", content });
      let answer = "";
      for await (const { text } of lm.chat(messages, { maxTokens: 40, sampling: { temperature: 0 } })) answer += text;
      messages.push({ role: "assistant", content: answer });
      answers.push(answer);
    }
    assertMatch(answers[0]!, /Shakespeare/);
    assertMatch(answers[1]!, /cold|cool/);
    assert(answers[2]!.length > 0);
    // A turn begins with all that came before it, of which whole pages are taken over.
    assert(lm.cache !== undefined && lm.cache.stats().tokensSaved > 100);
  });

  it("holds it through the command, in a terminal", async () => {
    const ready = /> $/;
    const screen = await inTerminal(
      ["chat", "--model", path, "--temperature", "0", "--max-tokens", "24"],
      [
        [ready, `${questions[0]!}\r`],
        [ready, `${questions[1]!}\r`],
        [ready, "/exit\r"],
      ],
      { TERM: "dumb" },
      120,
    );
    assertMatch(screen, /Shakespeare/);
    assertMatch(screen, /cold|cool/);
  });

  it("ends in the middle by its signal, and goes on with the next request", async () => {
    await using lm = await LightGPT.load(path, { context: 4096 });
    const controller = new AbortController();
    const prompt = article.repeat(120);
    const long = lm.complete(prompt, { maxTokens: 5, signal: controller.signal });
    setTimeout(() => controller.abort(), 200);
    await assertRejects(() => long, LightGPTError, "Cancelled");
    const { tokens } = await lm.complete("Once", { maxTokens: 3 });
    assertEquals(tokens.length, 3);
  });

  it("leaves memory as it was, loaded and disposed twenty times", async () => {
    const before = await holding();
    const resident: number[] = [];
    for (let round = 0; round < 20; round++) {
      await using lm = await LightGPT.load(path, { context: 256 });
      await lm.complete("Once upon a time", { maxTokens: 4, sampling: { temperature: 0 } });
      await lm.dispose();
      resident.push(currentRuntime().resident());
    }
    await assertHeld(before);
    // The first rounds fill what the runtime keeps for itself, and it collects its own garbage when it likes. A tenth of the
    // weights left behind by each of the 15 rounds after them would be this much.
    assertLess(resident.at(-1)! - resident[4]!, 15 * 9.8e6);
  });
});

describeReal("gemma3", "gemma3", (path) => {
  const lastLogits = async (tokens: number, chunkTokens: number) => {
    await using lm = await LightGPT.load(path, { context: 3072, chunkTokens, cache: false });
    return await lm.logits(lm.tokenize(article.repeat(160)).subarray(0, tokens));
  };

  /** Six windows; and two in small pieces, which take as long. */
  const readings = [{ tokens: 3000, chunks: [200] }, { tokens: 1100, chunks: [7, 1] }];
  for (const { tokens, chunks } of halfOf(readings)) {
    it(`reads a prompt of ${tokens} tokens alike in pieces of 512 and of ${chunks.join(" and ")}`, async () => {
      const whole = await lastLogits(tokens, 512);
      for (const chunk of chunks) assertEquals(await lastLogits(tokens, chunk), whole, `pieces of ${chunk}`);
    });
  }
});
