/**
 * Which file may import which: the rooms of `docs/design/map.md` in their order. Every file belongs to a layer; a file may
 * import its own layer and those below it.
 * The layers are one list, lowest first, for TypeScript and one for Zig. A file that no layer claims is an error too, so
 * that a new one is placed on purpose.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { main, root } from "./tools.js";

/**
 * The rooms of TypeScript, lowest first. A room is a folder, or the one file that it names; a file may import its own room
 * and those before it in this list. `docs/design/map.md` says what each is for.
 */
export const typescript = [
  { name: "wire", files: ["ffi/wire.ts"] },
  { name: "errors", files: ["ffi/errors.ts", "ffi/system_errors.ts"] },
  {
    name: "runtime",
    files: [
      "ffi/buffers.ts",
      "ffi/here.ts",
      "ffi/words.ts",
      "ffi/runtime/*",
      "ffi/sums.ts",
    ],
  },
  { name: "calls", files: ["ffi/wire_calls.ts", "ffi/call.ts"] },
  { name: "library", files: ["ffi/library.ts", "ffi/assets.ts", "ffi/cache_directory.ts"] },
  { name: "native", files: ["ffi/native.ts"] },
  { name: "options", files: ["src/options/*"] },
  { name: "machine", files: ["src/machine/*"] },
  { name: "files", files: ["src/files/*"] },
  { name: "text", files: ["src/text/*"] },
  { name: "model", files: ["src/model/*"] },
  { name: "sampling", files: ["src/sampling/*"] },
  { name: "grammar", files: ["src/grammar/*"] },
  { name: "tools", files: ["src/tools/*"] },
  { name: "engine", files: ["src/engine/*"] },
  { name: "cache", files: ["src/cache/*"] },
  { name: "batching", files: ["src/batching/*"] },
  { name: "measuring", files: ["src/measuring/*"] },
  { name: "converting", files: ["src/converting/*"] },
  { name: "tuning", files: ["src/tuning/*"] },
  { name: "embedding", files: ["src/embedding/*"] },
  { name: "lightgpt", files: ["src/lightgpt/*"] },
  { name: "server", files: ["src/server/*"] },
  { name: "cluster", files: ["src/cluster/*"] },
  { name: "face", files: ["mod.ts", "exports/*"] },
  { name: "command", files: ["cli/*"] },
];

function testFiles(folder) {
  return [`${folder}/test*.zig`, `${folder}/*_test.zig`];
}

/** Zig's rooms; those of `object` are compiled once for each CPU level. */
export const zig = [
  { name: "limits", files: ["kernels/limits.zig", "kernels/status.zig"], object: "both" },
  { name: "level", files: ["kernels/level/*"], object: true },
  { name: "formats", files: ["kernels/formats/*"], object: true },
  { name: "op", files: ["kernels/op/*"], object: true },
  {
    name: "objects",
    files: ["kernels/level_root.zig", "kernels/amx_root.zig", "kernels/encode_root.zig"],
    object: true,
  },
  {
    name: "wire",
    files: ["kernels/wire.zig", "kernels/wire_choices.zig", "kernels/wire_memory.zig", "kernels/wire_products.zig"],
  },
  { name: "host", files: ["kernels/host/*"] },
  { name: "threads", files: ["kernels/threads/*"] },
  { name: "model", files: ["kernels/model/*"] },
  { name: "calls", files: ["kernels/calls/*"] },
  { name: "run", files: ["kernels/run/*"] },
  { name: "root", files: ["kernels/root.zig"] },
  { name: "wire writer", files: ["kernels/wire_docs.zig", "kernels/wire_typescript.zig"] },
  { name: "tests", files: ["kernels/bench.zig", ...testFiles("kernels"), ...testFiles("kernels/*")], object: "both" },
];

/** What both sides of the object border know. */
const shared = ["kernels/limits.zig", "kernels/status.zig", "kernels/level/level_table.zig"];

/** Everything wrong in a set of files, as one sentence each. */
export function violations(files, layers) {
  return [...arrows(files, layers), ...circles(files), ...besideFolders(files)];
}

