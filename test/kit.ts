/**
 * Where the reference data lies: the conformance kit and the TinyTales files, outside the repository because of their
 * size. Without them a test is skipped, and its name says why; in CI (`CI=true`) their absence is a failure.
 * Small excerpts that a newcomer's run needs are in test/data.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";

const root = fileURLToPath(new URL("../", import.meta.url));

/** The repository's own directory, for paths such as `models/tinytales-q4_0.gguf`. */
export const repository: string = root;

/** Small golden data that is part of the repository. */
export const dataDirectory: string = join(root, "test", "data");

/** The conformance kit, or undefined where it is not at hand. */
export const kitDirectory: string | undefined = find(process.env.LIGHTGPT_KIT ?? join(root, "../shared/kit"));

/** The TinyTales files, which lie beside the kit, or undefined. */
export const talesDirectory: string | undefined = find(
  process.env.LIGHTGPT_TALES ?? join(process.env.LIGHTGPT_KIT ?? join(root, "../shared/kit"), "../tinytales"),
);

function find(path: string): string | undefined {
  return existsSync(join(path, "README.md")) ? path : undefined;
}

/**
 * Tests that need the kit: `body` is called with its directory. Without it one skipped test stands in for them, or a
 * failing one in CI.
 */
export function describeKit(name: string, body: (kit: string) => void): void {
  describeData(name, "the conformance kit (LIGHTGPT_KIT)", kitDirectory, body);
}

/** Tests that need the TinyTales files: `body` is called with their directory. Otherwise like {@link describeKit}. */
export function describeTales(name: string, body: (tales: string) => void): void {
  describeData(name, "the TinyTales files (LIGHTGPT_TALES)", talesDirectory, body);
}

function describeData(name: string, what: string, directory: string | undefined, body: (path: string) => void): void {
  if (directory !== undefined) {
    describe(name, () => body(directory));
  } else if (process.env.CI === "true") {
    describe(name, () => {
      it(`needs ${what}`, () => {
        throw new Error(`${what}: not found, and CI=true asks for it`);
      });
    });
  } else {
    it.skip(`${name}: needs ${what}`, () => {});
  }
}

/** A JSON file below the kit or another directory. The shape is the caller's claim about data that we ship or pin. */
export function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}
