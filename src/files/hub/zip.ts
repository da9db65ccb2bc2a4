/**
 * One file out of a zip archive, which a wheel is: found by the archive's table of contents, and written on as it is unpacked. What the
 * table says is checked against the archive; what comes out of it, its reader checks by a sum.
 *
 * @module
 */
import { closeSync, createReadStream, openSync, readSync, statSync } from "node:fs";
import { createInflateRaw } from "node:zlib";
import { LightGPTError } from "../../../ffi/errors.ts";

/** Bytes of the records' fixed parts, by the format's description. */
const [endBytes, entryBytes, localBytes] = [22, 46, 30];
/** The end's record lies before a comment of at most so many bytes. */
const commentMost = 65_535;

interface Member {
  /** Where its local header begins. */
  readonly at: number;
  /** Bytes in the archive. */
  readonly packed: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** 0: stored; 8: deflated. */
  readonly method: number;
}

/** The bytes of one file of an archive, as they are unpacked; never more than the table says. */
export async function* unzip(path: string, name: string): AsyncGenerator<Uint8Array> {
  const { at, packed, bytes, method } = findMember(path, name);
  if (method !== 0 && method !== 8) throw damaged(path, `${name} is packed by a method that is not known (${method})`);
  const start = dataStart(path, at);
  if (start + packed > statSync(path).size) throw damaged(path, `${name} is cut off`);
  const raw = createReadStream(path, { start, end: start + packed - 1, highWaterMark: 2 ** 18 });
  const inflated = method === 0 ? raw : raw.pipe(createInflateRaw());
  raw.on("error", (error) => inflated.destroy(error));
  let done = 0;
  try {
    for await (const chunk of inflated) {
      done += chunk.length;
      if (done > bytes) throw damaged(path, `${name} is longer than its table says`);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof LightGPTError) throw cause;
    throw damaged(path, `${name} cannot be unpacked`, cause);
  } finally {
    raw.destroy();
  }
  if (done !== bytes) throw damaged(path, `${name} is shorter than its table says`);
}

function findMember(path: string, name: string): Member {
  const size = statSync(path).size;
  const tail = readAt(path, Math.max(0, size - endBytes - commentMost), endBytes + commentMost);
  const end = lastIndexOf(tail, 0x06054b50);
  if (end === undefined || end + endBytes > tail.byteLength) throw damaged(path, "it is no zip archive");
  const [count, length, offset] = [
    tail.getUint16(end + 10, true),
    tail.getUint32(end + 12, true),
    tail.getUint32(end + 16, true),
  ];
  const table = readAt(path, offset, length);
  if (table.byteLength !== length) throw damaged(path, "its table of contents is cut off");
  for (let at = 0, index = 0; index < count && at + entryBytes <= length; index++) {
    if (table.getUint32(at, true) !== 0x02014b50) break;
    const [nameLength, extra, comment] = [28, 30, 32].map((field) => table.getUint16(at + field, true)) as [
      number,
      number,
      number,
    ];
    const text = new TextDecoder().decode(
      new Uint8Array(table.buffer, table.byteOffset + at + entryBytes, Math.min(nameLength, length - at - entryBytes)),
    );
    if (text === name) {
      return {
        method: table.getUint16(at + 10, true),
        packed: table.getUint32(at + 20, true),
        bytes: table.getUint32(at + 24, true),
        at: table.getUint32(at + 42, true),
      };
    }
    at += entryBytes + nameLength + extra + comment;
  }
  throw damaged(path, `it has no file ${name}`);
}

/** Where a member's bytes begin: its local header has a length of its own. */
function dataStart(path: string, at: number): number {
  const header = readAt(path, at, localBytes);
  if (header.byteLength < localBytes || header.getUint32(0, true) !== 0x04034b50) {
    throw damaged(path, "a file's header is damaged");
  }
  return at + localBytes + header.getUint16(26, true) + header.getUint16(28, true);
}

function readAt(path: string, at: number, length: number): DataView {
  const file = openSync(path, "r");
  try {
    const target = new Uint8Array(Math.max(0, Math.min(length, statSync(path).size - at)));
    const count = target.length === 0 ? 0 : readSync(file, target, 0, target.length, at);
    return new DataView(target.buffer, 0, count);
  } finally {
    closeSync(file);
  }
}

function lastIndexOf(view: DataView, signature: number): number | undefined {
  for (let at = view.byteLength - endBytes; at >= 0; at--) if (view.getUint32(at, true) === signature) return at;
  return undefined;
}

function damaged(path: string, what: string, cause?: unknown): LightGPTError {
  return new LightGPTError("io", `${path}: ${what}; expected a whole zip archive.`, {
    what,
    where: path,
    expected: "a whole zip archive",
  }, { cause });
}
