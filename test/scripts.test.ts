/**
 * The set-up and check scripts: each check must find what it is there for, and the counting must not lose a failure.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { COMMANDS } from "../cli/options.ts";
import { library } from "../scripts/build.js";
import { checkBenches } from "../scripts/check-benches.js";
import { bytesMost, libraryViolations, readElf } from "../scripts/check-library.js";
import { lockViolations } from "../scripts/check-lock.js";
import { tooManyPairs, typescript, violations, zig } from "../scripts/check-imports.js";
import { docViolations } from "../scripts/check-docs.js";
import { assertionViolations, styleViolations } from "../scripts/check-style.js";
import house from "../scripts/lint.js";
import { countBun, countDeno, countNode, countZig } from "../scripts/report.js";
import { judge, withRows } from "../scripts/reliability/main.js";
import { checkMachine, offline } from "../scripts/setup.js";
import { flags, withPrompt } from "../scripts/start.js";

describe("set-up", () => {
  it("refuses machines it has nothing for, by name", () => {
    checkMachine("v20.0.0", "linux", "x64");
    checkMachine("v24.1.0", "darwin", "arm64");
    checkMachine("v22.1.0", "win32", "x64");
    assertThrows(() => checkMachine("v18.19.0", "linux", "x64"), Error, "Node 20");
    assertThrows(() => checkMachine("v20.0.0", "linux", "riscv64"), Error, '"riscv64"');
    assertThrows(() => checkMachine("v20.0.0", "aix", "x64"), Error, '"aix"');
  });

  it("knows a missing network from other trouble", () => {
    assertEquals(offline("npm error code EAI_AGAIN\nnpm error errno EAI_AGAIN"), "EAI_AGAIN");
    assertEquals(offline("npm error code EUSAGE"), undefined);
  });
});

it("a program of the benches that no longer compiles is named, with what Zig says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-benches-"));
  try {
    const program = (name: string) =>
      `const kernels = @import("kernels");\npub fn main() void {\n    _ = kernels.os.${name}();\n}\n`;
    writeFileSync(join(folder, "right.zig"), program("nowNs"));
    writeFileSync(join(folder, "wrong.zig"), program("thenNs"));
    const problems = await checkBenches(folder);
    assertEquals(problems.length, 1);
    assertMatch(problems[0], /wrong\.zig: .*error: .*no member named 'thenNs'/s);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("a row of the reliability table holds where one runtime leaves its tests to the other, and not where a test is missing", () => {
  const row = { row: 1, shown: [{ kind: "test", file: "test/a.test.ts", names: ["is found"] }] };
  const outcome = (cases: object[]) => ({ ok: true, cases, counts: [] });
  const left = outcome([{ name: "a suite", skipped: true }]);
  const found = outcome([{ name: "is found", skipped: false }]);
  const judged = (deno: object) =>
    judge(row, new Map([["test test/a.test.ts ", new Map(Object.entries({ bun: found, deno }))]]), false);
  assertEquals(judged(left), { state: "held", counts: "1 passed, 1 skipped" });
  assertEquals(judged(outcome([{ name: "is another", skipped: false }])).state, "FAILED");
});

it("a run of some rows of the reliability table leaves the others, and counts all", () => {
  const head = "| row | a | b | c | result | run | d |\n| --- | --- | --- | --- | --- | --- | --- |";
  const row = (number: number, state: string, run: string) => `| ${number} | a | b | c | ${state} | ${run}, now | d |`;
  const page = (told: string, rows: readonly string[]) =>
    `before\n<!-- table: begin -->\n\n${told}\n\n${head}\n${rows.join("\n")}\n\n<!-- table: end -->\nafter`;
  const written = withRows(
    page("All.", [row(2, "held", "change"), row(10, "FAILED", "change")]),
    "here",
    [head, row(10, "held", "night"), row(3, "skipped", "night")].join("\n"),
  );
  const told =
    "2 of 3 rows held, 1 of them at the night's numbers; 0 failed, 0 are for the night only, 1 were skipped (here). " +
    "A row tells of which run it is, and when that ended (UTC).";
  assertEquals(written, page(told, [row(2, "held", "change"), row(3, "skipped", "night"), row(10, "held", "night")]));
});

describe("npm start", () => {
  it("tells the default story unless a prompt is given", () => {
    const story = "Once upon a time";
    assertEquals(withPrompt([]), [story]);
    assertEquals(withPrompt(["--max-tokens", "50"]), [story, "--max-tokens", "50"]);
    assertEquals(withPrompt(["--json", "--seed=1"]), [story, "--json", "--seed=1"]);
    assertEquals(withPrompt(["The dog", "--json"]), ["The dog", "--json"]);
    assertEquals(withPrompt(["--json", "--top-k", "5", "The dog"]), ["--json", "--top-k", "5", "The dog"]);
    assertEquals(withPrompt(["--", "--dashes"]), ["--", "--dashes"]);
  });

  it("knows which options of the command take no value", () => {
    const known = Object.entries(COMMANDS.run.options).filter(([, { kind }]) => kind === "flag").map(([name]) =>
      `--${name}`
    );
    assertEquals(flags.filter((flag: string) => !["--help", "-h"].includes(flag)), known);
  });
});

describe("counting", () => {
  it("adds up Zig's targets", () => {
    const output = "skipped fpu.test.x\nzig x86_64-linux: 40 passed, 1 failed, 1 skipped\n" +
      "zig aarch64-linux: SKIPPED, qemu is not installed\n";
    assertEquals(countZig(output, 1), {
      passed: 40,
      failed: 1,
      skipped: ["fpu.test.x", "aarch64-linux: qemu is not installed"],
    });
  });

  it("counts a suite that can't start or runs nothing as a failure", () => {
    assertEquals(countZig("error: no such step", 1).failed, 1);
    assertEquals(countZig("", 0).failed, 1);
    assertEquals(countDeno("", 1).failed, 1);
    assertEquals(countBun("", "", 1).failed, 1);
    assertEquals(countNode("", 0).failed, 1);
    assertEquals(countBun('<testcase name="a" />', " 1 pass\n", 132).failed, 1);
  });

  it("counts Deno's leaves, and a group only when it fails itself", () => {
    const xml =
      `<testcase name="group" classname="x"><failure message="1 test step failed">1 test step failed.</failure></testcase>
      <testcase name="group &gt; good" classname="x"></testcase>
      <testcase name="group &gt; bad" classname="x"><failure message="Uncaught Error: x &amp; y">...</failure></testcase>
      <testcase name="group &gt; left out" classname="x"><skipped/></testcase>
      <testcase name="hook" classname="x"><failure message="Uncaught Error: before">...</failure></testcase>
      <testcase name="hook &gt; good" classname="x"></testcase>`;
    assertEquals(countDeno(xml, 1), { passed: 2, failed: 2, skipped: ["group > left out"] });
  });

  it("counts Bun's leaves, and the files it could not load", () => {
    const xml = '<testcase name="good" /><testcase name="late"><skipped /></testcase>' +
      '<testcase name="bad"><failure type="Error" message="x">x</failure></testcase>';
    assertEquals(countBun(xml, " 1 pass\n 1 skip\n 1 fail\n", 1), { passed: 1, failed: 1, skipped: ["late"] });
    assertEquals(countBun(xml, " 1 pass\n 1 skip\n 2 fail\n 1 error\n", 1).failed, 2);
  });

  it("counts Node's leaves, whatever is in their names, and a file that it could not load", () => {
    const xml = `<testsuite name="group" tests="3"><testcase name="good &lt;x>" classname="group" file="a.test.ts"/>
      <testcase name="late >" classname="group"><skipped type="skipped" message="why"/></testcase>
      <testcase name="bad" classname="group" failure="a > b"><failure type="testCodeFailure" message="a > b">x</failure></testcase>
      </testsuite><testcase name="b.test.ts" classname="test"><failure message="test failed">x</failure></testcase>`;
    assertEquals(countNode(xml, 1), { passed: 1, failed: 2, skipped: ["late >"] });
  });
});

describe("checks", () => {
  const one = (found: string[], pattern: RegExp) => {
    assertEquals(found.length, 1, found.join("; "));
    assertMatch(found[0], pattern);
  };

  it("find public symbols without an example, options without a default, and parameters without a word", () => {
    const location = { filename: new URL("../src/a.ts", import.meta.url).href, line: 7 };
    const example = { kind: "example", doc: "" };
    const symbol = (name: string, more: object) => [{ name, declarations: [{ location, def: {}, ...more }] }];
    const option = (jsDoc: object, type: object = { kind: "keyword", value: "number" }) =>
      symbol("AOptions", {
        kind: "interface",
        jsDoc: { doc: "Options for a.", tags: [example] },
        def: { properties: [{ name: "size", optional: true, tsType: type, jsDoc }] },
      });
    one(docViolations(symbol("a", { kind: "variable", jsDoc: { doc: "A." } })), /^src\/a.ts:7: a has no example$/);
    one(docViolations(option({ doc: "A size." })), /AOptions .size has no @default/);
    one(docViolations(option({ doc: "A size. Default 5.", tags: [{ kind: "default" }] })), /says its default in prose/);
    assertEquals(docViolations(option({ doc: "A size.", tags: [{ kind: "default" }] })), []);
    assertEquals(docViolations(option({ doc: "Called." }, { kind: "fnOrConstructor" })), []);
    const call = (doc: string, tags: object[] = []) =>
      symbol("f", {
        kind: "function",
        jsDoc: { doc, tags: [example, ...tags] },
        def: { params: [{ kind: "identifier", name: "bytes" }] },
      });
    one(docViolations(call("Reads.")), /f {2}says nothing of its parameter bytes/);
    assertEquals(docViolations(call("Reads `bytes`.")), []);
    assertEquals(docViolations(call("Reads.", [{ kind: "param", name: "bytes" }])), []);
  });

  it("find an upward import in TypeScript", () => {
    one(violations([["ffi/native.ts", 'import { x } from "../src/model/model.ts";']], typescript), /layer above/);
    one(
      violations([["src/files/gguf/read.ts", 'const x = await import("../../lightgpt/lightgpt.ts");']], typescript),
      /layer above/,
    );
    one(violations([["src/stray.ts", ""]], typescript), /no layer/);
    assertEquals(violations([["src/model/model.ts", 'import { x } from "../../ffi/native.ts";']], typescript), []);
  });

  it("find an upward import and a crossed border in Zig", () => {
    one(violations([["kernels/level/simd.zig", 'const x = @import("../formats/list.zig");']], zig), /layer above/);
    one(violations([["kernels/run/step.zig", 'const x = @import("../op/rope.zig");']], zig), /object border/);
    assertEquals(violations([["kernels/op/rope.zig", 'const t = @import("../level/level_table.zig");']], zig), []);
    assertEquals(violations([["kernels/run/step.zig", 'const t = @import("../level/level_table.zig");']], zig), []);
  });

  it("find too many rooms, and too many pairs of them", () => {
    const files = [
      ["src/a/one.ts", 'import { two } from "../b/two.ts";'],
      ["src/a/three.ts", 'import { two } from "../b/two.ts";\nimport { one } from "./one.ts";'],
      ["src/b/two.ts", 'import { node } from "../../ffi/runtime/builtins.ts";'],
    ];
    assertEquals(tooManyPairs(files, { rooms: 2, pairs: 1 }), []);
    const [rooms, pairs] = tooManyPairs(files, { rooms: 1, pairs: 0 });
    assertEquals(rooms, "src/ has 2 rooms; at most 1 are allowed");
    assertEquals(pairs, "1 pairs of rooms import one another; at most 0 are allowed: a -> b");
  });

  it("find circles of imports and files beside a folder of their name", () => {
    const importing = (name: string) => `const x = @import("${name}.zig");`;
    const way = [["kernels/run/a.zig", importing("b")], ["kernels/run/b.zig", importing("c")]];
    one(
      violations([...way, ["kernels/run/c.zig", importing("a")]], zig),
      /a.zig -> .*b.zig -> .*c.zig -> .*a.zig: a circle/,
    );
    assertEquals(violations([...way, ["kernels/run/c.zig", ""]], zig), []);
    const inside = ["kernels/run/step/x.zig", ""];
    one(violations([["kernels/run/step.zig", ""], inside], zig), /kernels\/run\/step.zig: stands beside a folder/);
    assertEquals(violations([["kernels/run/other.zig", ""], inside], zig), []);
  });

  /** A function of so many statements, and two lines. */
  const zigFunction = (returns: string, statements: number, parameters = 0) =>
    `//! A.\nfn f(${"a: u32, ".repeat(parameters)}) ${returns} {\n${"    x;\n".repeat(statements)}}\n`;

  it("find long files and functions, files without a beginning, a runtime's name, and cited papers", () => {
    const begin = "/**\n * A file.\n */\n";
    one(styleViolations([["src/a.ts", begin + "x;\n".repeat(301)]]), /301 lines of code, 300/);
    assertEquals(styleViolations([["src/a.ts", begin + "// a comment\n\n".repeat(301)]]), []);
    one(styleViolations([["test/a.ts", begin + "x;\n".repeat(401)]]), /401 lines of code, 400/);
    one(styleViolations([["kernels/a.zig", "//! A.\n" + "x;\n".repeat(501)]]), /501 lines of code, 500/);
    one(styleViolations([["kernels/a.zig", zigFunction("void", 69)]]), /f has 71 lines, 70/);
    assertEquals(styleViolations([["kernels/a.zig", zigFunction("type", 69)]]), []);
    one(styleViolations([["kernels/a.zig", zigFunction("void", 1, 7)]]), /f has 7 parameters, 6/);
    assertEquals(styleViolations([["kernels/a.zig", zigFunction("void", 68, 6)]]), []);
    one(styleViolations([["src/a.ts", "const x = 1;\n"]]), /open with a comment/);
    one(styleViolations([["src/a.ts", begin + "Deno.exit();\n"]]), /names a runtime/);
    one(styleViolations([["src/a.ts", begin + 'import "bun:ffi";\n']]), /names a runtime/);
    one(styleViolations([["kernels/a.zig", "const x = 1;\n"]]), /open with a comment/);
    const options = (comment: string) => `${begin}/** ${comment} */\nexport interface AOptions {}\n`;
    one(styleViolations([["src/a.ts", options("What may be said.")]]), /AOptions doesn't open with "Options for"/);
    assertEquals(styleViolations([["src/a.ts", options("Options for a.")]]), []);
    one(styleViolations([["docs/a.md", `Waits for ${"nobody"}.`]]), /name the thing/);
    one(styleViolations([["docs/a.md", `See ${"DESIGN"} 4.`]]), /cites a design/);
    one(styleViolations([["src/a.ts", `${begin}// (${"gguf"}.md 6)\n`]]), /cites a page about GGUF/);
    assertEquals(styleViolations([["src/a.ts", `${begin}// docs/design/${"gguf"}.md\n`]]), []);
    one(styleViolations([["models/README.md", `cd ${".."}/shared`]]), /knows where the kit lies/);
    assertEquals(styleViolations([["src/a.ts", begin + '// as Deno.exit does\nconst x = "Bun.version";\n']]), []);
  });

  it("find long functions of the product, and functions with many parameters", () => {
    const found: string[] = [];
    const visit = (rule: keyof typeof house.rules, filename: string, text: string, params = 0) => {
      const report = ({ message }: { message: string }) => found.push(message);
      const visitor = house.rules[rule].create({ filename, sourceCode: { text }, report });
      for (const see of Object.values(visitor)) see({ range: [0, text.length], params: Array(params).fill({}) });
      return found.splice(0);
    };
    assertEquals(visit("function-lines", "/x/src/a.ts", "\n".repeat(70)), ["71 lines; a function has at most 70"]);
    assertEquals(visit("function-lines", "/x/src/a.ts", "\n".repeat(69)), []);
    assertEquals(visit("function-lines", "/x/test/a.ts", "\n".repeat(70)), []);
    assertEquals(visit("parameters", "/x/test/a.ts", "", 7), ["7 parameters; a function has at most 6"]);
    assertEquals(visit("parameters", "/x/test/a.ts", "", 6), []);
  });

  it("find native code that asserts too little", () => {
    const room = (assertions: number) => [
      ["kernels/run/a.zig", "//! A file.\n" + "const x = 1;\n".repeat(60) + "assert(x == 1);\n".repeat(assertions)],
      ["kernels/run/a_test.zig", "assert(false);\n".repeat(9)],
      ["kernels/op/b.zig", "const x = 1;\n".repeat(200)],
    ];
    one(assertionViolations(room(1)), /kernels\/run\/: 1 assertions in 61 lines/);
    assertEquals(assertionViolations(room(2)), []);
  });

  it("find a library that is too large", () => {
    one(libraryViolations(new Uint8Array(bytesMost + 1), "darwin"), new RegExp(`${bytesMost + 1} bytes`));
    assertEquals(libraryViolations(new Uint8Array(bytesMost), "darwin"), []);
  });

  it("find a library that needs more than libc", { skip: process.platform !== "linux" }, () => {
    const ours = readFileSync(library);
    assertEquals(libraryViolations(ours), []);
    const { needed, imports } = readElf(ours);
    assert(needed.includes("libc.so.6") && imports.includes("malloc"), `${needed}; ${imports}`);
    const change = (from: string, to: string) => {
      const bytes = Buffer.from(ours);
      const at = bytes.indexOf(`\0${from}\0`);
      assert(at >= 0, from);
      bytes.write(`\0${to}\0`, at, "latin1");
      return bytes;
    };
    one(libraryViolations(change("libc.so.6", "libm.so.6")), /needs libm\.so\.6/);
    one(libraryViolations(change("malloc", "expf")), /imports expf/);
  });

  it("find a lock file that only fits the machine that wrote it", () => {
    const manifest = { dependencies: {}, devDependencies: {}, optionalDependencies: { tool: "1.0.0" } };
    const entry = { version: "1.0.0", optional: true, os: ["linux"] };
    const lock = (packages: Record<string, unknown>) => ({
      packages: {
        "": { optionalDependencies: { tool: "1.0.0" } },
        "node_modules/tool": { version: "1.0.0", optionalDependencies: { "tool-mac": "1.0.0" } },
        ...packages,
      },
    });
    assertEquals(lockViolations(lock({ "node_modules/tool-mac": entry }), manifest), []);
    one(lockViolations(lock({}), manifest), /tool-mac is missing/);
    const resolved = "https://mirror.example/tool-mac.tgz";
    one(lockViolations(lock({ "node_modules/tool-mac": { ...entry, resolved } }), manifest), /mirror\.example/);
  });
});
