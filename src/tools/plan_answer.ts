/**
 * What an answer may be, and how it is read, from a model's template and what a request asks for: the grammar that the sampler is
 * held to, and the marks by which the answer is told apart.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import { compiler, type RuleWriter } from "../grammar/compile.ts";
import { type Grammar, grammarFrom } from "../grammar/grammar.ts";
import { closed } from "../grammar/standard/closed.ts";
import type { Json } from "../grammar/schema/types.ts";
import { refuseOption } from "../options/checks.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import type { AnswerMarks } from "./answer_reader.ts";
import { answerRules, type CallRules, type Thoughts } from "./answer_rules.ts";
import { BudgetConstraint } from "./budget.ts";
import { findFormat, type FoundFormat } from "./find_format.ts";
import type { ResolvedCalls } from "./options.ts";
import { opensThoughts, type ThoughtMarks, thoughtMarks } from "./thoughts.ts";
import type { Render, ToolDeclaration, ToolFormat } from "./types.ts";
import { controlTokensOf, type Wire } from "./wire.ts";

/** What is known of a template before a request asks for anything. */
export interface TemplateFacts {
  readonly template: string;
  readonly tokenizer: Tokenizer;
  readonly render: Render;
}

/** What a request asks for. */
export interface Asked {
  readonly calls: ResolvedCalls;
  readonly declared: readonly ToolDeclaration[];
  readonly found: FoundFormat | undefined;
  /** The prompt that was rendered. */
  readonly prompt: Wire;
  /** What the answer must be in place of text and calls; the key tells it from others. */
  readonly body: { readonly rules: RuleWriter; readonly key: string } | undefined;
}

/** How an answer is constrained and read. */
export interface AnswerPlan {
  /** The grammar; undefined where the answer may be anything. */
  readonly grammar: Grammar | undefined;
  readonly marks: AnswerMarks;
}

/** Formats and grammars that are kept for a tokenizer. */
const keptMost = 32;

/** Finds formats and compiles grammars; both are kept, for most requests come with the same. */
export class AnswerPlanner {
  readonly #formats = new Map<string, Promise<FoundFormat>>();
  readonly #grammars = new Map<string, Promise<Grammar>>();

  /** The format in which a model writes calls. */
  format(facts: TemplateFacts, own: ToolFormat | undefined): Promise<FoundFormat> {
    return kept(this.#formats, JSON.stringify([facts.template, own]), () => findFormat(facts, own));
  }

  /** Plans an answer. */
  async plan(facts: TemplateFacts, asked: Asked): Promise<AnswerPlan> {
    const { tokenizer, template, render } = facts;
    const { calls, found, declared, prompt, body } = asked;
    const controls = controlTokensOf(tokenizer);
    const marks = thoughtMarks(render, template, controls);
    const budget = calls.reasoning?.budget;
    if (marks === undefined && budget !== undefined) {
      throw new UnsupportedError("reasoning.budget: the template of this model shows no marks of thoughts.", {
        what: "a budget for thoughts that cannot be told apart",
        where: "reasoning.budget",
        expected: "a model that thinks, or no budget",
      });
    }
    const thoughts = marks && wireMarks(marks, prompt, (text) => controls.read(text));
    const rules = found && callRules(calls, found, declared);
    return {
      marks: {
        thoughts,
        format: rules && rules.choice !== "none" ? rules.format : undefined,
        tools: rules?.tools.map(({ declaration }) => declaration) ?? [],
      },
      grammar: rules || body || budget !== undefined
        ? await this.#grammar(tokenizer, { thoughts, rules, body, budget })
        : undefined,
    };
  }

  #grammar(tokenizer: Tokenizer, { thoughts, rules, body, budget }: GrammarParts): Promise<Grammar> {
    const { choice, parallel, tools, format } = rules ?? {};
    const key = JSON.stringify([thoughts, choice, parallel, tools, format?.format, body?.key, budget]);
    return kept(this.#grammars, key, async () => {
      const make = (own: Thoughts | undefined) =>
        compiler(tokenizer, answerRules({ thoughts: own, calls: rules, body: body?.rules }));
      const open = thoughts?.isOpen ? undefined : thoughts?.open;
      const whole = await make(thoughts && { open, close: thoughts.close, isForced: false });
      if (budget === undefined || thoughts === undefined) return grammarFrom(whole, tokenizer);
      const ending = (await make({ open: undefined, close: thoughts.close, isForced: true }))();
      const limits = { tokenizer, open: thoughts.open, close: thoughts.close, most: budget, ending };
      return grammarFrom(whole, tokenizer, (matcher) => new BudgetConstraint(limits, matcher, thoughts.isOpen));
    });
  }
}

interface GrammarParts {
  readonly thoughts: AnswerMarks["thoughts"];
  readonly rules: CallRules | undefined;
  readonly body: Asked["body"];
  readonly budget: number | undefined;
}

/** What was made for a key, or is being made; the oldest of too many is forgotten, and so is what fails. */
function kept<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = made.get(key);
  if (known !== undefined) return known;
  const making = make();
  making.catch(() => made.delete(key)); // the request that asked hears of it
  if (made.size >= keptMost) made.delete(made.keys().next().value as string);
  made.set(key, making);
  return making;
}

function wireMarks(
  marks: ThoughtMarks,
  prompt: Wire,
  read: (text: string) => Wire,
): NonNullable<AnswerMarks["thoughts"]> {
  const wires = { open: read(marks.open), close: read(marks.close) };
  return { ...wires, isOpen: opensThoughts(prompt, wires) };
}

/** Which calls may come. */
function callRules(calls: ResolvedCalls, { format }: FoundFormat, declared: readonly ToolDeclaration[]): CallRules {
  const { toolChoice, parallelToolCalls } = calls;
  const named = typeof toolChoice === "object" ? toolChoice.name : undefined;
  const chosen = declared.filter(({ name }) => named === undefined || name === named);
  if (chosen.length === 0) {
    refuseOption("toolChoice.name", declared.map(({ name }) => name).join(" or "), named);
  }
  return {
    format,
    tools: chosen.map((declaration) => ({ declaration, schema: closed(declaration.parameters as Json) })),
    choice: typeof toolChoice === "object" ? "required" : toolChoice,
    parallel: parallelToolCalls && named === undefined,
  };
}
