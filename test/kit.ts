/**
 * Where the reference data lies: the conformance kit and the TinyTales files, outside the repository because of their
 * size, and the kit's excerpt, which every clone has. Without the kit the tests of the excerpt run and the others are
 * skipped by name; in CI (`CI=true`) its absence is a failure.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** The repository's own directory, for paths such as `models/tinytales-q4_0.gguf`. */
export const repository: string = root;

/** Small golden data that is part of the repository. */
export const dataDirectory: string = join(root, "test", "data");

/** The part of the kit that is in the repository; its README.md says what it holds. */
export const excerptDirectory: string = join(dataDirectory, "kit");

/** Architectures that read whole texts and generate none: `embedding_kit.test.ts` has them. */
export const textArchitectures: readonly string[] = [...ARCHITECTURES]
  .filter(([name, { encoder }]) => encoder !== undefined || name === "llama-embed")
  .map(([name]) => name);

/** Architectures whose traits the whole kit alone shows: small beside the room that their models take in the excerpt. */
export const leftOutOfExcerpt: ReadonlySet<string> = new Set([
  "qwen3vl",
  "hunyuan-dense",
  "mistral3",
  "deepseek2",
  "granitehybrid",
  "falcon-h1",
  "nemotron_h",
  // What reads whole texts is the part "embed" of the kit.
  ...textArchitectures,
]);

const kitPath = process.env.LIGHTGPT_KIT ?? join(root, "../shared/kit");

/** What a manifest of models says of one sequence. */
export interface KitSequence {
  readonly name: string;
  readonly ids: number[];
  readonly positions: number[];
  /** A file of f64 [positions][vocabulary]. */
  readonly logits_exact: string;
  readonly logits_std: number;
  readonly greedy_exact: number[];
  readonly greedy_exact_margins: number[];
}

/** The conformance kit, or undefined where it is not at hand. */
export const kitDirectory: string | undefined = find(kitPath);

/** The TinyTales files, which lie beside the kit, or undefined. */
export const talesDirectory: string | undefined = find(process.env.LIGHTGPT_TALES ?? join(kitPath, "../tinytales2"));

function find(path: string): string | undefined {
  return existsSync(join(path, "README.md")) ? path : undefined;
}

/**
 * Tests of one part of the kit: `body` is called with the part's directory, once for the excerpt where it has such a
 * part, and once for the whole kit. Without the kit one skipped test stands in for those, or a failing one in CI.
 */
export function describeKit(name: string, part: string, body: (directory: string) => void): void {
  const excerpt = join(excerptDirectory, part);
  if (existsSync(excerpt)) describe(`${name}: the excerpt`, () => body(excerpt));
  describeWholeKit(name, part, body);
}

/** Tests that need more of one part of the kit than the excerpt has; otherwise like {@link describeKit}. */
export function describeWholeKit(name: string, part: string, body: (directory: string) => void): void {
  describeData(name, "the conformance kit (LIGHTGPT_KIT)", kitDirectory, (kit) => body(join(kit, part)));
}

/**
 * Tests that need the TinyTales files: `body` is called with their directory. Without them one skipped test stands in, or
 * a failing one in CI.
 */
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
