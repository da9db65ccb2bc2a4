/**
 * The folder that calibrating works in, beside the file that is made: hidden states, inputs, and the blocks of the layers that are
 * finished. A killed process leaves it, and the next one that does the same goes on after the last finished layer. What belongs to
 * other work is removed.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { isGone } from "../files/processes.ts";
import { workFailure } from "./row_file.ts";

/** The process that works in the folder, its job, and how far it is. */
interface Progress {
  readonly process: number;
  readonly work: string;
  readonly layers: number;
}

const progressName = "progress.json";

/** A working folder, held until it is removed. */
export class CalibrationStore {
  /** Layers whose blocks and following states are here. */
  #layers: number;
  readonly #folder: string;
  readonly #work: string;

  private constructor(folder: string, work: string, layers: number) {
    this.#folder = folder;
    this.#work = work;
    this.#layers = layers;
  }

  /** The folder for a file that is made; `work` names everything that decides what is made. */
  static open(output: string, work: string): CalibrationStore {
    const fs = node("node:fs");
    const folder = `${output}.calibrating`;
    const found = readProgress(folder);
    // Another process makes the same file: this one works for itself, as one without a past.
    if (found !== undefined && isAlive(found.process, folder)) {
      return new CalibrationStore(attempt(output, () => fs.mkdtempSync(`${folder}-`)), work, 0);
    }
    const goesOn = found?.work === work;
    attempt(folder, () => {
      if (!goesOn) fs.rmSync(folder, { recursive: true, force: true });
      currentRuntime().files.makeFolder(folder);
    });
    const store = new CalibrationStore(folder, work, goesOn ? found.layers : 0);
    held.add(folder);
    store.#write();
    return store;
  }

  /** Layers that are finished. */
  get layers(): number {
    return this.#layers;
  }

  /** Where a file of rows lies. */
  path(name: string): string {
    return node("node:path").join(this.#folder, `${name}.f32`);
  }

  /** Keeps the blocks of a tensor. */
  keep(name: string, blocks: Uint8Array): void {
    attempt(this.#blocks(name), () => node("node:fs").writeFileSync(this.#blocks(name), blocks));
  }

  /** The blocks of a tensor that were kept. */
  kept(name: string): Uint8Array {
    return attempt(this.#blocks(name), () => new Uint8Array(node("node:fs").readFileSync(this.#blocks(name))));
  }

  /** So many layers are finished: another process could go on from here. */
  finish(layers: number): void {
    this.#layers = layers;
    this.#write();
  }

  /** Removes the folder. */
  remove(): void {
    held.delete(this.#folder);
    node("node:fs").rmSync(this.#folder, { recursive: true, force: true });
  }

  #blocks(name: string): string {
    return node("node:path").join(this.#folder, `${name}.blocks`);
  }

  #write(): void {
    const fs = node("node:fs");
    const path = node("node:path").join(this.#folder, progressName);
    const progress: Progress = { process: node("node:process").pid, work: this.#work, layers: this.#layers };
    attempt(path, () => {
      fs.writeFileSync(`${path}.new`, JSON.stringify(progress));
      fs.renameSync(`${path}.new`, path);
    });
  }
}

/** Folders that this process works in. */
const held = new Set<string>();

function isAlive(pid: number, folder: string): boolean {
  // In a container the next process often has the number of the one before.
  return pid === node("node:process").pid ? held.has(folder) : !isGone(pid);
}

/** What a folder says of itself; undefined where it is not there, or broken. */
function readProgress(folder: string): Progress | undefined {
  const fs = node("node:fs");
  const path = node("node:path").join(folder, progressName);
  if (!fs.existsSync(path)) return undefined;
  try {
    const found: unknown = JSON.parse(fs.readFileSync(path, "utf8"));
    return isProgress(found) ? found : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // half-written: it is begun anew
    throw workFailure(path, error);
  }
}

function isProgress(found: unknown): found is Progress {
  return typeof found === "object" && found !== null && "process" in found && "work" in found && "layers" in found &&
    Number.isInteger(found.process) && typeof found.work === "string" && Number.isInteger(found.layers);
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw workFailure(path, error);
  }
}
