/**
 * Option schemas: what they refuse and how they say it, the defaults, "did you mean", and the flags of the command that come
 * from them.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type BatcherOptions, type GenerateOptions, InvalidArgumentError, LightGPT, Sampler } from "../mod.ts";
import { helpText } from "../cli/help.ts";
import { COMMANDS, parseCommand } from "../cli/options.ts";
import { optionsFrom } from "../cli/flags.ts";
import { samplingOptions } from "../cli/sampling.ts";
import { batcherFields } from "../src/batching/options.ts";
import { generateFields } from "../src/batching/request_options.ts";
import { lightGptFields } from "../src/lightgpt/options.ts";
import {
  abortSignal,
  boolean,
  choice,
  type FieldsOf,
  group,
  integer,
  number,
  readOptions,
  text,
} from "../src/options/schema.ts";
import type { Fields, Option } from "../src/options/schema.ts";
import { editDistance, nearestName } from "../src/options/suggest.ts";
import { repository } from "./kit.ts";

interface Inner {
  readonly size?: number;
  readonly name: string;
}

interface Outer {
  readonly count?: number;
  readonly share?: number;
  readonly mode?: "slow" | "fast";
  readonly isOn?: boolean;
  readonly inner?: Inner;
  readonly signal?: AbortSignal;
}

const inner = {
  size: integer({ about: "A size.", least: 1, most: 9, default: 5 }),
  name: text({ about: "A name.", required: true }),
} as const satisfies FieldsOf<Inner>;

const outer = {
  count: integer({ about: "A count.", least: 0, most: 10, default: 3 }),
  share: number({ about: "A share.", above: 0, most: 1 }),
  mode: choice(["slow", "fast"], { about: "A mode.", default: "slow" }),
  isOn: boolean({ about: "Whether it is on." }),
  inner: group<Inner>()(inner, { about: "More." }),
  signal: abortSignal("Ends it."),
} as const satisfies FieldsOf<Outer>;

/** The error of reading `options`. */
function refused(options: unknown): InvalidArgumentError {
  return assertThrows(() => readOptions(outer, options), InvalidArgumentError) as InvalidArgumentError;
}

describe("a schema", () => {
  it("gives the defaults of what is absent, and what was given of the rest", () => {
    const none = {
      count: 3,
      share: undefined,
      mode: "slow" as const,
      isOn: undefined,
      inner: undefined,
      signal: undefined,
    };
    assertEquals(readOptions(outer, {}), none);
    assertEquals(readOptions(outer, { count: undefined }), none);
    assertEquals(readOptions(outer, { count: 0, inner: { name: "x" } }), {
      ...none,
      count: 0,
      inner: { size: 5, name: "x" },
    });
  });

  it("refuses every other value by the option's name, and says what would be right", () => {
    const cases: readonly [unknown, string, string][] = [
      [{ count: 11 }, "count", "an integer from 0 to 10"],
      [{ count: "3" }, "count", "an integer from 0 to 10"],
      [{ count: null }, "count", "an integer from 0 to 10"],
      [{ share: 0 }, "share", "a number above 0 and at most 1"],
      [{ share: NaN }, "share", "a number above 0 and at most 1"],
      [{ mode: "fas" }, "mode", '"slow" or "fast"'],
      [{ isOn: "false" }, "isOn", "a boolean"],
      [{ inner: {} }, "inner.name", "a string"],
      [{ inner: { name: "x", size: 0 } }, "inner.size", "an integer from 1 to 9"],
      [{ inner: [] }, "inner", "an object"],
      [{ signal: { aborted: false } }, "signal", "an AbortSignal"],
      [[], "options", "an object"],
      [null, "options", "an object"],
      [Promise.resolve({}), "options", "an object"],
      [new Map(), "options", "an object"],
      [new Uint8Array(2), "options", "an object"],
      ["x", "options", "an object"],
    ];
    for (const [options, where, expected] of cases) {
      const { detail, message } = refused(options);
      assertEquals([detail.where, detail.expected], [where, expected], message);
    }
  });

  it("names the option whose getter throws, and an object that cannot be looked at", () => {
    const thrown = new RangeError("mine");
    const getter = refused(Object.defineProperty({}, "count", {
      enumerable: true,
      get: () => {
        throw thrown;
      },
    }));
    assertEquals([getter.detail.where, getter.cause], ["count", thrown]);
    const proxy = new Proxy({}, {
      ownKeys: () => {
        throw thrown;
      },
    });
    assertEquals([refused(proxy).detail.where, refused(proxy).cause], ["options", thrown]);
    assertEquals(refused({ inner: proxy }).detail.where, "inner");
    const named = refused({
      count: {
        get constructor() {
          throw thrown;
        },
      },
    });
    assertEquals(named.detail.where, "count");
  });

  it("keeps a message short, however long the value is", () => {
    const long = refused({ mode: "x".repeat(1 << 20) }).message;
    assert(long.length < 300, `${long.length}`);
    const name = refused({ ["y".repeat(1 << 20)]: 1 }).message;
    assert(name.length < 400, `${name.length}`);
  });
});

