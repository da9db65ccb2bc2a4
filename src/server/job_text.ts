/**
 * A job as JSON, for other machines: everything that decides an answer, and nothing else. What comes back is checked where the job is
 * run, as the options of any request are.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { checkObject } from "../options/checks.ts";
import type { TextsOrder } from "../embedding/types.ts";
import type { Job } from "./types.ts";

/** A job as text; the prompt as its bytes, little-endian, in base64. */
export function jobText({ prompt, ...job }: Job): string {
  return JSON.stringify({ ...job, prompt: idsText(prompt) });
}

/** Texts to be computed as text: all their tokens together, and how many each has. */
export function textsText({ result, texts }: TextsOrder): string {
  const tokens = idsText(texts.flatMap(({ tokens }) => Array.from(tokens)));
  const lengths = texts.map(({ tokens, secondType }) => [tokens.length, secondType]);
  return JSON.stringify({ result, lengths, tokens });
}

/** The texts that a text says; throws where it says none. */
export function readTexts(text: string): TextsOrder {
  return reading(text, (job) => {
    const { result, lengths, tokens } = job as {
      readonly result: TextsOrder["result"];
      readonly lengths: readonly (readonly [number, number])[];
      readonly tokens: string;
    };
    checkObject("result", result);
    const ids = readIds(tokens);
    let at = 0;
    const texts = lengths.map(([length, secondType]) => ({ tokens: ids.subarray(at, at += length), secondType }));
    return { result, texts };
  });
}

/** The job that a text says; throws where it says none. */
export function readJob(text: string): Job {
  return reading(text, (job) => {
    const { prompt, ...rest } = job as { readonly prompt: string };
    return { ...rest, prompt: readIds(prompt) } as Job;
  });
}

function idsText(ids: Uint32Array | readonly number[]): string {
  const bytes = new DataView(new ArrayBuffer(4 * ids.length));
  ids.forEach((id, index) => bytes.setUint32(4 * index, id, true));
  return new Uint8Array(bytes.buffer).toBase64();
}

function readIds(text: string): Uint32Array {
  const bytes = Uint8Array.fromBase64(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}

function reading<Read>(text: string, read: (job: object) => Read): Read {
  try {
    const job: unknown = JSON.parse(text);
    checkObject("job", job);
    return read(job as object);
  } catch (error) {
    throw new LightGPTError("invalidArgument", "A job cannot be read: it is no JSON of a job.", {
      what: "a job that cannot be read",
      where: "job",
      expected: "the JSON of a job",
      got: text.slice(0, 80),
    }, { cause: error });
  }
}
