/**
 * Templates that mean harm: some by hand, more by a generator, and mutations of published ones. Each has to end at once, by
 * its text or by an error.
 *
 * @module
 */
import type { ChatMessage } from "../mod.ts";

/** A conversation with a bit of everything. */
export const conversation: ChatMessage[] = [
  { role: "system", content: "Be terse." },
  { role: "user", content: "What is the weather in Zürich? 😀" },
  {
    role: "assistant",
    content: "",
    tool_calls: [{
      id: "call12345",
      type: "function",
      function: { name: "weather", arguments: { town: "Zürich", days: 2 } },
    }],
  },
  { role: "tool", tool_call_id: "call12345", name: "weather", content: '{"t": 3.0}' },
  { role: "user", content: "Thanks." },
];

/** Templates that would run, grow or nest without end. */
export const hostile: readonly string[] = [
  "{% for a in range(1000000000) %}{% endfor %}",
  "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
  "{% for a in range(100000) %}{{ a }}{% endfor %}".repeat(20),
  "{% set ns = namespace(x='ab') %}{% for a in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
  "{% set ns = namespace(x='ab') %}{% for a in range(64) %}{% set ns.x = ns.x ~ messages[1].content ~ ns.x %}{% endfor %}{{ ns.x }}",
  "{% set ns = namespace(x=[1]) %}{% for a in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
  "{% set ns = namespace(x='aaaa') %}{% for a in range(9) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}",
  "{% set ns = namespace(x='aaaa') %}{% for a in range(9) %}{% set ns.x = ns.x | replace('', ns.x) %}{% endfor %}",
  "{{ 'a\nb' | indent(1000000000) }}",
  "{{ messages | tojson(indent=100000000) }}",
  "{{ 'a' * 1000000000 }}{{ [1] * 1000000000 }}{{ 'x' | center(1000000000) }}{{ 'x'.zfill(1000000000) }}",
  "{{ '%1000000000d' % 1 }}",
  "{{ '{:1000000000}'.format(1) }}",
  "{{ '%.999999f' % 1.5 }}".repeat(100),
  "{{ 2 ** 1000000000 }}",
  "{% set ns = namespace(x=3) %}{% for a in range(64) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
  "{% set ns = namespace(x=10) %}{% for a in range(90000) %}{% set ns.x = ns.x * 7 %}{% endfor %}{{ ns.x }}",
  "{% for a in range(100000) %}{% set b = ('9' * 4000) | int %}{% endfor %}",
  "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
  "{% macro f(x) %}{{ caller() }}{{ f(x) }}{% endmacro %}{% call f(1) %}a{% endcall %}",
  "{% for a in [[[[[[[[]]]]]]]] recursive %}{{ loop([a, a]) }}{% endfor %}",
  "{% set ns = namespace(x=[]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
  "{% set ns = namespace(x=[]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
  "{% set ns = namespace(x=[], y=[]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}" +
  "{{ ns.x == ns.y }}",
  "{% set ns = namespace(x=()) %}{% for a in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
  "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
  "{% set x = range(2000) | join(range(100000) | join('x')) %}{{ x }}",
  "{% for a in range(100000) %}{% set x = messages | tojson | upper | lower | title %}{% endfor %}",
  "{% set s = 'ab😀' * 100000 %}{% for a in range(100000) %}{{ s[a] }}{% endfor %}",
  "{% set s = 'a' * 100000 %}{% for a in range(100000) %}{% if s == 'a' * 100000 %}{% endif %}{% endfor %}",
  "{% set s = 'a' * 2000000 %}{% for a in range(90000) %}{% if (s ~ 'b').startswith('x') %}{% endif %}{% endfor %}",
  "{% set s = ' a' * 1000000 %}{% for a in range(90000) %}{% if s.strip().startswith('x') %}{% endif %}{% endfor %}",
  "{% set s = ' 😀' * 700000 %}{% for a in range(90000) %}{% if s.strip()[0] == 'x' or s.strip() is sequence %}{% endif %}{% endfor %}",
  "{% set s = ' 😀' * 700000 %}{% for a in range(90000) %}{% for b in s.strip() %}{{ loop.length }}{% break %}{% endfor %}{% endfor %}",
  "{% set s = 'ab' * 1000000 %}{% for a in range(90000) %}{% set b = s.removeprefix('a') %}{% set c = b[5:] %}{{ c|first }}{% endfor %}",
  "{% set s = ' ' * 100000 %}{% for a in range(100000) %}{% set b = s.strip() %}{% endfor %}",
  "{% set s = 'a b ' * 20000 %}{% for a in range(1000) %}{% set b = s.split() %}{% endfor %}",
  "{% set s = 'a' * 50000 %}{% for a in range(1000) %}{% set b = (s ~ 'b') in (s ~ s) %}{% endfor %}",
  "{% for a in range(100000) | sort(reverse=true) %}{{ range(100000) | list | sort | unique | list | length }}{% endfor %}",
  "{% set d = dict.fromkeys(range(100000)) %}{% for a in range(100) %}{% set e = dict(d) %}{% endfor %}",
  "{{ " + "(".repeat(2000) + "1" + ")".repeat(2000) + " }}",
  "{{ " + "not ".repeat(5000) + "1 }}",
  "{{ " + "[".repeat(50_000),
  "{{ 1" + " + 1".repeat(30_000) + " }}",
  "{{ a" + ".b".repeat(30_000) + " }}",
  "{{ a" + "|upper".repeat(30_000) + " }}",
  "{% if a %}".repeat(20_000),
  "{% for a in b %}".repeat(10_000) + "{% endfor %}".repeat(10_000),
  "{% if a %}{% set b = c %}{% else %}{% set d = e %}{% endif %}".repeat(4000),
  Array.from({ length: 10_000 }, (_, at) => `{% if a %}{% set b${at} = c %}{% endif %}`).join(""),
  "{% if a %}x" + "{% elif b %}y".repeat(15_000) + "{% endif %}",
  "{{ a }}".repeat(35_000),
  "{% macro f() %}".repeat(100) + "{{ caller }}".repeat(1000) + "{% endmacro %}".repeat(100),
  " ".repeat(131_072),
  " ".repeat(100_000) + "{%- if 1 %}x{% endif %}",
  ("{{ 'a' }}" + " ".repeat(1000)).repeat(200),
  "\n".repeat(200_000),
  "{%".repeat(100_000),
  "{{".repeat(100_000),
  "{#".repeat(100_000),
  "{% raw %}" + "{% ".repeat(80_000),
  "{% raw %}" + ("{%" + " ".repeat(1000)).repeat(200),
  "{{ '" + "\\".repeat(200_000) + "' }}",
  "{{ " + "1_".repeat(100_000) + "1 }}",
  "x".repeat(2 ** 20),
];

