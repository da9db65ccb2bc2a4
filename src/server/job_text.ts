/**
 * A job as JSON, for other machines: everything that decides an answer, and nothing else. What comes back is checked where the job is
 * run, as the options of any request are.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { checkObject } from "../options/checks.ts";
import type { Job } from "./types.ts";

/** A job as text; the prompt as its bytes, little-endian, in base64. */
export function jobText({ prompt, ...job }: Job): string {
  const bytes = new DataView(new ArrayBuffer(4 * prompt.length));
  prompt.forEach((token, index) => bytes.setUint32(4 * index, token, true));
  return JSON.stringify({ ...job, prompt: new Uint8Array(bytes.buffer).toBase64() });
}

/** The job that a text says; throws where it says none. */
export function readJob(text: string): Job {
  try {
    const job: unknown = JSON.parse(text);
    checkObject("job", job);
    const { prompt, ...rest } = job as { readonly prompt: string };
    const bytes = Uint8Array.fromBase64(prompt);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const ids = Uint32Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index, true));
    return { ...rest, prompt: ids } as Job;
  } catch (error) {
    throw new LightGPTError("invalidArgument", "A job cannot be read: it is no JSON of a job.", {
      what: "a job that cannot be read",
      where: "job",
      expected: "the JSON of a job",
      got: text.slice(0, 80),
    }, { cause: error });
  }
}
