/**
 * The playground in a browser without a window: it chats, stops, shows probabilities, keeps conversations, and asks none but its
 * server. Skipped by name where there is no Chromium, or no playwright-core (`npm ci --prefix test/clients`).
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { listen, type Listening } from "../../exports/server.ts";
import { repository } from "../kit.ts";
import { serveStories, type SmallServer } from "../small-server.ts";
import { own } from "../tool-templates.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const isThere = existsSync(join(repository, "test/clients/node_modules/playwright-core"));
const skip = executablePath === undefined
  ? "there is no Chromium (apt-get install chromium)"
  : isThere
  ? false
  : "playwright-core is not installed: npm ci --prefix test/clients";

/** Objects of playwright, of which a test knows what it asks for. */
// deno-lint-ignore no-explicit-any
type Page = any;

async function load(name: string): Promise<{ chromium: { launch(options: object): Promise<Page> } }> {
  return await import(name);
}

/** Where pictures of the page go, for people to look at. */
const pictures = process.env.LIGHTGPT_PICTURES;

describe("the playground", { skip }, () => {
  let small: SmallServer;
  let listening: Listening;
  let browser: Page;
  let page: Page;
  /** What the page complained of, and where it asked. */
  const complaints: string[] = [];
  const hosts = new Set<string>();
  const key = "a long secret";
  before(async () => {
    // Not ahead of its reader, and with room for a long answer: the small model would have ended it before a key is pressed.
    const loading = { tokensAhead: 0, context: 4096 };
    small = await serveStories({ keys: [key], template: own.json.replace("{{ tools | tojson }}", "") }, loading);
    listening = await listen(small.server, { port: 0 });
    const { chromium } = await load("playwright-core");
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
    page = await browser.newPage({ viewport: { width: 1200, height: 760 } });
    page.on("console", (message: Page) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error: Error) => complaints.push(error.message));
    page.on("request", (request: Page) => hosts.add(new URL(request.url()).origin));
    await page.goto(listening.url);
  });
  after(async () => {
    await browser?.close();
    await small?.[Symbol.asyncDispose]();
    await listening?.close();
  });
  /** What keeps an answer from ending before its limit. */
  const endless = () => ({ logit_bias: Object.fromEntries(endsOf(small).map((id) => [id, -100])) });
  const picture = async (name: string) => {
    if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
  };
  const told = () => page.locator(".turn.assistant .body").last().textContent();
  const isDone = () => page.waitForFunction(() => (globalThis as Page).document.getElementById("stop").hidden);
  const say = async (text: string) => {
    await page.fill("#say", text);
    await page.press("#say", "Enter");
  };

  it("tells that a key is wanted, and takes it", async () => {
    await page.waitForSelector(".error");
    assert((await page.locator(".error").textContent()).includes("no key"));
    assertEquals(complaints.splice(0).filter((text) => !text.includes("401")), []);
    await page.fill("#key", key);
    await page.press("#key", "Tab");
    await page.waitForSelector("#model option", { state: "attached" });
    await page.press("body", "Control+k");
    assertEquals(await page.locator(".error").count(), 0);
  });

  it("chats with the same text as any client, and shows what was likely", async () => {
    for (const [id, value] of [["max_tokens", "24"], ["seed", "4"], ["temperature", "0.9"], ["system", "Tell."]]) {
      await page.fill(`#${id}`, value);
    }
    // Long enough for a rate, which a few tokens at once have none of.
    await page.fill("#max_tokens", "600");
    await page.fill("#more", JSON.stringify(endless()));
    await say("Of a <b>fox</b>.");
    await isDone();
    await page.fill("#max_tokens", "24");
    await page.fill("#more", "");
    const messages = [{ role: "system", content: "Tell." }, { role: "user", content: "Of a <b>fox</b>." }];
    const body = { messages, max_tokens: 600, seed: 4, temperature: 0.9, ...endless() };
    const headers = { authorization: `Bearer ${key}` };
    const { choices: [{ message }] } = await (await small.post("/v1/chat/completions", body, headers)).json();
    assertEquals(await told(), message.content);
    assertEquals(await page.locator(".turn.user").textContent(), "Of a <b>fox</b>.", "text is never read as HTML");
    await page.locator(".token").nth(3).hover();
    const tip = await page.locator("#tip").textContent();
    assert(/^chosen: .* % {2}"/.test(tip) && tip.split("\n").length === 6, tip);
    assert(
      /600 tokens · .*tokens\/s · first after \d+ ms · length/.test(
        await page.locator(".figures").first().textContent(),
      ),
    );
    await picture("tip");
    await page.check("#show");
    await picture("chat-light");
    await page.click("#theme");
    assertEquals(await page.evaluate(() => (globalThis as Page).document.documentElement.dataset.theme), "dark");
    await picture("chat-dark");
  });

  it("keeps conversations over a reload, and forgets them", async () => {
    const before = await told();
    await page.reload();
    await page.waitForSelector(".turn.assistant");
    assertEquals(await told(), before);
    assertEquals(await page.inputValue("#max_tokens"), "24");
    assertEquals(await page.inputValue("#key"), "", "a key is not kept");
    await page.fill("#key", key);
    await page.press("#key", "Tab");
    await page.press("body", "Control+k");
    assertEquals(await page.locator(".turn").count(), 0);
    await page.click("#list li button");
    assertEquals(await told(), before);
    await page.click("#list li button:nth-child(2)");
    assertEquals(await page.locator("#list li").count(), 0);
  });

  it("stops by Escape, and the row is free at once", async () => {
    await page.fill("#max_tokens", "3000");
    await page.fill("#more", JSON.stringify(endless()));
    // Pressed in the page with the first token: a busy machine brings the key after the last one.
    await page.evaluate(() => {
      const { document, KeyboardEvent, MutationObserver } = globalThis as Page;
      new MutationObserver((_: unknown, observer: { disconnect(): void }) => {
        if (document.querySelector(".turn.assistant .token") === null) return;
        observer.disconnect();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
      }).observe(document.body, { childList: true, subtree: true });
    });
    await say("Of a hen.");
    await page.waitForSelector(".turn.assistant .token");
    const begin = performance.now();
    while (small.server.open > 0) {
      assertLess(performance.now() - begin, 60_000);
      await new Promise((done) => setTimeout(done, 1));
    }
    await isDone();
    assert((await page.locator(".figures").first().textContent()).includes("stopped"));
    await page.fill("#more", "");
  });

  it("holds answers to a schema, and calls tools whose results go back", async () => {
    await page.press("body", "Control+k");
    await page.fill("#max_tokens", "200");
    await page.fill("#schema", '{"enum": ["red", "blue"]}');
    await say("A colour?");
    await isDone();
    assert(['"red"', '"blue"'].includes(await told()), await told());
    await page.fill("#schema", "{");
    await page.press("body", "Control+k");
    await say("?");
    await page.waitForSelector(".turn .error");
    assert((await page.locator(".turn .error").textContent()).startsWith("Schema of the answer (JSON):"));
    await page.fill("#schema", "");
    const parameters = { type: "object", properties: { days: { type: "integer", maximum: 9 } }, required: ["days"] };
    await page.fill("#tools", JSON.stringify([{ type: "function", function: { name: "tides", parameters } }]));
    await page.fill("#more", '{"tool_choice": "required", "parallel_tool_calls": false}');
    await page.press("body", "Control+k");
    await say("How is it?");
    await isDone();
    assert(/^tides\(\{"days":-?\d+\}\)$/.test(await page.locator(".calls pre").textContent()));
    await page.fill("#more", '{"tool_choice": "none"}');
    await page.fill("#max_tokens", "5");
    await say("Windy.");
    await isDone();
    assertEquals(await page.locator(".turn.tool pre").textContent(), "Windy.");
    assertEquals(await page.locator(".turn.assistant").count(), 2);
    await picture("tools");
  });

  it("goes on with a text, and holds ten thousand tokens", async () => {
    await page.fill("#tools", "");
    await page.fill("#more", "");
    await page.selectOption("#mode", "text");
    await page.press("body", "Control+k");
    await say("Once upon a time");
    await isDone();
    assert((await told()).length > 0);
    const ms = await page.evaluate(() => {
      const { document, performance, localStorage, location } = globalThis as Page;
      const token = { text: " word", p: 0.5, top: [[" word", 0.5], [" other", 0.2]] };
      const turns = [{ role: "user", content: "?" }, {
        role: "assistant",
        content: "",
        tokens: Array(10_000).fill(token),
      }];
      localStorage.setItem("lightgpt.talks", JSON.stringify([{ id: "long", turns }]));
      const begin = performance.now();
      location.reload();
      return document ? performance.now() - begin : 0;
    });
    await page.waitForFunction(() => (globalThis as Page).document.querySelectorAll(".token").length === 10_000);
    assertLess(ms, 20_000);
  });

  it("complains of nothing, and asks none but its server", () => {
    // A browser notes each answer that is an error; those of a missing key were asked for.
    assertEquals(complaints.filter((text) => !text.includes("401")), []);
    assertEquals([...hosts], [listening.url]);
  });
});

function endsOf({ lm }: SmallServer): number[] {
  return [...lm.model.tokenizer.endOfGeneration];
}

it("the page allows no script but its own", async () => {
  await using small = await serveStories({ keys: ["a long secret"] });
  const response = await small.get("/");
  const policy = response.headers.get("content-security-policy") ?? "";
  assert(/default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-/.test(policy), policy);
  assert(!policy.includes("unsafe"));
  const html = await response.text();
  assertEquals([response.status, html.match(/<script/g)?.length, /\son\w+=|https?:\/\//.test(html)], [200, 1, false]);
});
