/**
 * The header of a model file that is not here: what it is and how it runs, without its weights. It is asked for in growing pieces, for
 * only the header itself says how long it is.
 *
 * @module
 */
import { LightGPTError, ModelFormatError } from "../../../ffi/errors.ts";
import { type Gguf, parseGguf } from "../gguf/read.ts";
import { authorizationOf } from "./listing.ts";
import { PassingError, persist, send } from "./request.ts";
import type { HubContext } from "./types.ts";

/** Bytes that are asked for, until the header is whole: vocabularies take most of it. */
const pieces = [2, 16, 64].map((mebibytes) => mebibytes * 2 ** 20);

/** Reads a header; undefined where it is longer than headers are, or the server gives no part of a file. */
export async function readRemoteHeader(context: HubContext, url: URL, bytes: number): Promise<Gguf | undefined> {
  for (const length of pieces) {
    const head = await headOf(context, url, Math.min(length, bytes));
    if (head === undefined) return undefined;
    try {
      return parseGguf({
        name: url.pathname,
        size: bytes,
        read(target, offset) {
          const part = head.subarray(offset, offset + target.length);
          target.set(part);
          return part.length;
        },
      });
    } catch (error) {
      if (!(error instanceof ModelFormatError)) throw error;
      if (head.length >= bytes) return undefined; // the file is damaged, or of a kind that is not known
    }
  }
  return undefined;
}

async function headOf(context: HubContext, url: URL, length: number): Promise<Uint8Array | undefined> {
  try {
    return await persist(context, async () => {
      const headers = { range: `bytes=0-${length - 1}` };
      const response = await send(context, url, { headers, authorization: authorizationOf(context) });
      if (response.status !== 206) {
        await response.body?.cancel();
        return undefined;
      }
      const head = new Uint8Array(await response.arrayBuffer());
      return head.length === length ? head : undefined;
    });
  } catch (error) {
    if (error instanceof PassingError || error instanceof LightGPTError && error.code === "io") return undefined; // sizes are known all the same
    throw error;
  }
}
