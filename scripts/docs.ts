/**
 * `npm run docs`: one static site in dist/docs of the README, the pages of docs/ and, by `deno doc`, the comments of the public code. Its
 * pages ask no other host for anything; `test/site.test.ts` follows every link.
 *
 * @module
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import process from "node:process";
import { Marked, type Tokens } from "marked";
import { main, manifest, root, run, toolPath } from "./tools.js";

/** Pages by what a reader wants, in the order of the menu; what is in no group stands in the last one. */
const groups: readonly (readonly [string, readonly string[]])[] = [
  ["Begin", ["start", "models", "chat", "coming", "recipes", "errors", "glossary"]],
  ["Use", ["lightgpt", "sampling", "constraints", "tools", "embeddings", "frameworks", "batcher", "cache", "cli"]],
  ["Serve", [
    "serving",
    "cluster",
    "deploying",
    "bundlers",
    "optimizer",
    "measuring",
    "security",
    "limits",
    "reliability",
  ]],
  ["More", ["formats", "quantizer", "choosing", "releasing"]],
];

interface Page {
  /** Its file in the repository. */
  readonly source: string;
  /** Its file in the site. */
  readonly target: string;
  readonly title: string;
}

/** The anchor of a heading, as GitHub has it. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/<[^>]*>/g, "").replace(/[^\p{L}\p{N}\- ]/gu, "").replaceAll(" ", "-");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function pagesOf(folder: string): Page[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".md"))
    .map((path) => path.replaceAll("\\", "/")).sort().map((path) => {
      const source = `${folder}/${path}`;
      const title = /^# (.*)$/m.exec(readFileSync(join(root, source), "utf8"))?.[1] ?? path;
      return { source, target: path === "README.md" ? "pages.html" : path.replace(/\.md$/, ".html"), title };
    });
}

/** Writes the pages into `out`; the API reference is made apart. */
export function writePages(out: string): readonly Page[] {
  const pages = [{ source: "README.md", target: "index.html", title: "LightGPT" }, ...pagesOf("docs")];
  for (const page of pages) {
    const html = htmlOf(page, pages, out);
    const path = join(out, page.target);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, html);
  }
  writeFileSync(join(out, "site.css"), style);
  return pages;
}

function htmlOf(page: Page, pages: readonly Page[], out: string): string {
  const up = "../".repeat(page.target.split("/").length - 1);
  const marked = new Marked({ gfm: true, async: false });
  const addressOf = (target: string) => linkOf(target, page, pages, up, out);
  marked.use({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading) {
        return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link) {
        const address = addressOf(href);
        const inner = this.parser.parseInline(tokens);
        return address === undefined ? inner : `<a href="${escaped(address)}">${inner}</a>`;
      },
      image({ href, text }: Tokens.Image) {
        return `<img src="${escaped(addressOf(href) ?? "")}" alt="${escaped(text)}">`;
      },
      table(token: Tokens.Table) {
        const row = (cells: Tokens.TableCell[], name: string) =>
          `<tr>${cells.map(({ tokens }) => `<${name}>${this.parser.parseInline(tokens)}</${name}>`).join("")}</tr>\n`;
        const body = token.rows.map((cells) => row(cells, "td")).join("");
        return `<div class="table"><table>${row(token.header, "th")}${body}</table></div>\n`;
      },
    },
  });
  const body = marked.parse(readFileSync(join(root, page.source), "utf8")) as string;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(page.title)}${page.title === "LightGPT" ? "" : " - LightGPT"}</title>
<link rel="stylesheet" href="${up}site.css">
<nav><a class="home" href="${up}index.html">LightGPT</a>
${menuOf(page, pages, up)}
<p>Reference</p><a href="${up}api/index.html">API</a></nav>
<main>
${body}</main>
</html>
`;
}

function menuOf(page: Page, pages: readonly Page[], up: string): string {
  const named = new Set(groups.flatMap(([, names]) => names));
  const nameOf = ({ target }: Page) => target.replace(/\.html$/, "");
  const rest = pages.map(nameOf).filter((name) => !named.has(name) && name !== "index" && name !== "pages");
  return [...groups, ["Inside", rest] as const].map(([title, names]) => {
    const links = names.map((name) => pages.find((one) => nameOf(one) === name)).filter((one) => one !== undefined)
      .map((one) => `<a${one === page ? ' class="here"' : ""} href="${up}${one.target}">${escaped(one.title)}</a>`);
    return `<p>${title}</p>${links.join("\n")}`;
  }).join("\n");
}

/** Where a link of a page leads in the site: to another page, or to a copy of a file; nowhere for folders. */
function linkOf(target: string, page: Page, pages: readonly Page[], up: string, out: string): string | undefined {
  if (/^[a-z]+:/.test(target) || target.startsWith("#")) return target;
  const [path, heading] = target.split("#");
  const source = posix.join(posix.dirname(page.source), path);
  const other = pages.find((one) => one.source === source);
  if (other !== undefined) return `${up}${other.target}${heading === undefined ? "" : `#${heading}`}`;
  const file = join(root, source);
  if (!existsSync(file) || !statSync(file).isFile()) return undefined;
  const copy = /\.(svg|png)$/.test(source) ? `files/${source}` : `files/${source}.txt`;
  mkdirSync(dirname(join(out, copy)), { recursive: true });
  cpSync(file, join(out, copy));
  return up + copy;
}

const style = `:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#1d4ed8, #93c5fd); }
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 15rem minmax(0, 1fr); font: 16px/1.6 system-ui, sans-serif; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); }
nav a { display: block; padding: 0.1rem 0.5rem; border-radius: 4px; color: inherit; text-decoration: none; font-size: 0.9rem; }
nav a:hover, nav .here { background: var(--soft); color: var(--accent); }
nav .home { font-size: 1.2rem; font-weight: 600; }
nav p { margin: 1rem 0.5rem 0.2rem; font-size: 0.75rem; text-transform: uppercase; letter-spacing: 0.05em; opacity: 0.7; }
main { padding: 1rem 2rem 4rem; max-width: 60rem; }
h1 { margin-top: 0.5rem; line-height: 1.2; } h2 { margin-top: 2.5rem; padding-bottom: 0.2rem; border-bottom: 1px solid var(--line); }
a { color: var(--accent); }
code { font: 0.875em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: 0.1em 0.3em; }
pre { background: var(--soft); border-radius: 8px; padding: 1rem; overflow: auto; } pre code { background: none; padding: 0; }
.table { overflow: auto; } table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.35rem 0.7rem; border: 1px solid var(--line); text-align: left; vertical-align: top; }
td:first-child code { white-space: nowrap; }
img { max-width: 100%; background: #fff; border-radius: 8px; }
blockquote { margin: 1rem 0; padding: 0 1rem; border-left: 3px solid var(--line); }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; } main { padding: 1rem; } }
`;

main(import.meta.url, async () => {
  const out = join(root, "dist", "docs");
  rmSync(out, { recursive: true, force: true });
  const pages = writePages(out);
  const entries = Object.values(manifest.exports as Record<string, string>).map((path) => join(root, path));
  const words = ["doc", "--html", "--name=LightGPT", `--output=${join(out, "api")}`, ...entries];
  const { code, output } = await run(toolPath("deno"), words);
  if (code !== 0) throw new Error(`deno doc failed:\n${output}`);
  process.stdout.write(`${join(out, "index.html")}: ${pages.length} pages and the API reference\n`);
});