const textFilters =
  ("upper lower title trim replace('a','bb') replace('','x') indent(999) center(9999) urlencode escape safe " +
    "truncate(500) capitalize string").split(" ");
const textMethods =
  ("strip() replace('a',ns.x) zfill(9999) expandtabs(999) rjust(9999) casefold() swapcase() title() upper() " +
    "join(ns.l) format(ns.x) translate({97:ns.x}) partition('a')[0] split()[0]").split(" ");
const listFilters = ("sort unique|list reverse|list list map('string')|list batch(3)|list slice(9)|list select|list " +
  "map('upper')|list").split(" ");
const loops = ["range(99999)", "range(9)", "ns.l", "messages", "ns.x", "messages[1].content", "messages[2].items()"];

/** A template that grows and repeats whatever it can; its expressions have the types that they need. */
export function hostileTemplate(below: (count: number) => number): string {
  const pick = (list: readonly string[]) => list[below(list.length)];
  const text = (depth = 0): string => {
    const kind = depth > 4 ? 0 : below(8);
    if (kind === 1) return `(${text(depth + 1)} ~ ${text(depth + 1)})`;
    if (kind === 2) return `${text(depth + 1)}|${pick(textFilters)}`;
    if (kind === 3) return `(${text(depth + 1)}).${pick(textMethods)}`;
    if (kind === 4) return `(${text(depth + 1)} * ${1 + below(50)})`;
    if (kind === 5) {
      return `(${list(depth + 1)})|${pick(["join", "join(ns.x)", "tojson", "tojson(indent=9)", "string"])}`;
    }
    if (kind === 6) return `'%s%9s%r' % (${text(depth + 1)}, ${number(depth + 1)}, ${list(depth + 1)})`;
    return pick(["ns.x", "ns.x", "messages[1].content", "'ab😀'", "messages|tojson"]);
  };
  const list = (depth = 0): string => {
    const kind = depth > 4 ? 0 : below(7);
    if (kind === 1) return `(${list(depth + 1)} + ${list(depth + 1)})`;
    if (kind === 2) return `[${text(depth + 1)}, ${list(depth + 1)}]`;
    if (kind === 3) return `(${text(depth + 1)})|list`;
    if (kind === 4) return `(${text(depth + 1)}).split(${pick(["", "'a'", "' '"])})`;
    if (kind === 5) return `(${list(depth + 1)} * ${1 + below(9)})`;
    if (kind === 6) return `(${list(depth + 1)})|map('string')|${pick(listFilters)}`;
    return pick(["ns.l", "messages", "range(999)|list", "messages[1:]"]);
  };
  const number = (depth = 0): string => {
    const kind = depth > 4 ? 0 : below(4);
    if (kind === 1) return `(${number(depth + 1)} ${pick(["+", "*", "-"])} ${number(depth + 1)})`;
    if (kind === 2) return `(${text(depth + 1)})|length`;
    if (kind === 3) return `(${text(depth + 1)}).count('a')`;
    return pick(["7", "ns.n", "2 ** 60", "2.5"]);
  };
  const statement = (depth: number): string => {
    const kind = depth > 3 ? below(4) : below(9);
    if (kind === 0) return `{% set ns.x = ${text()} %}`;
    if (kind === 1) return `{% set ns.l = ${list()} %}`;
    if (kind === 2) return `{{ ${text()} }}`;
    if (kind === 3) return `{% if ${list()} == ${list()} or ${text()} in ${text()} %}{{ ${number()} }}{% endif %}`;
    if (kind === 4) return `{% macro f(x) %}${statement(depth + 1)}{{ f(ns.x) }}{% endmacro %}{{ f(1) }}`;
    if (kind === 5) {
      return `{% filter ${pick(textFilters)} %}${statement(depth + 1)}${statement(depth + 1)}{% endfilter %}`;
    }
    return `{% for x in ${pick(loops)} %}${statement(depth + 1)}${statement(depth + 1)}{% endfor %}`;
  };
  const first = "{% set ns = namespace(x='ab ', l=['b', 'a'], n=3) %}";
  return first + `{% for y in ${pick(loops)} %}${statement(0)}${statement(0)}{% endfor %}{{ ns.x }}{{ ns.l }}`;
}

