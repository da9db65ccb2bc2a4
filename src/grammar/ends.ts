/**
 * Where lexemes end within tokens: behind those nodes of the vocabulary's trie something else goes on.
 *
 * @module
 */
import { hasBit } from "../sampling/bits.ts";
import type { Terms } from "./automaton.ts";
import { type Ends, VOCABULARY } from "./kept_walks.ts";
import type { Lexeme } from "./lexemes.ts";
import { byteAt, endAt, type TokenTrie } from "./token_trie.ts";

/** Collects where lexemes end. */
export class EndsFound {
  readonly #lexemes: readonly Lexeme[];
  readonly #terms: Terms;
  readonly #trie: TokenTrie;
  /** By which of the lexemes end. */
  readonly #found = new Map<string, { readonly lexemes: readonly number[]; readonly nodes: Set<number> }>();

  /** Nothing yet of these lexemes. */
  constructor(lexemes: readonly Lexeme[], terms: Terms, trie: TokenTrie) {
    this.#lexemes = lexemes;
    this.#terms = terms;
    this.#trie = trie;
  }

  /** One of the lexemes or more end at `node`, of those that begin behind the node `from`. */
  add(from: number, node: number): void {
    this.addAll(this.#lexemes.length === 1 ? onlyOne : this.#ended(from, node), [node]);
  }

  /** Some of the lexemes, by their places, end at nodes. */
  addAll(lexemes: readonly number[], nodes: Iterable<number>): void {
    const key = lexemes.join();
    const known = this.#found.get(key);
    if (!known) this.#found.set(key, { lexemes, nodes: new Set(nodes) });
    else for (const node of nodes) known.nodes.add(node);
  }

  /** All that was collected. */
  all(): Ends[] {
    return Array.from(this.#found.values(), ({ lexemes, nodes }) => ({ lexemes, nodes: Uint32Array.from(nodes) }));
  }

  #ended(from: number, node: number): number[] {
    const { derivatives, lexemes } = this.#terms;
    const { words } = this.#trie;
    let left = this.#lexemes.map((lexeme, index) => ({ lexeme, index }));
    for (let at = from === VOCABULARY ? 0 : from + 1; at <= node;) {
      const end = endAt(words, at);
      if (end <= node) {
        at = end;
        continue;
      }
      const byteClass = derivatives.classOf[byteAt(words, at)];
      left = left.filter(({ lexeme }) => hasBit(derivatives.first(lexeme), byteClass))
        .map(({ lexeme, index }) => ({ lexeme: derivatives.derive(lexeme, byteClass), index }));
      at++;
    }
    return left.filter(({ lexeme }) => lexemes.isNullable(lexeme)).map(({ index }) => index);
  }
}

const onlyOne: readonly number[] = [0];
