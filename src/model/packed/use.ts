/**
 * What one start does with packed weights: it has those that are there mapped, or packs the model's file, and keeps what comes of
 * it where that was asked for. Keeping is never worth a failed start: why weights were not kept, a warning says.
 *
 * @module
 */
import { node } from "../../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { LoadState, ModelHandle } from "../../../ffi/wire.ts";
import { type Gguf, identitiesOf } from "../../files/gguf/read.ts";
import type { ModelPlan } from "../architectures/architectures.ts";
import type { PackingPlace } from "../encode_model.ts";
import type { PackedDraft } from "./folder.ts";
import type { AskedPacked } from "./options.ts";
import { findPacked, folderFault, packedFolder, packedKey, packedPath } from "./place.ts";

/** Why weights that were packed could not be kept. */
const failures: Readonly<Partial<Record<LoadState, string>>> = {
  full: "the disk is full",
  tooLarge: "the file would be larger than the system allows (ulimit -f)",
  unwritable: "the file cannot be written or mapped",
};

/** The packed weights of one start. */
export class PackedWeights {
  /** Why weights are not those of a file, as sentences; empty where none were asked for. */
  readonly warnings: string[] = [];
  /** The file that the weights are; undefined where they are memory of the model's own. */
  path: string | undefined;
  readonly #asked: AskedPacked;
  readonly #gguf: Gguf;
  readonly #plan: ModelPlan;
  #key = "";
  /** The file that is mapped. */
  #shown: string | undefined;
  /** The file that is written. */
  #draft: PackedDraft | undefined;
  #target = "";
  /** Whether the file that is there could not be mapped, whatever its header says. */
  #isSpoilt = false;

  constructor(asked: AskedPacked, gguf: Gguf, plan: ModelPlan) {
    this.#asked = asked;
    this.#gguf = gguf;
    this.#plan = plan;
  }

  /** Looks for the model's file, and makes a new one where that is to be kept. */
  async open(): Promise<void> {
    const { use } = this.#asked;
    if (use === "off") return;
    try {
      const folder = packedFolder(this.#asked.folder);
      const fault = folderFault(folder);
      if (fault === "absent" && use === "auto") return;
      if (fault !== undefined && fault !== "absent") return this.#warn(fault);
      this.#key = await packedKey(this.#gguf, this.#plan);
      this.#target = packedPath(folder, this.#key);
      const found = fault === "absent" ? undefined : findPacked(this.#target);
      if (found?.header?.key === this.#key) this.#shown = this.#target;
      else if (found !== undefined) this.#warn(`${this.#target}: ${found.fault ?? "it is another model's"}`, "used");
      if (this.#shown === undefined) await this.#beginDraft(folder);
    } catch (error) {
      this.#warn(reasonOf(error));
    }
  }

  /** Begins to load; a file that cannot be mapped after all is passed over. */
  async begin(load: (place?: PackingPlace) => ModelHandle): Promise<ModelHandle> {
    if (this.#shown !== undefined) {
      try {
        return load({ packing: "shown", path: this.#shown });
      } catch (error) {
        this.#warn(reasonOf(error), "used");
        this.#isSpoilt = true;
        await this.#beginDraft(packedFolder(this.#asked.folder));
      }
    }
    return load(this.#draft === undefined ? undefined : { packing: "kept", path: this.#draft.path });
  }

  /** Ends what was begun, once the model is ready. */
  async end(state: LoadState): Promise<void> {
    if (this.#draft !== undefined && state !== "shared") this.#warn(failures[state] ?? state);
    else if (state === "shared") await this.#share();
    this.abandon();
  }

  /** Removes a file that was not finished. */
  abandon(): void {
    this.#draft?.abandon();
    this.#draft = undefined;
  }

  async #share(): Promise<void> {
    this.path = this.#target;
    if (this.#draft === undefined) return this.#noteUse();
    const source = node("node:path").resolve(this.#gguf.files[0] as string);
    try {
      const identity = identitiesOf(this.#gguf)[0] as string;
      await this.#draft.finish({ key: this.#key, source, identity }, this.#isSpoilt);
    } catch (error) {
      this.path = undefined;
      this.#warn(reasonOf(error));
    }
  }

  #noteUse(): void {
    try {
      currentRuntime().files.touch(this.#target);
    } catch {
      // Where that may not be written, the file only seems older than it is, and may be removed before others.
    }
  }

  async #beginDraft(folder: string): Promise<void> {
    const { use, bytesMax } = this.#asked;
    if (use !== "keep") return;
    const bytes = this.#plan.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    if (bytes > bytesMax) return this.#warn(`they take about ${bytes} bytes, and bytesMax is ${bytesMax}`);
    try {
      const { makeRoom, PackedDraft } = await import("./folder.ts"); // most starts need it not
      this.#draft = new PackedDraft(folder, this.#target);
      makeRoom(folder, bytes, bytesMax, this.#target);
    } catch (error) {
      this.abandon();
      this.#warn(reasonOf(error));
    }
  }

  #warn(why: string, what = this.#asked.use === "keep" ? "kept" : "used"): void {
    this.warnings.push(`Packed weights on disk are not ${what}: ${why.replace(/\.$/, "")}.`);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  throw error;
}
