/**
 * Where a cache is saved to and loaded from: a path, a web stream, or what Node calls a stream. A file appears whole or not
 * at all.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { readFailure, writeFailure } from "../../ffi/system_errors.ts";
import { beginPartial, endPartial, heedFileLimit } from "../files/partial.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import type { CacheSource, CacheTarget, NodeWritable } from "./types.ts";

/** The web stream that writes to `target`. */
export function writableOf(target: CacheTarget): WritableStream<Uint8Array> {
  return guarded("target", () => {
    if (target instanceof WritableStream) return target;
    if (typeof target === "string" || target instanceof URL) {
      return fileSink(pathOf("target", target, "a file to be made"));
    }
    const isNodes = typeof target?.write === "function" && typeof target.end === "function" &&
      typeof target.once === "function";
    return isNodes ? nodeSink(target) : refuseOption("target", "a path, a file: URL, or a stream to write to", target);
  });
}

/** The web stream that reads `source`. */
export function readableOf(source: CacheSource): ReadableStream<Uint8Array> {
  return guarded("source", () => {
    if (source instanceof ReadableStream) return source;
    if (typeof source === "string" || source instanceof URL) {
      return readableFrom(fileChunks(pathOf("source", source, "a saved cache")));
    }
    const isIterable = typeof source?.[Symbol.asyncIterator] === "function";
    return isIterable
      ? readableFrom(source)
      : refuseOption("source", "a path, a file: URL, or a stream to read", source);
  });
}

function fileSink(path: string): WritableStream<Uint8Array> {
  const fs = node("node:fs").promises;
  const attempt = <T>(work: Promise<T>) => work.catch((cause) => Promise.reject(writeFailure(path, cause)));
  let partial: string, file: Awaited<ReturnType<typeof fs.open>> | undefined;
  const discard = async () => {
    await file?.close();
    file = undefined;
    await fs.rm(partial, { force: true });
    endPartial(partial);
  };
  return new WritableStream({
    async start() {
      heedFileLimit();
      partial = beginPartial(path);
      file = await attempt(fs.open(partial, "wx"));
    },
    async write(chunk) {
      for (let done = 0; done < chunk.length;) {
        done += (await attempt(file!.write(chunk, done, chunk.length - done))).bytesWritten;
      }
    },
    async close() {
      try {
        await attempt(file!.sync());
        await file!.close();
        file = undefined;
        await attempt(fs.rename(partial, path));
      } catch (error) {
        await discard();
        throw error;
      }
      endPartial(partial);
    },
    abort: discard,
  });
}

function nodeSink(target: NodeWritable): WritableStream<Uint8Array> {
  // An error without a listener would end the process; it also comes back from `write` or `end`.
  const broken = new Promise<never>((_, reject) => target.once("error", reject));
  broken.catch(() => {});
  const done = (work: (callback: (error?: Error | null) => void) => void) =>
    Promise.race([
      broken,
      new Promise<void>((resolve, reject) => work((error) => error ? reject(error) : resolve())),
    ]);
  return new WritableStream({
    write: (chunk) => done((callback) => target.write(chunk, callback)),
    close: () => done((callback) => target.end(callback)),
  });
}

async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* node("node:fs").createReadStream(path, { highWaterMark: 1 << 20 });
  } catch (cause) {
    throw readFailure(path, cause, "a saved cache");
  }
}

function readableFrom(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => void await chunks.return?.(),
  });
}
