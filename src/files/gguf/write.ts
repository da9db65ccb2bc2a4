/**
 * Writes a GGUF file while its tensors are made: header and table first, since all sizes are known, then the data of one
 * tensor after the other. `OutputFile` sees to it that no half of a file gets the target's name.
 *
 * @module
 */
import { OutputFile } from "../output_file.ts";
import { aligned, headerBytes, type NewTensor, type NewValue } from "./encode.ts";

/** A file being written. */
export class GgufWriter {
  readonly #out: OutputFile;
  readonly #tensors: readonly NewTensor[];
  #index = 0;
  #inTensor = 0;

  /** Begins the file: writes header, metadata and table. */
  constructor(path: string, metadata: ReadonlyMap<string, NewValue>, tensors: readonly NewTensor[]) {
    this.#tensors = tensors;
    const header = headerBytes(metadata, tensors);
    this.#out = new OutputFile(path, tensors.reduce((sum, { bytes }) => sum + aligned(bytes), aligned(header.length)));
    try {
      this.#out.write(header);
      this.#pad();
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** Where it will lie. */
  get path(): string {
    return this.#out.path;
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#out.bytes;
  }

  /** The next bytes of the tensor at hand. */
  write(data: Uint8Array): void {
    const tensor = this.#tensors[this.#index];
    if (tensor === undefined || this.#inTensor + data.length > tensor.bytes) {
      throw new Error(`${data.length} bytes too many for ${tensor?.name ?? "the file"}`);
    }
    this.#out.write(data);
    this.#inTensor += data.length;
    if (this.#inTensor < tensor.bytes) return;
    this.#pad(); // the last one too: some readers want it
    this.#index++;
    this.#inTensor = 0;
  }

  /** Brings everything to the disk and gives the file its name. */
  finish(): void {
    if (this.#index !== this.#tensors.length) throw new Error(`${this.#tensors[this.#index]?.name} is not whole`);
    this.#out.finish();
  }

  /** Removes what was written. Again, or after the end, is fine. */
  abort(): void {
    this.#out.abort();
  }

  #pad(): void {
    this.#out.write(new Uint8Array(aligned(this.bytes) - this.bytes));
  }
}
