/**
 * Files and batches in a folder of one server.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../../ffi/cache_directory.ts";
import { whyNotWritten, writeFailure } from "../../../ffi/system_errors.ts";
import { Failure } from "../failure.ts";
import { fileLines } from "./file_lines.ts";
import { fileResults } from "./results.ts";
import type { BatchInput, BatchOutput, Records, Shelf } from "./types.ts";

/** A folder. */
export class FolderShelf implements Shelf {
  readonly #folder: string;

  /** Opens a folder, made where there is none. */
  constructor(folder: string) {
    this.#folder = folder;
    for (const kind of ["files", "batches"]) {
      try {
        mkdirSync(join(folder, kind), { recursive: true });
      } catch (cause) {
        throw writeFailure(join(folder, kind), cause, {
          what: "a folder that cannot be made",
          expected: "a folder that may be written",
        });
      }
    }
  }

  load<K extends keyof Records>(kind: K, id: string): Promise<Records[K] | undefined> {
    const path = this.#path(kind, id);
    return Promise.resolve(existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) as Records[K] : undefined);
  }

  all<K extends keyof Records>(kind: K): Promise<Records[K][]> {
    const folder = join(this.#folder, kind);
    const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
    return Promise.resolve(names.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Records[K]));
  }

  async change<K extends keyof Records>(
    kind: K,
    id: string,
    change: (now: Records[K] | undefined) => Records[K] | undefined,
  ): Promise<Records[K] | undefined> {
    const now = await this.load(kind, id);
    const next = change(now);
    if (next === undefined) return now;
    this.#write(this.#path(kind, id), JSON.stringify(next));
    return next;
  }

  drop(id: string): Promise<void> {
    rmSync(this.#lines(id), { force: true });
    rmSync(this.#path("files", id), { force: true });
    return Promise.resolve();
  }

  claim(): Promise<boolean> {
    return Promise.resolve(true);
  }

  // deno-lint-ignore require-await -- what it throws, it rejects with
  async put(id: string, bytes: Uint8Array): Promise<void> {
    this.#write(this.#lines(id), bytes);
  }

  bytes(id: string): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.#lines(id);
    return Promise.resolve(existsSync(path) ? new Uint8Array(readFileSync(path)) : new Uint8Array());
  }

  size(id: string): Promise<number> {
    const path = this.#lines(id);
    return Promise.resolve(existsSync(path) ? statSync(path).size : 0);
  }

  input(id: string): BatchInput {
    return fileLines(this.#lines(id));
  }

  output(id: string): BatchOutput {
    return fileResults(this.#lines(id));
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  #lines(id: string): string {
    return join(this.#folder, "files", `${id}.jsonl`);
  }

  #path(kind: keyof Records, id: string): string {
    return join(this.#folder, kind, `${id}.json`);
  }

  #write(path: string, data: string | Uint8Array): void {
    try {
      replaceFile(path, data);
    } catch (cause) {
      const parts = { status: 507, type: "server_error", code: "io" };
      throw new Failure(`The file cannot be kept: ${whyNotWritten(cause)}.`, parts, { cause });
    }
  }
}
