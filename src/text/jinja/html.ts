/**
 * Escaping for HTML, as Jinja's `escape` filter and strings marked as `safe` do it.
 *
 * @module
 */
import { type Text, TextBuilder } from "./marked.ts";
import type { Run } from "./types.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&#39;",
  '"': "&#34;",
};

/** A string escaped for HTML and marked as that; one that is marked stays as it is. */
export function escapeHtml(run: Run, text: Text): Text {
  if (text.markup) return text;
  const out = new TextBuilder(run.budget);
  let done = 0;
  for (const { index, 0: character } of text.value.matchAll(/[&<>'"]/g)) {
    run.budget.step();
    out.append(text, done, index).add(ESCAPES[character], text.isForeign(index));
    done = index + 1;
  }
  return out.append(text, done).build(true);
}
