/**
 * Whose keys and values each layer reads: its own, its own keys as values, too, or those of an earlier layer.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import type { LayerParameters, Traits } from "./types.ts";

type Keys = Pick<LayerParameters, "keys" | "keysLayer">;

/**
 * Plans them; `windows` are those of the layers. Of the layers that have none of their own, windowed ones read those of
 * the last windowed layer before them that has, and the others those of the last other one.
 */
export function planKeys(
  { metadata, tensors }: Gguf,
  architecture: string,
  { sharedKeys }: Traits,
  windows: readonly number[],
): Keys[] {
  const own = (layer: number): Keys => {
    const has = (name: string) => tensors.has(`blk.${layer}.${name}.weight`);
    return { keys: sharedKeys && has("attn_k") && !has("attn_v") ? "asValues" : "own", keysLayer: layer };
  };
  const key = `${architecture}.attention.shared_kv_layers`;
  const shared = sharedKeys === undefined
    ? 0
    : metadata.count(key, { least: 0, most: windows.length - 1, fallback: 0 });
  const first = windows.length - shared;
  return windows.map((window, layer) => {
    if (layer < first) return own(layer);
    const keeper = windows.slice(0, first).findLastIndex((other) => other > 0 === window > 0);
    if (keeper < 0) {
      throw metadata.wrong(key, `a layer like layer ${layer} among those with keys of their own`, `${shared}`);
    }
    return { keys: "ofLayer", keysLayer: keeper };
  });
}
