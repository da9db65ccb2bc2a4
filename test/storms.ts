/**
 * Loads a model file again and again while another process cuts it: once at a random moment of each load, or all the time.
 * What the loads come to is counted by the codes of their errors.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { copyFileSync, truncateSync, writeFileSync } from "node:fs";
import process from "node:process";
import { LightGPT, LightGPTError } from "../mod.ts";

/** How often and how long. */
export interface StormCounts {
  readonly cuts: number;
  readonly storms: number;
  readonly stormMs: number;
}

/** Cuts a file and gives it its length back, until it is killed. */
const cutter = `
const { openSync, ftruncateSync, fstatSync } = require("node:fs");
const file = openSync(process.argv[2], "r+");
const { size } = fstatSync(file);
console.log("cutting");
for (;;) {
  ftruncateSync(file, size >> 2);
  ftruncateSync(file, size);
  for (const end = performance.now() + 0.2; performance.now() < end;);
}`;

/** Loads `path`, a copy that may be spoilt. */
export async function storms(path: string, { cuts, storms, stormMs }: StormCounts): Promise<{
  readonly loads: number;
  readonly kinds: Readonly<Record<string, number>>;
}> {
  const whole = `${path}.whole`;
  copyFileSync(path, whole);
  const kinds: Record<string, number> = {};
  let loads = 0;
  const load = async (change?: Promise<void>) => {
    let kind = "loaded";
    try {
      const loading = LightGPT.load(path, { context: 64, threads: 2 });
      await change;
      await (await loading).dispose();
    } catch (error) {
      kind = error instanceof LightGPTError ? error.code : `foreign: ${error}`;
    }
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    loads++;
  };
  for (let cut = 0; cut < cuts; cut++) {
    copyFileSync(whole, path);
    const wait = cut % 8 === 0 ? Promise.resolve() : new Promise<void>((resolve) => setTimeout(resolve, cut % 8));
    await load(wait.then(() => truncateSync(path, (cut % 5) * 500_000)));
  }
  writeFileSync(`${path}.cjs`, cutter);
  for (let storm = 0; storm < storms; storm++) {
    copyFileSync(whole, path);
    const flags = "Deno" in globalThis ? ["run", "-A"] : [];
    const child = spawn(process.execPath, [...flags, `${path}.cjs`, path], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    for (const end = performance.now() + stormMs; performance.now() < end;) await load();
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
  }
  return { loads, kinds };
}
