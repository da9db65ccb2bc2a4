/**
 * Answers that may have calls and thoughts: the prompt is rendered with what the template is told of tools, the sampler is held to
 * what may come, and what comes is told apart.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { type Completion, completionOf, type Piece } from "../batching/completion.ts";
import { generateFields, type GenerateOptions, type Prompt } from "../batching/request_options.ts";
import { bytesOf } from "../grammar/token_trie.ts";
import { validated } from "../grammar/standard/read.ts";
import { refuseOption } from "../options/checks.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import type { Conversations } from "../text/chat/conversation.ts";
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import { conversationFields, type ConversationOptions } from "../text/chat/options.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { type AnswerEvent, AnswerReader } from "../tools/answer_reader.ts";
import { newId } from "../tools/nonces.ts";
import type { WholeCall } from "../tools/read_calls.ts";
import { type AnswerPlan, AnswerPlanner } from "../tools/plan_answer.ts";
import { declarations, type ToolCall, type Tools } from "../tools/tool.ts";
import type { ReadCall, Render } from "../tools/types.ts";
import { controlTokensOf, wireOfBytes } from "../tools/wire.ts";
import { writtenCalls } from "../tools/written_calls.ts";
import { cutPrompt, lastOf, unread } from "./cut.ts";
import { type Answer, answerFields, type AnswerOptions, type AnswerPiece } from "./answer_options.ts";

/** What answers. */
export interface AnswerHost {
  readonly context: number;
  readonly tokenizer: Tokenizer;
  readonly conversations: Conversations;
  generate(prompt: Prompt, options: GenerateOptions): AsyncGenerator<Piece, Completion, void>;
}

/** A prompt, and how its answer is held and read. */
export interface PreparedPrompt {
  readonly ids: Uint32Array;
  readonly plan: AnswerPlan;
}

/** Answers conversations of one model. */
export class Answers {
  readonly #planner = new AnswerPlanner();

  /** The pieces of an answer; the last value is what it came to. */
  async *stream<T extends Tools>(
    host: AnswerHost,
    messages: readonly ChatMessage[],
    options: AnswerOptions<T>,
  ): AsyncGenerator<AnswerPiece<T>, Answer<T>, void> {
    const own = pickOptions<GenerateOptions>(generateFields, options);
    const prepared = await this.prepare(host, messages, options).catch((error) => cutPrompt(error, own));
    if (prepared !== undefined) return yield* this.answer(host, prepared, options);
    const { constraint: _replaced, ...rest } = own;
    return new Told<T>(options.tools).answer(await lastOf(host.generate(unread, rest)));
  }

  /** The same, of a prompt that is prepared. */
  async *answer<T extends Tools>(
    host: Pick<AnswerHost, "generate" | "tokenizer">,
    { ids, plan }: PreparedPrompt,
    options: AnswerOptions<T>,
  ): AsyncGenerator<AnswerPiece<T>, Answer<T>, void> {
    const { constraint: _replaced, ...rest } = pickOptions<GenerateOptions>(generateFields, options);
    const told = new Told<T>(options.tools);
    const pieces = host.generate(ids, plan.grammar ? { ...rest, constraint: { grammar: plan.grammar } } : rest);
    const reader = new AnswerReader(plan.marks);
    let completion: Completion;
    try {
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        yield* told.all(reader.push(wireOfBytes(bytesOf(host.tokenizer, next.value.token))));
      }
      completion = next.value;
      yield* told.all(reader.end());
    } finally {
      await pieces[Symbol.asyncDispose]();
    }
    const answer = told.answer(completion);
    if (completion.stopReason === "aborted" || completion.stopReason === "deadline") return answer;
    const wantsCall = options.toolChoice === "required" || typeof options.toolChoice === "object";
    if (reader.isCut || (wantsCall && answer.toolCalls.length === 0)) throw cutCall(completion.stopReason);
    return answer;
  }

  /** The prompt, and how its answer is held and read. */
  async prepare<T extends Tools>(
    { context, tokenizer, conversations }: Omit<AnswerHost, "generate">,
    messages: readonly ChatMessage[],
    options: AnswerOptions<T>,
  ): Promise<PreparedPrompt> {
    const stop = (options as { stop?: unknown }).stop;
    if (stop !== undefined) {
      refuseOption("stop", "none beside tools and reasoning, whose marks say where an answer ends", stop);
    }
    const read = readOptions(answerFields, options);
    const { tools, toolChoice, signal, constraint } = read;
    if (tools === undefined && (toolChoice !== "auto" || read.toolFormat !== undefined)) {
      refuseOption("tools", "the tools that may be called", tools);
    }
    if (tools !== undefined && constraint !== undefined) {
      refuseOption("constraint", "none beside tools, whose calls would break it", JSON.stringify(constraint));
    }
    const declared = tools ? declarations(tools) : [];
    const { source, render } = await conversations.template(read.template, tools !== undefined);
    const wanted = pickOptions<ConversationOptions>(conversationFields, options);
    const { template: _template, tools: _tools, ...rendering } = wanted;
    const told: JsonValue = declared.map((one) => ({ type: "function", function: { ...one } }));
    const facts = { template: source, tokenizer, render: render as Render };
    const found = tools && await this.#planner.format(facts, read.toolFormat);
    const shown = found && !found.isRendered ? writtenCalls(found.format.format, messages) : messages;
    const runs = render(shown, tools ? { ...rendering, tools: told } : rendering);
    const limits = signal === undefined ? { context } : { context, signal };
    const ids = await tokenizer.encodeAsync(runs, { ...limits, name: "messages" });
    const prompt = controlTokensOf(tokenizer).readRuns(runs);
    return { ids, plan: await this.#planner.plan(facts, { calls: read, declared, found, prompt, body: constraint }) };
  }
}

