/**
 * Every field that the newest clients of OpenAI, Anthropic and Ollama can send, with what becomes of it: it is taken (what it does
 * is another test's), the answer is the same with it as without, or it is refused by its name. Nothing is ignored that would change
 * an answer. `test/clients` holds this list against the types of the clients themselves.
 *
 * @module
 */

/** What becomes of a field: `{ refused }` names what the error's `param` says. */
export type Fate = "taken" | "same" | { readonly refused: string };

/** One value of one field of a body. */
export type FieldCase = readonly [name: string, value: unknown, fate: Fate];

/** An interface: its path, a body that it answers, and what its clients can send beside. */
export interface ClientInterface {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly fields: readonly FieldCase[];
}

const refused = (param: string): Fate => ({ refused: param });
const messages = [{ role: "user", content: "Of a fox." }];
const user = (content: unknown) => [{ role: "user", content }];
const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }];
const schema = { type: "object", properties: { red: { type: "boolean" } }, required: ["red"] };
const answered = (more: object) => [...messages, { role: "assistant", content: "A fox.", ...more }, ...messages];
/** How tokens are chosen, and how many: in the names that OpenAI and Anthropic share. */
const common: readonly FieldCase[] = [
  ["temperature", 0, "taken"],
  ["top_p", 0.5, "taken"],
  ["stream", true, "taken"],
  ["model", "stories", "same"],
];
const ofOpenAi: readonly FieldCase[] = [
  ...common,
  ["metadata", { a: "b" }, "same"],
  ["prompt_cache_key", "x", "same"],
  ["prompt_cache_options", { mode: "auto" }, "same"],
  ["prompt_cache_retention", "24h", "same"],
  ["safety_identifier", "x", "same"],
  ["service_tier", "auto", "same"],
  ["service_tier", "default", "same"],
  ["service_tier", "flex", refused("service_tier")],
  ["service_tier", "fast", refused("service_tier")],
  ["user", "x", "same"],
  ["parallel_tool_calls", false, "same"],
  ["top_logprobs", 2, refused("top_logprobs")],
  ["tools", [], "same"],
  ["tool_choice", "auto", "same"],
  ["tool_choice", "none", "same"],
  ["tool_choice", "required", refused("tool_choice")],
  ["tool_choice", { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [] } }, refused("tool_choice")],
  ["moderation", {}, refused("moderation")],
];
const penalties: readonly FieldCase[] = [
  ["frequency_penalty", 0, "same"],
  ["frequency_penalty", 1, "taken"],
  ["presence_penalty", 1, "taken"],
  ["logit_bias", { 5: -100 }, "taken"],
  ["n", 2, "taken"],
  ["stop", null, "same"],
  ["stop", ["fox"], "taken"],
];

