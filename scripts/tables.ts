/**
 * `npm run tables`: the tables of README.md, docs/cli.md, docs/constraints.md, docs/formats.md and docs/limits.md, from the lists in the code. Each stands between two
 * comments in its page; a test compares what is there with what comes of the lists now.
 *
 *     bun scripts/tables.ts
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readmeTable } from "../bench/quality/record.ts";
import { COMMANDS } from "../cli/options.ts";
import type { CommandSpec, OptionSpec } from "../cli/types.ts";
import { native } from "../ffi/native.ts";
import { LIMITS } from "../ffi/wire.ts";
import { markdownTable as table, wrapped } from "./markdown.ts";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import type { Traits } from "../src/model/architectures/types.ts";
import { FORMATS } from "../src/files/formats.ts";
import { FORMAT_NAMES } from "../src/grammar/schema/formats.ts";
import { ANNOTATIONS, ENFORCED, REFUSED } from "../src/grammar/schema/keywords.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** The pages that have tables, and the tables by the name in their comments. */
export const pages: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  "README.md": { quality: readmeTable, names },
  "docs/cli.md": { commands },
  "docs/constraints.md": { keywords },
  "docs/formats.md": { formats, architectures },
  "docs/limits.md": { limits },
};

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The CPU levels of each kind of processor, as build.zig lists them. */
function levels(): { arch: string; name: string; encodes: boolean }[] {
  const kinds = [...read("build.zig").matchAll(/\.(x86_64|aarch64) => &\.\{([\s\S]*?)\n {8}\}/g)];
  return kinds.flatMap(([, arch, rows]) =>
    [...rows.matchAll(/\.name = "(\w+)"(.*)/g)].map(([, name, rest]) => (
      { arch, name, encodes: /encodes = true/.test(rest) }
    ))
  );
}

/** The level of the matrix unit, which is emulated in tests where a machine has none. */
const matrixLevel = "amx";

/** The types that the level leaves to the one below, because that is as fast. */
function leftToVectors(): string[] {
  const names = read("kernels/amx_root.zig").match(/const slower = \[_\]\[\]const u8\{([^}]*)\}/)?.[1] ?? "";
  return [...names.matchAll(/"(\w+)"/g)].map(([, name]) => name);
}

/** Which types of weights a real matrix unit was seen to multiply as the scalar reference does, and on what machine. */
function seenOnMatrixUnit(): { machine: string; date: string; formats: string[] } {
  return JSON.parse(read("test/data/amx.json"));
}

/** Formats in rows, CPU levels in columns; every level is compiled from the one list of formats. */
function formats(): string {
  const columns = levels();
  const seen = new Set(seenOnMatrixUnit().formats);
  const left = new Set(leftToVectors());
  // Products of plain floats are those of the level below.
  const atMatrixLevel = ({ name, blockElements }: { name: string; blockElements: number }) => {
    if (blockElements === 1) return "as v4";
    const how = seen.has(name) ? "run" : "emulated";
    return left.has(name) ? `as v4 (unit: ${how})` : how;
  };
  const described = native().formats;
  const list = read("kernels/formats/list.zig");
  const listed = [...list.matchAll(/^ {4}@import\("(\w+)\.zig"\)/gm)].map(([, file]) => file);
  const rows = listed.map((file) => {
    const source = read(`kernels/formats/${file}.zig`);
    const id = Number(source.match(/pub const id = (\d+)/)?.[1]);
    const format = FORMATS.get(id);
    if (format === undefined) throw new Error(`src/files/formats.ts has no format ${id} (${file}.zig)`);
    const bits = 8 * format.blockBytes / format.blockElements;
    const encodes = described.find((each) => each.id === id)?.encodes === true;
    return [
      format.name,
      `${id}`,
      `${format.blockElements}`,
      `${bits}`,
      encodes ? "yes" : "no",
      ...columns.map(({ name }) => name === matrixLevel ? atMatrixLevel(format) : "yes"),
    ];
  });
  const heads = columns.map(({ arch, name }) => `${arch} ${name}`);
  return table(["type", "id", "weights of a block", "bits of a weight", "can be made", ...heads], rows);
}

/** A heading, a sentence and a table of options for each subcommand. */
function commands(): string {
  return Object.entries(COMMANDS).map(([name, spec]) => {
    const rows = Object.entries(spec.options).map(([key, option]) => [wordOf(key, option), option.about]);
    const options = rows.length === 0 ? [] : [table(["option", "what"], rows)];
    return [`## ${name}`, `\`lightgpt ${usage(name, spec)}\`: ${spec.about}.`, ...options].join("\n\n");
  }).join("\n\n");
}

function usage(name: string, { argument, second }: CommandSpec): string {
  const first = argument === undefined ? [] : [argument.required ? argument.name : `[${argument.name}]`];
  return [name, ...first, ...(second === undefined ? [] : [second]), "[OPTIONS]"].join(" ");
}

