/**
 * What a gateway needs of a model, without its weights: the headers of its files, and what was chosen when it was loaded. A worker
 * leaves it under the model's fingerprint, which all that decides an answer is part of: workers that would give other bits have
 * another one, and never the same jobs.
 *
 * @module
 */
import { ModelFormatError } from "../../ffi/errors.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { VERSION } from "../../ffi/wire.ts";
import { partsOf } from "../batching/batcher.ts";
import { LightGPT } from "../lightgpt/lightgpt.ts";
import { type FileHeader, modelOfHeaders } from "../model/headers.ts";
import { joined } from "../options/byte_source.ts";
import { textContextOf, textIdentity } from "../server/text_backend.ts";
import type { Embedder, Served } from "../server/types.ts";

/** The digits of a fingerprint. */
const digits = 16;

/** What was chosen when a model was loaded. */
interface Chosen {
  readonly context: number;
  /** The most tokens of a text that is read as a whole. */
  readonly textContext: number;
  readonly template?: string;
  readonly residentBytes: number;
  /** The sizes of the files, and how many bytes of each are its header. */
  readonly files: readonly { readonly bytes: number; readonly header: number }[];
}

/** The fingerprint of a model that is loaded, with the template that it is served with. */
export async function fingerprintOf(lm: LightGPT | Embedder, template: string | undefined): Promise<string> {
  const { createHash } = node("node:crypto");
  const identity = await (lm instanceof LightGPT ? partsOf(lm.batcher).identity() : textIdentity(lm));
  const all = JSON.stringify({ identity, template, context: lm.context, version: VERSION });
  return createHash("sha256").update(all).digest("hex").slice(0, digits);
}

/** What a gateway needs of a model, as bytes. */
export function packFacts(lm: LightGPT | Embedder, template: string | undefined): Uint8Array {
  const { gguf, residentBytes } = lm.model;
  const headers = gguf.files.map((path, index) => readHeader(gguf, path, index));
  const chosen: Chosen = {
    context: lm.model.context,
    textContext: textContextOf(lm),
    ...(template === undefined ? {} : { template }),
    residentBytes,
    files: headers.map(({ bytes, header }) => ({ bytes, header: header.length })),
  };
  const text = new TextEncoder().encode(JSON.stringify(chosen));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, text.length, true);
  return joined([new Uint8Array(length.buffer), text, ...headers.map(({ header }) => header)]);
}

/** The model of such bytes, without its weights. */
export async function readFacts(
  bytes: Uint8Array,
): Promise<Pick<Served, "model" | "template"> & { readonly textContext: number }> {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const chosen = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Chosen;
  let at = 4 + length;
  const headers = chosen.files.map(({ bytes: size, header }) => ({
    header: bytes.subarray(at, at += header),
    bytes: size,
  }));
  return { model: await modelOfHeaders(headers, chosen), template: chosen.template, textContext: chosen.textContext };
}

/** The bytes of a file before its tensors. */
function readHeader({ tensors }: LightGPT["model"]["gguf"], path: string, index: number): FileHeader {
  const { openSync, fstatSync, readSync, closeSync } = node("node:fs");
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const offsets = [...tensors.values()].filter((tensor) => tensor.file === index).map(({ offset }) => offset);
    const header = new Uint8Array(Math.min(size, ...offsets));
    for (let done = 0; done < header.length;) {
      const count = readSync(file, header, done, header.length - done, done);
      if (count === 0) throw new ModelFormatError(`${path} ends within its header`, { field: "header", offset: done });
      done += count;
    }
    return { bytes: size, header };
  } finally {
    closeSync(file);
  }
}
