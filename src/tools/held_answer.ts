/**
 * What an answer with thoughts or calls is held to, as plain data that can cross to another machine, and the grammar that is made of
 * it for a vocabulary. Grammars are kept, for most requests come with the same tools.
 *
 * @module
 */
import { compiler } from "../grammar/compile.ts";
import { type Grammar, grammarFrom } from "../grammar/grammar.ts";
import type { Matcher } from "../grammar/matcher.ts";
import { type ResolvedConstraint, rulesOfConstraint } from "../grammar/options.ts";
import { keep } from "../options/keep.ts";
import { inSlices, type Sliceable } from "../options/sliced.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { answerRules, type CallableTool, type CallRules, type Thoughts } from "./answer_rules.ts";
import type { AnswerMarks } from "./answer_reader.ts";
import { BudgetConstraint } from "./budget.ts";
import { wireFormat } from "./format.ts";
import type { ToolFormat } from "./types.ts";
import { bytesOfWire, controlTokensOf, type Wire } from "./wire.ts";

/** What an answer is held to. */
export interface HeldAnswer {
  /** Thoughts before the answer. */
  readonly thoughts?: AnswerMarks["thoughts"];
  /** The calls that may come. */
  readonly calls?: Omit<CallRules, "format" | "tools"> & {
    readonly format: ToolFormat;
    readonly tools: readonly CallableTool[];
  };
  /** What the prompt has written of it. */
  readonly begun?: Wire;
  /** What the answer must be in place of text and calls. */
  readonly body?: ResolvedConstraint;
  /** The most tokens of the thoughts. */
  readonly budget?: number;
}

/** Grammars that are kept for a tokenizer. */
const keptMost = 32;
const kept = new WeakMap<Tokenizer, Map<string, Promise<Grammar>>>();

/** The grammar of an answer. */
export function grammarOfAnswer(tokenizer: Tokenizer, held: HeldAnswer): Promise<Grammar> {
  let grammars = kept.get(tokenizer);
  if (!grammars) kept.set(tokenizer, grammars = new Map());
  return keep(grammars, keptMost, JSON.stringify(held), () => compile(tokenizer, held));
}

async function compile(tokenizer: Tokenizer, held: HeldAnswer): Promise<Grammar> {
  const { thoughts, calls, begun, body, budget } = held;
  const rules = calls && { ...calls, format: wireFormat(calls.format, controlTokensOf(tokenizer)) };
  const bodyRules = body && await rulesOfConstraint(body);
  const make = (own: Thoughts | undefined) =>
    compiler(tokenizer, answerRules({ thoughts: own, calls: rules, body: bodyRules }));
  const open = thoughts?.isOpen ? undefined : thoughts?.open;
  const whole = await make(thoughts && { ...thoughts, open, isForced: false });
  if (begun !== undefined) return await grammarFrom(() => behind(whole(), begun), tokenizer);
  if (budget === undefined || thoughts === undefined || thoughts.isOver) return await grammarFrom(whole, tokenizer);
  const ending = await inSlices((await make({ ...thoughts, open: undefined, isForced: true }))());
  const limits = { tokenizer, open: thoughts.open, close: thoughts.close, most: budget, ending };
  return await grammarFrom(whole, tokenizer, (matcher) => new BudgetConstraint(limits, matcher, thoughts.isOpen));
}

/** A matcher behind a text, with which an answer that it allows begins. */
function* behind(compiling: Sliceable<Matcher>, text: Wire): Sliceable<Matcher> {
  const matcher = yield* compiling;
  matcher.follow(bytesOfWire(text));
  return matcher;
}
