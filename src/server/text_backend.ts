/**
 * Texts that are computed for a request: by a model of this process, or by others elsewhere, which get them in orders that a message
 * can carry.
 *
 * @module
 */
import { Embedder, partsOfEmbedder } from "../embedding/embedder.ts";
import { dimensionsOf, textContext, TextReader } from "../embedding/text_reader.ts";
import type { StepBlock, StepOrder, TextModel, TextRunner, TextsOrder } from "../embedding/types.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { type LightGPT, textsOf } from "../lightgpt/lightgpt.ts";
import { refuseOption } from "../options/checks.ts";
import { tokenIds } from "../options/token_ids.ts";
import type { TextBackend, TextReading } from "./types.ts";

type Text = TextsOrder["texts"][number];

/** Looks at the figures over which tokens a second are told. */
const looks = 4;

/** A model of this process. */
export class LocalTexts implements TextBackend {
  readonly #lm: LightGPT | Embedder;
  /** Tokens that were read, and when some of the last ones were. */
  #tokens = 0;
  #marks: { readonly at: number; readonly tokens: number }[] = [];

  /** Computes texts by a model that is loaded. */
  constructor(lm: LightGPT | Embedder) {
    this.#lm = lm;
  }

  async *read(order: TextsOrder, signal: AbortSignal): AsyncGenerator<Float32Array, void, void> {
    const embedder = this.#lm instanceof Embedder ? this.#lm : await textsOf(this.#lm);
    const { texts, result } = checked(order, embedder);
    const { hyperparameters } = embedder.model.plan;
    const width = result.ranks ? hyperparameters.rankScores : result.dimensions || embedder.dimensions;
    const place = (floats: number) => new Float32Array(floats);
    const { runner } = partsOfEmbedder(embedder);
    for await (const { texts: read, data } of runner.run(given(texts), { result, width, place, signal })) {
      this.#tokens += read.reduce((sum, { tokens }) => sum + tokens.length, 0);
      for (let begin = 0; begin < data.length; begin += width) yield data.subarray(begin, begin + width);
    }
  }

  /** Tokens that were read, and how many a second over the last few looks; no text is kept, so none is found again. */
  figures(): { tokens: number; tokensPerSecond: number; cacheAsked: number; cacheFound: number } {
    const now = { at: performance.now(), tokens: this.#tokens };
    const first = this.#marks[0] ?? now;
    this.#marks = [...this.#marks, now].slice(-looks);
    const seconds = (now.at - first.at) / 1000;
    const tokensPerSecond = seconds > 0 ? (now.tokens - first.tokens) / seconds : 0;
    return { tokens: now.tokens, tokensPerSecond, cacheAsked: 0, cacheFound: 0 };
  }
}

/** All that the numbers of an embedder's texts depend on beside the tokens. */
export function textIdentity(embedder: Embedder): Promise<unknown> {
  return partsOfEmbedder(embedder).identity();
}

/** The most tokens of a text that a model reads as a whole. */
export function textContextOf(lm: LightGPT | Embedder): number {
  const { context, model: { plan } } = lm;
  return lm instanceof Embedder ? context : textContext(plan, Math.min(context, LIMITS.batchTokensMax));
}

/** An order of another machine, whose library may be another one. */
function checked({ texts, result }: TextsOrder, { model, context }: Embedder): TextsOrder {
  const { plan, vocabulary } = model;
  const most = dimensionsOf(plan);
  const isRight = Number.isInteger(result.dimensions) && result.dimensions >= 0 && result.dimensions <= most;
  if (!isRight || result.pooling === "rows") refuseOption("result", `a vector of at most ${most} numbers`, result);
  if (result.ranks && plan.hyperparameters.rankScores === 0) {
    refuseOption("result", "vectors: the model ranks none", result);
  }
  const read = texts.map(({ tokens, secondType }, index) => {
    const name = `texts[${index}]`;
    const ids = tokenIds(name, tokens, vocabulary);
    if (ids.length === 0 || ids.length > context) refuseOption(name, `1 to ${context} tokens`, `${ids.length}`);
    if (!(secondType >= 0 && secondType <= ids.length)) refuseOption(name, "a second part within it", `${secondType}`);
    return { tokens: ids, secondType };
  });
  return { texts: read, result };
}

async function* given(texts: readonly Text[]): AsyncGenerator<Text, void, void> {
  yield* texts;
}

/** Texts of an order at most, so that several workers get some of many; and orders that are under way at once. */
const textsMost = 128;
const ordersMost = 8;

/** What reads texts elsewhere is made with. */
export interface RemoteTextParts {
  readonly model: TextModel;
  /** Most tokens of a text. */
  readonly context: number;
  /** Most tokens of an order, and how many tokens a text costs beside its own. */
  readonly tokensMost: number;
  readonly backend: TextBackend;
}

/** Reads texts by orders. */
export function remoteReading({ model, context, tokensMost, backend }: RemoteTextParts): TextReading {
  const runner: TextRunner = { run: (texts, order) => runRemotely(backend, orders(texts, tokensMost), order) };
  return new TextReader({ model, context, runner });
}

/** The blocks of all orders in their order, of which some are under way at once. One that fails ends the others. */
async function* runRemotely(
  backend: TextBackend,
  lists: AsyncIterable<readonly Text[]>,
  { result, width, place, signal }: StepOrder,
): AsyncGenerator<StepBlock, void, void> {
  const controller = new AbortController();
  const end = AbortSignal.any([controller.signal, ...(signal === undefined ? [] : [signal])]);
  const underWay: { readonly texts: readonly Text[]; readonly rows: Promise<Float32Array[]> }[] = [];
  const first = async (): Promise<StepBlock> => {
    const { texts, rows } = underWay[0];
    const numbers = await rows;
    underWay.shift();
    const data = place(texts.length * width);
    numbers.forEach((row, index) => data.set(row, index * width));
    return { texts, data };
  };
  try {
    for await (const texts of lists) {
      const rows = Array.fromAsync(backend.read({ texts, result }, end));
      rows.catch(() => {}); // awaited when its turn has come
      underWay.push({ texts, rows });
      if (underWay.length === ordersMost) yield await first();
    }
    while (underWay.length > 0) yield await first();
  } finally {
    if (underWay.length > 0) controller.abort();
  }
}

/** Texts as lists that an order can have. */
async function* orders(texts: AsyncIterable<Text>, tokensMost: number): AsyncGenerator<Text[], void, void> {
  let [list, tokens]: [Text[], number] = [[], 0];
  for await (const text of texts) {
    const { length } = text.tokens;
    if (list.length > 0 && (tokens + length > tokensMost || list.length === textsMost)) {
      yield list;
      [list, tokens] = [[], 0];
    }
    list.push(text);
    tokens += length;
  }
  if (list.length > 0) yield list;
}
