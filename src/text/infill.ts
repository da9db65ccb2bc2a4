/**
 * Prompts for filling in: the model writes what stands between two texts. Models that were trained for it have three control tokens,
 * which their files name by keys, or by texts that are known for it.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Metadata } from "../files/gguf/read.ts";
import type { EncodeAsyncOptions, Tokenizer } from "./tokenizer/types.ts";

/** The keys of the tokens before a prefix, a suffix and the middle, and the texts that each is known by. */
const marks = {
  prefix: {
    keys: ["fim_pre", "prefix"],
    texts: ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\uff5cfim\u2581begin\uff5c>", "<PRE>", "\u2581<PRE>"],
    others: ["<|code_prefix|>", "<|prefix|>"],
  },
  suffix: {
    keys: ["fim_suf", "suffix"],
    texts: ["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<\uff5cfim\u2581hole\uff5c>", "<SUF>", "\u2581<SUF>"],
    others: ["<|code_suffix|>", "<|suffix|>"],
  },
  middle: {
    keys: ["fim_mid", "middle"],
    texts: ["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<\uff5cfim\u2581end\uff5c>", "<MID>", "\u2581<MID>"],
    others: ["<|code_middle|>", "<|middle|>"],
  },
} as const;

/** What is there before and behind the text that is wanted. */
export interface InfillParts {
  readonly prefix: string;
  readonly suffix: string;
}

/**
 * The tokens of a prompt that a model fills in.
 *
 * @throws {UnsupportedError} if the vocabulary has no tokens for it
 */
export async function infillPrompt(
  { prefix, suffix }: InfillParts,
  { metadata, tokenizer }: { readonly metadata: Metadata; readonly tokenizer: Tokenizer },
  limits: Pick<EncodeAsyncOptions, "signal" | "context"> = {},
): Promise<Uint32Array> {
  const [before, behind, middle] = ["prefix", "suffix", "middle"].map((part) =>
    markOf(part as keyof typeof marks, metadata, tokenizer)
  );
  const encode = (text: string, name: string) => tokenizer.encodeAsync(text, { ...limits, addSpecial: false, name });
  const [first, last] = [await encode(prefix, "prefix"), await encode(suffix, "suffix")];
  const begin = tokenizer.addBos && tokenizer.bos !== undefined ? [tokenizer.bos] : [];
  return Uint32Array.from([...begin, before, ...first, behind, ...last, middle]);
}

function markOf(part: keyof typeof marks, metadata: Metadata, tokenizer: Tokenizer): number {
  const { keys, texts, others } = marks[part];
  for (const key of keys) {
    const id = metadata.get(`tokenizer.ggml.${key}_token_id`);
    if (typeof id === "number") return id;
  }
  if (tokenizer.hasText) {
    for (const text of [...texts, ...others]) {
      const [token, ...more] = tokenizer.encode(text, { addSpecial: false, parseSpecial: true });
      const isToken = token !== undefined && more.length === 0;
      if (isToken && new TextDecoder().decode(tokenizer.piece(token)) === text) return token;
    }
  }
  const key = `tokenizer.ggml.${keys[0]}_token_id`;
  throw new UnsupportedError(
    `suffix: this model cannot fill in: its vocabulary has no token before the ${part} (${key}).`,
    {
      what: "a model that cannot fill in",
      where: "suffix",
      expected: `a model with ${key}, or a token such as ${texts[0]}`,
    },
  );
}
