/**
 * A choice outside of a step: logits, a sampler's state and a workspace go down, a token comes back. The workspace is one for
 * all samplers of this program, as large as the largest vocabulary so far: the call doesn't return before it is done.
 *
 * @module
 */
import { SAMPLED, WORKSPACE } from "../../ffi/abi.ts";
import { native } from "../../ffi/native.ts";
import type { Choice, Request, SamplerState } from "./state.ts";

/** A candidate and its probability after all methods. */
export interface Candidates {
  /** The ids, rising. */
  readonly tokens: Uint32Array;
  /** Their probabilities. */
  readonly probabilities: Float64Array;
}

let words = new Uint32Array(256);
let workspace = new Uint32Array(WORKSPACE.words(0));
let bytes = new Uint8Array(workspace.buffer);
let doubles = new Float64Array(workspace.buffer);

/** Chooses a token; the state takes part and remembers. */
export function choose(state: SamplerState, logits: Float32Array, request: Request): Choice {
  run(state, logits, request);
  return state.take(workspace, doubles, 0, logits.length, request.top);
}

/** The candidates after all methods; the state stays as it is. Copies. */
export function candidates(state: SamplerState, logits: Float32Array, position: number): Candidates {
  run(state, logits, { position, distribution: true });
  const count = workspace[SAMPLED.candidates] as number;
  const stride = WORKSPACE.stride(logits.length);
  const ids = WORKSPACE.head + WORKSPACE.ids * stride;
  const first = (WORKSPACE.head + WORKSPACE.probabilities * stride) / 2;
  return {
    tokens: workspace[SAMPLED.listed] === 1
      ? workspace.slice(ids, ids + count)
      : Uint32Array.from({ length: count }, (_, id) => id),
    probabilities: doubles.slice(first, first + count),
  };
}

function run(state: SamplerState, logits: Float32Array, request: Request): void {
  // What is no such array is refused by `native`; until then its length is not trusted.
  const vocabulary = ArrayBuffer.isView(logits) ? logits.length ?? 0 : 0;
  const size = state.words(vocabulary);
  if (size > words.length) words = new Uint32Array(2 * size);
  const needed = WORKSPACE.words(vocabulary);
  if (needed > workspace.length) {
    workspace = new Uint32Array(needed + (needed & 1));
    bytes = new Uint8Array(workspace.buffer);
    doubles = new Float64Array(workspace.buffer);
  }
  native().sample(words, state.encode(words, 0, vocabulary, request), logits, workspace, bytes);
}
