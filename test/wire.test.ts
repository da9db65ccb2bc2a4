/**
 * The border's table: whatever is changed in a copy of it changes what `zig build wire` writes and the hash that loading
 * compares; arguments that are swapped or of another kind do not compile; sizes that both sides compute agree.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { InvalidArgumentError } from "../ffi/errors.ts";
import { type Native, native } from "../ffi/native.ts";
import { type EngineHandle, FUNCTIONS, LIMITS, type ModelHandle, STAMP } from "../ffi/wire.ts";
import * as calls from "../ffi/wire_calls.ts";
import { Words } from "../ffi/words.ts";
import { environment } from "../scripts/build.js";
import { wireViolations } from "../scripts/check-wire.js";
import { run, toolPath } from "../scripts/tools.js";
import { workspaceWords } from "../src/sampling/choose.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { SamplerState } from "../src/sampling/state.ts";
import { repository } from "./kit.ts";

/** The sources of the table, and what makes TypeScript of it. */
const sources = [
  "limits.zig",
  "status.zig",
  "level/level_table.zig",
  "wire_choices.zig",
  "wire_memory.zig",
  "wire_products.zig",
  "wire.zig",
];
const writers = ["wire_typescript.zig", "wire_docs.zig", "host/stamp.zig"];

/** A change of one source, by what it changes. */
interface Change {
  readonly what: string;
  readonly file: string;
  readonly change: (text: string) => string;
  /** The one layout of the table that it changes, where it changes one. */
  readonly layout?: string;
}

/** A field more at the beginning of a struct. */
function fieldMore(file: string, name: string, field: string): Change {
  const pattern = new RegExp(`(pub const ${name} = (?:extern )?struct \\{)`);
  return { what: `a field more in ${name}`, file, change: (text) => text.replace(pattern, `$1 ${field}`) };
}

