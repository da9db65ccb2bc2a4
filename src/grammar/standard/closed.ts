/**
 * A JSON schema whose objects have no properties but those that it lists. Libraries leave `additionalProperties` out where unknown
 * properties do no harm to them; a model that may write any writes without end.
 *
 * An object is closed where a value stands: at the root, in a property, in a list. What only adds to another schema (members of
 * `allOf`, a definition that one of them names) stays open, for it does not know the other's properties; there the whole is
 * closed by `unevaluatedProperties`. What only tests (`not`, `if`, `contains`, `propertyNames`) stays as it is.
 *
 * @module
 */
import { checkDepth } from "../budget.ts";
import type { Json, SchemaObject } from "../schema/types.ts";

/** Keywords whose value is a schema of a value. */
const one = ["items", "additionalItems", "unevaluatedItems", "additionalProperties", "unevaluatedProperties"];
/** Keywords whose value is a list of schemas of values. */
const lists = ["prefixItems", "items"];
/** Keywords whose value has schemas of values as its members. */
const members = ["properties", "patternProperties"];
const definitions = ["$defs", "definitions"];
/** Keywords that add to a schema what they say of the same value. */
const additions = ["allOf", "if", "then", "else", "dependentSchemas", "dependencies"];
/** Keywords that test a value. */
const tests = ["not", "contains", "propertyNames"];
const unions = ["anyOf", "oneOf"];
/** Keywords whose value is no schema. */
const values = ["enum", "const", "default", "examples"];

/** The schema with all its objects closed. */
export function closed(schema: Json): Json {
  return new Closing(additionsIn(schema)).value(schema, 0);
}

/** The references of schemas that add to another, or test. */
function additionsIn(root: Json): ReadonlySet<string> {
  const found = new Set<string>();
  const open: { readonly value: Json; readonly isAddition: boolean }[] = [{ value: root, isAddition: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, isAddition } = next;
    if (Array.isArray(value)) value.forEach((item) => open.push({ value: item, isAddition }));
    if (!isObject(value)) continue;
    if (typeof value.$ref === "string" && (isAddition || adds(value))) found.add(value.$ref);
    for (const [keyword, inner] of Object.entries(value)) {
      if (values.includes(keyword)) continue;
      const isAdded = additions.includes(keyword) || tests.includes(keyword);
      open.push({ value: inner, isAddition: isAddition || isAdded || (unions.includes(keyword) && adds(value)) });
    }
  }
  return found;
}

/** Whether what stands beside a reference or a union says something of the same value's properties. */
function adds(schema: SchemaObject): boolean {
  return [...members, ...additions].some((keyword) => schema[keyword] !== undefined);
}

class Closing {
  readonly #added: ReadonlySet<string>;

  constructor(added: ReadonlySet<string>) {
    this.#added = added;
  }

  /** The schema of a value. */
  value(schema: Json, depth: number): Json {
    checkDepth(depth);
    if (!isObject(schema)) return schema;
    const inner = this.#inner(schema, depth);
    if (schema.additionalProperties !== undefined || schema.unevaluatedProperties !== undefined) return inner;
    const reference = schema.$ref ?? schema.$dynamicRef ?? schema.$recursiveRef;
    if (typeof reference === "string") {
      const isOpen = schema.$ref === undefined || adds(schema) || this.#isOpen(reference);
      return isOpen ? { allOf: [inner], unevaluatedProperties: false } : inner;
    }
    const isUnion = unions.some((keyword) => Array.isArray(schema[keyword]));
    if (additions.some((keyword) => schema[keyword] !== undefined) || (isUnion && adds(schema))) {
      return { ...inner, unevaluatedProperties: false };
    }
    if (isUnion) return this.#union(inner, depth);
    return members.some((keyword) => schema[keyword] !== undefined) ? { ...inner, additionalProperties: false } : inner;
  }

  /** Where nothing stands beside it, each branch of a union is the schema of a value. */
  #union(schema: SchemaObject, depth: number): SchemaObject {
    const closed = unions.flatMap((keyword) => {
      const branches = schema[keyword];
      return Array.isArray(branches) ? [[keyword, branches.map((branch) => this.value(branch, depth + 1))]] : [];
    });
    return { ...schema, ...Object.fromEntries(closed) };
  }

  /** A schema whose values inside are closed, and which is not closed itself. */
  #inner(schema: SchemaObject, depth: number): SchemaObject {
    const next = (value: Json) => this.value(value, depth + 1);
    return mapped(schema, (keyword, value) => {
      if (Array.isArray(value)) return lists.includes(keyword) ? value.map(next) : value;
      if (one.includes(keyword)) return next(value);
      if (members.includes(keyword) && isObject(value)) return mapped(value, (_, inner) => next(inner));
      if (!definitions.includes(keyword) || !isObject(value)) return value;
      return mapped(value, (name, inner) => {
        const isNamed = isObject(inner) && ["$id", "$anchor", "$dynamicAnchor", "id"].some((key) => key in inner);
        const isOpen = isNamed || this.#isOpen(`#/${keyword}/${pointerPart(name)}`);
        return isOpen && isObject(inner) ? this.#inner(inner, depth + 1) : next(inner);
      });
    });
  }

  /** Whether what a reference names is open: it adds to something, or is named in another way than by its place. */
  #isOpen(reference: string): boolean {
    return !/^#(?:\/|$)/.test(reference) || this.#added.has(reference);
  }
}

/** A name as a part of a JSON pointer. */
function pointerPart(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isObject(value: Json | undefined): value is SchemaObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function mapped(object: SchemaObject, change: (name: string, value: Json) => Json): SchemaObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(name, value)]));
}
