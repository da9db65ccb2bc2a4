/**
 * The schemas inside a schema, by number, and what a reference names: identifiers, anchors and pointers as the drafts have them.
 * Nothing is ever fetched: a reference to another document is refused.
 *
 * @module
 */
import { checkKeyword, type UnknownNames } from "./keywords.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import type { Demand, Json, SchemaObject } from "./types.ts";
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
  /** Whether `id` names a schema: until draft 4. */
  readonly isNamedById: boolean;
  /** Whether `contains` looks at the items that meet it, which `unevaluatedItems` then leaves alone: from 2020-12 on. */
  readonly containsEvaluates: boolean;
  /** Where dynamic references lead, by the documents that were gone through on the way here; undefined where there are none. */
  readonly scope: Scope | undefined;
}

/** The same without the schema. */
type Place = Omit<SchemaPlace, "schema">;

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

/** The name under which a document is found that `$recursiveAnchor` opens (2019-09): no `$dynamicAnchor` is so named. */
const recursive = "";

/** The schemas that dynamic anchors name, by the documents that were gone through: the outermost that has a name counts. */
type Scope = ReadonlyMap<string, number>;

/** All schemas of a document. */
export class References {
  /** Names that no draft knows. */
  readonly ignored: Set<string> = new Set();
  readonly #places: SchemaPlace[] = [];
  readonly #ids = new Map<object, number>();
  /** Whole identifiers and anchors. */
  readonly #named = new Map<string, number>();
  /** Of each document its dynamic anchors. */
  readonly #anchors = new Map<string, Map<string, number>>();
  /** The scopes, each once, and schemas in them. */
  readonly #scopes = new Map<string, Scope>();
  readonly #scoped = new Map<Scope, Map<number, number>>();
  readonly #unknown: UnknownNames;
  readonly #true: number;
  readonly #false: number;
  readonly #root: number;

  /** Where `unknown` refuses them, a name that no draft knows throws. */
  constructor(root: Json, unknown: UnknownNames) {
    this.#unknown = unknown;
    const place: Place = {
      where: "",
      base: rootBase,
      refAlone: false,
      isNamedById: false,
      containsEvaluates: true,
      scope: undefined,
    };
    this.#true = this.#places.push({ ...place, schema: true }) - 1;
    this.#false = this.#places.push({ ...place, schema: false }) - 1;
    const own = this.#add(root, place, 0);
    this.#named.set(rootBase, own);
    this.#root = this.#anchors.size === 0 ? own : this.#in(own, this.#scopeOf(new Map()));
  }

  /** The number of the whole. */
  get root(): number {
    return this.#root;
  }

  /** A schema by its number. */
  at(id: number): SchemaPlace {
    return this.#places[id];
  }

  /** Keeps the name of something that says nothing; throws where such names are refused. */
  ignore(name: string, where: string): void {
    if (this.#unknown === "refuse") refuseUnsupported(where, "what JSON Schema knows", name);
    this.ignored.add(name);
  }

  /** The number of a schema inside another, at a place that was walked over, or of one that is made of such. */
  inside(value: Json, at: SchemaPlace, where: string): number {
    if (typeof value === "boolean") return value ? this.#true : this.#false;
    const { schema: _schema, ...place } = at;
    const known = this.#ids.get(value as object);
    return this.#in(
      known ?? this.#add(value, { ...place, where: `${at.where}/${where}`, scope: undefined }, 0),
      at.scope,
    );
  }