/** OpenAI's chats. */
const chat: ClientInterface = {
  path: "/v1/chat/completions",
  body: { messages, seed: 3, max_completion_tokens: 6 },
  fields: [
    ...ofOpenAi,
    ...penalties,
    ["seed", 4, "taken"],
    ["max_completion_tokens", 4, "taken"],
    ["max_tokens", 6, "same"],
    ["max_tokens", 7, refused("max_tokens")],
    ["logprobs", true, "same"],
    ["audio", null, "same"],
    ["audio", { voice: "x", format: "mp3" }, refused("audio")],
    ["modalities", ["text"], "same"],
    ["modalities", ["text", "audio"], refused("modalities")],
    ["function_call", "auto", refused("function_call")],
    ["functions", [], refused("functions")],
    ["prediction", { type: "content", content: "A fox" }, refused("prediction")],
    ["reasoning_effort", "none", "same"],
    ["reasoning_effort", "high", refused("reasoning_effort")],
    ["reasoning", { effort: "high" }, refused("reasoning")],
    ["response_format", { type: "text" }, "same"],
    ["response_format", { type: "json_object" }, "taken"],
    ["store", false, "same"],
    ["store", true, refused("store")],
    ["stream_options", { include_usage: true }, refused("stream_options")],
    ["verbosity", "medium", "same"],
    ["verbosity", "low", refused("verbosity")],
    ["web_search_options", {}, refused("web_search_options")],
    ["tools", tools, refused("tools")], // this model's template shows none
    ["tools", [{ type: "custom", custom: { name: "f" } }], refused("tools[0].type")],
    ["messages", user([{ type: "text", text: "Of a fox.", prompt_cache_breakpoint: {} }]), "same"],
    ["messages", user([image]), refused("messages[0].content[0].type")],
    ["messages", user([{ type: "input_audio", input_audio: {} }]), refused("messages[0].content[0].type")],
    ["messages", user([{ type: "file", file: {} }]), refused("messages[0].content[0].type")],
    ["messages", [{ role: "function", name: "f", content: "x" }], refused("messages[0].role")],
    ["messages", answered({ audio: null, function_call: null, refusal: null, annotations: [] }), "taken"],
    ["messages", answered({ reasoning: "Hm.", tool_calls: [] }), "taken"],
    ["messages", answered({ audio: { id: "x" } }), refused("messages[1].audio")],
    ["messages", answered({ function_call: { name: "f" } }), refused("messages[1].function_call")],
  ],
};

/** OpenAI's completions. */
const completions: ClientInterface = {
  path: "/v1/completions",
  body: { prompt: "The fox", seed: 3, max_tokens: 6 },
  fields: [
    ...common,
    ...penalties,
    ["seed", 4, "taken"],
    ["prompt", [400, 401], "taken"],
    ["max_tokens", 4, "taken"],
    ["best_of", 1, "same"],
    ["best_of", 2, refused("best_of")],
    ["echo", true, "taken"],
    ["logprobs", 2, "same"],
    ["stream_options", { include_usage: true }, refused("stream_options")],
    ["suffix", "", "same"],
    ["suffix", "end", refused("suffix")],
    ["user", "x", "same"],
  ],
};

/** OpenAI's responses. */
const responses: ClientInterface = {
  path: "/v1/responses",
  body: { input: messages, seed: 3, max_output_tokens: 6 },
  fields: [
    ...ofOpenAi,
    ["access_programs", [], refused("access_programs")],
    ["background", false, "same"],
    ["context_management", [], refused("context_management")],
    ["conversation", "conv_1", refused("conversation")],
    ["image", {}, refused("image")],
    ["include", ["reasoning.encrypted_content"], "same"],
    ["include", ["message.output_text.logprobs"], "same"],
    ["include", ["web_search_call.results"], refused("include")],
    ["input", user([{ type: "input_text", text: "Of a fox." }]), "same"],
    ["input", user([{ type: "input_image", image_url: "x" }]), refused("input[0].content[0].type")],
    ["input", user([{ type: "input_file", file_id: "x" }]), refused("input[0].content[0].type")],
    ["input", [{ type: "item_reference", id: "x" }], refused("input[0].id")],
    ["input", [{ type: "web_search_call", id: "x" }], refused("input[0].type")],
    ["input", [{ ...messages[0], phase: "commentary" }], "same"],
    ["instructions", "Tell.", "taken"],
    ["max_output_tokens", 4, "taken"],
    ["max_tool_calls", 3, "same"],
    ["previous_response_id", 1, refused("previous_response_id")],
    ["prompt", { id: "x" }, refused("prompt")],
    ["reasoning", { effort: null, summary: "auto", context: "auto", mode: "standard" }, "same"],
    ["reasoning", { effort: "none" }, "same"],
    ["reasoning", { effort: "high" }, refused("reasoning.effort")],
    ["reasoning", { summary: "detailed" }, refused("reasoning.summary")],
    ["reasoning", { context: "all_turns" }, refused("reasoning.context")],
    ["store", false, "same"],
    ["store", true, "same"],
    ["stream_options", { include_obfuscation: false }, refused("stream_options")],
    ["text", { format: { type: "text" }, verbosity: "medium" }, "same"],
    ["text", { verbosity: "high" }, refused("text.verbosity")],
    ["text", { format: { type: "grammar" } }, refused("text.format.type")],
    ["text", { format: { type: "json_schema", name: "x", schema } }, "taken"],
    ["tools", [{ type: "web_search" }], refused("tools[0].type")],
    ["tools", [{ type: "function", ...tools[0].function, strict: true }], refused("tools")],
    ["truncation", "disabled", "same"],
    ["truncation", "auto", refused("truncation")],
  ],
};

