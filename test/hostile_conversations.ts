/**
 * Entries for hostile values: conversations that are kept, counted and made to fit.
 *
 * @module
 */
import type { ChatMessage, ChatOptions, LightGPT } from "../mod.ts";
import { conversationFields } from "../src/text/chat/options.ts";
import { fitFields } from "../src/lightgpt/fit_options.ts";
import { chatFields } from "../src/lightgpt/options.ts";
import { sessionFields } from "../src/lightgpt/session_options.ts";
import { argument, drain, options } from "./hostile_entries.ts";

/** Adds the entries; `few` are options that make an answer short. */
export function conversationEntries(lm: LightGPT, few: ChatOptions & { readonly template: string }): void {
  const { template } = few;
  const messages: ChatMessage[] = [{ role: "user", content: "a" }];
  const counted = { template };
  argument("LightGPT.countTokens input", (value) => lm.countTokens(value, counted));
  options("LightGPT.countTokens", conversationFields, (value) => lm.countTokens(messages, value), counted);
  argument("LightGPT.fit messages", (value) => lm.fit(value, counted));
  argument("LightGPT.fit message", (value) => lm.fit([value], counted));
  options("LightGPT.fit", fitFields, (value) => lm.fit(messages, value), counted);
  argument("Session messages", (value) => lm.session({ messages: value }).reply("a", few));
  argument("Session message", (value) => lm.session({ messages: [value] }).reply("a", few));
  options("LightGPT.session", sessionFields, (value) => lm.session(value).reply("a"), few);
  argument("Session.chat turn", (value) => drain(lm.session(few).chat(value)));
  argument("Session.reply turn", (value) => lm.session(few).reply(value));
  options("Session.chat", chatFields, (value) => drain(lm.session().chat("a", value)), few);
  options("Session.reply", chatFields, (value) => lm.session().reply("a", value), few);
  options("Session.regenerate", chatFields, (value) => drain(lm.session({ messages }).regenerate(value)), few);
  // Its own constructor is called by `LightGPT.session` alone.
  argument("Session host", (value) => lm.session(value));
}