  /** The number of a schema that is met where one of some demands is. */
  union(demands: readonly Demand[], at: SchemaPlace): number {
    const anyOf = demands.map((demand) => ({ allOf: demand.map((literal) => this.#schemaIn(literal - 1, at)) }));
    return this.inside({ anyOf }, at, "unevaluatedItems");
  }

  #schemaIn(id: number, at: SchemaPlace): Json {
    const { schema, scope, where } = this.at(id);
    if (scope !== at.scope && typeof schema === "object") {
      refuseUnsupported(where, "unevaluatedItems in the document of contains", "contains behind a dynamic reference");
    }
    return schema as Json;
  }

  /** A schema as it is behind the documents of a scope, and in its own. */
  #in(id: number, scope: Scope | undefined): number {
    if (scope === undefined || id === this.#true || id === this.#false) return id;
    const place = this.#places[id];
    const own = this.#anchors.get(place.base);
    const missing = own && [...own].some(([name]) => !scope.has(name));
    const whole = missing ? this.#scopeOf(new Map([...own, ...scope])) : scope;
    let ids = this.#scoped.get(whole);
    if (!ids) this.#scoped.set(whole, ids = new Map());
    let found = ids.get(id);
    if (found === undefined) ids.set(id, found = this.#places.push({ ...place, scope: whole }) - 1);
    return found;
  }

  #scopeOf(scope: Scope): Scope {
    const key = [...scope].map(([name, id]) => `${id}:${JSON.stringify(name)}`).sort().join();
    const known = this.#scopes.get(key);
    if (known === undefined) this.#scopes.set(key, scope);
    return known ?? scope;
  }

  /** Takes a schema and those inside it. */
  #add(value: Json, at: Place, depth: number): number {
    if (typeof value === "boolean") return value ? this.#true : this.#false;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      refuseSchema(at.where, "a schema: an object or a boolean", JSON.stringify(value).slice(0, 40));
    }
    checkDepth(depth);
    const schema = value as SchemaObject;
    const known = this.#ids.get(schema);
    if (known !== undefined) return known;
    const place = this.#placed(schema, at);
    const id = this.#places.push({ ...place, schema }) - 1;
    this.#ids.set(schema, id);
    this.#name(schema, id, at.base);
    const next = (inner: Json, where: string) =>
      this.#add(inner, { ...place, where: `${at.where}/${where}` }, depth + 1);
    const isAlone = place.refAlone && schema.$ref !== undefined;
    for (const [keyword, inner] of Object.entries(schema)) {
      if (isAlone && keyword !== "$ref" && keyword !== "definitions" && keyword !== "$defs") continue;
      if (checkKeyword(keyword, at.where, this.#unknown)) this.ignored.add(keyword);
      if (Array.isArray(inner) && list.includes(keyword)) {
        inner.forEach((item, index) => next(item, `${keyword}/${index}`));
      } else if (one.includes(keyword)) next(inner, keyword);
      else if (members.includes(keyword)) {
        if (inner === null || typeof inner !== "object" || Array.isArray(inner)) {
          refuseSchema(`${at.where}/${keyword}`, "an object of schemas", JSON.stringify(inner).slice(0, 40));
        }
        for (const [member, item] of Object.entries(inner)) {
          if (!(keyword === "dependencies" && Array.isArray(item))) next(item, `${keyword}/${escapePointer(member)}`);
        }
      }
    }
    return id;
  }

  /** How a schema is read: its own draft and identifier, where it says them. */
  #placed(schema: SchemaObject, at: Place): Place {
    const draft = schema.$schema;
    // Inside of a document it says nothing.
    const isDocument = at.where === "" || ownName(schema, at) !== undefined;
    const place = typeof draft === "string" && isDocument
      ? {
        ...at,
        refAlone: /draft-0?[3-7]/.test(draft),
        isNamedById: /draft-0?[34]/.test(draft),
        containsEvaluates: !draft.includes("2019-09"),
      }
      : at;
    const own = ownName(schema, place);
    return own === undefined ? place : { ...place, base: splitFragment(resolved(own, at.base))[0] };
  }

  /** Keeps the names of a schema. */
  #name(schema: SchemaObject, id: number, outer: string): void {
    const { base, refAlone, isNamedById } = this.at(id);
    const own = ownName(schema, { refAlone, isNamedById });
    if (own !== undefined) {
      const [document, fragment] = splitFragment(resolved(own, outer));
      this.#named.set(fragment === "" ? document : `${document}#${fragment}`, id);
    }
    for (const anchor of [schema.$anchor, schema.$dynamicAnchor]) {
      if (typeof anchor === "string") this.#named.set(`${base}#${anchor}`, id);
    }
    const dynamic = schema.$recursiveAnchor === true ? recursive : schema.$dynamicAnchor;
    if (typeof dynamic !== "string") return;
    const anchors = this.#anchors.get(base);
    if (anchors) anchors.set(dynamic, id);
    else this.#anchors.set(base, new Map([[dynamic, id]]));
  }

  /** The schema that a reference names. */
  find(reference: string, from: SchemaPlace): number {
    return this.#in(this.#find(reference, from), from.scope);
  }

  /** The schema that a dynamic reference names: where that can be another one's, the outermost that has its name. */
  findDynamic(reference: string, from: SchemaPlace, isRecursive: boolean): number {
    const id = this.#find(reference, from);
    const { schema } = this.at(id);
    const fragment = isRecursive ? recursive : splitFragment(resolved(reference, from.base))[1];
    const isOpen = typeof schema === "object" &&
      (isRecursive ? schema.$recursiveAnchor === true : schema.$dynamicAnchor === fragment);
    return this.#in(isOpen ? from.scope?.get(fragment) ?? id : id, from.scope);
  }

  #find(reference: string, from: SchemaPlace): number {
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
    let below: string[] = [];
    for (const part of decoded(fragment, from.where).split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const inner: Json | undefined = value !== null && typeof value === "object" && Object.hasOwn(value, key)
        ? (value as Record<string, Json>)[key]
        : undefined;
      if (inner === undefined) refuseSchema(from.where, "a reference to something that is there", reference);
      value = inner;
      const known = value !== null && typeof value === "object" ? this.#ids.get(value) : undefined;
      below.push(part);
      if (known === undefined) continue;
      at = this.at(known);
      below = [];
    }
    return this.inside(value, at, below.join("/"));
  }
}

/** The identifier of a schema, where it has one that counts. */
function ownName(
  schema: SchemaObject,
  { refAlone, isNamedById }: Pick<Place, "refAlone" | "isNamedById">,
): string | undefined {
  const name = schema.$id ?? (isNamedById ? schema.id : undefined);
  return typeof name === "string" && !(refAlone && schema.$ref !== undefined) ? name : undefined;
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

/** A fragment without its percent signs. */
function decoded(fragment: string, where: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return refuseSchema(where, "a reference whose percent signs stand for bytes of UTF-8", `#${fragment}`);
  }
}

function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
