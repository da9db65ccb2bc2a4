/**
 * Models by name in the command: a bar while one is fetched, what is said of it, and where it lies.
 *
 * @module
 */
import type { DownloadProgress } from "../src/files/model_file.ts";
import { modelFile } from "../src/files/model_file.ts";
import { note } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Shows how far a download is. */
export class DownloadBar {
  #bar: ProgressBar | undefined;
  #what = "";

  /** Hears of it. */
  readonly update = ({ state, name, source, bytesDone, bytesTotal, note: said }: DownloadProgress): void => {
    if (said !== undefined) {
      this.end();
      note(said);
    }
    if (state === "asking") return;
    const what =
      { waiting: "waiting for", downloading: "fetching", checking: "checking", unpacking: "unpacking" }[state];
    const text = `${what} ${name}${state === "downloading" ? ` from ${source}` : ""}`;
    if (text !== this.#what) {
      this.end();
      this.#what = text;
      this.#bar = new ProgressBar(text, "bytes");
    }
    this.#bar?.update(bytesDone, bytesTotal);
  };

  /** Takes the bar away. */
  end(): void {
    this.#bar?.end();
    this.#bar = undefined;
    this.#what = "";
  }
}

/** The file of a model that is given by path or name; fetched where it is not here. */
export async function modelPath(model: string, signal: AbortSignal, refresh = false): Promise<string> {
  const bar = new DownloadBar();
  try {
    return await modelFile("MODEL", model, { signal, onProgress: bar.update, refresh });
  } finally {
    bar.end();
  }
}
