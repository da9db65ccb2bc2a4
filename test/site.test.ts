/**
 * The site that `npm run docs` makes: every page is in the menu, every link leads to a page or a file of it, and nothing is asked of
 * another host.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { writePages } from "../scripts/docs.ts";

const out = mkdtempSync(join(tmpdir(), "lightgpt-site-"));

describe("the site of the pages", () => {
  after(() => rmSync(out, { recursive: true, force: true }));
  const pages = writePages(out).map(({ target }) => ({ target, html: readFileSync(join(out, target), "utf8") }));

  it("has links that lead somewhere, and every page in the menu", () => {
    assertGreater(pages.length, 25);
    const broken: string[] = [];
    for (const { target, html } of pages) {
      for (const [, address] of html.matchAll(/(?:href|src)="([^"]*)"/g)) {
        if (/^https?:/.test(address) || /\bapi\/index\.html$/.test(address)) continue;
        const [path, anchor] = address.split("#");
        const file = path === "" ? join(out, target) : join(out, dirname(target), path);
        const isThere = existsSync(file) &&
          (anchor === undefined || readFileSync(file, "utf8").includes(` id="${anchor}"`));
        if (!isThere) broken.push(`${target}: ${address}`);
      }
    }
    assertEquals(broken, []);
    const menu = /<nav>[^]*<\/nav>/.exec(pages[0].html)?.[0] ?? "";
    const absent = pages.filter(({ target }) => target !== "pages.html" && !menu.includes(`href="${target}"`));
    assertEquals(absent.map(({ target }) => target), []);
  });

  it("asks no other host for anything", () => {
    for (const { target, html } of pages) {
      assert(!/<script|src="https?:|<link[^>]*href="https?:/.test(html), target);
    }
    assert(!/@import|url\(/.test(readFileSync(join(out, "site.css"), "utf8")));
  });

  it("opens each page with what it is for", () => {
    for (const { target, html } of pages.filter(({ target }) => !target.includes("/"))) {
      const first = /<\/h1>\s*<p>([^]*?)<\/p>/.exec(html)?.[1] ?? "";
      assert(/^(This page|LightGPT runs)/.test(first), `${target} begins with: ${first.slice(0, 60)}`);
    }
  });
});
