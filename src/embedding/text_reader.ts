/**
 * Texts to vectors, and documents to scores, over whatever computes them: what is asked for is checked, texts become tokens, and what
 * they come to gets its form here. The model's weights need not be in this process.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError, UnsupportedError } from "../../ffi/errors.ts";
import { LIMITS } from "../../ffi/wire.ts";
import type { TextResult, TokenText } from "../engine/text_engine.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { checkText, guarded, refuseOption } from "../options/checks.ts";
import { readOptions, type Resolved } from "../options/schema.ts";
import { Embeddings } from "./embeddings.ts";
import { Inputs, type Reading } from "./inputs.ts";
import { embedFields, type EmbedOptions, rerankFields, type RerankOptions } from "./options.ts";
import { Pairs } from "./pairs.ts";
import type { EmbedInput, EmbedSource, RankedDocument, StepBlock, TextModel, TextRunner } from "./types.ts";

const POOLINGS = { none: "rows", mean: "mean", cls: "first", last: "last" } as const;
/** Most tokens of a text unless more are asked for. */
const contextUsual = 8192;

/** Most tokens that a text may have: as asked for, where the model has so many positions. A text is read in one step. */
export function textContext({ hyperparameters: { positions, context } }: ModelPlan, asked: number | undefined): number {
  const most = positions > 0 ? positions : asked ?? Math.min(context, contextUsual);
  const limit = Math.min(positions > 0 ? positions : Infinity, LIMITS.batchTokensMax);
  if ((asked ?? 0) > limit) refuseOption("context", `at most ${limit}, for a text is read in one step`, asked);
  return Math.min(most, asked ?? most, limit);
}

/** Numbers of a vector that is not cut. */
export function dimensionsOf({ hyperparameters: { denseWidth, embedding } }: ModelPlan): number {
  return denseWidth > 0 ? denseWidth : embedding;
}

/** What a reader of texts is made with. */
export interface TextReaderParts {
  readonly model: TextModel;
  /** Most tokens of a text. */
  readonly context: number;
  readonly runner: TextRunner;
}

/** Reads texts for one model. */
export class TextReader {
  readonly #parts: TextReaderParts;
  readonly #inputs: Inputs;
  readonly #pairs: Pairs;

  /** Over what computes. */
  constructor(parts: TextReaderParts) {
    this.#parts = parts;
    this.#inputs = new Inputs(parts.model);
    this.#pairs = new Pairs(parts.model, this.#inputs);
  }

  /** The vectors of texts in one block. */
  async embed(inputs: EmbedInput | EmbedSource, options: EmbedOptions = {}): Promise<Embeddings> {
    const read = readOptions(embedFields, options);
    const result = this.#resultOf(read);
    const width = read.dimensions ?? this.#widthOf(result);
    const source = sourceOf(inputs);
    const total = Array.isArray(source) ? source.length : undefined;
    const block = new Block(result.pooling === "rows" || total === undefined ? 0 : total * width);
    const layout = new Layout(result, width);
    const place = (floats: number) => block.take(floats);
    for await (const { texts } of this.#run(source, read, result, width, place)) {
      layout.add(texts);
      read.onProgress?.({ done: layout.starts.length - 1, total, tokens: layout.tokens });
    }
    return new Embeddings(block.data, width, layout.starts, layout.tokens);
  }

  /** The same step by step. */
  async *embedParts(inputs: EmbedSource, options: EmbedOptions = {}): AsyncGenerator<Embeddings, void, void> {
    const read = readOptions(embedFields, options);
    const result = this.#resultOf(read);
    const width = read.dimensions ?? this.#widthOf(result);
    const source = sourceOf(inputs);
    const total = Array.isArray(source) ? source.length : undefined;
    let [done, tokens] = [0, 0];
    const place = (floats: number) => new Float32Array(floats);
    for await (const { texts, data } of this.#run(source, read, result, width, place)) {
      const layout = new Layout(result, width);
      layout.add(texts);
      done += texts.length;
      tokens += layout.tokens;
      read.onProgress?.({ done, total, tokens });
      yield new Embeddings(data, width, layout.starts, layout.tokens);
    }
  }

  /** Documents by how well they answer a query, the best first. */
  async rerank(query: string, documents: readonly string[], options: RerankOptions = {}): Promise<RankedDocument[]> {
    const { top, truncate, signal, onProgress } = readOptions(rerankFields, options);
    const { texts: { rankPooling }, hyperparameters: { rankScores, architecture } } = this.#parts.model.plan;
    if (rankScores === 0) {
      throw new UnsupportedError(
        `The model (${architecture}) has no head that ranks (no tensor cls.weight or cls.output.weight); ` +
          "expected a reranking model, or `embed` and `similarity`.",
        { what: "a model without a head that ranks", where: architecture, expected: "a reranking model" },
      );
    }
    checkText("query", query);
    if (query === "") refuseOption("query", "a text with at least one character", query);
    if (!Array.isArray(documents)) refuseOption("documents", "an array of strings", documents);
    const reading: Reading = { prompt: "", truncate, most: this.#parts.context, signal };
    const pairs = this.#pairs;
    const texts = async function* (): AsyncGenerator<TokenText, void, void> {
      for (const [index, document] of documents.entries()) {
        yield await pairs.read(`documents[${index}]`, query, document, reading);
      }
    };
    const result: TextResult = { pooling: rankPooling, ranks: true, levels: false, dimensions: 0, normalises: false };
    const ranked: RankedDocument[] = [];
    let tokens = 0;
    const place = (floats: number) => new Float32Array(floats);
    for await (const block of this.#parts.runner.run(texts(), { result, width: rankScores, place, signal })) {
      block.texts.forEach((text, row) => {
        const index = ranked.length;
        tokens += text.tokens.length;
        const score = block.data[row * rankScores] as number;
        ranked.push({ index, document: documents[index] as string, score });
      });
      onProgress?.({ done: ranked.length, total: documents.length, tokens });
    }
    return ranked.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, top);
  }

