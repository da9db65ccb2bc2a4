/**
 * A text in windows, and a reader that a model reads them with, one after the other, each by itself. A model that generates reads a
 * window as the beginning of a sequence, one that reads whole texts as a text. Calibrating and collecting an importance matrix ask
 * the reader for what its products read.
 *
 * @module
 */
import { given } from "../options/schema.ts";
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { Engine, type EngineModel, kvSizes } from "../engine/engine.ts";
import { pagesFor } from "../engine/page_pool.ts";
import type { ProductInputs } from "../engine/product_inputs.ts";
import { TextEngine, type TextEngineSettings, type TextResult, type TokenText } from "../engine/text_engine.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import type { Model } from "../model/model.ts";
import { checkInteger } from "../options/checks.ts";
import { headOf, tailOf } from "./window.ts";

const pageSize = 32;

/** A text's model, as far as windows depend on it. */
export interface WindowsModel {
  readonly tokenizer: Model["tokenizer"];
  readonly plan: { readonly texts: Pick<ModelPlan["texts"], "generates"> };
}

/** Tokens that are read together: one text, or several one after the other. */
export interface Window {
  readonly tokens: Uint32Array;
  /** How many of the tokens each text has. */
  readonly lengths: readonly number[];
}

/**
 * Tokens of a text that is read as a whole, those at its ends included, window by window. A model of such texts meets sentences and
 * single words as often as pages, and they are unlike: as many tokens of each length make the model as good for all.
 */
const lengthsOfTexts = [256, 3, 32, 8, 128, 5, 64, 16];

/**
 * Cuts a text into windows, each of which begins and ends as the file wants a text to. A model that reads whole texts gets some of all
 * lengths; `first` is the number of the first window, which says how long its texts are.
 *
 * @throws {CancelledError} once the signal is aborted
 */
export async function windowsOf(
  { tokenizer, plan }: WindowsModel,
  text: string,
  window: number,
  signal: AbortSignal | undefined,
  first = 0,
): Promise<Window[]> {
  const ids = await tokenizer.encodeAsync(text, { addSpecial: false, ...given({ signal }) });
  const head = headOf(tokenizer);
  const tail = plan.texts.generates ? [] : tailOf(tokenizer);
  const ends = head.length + tail.length;
  checkInteger("window", window, ends + 1, Number.MAX_SAFE_INTEGER);
  const windows: Window[] = [];
  for (let begin = 0; begin < ids.length;) {
    const wanted = lengthsOfTexts[(first + windows.length) % lengthsOfTexts.length]!;
    const length = plan.texts.generates ? window : Math.min(window, Math.max(ends + 1, wanted));
    const texts: number[][] = [];
    for (let room = window; room >= length && begin < ids.length; room -= length) {
      const end = begin + length - ends;
      texts.push([...head, ...ids.subarray(begin, end), ...tail]);
      begin = end;
    }
    windows.push({ tokens: Uint32Array.from(texts.flat()), lengths: texts.map(({ length }) => length) });
  }
  if (windows.length === 0) {
    throw new InvalidArgumentError("text: expected a text with at least one token, like what the model will read.", {
      what: "a text without tokens",
      where: "text",
      expected: "at least one token",
      got: "none",
    });
  }
  return windows;
}

/** Reads windows. */
export interface WindowReader {
  /** What the products of the last window read. */
  readonly inputs: ProductInputs;
  /** Reads a window; throws what went wrong with it. */
  read(window: Window): Promise<void>;
  dispose(): Promise<void>;
}

/** Makes a reader of windows of at most so many tokens; the caller disposes it. */
export function openReader(
  model: EngineModel,
  window: number,
  threads: number,
  activationBits: 8 | 16 = 8,
): WindowReader {
  const open = model.plan.texts.generates ? openSequences : openTexts;
  return open(model, { batchTokens: window, threads, activationBits });
}

/** Settings that both kinds of engines have. */
type ReaderSettings = Pick<TextEngineSettings, "batchTokens" | "threads" | "activationBits">;

function openSequences(model: EngineModel, settings: ReaderSettings): WindowReader {
  const { statePages } = kvSizes(model.plan, "f32", pageSize);
  const pages = statePages + pagesFor(settings.batchTokens, pageSize);
  const engine = new Engine(model, { ...settings, sequences: 1, kv: "f32", pageSize, pages, logitRows: 1 });
  return {
    inputs: engine.inputs,
    read: async ({ tokens }) => {
      const count = statePages + pagesFor(tokens.length, pageSize);
      const pages = Array.from({ length: count }, (_, page) => page);
      const [{ error }] = await engine.run([{ id: 1, position: 0, tokens, pages, logits: "none" }], false);
      if (error !== undefined) throw error;
    },
    dispose: () => engine.dispose(),
  };
}

const nothing: TextResult = { pooling: "none", ranks: false, levels: false, dimensions: 0, normalises: false };

function openTexts(model: EngineModel, settings: ReaderSettings): WindowReader {
  // A text has one token at least.
  const sequences = Math.min(settings.batchTokens, LIMITS.sequencesMax);
  const engine = new TextEngine(model, { ...settings, sequences }, kvSizes(model.plan, "f32", pageSize).statePages);
  return {
    inputs: engine.inputs,
    read: async ({ tokens, lengths }) => {
      let begin = 0;
      const texts = lengths.map((length): TokenText => {
        const own = tokens.subarray(begin, begin + length);
        begin += length;
        return { tokens: own, secondType: 0 };
      });
      const errors = await engine.run(texts, nothing, new Float32Array(0));
      for (const error of errors) if (error !== undefined) throw error;
    },
    dispose: () => engine.dispose(),
  };
}
