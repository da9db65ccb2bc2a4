/**
 * KV pages as bytes, for a saved cache: the page as the engine has it, then its hidden states, then copies of recurrent states,
 * which are pages as well. Each of these begins with what it is and the tokens before it. They are good for the very same
 * weights and settings only, which the identity says.
 *
 * @module
 */
import type { CacheIdentity, ValueCodec } from "../cache/types.ts";
import { accumulationContract, type Engine, kvSizes } from "../engine/engine.ts";
import type { Model } from "../model/model.ts";
import { weightsSum } from "../model/weights_sum.ts";
import type { KvPage, KvStore } from "./kv_store.ts";
import type { Scheduler } from "./scheduler.ts";
import { StateCopy } from "./state_copy.ts";

/** What pages belong to; the scheduler is made after the codec. */
export interface CodecHost {
  readonly model: Model;
  readonly engine: Engine;
  scheduler(): Scheduler;
}

/** What a part of a page is, behind the page itself. */
const kinds = { hidden: 1, state: 2 } as const;
/** Bytes in front of such a part: its kind, and the tokens of the page before it. */
const partHead = 8;
/** Bytes behind those of a page. */
const checksumBytes = 8;

/** Turns pages into bytes and back, between the steps of a scheduler. */
export function kvCodec(
  { model, engine, scheduler }: CodecHost,
): ValueCodec<KvPage> & { readonly identity: () => Promise<CacheIdentity> } {
  const { kv, pageSize } = engine.settings;
  const { embedding } = model.plan.hyperparameters;
  const { pageBytes, behindBytes, statePages } = kvSizes(model.plan, kv, pageSize);
  const bytes = pageBytes + checksumBytes;
  const lengths = new Map<number, number>([[kinds.hidden, 4 * embedding], [kinds.state, statePages * bytes]]);
  let identity: Promise<CacheIdentity> | undefined;
  return {
    identity: () => identity ??= identify(model, engine),
    partBytesMax: Math.max(bytes, ...[...lengths.values()].map((length) => partHead + length)),
    encode({ page, hasWindow, hidden, copies }, tokens) {
      return scheduler().betweenSteps(() => {
        const own = new Uint8Array(hasWindow ? bytes : behindBytes + checksumBytes);
        engine.exportPage(page, own, hasWindow);
        const parts: Uint8Array[] = [own];
        for (const [count, state] of hidden) {
          if (count > tokens) continue;
          parts.push(makePart(kinds.hidden, count, new Uint8Array(state.buffer, state.byteOffset, state.byteLength)));
        }
        for (const [count, copy] of copies) if (count <= tokens) parts.push(exportState(engine, copy, count, bytes));
        return parts;
      });
    },
    decode([own, ...parts], tokens) {
      const hasWindow = own?.length === bytes;
      if (own === undefined || (!hasWindow && own.length !== behindBytes + checksumBytes)) return undefined;
      const rest = parts.map(readPart);
      const isRight = rest.every(({ kind, count, body }) =>
        count >= 1 && count <= tokens && body.length > 0 && body.length === lengths.get(kind)
      );
      if (!isRight) return undefined;
      return scheduler().betweenSteps(() => {
        const { store } = scheduler();
        const page = importPage(engine, store, own);
        if (page === undefined) return undefined;
        // What was saved with its windowed part was kept at the end of a prompt or of a turn.
        if (!hasWindow) store.pool.leave(page);
        const hidden = new Map<number, Float32Array>();
        const copies = new Map<number, StateCopy>();
        const value: KvPage = { page, hasWindow, keepsWindow: hasWindow, hidden, copies, isDropped: false };
        for (const { kind, count, body } of rest) {
          if (kind === kinds.hidden) hidden.set(count, new Float32Array(body.slice().buffer));
          else if (!copies.has(count)) {
            const pages = importState(engine, store, body);
            if (pages) copies.set(count, new StateCopy(copies, count, pages, store));
          }
        }
        return value;
      });
    },
  };
}

/** A page with the bytes of one; undefined where there is no room, or where they are not those. */
function importPage(engine: Engine, store: KvStore, bytes: Uint8Array): number | undefined {
  const page = store.takeUnused();
  if (page === undefined || engine.importPage(page, bytes)) return page;
  store.pool.release(page);
  return undefined;
}

function exportState(engine: Engine, { pages }: StateCopy, count: number, bytes: number): Uint8Array {
  const part = makePart(kinds.state, count, new Uint8Array(pages.length * bytes));
  pages.forEach((page, index) => {
    const begin = partHead + index * bytes;
    engine.exportPage(page, part.subarray(begin, begin + bytes));
  });
  return part;
}

/** The pages of a state, all or none. */
function importState(engine: Engine, store: KvStore, body: Uint8Array): number[] | undefined {
  const bytes = body.length / store.statePages;
  const pages: number[] = [];
  for (let begin = 0; begin < body.length; begin += bytes) {
    const page = importPage(engine, store, body.subarray(begin, begin + bytes));
    if (page === undefined) {
      for (const other of pages) store.pool.release(other);
      return undefined;
    }
    pages.push(page);
  }
  return pages;
}

function makePart(kind: number, count: number, body: Uint8Array): Uint8Array {
  const part = new Uint8Array(partHead + body.length);
  new Uint32Array(part.buffer, 0, 2).set([kind, count]);
  part.set(body, partHead);
  return part;
}

function readPart(part: Uint8Array): { readonly kind: number; readonly count: number; readonly body: Uint8Array } {
  if (part.length < partHead) return { kind: 0, count: 0, body: part };
  const [kind, count] = new Uint32Array(part.slice(0, partHead).buffer) as unknown as [number, number];
  return { kind, count, body: part.subarray(partHead) };
}

/** All that keys and values depend on, beside the tokens. */
async function identify({ gguf, plan, adapters }: Model, { settings }: Engine): Promise<CacheIdentity> {
  const { ropeStyle, rotations } = plan.hyperparameters;
  const factors = plan.tensors.find(({ role }) => role === "rope_freqs")?.tensor.name;
  return {
    values: "keys and values",
    weights: await weightsSum(gguf),
    kv: settings.kv,
    activationBits: settings.activationBits,
    rope: JSON.stringify({ ropeStyle, rotations, factors }),
    ...(adapters.usual.key === "" ? {} : { adapters: adapters.usual.key }),
    accumulationContract,
  };
}
