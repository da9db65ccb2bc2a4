/**
 * Options of packed weights on disk: whether a start uses and keeps them, where, and how much of the disk they may take.
 *
 * @module
 */
import { refuseOption } from "../../options/checks.ts";
import { pathOf } from "../../options/paths.ts";
import { choice, type FieldsOf, integer, other, readOptions, type Resolved } from "../../options/schema.ts";

/**
 * What a start does with packed weights on disk: `auto` uses those that are there, `keep` also keeps them for later starts, `off`
 * neither.
 *
 * @example
 * ```ts
 * import { LightGPT, type PackedUse } from "@lightgpt/lightgpt";
 *
 * const packed: PackedUse = "keep";
 * await using lm = await LightGPT.load("model.gguf", { packed });
 * ```
 */
export type PackedUse = "auto" | "keep" | "off";

const packedWords: readonly PackedUse[] = ["auto", "keep", "off"];

/**
 * Options for packed weights on disk.
 *
 * @example
 * ```ts
 * import { LightGPT, type PackedOptions } from "@lightgpt/lightgpt";
 *
 * const packed: PackedOptions = { folder: "/var/cache/my-service", bytesMax: 8 * 2 ** 30 };
 * await using lm = await LightGPT.load("model.gguf", { packed });
 * ```
 */
export interface PackedOptions {
  /**
   * What a start does.
   * @default {"keep"}
   */
  readonly use?: PackedUse;
  /**
   * A folder that only its owner may read and write; it is made where it must be.
   * @default {`packed` in the cache folder: that of `LIGHTGPT_CACHE`, else where the system keeps caches}
   */
  readonly folder?: string | URL;
  /**
   * The most bytes of all files in the folder; those that were used longest ago go first.
   * @default {34359738368}
   */
  readonly bytesMax?: number;
}

/** The schema of {@link PackedOptions}. */
export const packedFields = {
  use: choice(packedWords, { about: "What a start does with packed weights.", default: "keep" }),
  folder: other<string | URL, string>()(
    {
      about: "A folder that only its owner may read and write.",
      expected: "the path or file: URL of a folder",
      otherwise: "packed in the cache folder",
      flag: { value: "FOLDER", about: "the folder that packed weights are kept in" },
    },
    (value, name) => pathOf(name, value, "a folder"),
  ),
  bytesMax: integer({
    about: "The most bytes of all files in the folder.",
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    default: 32 * 2 ** 30,
    flag: { value: "N", about: "the most bytes of that folder; what was used longest ago goes first" },
  }),
} as const satisfies FieldsOf<PackedOptions>;

/** What was asked of packed weights, with all defaults. */
export type AskedPacked = Resolved<typeof packedFields>;

const expected = `"${packedWords.join('" or "')}" or an object`;

/** The option `packed` of whatever loads a model. */
export const packedField = other<PackedUse | PackedOptions, AskedPacked>()(
  {
    about: "Whether packed weights on disk are used, and kept for later starts, and where.",
    expected,
    default: "auto",
    flag: {
      value: packedWords.join("|"),
      about: "use packed weights on disk; keep: and keep them for later starts (default: auto)",
    },
  },
  (value, name) => {
    if (typeof value !== "string") return readOptions(packedFields, value, name);
    const use = packedWords.find((word) => word === value) ?? refuseOption(name, expected, value);
    return readOptions(packedFields, { use }, name);
  },
);
