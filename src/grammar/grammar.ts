/**
 * A grammar compiled for a vocabulary: which texts there may be, and so which tokens may come next. Regular expressions, GBNF,
 * Lark's notation and lists of texts become the same rules; the sampler takes the mask.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { checkText, guarded, refuseOption } from "../options/checks.ts";
import { readOptions } from "../options/schema.ts";
import { atOnce, inSlices, type Sliceable } from "../options/sliced.ts";
import type { Constraint } from "../sampling/constraint.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { GRAMMAR_LIMITS, refuseSize } from "./budget.ts";
import type { RuleWriter } from "./compile.ts";
import { jsonText } from "./json_text.ts";
import type { Matcher } from "./matcher.ts";
import { schemaFields, type SchemaOptions } from "./schema_options.ts";
import { inputSchema, isStandard } from "./standard/read.ts";
import type { StandardSchema } from "./standard/types.ts";

/** A grammar that `compile` compiles, for what other rooms compose; its constraints are what `wrap` makes of matchers. */
export let grammarFrom: (
  compile: () => Sliceable<Matcher>,
  tokenizer: Tokenizer,
  wrap?: (matcher: Matcher) => Constraint,
) => Promise<Grammar>;
/** A constraint at the beginning of a text. */
export let constraintOf: (grammar: Grammar) => Constraint;

/**
 * Texts that a model is held to.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const grammar = await Grammar.regex("[A-Z][a-z]+ and [A-Z][a-z]+", lm.model.tokenizer);
 * const { text } = await lm.complete("The two friends were called ", { constraint: { grammar } });
 * console.log(text);
 * ```
 */
export class Grammar {
  static {
    grammarFrom = async (compile, tokenizer, wrap) =>
      new Grammar(await compiled("constraint", compile), compile, tokenizer, wrap);
    constraintOf = (grammar) => grammar.#wrap(grammar.matcher());
  }
  #start: Matcher;
  readonly #compile: () => Sliceable<Matcher>;
  readonly #wrap: (matcher: Matcher) => Constraint;
  readonly #tokenizer: Tokenizer;
  #ignored: Iterable<string> = [];

  private constructor(
    start: Matcher,
    compile: () => Sliceable<Matcher>,
    tokenizer: Tokenizer,
    wrap: (matcher: Matcher) => Constraint = (matcher) => matcher,
  ) {
    this.#compile = compile;
    this.#wrap = wrap;
    this.#start = start;
    this.#tokenizer = tokenizer;
  }

  /**
   * The texts that a regular expression of ECMAScript matches as a whole.
   *
   * @param source the expression; what is not regular, such as `(?=` or `\\1`, is refused
   * @param tokenizer the vocabulary whose tokens spell the texts
   * @returns the grammar
   * @throws {InvalidArgumentError} where it cannot be read, or no text matches it
   * @throws {UnsupportedError} where it is not regular
   */
  static regex(source: string, tokenizer: Tokenizer): Promise<Grammar> {
    return Grammar.#make("regex", source, tokenizer, ({ regexRules }) => regexRules(source));
  }

  /**
   * The texts of a grammar in GBNF, from its rule `root`.
   *
   * @param source the grammar
   * @param tokenizer the vocabulary whose tokens spell the texts
   * @returns the grammar
   * @throws {InvalidArgumentError} where it cannot be read, or no text fits it
   */
  static gbnf(source: string, tokenizer: Tokenizer): Promise<Grammar> {
    return Grammar.#make("grammar", source, tokenizer, ({ gbnfRules }) => gbnfRules(source));
  }

  /**
   * The texts of a grammar in Lark's notation, from its rule `start`.
   *
   * @param source the grammar; priorities, templates, and imports other than of `common` are refused
   * @param tokenizer the vocabulary whose tokens spell the texts
   * @returns the grammar
   * @throws {InvalidArgumentError} where it cannot be read, or no text fits it
   * @throws {UnsupportedError} where it has what is not supported
   *
   * @example
   * ```ts
   * import { Grammar, LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load();
   * const source = 'start: NAME ("and" NAME)*\nNAME: /[A-Z][a-z]{2,8}/\n%import common.WS\n%ignore WS';
   * const grammar = await Grammar.lark(source, lm.model.tokenizer);
   * console.log((await lm.complete("The friends are ", { constraint: { grammar }, maxTokens: 30 })).text);
   * ```
   */
  static lark(source: string, tokenizer: Tokenizer): Promise<Grammar> {
    return Grammar.#make("grammar", source, tokenizer, ({ larkRules }) => larkRules(source));
  }

