/**
 * The template language beside Python's: generated templates with the results that jinja2 gave, and what the generator
 * cannot reach.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { type ChatMessage, ChatTemplate, type JsonValue, LightGPTError, UnsupportedError } from "../mod.ts";
import { dataDirectory, readJson } from "./kit.ts";

const now = new Date(2026, 0, 15, 12);

interface Generated {
  variables: Record<string, JsonValue> & { messages: ChatMessage[] };
  cases: [source: string, result: string | null][];
}

describe("templates that a generator made", () => {
  const { variables: { messages, ...variables }, cases } = readJson<Generated>(dataDirectory, "jinja2.json");

  it(`give jinja2's result in ${cases.length} cases, or fail as it does`, async () => {
    for (const [source, expected] of cases) {
      let result: string | null;
      try {
        result = (await ChatTemplate.parse(source)).render(messages, { variables, now });
      } catch (error) {
        if (!(error instanceof LightGPTError)) throw error;
        // What is refused by name Python may render; the list of such things is in docs/design/text.md.
        if (error instanceof UnsupportedError) continue;
        result = null;
      }
      assertEquals(result, expected, source);
    }
  });
});

describe("the template language", () => {
  const render = async (source: string, variables: Record<string, JsonValue> = {}) =>
    (await ChatTemplate.parse(source)).render([], { variables, now });

  it("refuses by name what it does not have, where it is reached", async () => {
    const refused = [
      "{% include 'x' %}",
      "{% import 'x' as y %}",
      "{% from 'x' import y %}",
      "{% extends 'x' %}",
      "{% autoescape true %}{% endautoescape %}",
      "{{ lipsum() }}",
      "{{ [1]|random }}",
      "{{ 'x'|urlize }}",
      "{{ 'x'|pprint }}",
      "{{ 'x'|striptags }}",
      "{{ 'x'|wordwrap }}",
      "{{ 'x'.encode() }}",
      "{{ 2 ** 0.3 }}",
      "{{ range }}",
      "{{ [1]|map('upper') }}",
    ];
    for (const source of refused) {
      const template = await ChatTemplate.parse(source);
      assertThrows(() => template.render([]), UnsupportedError, "not supported", source);
      assertEquals(await render(`{% if false %}${source}{% endif %}x`), "x");
    }
  });

  it("says in which line a template fails, and how", async () => {
    const cases: [string, string][] = [
      ["a\n{{ x.y }}", "line 2: UndefinedError: 'x' is undefined"],
      ["{% if true %}\n\n{{ 1 + 'a' }}{% endif %}", "line 3: TypeError: unsupported operand"],
      ["{{ {}.pop() }}", "SecurityError: access to attribute 'pop' of 'dict' object is unsafe"],
      ["{{ ''.__class__.x }}", "SecurityError"],
      ["{{ [1, 2]|join(x=1) }}", "unexpected keyword argument 'x'"],
    ];
    for (const [source, message] of cases) {
      const template = await ChatTemplate.parse(source);
      assertThrows(() => template.render([]), LightGPTError, message, source);
    }
    await ChatTemplate.parse("{{ 1 }}\n{% for %}").then(
      () => assertEquals("parsed", "refused"),
      (error) => assertEquals(error.message.includes("(line 2)"), true, error.message),
    );
  });

  it("reads strings, numbers and names as Python does", async () => {
    assertEquals(await render(String.raw`{{ 'a\x41\u00e9\101\n\q\'' "b" }}`), "aA\u00e9A\n\\q'b");
    assertEquals(
      await render("{{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }} {{ 2 ** 70 }}"),
      "1000 31 5 15 1500.0 1180591620717411303424",
    );
    assertEquals(await render("{{ größe }}", { größe: 2 }), "2");
    assertEquals(await render("{{ a.0.1 }}", { a: [[1, 2]] }), "2");
    assertEquals(await render("{{ n }} {{ f }} {{ b }}", { n: 1e20, f: 1e21, b: -0 }), "100000000000000000000 1e+21 0");
  });

  it("finds variables where jinja2 finds them", async () => {
    assertEquals(
      await render("{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}"),
      "15151",
    );
    assertEquals(await render("{% if true %}{% set x = 2 %}{% endif %}{{ x }}"), "2");
    assertEquals(await render("{% macro f() %}{{ x }}{% endmacro %}{% set x = 3 %}{{ f() }}"), "3");
    assertEquals(await render("{% macro f() %}[{{ x }}]{% endmacro %}{{ f() }}{% set x = 3 %}", { x: 9 }), "[]");
    assertEquals(
      await render("{% for i in [1] %}{% block b %}{{ i }}{{ y }}{% endblock %}{% endfor %}", { y: 4 }),
      "4",
    );
    assertEquals(await render("{% for i in [1] %}{% block b scoped %}{{ i }}{% endblock %}{% endfor %}"), "1");
    assertEquals(await render("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}"), "3False");
  });

  it("loops as jinja2 does", async () => {
    assertEquals(await render("{% for i in [1] %}{% break %}{% else %}E{% endfor %}"), "E");
    assertEquals(
      await render(
        "{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is iterable else i ~ loop.depth }}{% endfor %}",
      ),
      "112233",
    );
    assertEquals(await render("{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %}"), "x1");
    assertEquals(
      await render("{% for i in range(9) if i is odd %}{{ loop.index }}{{ loop.last }}{% endfor %}"),
      "1False2False3False4True",
    );
  });
});
