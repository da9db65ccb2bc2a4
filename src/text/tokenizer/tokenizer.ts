/**
 * Tokenizers: text to tokens and back, as the vocabulary of a model file says. This file has what all kinds have in common:
 * special tokens, the beginning and the end of a text, and decoding in pieces. Each kind has a file of its own.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import { checkText, guarded } from "../../options/checks.ts";
import { readOptions } from "../../options/schema.ts";
import { tokenIds } from "../../options/token_ids.ts";
import { atOnce, inSlices, type Sliceable } from "../../options/sliced.ts";
import type { TextRun } from "../types.ts";
import { claimEndTokens } from "./ends.ts";
import { BYTES_AT_ONCE, type ModelReader, type TextModel } from "./model.ts";
import { checkToken } from "./ids_only.ts";
import { type ByteRules, leastTokens, tooLong } from "./length.ts";
import { SpecialTokens } from "./special.ts";
import { decodeUtf8, type StreamDecoder, Utf8Stream } from "./stream.ts";
import { decodeFields, encodeAsyncFields, encodeFields, encodeRunsFields } from "./options.ts";
import { joinRuns } from "./runs.ts";
import { TokenList } from "./token_list.ts";
import type { DecodeOptions, EncodeAsyncOptions, EncodeOptions, Tokenizer } from "./types.ts";
import { KIND, Vocabulary } from "./vocabulary.ts";

/** How runs are read: control tokens where they are a template's, and no end of text. */
const READ_AS_PROMPT = { parseSpecial: true, isPrompt: true } as const;
const NOTHING = new Uint8Array(0);
/** Ends beside `eos`. Where a text is filled in, the three last ones end it: padding, a repository, a file. */
const OTHER_ENDS = ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"] as const;
/** Special ids that are checked although nothing here uses them, so that other code may rely on them. */
const OTHER_IDS = [
  "padding",
  "mask",
  "cls",
  "seperator",
  "separator",
  "fim_pre",
  "fim_suf",
  "fim_mid",
  "prefix",
  "suffix",
  "middle",
];

/** What is special to a kind of vocabulary. */
interface TextKind {
  /** The ids of tokens that the file does not name. */
  readonly ids: Readonly<Partial<Record<"bos" | "eos" | "unknown", number>>>;
  /** Whether a text begins with `bos` and ends with `eos` where the file doesn't say; `always`: whatever it says. */
  readonly ends: { readonly bos: boolean; readonly eos: boolean; readonly always?: true };
  /** Other names of the tokens that begin and end a text, which come first. */
  readonly names?: { readonly bos: string; readonly eos: string };
  /** Whether the model itself knows user-defined tokens. */
  readonly keepsUserDefined?: true;
  /** Whether files call the unknown token a control token. Elsewhere, a control token never stands for text. */
  readonly controlUnknown?: true;
}

/** Kinds of vocabularies by their names in files. */
const KINDS = {
  llama: { ids: { bos: 1, eos: 2, unknown: 0 }, ends: { bos: true, eos: false } },
  gpt2: { ids: {}, ends: { bos: false, eos: false } },
  gemma4: { ids: {}, ends: { bos: false, eos: false } },
  t5: { ids: { eos: 1, unknown: 2 }, ends: { bos: false, eos: true }, keepsUserDefined: true },
  bert: {
    ids: { bos: 101, eos: 102, unknown: 100 },
    ends: { bos: true, eos: true, always: true },
    names: { bos: "cls", eos: "seperator" },
    controlUnknown: true,
  },
} as const satisfies Record<string, TextKind>;

/** The name of a kind of vocabularies. */
export type KindName = keyof typeof KINDS;

/** A text to tokenize, and where in it foreign parts begin and end. */
interface Input {
  readonly text: string;
  readonly foreign: readonly number[];
}