  /**
   * The values of a JSON schema, drafts 4 to 2020-12, as JSON.
   *
   * @param schema the schema; what is not enforced is refused, and names that no draft knows say nothing. A schema of a library
   * (Standard Schema) has no properties but those that it lists
   * @param tokenizer the vocabulary whose tokens spell the values
   * @param options how the values are laid out
   * @returns the grammar
   * @throws {InvalidArgumentError} where it cannot be read, or no value meets it
   * @throws {UnsupportedError} where it asks for something that is not enforced
   */
  static async schema(schema: unknown, tokenizer: Tokenizer, options: SchemaOptions = {}): Promise<Grammar> {
    const style = readOptions(schemaFields, options);
    const text = schemaText(schema, "schema");
    if (text.length > GRAMMAR_LIMITS.characters) refuseSize("characters", text.length);
    const copy = JSON.parse(text);
    let ignored: Iterable<string> = [];
    const tell = (names: Iterable<string>) => ignored = names;
    const made = await Grammar.#make("schema", "", tokenizer, ({ schemaRulesOf }) => schemaRulesOf(copy, style, tell));
    made.#ignored = ignored;
    return made;
  }

  /**
   * One of a few texts.
   *
   * @param texts the texts, one at least
   * @param tokenizer the vocabulary whose tokens spell them
   * @returns the grammar
   * @throws {InvalidArgumentError} where there is none
   */
  static async choice(texts: readonly string[], tokenizer: Tokenizer): Promise<Grammar> {
    const copy = guarded("choice", () => Array.isArray(texts) ? Array.from(texts) : []);
    if (copy.length === 0) refuseOption("choice", "an array of one string and more", texts);
    copy.forEach((text, index) => checkWhole(`choice[${index}]`, text));
    return await Grammar.#make("choice", "", tokenizer, ({ choiceRules }) => choiceRules(copy));
  }

  static async #make(
    name: string,
    source: string,
    tokenizer: Tokenizer,
    rules: (front: typeof import("./compile.ts")) => RuleWriter,
  ): Promise<Grammar> {
    checkWhole(name, source);
    if (guarded("tokenizer", () => typeof tokenizer?.textBytes) !== "function") {
      refuseOption("tokenizer", "a Tokenizer", tokenizer);
    }
    const front = await import("./compile.ts");
    const compile = await front.compiler(tokenizer, rules(front), name === "schema" ? "json" : "plain");
    return new Grammar(await compiled(name, compile), compile, tokenizer);
  }

  /** Names in the schema that no draft of JSON Schema knows: they say nothing about what is valid. */
  get ignored(): readonly string[] {
    return [...this.#ignored];
  }

  /**
   * A matcher at the beginning of a text.
   *
   * @returns a matcher of its own
   */
  matcher(): Matcher {
    // What texts have led to is kept for the texts that come, and would grow without end where each is another.
    if (this.#start.isWorn) this.#start = atOnce(this.#compile());
    return this.#start.clone();
  }

  /** Throws unless the grammar was compiled for this tokenizer. */
  checkTokenizer(tokenizer: Tokenizer): void {
    if (tokenizer === this.#tokenizer) return;
    refuseOption("constraint.grammar", "a grammar for this model's tokenizer", "one for another");
  }
}

/** The text of a JSON schema; of a library's schema that of the one that it tells. */
export function schemaText(schema: unknown, name: string): string {
  const plain = guarded(name, () => isStandard(schema)) ? inputSchema(schema as StandardSchema, name, "deny") : schema;
  return jsonText(plain, name) ?? "null";
}

/** Half a pair of UTF-16 is no character: bytes would have another in its place. */
function checkWhole(name: string, text: unknown): void {
  checkText(name, text);
  if (!text.isWellFormed()) refuseOption(name, "a text without halves of surrogate pairs", text);
}

/** A grammar's matcher, in slices: others have their turns while it is made. */
async function compiled(name: string, compile: () => Sliceable<Matcher>): Promise<Matcher> {
  try {
    return await inSlices(compile());
  } catch (error) {
    throw error instanceof RangeError ? tooLarge(name, error) : error;
  }
}

/** What the runtime has no room for, such as calls inside calls, before a limit of ours is passed. */
function tooLarge(name: string, cause: RangeError): LightGPTError {
  return new LightGPTError("limit", `${name}: too large to be compiled: ${cause.message.replace(/\.$/, "")}.`, {
    what: "a grammar that is too large",
    where: name,
    expected: "a smaller one",
    got: cause.message,
  }, { cause });
}
