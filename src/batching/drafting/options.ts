/**
 * The option that says what guesses the tokens of a request, and what it comes to.
 *
 * @module
 */
import { Model } from "../../model/model.ts";
import { checkInstance, checkObject, refuseOption } from "../../options/checks.ts";
import { type FieldsOf, other, readOptions } from "../../options/schema.ts";
import type { Sampling } from "../../sampling/resolve.ts";
import { TokenMask } from "../../sampling/mask.ts";
import type { DraftModels } from "./draft_models.ts";
import { ModelGuesser } from "./model_guesser.ts";
import { Lookup } from "./lookup.ts";
import type { Guesser } from "./types.ts";

/**
 * Options for guesses that a smaller model of the same vocabulary makes.
 *
 * @example
 * ```ts
 * import { type DraftModelOptions, LightGPT, Model } from "@lightgpt/lightgpt";
 *
 * await using small = await Model.load("model.gguf");
 * await using lm = await LightGPT.load("model.gguf");
 * const draft: DraftModelOptions = { model: small };
 * console.log((await lm.complete("Once upon a time", { draft, maxTokens: 50 })).text);
 * ```
 */
export interface DraftModelOptions {
  /** The model that guesses. It stays yours: dispose of it after what uses it. */
  readonly model: Model;
}

/**
 * What guesses the next tokens of a request, for steps that verify several of them at once.
 *
 * @example
 * ```ts
 * import { type DraftOption, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const draft: DraftOption = "lookup";
 * await lm.complete("The cat sat. The cat sat. The cat", { draft, maxTokens: 20 });
 * console.log(lm.batcher.stats().drafts); // guessed tokens, and those of them that were kept
 * ```
 */
export type DraftOption = "auto" | "lookup" | "nextn" | "off" | DraftModelOptions;

/** The words that the option may be. */
export const draftWords = ["auto", "lookup", "nextn", "off"] as const;

/** The schema of {@link DraftModelOptions}. */
export const draftModelFields = {
  model: other<Model>()(
    { about: "The model that guesses.", expected: "a Model", required: true },
    (value, name) => {
      checkInstance(name, value, Model, "a Model");
      return value;
    },
  ),
} as const satisfies FieldsOf<DraftModelOptions>;

const expected = '"auto" or "lookup" or "nextn" or "off", or an object with a model';

/** The option of a request. */
export const draftField = other<DraftOption>()(
  {
    about: "What guesses the next tokens, so that one step may choose several; results do not depend on it.",
    expected,
    default: "auto",
    fields: draftModelFields,
    flag: {
      value: "HOW",
      about:
        "guess the next tokens: lookup (in what came before), nextn (the drafter in the model's file), a GGUF file " +
        "of the same vocabulary, off, or auto, lookup where it pays (default: auto)",
    },
  },
  (value, name): DraftOption => {
    const word = draftWords.find((known) => known === value);
    if (word !== undefined) return word;
    if (typeof value !== "object" || value === null) refuseOption(name, expected, value);
    checkObject(name, value);
    return readOptions(draftModelFields, value, name);
  },
);

/** What decides whether guesses can be verified. */
interface DraftedRequest {
  readonly draft: DraftOption;
  readonly sampling: Pick<Sampling, "allowed" | "banned">;
  readonly logitsProcessor: unknown;
}

/**
 * Throws where guesses are asked for that could not be verified in one step: a program that changes logits or a mask does so
 * between two tokens.
 */
export function checkDraft({ draft, sampling, logitsProcessor }: DraftedRequest): void {
  if (draft === "auto" || draft === "off") return;
  const got = typeof draft === "string" ? draft : "a model";
  if (logitsProcessor !== undefined) refuseOption("draft", '"auto" or "off" beside logitsProcessor', got);
  if (hasChangingMask(sampling)) refuseOption("draft", '"auto" or "off" beside a TokenMask, which may change', got);
}

/** What guesses for one request; undefined where nothing does. */
export function guesserOf(
  request: DraftedRequest,
  models: DraftModels,
  ends: ReadonlySet<number>,
): Guesser | undefined {
  const { draft, sampling, logitsProcessor } = request;
  if (draft === "off" || logitsProcessor !== undefined || hasChangingMask(sampling)) return undefined;
  if (draft === "nextn") return models.ownGuesser();
  return typeof draft === "object" ? new ModelGuesser(models.of(draft.model)) : new Lookup(ends, draft === "auto");
}

/** Whether the caller may change between two tokens which of them may come. */
export function hasChangingMask({ allowed, banned }: DraftedRequest["sampling"]): boolean {
  return allowed instanceof TokenMask || banned instanceof TokenMask;
}
