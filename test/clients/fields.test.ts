/**
 * The list of fields that clients can send, held against the types of the clients themselves: a newer client whose body has one
 * more field fails here until it is decided what becomes of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { it } from "node:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ClientInterface, clientInterfaces } from "../client-fields.ts";
import { repository } from "../kit.ts";

const packages = join(repository, "test/clients/node_modules");
const skip = existsSync(join(packages, "openai"))
  ? false
  : "the clients are not installed: npm ci --prefix test/clients";

/** The names of an interface's fields, as a client's types declare it. */
function fieldsOf(file: string, name: string): string[] {
  const text = readFileSync(join(packages, file), "utf8");
  const found = new RegExp(`^(?:export )?(?:declare )?interface ${name} \\{\n(.*?)^\\}`, "ms").exec(text);
  return Array.from((found?.[1] ?? "").matchAll(/^ {4}(\w+)\??:/gm), ([, field]) => field);
}

/** The fields that are in the list; of Ollama's options, those within them. */
function listed({ fields }: ClientInterface): Set<string> {
  return new Set(
    fields.flatMap(([name, value]) => name === "options" ? [name, ...Object.keys(value as object)] : name),
  );
}

const { chat, completions, responses, anthropic, ollamaChat, ollamaGenerate } = clientInterfaces;
const ollama = "ollama/dist/browser.d.ts";
const types: readonly (readonly [file: string, name: string, of: ClientInterface])[] = [
  ["openai/resources/chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase", chat],
  ["openai/resources/completions.d.ts", "CompletionCreateParamsBase", completions],
  ["openai/resources/responses/responses.d.ts", "ResponseCreateParamsBase", responses],
  ["@anthropic-ai/sdk/resources/messages/messages.d.ts", "MessageCreateParamsBase", anthropic],
  [ollama, "ChatRequest", ollamaChat],
  [ollama, "GenerateRequest", ollamaGenerate],
  [ollama, "Options", ollamaChat],
];

it("each field that the types of these clients have is in the list of fields", { skip }, () => {
  for (const [file, name, of] of types) {
    const fields = fieldsOf(file, name);
    assert(fields.length > 8, `${name} is not found in ${file}`);
    assertEquals(fields.filter((field) => !listed(of).has(field)), [], name);
  }
});
