/**
 * Which of the pre-tokenizers by name (`src/text/tokenizer/pretokenize.ts`) a `tokenizer.json` describes, by the regular
 * expressions in it. Expressions are compared as they are written: another one is another tokenizer.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import { cutsAlike } from "../../text/tokenizer/pretokenize.ts";
import { isObject, type JsonObject } from "./json.ts";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const CASED_REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";

/** Words with digits in groups. */
const words = (digits: string) => `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${REST}`;
/** Words that end where capitals begin. */
const casedWords = (suffix: string, digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${suffix}|${digits}|${CASED_REST}`;

const threeDigits = words("\\p{N}{1,3}");
/** Words with the marks behind their letters. */
const markedWords = words("\\p{N}").replace("?\\p{L}+", "?[\\p{L}\\p{M}]+").replace(
  "^\\s\\p{L}\\p{N}",
  "^\\s\\p{L}\\p{M}\\p{N}",
);
/** Line breaks that end no run of signs. */
const loneBreaks =
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
/** DeepSeek's three expressions: digits, Chinese and Japanese, the rest. */
const DEEPSEEK = [
  "\\p{N}{1,3}",
  "[一-龥\u3040-ゟ゠-ヿ]+",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
];

/** Names by what the steps come to. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["bytes", "gpt-2"],
  ["digits bytes", "starcoder"],
  [`split ${words("\\p{N}")}`, "qwen2"],
  [`split ${casedWords(`${CONTRACTIONS}?`, "\\p{N}{1,3}")}`, "gpt-4o"],
  [`split ${casedWords("", "\\p{N}")}`, "tekken"],
  [`split ${markedWords}`, "qwen35"],
  [`split ${loneBreaks}`, "seed-coder"],
  [DEEPSEEK.map((expression) => `split ${expression}`).join(" "), "deepseek-v3"],
]);

/**
 * The name of a pre-tokenizer, that of the family where it is the same; `wholeWords`: words that are tokens are taken whatever the
 * merges say.
 */
export function preTokenizerName(
  step: unknown,
  wholeWords: boolean,
  { path: where, pre }: { readonly path: string; readonly pre: string | undefined },
  allowUnknown: boolean,
): string {
  const steps = flat(step).map(describe).filter((text) => text !== "").join(" ");
  // Two families have this expression, and differ in whole words.
  const name = steps === `split ${threeDigits}` ? (wholeWords ? "llama-bpe" : "dbrx") : NAMES.get(steps);
  if (name !== undefined) return pre !== undefined && cutsAlike(pre, name) ? pre : name;
  if (allowUnknown) return "default";
  throw new UnsupportedError(
    `${where}: the pre_tokenizer is one that is not known here (${steps.slice(0, 300)}); expected that of ${
      [...NAMES.values()].join(", ")
    } or llama-bpe, or allowUnknownPreTokenizer, with which words are cut by default rules.`,
    { what: "an unknown pre-tokenizer", where: "pre_tokenizer", got: steps.slice(0, 300) },
  );
}

/** The steps of a sequence. */
export function flat(step: unknown): JsonObject[] {
  if (!isObject(step)) return [];
  const inner = step.type === "Sequence" ? step.pretokenizers ?? step.normalizers ?? step.processors : undefined;
  return Array.isArray(inner) ? inner.flatMap(flat) : [step];
}

function describe(step: JsonObject): string {
  if (step.type === "ByteLevel") {
    if (step.add_prefix_space === true) return "bytes with a space before";
    return step.use_regex === false ? "" : "bytes";
  }
  if (step.type === "Digits" && step.individual_digits === true) return "digits";
  const pattern = isObject(step.pattern) ? step.pattern.Regex : undefined;
  if (step.type === "Split" && typeof pattern === "string" && step.behavior === "Isolated" && step.invert !== true) {
    // Some files have line breaks as they are in their expressions, others escape them.
    return `split ${pattern.replaceAll("\r", "\\r").replaceAll("\n", "\\n")}`;
  }
  return JSON.stringify(step);
}
