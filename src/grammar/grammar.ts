/**
 * A grammar compiled for a vocabulary: which texts there may be, and so which tokens may come next. Regular expressions, GBNF
 * and lists of texts become the same rules; the sampler takes the mask.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { checkText, refuseOption } from "../options/checks.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";
import { Automaton } from "./automaton.ts";
import { GRAMMAR_LIMITS, GrammarBudget, refuseSize } from "./budget.ts";
import { oneOf } from "./characters.ts";
import { Derivatives } from "./derivatives.ts";
import { rulesOf } from "./expressions.ts";
import { parseGbnf } from "./gbnf.ts";
import { Lexemes } from "./lexemes.ts";
import { Masks } from "./masks.ts";
import { type Compiled, Matcher } from "./matcher.ts";
import { regexOf } from "./regex.ts";
import { Rules } from "./rules.ts";
import { buildTrie, type TokenTrie } from "./token_trie.ts";

/** Writes rules; gives the one that a whole text must meet. */
export type RuleWriter = (lexemes: Lexemes, rules: Rules) => number;

/**
 * Texts that a model is held to.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const date = Grammar.regex("[0-9]{4}-[0-9]{2}-[0-9]{2}", lm.tokenizer);
 * const { text } = await lm.complete("Today is ", { constraint: { grammar: date } });
 * console.log(text);
 * ```
 */
export class Grammar {
  readonly #compiled: Compiled;

  private constructor(compiled: Compiled) {
    this.#compiled = compiled;
  }

  /**
   * The texts that a regular expression of ECMAScript matches as a whole.
   *
   * @param source the expression; what is not regular, such as `(?=` or `\1`, is refused
   * @throws InvalidArgumentError where it cannot be read, or no text matches it.
   */
  static regex(source: string, tokenizer: Tokenizer): Grammar {
    checkText("regex", source);
    return Grammar.compile(tokenizer, (lexemes, rules) => {
      const spell = (characters: Parameters<typeof oneOf>[1]) => oneOf(lexemes, characters);
      const lexeme = regexOf(lexemes, source, { where: "regex", whole: true, anything: lexemes.all, spell });
      return rules.add("regex", [[{ lexeme }]]);
    });
  }

  /**
   * The texts of a grammar in GBNF, from its rule `root`.
   *
   * @throws InvalidArgumentError where it cannot be read, or no text fits it.
   */
  static gbnf(source: string, tokenizer: Tokenizer): Grammar {
    checkText("grammar", source);
    if (source.length > GRAMMAR_LIMITS.characters) refuseSize("characters", source.length);
    return Grammar.compile(
      tokenizer,
      (lexemes, rules) => rulesOf(parseGbnf(source, lexemes), "root", lexemes, rules),
    );
  }

  /**
   * One of a few texts.
   *
   * @throws InvalidArgumentError for an empty list.
   */
  static choice(texts: readonly string[], tokenizer: Tokenizer): Grammar {
    if (!Array.isArray(texts) || texts.length === 0) refuseOption("choice", "a list of texts", texts);
    texts.forEach((text, index) => checkText(`choice[${index}]`, text));
    const encoder = new TextEncoder();
    return Grammar.compile(tokenizer, (lexemes, rules) => {
      const lexeme = lexemes.either(...texts.map((text) => lexemes.literal(encoder.encode(text))));
      return rules.add("choice", [[{ lexeme }]]);
    });
  }

  /** Compiles the rules that `write` writes. */
  static compile(tokenizer: Tokenizer, write: RuleWriter): Grammar {
    if (!tokenizer.hasText) refuseOption("constraint", "none, for the tokens of this model have no text", "one");
    const budget = new GrammarBudget();
    const lexemes = new Lexemes(budget);
    const rules = new Rules(budget);
    const root = write(lexemes, rules);
    const derivatives = new Derivatives(lexemes, budget);
    if (!rules.prune(root, (lexeme) => derivatives.hasText(lexeme))) {
      throw new InvalidArgumentError("No text fits the constraint: its parts contradict each other.", {
        what: "a constraint that nothing meets",
        where: "constraint",
        expected: "one that a text can meet",
        got: "a contradiction",
      });
    }
    rules.unrollLeft((lexeme) => lexemes.isNullable(lexeme));
    const automaton = new Automaton(lexemes, derivatives, rules, root, budget);
    const bytesOf = (token: number) => tokenizer.textBytes(token);
    return new Grammar({
      automaton,
      masks: new Masks(automaton, trieOf(tokenizer), tokenizer.endOfGeneration),
      bytesOf,
    });
  }

  /** A matcher at the beginning of a text. */
  matcher(): Matcher {
    return new Matcher(this.#compiled);
  }
}

const tries = new WeakMap<Tokenizer, TokenTrie>();

function trieOf(tokenizer: Tokenizer): TokenTrie {
  let trie = tries.get(tokenizer);
  if (!trie) {
    const { endOfGeneration } = tokenizer;
    const none = new Uint8Array(0);
    trie = buildTrie(
      tokenizer.vocabularySize,
      (token) => endOfGeneration.has(token) ? none : tokenizer.textBytes(token),
    );
    tries.set(tokenizer, trie);
  }
  return trie;
}
