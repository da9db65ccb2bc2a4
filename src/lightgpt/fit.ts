/**
 * Makes a conversation fit into a number of tokens. What a template makes of a conversation is more than its texts, so each
 * attempt is rendered and counted whole; halving finds the least that has to go in a few attempts.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { refuseOption } from "../options/checks.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import type { Fitted } from "./fit_options.ts";

/** Counts the tokens of a conversation as a prompt. */
export type Count = (messages: readonly ChatMessage[]) => Promise<number>;

/**
 * Drops the oldest turns where there are more than `most` tokens, until at most `aim` are left, or `most` where the last turn alone
 * takes more than that.
 */
export async function dropOldest(
  messages: readonly ChatMessage[],
  { most, aim = most }: { readonly most: number; readonly aim?: number },
  count: Count,
): Promise<Fitted> {
  const before = await count(messages);
  if (before <= most) return { messages, dropped: [], tokens: before };
  const [head, ...turns] = turnsOf(messages);
  const from = (first: number) => [...head, ...turns.slice(first).flat()];
  const attempt = async (first: number) => ({ first, tokens: await count(from(first)) });
  let best = await attempt(Math.max(turns.length - 1, 0));
  if (best.tokens > most) throw tooLong(best.tokens, most);
  const wanted = best.tokens <= aim ? aim : most;
  for (let low = 1; low < best.first;) {
    const middle = await attempt((low + best.first) >> 1);
    if (middle.tokens <= wanted) best = middle;
    else low = middle.first + 1;
  }
  return { messages: from(best.first), dropped: turns.slice(0, best.first).flat(), tokens: best.tokens };
}

/** Shortens the text of one message at its end until at most `most` tokens are left. */
export async function shorten(
  messages: readonly ChatMessage[],
  { at, most }: { readonly at: number; readonly most: number },
  count: Count,
): Promise<Fitted> {
  const message = messages.at(at);
  if (message === undefined) refuseOption("cut", `the index of one of ${messages.length} messages`, at);
  const index = at < 0 ? messages.length + at : at;
  if (typeof message.content !== "string") refuseOption(`messages[${index}].content`, "a text", message.content);
  const before = await count(messages);
  if (before <= most) return { messages, dropped: [], tokens: before };
  const characters = Array.from(message.content);
  const attempt = async (length: number) => {
    const short = messages.with(index, { ...message, content: characters.slice(0, length).join("") });
    return { length, messages: short, tokens: await count(short) };
  };
  let best = await attempt(0);
  if (best.tokens > most) throw tooLong(best.tokens, most);
  for (let high = characters.length - 1; best.length < high;) {
    const middle = await attempt((best.length + high + 1) >> 1);
    if (middle.tokens <= most) best = middle;
    else high = middle.length - 1;
  }
  return { messages: best.messages, dropped: [], tokens: best.tokens };
}

/** What stands before the first turn, and the turns: each begins where a user speaks. */
function turnsOf(messages: readonly ChatMessage[]): ChatMessage[][] {
  const parts: ChatMessage[][] = [[]];
  for (const message of messages) {
    if (message.role === "user") parts.push([]);
    parts.at(-1)?.push(message);
  }
  return parts;
}

function tooLong(tokens: number, most: number): InvalidArgumentError {
  return new InvalidArgumentError(
    `What must stay of the conversation takes ${tokens} tokens, which is more than ${most}.`,
    { what: "too long for the context", where: "messages", expected: `at most ${most} tokens`, got: `${tokens}` },
  );
}
