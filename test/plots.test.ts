/**
 * The plots of `docs/sampling.md` are what the sampler gives: drawn again, they equal the committed ones. The library that
 * draws them belongs to a package of its own (`bench/charts`); without it the test is skipped.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { it } from "node:test";

const charts = new URL("../bench/charts/", import.meta.url);
const skip = existsSync(new URL("node_modules/echarts", charts)) ? false : "npm run bench plots installs echarts";

it("the plots of the documentation are the sampler's", { skip }, async () => {
  // A script of plain JavaScript, and a library without types for it: named so that no checker follows.
  const script = new URL("sampling.mjs", charts).href;
  const { makePlots } = await import(script) as { makePlots(): Promise<Map<string, string>> };
  const drawn = await makePlots();
  const folder = new URL("../docs/sampling/", import.meta.url);
  assertEquals(readdirSync(folder).sort(), [...drawn.keys()].sort());
  for (const [name, svg] of drawn) assertEquals(readFileSync(new URL(name, folder), "utf8"), `${svg}\n`, name);
});
