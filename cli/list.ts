/**
 * `lightgpt list` and `lightgpt rm`: the models on this machine.
 *
 * @module
 */
import { LightGPTError } from "../ffi/errors.ts";
import { hubContext } from "../src/files/hub/environment.ts";
import { matching, type ModelHere, modelsHere, removeModel } from "../src/files/hub/models_here.ts";
import { parseModelName } from "../src/files/hub/names.ts";
import { isModelName } from "../src/files/model_file.ts";
import { nearestName } from "../src/options/suggest.ts";
import { sizeText } from "../src/options/size_text.ts";
import type { Arguments } from "./arguments.ts";
import { note, print, toJson } from "./output.ts";

function nameOf({ name, short }: ModelHere): string {
  return short ?? name;
}

/** Runs `list`. */
export async function list(args: Arguments, signal: AbortSignal): Promise<void> {
  const models = modelsHere(hubContext({ signal, onProgress: undefined }));
  if (args.flag("json")) {
    const rows = models.map(({ name, short, type, bytes, location }) => ({
      name,
      short: short ?? null,
      type: type ?? null,
      bytes,
      path: location,
    }));
    return await print(toJson(rows));
  }
  if (models.length === 0) return note("no models here but the one that tells stories; `lightgpt pull` shows some");
  const width = Math.max(...models.map((model) => nameOf(model).length));
  const lines = models.toSorted((a, b) => nameOf(a) < nameOf(b) ? -1 : 1).map((model) =>
    `${nameOf(model).padEnd(width)}  ${sizeText(model.bytes).padStart(8)}  ${
      (model.type ?? "").padEnd(7)
    }  ${model.location}\n`
  );
  await print(lines.join(""));
}

/** Runs `rm`. */
export async function rm(args: Arguments, signal: AbortSignal): Promise<void> {
  const context = hubContext({ signal, onProgress: undefined });
  const text = args.argument as string;
  const models = modelsHere(context);
  const found = matching(models, text, isModelName(text) ? parseModelName(text, context.endpoint) : undefined);
  if (found.length === 0) {
    const names = models.filter(({ remove }) => remove !== undefined).map(nameOf);
    const nearest = nearestName(text, names);
    const expected = nearest !== undefined ? `${nearest}, or another of \`lightgpt list\`` : "one of `lightgpt list`";
    throw new LightGPTError("io", `${text} is not here; expected ${expected}.`, {
      what: "a model that is not here",
      where: text,
      expected,
    });
  }
  const freed = found.reduce((sum, model) => sum + removeModel(model), 0);
  if (args.flag("json")) return await print(toJson({ removed: found.map(nameOf), bytes: freed }));
  note(`removed ${found.map(nameOf).join(", ")}: ${sizeText(freed)} are free again`);
}