/** What a tokenizer is made of. */
interface Parts {
  readonly ends: {
    readonly bos: number | undefined;
    readonly eos: number | undefined;
    readonly addBos: boolean;
    readonly addEos: boolean;
    readonly endOfGeneration: ReadonlySet<number>;
  };
  readonly vocabulary: Vocabulary;
  readonly model: TextModel;
  readonly special: SpecialTokens;
}

/** The tokenizer of a file with a vocabulary. */
export class FileTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly hasText = true;
  readonly bos?: number;
  readonly eos?: number;
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly endOfGeneration: ReadonlySet<number>;
  readonly #vocabulary: Vocabulary;
  readonly #model: TextModel;
  readonly #special: SpecialTokens;
  #byteRules: ByteRules | undefined;

  private constructor({ ends, vocabulary, model, special }: Parts) {
    if (ends.bos !== undefined) this.bos = ends.bos;
    if (ends.eos !== undefined) this.eos = ends.eos;
    this.addBos = ends.addBos;
    this.addEos = ends.addEos;
    this.endOfGeneration = ends.endOfGeneration;
    this.vocabularySize = vocabulary.size;
    this.#vocabulary = vocabulary;
    this.#model = model;
    this.#special = special;
  }

  /** Reads and checks a file's vocabulary of the kind `name`, whose model `reader` reads. */
  static *read(
    gguf: Gguf,
    name: KindName,
    reader: ModelReader,
    allowUnknown: boolean,
  ): Sliceable<FileTokenizer> {
    const { metadata } = gguf;
    const vocabulary = yield* Vocabulary.read(gguf);
    const kind: TextKind = KINDS[name];
    const id = (name: string, fallback?: number) => vocabulary.special(gguf, name, fallback);
    const { names } = kind;
    const bos = (names && id(names.bos)) ?? id("bos", kind.ids.bos);
    const eos = (names && id(names.eos)) ?? id("eos", kind.ids.eos);
    const unknown = id("unknown", kind.ids.unknown);
    for (const name of OTHER_IDS) id(name);
    const endOfGeneration = yield* claimEndTokens(vocabulary, [eos, ...OTHER_ENDS.map((end) => id(end))]);
    const isControl = (token: number) =>
      kind.controlUnknown === undefined && vocabulary.kinds[token] === KIND.control || endOfGeneration.has(token);
    const model = yield* reader.read(gguf, vocabulary, {
      kind: name,
      unknown: unknown === undefined || isControl(unknown) ? undefined : unknown,
      allowUnknown,
    });
    const addsBos = model.addsBos ?? kind.ends.bos;
    const adds = (end: "bos" | "eos", fallback: boolean) =>
      kind.ends.always ?? metadata.flag(`tokenizer.ggml.add_${end}_token`, fallback);
    const addBos = adds("bos", addsBos) && bos !== undefined;
    const addEos = adds("eos", kind.ends.eos) && eos !== undefined;
    const special = yield* SpecialTokens.of(vocabulary, metadata, kind.keepsUserDefined === undefined);
    return new FileTokenizer({ ends: { bos, eos, addBos, addEos, endOfGeneration }, vocabulary, model, special });
  }

  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    return atOnce(this.#encode(whole(text), readOptions(encodeFields, options), new TokenList()));
  }

  encodeRuns(runs: readonly TextRun[], options: Pick<EncodeOptions, "addSpecial"> = {}): Uint32Array {
    const { addSpecial } = readOptions(encodeRunsFields, options);
    return atOnce(
      this.#encode(guarded("runs", () => joinRuns(runs)), { addSpecial, ...READ_AS_PROMPT }, new TokenList()),
    );
  }

  async encodeAsync(text: string | readonly TextRun[], options: EncodeAsyncOptions = {}): Promise<Uint32Array> {
    const { context = Infinity, name, signal, ...rest } = readOptions(encodeAsyncFields, options);
    const isText = typeof text === "string";
    const input = isText ? whole(text) : guarded("runs", () => joinRuns(text));
    if (context !== Infinity) {
      const tokens = leastTokens(input.text, this.#rules(), context + 1);
      if (tokens > context) throw tooLong(name, `at least ${tokens}`, context);
    }
    const list = new TokenList(context, () => {
      throw tooLong(name, `at least ${context + 1}`, context);
    });
    return await inSlices(this.#encode(input, isText ? rest : { ...rest, ...READ_AS_PROMPT }, list), signal);
  }

  *#encode(
    { text, foreign }: Input,
    { addSpecial, parseSpecial, isPrompt }: Required<EncodeOptions>,
    tokens: TokenList,
  ): Sliceable<Uint32Array> {
    const fragments = yield* this.#special.split(text, parseSpecial, foreign);
    // A template may have written the token that begins a text.
    const hasBos = isPrompt && fragments[0] === this.bos;
    if (addSpecial && this.addBos && !hasBos) tokens.push(this.bos as number);
    let afterSpecial = true;
    // Of short fragments there may be many.
    let sincePause = 0;
    for (const fragment of fragments) {
      if (typeof fragment === "number") tokens.push(fragment);
      else {
        yield* this.#model.encode(fragment, tokens, afterSpecial);
        sincePause += fragment.length;
      }
      afterSpecial = typeof fragment === "number";
      if (++sincePause < BYTES_AT_ONCE) continue;
      yield;
      sincePause = 0;
    }
    if (addSpecial && this.addEos && !isPrompt) tokens.push(this.eos as number);
    return tokens.toArray();
  }

  #rules(): ByteRules {
    if (this.#byteRules !== undefined) return this.#byteRules;
    let longest = 1;
    for (let token = 0; token < this.vocabularySize; token++) {
      longest = Math.max(longest, this.#vocabulary.endOf(token) - this.#vocabulary.texts.starts[token]);
    }
    return this.#byteRules = { spelled: this.#model.spelled, strips: this.#special.strips, longest };
  }

  decode(tokens: ArrayLike<number>, options: DecodeOptions = {}): string {
    const visible = this.#visible(options);
    const ids = tokenIds("tokens", tokens, this.vocabularySize);
    let bytes = new Uint8Array(4 * ids.length + 64);
    let length = 0;
    for (const id of ids) {
      const piece = visible(id);
      if (length + piece.length > bytes.length) {
        const larger = new Uint8Array(2 * (length + piece.length));
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(piece, length);
      length += piece.length;
    }
    return decodeUtf8(bytes.subarray(0, length));
  }

  piece(token: number): Uint8Array {
    checkToken(token, this.vocabularySize);
    return this.#model.piece(token);
  }

  textBytes(token: number): Uint8Array {
    const piece = this.piece(token);
    const kind = this.#vocabulary.kinds[token];
    return kind === KIND.control || kind === KIND.unknown ? NOTHING : piece;
  }

  stream(options: DecodeOptions = {}): StreamDecoder {
    const utf8 = new Utf8Stream();
    const visible = this.#visible(options);
    return {
      get isHolding() {
        return utf8.isHolding;
      },
      push: (token) => utf8.push(visible(token)),
      end: () => utf8.end(),
    };
  }

  /** What each of a sequence of tokens adds to the text. */
  #visible(options: DecodeOptions): (token: number) => Uint8Array {
    const { special, continued } = readOptions(decodeFields, options);
    const { kinds } = this.#vocabulary;
    // The space that `encode` puts before a text.
    let prefixed = this.#model.spacePrefix && !continued;
    return (token) => {
      const piece = this.piece(token);
      const kind = kinds[token];
      if ((kind === KIND.control || kind === KIND.unknown) && !special) return NOTHING;
      const skip = prefixed && kind === KIND.normal && piece[0] === 32 ? 1 : 0;
      if (piece.length > 0) prefixed = false;
      return piece.subarray(skip);
    };
  }
}

function whole(text: string): Input {
  checkText("text", text);
  return { text: text.toWellFormed(), foreign: [] };
}