const inserts = [
  "{{",
  "}}",
  "{%",
  "%}",
  "{% for x in range(99999) %}",
  "{% endfor %}",
  "{% if x %}",
  "{% endif %}",
  "'",
  '"',
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
  " * 99999",
  "|list",
  "|tojson",
  " ~ messages",
  "{% endmacro %}",
  "{#",
  "-%}",
  "{%- ",
  "messages",
  "\\",
  "999999999",
  ".split('')",
  "\n",
];

/** A template with some of it taken out, doubled, moved or put in. */
export function mutated(source: string, other: string, below: (count: number) => number): string {
  let text = source;
  for (let time = 1 + below(4); time > 0; time--) {
    const [start, length] = [below(text.length + 1), below(below(2) === 0 ? 8 : 400)];
    const part = text.slice(start, start + length);
    switch (below(5)) {
      case 0:
        text = text.slice(0, start) + text.slice(start + length);
        break;
      case 1:
        text = text.slice(0, start) + part + text.slice(start);
        break;
      case 2:
        text = text.slice(0, start) + inserts[below(inserts.length)] + text.slice(start);
        break;
      case 3: {
        const from = below(other.length + 1);
        text = text.slice(0, start) + other.slice(from, from + length) + text.slice(start);
        break;
      }
      default:
        text = text.slice(0, start) + String.fromCharCode(32 + below(95)) + text.slice(start + 1);
    }
  }
  return text;
}
