/**
 * Two parsers of model files, ours and Hugging Face's (`@huggingface/gguf`), on the same damaged files: whatever ours accepts the
 * other accepts too, with the same metadata and the same tensors. (Ours refuses more: the other does not look at the file's end.)
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { gguf as parseOther } from "@huggingface/gguf";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { MetadataArray, type MetadataValue, ModelFormatError, UnsupportedError } from "../../mod.ts";
import { type Gguf, parseGguf } from "../../src/files/gguf/read.ts";
import { note, often } from "../counts.ts";
import { describeWholeKit } from "../kit.ts";
import { memorySource } from "../models.ts";
import { headerLength, mutate } from "../mutations.ts";

const names = [
  "valid",
  "valid_bpe",
  "valid_align64",
  "valid_align8",
  "template_broken",
  "ndims_4_ones",
  "merges_cyclic",
];

/** Ours, or undefined where the file is refused. */
function parseOurs(bytes: Uint8Array): Gguf | undefined {
  try {
    return parseGguf(memorySource("damaged", bytes));
  } catch (error) {
    if (error instanceof ModelFormatError || error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

/** The other parser reads from the net; this is its net. */
function served(bytes: Uint8Array): typeof fetch {
  return (_, request) => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(request?.headers).get("range") ?? "") ?? [];
    const part = bytes.slice(Number(from), Number(to) + 1);
    return Promise.resolve(new Response(part, { headers: { "content-range": `bytes ${from}-${to}/${bytes.length}` } }));
  };
}

/** Numbers of both widths and signs, alike. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return `${value}`;
  if (typeof value === "number") return Number.isInteger(value) ? `${BigInt(value)}` : `${value}`;
  return value instanceof MetadataArray || Array.isArray(value)
    ? Array.from(value as Iterable<MetadataValue>, plain)
    : value;
}

describeWholeKit("two parsers", "malformed", (directory) => {
  it("agree on what ours accepts", async () => {
    const bases = names.map((name) => new Uint8Array(readFileSync(join(directory, `${name}.gguf`))));
    const headers = bases.map((bytes) => headerLength(bytes));
    const count = often(600, 10_000);
    let accepted = 0;
    for (let seed = 0; seed < count; seed++) {
      const bytes = seed < bases.length ? bases[seed] as Uint8Array : mutate(bases, headers, 5_000_000 + seed);
      const ours = parseOurs(bytes);
      if (ours === undefined) continue;
      accepted++;
      const other = await parseOther("https://files.test/x.gguf", { fetch: served(bytes) }).catch((error) => {
        throw new Error(`mutation ${seed}: ours accepts what the other refuses`, { cause: error });
      });
      const { version, tensor_count: _, kv_count: __, ...rest } = other.metadata as Record<string, unknown>;
      const found = new Map(Object.entries(rest).map(([key, value]) => [key, plain(value)]));
      const keys = [...ours.metadata.keys()];
      for (const key of keys) {
        if (["version", "tensor_count", "kv_count"].includes(key)) continue; // the other puts its own there
        assertEquals(plain(ours.metadata.get(key)), found.get(key), `mutation ${seed}: ${key}`);
      }
      assertEquals([ours.version, keys.length], [version, Number(other.metadata.kv_count)], `mutation ${seed}`);
      const tensors = (list: Iterable<{ name: string; dims: readonly unknown[]; type: number; offset: unknown }>) =>
        [...list].map(({ name, dims, type, offset }) => [name, dims.map(plain), type, plain(offset)]);
      assertEquals(
        tensors([...ours.tensors.values()].map((tensor) => ({ ...tensor, offset: tensor.offset }))),
        tensors(other.tensorInfos.map(({ name, shape, dtype, offset }) => ({
          name,
          dims: shape,
          type: dtype,
          offset: BigInt(other.tensorDataOffset) + offset,
        }))),
        `mutation ${seed}`,
      );
    }
    assert(accepted > count / 20, `${accepted} of ${count}`);
    note(5, "damaged files parsed twice", count);
    note(5, "accepted by both, alike", accepted);
  });
});
