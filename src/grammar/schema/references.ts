/**
 * The schemas inside a schema, by number, and what a reference names: identifiers, anchors and pointers as the drafts have them.
 * Nothing is ever fetched: a reference to another document is refused.
 *
 * @module
 */
import { checkKeyword } from "./keywords.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import type { Json, SchemaObject } from "./types.ts";
import { checkDepth } from "../budget.ts";

/** What a schema is: itself, where it stands, and which rules of reading hold there. */
export interface SchemaPlace {
  readonly schema: SchemaObject | boolean;
  /** A JSON pointer from the root. */
  readonly where: string;
  /** What references in it are relative to. */
  readonly base: string;
  /** Whether keywords beside `$ref` say nothing: until draft 7. */
  readonly refAlone: boolean;
}

/** Keywords whose value is a schema. */
const one = [
  "not",
  "if",
  "then",
  "else",
  "additionalProperties",
  "additionalItems",
  "contains",
  "propertyNames",
  "unevaluatedProperties",
  "unevaluatedItems",
  "items",
];
/** Keywords whose value is a list of schemas. */
const list = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/** Keywords whose value has schemas as its members. */
const members = ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];

const rootBase = "schema://root/";

/** All schemas of a document. */
export class References {
  /** Names that no draft knows. */
  readonly ignored: Set<string> = new Set();
  readonly #places: SchemaPlace[] = [];
  readonly #ids = new Map<object, number>();
  /** Whole identifiers and anchors. */
  readonly #named = new Map<string, number>();
  readonly #true: number;
  readonly #false: number;

  constructor(root: Json) {
    const place = { where: "", base: rootBase, refAlone: false };
    this.#true = this.#places.push({ ...place, schema: true }) - 1;
    this.#false = this.#places.push({ ...place, schema: false }) - 1;
    this.#root = this.add(root, "", rootBase, false);
    this.#named.set(rootBase, this.#root);
  }

  readonly #root: number;

  /** The number of the whole. */
  get root(): number {
    return this.#root;
  }

  /** A schema by its number. */
  at(id: number): SchemaPlace {
    return this.#places[id];
  }

  /** The number of a schema inside another, at a place that {@link References.add} walked over. */
  inside(value: Json, at: SchemaPlace, where: string): number {
    if (typeof value === "boolean") return value ? this.#true : this.#false;
    const found = this.#ids.get(value as object);
    return found ?? this.add(value, `${at.where}/${where}`, at.base, at.refAlone);
  }

  /** Takes a schema and those inside it. */
  add(value: Json, where: string, base: string, refAlone: boolean, depth = 0): number {
    if (typeof value === "boolean") return value ? this.#true : this.#false;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      refuseSchema(where, "a schema: an object or a boolean", JSON.stringify(value).slice(0, 40));
    }
    checkDepth(depth);
    const schema = value as SchemaObject;
    const known = this.#ids.get(schema);
    if (known !== undefined) return known;
    const draft = schema.$schema;
    if (typeof draft === "string") refAlone = /draft-0?[3-7]/.test(draft);
    const name = schema.$id ?? (refAlone ? schema.id : undefined);
    const isWhole = typeof name === "string" && !(refAlone && schema.$ref !== undefined);
    const own = isWhole ? resolved(name as string, base) : base;
    const [document, fragment] = splitFragment(own);
    if (isWhole && document !== splitFragment(base)[0]) base = document;
    const id = this.#places.push({ schema, where, base, refAlone }) - 1;
    this.#ids.set(schema, id);
    if (isWhole) {
      if (fragment !== "") this.#named.set(`${document}#${fragment}`, id);
      else this.#named.set(document, id);
    }
    for (const anchor of [schema.$anchor, schema.$dynamicAnchor]) {
      if (typeof anchor === "string") this.#named.set(`${base}#${anchor}`, id);
    }
    const next = (inner: Json, place: string) => this.add(inner, `${where}/${place}`, base, refAlone, depth + 1);
    for (const [keyword, inner] of Object.entries(schema)) {
      if (
        refAlone && schema.$ref !== undefined && keyword !== "$ref" && keyword !== "definitions" && keyword !== "$defs"
      ) continue;
      if (checkKeyword(keyword, where)) this.ignored.add(keyword);
      if (Array.isArray(inner) && list.includes(keyword)) {
        inner.forEach((item, index) => next(item, `${keyword}/${index}`));
      } else if (one.includes(keyword) && inner !== null && typeof inner === "object") next(inner, keyword);
      else if (members.includes(keyword) && inner !== null && typeof inner === "object") {
        for (const [member, item] of Object.entries(inner)) {
          if (!(keyword === "dependencies" && Array.isArray(item))) next(item, `${keyword}/${escapePointer(member)}`);
        }
      }
    }
    return id;
  }

  /** The schema that a reference names. */
  find(reference: string, from: SchemaPlace): number {
    const whole = resolved(reference, from.base);
    const [document, fragment] = splitFragment(whole);
    const named = this.#named.get(fragment === "" ? document : `${document}#${fragment}`);
    if (named !== undefined) return named;
    const start = this.#named.get(document);
    if (start === undefined) refuseUnsupported(from.where, "a reference inside the schema", `$ref to ${reference}`);
    if (fragment !== "" && !fragment.startsWith("/")) {
      refuseSchema(from.where, "a reference to something that is there", reference);
    }
    let at = this.at(start);
    let value: Json = at.schema as Json;
    for (const part of fragment.split("/").slice(1)) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      const inner: Json | undefined = value !== null && typeof value === "object" && Object.hasOwn(value, key)
        ? (value as Record<string, Json>)[key]
        : undefined;
      if (inner === undefined) refuseSchema(from.where, "a reference to something that is there", reference);
      value = inner;
      const known = value !== null && typeof value === "object" ? this.#ids.get(value) : undefined;
      if (known !== undefined) at = this.at(known);
    }
    return this.inside(value, { ...at, where: at.where }, "");
  }
}

function resolved(reference: string, base: string): string {
  try {
    return new URL(reference, base).href;
  } catch {
    return reference.startsWith("#") ? splitFragment(base)[0] + reference : reference;
  }
}

function splitFragment(url: string): [string, string] {
  const at = url.indexOf("#");
  return at < 0 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}

function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