function wordOf(key: string, { short, kind, value, choices }: OptionSpec): string {
  const long = kind === "flag" ? `--${key}` : `--${key} ${choices?.join(", ") ?? value?.replaceAll("|", " or ")}`;
  return `\`${short === undefined ? long : `-${short}, ${long}`}\``;
}

/** The names of the architectures, in lines as `deno fmt` breaks them. */
function names(): string {
  return wrapped([...ARCHITECTURES.keys()].join(", ").concat("."));
}

function architectures(): string {
  const rows = [...ARCHITECTURES].map(([architecture, traits]) => [
    architecture,
    traits.ropeStyle,
    traits.activation,
    Object.entries(words).filter(([trait]) => traits[trait as keyof Traits] !== undefined).map(([, word]) => word)
      .join(", ") || "-",
  ]);
  return table(["architecture", "rotation", "activation", "besides"], rows);
}

/** What each trait beyond rotation and activation is called in the table. */
const words: Readonly<Record<Exclude<keyof Traits, "ropeStyle" | "activation">, string>> = {
  scaledEmbedding: "scaled embeddings",
  latent: "latent attention",
  biases: "biases of q, k, v",
  queryNorms: "norms of q and k",
  wholeHeads: "whole heads rotated",
  postNorms: "norms after",
  fused: "fused tensors",
  attentionSoftcap: "soft cap of scores",
  logitSoftcap: "soft cap of logits, where the file has one",
  layerNorms: "norms by deviation",
  parallel: "both halves of a layer at once",
  logitScale: "scale of logits",
  scales: "scales of its own",
  window: "sliding windows",
  localRopeBase: "two rotary bases",
  plainWindows: "windows without scaled positions",
  unrotated: "layers without rotation",
  rotationSwitch: "rotation can be off",
  sections: "sections of rotation",
  yarnKeys: "YaRN by numbers of its own",
  alpha: "stretched rotary base",
  oneExpert: "dense with one expert stated",
  temperature: "temperature of queries",
  attentionScale: "scores as they are",
  valueNorms: "norms of values",
  windowHeads: "heads of another length in windows",
  sharedKeys: "keys of other layers, keys as values",
  layerInputs: "inputs of layers (per-layer embeddings)",
  secondNorm: "second norm named otherwise",
  recurrent: "layers with a state",
  halves: "layers of one half",
  ungated: "no gate in feed-forward parts",
  eitherEpsilon: "epsilon of either norm",
  stateHeads: "groups of heads with a state",
  gatedAttention: "gated attention",
  drafterDeviation: "a drafter's last norm by deviation",
  outputNorm: "another name of the last norm",
  optionalNorms: "norms of q and k where there are some",
  sinks: "sinks",
  experts: "experts",
  wideScaleLayers: "wide scale in the largest",
  encoder: "whole texts, both ways",
  streamNorms: "norms of the stream",
  embeddingNorm: "norm of embeddings",
  bareFirst: "no norm before the first layer",
  tokenTypes: "types of tokens",
  secondType: "a type of documents",
  positionTable: "table of positions",
  distances: "scores lowered by distance (ALiBi)",
  statedActivation: "activation by name",
  rank: "rank head",
  denseHeads: "matrices behind the pooled row",
  levelsBeforeCut: "vectors normed before they are cut",
};

/** The keywords of JSON Schema by what becomes of them, and the formats. */
function keywords(): string {
  const rows: [string, readonly string[]][] = [
    ["enforced", ENFORCED],
    ["formats that are enforced; others are refused", FORMAT_NAMES],
    ["refused", REFUSED],
    ["says nothing about what is valid", ANNOTATIONS],
  ];
  return table(["", ""], rows.map(([what, names]) => [what, names.map((name) => `\`${name}\``).join(", ")]));
}

function limits(): string {
  const rows = Object.entries(LIMITS).filter(([name]) => name.endsWith("Max")).map(([name, most]) => [
    name.slice(0, -"Max".length).replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
    most.toLocaleString("en-US").replaceAll(",", " "),
  ]);
  return table(["", "at most"], rows);
}

/** A page with its tables made anew. */
export function refreshed(page: string, text: string): string {
  return Object.entries(pages[page]).reduce((whole, [name, make]) => {
    const place = new RegExp(`(<!-- table: ${name}[^\\n]*-->\\n)[\\s\\S]*?(\\n<!-- end -->)`);
    if (!place.test(whole)) throw new Error(`${page} has no place for the table "${name}"`);
    return whole.replace(place, (_, begin: string, end: string) => `${begin}\n${make()}\n${end}`);
  }, text);
}

if (import.meta.main) {
  for (const page of Object.keys(pages)) {
    const [before, after] = [read(page), refreshed(page, read(page))];
    if (after !== before) writeFileSync(join(root, page), after);
    console.log(`${page}: ${after === before ? "is current" : "written"}`);
  }
}
