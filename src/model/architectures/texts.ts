/**
 * What a model is to whole texts: whether each token sees those after it, the tables of positions and of token types, what a
 * text's row is pooled from and what follows it, be that a pair of matrices or the head of a reranking model.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { type Gguf, type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import type { Hyperparameters, TextParameters, Traits } from "./types.ts";

/** What of it the library is told. */
export type TextSizes = Pick<
  Hyperparameters,
  | "positions"
  | "tokenTypes"
  | "distancesLower"
  | "denseInner"
  | "denseWidth"
  | "rankWidth"
  | "rankScores"
  | "rankActivation"
  | "rankSoftmax"
>;

/** Pooling by its number in a file. */
const POOLINGS = [undefined, "mean", "first", "last", "rank"] as const;

/** Whether tokens see only what is before them. */
export function isCausal(metadata: Metadata, architecture: string, { encoder }: Traits): boolean {
  return metadata.flag(`${architecture}.attention.causal`, encoder === undefined) && encoder !== "always";
}

/** Reads what a model is to whole texts. */
export function readTexts(gguf: Gguf, architecture: string, traits: Traits): TextParameters {
  const { metadata } = gguf;
  const key = `${architecture}.pooling_type`;
  const number = metadata.count(key, { least: 0, most: POOLINGS.length - 1, fallback: 0 });
  const causal = isCausal(metadata, architecture, traits);
  const labels = metadata.get(`${architecture}.classifier.output_labels`);
  return {
    causal,
    generates: causal && traits.encoder === undefined,
    pooling: POOLINGS[number],
    rankPooling: traits.rank?.pooling ?? "first",
    labels: labels instanceof MetadataArray ? Array.from(labels, String) : [],
    secondType: traits.secondType === true,
    levelsBeforeCut: traits.levelsBeforeCut === true,
    lacksMatrices: traits.denseHeads === true && !gguf.tensors.has("dense_2.weight"),
  };
}

/** The sizes of tables and heads. */
export function readTextSizes(
  gguf: Gguf,
  architecture: string,
  traits: Traits,
  { labels }: TextParameters,
  { embedding, context }: { readonly embedding: number; readonly context: number },
): TextSizes {
  const { tensors } = gguf;
  const hasRank = tensors.has("cls.weight") || tensors.has("cls.output.weight");
  const isOneRow = tensors.has("cls.weight") && !tensors.has("cls.output.weight");
  const rankScores = !hasRank ? 0 : isOneRow ? 1 : Math.max(1, labels.length);
  return {
    positions: traits.positionTable ? context : 0,
    tokenTypes: readTokenTypes(gguf, traits),
    distancesLower: traits.distances === true,
    ...readDense(gguf, architecture, traits),
    rankWidth: !tensors.has("cls.weight") ? 0 : isOneRow ? 1 : embedding,
    rankScores,
    rankActivation: traits.rank?.activation ?? "tanh",
    rankSoftmax: traits.rank?.softmax === true && rankScores === 2,
  };
}

/** Rows of the table of token types. DistilBERT has none, which files tell by a count of 1 and no table. */
function readTokenTypes({ metadata, tensors }: Gguf, { tokenTypes }: Traits): number {
  if (tokenTypes === undefined) return 0;
  const hasTable = tensors.has("token_types.weight");
  if (tokenTypes === "optional" && !hasTable) return 0;
  const count = metadata.count("tokenizer.ggml.token_type_count", { most: LIMITS.tokenTypesMax });
  return count === 1 && !hasTable ? 0 : count;
}

/** What the two matrices behind a pooled row give. */
function readDense({ metadata, tensors }: Gguf, architecture: string, { denseHeads }: Traits) {
  if (!denseHeads || !tensors.has("dense_2.weight")) return { denseInner: 0, denseWidth: 0 };
  const size = (name: string) => metadata.count(`${architecture}.${name}`, { most: LIMITS.embeddingMax });
  return { denseInner: size("dense_2_feat_out"), denseWidth: size("dense_3_feat_out") };
}
