/**
 * Templates for tests of tools: those of the kit, each with a vocabulary of all bytes and the control tokens that it writes.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "../mod.ts";
import { AdaptedTemplate } from "../src/text/chat/adapted_template.ts";
import type { FormatSource } from "../src/tools/find_format.ts";
import type { Render } from "../src/tools/types.ts";
import { byteLevel, KIND, metadataOnly, u32 } from "./models.ts";

/** What looks like a control token in the text of a template. */
const marks =
  /<[|｜][^<>|｜\s]+[|｜]>|<[|][^<>|]+>|<[^<>|]+[|]>|\[\/?[A-Z_]+\]|<\/?[a-z_:]+>|\[e~\[|\]~b\]|<SPECIAL_\d+>|<[|]"[|]>/g;

/** A vocabulary of all bytes and some control tokens, of which `<EOS>` ends a text. */
export function vocabularyWith(controls: readonly string[]): Promise<Tokenizer> {
  const specials = ["<BOS>", "<EOS>", ...new Set(controls)].map((text) => ({ text, kind: KIND.control }));
  const ids = { "tokenizer.ggml.bos_token_id": u32(256), "tokenizer.ggml.eos_token_id": u32(257) };
  return loadTokenizer(metadataOnly(byteLevel([], specials, ids)));
}

/** A template with a vocabulary of its own. */
export async function templateOf(template: string, controls: readonly string[] = []): Promise<FormatSource> {
  const served = await AdaptedTemplate.read(template);
  const tokens = { bos_token: "<BOS>", eos_token: "<EOS>" };
  const render: Render = (messages, options) => served.runs(messages, { ...options, tokens });
  return { template, render, tokenizer: await vocabularyWith([...template.match(marks) ?? [], ...controls]) };
}

/** The templates of a part of the kit by their names, each text once. */
export function templatesIn(directory: string): Map<string, string> {
  const names = readdirSync(directory).filter((name) => name.endsWith(".jinja"));
  const byText = new Map(
    names.map((name) => [readFileSync(join(directory, name), "utf8"), name.replace(".jinja", "")]),
  );
  return new Map(Array.from(byText, ([text, name]) => [name, text]));
}

const begin = '{% if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif %}';
const message = '{{ "<|im_start|>" + m.role + "\\n" + m.content }}';
const calls = "{% for c in m.tool_calls or [] %}";
const jsonCall = '{{ "<tool_call>\\n{\\"name\\": \\"" + c.function.name + "\\", \\"arguments\\": " }}' +
  '{{ c.function.arguments | tojson }}{{ "}\\n</tool_call>" }}';
const ends = '{% endfor %}{{ "<|im_end|>\\n" }}{% endfor %}';

/** Templates of our own, one for each kind of arguments. */
export const own = {
  json: `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}${message}${calls}` +
    `{% if m.content or not loop.first %}{{ "\\n" }}{% endif %}${jsonCall}${ends}${begin}`,
  tagged: `{% for m in messages %}${message}${calls}<call={{ c.function.name }}>` +
    '{% for k, v in c.function.arguments.items() %}{{ "\\n<arg=" + k + ">" }}' +
    '{{ v if v is string else v | tojson }}</arg>{% endfor %}{{ "\\n</call>" }}' +
    `${ends}${begin}`,
  // As Llama 4's pythonic template does: a list of calls, their values as JSON.
  pythonic: `{% for m in messages %}${message}{% if m.tool_calls %}[${calls}{% if not loop.first %}, {% endif %}` +
    "{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{% if not loop.first %}, {% endif %}" +
    "{{ k }}={{ v | tojson }}{% endfor %}){% endfor %}]{% endif %}" + `{{ "<|im_end|>\\n" }}{% endfor %}${begin}`,
  // As Functionary's does: each part of a turn is headed by whom it is for, and the prompt begins the first one.
  headed: "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}" +
    "{% if m.content or not m.tool_calls %}>>>all\n{{ m.content }}{% endif %}" +
    `${calls}{{ ">>>" + c.function.name + "\n" + c.function.arguments }}{% endfor %}` +
    '{% else %}{{ m.content }}{% endif %}{{ "<|im_end|>\n" }}{% endfor %}' +
    '{% if add_generation_prompt %}{{ "<|im_start|>assistant\n>>>" }}{% endif %}',
  // As DeepSeek's first ones: arguments are a text, and calls are shown only where there is no content.
  alone: "{% for m in messages %}{% if m.content is none %}<|calls_begin|>{% for c in m.tool_calls %}" +
    "<|call_begin|>{{ c.function.name + '\n' + c.function.arguments }}<|call_end|>{% endfor %}<|calls_end|>" +
    "{% else %}{{ m.role + ': ' + m.content }}{% endif %}<EOS>{% endfor %}" +
    "{% if add_generation_prompt %}assistant: {% endif %}",
  // As gpt-oss has it: thoughts are a message of their own, and a call names its tool before its channel.
  harmony: "{% for m in messages %}{% if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>" +
    "{{ m.thinking }}<|end|>{% endif %}{% if m.tool_calls %}{% set c = m.tool_calls[0] %}" +
    "<|start|>assistant to=functions.{{ c.function.name }}<|channel|>commentary json<|message|>" +
    "{{ c.function.arguments | tojson }}<|call|>{% elif m.role == 'assistant' %}" +
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>" +
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}" +
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
  thinking: '{% for m in messages %}{{ "<|im_start|>" + m.role + "\\n" }}' +
    '{% if m.reasoning_content %}{{ "<think>\\n" + m.reasoning_content + "\\n</think>\\n\\n" }}{% endif %}' +
    `{{ m.content }}${calls}${jsonCall}${ends}${begin}{% if add_generation_prompt %}{{ "<think>\\n" }}{% endif %}`,
} as const;
