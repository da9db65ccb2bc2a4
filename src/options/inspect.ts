/**
 * What `console.log` shows of a large object: one line of what tells it from others, in place of all that it holds.
 *
 * @module
 */

/** How Node and Bun, and how Deno, ask an object for its text. */
const asked = [Symbol.for("nodejs.util.inspect.custom"), Symbol.for("Deno.customInspect")];

/** Shows the objects of a class as `Name { fact: value, ... }`. */
export function showAsLine<T extends object>(
  type: { readonly name: string; readonly prototype: T },
  facts: (object: T) => Readonly<Record<string, string | number | boolean | undefined>>,
): void {
  for (const symbol of asked) {
    Object.defineProperty(type.prototype, symbol, {
      configurable: true,
      value(this: T): string {
        // The prototype itself has no facts.
        if (this === type.prototype) return type.name;
        const shown = Object.entries(facts(this)).filter(([, value]) => value !== undefined);
        return `${type.name} { ${shown.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")} }`;
      },
    });
  }
}
