/**
 * The tokens that end a generated text: those under the metadata keys, and those with a text that is known for it, since files
 * often name the wrong ids or none. Files also often call such tokens normal ones. Here they become control tokens; else a chat
 * template could not write them, and a user's text could.
 *
 * @module
 */
import { LENGTH_BYTES } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { KIND, type Vocabulary } from "./vocabulary.ts";

const TEXTS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|eom_id|>",
  "</s>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<eos>",
  "<end_of_utterance>",
  "<|return|>",
  "<|call|>",
  "<|calls|>",
  "<|flush|>",
  "<turn|>",
  "<|tool_response>",
  "<\uff5cend\u2581of\u2581sentence\uff5c>",
  "[e~[",
  "<|fim_pad|>",
  "<fim_pad>",
  "<fim-pad>",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<|file_sep|>",
]);
/**
 * What tells nearly all other tokens from these: length, second byte and last byte but one. A vocabulary has thousands of tokens in
 * brackets, none of which needs to become a string.
 */
const SIGNATURES: ReadonlySet<number> = new Set(Array.from(TEXTS, (text) => {
  const bytes = new TextEncoder().encode(text);
  return signatureOf(bytes, 0, bytes.length);
}));
/** The last bytes of all of them. */
const BRACKETS = new Uint8Array(256);
for (const text of TEXTS) BRACKETS[text.charCodeAt(text.length - 1)] = 1;

function signatureOf(bytes: Uint8Array, start: number, end: number): number {
  return (end - start) << 16 | bytes[start + 1] << 8 | bytes[end - 2];
}

/**
 * Finds the end tokens of a vocabulary. Those known by their text become control tokens in its `kinds`.
 *
 * @param ids those that the metadata names
 */
export function* claimEndTokens(
  vocabulary: Vocabulary,
  ids: readonly (number | undefined)[],
): Sliceable<ReadonlySet<number>> {
  const tokens = new Set(ids.filter((id) => id !== undefined));
  const known = new Map<string, number>();
  yield* vocabulary.inRanges((from, to) => {
    for (const [token, text] of knownTexts(vocabulary, from, to)) {
      tokens.add(token);
      known.set(text, token);
      vocabulary.kinds[token] = KIND.control;
    }
  });
  // In vocabularies of gpt-oss and Solar, `<|end|>` ends a message, and other tokens end the turn.
  const end = known.get("<|end|>");
  const endsTurns = known.has("<|call|>") && known.has("<|return|>") ||
    known.has("<|calls|>") && known.has("<|flush|>");
  if (end !== undefined && endsTurns && !ids.includes(end)) tokens.delete(end);
  // A vocabulary of Gemma 4 has this one for no end.
  const strange = known.has("<|tool_response>") ? known.get("</s>") : undefined;
  if (strange !== undefined && !ids.includes(strange)) tokens.delete(strange);
  return tokens;
}

/** The tokens of a range that are known for an end by their texts. */
function knownTexts(vocabulary: Vocabulary, from: number, to: number): [token: number, text: string][] {
  const { bytes, starts } = vocabulary.texts;
  const found: [number, string][] = [];
  for (let token = from; token < to; token++) {
    const end = starts[token + 1] - LENGTH_BYTES;
    if (BRACKETS[bytes[end - 1]] === 0 || !SIGNATURES.has(signatureOf(bytes, starts[token], end))) continue;
    const text = vocabulary.text(token);
    if (TEXTS.has(text) && vocabulary.kinds[token] !== KIND.unknown) found.push([token, text]);
  }
  return found;
}
