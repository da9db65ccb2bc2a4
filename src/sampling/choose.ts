/**
 * A choice outside of a step: logits, a sampler's state and a workspace go to native code, a token comes back. The call ends
 * before it returns, so all samplers of this program share one workspace, as large as the largest vocabulary so far.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { WORKSPACE } from "../../ffi/wire.ts";
import { Sampled } from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import type { Choice, Request, SamplerState } from "./state.ts";

/** The candidates of a choice, with their probabilities after all methods. */
export interface Candidates {
  /** The ids of the tokens, rising. */
  readonly tokens: Uint32Array;
  /** The probability of each, from 0 to 1. */
  readonly probabilities: Float64Array;
}

const words = new Words("sampler", 256);
let workspace = new Uint32Array(workspaceWords(0));
let bytes = new Uint8Array(workspace.buffer);
let sampled = new Sampled(workspace);

/**
 * Chooses a token. The state counts the choice.
 *
 * @param logits [vocabulary]; they stay as they are
 * @returns the token, with log probabilities where `request.top` asks for them
 */
export function choose(state: SamplerState, logits: Float32Array, request: Request): Choice {
  run(state, logits, request);
  const choice = state.take(sampled, logits.length, request.top);
  state.tell();
  return choice;
}

/**
 * Finds the candidates of the next choice. The state stays as it is.
 *
 * @param logits [vocabulary]; they stay as they are
 * @returns copies
 */
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

/** How many words a workspace for a vocabulary has; native code refuses a smaller one. */
export function workspaceWords(vocabulary: number): number {
  const stride = strideOf(vocabulary);
  return WORKSPACE.head + WORKSPACE.arrays * stride + roundUp(stride / WORKSPACE.lanes) + WORKSPACE.tail;
}

function roundUp(words: number): number {
  return Math.ceil(words / WORKSPACE.lanes) * WORKSPACE.lanes;
}

function run(state: SamplerState, logits: Float32Array, request: Request): void {
  // `native` refuses what is no Float32Array; its length is not trusted here.
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
