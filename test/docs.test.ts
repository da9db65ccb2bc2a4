/**
 * The pages: links lead somewhere, headings that a link names exist, and code that a design page names is still there. So
 * is each place of the map's list of where to add what.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { repository } from "./kit.ts";

interface Link {
  readonly page: string;
  readonly target: string;
  /** Of the target's path, without a heading. */
  readonly path: string;
  readonly heading: string | undefined;
}

/** The pages below some folders, and those at the top. */
const pages = [
  ...readdirSync(repository).filter((name) => name.endsWith(".md")),
  ...["docs", "models", "bench", "examples", "test/data"].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md") && !name.includes("node_modules"))
      .map((name) => join(folder, name))
  ),
];

const textOf = (page: string) => readFileSync(join(repository, page), "utf8");

/** A page without its blocks of code. */
const proseOf = (page: string) => textOf(page).replace(/^```[\s\S]*?^```/gm, "");

function linksOf(page: string): Link[] {
  return Array.from(proseOf(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path, heading] = target.split("#");
      return { page, target, path: path === "" ? page : join(dirname(page), path), heading };
    });
}

/** The anchor that a heading has on GitHub. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\- ]/gu, "").replaceAll(" ", "-");
}

function headingsOf(page: string): string[] {
  return Array.from(proseOf(page).matchAll(/^#+ (.*)$/gm), ([, heading]) => anchorOf(heading));
}

/** Code below some folders, in one text. */
const code = ["src", "ffi", "cli", "kernels", "scripts", "mod.ts", "exports"].flatMap((place) => {
  const path = join(repository, place);
  if (place.includes(".")) return [readFileSync(path, "utf8")];
  return readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => /\.(ts|js|zig)$/.test(name))
    .map((name) => readFileSync(join(path, name), "utf8"));
}).join("\n");

/** The parts of a name that a text lacks: of `Engine.run` both have to be there. */
function missing(name: string, text: string): string[] {
  return name.split(".").filter((part) => !new RegExp(`(?<!\\w)${part}(?!\\w)`).test(text));
}

describe("the pages", () => {
  it("link to files that exist", () => {
    const links = pages.flatMap(linksOf);
    assertGreater(links.length, 100);
    const broken = links.filter(({ path }) => !existsSync(join(repository, path)));
    assertEquals(broken.map(({ page, target }) => `${page}: ${target}`), []);
  });

  it("link to headings that exist", () => {
    const broken = pages.flatMap(linksOf)
      .filter(({ path, heading }) =>
        heading !== undefined && path.endsWith(".md") && existsSync(join(repository, path))
      )
      .filter(({ path, heading }) => !headingsOf(path).includes(heading ?? ""));
    assertEquals(broken.map(({ page, target }) => `${page}: ${target}`), []);
  });

  it("say of each code of an error what to do", () => {
    const [, union = ""] = /export type ErrorCode =([^;]+);/.exec(textOf("ffi/wire.ts")) ?? [];
    const codes = Array.from(union.matchAll(/"(\w+)"/g), ([, code]) => code);
    const rows = Array.from(textOf("docs/errors.md").matchAll(/^\| `(\w+)`/gm), ([, code]) => code);
    assertEquals(rows.sort(), codes.sort());
  });

  it("are all in a table of contents", () => {
    const listed = new Set(["docs/README.md", "docs/design/map.md"].flatMap(linksOf).map(({ path }) => path));
    const pagesOfDocs = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
    assertEquals(pagesOfDocs.filter((page) => !listed.has(page)), []);
  });
});

describe("the design pages", () => {
  const design = pages.filter((page) => page.startsWith("docs/design/"));

  it("name code that exists", () => {
    const names = design.flatMap((page) =>
      Array.from(proseOf(page).matchAll(/`([A-Za-z_]\w+(?:\.[a-z]\w+)?)(?:\(\))?`/g), ([, name]) => ({ page, name }))
    ).filter(({ name }) => !/\.(md|ts|js|zig|json|weight|ggml|\w+_\w+)$/.test(name));
    assertGreater(names.length, 50);
    const gone = names.filter(({ name }) => missing(name, code).length > 0);
    assertEquals(gone.map(({ page, name }) => `${page}: ${name}`), []);
  });

  it("name it where it is", () => {
    // `Name` ([file](path)) or `Name` in [file](path): the name stands in that file.
    const pattern = /`([A-Za-z_]\w+(?:\.\w+)?)(?:\(\))?`(?:,? \(| in | of )\[[^\]]*\]\(([^)#]+)\)/g;
    const found = design.flatMap((page) =>
      Array.from(proseOf(page).replace(/\s+/g, " ").matchAll(pattern), ([, name, target]) => ({
        page,
        name,
        path: join(dirname(page), target),
      }))
    );
    assertGreater(found.length, 20);
    const moved = found.filter(({ name, path }) => missing(name, textOf(path)).length > 0);
    assertEquals(moved.map(({ page, name, path }) => `${page}: ${name} is not in ${path}`), []);
  });

  it("say where to add what: one place each", () => {
    const [, list = ""] = textOf("docs/design/map.md").split("## Where to add what");
    const rows = list.split("\n## ")[0].split("\n").filter((line) => line.startsWith("| a"));
    assertGreater(rows.length, 5);
    for (const row of rows) {
      const targets = Array.from(row.matchAll(/`(\w+)` (?:in|of) \[[^\]]*\]\(([^)]+)\)/g));
      assertEquals(targets.length, 1, row);
      const [, name, target] = targets[0];
      assert(new RegExp(`\\b${name}\\b`).test(textOf(join("docs/design", target))), row);
    }
  });

  it("have the sections that comments cite", () => {
    // A comment may break the line inside of a section's name.
    const comments = code.replace(/\n\s*(?:\/\/[!/]?|\*) ?/g, " ");
    const cited = Array.from(comments.matchAll(/docs\/design\/(\w+)\.md`?(?:, "([^"]+)")?/g));
    assertGreater(cited.length, 15);
    const missing = cited.filter(([, name, section]) =>
      !design.includes(`docs/design/${name}.md`) ||
      (section !== undefined && !headingsOf(`docs/design/${name}.md`).includes(anchorOf(section)))
    );
    assertEquals(missing.map(([whole]) => whole), []);
  });

  it("name every room", () => {
    const map = textOf("docs/design/map.md");
    const rooms = ["src", "kernels"].flatMap((top) =>
      readdirSync(join(repository, top), { withFileTypes: true }).filter((entry) => entry.isDirectory())
        .map(({ name }) => `${top}/${name}/`)
    );
    assertEquals(rooms.filter((room) => !map.includes(`\`${room}\``)), []);
    const named = Array.from(map.matchAll(/^\| `((?:src|kernels|ffi|cli)\/[\w/.]*)`/gm), ([, room]) => room);
    assertEquals(named.filter((room) => !existsSync(join(repository, room))), []);
  });
});