describe("did you mean", () => {
  it("finds the name that differs least, whatever its case, dashes and underscores", () => {
    const known = ["temperature", "topK", "topP", "maxTokens", "stop"];
    const cases: readonly [string, string | undefined][] = [
      ["temprature", "temperature"],
      ["max_tokens", "maxTokens"],
      ["max-token", "maxTokens"],
      ["MAXTOKENS", "maxTokens"],
      ["top_p", "topP"],
      ["sotp", "stop"],
      ["grammar", undefined],
      ["x".repeat(1000), undefined],
    ];
    for (const [name, expected] of cases) assertEquals(nearestName(name, known), expected, name);
  });

  it("counts letters that are missing, too many, wrong or swapped", () => {
    const distances = [["", "ab"], ["ab", "ab"], ["ab", "ba"], ["abc", "ac"], ["abc", "axc"], ["kitten", "sitting"]];
    assertEquals(distances.map(([from = "", to = ""]) => editDistance(from, to)), [2, 0, 1, 1, 1, 3]);
  });

  it("answers a misspelt option, and one that belongs into a group", () => {
    const misspelt = refused({ cuont: 1 });
    assertStringIncludes(misspelt.message, 'unknown option "cuont"; did you mean "count"?');
    assertEquals(misspelt.detail.where, "cuont");
    assertStringIncludes(refused({ size: 1 }).message, 'unknown option "size"; it belongs in inner: { size }');
    assertStringIncludes(refused({ zebra: 1 }).message, "there are count, share, mode, isOn, inner, signal.");
  });

  it("sends temperature at the top level to sampling, and a cache's size to cache", async () => {
    await using lm = await LightGPT.load();
    const misplaced = { temperature: 0.5 } as GenerateOptions;
    const error = await lm.complete("x", misplaced).catch((error) => error);
    assertStringIncludes(error.message, "it belongs in sampling: { temperature }");
    const misspelt = { sampling: { tempreature: 1 } } as GenerateOptions;
    assertStringIncludes(
      (await lm.complete("x", misspelt).catch((error) => error)).message,
      'did you mean "temperature"?',
    );
    assertThrows(
      () => readOptions(lightGptFields, { policy: "lru" } as BatcherOptions),
      InvalidArgumentError,
      "it belongs in cache: { policy }",
    );
    assertThrows(() => new Sampler({ top_k: 4 } as never), InvalidArgumentError, 'did you mean "topK"?');
  });
});

