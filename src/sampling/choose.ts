/**
 * A choice outside of a step: logits, a sampler's state and a workspace go down, a token comes back. The workspace is one for
 * all samplers of this program, as large as the largest vocabulary so far: the call doesn't return before it is done.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { WORKSPACE } from "../../ffi/wire.ts";
import { Sampled } from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import type { Choice, Request, SamplerState } from "./state.ts";

/** A candidate and its probability after all methods. */
export interface Candidates {
  /** The ids, rising. */
  readonly tokens: Uint32Array;
  /** Their probabilities. */
  readonly probabilities: Float64Array;
}

const words = new Words("sampler", 256);
let workspace = new Uint32Array(workspaceWords(0));
let bytes = new Uint8Array(workspace.buffer);
let sampled = new Sampled(workspace);

/** Chooses a token; the state takes part and remembers. */
export function choose(state: SamplerState, logits: Float32Array, request: Request): Choice {
  run(state, logits, request);
  return state.take(sampled, logits.length, request.top);
}

/** The candidates after all methods; the state stays as it is. Copies. */
export function candidates(state: SamplerState, logits: Float32Array, position: number): Candidates {
  run(state, logits, { position, distribution: true });
  const count = sampled.candidates;
  const stride = strideOf(logits.length);
  const ids = WORKSPACE.head + WORKSPACE.ids * stride;
  const probabilities = WORKSPACE.head + WORKSPACE.probabilities * stride;
  return {
    tokens: sampled.listed === 1
      ? workspace.slice(ids, ids + count)
      : Uint32Array.from({ length: count }, (_, id) => id),
    probabilities: new Float64Array(workspace.buffer, 4 * probabilities, count).slice(),
  };
}

/** Words of one of the workspace's arrays. */
function strideOf(vocabulary: number): number {
  return roundUp(vocabulary) + WORKSPACE.lanes;
}

/** Words of a workspace for a vocabulary; native code refuses a smaller one. */
export function workspaceWords(vocabulary: number): number {
  const stride = strideOf(vocabulary);
  return WORKSPACE.head + WORKSPACE.arrays * stride + roundUp(stride / WORKSPACE.lanes) + WORKSPACE.tail;
}

function roundUp(words: number): number {
  return Math.ceil(words / WORKSPACE.lanes) * WORKSPACE.lanes;
}

function run(state: SamplerState, logits: Float32Array, request: Request): void {
  // What is no such array is refused by `native`; until then its length is not trusted.
  const vocabulary = ArrayBuffer.isView(logits) ? logits.length ?? 0 : 0;
  const needed = workspaceWords(vocabulary);
  if (needed > workspace.length) {
    workspace = new Uint32Array(needed + (needed & 1));
    bytes = new Uint8Array(workspace.buffer);
    sampled = new Sampled(workspace);
  }
  words.clear();
  state.encode(words, vocabulary, request);
  native().sample(words, logits, workspace, bytes);
}
