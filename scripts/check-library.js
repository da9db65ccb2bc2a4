/**
 * What the built library may be: at most so large, and, on Linux, dependent on libc alone. Its dynamic section and symbol
 * table are read here byte by byte, so that the check needs no tool that a newcomer may not have.
 */
import { readFileSync } from "node:fs";
import { library } from "./build.js";
import { main } from "./tools.js";

/** The most that the library may have. */
export const bytesMost = 1_965_000;

/** What is libc: glibc before 2.34 keeps its threads in a file of their own, and the loader comes with it. */
const libc = /^(libc\.so\.6|libpthread\.so\.0|libc\.musl-\w+\.so\.1|ld-linux[\w.-]*)$/;

/** Functions of libm, some of which libc could lend without naming another library. */
const libm = /^_?(exp|exp2|log|log2|log10|pow|sin|cos|tan|tanh|sqrt|fma|floor|ceil|round|trunc|rint)f?$/;

const DT = { null: 0n, needed: 1n, hash: 4n, strtab: 5n, symtab: 6n, gnuHash: 0x6ffffef5n };

/** Everything wrong with the bytes of a library. */
export function libraryViolations(bytes, platform = process.platform) {
  const found = [];
  if (bytes.length > bytesMost) found.push(`the library has ${bytes.length} bytes, ${bytesMost} are allowed`);
  if (platform !== "linux") return found;
  const { needed, imports } = readElf(bytes);
  for (const name of needed) {
    if (!libc.test(name)) found.push(`the library needs ${name}; it may need nothing but libc`);
  }
  for (const name of imports) {
    if (libm.test(name)) found.push(`the library imports ${name}; mathematics is its own`);
  }
  return found;
}

/** The libraries that a 64-bit little-endian ELF file needs, and the symbols that it wants from them. */
export function readElf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) {
    throw new Error("not a 64-bit little-endian ELF file");
  }
  const segments = table(view, Number(view.getBigUint64(32, true)), view.getUint16(54, true), view.getUint16(56, true));
  const offsetOf = (address) => {
    const inside = segments.find(({ type, from, size }) => type === 1 && address >= from && address < from + size);
    if (inside === undefined) throw new Error(`address ${address} is in no segment`);
    return Number(address - inside.from + inside.offset);
  };
  const dynamic = segments.find(({ type }) => type === 2);
  if (dynamic === undefined) throw new Error("no dynamic section: a static library?");
  const entries = [];
  for (let at = Number(dynamic.offset); view.getBigUint64(at, true) !== DT.null; at += 16) {
    entries.push([view.getBigUint64(at, true), view.getBigUint64(at + 8, true)]);
  }
  const value = (tag) => entries.find(([key]) => key === tag)?.[1];
  const place = (tag) => value(tag) === undefined ? undefined : offsetOf(value(tag));
  const strings = place(DT.strtab);
  const text = (at) => {
    const begin = strings + Number(at);
    return new TextDecoder().decode(bytes.subarray(begin, bytes.indexOf(0, begin)));
  };
  return {
    needed: entries.filter(([key]) => key === DT.needed).map(([, at]) => text(at)),
    imports: undefinedSymbols(view, place(DT.symtab), symbolCount(view, place(DT.hash), place(DT.gnuHash))).map(text),
  };
}

function table(view, begin, size, count) {
  return Array.from({ length: count }, (_, index) => {
    const at = begin + index * size;
    return {
      type: view.getUint32(at, true),
      offset: view.getBigUint64(at + 8, true),
      from: view.getBigUint64(at + 16, true),
      size: view.getBigUint64(at + 32, true),
    };
  });
}

/** Names (as places in the string table) of the symbols without a section: those that others must provide. */
function undefinedSymbols(view, symbols, count) {
  const names = [];
  for (let index = 1; index < count; index++) {
    const at = symbols + 24 * index;
    if (view.getUint16(at + 6, true) === 0) names.push(view.getUint32(at, true));
  }
  return names;
}

/** How many symbols may be undefined: all of the old hash table, or those before the first that the new one finds. */
function symbolCount(view, oldHash, newHash) {
  if (oldHash !== undefined) return view.getUint32(oldHash + 4, true);
  if (newHash !== undefined) return view.getUint32(newHash + 4, true);
  throw new Error("no hash table of symbols");
}

/** The library of this machine. */
export function checkLibrary() {
  return libraryViolations(readFileSync(library));
}

main(import.meta.url, () => {
  const found = checkLibrary();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
