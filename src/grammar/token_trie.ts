/**
 * The tokens of a vocabulary as a trie of their bytes, as native code builds and walks it: built once for a tokenizer.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { inSlices, SharedWork, type Sliceable } from "../options/sliced.ts";
import { addBits, setBit } from "../sampling/bits.ts";
import { layOut } from "../text/tokenizer/token_bytes.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { SharedWalks } from "./kept_walks.ts";
import { PLAIN_KINDS, plainCharacters, plainKind, plainMost } from "./plain_text.ts";

/**
 * The bytes by which rules name a control token: 0xFF, which no text has, and its id in four bytes of six bits. So a control token
 * comes only where a rule names it, and nothing else spells it.
 */
export function controlBytes(token: number): Uint8Array {
  return Uint8Array.of(0xff, ...[18, 12, 6, 0].map((shift) => 0x80 | (token >>> shift) & 0x3f));
}

/** The bytes by which a token goes through a grammar: its text's, or a control token's name in rules. */
export function bytesOf(tokenizer: Tokenizer, token: number): Uint8Array {
  const bytes = tokenizer.textBytes(token);
  if (bytes.length === 0) return controlBytes(token);
  return bytes.includes(0xff) ? none : bytes;
}

/** The tokens of a vocabulary, those of each kind of plain text apart. */
export interface TokenTrie {
  /** How many nodes there are, tokens, bytes of the longest token; then the nodes, three words each, as native code has them. */
  readonly words: Uint32Array;
  /** Of each kind of plain text, the node of each first byte, or {@link NO_NODE}. */
  readonly plain: readonly Uint32Array[];
  /** The same of all other tokens. */
  readonly rest: Uint32Array;
  /** Of each kind of plain text, the masks of the tokens with up to 0, 1, 2 ... `plainMost` characters. */
  readonly masks: readonly (readonly Uint32Array[])[];
  /** Tokens of the vocabulary. */
  readonly tokens: number;
  /** Bytes of the longest token. */
  readonly longest: number;
  /** What walks have found. */
  readonly shared: SharedWalks;
  /** Room for one walk: how many places, how many ends, the places that are walked and those that are found, and the ends. */
  readonly open: Uint32Array;
}

/** Words before the nodes, and of a node. */
const [headWords, nodeWords] = [3, 3];

/** The byte of a node of a trie. */
export function byteAt(words: Uint32Array, node: number): number {
  return words[headWords + nodeWords * node] & 0xff;
}

/** The node behind a node and those below it. */
export function endAt(words: Uint32Array, node: number): number {
  return words[headWords + nodeWords * node + 1];
}

/** How many bytes lead to a node. */
export function depthAt(words: Uint32Array, node: number): number {
  return words[headWords + nodeWords * node] >>> 8;
}

/** The child of a node by a byte, or {@link NO_NODE}. */
export function childOf(words: Uint32Array, node: number, byte: number): number {
  const end = endAt(words, node);
  for (let child = node + 1; child < end; child = endAt(words, child)) {
    const own = byteAt(words, child);
    if (own >= byte) return own === byte ? child : NO_NODE; // children stand in the order of their bytes
  }
  return NO_NODE;
}

/** The children of nodes, by their bytes. */
export function childrenOf(words: Uint32Array, nodes: Uint32Array): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const node of nodes) {
    const end = endAt(words, node);
    for (let child = node + 1; child < end; child = endAt(words, child)) {
      const byte = byteAt(words, child);
      const known = found.get(byte);
      if (known) known.push(child);
      else found.set(byte, [child]);
    }
  }
  return found;
}

/** The token that ends at a node, or {@link NO_TOKEN}. */
export function tokenAt(words: Uint32Array, node: number): number {
  return words[headWords + nodeWords * node + 2];
}

/** The next token with the same bytes, or {@link NO_TOKEN}. */
export function sameAs(words: Uint32Array, token: number): number {
  return words[headWords + nodeWords * words[0] + token];
}

const tries = new WeakMap<Tokenizer, SharedWork<TokenTrie>>();

