/**
 * What an answer may be, and how it is read, from a model's template and what a request asks for: the grammar that the sampler is
 * held to, and the marks by which the answer is told apart.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Grammar } from "../grammar/grammar.ts";
import type { ResolvedConstraint } from "../grammar/options.ts";
import { closed } from "../grammar/standard/closed.ts";
import type { Json } from "../grammar/schema/types.ts";
import { refuseOption } from "../options/checks.ts";
import { given } from "../options/schema.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import type { AnswerMarks } from "./answer_reader.ts";
import type { CallRules } from "./answer_rules.ts";
import { findFormat, type FoundFormat } from "./find_format.ts";
import type { WireFormat } from "./format.ts";
import { keep } from "../options/keep.ts";
import { grammarOfAnswer, type HeldAnswer } from "./held_answer.ts";
import type { ResolvedCalls } from "./options.ts";
import { closesThoughts, opensThoughts, type ThoughtMarks, thoughtMarks } from "./thoughts.ts";
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
  /** What the answer must be in place of text and calls. */
  readonly body: ResolvedConstraint | undefined;
}

/** How an answer is constrained and read. */
export interface AnswerPlan {
  /** What it is held to, as plain data; undefined where the answer may be anything. */
  readonly held: HeldAnswer | undefined;
  /** The grammar of that. */
  readonly grammar: Grammar | undefined;
  readonly marks: AnswerMarks;
}

/** Formats that are kept. */
const keptMost = 32;

/** Finds formats, which are kept, and what an answer is held to. */
export class AnswerPlanner {
  readonly #formats = new Map<string, Promise<FoundFormat>>();

  /** The format in which a model writes calls. */
  format(facts: TemplateFacts, own: ToolFormat | undefined): Promise<FoundFormat> {
    return keep(this.#formats, keptMost, JSON.stringify([facts.template, own]), () => findFormat(facts, own));
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
    const begun = rules && thoughts === undefined ? begunAnswer(rules.format, prompt) : {};
    const held = rules || body || budget !== undefined
      ? given({ thoughts, calls: rules && { ...rules, format: rules.format.format }, ...begun, body, budget })
      : undefined;
    return {
      marks: {
        thoughts,
        format: rules?.format,
        tools: rules?.tools.map(({ declaration }) => declaration) ?? [],
        ...begun,
      },
      held,
      grammar: held && await grammarOfAnswer(tokenizer, held),
    };
  }
}

function wireMarks(
  marks: ThoughtMarks,
  prompt: Wire,
  read: (text: string) => Wire,
): NonNullable<AnswerMarks["thoughts"]> {
  const wires = { open: read(marks.open), close: read(marks.close) };
  const text = marks.text === undefined ? {} : { text: read(marks.text) };
  // Thoughts that are messages of their own end with what begins an answer, as a prompt does.
  const isOver = marks.text === undefined && closesThoughts(prompt, wires);
  return { ...wires, ...text, isOpen: opensThoughts(prompt, wires), isOver };
}

/** What a prompt has written of an answer, by templates whose turns have parts of their own: the beginning of the first one. */
function begunAnswer({ before, text }: WireFormat, prompt: Wire): { begun?: Wire } {
  const [first] = before as [Wire];
  return text?.before.startsWith(first) && prompt.endsWith(first) ? { begun: first } : {};
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
