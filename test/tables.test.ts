/**
 * The tables in docs/ are what comes of the code's own lists.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pages, refreshed } from "../scripts/tables.ts";
import { repository } from "./kit.ts";

describe("the tables of docs/", () => {
  for (const page of Object.keys(pages)) {
    it(`${page} is current (npm run tables)`, () => {
      const text = readFileSync(join(repository, page), "utf8");
      assertEquals(text, refreshed(page, text));
      const emptied = text.replace(/(<!-- table: [^\n]*-->\n)[\s\S]*?(\n<!-- end -->)/g, "$1$2");
      assert(emptied.length < text.length);
      assertEquals(refreshed(page, emptied), text);
    });
  }
});
