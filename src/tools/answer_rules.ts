/**
 * The rules of a whole answer: thoughts, text and calls, as many of each as a request allows. The same rules constrain the sampler
 * that a format's verification has read calls by.
 *
 * @module
 */
import { ALL_CHARACTERS, oneOf } from "../grammar/characters.ts";
import type { RuleWriter } from "../grammar/compile.ts";
import { EMPTY, type Lexeme, type Lexemes } from "../grammar/lexemes.ts";
import type { Alternative, RuleSymbol } from "../grammar/rules.ts";
import type { SchemaWriter } from "../grammar/schema/rules_of_cases.ts";
import type { Json } from "../grammar/schema/types.ts";
import { argumentRule } from "./argument_rules.ts";
import type { WireFormat, WirePattern } from "./format.ts";
import type { ToolDeclaration } from "./types.ts";
import { bytesOfWire, CONTROL, type Wire, wireOfText } from "./wire.ts";

/** A tool whose calls may come. */
export interface CallableTool {
  readonly declaration: ToolDeclaration;
  /** The schema of its arguments with all of its objects closed. */
  readonly schema: Json;
}

/** How the calls of an answer may come. */
export interface CallRules {
  readonly format: WireFormat;
  readonly tools: readonly CallableTool[];
  /** Whether there must be one, there may be, or there is none. */
  readonly choice: "required" | "auto" | "none";
  readonly parallel: boolean;
}

/** Thoughts before an answer. */
export interface Thoughts {
  /** What begins them; undefined where the prompt has begun them. */
  readonly open: Wire | undefined;
  /** What ends them. */
  readonly close: Wire;
  /** Whether there must be some: none where thoughts are only ended. */
  readonly isForced: boolean;
  /** Whether they are over before the answer begins. */
  readonly isOver?: boolean;
  /** What stands before the answer, unless it has calls. */
  readonly text?: Wire;
}

/** What an answer may be. */
export interface AnswerRules {
  readonly thoughts: Thoughts | undefined;
  readonly calls: CallRules | undefined;
  /** What comes in place of text and calls. */
  readonly body: RuleWriter | undefined;
}

/** Blanks before a call, at most. */
const blanksMost = 4;
/** Letters and digits of an id. */
const idLength = 9;
/** Digits of the number of a call. */
const indexDigits = 3;

/** Writes the rules of an answer. */
export function answerRules(parts: AnswerRules): RuleWriter {
  return (lexemes, rules, budget) => {
    const writer = new AnswerWriter({ lexemes, rules, budget }, parts.thoughts?.close);
    const body = parts.body ? parts.body(lexemes, rules, budget) : writer.body(parts.calls);
    const { thoughts, calls } = parts;
    if (thoughts === undefined) return body;
    const whole = calls || !thoughts.text ? body : writer.behind(thoughts.text, body);
    return thoughts.isOver ? whole : writer.thinking(thoughts, whole);
  };
}

class AnswerWriter {
  readonly #writer: SchemaWriter;
  readonly #lexemes: Lexemes;
  readonly #anything: Lexeme;
  /** Any text without the mark that ends thoughts. */
  readonly #answer: Lexeme;
  readonly #blanks: Lexeme;

  constructor(writer: SchemaWriter, close: Wire | undefined) {
    const { lexemes } = writer;
    this.#writer = writer;
    this.#lexemes = lexemes;
    this.#anything = lexemes.repeat(oneOf(lexemes, ALL_CHARACTERS), 0);
    this.#answer = close === undefined || CONTROL.test(close) ? this.#anything : this.#without(close);
    this.#blanks = lexemes.repeat(lexemes.either(lexemes.range(0x0a), lexemes.range(0x20)), 0, blanksMost);
  }

