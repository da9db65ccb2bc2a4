/**
 * How a folder names its tensors: as most do, or as the family's layout says; and a tensor's name without what stands before all.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { OUTER } from "./names.ts";
import type { SafeTensor } from "./safetensors.ts";
import type { Layout } from "./types.ts";

/** How most folders name their tensors. */
export const LAYOUT: Pick<Layout, "layer" | "outer"> = { layer: /^model\.layers\.(\d{1,3})\.(.+)$/, outer: OUTER };

/** The name that a tensor has within its kind of model. */
export function ownName({ name }: SafeTensor, { family: { layout, textConfig } }: Config): string {
  // Old folders have two other names for what a norm multiplies by and adds.
  if (layout !== undefined) {
    return name.replace(layout.before, "").replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
  }
  // The text part of a model that reads pictures, as older and newer folders have it.
  return textConfig === undefined
    ? name
    : name.replace(/^language_model\.(?=model\.|lm_head\.)/, "").replace(/^model\.language_model\./, "model.");
}
