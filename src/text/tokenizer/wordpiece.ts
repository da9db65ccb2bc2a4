/**
 * WordPiece (`bert`): of each word, from its beginning on, the longest token that fits. A word of which some part has no token
 * is one unknown token, and so is one that is too long. In a file the token that begins a word has U+2581 in front.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import { SharedWork, type Sliceable } from "../../options/sliced.ts";
import type { ModelOptions, TextModel } from "./model.ts";
import { withSpaces } from "./spm.ts";
import type { TokenList } from "./token_list.ts";
import { ByteTrie, ROOT } from "./trie.ts";
import { KIND, type Vocabulary } from "./vocabulary.ts";
import { BertWords } from "./wordpiece_text.ts";

/** The most characters of a word that is cut into tokens. */
const CHARACTERS_MOST = 100;
const WORD_BEGIN = [0xe2, 0x96, 0x81];
const encoder = new TextEncoder();

/** The WordPiece model of a vocabulary. */
export class WordPiece implements TextModel {
  /** A word's beginning is in its token. */
  readonly spacePrefix = true;
  /** Normalizing may drop any byte. */
  readonly spelled = new Uint8Array(256);
  readonly #vocabulary: Vocabulary;
  readonly #words: BertWords;
  readonly #unknown: number | undefined;
  readonly #trie: SharedWork<ByteTrie>;
  readonly #found: number[] = [];

  private constructor(gguf: Gguf, vocabulary: Vocabulary, unknown: number | undefined) {
    const { kinds } = vocabulary;
    this.#vocabulary = vocabulary;
    this.#words = new BertWords(gguf.metadata);
    this.#unknown = unknown;
    const isPiece = (token: number) => kinds[token] !== KIND.control && kinds[token] !== KIND.unknown;
    this.#trie = new SharedWork(ByteTrie.of(vocabulary, isPiece));
  }

  /**
   * Reads and checks what is special to this kind of vocabulary.
   *
   * @param options `unknown`: the token for words without tokens; without it, such are dropped
   */
  // deno-lint-ignore require-yield
  static *read(gguf: Gguf, vocabulary: Vocabulary, { unknown }: ModelOptions): Sliceable<WordPiece> {
    return new WordPiece(gguf, vocabulary, unknown);
  }

  *encode(text: string, out: TokenList): Sliceable<void> {
    const trie = yield* this.#trie.get();
    for (const words of this.#words.words(text)) {
      for (const word of words) this.#encodeWord(trie, word, out);
      yield;
    }
  }

  piece(token: number): Uint8Array {
    const { kinds } = this.#vocabulary;
    const bytes = this.#vocabulary.bytes(token);
    return kinds[token] === KIND.control || kinds[token] === KIND.unknown ? bytes.slice() : withSpaces(bytes);
  }

  #encodeWord(trie: ByteTrie, word: string, out: TokenList): void {
    const found = this.#found;
    found.length = 0;
    if (word.length > 2 * CHARACTERS_MOST || [...word].length > CHARACTERS_MOST) {
      this.#writeUnknown(out);
      return;
    }
    const bytes = encoder.encode(word);
    for (let at = 0; at < bytes.length;) {
      let node = ROOT;
      if (at === 0) {
        for (const byte of WORD_BEGIN) {
          node = trie.child(node, byte);
          if (node === ROOT) break;
        }
        if (node === ROOT) break;
      }
      let token = -1;
      let stop = at;
      for (let end = at; end < bytes.length; end++) {
        node = trie.child(node, bytes[end]);
        if (node === ROOT) break;
        if (trie.tokens[node] < 0) continue;
        token = trie.tokens[node];
        stop = end + 1;
      }
      if (token < 0) break;
      found.push(token);
      at = stop;
      if (at === bytes.length) {
        for (const piece of found) out.push(piece);
        return;
      }
    }
    this.#writeUnknown(out);
  }

  #writeUnknown(out: TokenList): void {
    if (this.#unknown !== undefined) out.push(this.#unknown);
  }
}
