/**
 * `/tokenize` and `/detokenize`: how many tokens something has, and which.
 *
 * @module
 */
import { boolean, type Fields, other, text } from "../../options/schema.ts";
import { tokenIds } from "../../options/token_ids.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { conversationTokens, readMessages } from "../messages.ts";
import { anything, readBody } from "../names.ts";
import type { Call } from "../types.ts";

/** The fields of a body. */
export const tokenizeNames = {
  model: text({ about: "The model." }),
  prompt: text({ about: "A text." }),
  messages: anything("A conversation, in place of a text."),
  add_special_tokens: boolean({ about: "Whether a text gets what the model wants at its ends.", default: true }),
  return_token_strs: boolean({ about: "Whether the texts of the tokens are told.", default: false }),
} as const satisfies Fields;

/** The tokens of a text or a conversation. */
export async function tokenize(call: Call): Promise<JsonValue> {
  const { given, body } = readBody(tokenizeNames, call.body);
  const { tokenizer, context } = call.served.model;
  if ((body.prompt === undefined) === (given.messages === undefined)) {
    refuse("prompt", "prompt: expected a prompt or messages, one of them.");
  }
  const tokens = body.prompt === undefined
    ? await conversationTokens(call, readMessages(given.messages, call), {})
    : await tokenizer.encodeAsync(body.prompt, { addSpecial: body.add_special_tokens, signal: call.signal });
  const strings = body.return_token_strs
    ? { token_strs: Array.from(tokens, (token) => new TextDecoder().decode(tokenizer.piece(token))) }
    : {};
  return { count: tokens.length, max_model_len: context, tokens: [...tokens], ...strings };
}

/** The fields of a body. */
export const detokenizeNames = {
  model: text({ about: "The model." }),
  tokens: other<readonly number[], Uint32Array>()(
    { about: "Token ids.", expected: "an array of token ids", required: true },
    (value, name) => tokenIds(name, value),
  ),
} as const satisfies Fields;

/** The text of tokens. */
export function detokenize({ body, served: { model: { tokenizer } } }: Call): JsonValue {
  const { tokens } = readBody(detokenizeNames, body).body;
  return { prompt: tokenizer.decode(tokenIds("tokens", tokens, tokenizer.vocabularySize)) };
}
