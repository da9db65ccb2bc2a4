/**
 * What the playground does, as the browser reads it: it asks this server as any client does, and writes what comes as text, never as
 * HTML. Conversations and settings stay in the browser's storage.
 *
 * @module
 */

/** The script. */
export const script: string = String.raw`
"use strict";
const $ = (id) => document.getElementById(id);
const settings = ["system", "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "more", "schema", "tools", "mode"];
const numbers = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"];
const shownMost = 50;
const hint = $("say").placeholder;

// A browser may forbid storage: then nothing outlasts the page.
const store = {
  get(name, otherwise) {
    try { return JSON.parse(localStorage.getItem("lightgpt." + name)) ?? otherwise; } catch { return otherwise; }
  },
  set(name, value) {
    try { localStorage.setItem("lightgpt." + name, JSON.stringify(value)); } catch { note("This browser keeps no conversations."); }
  },
};

let talks = store.get("talks", []);
let talk = talks[0] ?? newTalk();
let running;

function newTalk() {
  return { id: crypto.randomUUID?.() ?? String(Math.random()), turns: [] };
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function note(text) {
  $("talk").append(element("div", "turn error", text));
}

// Conversations.

function keep() {
  talks = [talk, ...talks.filter(({ id }) => id !== talk.id)].filter(({ turns }) => turns.length > 0).slice(0, shownMost);
  store.set("talks", talks);
  list();
}

function list() {
  $("list").replaceChildren(...talks.map((one) => {
    const item = element("li");
    if (one.id === talk.id) item.setAttribute("aria-current", "true");
    const open = element("button", "", one.turns[0].content.slice(0, 60) || "...");
    open.onclick = () => { stop(); talk = one; render(); };
    const remove = element("button", "", "\u00d7");
    remove.setAttribute("aria-label", "Forget this conversation");
    remove.onclick = () => {
      talks = talks.filter(({ id }) => id !== one.id);
      store.set("talks", talks);
      if (one.id === talk.id) begin(); else list();
    };
    item.append(open, remove);
    return item;
  }));
}

function begin() {
  stop();
  talk = newTalk();
  render();
  $("say").focus();
}

function render() {
  $("talk").replaceChildren(...talk.turns.map(turnOf));
  list();
  down();
}

function down() {
  $("talk").scrollTop = $("talk").scrollHeight;
}

// Turns.

function turnOf(turn) {
  const view = element("div", "turn " + turn.role);
  if (turn.role === "tool") view.append(element("pre", "", turn.content));
  else if (turn.role !== "assistant") view.textContent = turn.content;
  else {
    const answer = answerView(view);
    if (turn.reasoning_content) answer.think(turn.reasoning_content);
    if (turn.tokens) turn.tokens.forEach(answer.token);
    else answer.token({ text: turn.content });
    (turn.tool_calls ?? []).forEach(answer.call);
    answer.figures(turn);
  }
  return view;
}

function answerView(view) {
  const thoughts = element("details");
  const thought = element("div");
  thoughts.append(element("summary", "", "Thoughts"), thought);
  const body = element("span", "body");
  const calls = element("div", "calls");
  const figures = element("div", "figures");
  view.append(body, calls, figures);
  return {
    think(text) {
      if (!thoughts.isConnected) view.prepend(thoughts);
      thought.append(text);
    },
    token(token) {
      if (token.p === undefined) return body.append(token.text);
      const span = element("span", "token", token.text);
      span.style.setProperty("--p", token.p);
      span.token = token;
      body.append(span);
    },
    call(call) {
      calls.append(element("pre", "", call.function.name + "(" + call.function.arguments + ")"));
    },
    figures({ count, firstMs, ms, reason, error }) {
      const rate = count > 1 && ms > firstMs + 20 ? (1000 * (count - 1) / (ms - firstMs)).toFixed(1) + " tokens/s" : "";
      const first = firstMs === undefined ? "" : "first after " + Math.round(firstMs) + " ms";
      figures.textContent = [count === undefined ? "" : count + " tokens", rate, first, reason ?? ""].filter(Boolean).join(" \u00b7 ");
      if (error) figures.append(element("div", "error", error));
    },
  };
}

function tip(event) {
  const token = event.target.token;
  $("tip").hidden = token === undefined;
  if (token === undefined) return;
  const line = ([text, p]) => (100 * p).toFixed(1).padStart(5) + " %  " + JSON.stringify(text);
  $("tip").textContent = ["chosen: " + line([token.text, token.p]), ...token.top.map(line)].join("\n");
  const { left, bottom } = event.target.getBoundingClientRect();
  $("tip").style.setProperty("left", Math.min(left, innerWidth - $("tip").offsetWidth - 8) + "px");
  $("tip").style.setProperty("top", Math.min(bottom + 4, innerHeight - $("tip").offsetHeight - 8) + "px");
}

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
      for (const { index: _, ...call } of delta.tool_calls ?? []) {
        (turn.tool_calls ??= []).push(call);
        waiting.push(() => shown.call(call));
      }
      if (choice.finish_reason) {
        turn.reason = choice.finish_reason;
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
