/**
 * Pieces, completions and errors on their way between machines: what crosses, and what it becomes again.
 *
 * @module
 */
import { type ErrorCode, errorFor, LightGPTError } from "../../ffi/errors.ts";
import { type Completion, completionOf, Piece, type ToldChoice } from "../batching/completion.ts";
import { given } from "../options/schema.ts";
import { failureOf } from "../server/failure.ts";
import type { EndData, ErrorData, PartData, PieceData, RowData, RowsEnd } from "./types.ts";

/** A piece as it crosses. */
export function pieceData({ text, token, logprob, top, mu }: Piece): PieceData {
  if (logprob === undefined && top === undefined && mu === undefined) return { text, token };
  return given({ text, token, logprob, top, mu });
}

/** A piece that has crossed. */
export function pieceOf(data: PieceData): Piece {
  return new Piece(data.text, data);
}

/** What a completion has beside its pieces. */
export function endData(completion: Completion): EndData {
  const { text: _text, tokens: _tokens, generatedTokens: _count, logprobs: _told, toJSON: _json, ...rest } = completion;
  return rest;
}

/** The completion of an answer that has crossed. */
export function completionFrom(
  pieces: readonly PieceData[],
  end: EndData | RowsEnd,
  hasLogprobs: boolean,
): Completion {
  if ("rows" in end) throw new Error("rows in place of an answer");
  const tokens = pieces.map(({ token }) => token);
  return completionOf({
    ...end,
    text: pieces.map(({ text }) => text).join(""),
    tokens,
    generatedTokens: tokens.length,
    ...(hasLogprobs ? { logprobs: pieces.map(({ text: _, ...choice }) => choice as ToldChoice) } : {}),
  });
}

/** The numbers of a text as they cross. */
export function rowData({ buffer, byteOffset, byteLength }: Float32Array): RowData {
  return { numbers: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).toBase64() };
}

/** Numbers that have crossed. */
export function rowOf({ numbers }: RowData): Float32Array {
  return new Float32Array(Uint8Array.fromBase64(numbers).slice().buffer);
}

/** A job at work: what comes of it, part by part. */
export interface Work {
  next(): Promise<{ readonly piece: PartData } | { readonly end: EndData | RowsEnd }>;
  end(): void;
}

/** An answer that is generated. */
export function answerWork(pieces: AsyncGenerator<Piece, Completion, void>): Work {
  return {
    async next() {
      const { done, value } = await pieces.next();
      return done ? { end: endData(value) } : { piece: pieceData(value) };
    },
    end: () => void pieces.return(undefined as never),
  };
}

/** Texts that are computed, from one on. */
export function rowsWork(rows: AsyncGenerator<Float32Array, void, void>, have: number): Work {
  let count = have;
  return {
    async next() {
      const { done, value } = await rows.next();
      if (done) return { end: { rows: count } };
      count++;
      return { piece: rowData(value) };
    },
    end: () => void rows.return(),
  };
}

/** An error as it crosses: of one that is none of ours, only that there was one. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof LightGPTError) return { code: error.code, message: error.message, detail: error.detail };
  return { code: "incomplete", message: failureOf(error).message, detail: { what: "the worker failed" } };
}

/** An error that has crossed. */
export function errorOf({ code, message, detail }: ErrorData): LightGPTError {
  const error = errorFor(code as ErrorCode, detail);
  error.message = message;
  return error;
}
