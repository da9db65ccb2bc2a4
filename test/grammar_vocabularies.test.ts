/**
 * Grammars over vocabularies of real models and one of bytes alone: the same verdicts whatever the tokens, and masks that have just
 * the tokens that a walk of each alone finds.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { gunzipSync } from "node:zlib";
import { Grammar, LightGPTError, type Matcher, type Tokenizer } from "../mod.ts";
import { parseGguf } from "../src/files/gguf/read.ts";
import { bytesOf } from "../src/grammar/token_trie.ts";
import { isNight, often } from "./counts.ts";
import { describeWholeKit, kitDirectory } from "./kit.ts";
import { memorySource } from "./models.ts";
import { randomFrom } from "./simulation.ts";
import { vocabularyWith } from "./tool-templates.ts";
import { loadTokenizer } from "./tokenizers.ts";

interface Group {
  readonly schema: unknown;
  readonly tests: readonly { readonly data: unknown; readonly valid: boolean }[];
}

const names = ["llama-spm", "llama-bpe", "qwen2"];
/** Bytes of the longest token that a text is cut into. */
const longest = 12;

function read(kit: string, path: string): Uint8Array {
  return gunzipSync(readFileSync(join(kit, path)));
}

const loaded = new Map<string, Tokenizer>();

/** A vocabulary of the kit, with its trie made once for all tests. */
function vocabulary(kit: string, name: string): [string, Tokenizer] {
  const known = loaded.get(name) ??
    loadTokenizer(parseGguf(memorySource(name, read(kit, `tokenizers/${name}.gguf.gz`))));
  loaded.set(name, known);
  return [name, known];
}

async function vocabularies(kit: string): Promise<[string, Tokenizer][]> {
  return [["bytes", await vocabularyWith([])], ...names.map((name) => vocabulary(kit, name))];
}

/** Cuts texts into tokens, each as long as it can be. */
function cutter(tokenizer: Tokenizer): (text: Uint8Array) => number[] {
  const latin = new TextDecoder("latin1");
  const ids = new Map<string, number>();
  for (let token = 0; token < tokenizer.vocabularySize; token++) {
    const bytes = tokenizer.textBytes(token);
    if (bytes.length > 0 && bytes.length <= longest) ids.set(latin.decode(bytes), token);
  }
  return (text) => {
    const tokens: number[] = [];
    for (let at = 0; at < text.length;) {
      let length = Math.min(longest, text.length - at);
      while (length > 1 && !ids.has(latin.decode(text.subarray(at, at + length)))) length--;
      tokens.push(ids.get(latin.decode(text.subarray(at, at + length))) as number);
      at += length;
    }
    return tokens;
  };
}

function isFollowed(matcher: Matcher, tokens: readonly number[]): boolean {
  for (const token of tokens) {
    if (!matcher.allows(token)) return false;
    matcher.accept(token);
  }
  return matcher.isComplete;
}

describeWholeKit("grammars over vocabularies", "", (kit) => {
  it("give a schema's verdicts whatever the tokens", async () => {
    const suite: Record<string, readonly Group[]> = JSON.parse(
      new TextDecoder().decode(read(kit, "schema-suite/draft2020-12.json.gz")),
    );
    const groups = Object.entries(suite).filter(([path]) => !path.startsWith("optional")).flatMap(([, groups]) =>
      groups
    );
    const [each, all] = [often(24, 1), await vocabularies(kit)];
    const encoder = new TextEncoder();
    const cutters = all.map(([, tokenizer]) => cutter(tokenizer));
    let judged = 0;
    for (const { schema, tests } of groups.filter((_, index) => index % each === 0)) {
      let grammars: Grammar[];
      try {
        grammars = await Promise.all(all.map(([, tokenizer]) => Grammar.schema(schema, tokenizer)));
      } catch (error) {
        assert(error instanceof LightGPTError, String(error));
        continue;
      }
      for (const { data, valid } of tests) {
        const text = encoder.encode(JSON.stringify(data));
        const verdicts = grammars.map((grammar, index) => isFollowed(grammar.matcher(), cutters[index](text)));
        assertEquals(new Set(verdicts).size, 1, `${JSON.stringify(schema)}: ${JSON.stringify(data)}: ${verdicts}`);
        assert(valid || !verdicts[0], JSON.stringify(data));
        judged++;
      }
    }
    assertGreater(judged, 30);
  });

  it("have masks of the tokens that a walk of each alone finds", async () => {
    const random = randomFrom(3);
    const all = await vocabularies(kit);
    for (const [index, [name, tokenizer]] of all.entries()) {
      const grammars = await grammarsOf(tokenizer);
      for (const grammar of isNight ? grammars : [grammars[index % grammars.length]]) {
        checkMasks(name, grammar, tokenizer, random);
      }
    }
  });
});