  thinking({ open, close, isForced }: Thoughts, body: number): number {
    const end: RuleSymbol[] = [{ lexeme: this.#literal(close) }, { lexeme: this.#blanks }, { rule: body }];
    const thoughts: RuleSymbol[] = [{ lexeme: this.#without(close) }, ...end];
    const { rules } = this.#writer;
    if (open === undefined) return rules.add("an answer", [isForced ? end : thoughts]);
    // A model that begins none begins its answer: no text begins with what begins thoughts.
    return rules.add("an answer", [
      [{ lexeme: this.#blanks }, { lexeme: this.#literal(open) }, ...thoughts],
      [{ rule: body }],
    ]);
  }

  /** What stands behind a mark. */
  behind(mark: Wire, body: number): number {
    const { rules } = this.#writer;
    return rules.add("a text", [[{ lexeme: this.#blanks }, { lexeme: this.#literal(mark) }, { rule: body }]]);
  }

  body(calls: CallRules | undefined): number {
    const { rules } = this.#writer;
    if (calls === undefined) return rules.add("a text", [[{ lexeme: this.#answer }]]);
    const { format, choice } = calls;
    const begin: RuleSymbol = { lexeme: this.#blanks };
    const called = (): RuleSymbol[] => [{ rule: this.#calls(calls) }];
    if (choice === "required") return rules.add("calls", [[begin, ...called()]]);
    const text = this.#text(format);
    if (choice === "none") return rules.add("a text", [text]);
    return rules.add(
      "an answer",
      format.onlyFirst ? [text, [begin, ...called()]] : [text, [...text, begin, ...called()], [begin, ...called()]],
    );
  }

  /** Text in which no call begins. */
  #text({ text, trigger, onlyFirst }: WireFormat): RuleSymbol[] {
    const lexemes = this.#lexemes;
    const free = onlyFirst
      ? lexemes.both(this.#answer, lexemes.not(lexemes.then(this.#blanks, this.#literal(trigger), lexemes.all)))
      : lexemes.both(this.#answer, this.#without(trigger));
    if (text === undefined) return [{ lexeme: free }];
    const own = text.after === "" ? free : lexemes.both(free, this.#without(text.after));
    return [
      { lexeme: this.#blanks },
      { lexeme: this.#literal(text.before) },
      { lexeme: own },
      { lexeme: this.#literal(text.after) },
    ];
  }

  #calls({ format, tools, parallel }: CallRules): number {
    const { rules } = this.#writer;
    const separators = parallel ? format.separator : undefined;
    const ends = tools.map((tool): Alternative => this.#end(format, tool));
    const call = rules.declare("a call");
    rules.define(call, tools.map((tool) => this.#call(format, tool)));
    if (!hasName(format.end) && separators === undefined) {
      return rules.add("a call", [[...this.#pattern(format.before, ""), { rule: call }, ...ends[0]]]);
    }
    if (hasName(format.end)) {
      return rules.add(
        "a call",
        tools.map((tool, index) => [...this.#pattern(format.before, ""), ...this.#call(format, tool), ...ends[index]]),
      );
    }
    const again = rules.add("a further call", [[...this.#pattern(separators as WirePattern, ""), { rule: call }]]);
    return rules.add("calls", [[
      ...this.#pattern(format.before, ""),
      { rule: call },
      { rule: again, least: 0, most: Infinity },
      ...ends[0],
    ]]);
  }

  #call(format: WireFormat, { declaration, schema }: CallableTool): Alternative {
    const name = wireOfText(declaration.name);
    const rule = argumentRule(format.arguments, declaration, schema, this.#writer);
    this.#writer.rules.need(rule, `tools.${declaration.name}.input`);
    return [...this.#pattern([name, ...format.between], name), { rule }];
  }

  #end(format: WireFormat, { declaration }: CallableTool): Alternative {
    return this.#pattern(format.end, wireOfText(declaration.name));
  }

  /** A pattern as one lexeme. */
  #pattern(pattern: WirePattern, name: Wire): RuleSymbol[] {
    const lexemes = this.#lexemes;
    const digit = lexemes.range(0x30, 0x39);
    const letters = lexemes.either(digit, lexemes.range(0x41, 0x5a), lexemes.range(0x61, 0x7a));
    const parts = pattern.map((part) => {
      if (typeof part === "string") return this.#literal(part);
      if (part.hole === "name") return this.#literal(name);
      return part.hole === "id" ? lexemes.repeat(letters, idLength, idLength) : lexemes.repeat(digit, 1, indexDigits);
    });
    return parts.length === 0 ? [] : [{ lexeme: parts.reduceRight((rest, part) => lexemes.then(part, rest), EMPTY) }];
  }

  /** Any text without one in it. */
  #without(wire: Wire): Lexeme {
    const lexemes = this.#lexemes;
    return lexemes.both(this.#anything, lexemes.not(lexemes.then(lexemes.all, this.#literal(wire), lexemes.all)));
  }

  #literal(wire: Wire): Lexeme {
    return this.#lexemes.literal(bytesOfWire(wire));
  }
}

function hasName(pattern: WirePattern): boolean {
  return pattern.some((part) => typeof part !== "string" && part.hole === "name");
}