  /** Numbers of what a result has, uncut. */
  #widthOf({ pooling }: TextResult): number {
    return pooling === "rows" ? this.#parts.model.plan.hyperparameters.embedding : dimensionsOf(this.#parts.model.plan);
  }

  #run(
    source: EmbedSource,
    { prompt = "", truncate, signal }: Resolved<typeof embedFields>,
    result: TextResult,
    width: number,
    place: (floats: number) => Float32Array,
  ): AsyncGenerator<StepBlock, void, void> {
    const reading: Reading = { prompt, truncate, most: this.#parts.context, signal };
    const inputs = this.#inputs;
    const texts = async function* (): AsyncGenerator<TokenText, void, void> {
      let index = 0;
      for await (const input of readable(source)) yield await inputs.read(`inputs[${index++}]`, input, reading);
    };
    return this.#parts.runner.run(texts(), { result, width, place, signal });
  }

  /** What is asked of each text. */
  #resultOf({ pooling, dimensions, normalize }: Resolved<typeof embedFields>): TextResult {
    const { texts } = this.#parts.model.plan;
    const stated = texts.pooling;
    const kind = pooling === undefined ? stated : POOLINGS[pooling];
    if (kind === undefined || kind === "rank") {
      const what = kind === "rank" ? "the model ranks documents (`rerank`)" : "the model's file names none";
      throw new LightGPTError("invalidArgument", `pooling: expected mean, cls, last or none, for ${what}.`, {
        what: "no pooling",
        where: "pooling",
        expected: "mean, cls, last or none",
      });
    }
    const isRows = kind === "rows";
    if (isRows && normalize) refuseOption("normalize", "none, or false, with the pooling none", normalize);
    if (isRows && dimensions !== undefined) refuseOption("dimensions", "none with the pooling none", dimensions);
    if (dimensions !== undefined && dimensions > dimensionsOf(this.#parts.model.plan)) {
      refuseOption(
        "dimensions",
        `at most ${dimensionsOf(this.#parts.model.plan)}, the length of the model's vectors`,
        dimensions,
      );
    }
    return {
      pooling: kind,
      ranks: false,
      levels: texts.levelsBeforeCut && dimensions !== undefined && dimensions < dimensionsOf(this.#parts.model.plan),
      dimensions: dimensions ?? 0,
      normalises: !isRows && normalize !== false,
    };
  }
}

/** Where the numbers of each text begin, one text behind the other. */
class Layout {
  /** The end of the last one included. */
  readonly starts = [0];
  /** Tokens of all of them. */
  tokens = 0;
  readonly #result: TextResult;
  readonly #width: number;

  constructor(result: TextResult, width: number) {
    this.#result = result;
    this.#width = width;
  }

  add(texts: readonly TokenText[]): void {
    for (const { tokens: { length } } of texts) {
      this.tokens += length;
      const rows = this.#result.pooling === "rows" ? length : 1;
      this.starts.push((this.starts.at(-1) as number) + rows * this.#width);
    }
  }
}

/** Numbers of all texts, in one piece of memory; where it is not known how many come, it grows. */
class Block {
  #memory: Float32Array;
  #used = 0;

  constructor(floats: number) {
    this.#memory = new Float32Array(checkedFloats(floats));
  }

  /** Room for so many numbers behind those before. */
  take(floats: number): Float32Array {
    const end = this.#used + floats;
    if (end > this.#memory.length) {
      const larger = new Float32Array(checkedFloats(Math.max(end, 2 * this.#memory.length)));
      larger.set(this.#memory.subarray(0, this.#used));
      this.#memory = larger;
    }
    const room = this.#memory.subarray(this.#used, end);
    this.#used = end;
    return room;
  }

  get data(): Float32Array {
    return this.#memory.subarray(0, this.#used);
  }
}

function checkedFloats(floats: number): number {
  if (floats * 4 < 2 ** 32) return floats;
  throw new LightGPTError("limit", `${floats} numbers of vectors are more than 4 GiB; read them with \`embedParts\`.`);
}

/** The texts of a source; what it throws is the caller's, and says so. */
async function* readable(source: EmbedSource): AsyncGenerator<EmbedInput, void, void> {
  try {
    yield* source;
  } catch (error) {
    if (error instanceof LightGPTError) throw error;
    throw new InvalidArgumentError("inputs: expected texts that can be read, got what throws.", {
      what: "texts that throw while they are read",
      where: "inputs",
      expected: "texts that can be read",
    }, { cause: error });
  }
}

/** What gives the texts; a single text is one of a list. */
function sourceOf(inputs: EmbedInput | EmbedSource): EmbedSource {
  if (typeof inputs === "string") return [inputs];
  const expected = "a text, an array of token ids, or a list of such";
  if (inputs === null || typeof inputs !== "object") refuseOption("inputs", expected, inputs);
  return guarded("inputs", () => {
    if (ArrayBuffer.isView(inputs) || (Array.isArray(inputs) && typeof inputs[0] === "number")) {
      return [inputs as EmbedInput];
    }
    if (Symbol.asyncIterator in inputs || Symbol.iterator in inputs) return inputs as EmbedSource;
    refuseOption("inputs", expected, inputs);
  });
}
