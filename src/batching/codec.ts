/**
 * KV pages as bytes, for a saved cache: the page as the engine has it, then its hidden states, each with its length in
 * front. They are good for the very same weights and settings only, which the identity says.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import type { CacheIdentity, ValueCodec } from "../cache/types.ts";
import { accumulationContract, type Engine, kvSizes } from "../engine/engine.ts";
import type { Model } from "../model/model.ts";
import type { KvPage } from "./kv_store.ts";
import type { Scheduler } from "./scheduler.ts";

/** What pages belong to; the scheduler is made after the codec. */
export interface CodecHost {
  readonly model: Model;
  readonly engine: Engine;
  scheduler(): Scheduler;
}

/** Turns pages into bytes and back, between the steps of a scheduler. */
export function kvCodec({ model, engine, scheduler }: CodecHost): ValueCodec<KvPage> {
  const { kv, pageSize } = engine.settings;
  const { embedding } = model.plan.hyperparameters;
  const { pageBytes, behindBytes } = kvSizes(model.plan, kv, pageSize);
  const checksumBytes = 8;
  const bytes = pageBytes + checksumBytes;
  let identity: Promise<CacheIdentity> | undefined;
  return {
    identity: () => identity ??= identify(model, engine),
    partBytesMax: Math.max(bytes, 4 + 4 * embedding),
    async encode({ page, hasWindow, states }, tokens) {
      const own = new Uint8Array(hasWindow ? bytes : behindBytes + checksumBytes);
      await scheduler().betweenSteps(() => engine.exportPage(page, own, hasWindow));
      return [own, ...[...states].filter(([count]) => count <= tokens).map(encodeState)];
    },
    decode([own, ...rest], tokens) {
      const hasWindow = own?.length === bytes;
      if (own === undefined || (!hasWindow && own.length !== behindBytes + checksumBytes)) return undefined;
      const states = new Map<number, Float32Array>();
      for (const part of rest) {
        const [count, state] = decodeState(part);
        if (count < 1 || count > tokens || state.length !== embedding) return undefined;
        states.set(count, state);
      }
      return scheduler().betweenSteps(() => {
        const { store } = scheduler();
        const page = store.takeUnused();
        if (page === undefined) return undefined;
        if (!engine.importPage(page, own)) {
          store.pool.release(page);
          return undefined;
        }
        // What was saved with its windowed part was kept at the end of a prompt or of a turn.
        if (!hasWindow) store.pool.leave(page);
        return { page, hasWindow, keepsWindow: hasWindow, states, isDropped: false };
      });
    },
  };
}

function encodeState([count, state]: [number, Float32Array]): Uint8Array {
  const part = new Float32Array(1 + state.length);
  new Uint32Array(part.buffer)[0] = count;
  part.set(state, 1);
  return new Uint8Array(part.buffer);
}

function decodeState(part: Uint8Array): [number, Float32Array] {
  if (part.length < 4 || part.length % 4 !== 0) return [0, new Float32Array(0)];
  const { buffer } = part.slice();
  return [new Uint32Array(buffer)[0] as number, new Float32Array(buffer, 4)];
}

/** All that keys and values depend on, beside the tokens. */
async function identify({ gguf, plan, adapters }: Model, { settings }: Engine): Promise<CacheIdentity> {
  const { createHash } = await import("node:crypto"); // slow to load, and few save a cache
  const hash = createHash("sha256");
  for (const file of gguf.files) {
    for await (const chunk of node("node:fs").createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  }
  const { ropeStyle, rotations } = plan.hyperparameters;
  const factors = plan.tensors.find(({ role }) => role === "rope_freqs")?.tensor.name;
  return {
    values: "keys and values",
    weights: hash.digest("hex"),
    kv: settings.kv,
    activationBits: settings.activationBits,
    rope: JSON.stringify({ ropeStyle, rotations, factors }),
    ...(adapters.usual.key === "" ? {} : { adapters: adapters.usual.key }),
    accumulationContract,
  };
}