describe("the command's flags", () => {
  it("come from the schemas: names, ranges, choices and defaults", () => {
    const { options } = COMMANDS.run;
    assertEquals(options.threads.expected, "an integer from 1 to 256");
    assertEquals(options.kv.choices, ["f16", "f32", "q8_0"]);
    for (const name of ["temperature", "top-k", "repeat-penalty", "dry-base", "memory", "max-tokens"]) {
      assert(name in options, name);
    }
    const help = helpText("run");
    for (const text of ["(default: f16)", "(default: 64)", "(default: 0.95; with mirostat 1)"]) {
      assertStringIncludes(help, text);
    }
  });

  it("say what they do in the words of the terminal, without the schema's own", () => {
    for (const [command, { options }] of Object.entries(COMMANDS)) {
      for (const [name, { about }] of Object.entries(options)) {
        assert(/^([a-z0-9"]|XTC |XTC: |DRY )/.test(about) && !about.endsWith("."), `${command} --${name}: ${about}`);
      }
    }
  });

  it("become options again", () => {
    const words = [
      "x",
      "--threads",
      "2",
      "--kv",
      "q8_0",
      "--max-tokens",
      "7",
      "--memory",
      "2GiB",
      "--repeat-penalty",
      "1.2",
    ];
    const args = parseCommand("run", [...words, "--allow-unknown-pre-tokenizer", "--logit-bias", "5+1", "--seed", "3"]);
    assertEquals(optionsFrom(args, batcherFields), { threads: 2, kv: "q8_0" });
    assertEquals(optionsFrom(args, lightGptFields), {
      threads: 2,
      kv: "q8_0",
      memory: "2GiB",
      allowUnknownPreTokenizer: true,
    });
    assertEquals(optionsFrom(args, { maxTokens: generateFields.maxTokens }), { maxTokens: 7 });
    assertEquals(samplingOptions(args), { penalties: { repetition: 1.2 }, bias: new Map([[5, 1]]), seed: 3n });
  });

  it("that are misspelt are answered with the nearest", () => {
    for (
      const [word, meant] of [["--temp", "--temperature"], ["--max-token", "--max-tokens"], ["--thread", "--threads"]]
    ) {
      assertThrows(() => parseCommand("run", [word as string, "1"]), Error, `did you mean ${meant}?`);
    }
  });
});

describe("documented defaults", () => {
  it("are those of the schemas", async () => {
    const found = await documentedOptions();
    assert(found.length > 60, `${found.length} options`);
    const wrong = found.filter(({ documented, option }) => {
      const value = (option as Partial<Option<unknown, unknown>>).default;
      const isConstant = value !== undefined && option.otherwise === String(value);
      return isConstant && documented !== undefined && plain(documented) !== plain(String(value));
    });
    assertEquals(wrong.map(({ name, documented, option }) => `${name}: ${documented}, not ${option.otherwise}`), []);
    const missing = found.filter(({ documented, option }) =>
      option.otherwise !== undefined && documented === undefined && !option.isRequired
    );
    assertEquals(missing.map(({ name }) => name), [], "a default that the type does not tell");
  });
});

/** A default without quotes and separators of thousands. */
function plain(text: string): string {
  return text.replace(/["_ ]/g, "");
}

/** Every option of a type whose schema says that it is one's, with the default that its comment has. */
async function documentedOptions() {
  const paths = readdirSync(join(repository, "src"), { recursive: true }).map(String)
    .filter((path) => path.endsWith(".ts") && !path.startsWith("options"));
  const sources = new Map(paths.map((path) => [path, readFileSync(join(repository, "src", path), "utf8")]));
  const found = [];
  for (const [path, source] of sources) {
    const schemas = source.matchAll(/^\/\*\* The schema of \{@link (\w+)\}[^\n]*\n(?:export )?const (\w+Fields)\b/gm);
    for (const { 1: type, 2: name } of schemas) {
      const module = await import(join(repository, "src", path)) as Record<string, unknown>;
      const exported = module[name as string];
      const fields = (typeof exported === "function" ? exported() : exported) as Fields | undefined;
      for (const [option, declared] of Object.entries(fields ?? {})) {
        const documented = defaultIn(sources.values(), type as string, option);
        if (documented.isFound) {
          found.push({ name: `${type}.${option}`, option: declared, documented: documented.value });
        }
      }
    }
  }
  return found;
}

/** The `@default` of an option in the declaration of its type. */
function defaultIn(sources: Iterable<string>, type: string, option: string): { isFound: boolean; value?: string } {
  for (const source of sources) {
    const [, body] = new RegExp(`^export interface ${type}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, "m").exec(source) ?? [];
    const [, comment] =
      new RegExp(`((?:  /\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/\\n))  readonly ${option}\\?`).exec(body ?? "") ?? [];
    if (comment === undefined) continue;
    const [, value] = /@default \{(.*)\}/.exec(comment) ?? [];
    return value === undefined ? { isFound: true } : { isFound: true, value };
  }
  return { isFound: false };
}
