/**
 * What the files of this folder share: a family of Hugging Face folders, and what its own keys are made of.
 *
 * @module
 */
import type { NewValue } from "../../files/gguf/encode.ts";
import type { JsonFile, JsonObject } from "./json.ts";
import type { Names } from "./names.ts";

/** What the keys are made of. */
export interface OwnSettings {
  readonly config: JsonFile;
  readonly layers: number;
  readonly keyHeads: number;
  readonly headDim: number;
  /** Sets a key behind the architecture's name; what was there is replaced. */
  readonly set: (key: string, value: NewValue) => void;
}

/** Writes keys; what it returns, if anything, divides the frequencies of the rotation. */
export type OwnKeys = (settings: OwnSettings) => Float32Array | void;

/** A setting, and the values under which a model is computed as it should be; `required`: what is absent means another. */
export interface Rule {
  readonly key: string;
  readonly allowed: readonly unknown[];
  readonly required?: true;
}

/** How the names of a folder's tensors are made, where not as most are. */
export interface Layout {
  /** What may stand before all names. */
  readonly before: RegExp;
  /** The number of a layer, and the rest of a name. */
  readonly layer: RegExp;
  /** The tensors of no layer. */
  readonly outer: ReadonlyMap<string, string>;
  /** Tensors that are left out, and what a user is told of them. */
  readonly omitted?: { readonly names: RegExp; readonly what: string; readonly why: string };
}

/** What the tensors of an architecture are called and need. */
export interface Family {
  /** `general.architecture`. */
  readonly architecture: string;
  /** What the tensors of a layer are called. */
  readonly names: Names;
  /** The same without experts, where it is not. */
  readonly denseNames?: Names;
  readonly layout?: Layout;
  /** Rows of q and k change their order: llama's files pair neighbours, the folder's halves. */
  readonly permuted?: true;
  /** The weights of norms are kept less 1 in the folder. */
  readonly normsLessOne?: true;
  readonly activations: readonly string[];
  /** The embedding is the output matrix where the file does not say. */
  readonly tied?: true;
  /** Positions that a windowed layer sees, where the file does not say. */
  readonly window?: number;
  /** The base of the rotation's frequencies where the file does not say, and in windowed layers, where it is another. */
  readonly ropeBase?: number;
  readonly localRopeBase?: number;
  /** The share of a head that is rotated where the file does not say. */
  readonly rotated?: number;
  /** How positions may be scaled, beside `default` and `linear`; `dynamic` is left to the family's own keys. */
  readonly scalings?: readonly ("llama3" | "yarn" | "dynamic")[];
  /** The family's own keys say how windowed and other layers are rotated. */
  readonly localRopes?: true;
  /** Under which names settings are kept that most have under others. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** The family that a folder is of instead, by what else its settings say. */
  readonly instead?: (config: JsonFile) => Family | undefined;
  /** Under which name the number is kept that is added under the root of a norm, where not `rms_norm_eps`; and where the file does not say. */
  readonly epsilon?: string;
  readonly epsilonUsual?: number;
  /** Norms subtract the mean. */
  readonly layerNorms?: true;
  /** Nothing is rotated: positions are a table, or lower scores. */
  readonly unrotated?: true;
  /** It reads whole texts: rows of its table of token types where the file does not say, 0 without such a table. */
  readonly tokenTypes?: number;
  /** The table of positions begins with rows up to and with this setting's, which no token has. */
  readonly positionsFrom?: string;
  /** Heads are the embedding's length divided by their number, whatever `head_dim` says. */
  readonly evenHeads?: true;
  /** A pooled row goes through two matrices, which lie in folders of their own. */
  readonly dense?: true;
  /** There is no dense feed-forward part. */
  readonly sparse?: true;
  /** What the base and the number under the root are is never left out. */
  readonly explicit?: true;
  /** The settings lie under `text_config`, beside those for pictures; what is absent there is as here. */
  readonly textConfig?: JsonObject;
  /** Tensors of extra prediction layers, which are left out. */
  readonly drafter?: true;
  /** Experts' matrices may be in blocks of MXFP4. */
  readonly blocks?: true;
  /** What GGUF calls its pre-tokenizer, where others have the same one; `gemma4` is a kind of vocabulary. */
  readonly pre?: string;
  readonly rules?: readonly Rule[];
  /** Writes the keys that only this family has. */
  readonly ownKeys?: OwnKeys;
}
