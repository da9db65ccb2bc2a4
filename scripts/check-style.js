/**
 * What the formatters and linters don't know of our house rules: files are short and each opens with what it is, types of
 * options say so, the files of ffi/runtime name a runtime, no comment cites a document that is not here, none leaves a note for later.
 * Rules that need a syntax tree are in `lint.js`.
 */
import { main } from "./tools.js";
import { sources } from "./check-imports.js";

/** Lines of code, comments and blank lines not counted. */
const linesMax = { product: 300, other: 400, zig: 500 };
/** Of a Zig function; of TypeScript's `lint.js` counts them. */
const zigLinesMax = 70;
const zigParametersMax = 6;
/** Rooms of native code between the border and the kernels, which assert what they believe: once in so many lines of code. */
const assertingRooms = ["kernels/model/", "kernels/run/", "kernels/calls/"];
const linesAnAssertion = 40;

const rules = [
  {
    broken: (path, text) => {
      const lines = codeLines(path, text);
      return lines > limit(path) && `${lines} lines of code, ${limit(path)} are allowed`;
    },
  },
  {
    broken: (path, text) => !opening(path).test(text) && "doesn't open with a comment that says what the file is",
  },
  {
    broken: (path, text) =>
      path.endsWith(".ts") && !path.startsWith("ffi/runtime/") &&
      /\bDeno\.|\bBun\.|["'](bun|node):ffi["']/.test(code(text)) &&
      "names a runtime; only the files of ffi/runtime may",
  },
  {
    // Spelled so that this line is no note itself.
    broken: (_path, text) => /\b(TO[D]O|FIX[M]E|X[X]X)\b/.test(text) && "leaves work for later in a comment",
  },
  {
    broken: (path, text) => {
      const names = isProduct(path) ? unnamedOptions(text) : [];
      return names.length > 0 && `the comment of ${names.join(", ")} doesn't open with "Options for"`;
    },
  },
  {
    broken: (path, text) => path.endsWith(".zig") && longZigFunctions(text).join("; "),
  },
  citations(),
  people(),
];

/** The rule that holds for pages, too: what is cited can be read here. */
function citations() {
  return {
    broken: (path, text) => {
      if (/\bDESIGN[ ](\d|section)/.test(text)) return "cites a design that is not in the repository; docs/design/ is";
      if (/(?<!design\/|\]\(|\[)gguf[.]md/.test(text)) {
        return "cites a page about GGUF that is not the one of docs/design";
      }
      if (path !== "test/kit.ts" && /\.\.\/share[d]\b/.test(text)) {
        return "knows where the kit lies; only test/kit.ts may";
      }
      return false;
    },
  };
}

/** Requests, sequences and threads are things; a sentence about them names them. */
function people() {
  return {
    // Spelled so that this line breaks no rule itself.
    broken: (path, text) => {
      if (path.startsWith("test/")) return false;
      const [word] = /\b(who[e]ver|some[b]ody|no[b]ody|any[b]ody|every[b]ody)\b/i.exec(text) ?? [];
      return word !== undefined && `says "${word}"; name the thing: the request, the caller, the thread`;
    },
  };
}

/** Lines that are neither blank nor comment. */
function codeLines(path, text) {
  const plain = path.endsWith(".zig") ? text : text.replace(/\/\*[\s\S]*?\*\//g, "");
  return plain.split("\n").filter((line) => /\S/.test(line) && !/^\s*\/\//.test(line)).length;
}

function isProduct(path) {
  return /^(src|ffi|cli|exports)\/.*\.ts$/.test(path) || path === "mod.ts";
}

function limit(path) {
  return path.endsWith(".zig") ? linesMax.zig : isProduct(path) ? linesMax.product : linesMax.other;
}

/** Exported types of options whose comment says something else than what the options are for. */
function unnamedOptions(text) {
  const types = text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*export (?:interface|type) (\w*Options)\b/g);
  return Array.from(types).filter(([, comment]) => !/^[\s*]*Options for /.test(comment)).map(([, , name]) => name);
}

/** Functions that are too long or take too much; those that make a type, which hold others, may be long. */
function longZigFunctions(text) {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    const [, indent, name] = /^( *)(?:pub |inline |noinline |export )*fn ([^\s(]+)\(/.exec(line) ?? [];
    if (name === undefined) return [];
    let end = index;
    while (!/[{;}]$/.test(lines[end])) end++;
    if (!lines[end].endsWith("{")) return [];
    const signature = lines.slice(index, end + 1).join(" ");
    let close = end;
    while (!lines[close].startsWith(`${indent}}`)) close++;
    const count = parametersOf(signature);
    const length = close - index + 1;
    return [
      length > zigLinesMax && !/\) type \{$/.test(signature) &&
      `${name} has ${length} lines, ${zigLinesMax} are allowed`,
      count > zigParametersMax && `${name} has ${count} parameters, ${zigParametersMax} are allowed`,
    ].filter(Boolean);
  });
}

/** How many parameters a signature of Zig has. */
function parametersOf(signature) {
  let depth = 0;
  let list = "";
  for (const character of signature.slice(signature.indexOf("("))) {
    if (/[([{]/.test(character)) depth++;
    if (/[)\]}]/.test(character)) depth--;
    if (depth === 0) break;
    list += depth === 1 ? character : "";
  }
  return list.slice(1).split(",").filter((parameter) => /\S/.test(parameter)).length;
}

function opening(path) {
  return path.endsWith(".zig") ? /^\/\/! \S/ : /^(#!.*\n)?\/\*\*\n \* \S/;
}

/** TypeScript without comments and without the insides of strings, near enough for the rules above. */
function code(text) {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1")
    .replace(/(["'])(?!bun:ffi)(?:(?!\1)[^\\\n]|\\.)*\1/g, '""');
}

/** Everything wrong in a set of [path, text] pairs; of a page only what it cites and its words. */
export function styleViolations(files) {
  return files.flatMap(([path, text]) =>
    (path.endsWith(".md") ? [citations(), people()] : rules)
      .map(({ broken }) => broken(path, text)).filter(Boolean).map((what) => `${path}: ${what}`)
  );
}

/** Rooms of Zig that assert too little, over all their files; tests do not count. */
export function assertionViolations(files) {
  return assertingRooms.flatMap((room) => {
    const own = files.filter(([path]) => path.startsWith(room) && !/(^|_)test[_.]/.test(path.slice(room.length)))
      .map(([path, text]) => [path, text.replace(/^test [\s\S]*?^}/gm, "")]);
    const lines = own.reduce((sum, [path, text]) => sum + codeLines(path, text), 0);
    const assertions = own.reduce((sum, [, text]) => sum + (text.match(/\bassert\(/g) ?? []).length, 0);
    return lines > linesAnAssertion * assertions
      ? [`${room}: ${assertions} assertions in ${lines} lines of code; there must be one in ${linesAnAssertion}`]
      : [];
  });
}

/** The whole product, its tests, benches and scripts; src tables that are generated say so in their second line. */
export function checkStyle() {
  const files = [
    ...sources(".ts", ["ffi", "src", "cli", "exports", "test", "scripts", "bench"], ["mod.ts"]),
    ...sources(".js", ["scripts"], []),
    ...sources(".zig", ["kernels", "bench"], ["build.zig"]),
    ...sources(".md", ["docs", "models", "bench", "examples", "test"], [
      "README.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
    ]),
  ].filter(([path, text]) => !path.includes("node_modules") && !/^.*\n.*\bgenerated by\b/i.test(text));
  return [...styleViolations(files), ...assertionViolations(files)];
}

main(import.meta.url, () => {
  const found = checkStyle();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
