/**
 * Compiles grammars for a vocabulary. Loaded when the first grammar is made: most programs make none.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { refuseOption } from "../options/checks.ts";
import type { Sliceable } from "../options/sliced.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { Automaton } from "./automaton.ts";
import { GRAMMAR_LIMITS, GrammarBudget, refuseSize } from "./budget.ts";
import { type Characters, oneOf } from "./characters.ts";
import { Derivatives } from "./derivatives.ts";
import { rulesOf } from "./expressions.ts";
import { parseGbnf } from "./gbnf.ts";
import { LARK_ROOT, larkDefinitions } from "./lark/definitions.ts";
import { EMPTY, Lexemes } from "./lexemes.ts";
import { Masks } from "./masks.ts";
import { Matcher } from "./matcher.ts";
import { plainCharacterTerms, PlainText } from "./plain_text.ts";
import { regexOf } from "./regex.ts";
import { Rules } from "./rules.ts";
import { prepareTerms, schemaRules, type Style } from "./schema/rules_of_cases.ts";
import type { Json } from "./schema/types.ts";
import { Spellings } from "./spellings.ts";
import { Steps } from "./steps.ts";
import { bytesOf, trieOf } from "./token_trie.ts";
import { Walks } from "./walks.ts";

/** Above all tokens. */
const tokensMost = 1 << 24;
/** Steps by tokens that are kept: some megabytes. */
const stepsKeptMost = 1 << 15;

/** Writes rules; gives the one that a whole text must meet. */
export type RuleWriter = (lexemes: Lexemes, rules: Rules, budget: GrammarBudget) => number;

/** Texts that a regular expression matches as a whole. */
export function regexRules(source: string): RuleWriter {
  return (lexemes, rules) => {
    const spell = (characters: Characters) => oneOf(lexemes, characters);
    const lexeme = regexOf(lexemes, source, { where: "regex", whole: true, anything: EMPTY, spell });
    return rules.add("regex", [[{ lexeme }]]);
  };
}

/** Texts of a grammar in GBNF, from its rule `root`. */
export function gbnfRules(source: string): RuleWriter {
  if (source.length > GRAMMAR_LIMITS.characters) refuseSize("characters", source.length);
  return (lexemes, rules) => rulesOf(parseGbnf(source, lexemes), "root", lexemes, rules);
}

/** Texts of a grammar in Lark's notation, from its rule `start`. */
export function larkRules(source: string): RuleWriter {
  if (source.length > GRAMMAR_LIMITS.characters) refuseSize("characters", source.length);
  return (lexemes, rules) => rulesOf(larkDefinitions(source, lexemes), LARK_ROOT, lexemes, rules);
}

/** One of a few texts. */
export function choiceRules(texts: readonly string[]): RuleWriter {
  const encoder = new TextEncoder();
  return (lexemes, rules) => {
    const lexeme = lexemes.literals(texts.map((text) => encoder.encode(text)));
    return rules.add("choice", [[{ lexeme }]]);
  };
}

/** Values of a JSON schema; `tell` hears of the names in it that no draft knows. */
export function schemaRulesOf(
  schema: Json,
  style: Style,
  tell: (ignored: ReadonlySet<string>) => void = () => {},
): RuleWriter {
  return (lexemes, rules, budget) => {
    const { root, ignored } = schemaRules(schema, style, { lexemes, rules, budget });
    tell(ignored);
    return root;
  };
}

/**
 * Takes what the rules that `write` writes need of a vocabulary. Gives the work of compiling them, which gives a matcher at the
 * beginning of a text, to be cloned.
 */
export async function compiler(
  tokenizer: Tokenizer,
  write: RuleWriter,
  base: keyof typeof common = "plain",
): Promise<() => Sliceable<Matcher>> {
  if (!tokenizer.hasText) refuseOption("constraint", "none, for the tokens of this model have no text", "one");
  const trie = await trieOf(tokenizer);
  return function* () {
    const budget = new GrammarBudget();
    const lexemes = new Lexemes(budget, commonTerms(base));
    const rules = new Rules(budget);
    const root = write(lexemes, rules, budget);
    yield* rules.write();
    const characters = plainCharacterTerms(lexemes);
    const derivatives = new Derivatives(lexemes, budget);
    const plain = new PlainText(lexemes, derivatives, characters);
    yield* searches(rules, derivatives);
    const empty = rules.prune(root, (lexeme) => derivatives.hasText(lexeme));
    if (empty !== undefined) refuseContradiction(empty);
    yield;
    rules.unrollLeft((lexeme) => lexemes.isNullable(lexeme));
    yield;
    const terms = { lexemes, derivatives, plain };
    const automaton = new Automaton(terms, rules, root, budget);
    const masks = new Masks(automaton, new Walks(terms, trie), trie, tokenizer.endOfGeneration);
    budget.start();
    const spellings = new Spellings(automaton, masks, tokenizer);
    const steps = new Steps(tokensMost, stepsKeptMost);
    const { slices } = derivatives;
    return new Matcher({
      automaton,
      masks,
      spellings,
      steps,
      budget,
      slices,
      bytesOf: (token) => bytesOf(tokenizer, token),
    });
  };
}

/** Looks for texts of the lexemes of rules. */
function* searches(rules: Rules, derivatives: Derivatives): Sliceable<void> {
  for (const lexeme of rules.lexemes()) {
    while (!derivatives.slices.attempt(() => derivatives.hasText(lexeme))) yield;
  }
  yield;
}

/** The terms that all grammars have, and those that all schemas have; made once. */
const common: { plain?: Lexemes; json?: Lexemes } = {};

function commonTerms(which: keyof typeof common): Lexemes {
  const known = common[which];
  if (known !== undefined) return known;
  const lexemes = new Lexemes(new GrammarBudget());
  plainCharacterTerms(lexemes);
  if (which === "json") prepareTerms(lexemes);
  return common[which] = lexemes;
}

function refuseContradiction(where: string): never {
  const what = where === "constraint" ? "the constraint" : where;
  throw new InvalidArgumentError(`No text fits ${what}: its parts contradict each other.`, {
    what: "a constraint that nothing meets",
    where,
    expected: "one that a text can meet",
    got: "a contradiction",
  });
}
