/**
 * Options of adapters: which files are loaded with a model, which of them a request uses, and how strongly.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { refuseOption } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import { type FieldsOf, number, other, readOptions } from "../options/schema.ts";

/**
 * Options for an adapter (LoRA): its file, and how strongly it changes the model.
 *
 * @example
 * ```ts
 * import { type AdapterOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const adapters: AdapterOptions[] = [{ path: "adapter.gguf", scale: 0.5 }];
 * const load = () => LightGPT.load("model.gguf", { adapters });
 * console.log(load.length, "requests may say `adapters: []`, and go without it");
 * ```
 */
export interface AdapterOptions {
  /** A GGUF file whose `general.type` is `adapter`. */
  readonly path: string | URL;
  /**
   * What the adapter's share is multiplied by; with 0 the model is as it is without.
   * @default {1}
   */
  readonly scale?: number;
}

/** Beyond this a scale is a mistake. */
const scaleMost = 1000;

/** The schema of {@link AdapterOptions}. */
export const adapterFields = {
  path: other<string | URL, string>()(
    {
      about: "A GGUF file whose general.type is adapter.",
      expected: "the path or file: URL of an adapter",
      required: true,
    },
    (value, name) => pathOf(name, value, "an adapter"),
  ),
  scale: number({
    about: "What the adapter's share is multiplied by.",
    least: -scaleMost,
    most: scaleMost,
    default: 1,
  }),
} as const satisfies FieldsOf<AdapterOptions>;

/** An adapter that was asked for, checked. */
export interface AskedAdapter {
  readonly path: string;
  readonly scale: number;
}

const expected = `an array of at most ${LIMITS.adaptersMax} adapters, { path, scale }`;

/** The schema of an option that lists adapters. */
export function adaptersField(about: string, otherwise: string) {
  return other<readonly AdapterOptions[], readonly AskedAdapter[]>()(
    {
      about,
      otherwise,
      expected,
      flag: {
        name: "lora",
        value: "FILE[:SCALE]",
        about: "add an adapter (LoRA) to the model, times SCALE; may be given again",
        repeats: true,
      },
    },
    (value, name) => {
      if (!Array.isArray(value) || value.length > LIMITS.adaptersMax) refuseOption(name, expected, value);
      // A list with holes has nothing in them.
      const asked = Array.from(value, (one, index) => readOptions(adapterFields, one, `${name}[${index}]`));
      asked.forEach(({ path }, index) => {
        if (asked.findIndex((other) => other.path === path) === index) return;
        refuseOption(`${name}[${index}].path`, "each adapter once", path);
      });
      return asked;
    },
  );
}
