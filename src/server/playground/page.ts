/**
 * The playground at `/`: one page that needs nothing but this server. Its script and its style stand in the page, and its policy names
 * them by their SHA-256, so that no other can run, whatever a model writes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { script } from "./script.ts";
import { style } from "./style.ts";

const field = (label: string, control: string) => `<label>${label}${control}</label>`;
const number = (id: string, label: string, rest: string) => field(label, `<input id="${id}" type="number" ${rest}>`);

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>LightGPT</title>
<link rel="icon" href="data:,">
<style>${style}</style>
<body>
<header>
  <h1>LightGPT</h1>
  <select id="model" aria-label="Model"></select>
  <select id="mode" aria-label="Mode"><option value="chat">chat</option><option value="text">go on with a text</option></select>
  <span class="space"></span>
  <label><input id="show" type="checkbox"> show probabilities</label>
  <button id="theme" type="button" aria-label="Dark or light">&#9680;</button>
  <button id="side" type="button" aria-label="Conversations and settings">&#9776;</button>
</header>
<nav aria-label="Conversations">
  <button id="new" type="button" class="main" title="Ctrl+K">New</button>
  <ul id="list"></ul>
</nav>
<main>
  <div id="talk" role="log" aria-live="polite" aria-label="Conversation" tabindex="0"></div>
  <form id="form">
    <textarea id="say" rows="3" aria-label="Message" placeholder="Enter sends, Shift+Enter begins a line, Esc stops, Ctrl+K begins anew" autofocus></textarea>
    <button id="send" class="main">Send</button>
    <button id="stop" type="button" hidden>Stop</button>
  </form>
</main>
<aside aria-label="Settings">
  ${field("Key, where the server wants one", `<input id="key" type="password" autocomplete="off">`)}
  ${field("System", `<textarea id="system" rows="2"></textarea>`)}
  <div class="pair">
    ${number("temperature", "Temperature", `min="0" step="0.1" placeholder="0.8"`)}
    ${number("top_p", "Top p", `min="0" max="1" step="0.01" placeholder="0.95"`)}
    ${number("top_k", "Top k", `min="0" placeholder="40"`)}
    ${number("min_p", "Min p", `min="0" max="1" step="0.01" placeholder="0"`)}
    ${number("max_tokens", "Most tokens", `min="1" placeholder="no limit"`)}
    ${number("seed", "Seed", `min="0" placeholder="any"`)}
  </div>
  ${
  field(
    "More fields (JSON)",
    `<textarea id="more" rows="2" placeholder='{"penalties": {"repetition": 1.1}}'></textarea>`,
  )
}
  ${field("Schema of the answer (JSON)", `<textarea id="schema" rows="3" placeholder='{"type": "object"}'></textarea>`)}
  ${
  field(
    "Tools (JSON)",
    `<textarea id="tools" rows="4" placeholder='[{"type": "function", "function": {"name": "..."}}]'></textarea>`,
  )
}
  <p class="figures">Conversations are kept in this browser, and nowhere else.</p>
</aside>
<div id="tip" role="tooltip" hidden></div>
<script>${script}</script>
</body>
</html>
`;

const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** The page as an answer. */
export function playground(): Response {
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return new Response(page, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy.join("; "),
      "cache-control": "no-cache",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
  });
}