describeWholeKit("guesses of texts that must come", "tokenizers", () => {
  it("are spelled as the tokenizer spells the whole text", async () => {
    const properties = {
      destination_city: { enum: ["Amsterdam", "Reykjavík", "São Paulo"] },
      "departure date": { type: "string", maxLength: 12 },
      numberOfPassengers: { type: "integer", maximum: 99 },
      "日本語": { type: "boolean" },
    };
    const schema = { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
    const values = [["Reykjavík", "2026-05-03", 12, true], ["São Paulo", "tomorrow", 3, false]];
    const kit = kitDirectory as string;
    for (const [name, tokenizer] of ["gpt-2", "baichuan", ...names].map((name) => vocabulary(kit, name))) {
      const grammar = await Grammar.schema(schema, tokenizer, { whitespace: "compact", order: "schema" });
      let judged = 0;
      for (const own of values) {
        const text = JSON.stringify(Object.fromEntries(Object.keys(properties).map((key, index) => [key, own[index]])));
        const matcher = grammar.matcher();
        for (const token of tokenizer.encode(text, { addSpecial: false })) {
          const bytes = tokenizer.textBytes(token);
          const ahead = matcher.forced();
          // A token may reach beyond the text that must come, which no guess does; none is made within a character.
          if (
            ahead.length > bytes.length && (ahead[0] & 0xc0) !== 0x80 &&
            bytes.every((byte, index) => byte === ahead[index])
          ) {
            assertEquals(matcher.guess()?.token, token, `${name}: ${text} ${new TextDecoder().decode(ahead)}`);
            judged++;
          }
          // Spelled with a blank before the text, it is no JSON.
          if (matcher.allows(token)) matcher.accept(token, true);
          else assert(matcher.follow(bytes.subarray(1)), name);
        }
      }
      assertGreater(judged, 20, name);
    }
  });

  it("learn from what is chosen", async () => {
    const [, tokenizer] = vocabulary(kitDirectory as string, "gpt-2");
    const matcher = (await Grammar.choice(["destination", "destiny"], tokenizer)).matcher();
    const own = matcher.guess();
    const [d] = tokenizer.encode("d");
    const again = matcher.clone();
    again.accept(d, true);
    assertEquals(matcher.guess(), own);
    matcher.clone().accept(d);
    assertEquals(matcher.guess()?.token, d);
    assertNotEquals(d, own?.token);
  });
});

/** Grammars of several kinds: with lexemes that may end within tokens, counts, patterns, and what can be read in many ways. */
function grammarsOf(tokenizer: Tokenizer): Promise<Grammar[]> {
  const properties = {
    name: { type: "string", maxLength: 9 },
    id: { type: "string", pattern: "^[a-f]{2,5}-\\d+$" },
    size: { type: "number", minimum: -3, maximum: 1e6, multipleOf: 0.5 },
    list: { type: "array", items: { enum: ["red", "re", 1, null] }, uniqueItems: true },
    hash: { type: "string", pattern: "[A-F0-9]{12}" },
  };
  return Promise.all([
    Grammar.schema({ type: "object", properties }, tokenizer),
    Grammar.schema({ type: "object", properties, additionalProperties: false }, tokenizer, { order: "schema" }),
    Grammar.gbnf('root ::= ([a-z]+ " "? | [a-z] [a-z] | "\\n"* [0-9]{1,3} ",")+ ("." root)?', tokenizer),
    Grammar.regex("(?:[^:\\s]+[:\\s]){1,40}|[^/]{3,9}/.*", tokenizer),
  ]);
}

function checkMasks(name: string, grammar: Grammar, tokenizer: Tokenizer, random: (below: number) => number): void {
  const texts = Array.from({ length: tokenizer.vocabularySize }, (_, token) => bytesOf(tokenizer, token));
  let states = 0;
  for (let matcher = grammar.matcher(); states < often(5, 200); states++) {
    if (matcher.isDone) matcher = grammar.matcher();
    const words = matcher.words();
    const found: number[] = [];
    texts.forEach((bytes, token) => {
      const isEnd = tokenizer.endOfGeneration.has(token);
      const mayCome = isEnd ? matcher.isComplete : bytes.length > 0 && matcher.clone().follow(bytes);
      const isThere = ((words[token >>> 5] >>> (token & 31)) & 1) === 1;
      if (mayCome !== isThere) throw new Error(`${name}, state ${states}, token ${token}: ${isThere}`);
      if (isThere && !isEnd) found.push(token);
    });
    if (found.length === 0) break;
    matcher.accept(found[random(found.length)]);
  }
  assertGreater(states, 3, name);
}