const cache_control = { type: "ephemeral", ttl: "1h" };

/** Anthropic's messages. */
const anthropic: ClientInterface = {
  path: "/v1/messages",
  body: { messages, seed: 3, max_tokens: 6 },
  fields: [
    ...common,
    ["top_k", 5, "taken"],
    ["max_tokens", 4, "taken"],
    ["cache_control", cache_control, "same"],
    ["container", "x", refused("container")],
    ["context_management", {}, refused("context_management")],
    ["diagnostics", {}, refused("diagnostics")],
    ["inference_geo", "eu", refused("inference_geo")],
    ["mcp_servers", [], refused("mcp_servers")],
    ["metadata", { user_id: "x" }, "same"],
    ["output_config", { effort: null, format: null }, "same"],
    ["output_config", { effort: "high" }, refused("output_config.effort")],
    ["output_config", { format: { type: "json_schema", schema } }, "taken"],
    ["output_config", { format: { type: "json_schema", schema: { type: "x" } } }, refused("output_config.format")],
    ["output_config", { format: { type: "xml" } }, refused("output_config.format.type")],
    ["service_tier", "auto", "same"],
    ["service_tier", "standard_only", "same"],
    ["speed", "standard", "same"],
    ["speed", "fast", refused("speed")],
    ["stop_sequences", ["fox"], "taken"],
    ["system", [{ type: "text", text: "Tell.", cache_control }], "taken"],
    ["system", [{ type: "image" }], refused("system[0].type")],
    ["thinking", { type: "disabled" }, "same"],
    ["thinking", { type: "adaptive", display: "summarized" }, "same"],
    ["thinking", { type: "adaptive", display: "omitted" }, refused("thinking.display")],
    ["thinking", { type: "between_tools" }, refused("thinking.type")],
    ["thinking", { type: "enabled", budget_tokens: 1024 }, refused("thinking.budget_tokens")],
    ["tool_choice", { type: "auto", disable_parallel_tool_use: true }, "same"],
    ["tool_choice", { type: "any" }, refused("tool_choice")],
    ["tools", [], "same"],
    ["tools", [{ type: "web_search_20250305", name: "web_search" }], refused("tools[0].type")],
    ["tools", [{ name: "f", input_schema: {}, strict: true, eager_input_streaming: true }], refused("tools")],
    ["tools", [{ name: "f", input_schema: {}, input_examples: [{}] }], refused("tools[0].input_examples")],
    ["user_profile_id", "x", refused("user_profile_id")],
    ["workspace_id", "x", refused("workspace_id")],
    ["messages", user([{ type: "text", text: "Of a fox.", cache_control, citations: null }]), "same"],
    ["messages", [{ role: "system", content: "Tell." }, ...messages], "taken"],
    ["messages", user([{ type: "image", source: {} }]), refused("messages[0].content[0].type")],
    ["messages", user([{ type: "document", source: {} }]), refused("messages[0].content[0].type")],
    [
      "messages",
      user([{ type: "tool_result", tool_use_id: "x", content: [{ type: "image", source: {} }] }]),
      refused("messages[0].content[0].content[0].type"),
    ],
    [
      "messages",
      [...messages, { role: "assistant", content: [{ type: "redacted_thinking", data: "x" }] }],
      refused("messages[1].content[0].type"),
    ],
  ],
};

