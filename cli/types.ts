/**
 * What the tables of options are made of, and the error of a command line that is wrong.
 *
 * @module
 */

/** The command was used wrongly: exit code 2. */
export class UsageError extends Error {}

/** One option of a subcommand. */
export interface OptionSpec {
  /** `flag` takes no value; the others say what their value must be; a `list` may be given more than once. */
  readonly kind: "flag" | "text" | "integer" | "number" | "seed" | "choice" | "ids" | "counts" | "list";
  /** A letter that stands for it, without the dash. */
  readonly short?: string;
  /** The value's name in the help text. */
  readonly value?: string;
  /** What it does, for the help text. */
  readonly about: string;
  /** The least value of a number, or of each of several; with `above` it must be greater than that. */
  readonly least?: number;
  readonly above?: number;
  /** The largest value. */
  readonly most?: number;
  /** What a value may be, in words. */
  readonly expected?: string;
  /** The values of a choice. */
  readonly choices?: readonly string[];
  /** True where the subcommand cannot do without. */
  readonly required?: true;
}

/** One subcommand. */
export interface CommandSpec {
  /** What it does, in a line. */
  readonly about: string;
  /** The name of its argument in the help text, if it takes one, whether it must be there, and the option that it is short for. */
  readonly argument?: { readonly name: string; readonly required: boolean; readonly sets?: "model" };
  /** A second argument, which must be there. */
  readonly second?: string;
  /** Its options by name, without the dashes. */
  readonly options: Readonly<Record<string, OptionSpec>>;
}
