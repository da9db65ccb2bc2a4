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
import { loadTokenizer } from "./tokenizers.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";
import type { TextRun } from "../src/text/types.ts";
import { dataDirectory, describeKit, readJson, repository } from "./kit.ts";
import { memorySource } from "./models.ts";
import { randomFrom } from "./simulation.ts";

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

    it(`${name}: runs of ${all.length} texts are tokenized as one text, but for control tokens of foreign ones`, () => {
      const tokenizer = load();
      const control = [...new Set(all.flatMap(({ ids }) => ids))].filter((id) => tokenizer.decode([id]) === "")
        .map((id) => ({ id, text: tokenizer.decode([id], { special: true }) }))
        .filter(({ id, text }) => tokenizer.encode(text, { addSpecial: false, parseSpecial: true })[0] === id);
      const below = randomFrom(7);
      for (const { text, ids, add_special: addSpecial, parse_special } of all) {
        const cuts = Array.from({ length: 3 }, () => below(text.length + 1)).sort((left, right) => left - right);
        const parts = [0, ...cuts].map((start, index) => text.slice(start, cuts[index] ?? text.length));
        if (!parts.every((part) => part.isWellFormed())) continue;
        const runs = (foreign: () => boolean) => parts.map((part) => ({ text: part, foreign: foreign() }));
        const read = (foreign: () => boolean) => [...tokenizer.encodeRuns(runs(foreign), { addSpecial })];
        // A template that writes BOS gets no second one, which llama.cpp puts before any text.
        const { addBos, bos } = tokenizer;
        const isDoubled = addSpecial && addBos && ids[0] === bos && ids[1] === bos;
        if (parse_special) assertEquals(read(() => false), ids.slice(isDoubled ? 1 : 0), JSON.stringify(parts));
        if (!control.some(({ text: name }) => text.includes(name))) {
          assertEquals(read(() => below(2) === 0), read(() => false), JSON.stringify(parts));
        }
      }
      for (const { id, text } of control.filter(({ text }) => text.length > 1)) {
        const count = (...runs: TextRun[]) =>
          tokenizer.encodeRuns(runs, { addSpecial: false }).filter((token) => token === id).length;
        const [own, foreign] = [
          (text: string) => ({ text, foreign: false }),
          (text: string) => ({ text, foreign: true }),
        ];
        const [left, right] = [text.slice(0, 1), text.slice(1)];
        assertEquals(count(own(text), foreign(text), own(left), own(right)), 2, text);
        assertEquals(
          count(foreign(left), foreign(right), own(left), foreign(right), foreign(left), own(right)),
          0,
          text,
        );
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