const options = (values: object, fate: Fate): FieldCase => ["options", { seed: 3, num_predict: 6, ...values }, fate];

/** What all of Ollama's ways of generating take. */
const ofOllama: readonly FieldCase[] = [
  ["model", "stories:latest", "same"],
  ["stream", true, "taken"],
  ["keep_alive", "5m", "same"],
  ["keep_alive", 0, "same"],
  ["format", "", "same"],
  ["format", "json", "taken"],
  ["format", schema, "taken"],
  ["format", "xml", refused("format")],
  ["think", false, "same"],
  ["think", true, refused("think")],
  ["think", "high", refused("think")],
  ["think", "much", refused("think")],
  ["logprobs", true, "same"],
  ["top_logprobs", 2, refused("top_logprobs")],
  options({ seed: 4 }, "taken"),
  options({ num_predict: 4 }, "taken"),
  options({ num_predict: -1, stop: ["."] }, "taken"),
  options({ numa: true, num_ctx: 64, num_batch: 8, num_gpu: 1, main_gpu: 0, low_vram: true, f16_kv: true }, "same"),
  options({ use_mmap: true, use_mlock: true, num_thread: 2, num_keep: 4 }, "same"),
  options({ num_ctx: 1 << 20 }, refused("num_ctx")),
  options({ temperature: 0, top_k: 3, top_p: 0.5, min_p: 0.1 }, "taken"),
  options({ typical_p: 0.9, frequency_penalty: 1, presence_penalty: 1, repeat_penalty: 1.1 }, "taken"),
  options({ repeat_penalty: 1.5, repeat_last_n: 0 }, "same"),
  options({ repeat_penalty: 1.5, repeat_last_n: -1 }, "taken"),
  options({ repeat_last_n: -2 }, refused("repeat_last_n")),
  options({ mirostat: 0 }, "same"),
  options({ mirostat: 2, mirostat_tau: 4, mirostat_eta: 0.2 }, "taken"),
  options({ mirostat: 1 }, refused("mirostat")),
  options({ tfs_z: 1, penalize_newline: true, logits_all: false, vocab_only: false, embedding_only: false }, "same"),
  options({ tfs_z: 0.5 }, refused("tfs_z")),
  options({ penalize_newline: false }, refused("penalize_newline")),
  options({ vocab_only: true }, refused("vocab_only")),
  options({ temprature: 1 }, refused("temprature")),
];

/** Ollama's chats. */
const ollamaChat: ClientInterface = {
  path: "/api/chat",
  body: { messages, options: { seed: 3, num_predict: 6 }, stream: false },
  fields: [
    ...ofOllama,
    ["messages", [], "taken"],
    ["messages", [{ ...messages[0], images: [] }], "same"],
    ["messages", [{ ...messages[0], images: ["AA=="] }], refused("messages[0].images")],
    ["messages", [{ role: "tool", content: "x", tool_name: "f" }], refused("messages[0].role")],
    ["tools", [], "same"],
    ["tools", tools, refused("tools")],
  ],
};

/** Ollama's texts. */
const ollamaGenerate: ClientInterface = {
  path: "/api/generate",
  body: { prompt: "The fox", options: { seed: 3, num_predict: 6 }, stream: false },
  fields: [
    ...ofOllama,
    ["prompt", "", "taken"],
    ["system", "Tell.", "taken"],
    ["raw", true, "taken"],
    ["suffix", "end", refused("suffix")],
    ["template", "{{ .Prompt }}", refused("template")],
    ["context", [1, 2], refused("context")],
    ["images", [], "same"],
    ["images", ["AA=="], refused("images")],
    ["width", 8, refused("width")],
    ["height", 8, refused("height")],
    ["steps", 8, refused("steps")],
  ],
};

/** All of them. */
export const clientInterfaces = { chat, completions, responses, anthropic, ollamaChat, ollamaGenerate } as const;
