/**
 * Pieces, completions and errors on their way between machines: what crosses, and what it becomes again.
 *
 * @module
 */
import { type ErrorCode, errorFor, LightGPTError } from "../../ffi/errors.ts";
import { type Completion, completionOf, Piece, type ToldChoice } from "../batching/completion.ts";
import { given } from "../options/schema.ts";
import { failureOf } from "../server/failure.ts";
import type { EndData, ErrorData, PieceData } from "./types.ts";

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
export function completionFrom(pieces: readonly PieceData[], end: EndData, hasLogprobs: boolean): Completion {
  const tokens = pieces.map(({ token }) => token);
  return completionOf({
    ...end,
    text: pieces.map(({ text }) => text).join(""),
    tokens,
    generatedTokens: tokens.length,
    ...(hasLogprobs ? { logprobs: pieces.map(({ text: _, ...choice }) => choice as ToldChoice) } : {}),
  });
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
