/**
 * What documentation of public symbols must have, beyond a comment: an example that runs (the snippets' test runs it), the
 * defaults of options as `@default`, and a word on each parameter that its name alone does not explain.
 */
import { spawnSync } from "node:child_process";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { main, manifest, root, toolPath } from "./tools.js";

/** Everything wrong with a list of symbols as `deno doc --json` gives them, one sentence each. */
export function docViolations(symbols) {
  // What an entry only hands on is looked at where it is declared.
  return symbols.filter(({ declarations: [{ kind }] }) => kind !== "reference").flatMap(({ name, declarations }) => {
    const [declaration] = declarations;
    const tags = declarations.flatMap(({ jsDoc }) => jsDoc?.tags ?? []);
    const isTable = declaration.location.filename.endsWith("/ffi/wire.ts"); // generated, and lists alone
    const found = isTable || tags.some(({ kind }) => kind === "example") ? [] : ["has no example"];
    if (name.endsWith("Options")) found.push(...withoutDefaults(declaration));
    found.push(...parametersOf(declaration).flatMap(unexplained));
    found.push(...prose(declaration));
    return found.map((what) => `${placeOf(declaration)}: ${name} ${what}`);
  });
}

/** Options that may be absent, and don't say what holds then; functions and signals need no default. */
function withoutDefaults({ def }) {
  return (def.properties ?? []).flatMap(({ name, optional, tsType, jsDoc }) => {
    const isTagged = (jsDoc?.tags ?? []).some(({ kind }) => kind === "default");
    const type = typeName(tsType);
    return !optional || isTagged || isCallback(tsType) || type === "AbortSignal" ? [] : [`.${name} has no @default`];
  });
}

function isCallback(type) {
  return type?.kind === "fnOrConstructor" || /Processor$/.test(typeName(type) ?? "");
}

function typeName(type) {
  return type?.kind === "typeRef" ? type.value.typeName : type?.kind === "keyword" ? type.value : undefined;
}

/** "Default 5" in a sentence is for a tag. */
function prose({ jsDoc, def }) {
  const texts = [["", jsDoc?.doc], ...(def.properties ?? []).map(({ name, jsDoc }) => [`.${name}`, jsDoc?.doc])];
  return texts.filter(([, doc]) => /\bDefaults?:? (?!to)/.test(doc ?? "")).map(([name]) =>
    `${name} says its default in prose`
  );
}

/** Functions, constructors and methods of a symbol with their parameters and comments. */
function parametersOf({ kind, def, jsDoc }) {
  if (kind === "function") return [{ name: "", params: def.params ?? [], jsDoc }];
  if (kind !== "class") return [];
  const methods = (def.methods ?? []).filter(({ kind }) => kind === "method");
  return methods.map(({ name, functionDef, jsDoc }) => ({
    name: `.${name}()`,
    params: functionDef.params ?? [],
    jsDoc,
  }));
}

/** Parameters of which the comment says nothing: neither a `@param` nor their name. */
function unexplained({ name, params, jsDoc }) {
  const text = jsDoc?.doc ?? "";
  const tagged = new Set((jsDoc?.tags ?? []).filter(({ kind }) => kind === "param").map(({ name }) => name));
  return params.map(nameOf).filter((param) => param !== undefined && !selfExplaining.has(param) && !tagged.has(param))
    .filter((param) => !words(text).some((word) => word.toLowerCase() === param.toLowerCase()))
    .map((param) => `${name} says nothing of its parameter ${param}`);
}

/** Parameters whose name says it all. */
const selfExplaining = new Set(["options", "listener", "signal"]);

function nameOf(param) {
  return param.kind === "assign" ? nameOf(param.left) : param.name;
}

function words(text) {
  return text.match(/\w+/g) ?? [];
}

function placeOf({ location }) {
  return `${relative(root, fileURLToPath(location.filename))}:${location.line}`;
}

/** The public symbols of all entries; what several of them export is one. */
export function checkDocs() {
  const entries = Object.values(manifest.exports).filter((entry) => !entry.startsWith("./cli/"));
  const { stdout, stderr, status } = spawnSync(toolPath("deno"), ["doc", "--json", ...entries], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) return [stderr.trim()];
  return [...new Set(Object.values(JSON.parse(stdout).nodes).flatMap(({ symbols }) => docViolations(symbols)))];
}

main(import.meta.url, () => {
  const found = checkDocs();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
