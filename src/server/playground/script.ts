/**
 * What the playground does, as the browser reads it: it asks this server as any client does, and writes what comes as text, never as
 * HTML. Conversations and settings stay in the browser's storage.
 *
 * @module
 */
import { view } from "./view.ts";

/** The script. */
export const script: string = view + String.raw`
// Requests.

function json(id) {
  const text = $(id).value.trim();
  if (text === "") return undefined;
  try { return JSON.parse(text); } catch (error) { throw new Error($(id).parentNode.firstChild.textContent + ": " + error.message); }
}

function bodyOf() {
  const body = { model: $("model").value, stream: true, stream_options: { include_usage: true }, ...json("more") };
  for (const id of numbers) if ($(id).value !== "") body[id] = Number($(id).value);
  const schema = json("schema");
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  if ($("mode").value === "text") {
    const text = talk.turns.map(({ content }) => content).join("");
    return ["v1/completions", { ...body, prompt: text, logprobs: 5 }];
  }
  const tools = json("tools");
  if (tools) body.tools = tools;
  const system = $("system").value === "" ? [] : [{ role: "system", content: $("system").value }];
  const messages = talk.turns.map(({ role, content, reasoning_content, tool_calls, tool_call_id }) =>
    JSON.parse(JSON.stringify({ role, content, reasoning_content, tool_calls, tool_call_id })));
  return ["v1/chat/completions", { ...body, messages: [...system, ...messages], logprobs: true, top_logprobs: 5 }];
}

function ask(path, options = {}) {
  const key = $("key").value;
  const headers = { ...(key ? { authorization: "Bearer " + key } : {}), ...(options.body ? { "content-type": "application/json" } : {}) };
  return fetch(new URL(path, location.href), { ...options, headers });
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data === "data: [DONE]") return;
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

function tokensOf(logprobs) {
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map(({ logprob, top_logprobs }) => ({
      p: Math.exp(logprob), top: top_logprobs.map(({ token, logprob }) => [token, Math.exp(logprob)]),
    }));
  }
  return logprobs.token_logprobs.map((logprob, at) => ({
    p: Math.exp(logprob), top: Object.entries(logprobs.top_logprobs[at]).map(([token, value]) => [token, Math.exp(value)]),
  }));
}

async function answer() {
  const turn = { role: "assistant", content: "", tokens: [], count: 0 };
  const view = element("div", "turn assistant");
  const shown = answerView(view);
  $("talk").append(view);
  const controller = new AbortController();
  running = controller;
  busy(true);
  const start = performance.now();
  const waiting = [];
  const draw = () => {
    const isDown = $("talk").scrollTop + $("talk").clientHeight > $("talk").scrollHeight - 40;
    waiting.splice(0).forEach((act) => act());
    shown.figures(turn);
    if (isDown) down();
  };
  try {
    const [path, body] = bodyOf();
    const response = await ask(path, { method: "POST", body: JSON.stringify(body), signal: controller.signal });
    if (!response.ok) throw new Error((await response.json()).error.message);
    let isWhole = false;
    for await (const { choices = [], usage, error } of events(response)) {
      const [choice] = choices;
      if (error) throw new Error(error.message);
      if (usage) turn.count = usage.completion_tokens;
      if (!choice) continue;
      turn.ms = performance.now() - start;
      const delta = choice.delta ?? { content: choice.text };
      const [told] = tokensOf(choice.logprobs);
      if (told) {
        turn.firstMs ??= turn.ms;
        turn.count++;
      }
      if (delta.reasoning_content) {
        turn.reasoning_content = (turn.reasoning_content ?? "") + delta.reasoning_content;
        waiting.push(() => shown.think(delta.reasoning_content));
      }
      if (delta.content) {
        const token = { text: delta.content, ...told };
        turn.content += delta.content;
        turn.tokens.push(token);
        waiting.push(() => shown.token(token));
      }
      for (const { index, ...call } of delta.tool_calls ?? []) {
        const calls = turn.tool_calls ??= [];
        if (calls[index]) calls[index].function.arguments += call.function.arguments;
        else calls[index] = call;
        waiting.push(() => shown.call(calls[index], index));
      }
      if (choice.finish_reason) {
        turn.reason = choice.finish_reason;
        // An answer that was cut within a call has all but that one.
        if (turn.reason === "length" && !isJson(turn.tool_calls?.at(-1)?.function.arguments)) turn.tool_calls?.pop();
        if (turn.tool_calls?.length === 0) delete turn.tool_calls;
        isWhole = true;
      }
      if (waiting.length === 1) requestAnimationFrame(draw);
    }
    if (!isWhole) throw new Error("The answer broke off.");
  } catch (error) {
    if (controller.signal.aborted) turn.reason = "stopped";
    else turn.error = error.message;
  }
  if (running === controller) running = undefined;
  draw();
  busy(running !== undefined);
  if (turn.content !== "" || turn.tool_calls) {
    const { error: _, ...kept } = turn;
    talk.turns.push(kept);
  }
  keep();
  if (turn.tool_calls) $("say").placeholder = "The result of " + turn.tool_calls[0].function.name;
}

function isJson(text) {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
}

function stop() {
  running?.abort();
  running = undefined;
}

function busy(is) {
  $("stop").hidden = !is;
  $("send").hidden = is;
}

function say() {
  const text = $("say").value;
  const last = talk.turns.at(-1);
  if (running || (text.trim() === "" && last?.role !== "user")) return;
  $("say").value = "";
  $("say").placeholder = hint;
  if (text.trim() !== "") {
    const calls = last?.tool_calls ?? [];
    const turns = calls.length > 0 && $("mode").value === "chat"
      ? calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: text }))
      : [{ role: "user", content: text }];
    talk.turns.push(...turns);
    $("talk").append(...turns.map(turnOf));
  }
  keep();
  down();
  answer();
}

// The page.

async function models() {
  try {
    const response = await ask("v1/models");
    const told = await response.json();
    if (!response.ok) throw new Error(told.error.message);
    $("model").replaceChildren(...told.data.map(({ id }) => element("option", "", id)));
    $("model").value = store.get("model", $("model").value) ?? "";
    if ($("model").selectedIndex < 0) $("model").selectedIndex = 0;
  } catch (error) {
    note(error.message);
  }
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
}

for (const id of settings) {
  const saved = store.get("setting." + id, "");
  if (saved !== "") $(id).value = saved;
  $(id).addEventListener("change", () => store.set("setting." + id, $(id).value));
}
theme(store.get("theme"));
$("theme").onclick = () => {
  const isDark = document.documentElement.dataset.theme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  theme(isDark ? "light" : "dark");
  store.set("theme", isDark ? "light" : "dark");
};
$("side").onclick = () => document.body.classList.toggle("side");
$("show").onchange = () => $("talk").classList.toggle("show", $("show").checked);
$("model").onchange = () => store.set("model", $("model").value);
$("key").onchange = models;
$("new").onclick = begin;
$("stop").onclick = stop;
$("form").onsubmit = (event) => { event.preventDefault(); say(); };
$("say").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
};
$("talk").addEventListener("mouseover", tip);
$("talk").addEventListener("mouseleave", () => $("tip").hidden = true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    begin();
  }
});
render();
models();
`;