/** The trie of a tokenizer, of all tokens but those that end a text; the event loop goes on while the first caller's is built. */
export async function trieOf(tokenizer: Tokenizer): Promise<TokenTrie> {
  let trie = tries.get(tokenizer);
  if (trie === undefined) tries.set(tokenizer, trie = new SharedWork(build(tokenizer)));
  return await inSlices(trie.get());
}

function* build(tokenizer: Tokenizer): Sliceable<TokenTrie> {
  const { vocabularySize, endOfGeneration } = tokenizer;
  const own = (token: number) => endOfGeneration.has(token) ? none : bytesOf(tokenizer, token);
  const { bytes, starts } = yield* layOut(vocabularySize, own);
  const kinds = new Int8Array(vocabularySize);
  const masks = PLAIN_KINDS.map(() =>
    Array.from({ length: plainMost + 1 }, () => new Uint32Array(Math.ceil(vocabularySize / 32)))
  );
  for (let token = 0; token < vocabularySize; token++) {
    if (token % tokensOfSlice === 0) yield;
    const characters = plainCharacters(bytes.subarray(starts[token], starts[token + 1]));
    const kind = characters?.length ? plainKind(characters) : -1;
    kinds[token] = kind;
    if (characters && kind >= 0) setBit(masks[kind][characters.length], token);
  }
  const tries: Uint32Array[] = [];
  for (let kind = -1; kind < PLAIN_KINDS.length; kind++) {
    const texts = yield* layOut(vocabularySize, (token) => kinds[token] === kind ? own(token) : none);
    tries.push(yield* trieOfTexts(texts.bytes, texts.starts));
  }
  const { words, tops: [rest, ...plain] } = joinTries(tries, vocabularySize);
  yield;
  // From tokens of so many characters to those of up to so many.
  for (const own of masks) own.forEach((mask, length) => length > 0 && addBits(mask, own[length - 1]));
  return {
    words,
    rest,
    plain,
    masks,
    tokens: vocabularySize,
    longest: words[2],
    shared: new SharedWalks(),
    open: new Uint32Array(2 + 5 * words[0]),
  };
}

/** One trie of many, whose tokens are in one of them each; and of each the node of each first byte. */
function joinTries(tries: readonly Uint32Array[], tokens: number): { words: Uint32Array; tops: Uint32Array[] } {
  const count = tries.reduce((sum, [own]) => sum + own, 0);
  const words = new Uint32Array(headWords + nodeWords * count + tokens).fill(NO_TOKEN);
  words.set([count, tokens, tries.reduce((most, trie) => Math.max(most, trie[2]), 0)]);
  let before = 0;
  const tops = tries.map((trie) => {
    const found = new Uint32Array(256).fill(NO_NODE);
    const nodes = trie.subarray(headWords, headWords + nodeWords * trie[0]);
    const out = words.subarray(headWords + nodeWords * before);
    out.set(nodes);
    for (let node = 0, end = 0; node < trie[0]; node++) {
      out[nodeWords * node + 1] += before;
      if (node !== end) continue;
      found[nodes[nodeWords * node] & 0xff] = before + node;
      end = nodes[nodeWords * node + 1];
    }
    // The next token with the same bytes, of the tokens that are here.
    const chains = words.subarray(headWords + nodeWords * count);
    trie.subarray(headWords + nodeWords * trie[0]).forEach((next, token) => {
      if (next !== NO_TOKEN) chains[token] = next;
    });
    before += trie[0];
    return found;
  });
  return { words, tops };
}

/** In the place of a token: there is none. */
export const NO_TOKEN = 0xffff_ffff;

/** In the place of a node: there is none. */
export const NO_NODE = 0xffff_ffff;

function* trieOfTexts(text: Uint8Array, starts: Uint32Array): Sliceable<Uint32Array> {
  // There are at most as many nodes as bytes; behind them is a word for each token.
  const room = new Uint32Array(headWords + nodeWords * text.length + starts.length - 1);
  yield;
  const end = native().trie({ text, starts, trie: room });
  yield;
  return room.slice(0, end);
}

/** Tokens that are looked at before the event loop has a turn. */
const tokensOfSlice = 10_000;
const none = new Uint8Array(0);