function changes(): Change[] {
  const text = readFileSync(join(repository, "kernels", "wire.zig"), "utf8");
  const layouts = text.slice(text.indexOf("pub const layouts"), text.indexOf("/// What a handle is for."));
  const own = [...layouts.matchAll(/pub const (\w+) = (extern )?struct \{/g)].slice(1);
  return [
    ...own.map(([, layout, isRead]) => ({
      ...fieldMore("wire.zig", layout, isRead ? "extra: f64," : "extra: u32,"),
      layout,
    })),
    fieldMore("level/level_table.zig", "Step", "extra: f32,"),
    fieldMore("level/level_table.zig", "Sampled", "extra: f64 = 0,"),
    { what: "an argument less", file: "wire.zig", change: (text) => text.replace(", sequence: u32 }", " }") },
    {
      what: "two arguments swapped",
      file: "wire.zig",
      change: (text) => text.replace("from: u32, to: u32", "to: u32, from: u32"),
    },
    {
      what: "a role more",
      file: "wire_choices.zig",
      change: (text) => text.replace("ffn_down_bias,\n", "ffn_down_bias,\n extra,\n"),
    },
    { what: "another status", file: "status.zig", change: (text) => text.replace("busy = -12", "busy = -99") },
    {
      what: "another limit",
      file: "limits.zig",
      change: (text) => text.replace("files_max = 1024", "files_max = 1025"),
    },
    {
      what: "another range",
      file: "wire.zig",
      change: (text) => text.replace("page_size = .{ 16, 64 }", "page_size = .{ 8, 64 }"),
    },
    { what: "another version", file: "wire.zig", change: (text) => text.replace(/version = "/, 'version = "1') },
  ];
}

/** The changes whose files are written, too: one of each kind. Of the others the hash is enough, which `wire.ts` has. */
const writtenChanges = ["Step", "argument less", "swapped", "role more", "status", "limit", "range"];

/**
 * A table of one layout alone: the hash goes over one after the other, and the compiler takes a second for that of the whole
 * table.
 */
const partOf = (layout: string | undefined) =>
  layout === undefined ? "whole" : `struct {
    fn of(comptime wire: type) type {
      const none = struct {};
      return struct {
        pub const version = wire.version;
        pub const limits = none;
        pub const marks = none;
        pub const workspace = none;
        pub const packed_file = none;
        pub const choices = none;
        pub const functions = none;
        pub const layouts = struct {
          pub const ${layout} = wire.layouts.${layout};
        };
      };
    }
  }.of`;

/** What comes of a change: the hash of what is changed, without it and with it, and where they are written the files. */
interface Made {
  readonly before: string;
  readonly stamp: string;
  readonly files: Record<string, string> | undefined;
}

/** What comes of the table as it is, and of each change of it. */
async function made(all: readonly Change[]): Promise<Made[]> {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-wire-"));
  try {
    for (const file of [...sources, ...writers]) cpSync(join(repository, "kernels", file), join(folder, file));
    for (const [index, { what, file, change }] of all.entries()) {
      for (const source of sources) {
        const text = readFileSync(join(repository, "kernels", source), "utf8");
        const path = join(folder, `${index}`, source);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, source === file ? change(text) : text);
        if (source === file) assert(change(text) !== text, `${what} applies`);
      }
    }
    const places = [".", ...all.map((_, index) => `${index}`)];
    const isWritten = (index: number) =>
      index === 0 || writtenChanges.some((kind) => all[index - 1].what.endsWith(kind));
    const embedded = (place: string) => sources.map((source) => `@embedFile("${place}/${source}")`).join(", ");
    const hashes = places.map((place, index) => {
      const part = partOf(all[index - 1]?.layout);
      const hash = (from: string) => `stamp(${part}(@import("${from}/wire.zig")))`;
      return `const before_${index} = ${part === "whole" ? "before" : hash(".")};
        const stamp_${index} = ${hash(place)};\n`;
    });
    const lines = places.map((place, index) =>
      `std.debug.print("hashes: {s}, {s}\\n", .{ before_${index}, stamp_${index} });\n` +
      (isWritten(index)
        ? `try write(@import("${place}/wire.zig"), &.{ ${embedded(place)} }, init, "${join(folder, place)}");\n`
        : "")
    );
    writeFileSync(
      join(folder, "main.zig"),
      `//! Tells the hash of each copy, and writes the files of some into their folders.
      const std = @import("std");
      const stamp = @import("host/stamp.zig").stamp;
      const write = @import("wire_typescript.zig").write;
      fn whole(comptime wire: type) type {
        return wire;
      }
      const before = stamp(@import("wire.zig"));
      ${hashes.join("")}
      pub fn main(init: std.process.Init) !void {
        ${lines.join("")}
      }\n`,
    );
    const tool = async (name: string, args: string[]) => {
      const options: object = { env: environment() };
      const { code, output } = await run(toolPath(name), args, options);
      assertEquals(code, 0, output);
      return output as string;
    };
    const told = await tool("zig", ["run", join(folder, "main.zig")]);
    const hashed = [...told.matchAll(/^hashes: (.+), (.+)$/gm)].map(([, before, stamp]) => ({ before, stamp }));
    assertEquals(hashed.length, places.length);
    const names = ["wire.ts", "wire_calls.ts"];
    const written = places.filter((_, index) => isWritten(index));
    await tool("deno", [
      "fmt",
      "--quiet",
      "--no-config",
      "--line-width=120",
      ...written.flatMap((place) => names.map((name) => join(folder, place, name))),
    ]);
    const filesOf = (place: string) =>
      Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, place, name), "utf8")]));
    return places.map((place, index) => ({
      ...hashed[index],
      files: isWritten(index) ? filesOf(place) : undefined,
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The compiler takes its time for all changes, and does the same whatever runs the test. */
const skip = !("Bun" in globalThis) && "the changes of the table are tried on Bun";

describe("the border's table", () => {
  it(
    "cannot be changed on one side alone: a field more in any layout is seen by the check and by loading",
    { skip },
    async () => {
      const all = changes();
      assert(all.length >= 26, `${all.length} changes`);
      const [asIs, ...changed] = await made(all);
      const committed = Object.fromEntries(
        ["wire.ts", "wire_calls.ts"].map((name) => [name, readFileSync(join(repository, "ffi", name), "utf8")]),
      );
      assertEquals(wireViolations(committed, asIs.files), []);
      assertEquals(asIs.stamp, STAMP);
      const stamps = new Set<string>();
      let writes = 0;
      for (const [index, { before, stamp, files }] of changed.entries()) {
        const { what } = all[index];
        assert(stamp !== before && !stamps.has(stamp), `${what}: another hash`);
        stamps.add(stamp);
        if (files === undefined) continue;
        writes++;
        assert(wireViolations(committed, files).length > 0, what);
        assertEquals(files["wire.ts"].match(/STAMP = "([^"]+)"/)?.[1], stamp, what);
      }
      assertEquals(writes, writtenChanges.length);
    },
  );

  it("names the parameters of the library's functions as they are called there, in the same order", () => {
    const ours = readFileSync(join(repository, "ffi", "wire.ts"), "utf8").split("interface NativeFunctions")[1];
    const theirs = readFileSync(join(repository, "kernels", "root.zig"), "utf8");
    const list = (text: string) =>
      text.split(",").map((part) => part.trim().split(":")[0]).filter((name) => name !== "");
    for (const name of Object.keys(FUNCTIONS)) {
      const called = list(ours.match(new RegExp(`\\b${name}\\(([^)]*)\\): number`))?.[1] ?? "none");
      const exported = list(theirs.match(new RegExp(`export fn ${name}\\(([^)]*)\\) i32`))?.[1] ?? "none")
        .map((name) => name.replace(/_len$/, "Bytes").replace(/_(handle|id|number)$/, ""))
        .map((name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()));
      assertEquals(exported, called, name);
    }
  });

  it("has no function of more than six parameters", () => {
    for (const [name, { parameters }] of Object.entries(FUNCTIONS)) assert(parameters.length <= 6, name);
  });

  it("agrees with what the library needs: a workspace of one word less is too small", () => {
    for (const vocabulary of [1, 15, 16, 17, 240, 241, 255, 256, 257, 4095, 32_000]) {
      const state = new SamplerState(resolveSampling({ temperature: 0 }));
      const words = new Words("sampler");
      state.encode(words, vocabulary, { position: 0 });
      const logits = new Float32Array(vocabulary);
      const sample = (size: number) => {
        const memory = new ArrayBuffer(4 * size + 4);
        native().sample(words, logits, new Uint32Array(memory, 0, size), new Uint8Array(memory));
      };
      sample(workspaceWords(vocabulary));
      assertThrows(() => sample(workspaceWords(vocabulary) - 1), InvalidArgumentError, "workspace");
    }
  });

  it("bounds what a sampler may ask for", () => {
    const words = new Words("sampler");
    const asked = { distribution: false, choice: 0, position: 0, mu: 0, mask: 0, counts: 0, matches: 0 };
    calls.putSamplerSettings(words, { steps: 0, minKeep: 1, seed: 0n, bias: 0 });
    calls.putSamplerChoice(words, { ...asked, logprobs: LIMITS.logprobsMax + 2 });
    const workspace = new Uint32Array(workspaceWords(4));
    const bytes = new Uint8Array(workspace.buffer);
    const error = assertThrows(
      () => native().sample(words, new Float32Array(4), workspace, bytes),
      InvalidArgumentError,
    );
    assertEquals(error.message, "sampler: logprobs; expected 0 to 21, got 22.");
  });
});

const notPooled = { pooling: "none", ranks: false, levels: false, dimensions: 0, normalises: false } as const;

/**
 * Never called: `deno check` fails where one of the marked lines compiles. Arguments that are swapped, of another kind, or
 * left out are errors of the compiler.
 */
export function doesNotCompile(to: Native, model: ModelHandle, engine: EngineHandle, batch: Words<"batch">): void {
  // @ts-expect-error: an engine is no model
  to.modelStatus(engine);
  // @ts-expect-error: a model is no engine
  to.submit(model, batch);
  // @ts-expect-error: a number is no handle
  to.engineFree(7);
  // @ts-expect-error: swapped
  to.submit(batch, engine);
  // @ts-expect-error: swapped
  void to.wait(25, engine);
  // @ts-expect-error: swapped
  to.cancel(1, engine);
  // @ts-expect-error: words of another layout
  to.submit(engine, new Words("sampler"));
  // @ts-expect-error: words of another layout
  to.engineOpen(model, batch);
  // @ts-expect-error: results and floats swapped
  to.take(engine, new Float32Array(1), new calls.StepResult(new Uint32Array(84)));
  // @ts-expect-error: two pages have names
  to.pageCopy(engine, 1, 2);
  // @ts-expect-error: a name that there is not
  to.pageCopy({ engine, first: 1, to: 2 });
  // @ts-expect-error: without a name that there is
  to.pageCopy({ engine, from: 1 });
  // @ts-expect-error: an array of another type
  to.dequantize({ format: 0, blocks: new Uint32Array(1), values: new Float32Array(1), threads: 1 });
  // @ts-expect-error: a role that there is not
  to.replace({ model, layer: 0, role: "attn_w", format: 0, blocks: new Uint8Array(1) });
  // @ts-expect-error: a field is missing
  calls.putBatchHeader(batch, { runsInline: false, threads: 1, sequences: 1, ...notPooled });
  // @ts-expect-error: a field too many
  calls.putBatchHeader(batch, { runsInline: false, threads: 1, sequences: 1, tokens: 1, ...notPooled, extra: 1 });
  // @ts-expect-error: a field of another type
  calls.putBatchHeader(batch, { runsInline: 0, threads: 1, sequences: 1, tokens: 1, ...notPooled });
}
