/**
 * Whether the tokens of two models are the same: what one of them guesses, the other must be able to read.
 *
 * @module
 */
import { LENGTH_BYTES, MetadataArray } from "../files/gguf/metadata.ts";
import type { Model } from "./model.ts";

/** How two vocabularies differ, in the words of an error. */
interface Difference {
  readonly expected: string;
  readonly got: string;
}

/** The first difference of another model's tokens; none where both are the same, though one may have more behind the other's. */
export function vocabulariesDiffer(model: Model, other: Model): Difference | undefined {
  const [own, others] = [model, other].map(({ gguf }) => gguf.metadata.get("tokenizer.ggml.tokens"));
  if (!(own instanceof MetadataArray) || !(others instanceof MetadataArray)) {
    if (own !== others) {
      return { expected: "a model of the same vocabulary", got: "one of which only one of both has texts" };
    }
    const [expected, got] = [model.vocabulary, other.vocabulary];
    return expected === got
      ? undefined
      : { expected: `a model with ${expected} tokens, as this one has`, got: `one with ${got}` };
  }
  const [a, b] = [own.strings(), others.strings()];
  const tokens = Math.min(own.length, others.length);
  const textOf = ({ bytes, starts }: typeof a, token: number) =>
    bytes.subarray(starts[token], (starts[token + 1] as number) - LENGTH_BYTES);
  for (let token = 0; token < tokens; token++) {
    const [left, right] = [textOf(a, token), textOf(b, token)];
    if (left.length === right.length && left.every((byte, index) => byte === right[index])) continue;
    const [expected, got] = [own.at(token), others.at(token)].map((text) => JSON.stringify(text));
    return {
      expected: `a model of the same vocabulary, whose token ${token} is ${expected}`,
      got: `one where it is ${got}`,
    };
  }
  return undefined;
}
