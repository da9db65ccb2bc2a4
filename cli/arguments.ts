/**
 * The options of a command line, read by the kinds that its table gives them.
 *
 * @module
 */

/** The value of an option, by its kind. */
export type Value = string | number | bigint | true | Uint32Array | string[];

/** The options that were given, read by the kind that the table says. */
export class Arguments {
  /** The argument that is no option. */
  readonly argument: string | undefined;
  /** The second such argument. */
  readonly second: string | undefined;
  readonly #values: ReadonlyMap<string, Value>;

  /** Wraps what {@link parseCommand} has checked. */
  constructor(values: ReadonlyMap<string, Value>, argument: string | undefined, second?: string) {
    this.#values = values;
    this.argument = argument;
    this.second = second;
  }

  /** Whether a flag was given. */
  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value of a `text` or `choice` option. */
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : undefined;
  }

  /** The value of an `integer` or `number` option. */
  number(name: string): number | undefined {
    const value = this.#values.get(name);
    return typeof value === "number" ? value : undefined;
  }

  /** The value of a `seed` option. */
  seed(name: string): bigint | undefined {
    const value = this.#values.get(name);
    return typeof value === "bigint" ? value : undefined;
  }

  /** The values of a `list` option, in the order they were given. */
  list(name: string): string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }

  /** The value of an `ids` or `counts` option. */
  ids(name: string): Uint32Array | undefined {
    const value = this.#values.get(name);
    return value instanceof Uint32Array ? value : undefined;
  }
}
