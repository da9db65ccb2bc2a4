/**
 * The first part of the playground's script: what is kept in the browser, and how conversations are shown.
 *
 * @module
 */

/** Declares what the second part uses. */
export const view: string = String.raw`
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
    call(call, index) {
      const shown = calls.children[index] ?? calls.appendChild(element("pre"));
      shown.textContent = call.function.name + "(" + call.function.arguments + ")";
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
`;