/** Imports that point upwards or across the object border, and files that no room has. */
function arrows(files, layers) {
  const found = [];
  for (const [path, text] of files) {
    const from = layerOf(path, layers);
    if (from === undefined) {
      found.push(`${path}: no layer of scripts/check-imports.js has this file`);
      continue;
    }
    for (const target of imports(path, text)) {
      const to = layerOf(target, layers);
      if (to === undefined) {
        found.push(`${path}: imports ${target}, which is in no layer`);
      } else if (to > from) {
        found.push(`${path} (${layers[from].name}) imports ${target} (${layers[to].name}), a layer above it`);
      } else if (crossesBorder(layers[from], layers[to]) && !shared.includes(target)) {
        found.push(`${path} imports ${target} across the object border; on both sides are only ${shared.join(", ")}`);
      }
    }
  }
  return found;
}

/** Files that import one another in a circle: a type that both need belongs into a file below both. */
function circles(files) {
  const texts = new Map(files);
  const done = new Set();
  const found = [];
  const visit = (path, trail) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`${[...trail.slice(at), path].join(" -> ")}: a circle of imports`);
    if (at >= 0 || done.has(path) || !texts.has(path)) return;
    for (const target of imports(path, texts.get(path))) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const [path] of files) visit(path, []);
  return found;
}

/** A file beside a folder of its name: the face of a room lies inside it. */
function besideFolders(files) {
  const folders = new Set(files.flatMap(([path]) => foldersOf(path)));
  return files.filter(([path]) => folders.has(path.replace(/\.\w+$/, "")))
    .map(([path]) => `${path}: stands beside a folder of its name; it belongs inside`);
}

function foldersOf(path) {
  return path.split("/").slice(0, -1).map((_, index, parts) => parts.slice(0, index + 1).join("/"));
}

/** Code of a level object and code of the root module meet through `shared` alone. */
function crossesBorder(from, to) {
  if (from.object === "both") return false;
  return Boolean(from.object) !== Boolean(to.object);
}

function layerOf(path, layers) {
  // From the top, so that a test is one whatever folder it lies in.
  const index = layers.findLastIndex(({ files }) => files.some((pattern) => matches(path, pattern)));
  return index < 0 ? undefined : index;
}

function matches(path, pattern) {
  const source = pattern.replace(/[.\\/]/g, "\\$&").replace(/\*/g, pattern.endsWith("/*") ? ".*" : "[^/]*");
  return new RegExp(`^${source}$`).test(path);
}

/** The files of ours that a file imports, as paths from the root; tests in a Zig file may import what they like. */
function imports(path, text) {
  const pattern = path.endsWith(".zig")
    ? /@import\("([^"]+\.zig)"\)/g
    : /(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.{1,2}\/[^"]+\.ts)"/g;
  const source = path.endsWith(".zig") ? text.replace(/^\s*\/\/.*$/gm, "").replace(/^test [\s\S]*?^}/gm, "") : text;
  return [...source.matchAll(pattern)].map(([, target]) => posix.join(posix.dirname(path), target));
}

/** The sources of the product with their text: [path, text] pairs. */
export function sources(extension, folders, singles) {
  const nested = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => posix.join(folder, name.replaceAll("\\", "/")))
  );
  return [...singles, ...nested].filter((path) => path.endsWith(extension)).sort()
    .map((path) => [path, readFileSync(join(root, path), "utf8")]);
}

/** How many rooms `src/` may have, and how many pairs of them of which one imports the other: what a reader has to keep in mind. */
const most = { rooms: 19, pairs: 70 };

/** What is wrong where `src/` has more rooms, or more pairs of rooms that import one another, than it may. */
export function tooManyPairs(files, { rooms, pairs } = most) {
  const roomOf = (path) => /^src\/([^/]+)\//.exec(path)?.[1];
  const found = new Set();
  const names = new Set();
  for (const [path, text] of files) {
    const from = roomOf(path);
    if (from === undefined) continue;
    names.add(from);
    for (const to of imports(path, text).map(roomOf)) {
      if (to !== undefined && to !== from) found.add(`${from} -> ${to}`);
    }
  }
  return [
    ...(names.size > rooms ? [`src/ has ${names.size} rooms; at most ${rooms} are allowed`] : []),
    ...(found.size > pairs
      ? [`${found.size} pairs of rooms import one another; at most ${pairs} are allowed: ${[...found].join(", ")}`]
      : []),
  ];
}

/** Both languages. */
export function checkImports() {
  return [
    ...tooManyPairs(sources(".ts", ["src"], [])),
    ...violations(sources(".ts", ["ffi", "src", "cli", "exports"], ["mod.ts"]), typescript),
    ...violations(sources(".zig", ["kernels"], []), zig),
  ];
}

main(import.meta.url, () => {
  const found = checkImports();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
