/**
 * The record of quality as a list of cells: a model, a type, and a way of making the file. What is there to be measured is said
 * here once; `cells.ts` makes and measures one.
 *
 * @module
 */

/** A model of the record: its name in `scripts/models.js`, and how tables call it. */
export const MODELS = [
  { name: "smollm2", title: "SmolLM2-135M-Instruct" },
  { name: "gemma3", title: "Gemma 3 270M" },
] as const;

/** Types that both programs make, as llama-quantize spells them; ours are the same in small letters. */
export const TYPES = [
  "Q4_0",
  "Q4_K_M",
  "Q8_0",
  "Q6_K",
  "Q3_K_M",
  "Q5_K_M",
  "IQ4_XS",
  "IQ4_NL",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q2_K",
  "Q3_K_S",
  "Q3_K_L",
  "Q4_K_S",
  "Q5_K_S",
  "Q2_K_S",
  "IQ3_M",
  "IQ3_S",
  "IQ3_XS",
  "IQ3_XXS",
  "IQ2_M",
  "IQ2_S",
  "IQ2_XS",
  "IQ2_XXS",
  "IQ1_M",
  "IQ1_S",
  "TQ2_0",
  "TQ1_0",
] as const;

/** How a file is made. */
export type Way = "nearest" | "search" | "importance" | "calibrated" | "llama" | "llama+imatrix";

/** The ways, ours first, with what heads their columns. */
export const WAYS: Readonly<Record<Way, string>> = {
  nearest: "`nearest`",
  search: "`search`",
  importance: "`search`, importance",
  calibrated: "`calibrated`",
  llama: "llama-quantize",
  "llama+imatrix": "llama-quantize, importance",
};

export type ModelName = (typeof MODELS)[number]["name"];
export type TypeName = (typeof TYPES)[number];

/** One cell. */
export interface Cell {
  readonly model: ModelName;
  readonly type: TypeName;
  readonly way: Way;
}

/** Tokens of a window, and windows that are measured: 8 x 512 = 4096 tokens, of which 8 x 255 are counted. */
export const window = 512;
export const windows = 8;

/** A cell's name, by which it is chosen and kept. */
export function nameOf({ model, type, way }: Cell): string {
  return `${model}/${type}/${way}`;
}

/** Every cell, those of a type together. */
export const CELLS: readonly Cell[] = MODELS.flatMap(({ name: model }) =>
  TYPES.flatMap((type) => (Object.keys(WAYS) as Way[]).map((way) => ({ model, type, way })))
);

/** The cells whose name has all words of one of the patterns: `smollm2/Q4_0`, or `/llama`. */
export function chosen(patterns: readonly string[]): readonly Cell[] {
  return CELLS.filter((cell) => patterns.some((pattern) => fits(nameOf(cell), pattern)));
}

function fits(name: string, pattern: string): boolean {
  const parts = name.split("/");
  return pattern.split("/").every((word) => word === "" || parts.includes(word));
}
