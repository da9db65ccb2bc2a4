/**
 * Tokenizers against llama.cpp: every vector of the kit, both ways and streamed. And what a newcomer's run can check
 * without the kit: the vocabulary of the embedded model.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { gunzipSync } from "node:zlib";
import { parseGguf, readGguf } from "../src/files/gguf/read.ts";
import { loadTokenizer, type Tokenizer } from "../src/text/tokenizer/tokenizer.ts";
import { dataDirectory, describeKit, readJson, repository } from "./kit.ts";
import { memorySource } from "./models.ts";

interface Vector {
  text: string;
  ids: number[];
  add_special: boolean;
  parse_special: boolean;
  detok?: string;
}

interface KitVocabulary {
  name: string;
  vocabulary: string;
  vectors: string;
  metadata: Record<string, unknown>;
}

describeKit("tokenizers", "tokenizers", (directory) => {
  const { vocabularies } = readJson<{ vocabularies: KitVocabulary[] }>(directory, "manifest.json");
  for (const { name, vocabulary, vectors, metadata } of vocabularies) {
    const load = lazily(() => {
      const file = gunzipSync(readFileSync(join(directory, vocabulary)));
      return loadTokenizer(parseGguf(memorySource(vocabulary, file)));
    });
    const isSentencePiece = metadata["tokenizer.ggml.model"] === "llama";
    const all = readJson<{ vectors: Vector[] }>(directory, vectors).vectors;

    it(`${name}: the ids of ${all.length} texts`, () => {
      for (const { text, ids, add_special: addSpecial, parse_special: parseSpecial } of all) {
        assertEquals([...load().encode(text, { addSpecial, parseSpecial })], ids, JSON.stringify(text));
      }
    });

    // llama.cpp takes spaces before signs away from what byte-level vocabularies decode to; here the text is the text.
    const decoded = all.filter(({ add_special }) => !add_special)
      .map(({ text, ids, detok }) => ({ ids, expected: isSentencePiece ? detok ?? text : text }));

    it(`${name}: the texts of the ids of ${decoded.length} texts, at once and streamed`, () => {
      for (const { ids, expected } of decoded) {
        assertEquals(load().decode(ids, { special: true }), expected, `${ids}`);
        assertEquals(streamed(load(), ids), expected, `${ids}`);
      }
    });
  }
});

/** What a stream gives, each piece of which has to be whole characters. */
function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = tokenizer.stream({ special: true });
  const pieces = ids.map((id) => stream.push(id));
  pieces.push(stream.end());
  for (const piece of pieces) assert(piece.isWellFormed(), JSON.stringify(piece));
  return pieces.join("");
}

function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}

it("the embedded model's vocabulary: the ids of PyTorch's tokenizer, and back", () => {
  const tokenizer = loadTokenizer(readGguf(join(repository, "models", "tinytales-q4_0.gguf")));
  const { vectors } = readJson<{ vectors: { text: string; ids: number[] }[] }>(
    dataDirectory,
    "tinytales-tokenizer.json",
  );
  for (const { text, ids } of vectors) {
    assertEquals([...tokenizer.encode(text, { addSpecial: false })], ids, JSON.stringify(text));
    assertEquals(tokenizer.decode(ids), text);
  }
});
