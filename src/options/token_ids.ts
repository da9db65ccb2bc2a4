/**
 * Lists of token ids that a caller gives: copied once, so that nothing changes them afterwards, and checked one by one.
 *
 * @module
 */
import { guarded, refuseOption } from "./checks.ts";

/** The ids of `tokens`, each below `limit`; throws for what is no list of such, or is over memory that is gone. */
export function tokenIds(name: string, tokens: unknown, limit: number = 2 ** 32): Uint32Array<ArrayBuffer> {
  return guarded(name, () => {
    const { length } = listOf(name, tokens);
    const ids: number[] = [];
    for (let index = 0; index < length; index++) {
      const id: unknown = (tokens as ArrayLike<unknown>)[index];
      if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= limit) {
        refuseOption(`${name}[${index}]`, `an id from 0 to ${limit - 1}`, id);
      }
      ids.push(id as number);
    }
    return Uint32Array.from(ids);
  });
}

function listOf(name: string, tokens: unknown): ArrayLike<unknown> {
  const expected = "an array of token ids";
  if (tokens === null || typeof tokens !== "object") refuseOption(name, expected, tokens);
  if (ArrayBuffer.isView(tokens) && tokens.buffer instanceof ArrayBuffer && tokens.buffer.detached) {
    refuseOption(name, expected, "an array whose memory is detached");
  }
  const { length } = tokens as ArrayLike<unknown>;
  if (!Number.isInteger(length) || length < 0) refuseOption(name, expected, tokens);
  return tokens as ArrayLike<unknown>;
}