/** What was told of an answer so far. */
class Told<T extends Tools> {
  readonly #tools: T | undefined;
  readonly #calls: ToolCall<T>[] = [];
  readonly #written: ReadCall[] = [];
  readonly #ids: string[] = [];
  #text = "";
  #reasoning = "";

  constructor(tools: T | undefined) {
    this.#tools = tools;
  }

  /** The pieces of what was read. Calls have what their tool's schema made of their arguments. */
  async *all(events: readonly AnswerEvent[]): AsyncGenerator<AnswerPiece<T>, void, void> {
    for (const event of events) {
      if (event.type === "toolCall") {
        yield await this.#call(event.call, this.#idOf(event.index, event.call.id));
        continue;
      }
      if (event.type === "toolCallDelta") {
        const { type, name, text } = event;
        yield { type, id: this.#idOf(event.index, event.id), name, text };
        continue;
      }
      if (event.type === "text") this.#text += event.text;
      else this.#reasoning += event.text;
      yield event as AnswerPiece<T>;
    }
  }

  /** The id of a call: its own, or one that it gets with its first part. */
  #idOf(index: number, own: string | undefined): string {
    return this.#ids[index] ??= own ?? newId();
  }

  async #call({ text: _told, ...call }: WholeCall, id: string): Promise<ToolCall<T>> {
    const { input } = (this.#tools as T)[call.name];
    const result = await validated(input, call.arguments);
    if (result.issues !== undefined) {
      const reason = result.issues[0]?.message ?? "no reason";
      throw new LightGPTError("invalidOutput", `The schema of the tool ${call.name} refuses its input: ${reason}.`, {
        what: "a call whose input the tool's own schema refuses",
        where: `tools.${call.name}.input`,
        expected: reason,
        got: JSON.stringify(call.arguments),
      });
    }
    const made = { type: "toolCall", id, name: call.name, input: result.value } as ToolCall<T>;
    this.#written.push({ ...call, id });
    this.#calls.push(made);
    return made;
  }

  answer(completion: Completion): Answer<T> {
    const tool_calls = this.#written.map((call) => ({
      id: call.id as string,
      type: "function",
      function: { name: call.name, arguments: call.arguments },
    }));
    const message: ChatMessage = {
      role: "assistant",
      content: this.#text,
      ...(this.#reasoning === "" ? {} : { reasoning_content: this.#reasoning }),
      ...(tool_calls.length === 0 ? {} : { tool_calls }),
    };
    const { toJSON: _toJSON, ...figures } = completion;
    const all = { ...figures, text: this.#text, reasoning: this.#reasoning, toolCalls: this.#calls, message };
    return completionOf(all) as unknown as Answer<T>;
  }
}

function cutCall(reason: Completion["stopReason"]): LightGPTError {
  const where = reason === "context" ? "context" : "maxTokens";
  return new LightGPTError("incomplete", `A call of a tool is incomplete: ${where} ended the answer within it.`, {
    what: "a call that was cut",
    where,
    expected: "room for the whole call",
  });
}
