/**
 * A template, read once and run as often as there are conversations.
 *
 * @module
 */
import { Budget, LIMITS, overBudget } from "./budget.ts";
import { compileTemplate } from "./compile_statements.ts";
import { filters } from "./filters.ts";
import { functionsOf } from "./globals.ts";
import { tokenize } from "./lexer.ts";
import { type Text, TextBuilder } from "./marked.ts";
import { parseTemplate } from "./parse_statements.ts";
import { tests } from "./tests.ts";
import { TokenStream } from "./token_stream.ts";
import type { Run } from "./types.ts";
import type { Value } from "./values.ts";

/** What a template is run with. */
export interface Inputs {
  /** Variables by name. */
  readonly variables: ReadonlyMap<string, Value>;
  /** How many values and characters they hold. */
  readonly size: { readonly values: number; readonly characters: number };
  /** What `strftime_now` takes for now. */
  readonly now: Date;
}

/** What a rendering gives. */
export interface Rendered {
  /** The prompt. */
  readonly text: Text;
  /** How often None or a container was written as Python spells it. */
  readonly spelled: number;
}

/** A compiled template. */
export class Program {
  readonly #code: ReturnType<typeof compileTemplate>;

  private constructor(code: ReturnType<typeof compileTemplate>) {
    this.#code = code;
  }

  /** Reads a template; throws a `Failure` where it is none, and an error of the code `limit` where it costs too much. */
  static parse(source: string): Program {
    if (source.length > LIMITS.template) throw overBudget(`${LIMITS.template} characters of template`);
    const budget = new Budget(LIMITS.readingSteps, LIMITS.template * 4);
    const statements = parseTemplate(new TokenStream(tokenize(source, budget), budget));
    return new Program(compileTemplate(statements, budget));
  }

  /** Runs it. Where it fails, `failed` is told the line and throws. */
  render({ variables, size, now }: Inputs, failed: (cause: unknown, line: number) => never): Rendered {
    const budget = new Budget(
      LIMITS.steps + LIMITS.stepsPerValue * size.values + Math.floor(size.characters / LIMITS.charactersPerStep),
      LIMITS.characters + LIMITS.charactersPerCharacter * size.characters,
    );
    const globals = new Map<string, Value>();
    const run: Run = { budget, globals, exported: new Map(), filters, tests, line: 1, spelled: 0 };
    for (const [name, value] of functionsOf(run, now)) globals.set(name, value);
    for (const [name, value] of variables) globals.set(name, value);
    const out = new TextBuilder(budget);
    try {
      this.#code.execute(this.#code.enter(run, undefined), out);
    } catch (cause) {
      failed(cause, run.line);
    }
    return { text: out.build(), spelled: run.spelled };
  }
}
