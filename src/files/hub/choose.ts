/**
 * Which file of several is meant: the one of a type of weights, or the usual one. A split model counts as one file, whose parts are
 * all needed. What lies beside models (projectors for images, importance matrices) is none.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import type { ListedFile } from "./types.ts";

/** A model among the files of a place. */
export interface Candidate<F extends ListedFile = ListedFile> {
  /** Its path: of a split one, that of its first part. */
  readonly path: string;
  /** The type of weights, as the file's name tells it: `Q4_K_M`; undefined where it does not. */
  readonly type: string | undefined;
  /** Bytes of all parts. */
  readonly bytes: number;
  /** Its parts in their order. */
  readonly files: readonly F[];
}

const splitForm = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/is;
const typeForm = /(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|(?:MX|NV)FP4(?:_[A-Z]+)?))$/i;

/** Types in the order in which one is taken where none is named: small and near the original. */
const usual = [
  "Q4_K_M",
  "Q4_K_S",
  "Q4_0",
  "Q4_1",
  "IQ4_XS",
  "IQ4_NL",
  "Q5_K_M",
  "MXFP4",
  "Q6_K",
  "Q8_0",
  "BF16",
  "F16",
];

/** The models among files. */
export function candidatesOf<F extends ListedFile>(files: readonly F[]): Candidate<F>[] {
  const groups = new Map<string, F[]>();
  for (const file of files) {
    const name = file.path.slice(file.path.lastIndexOf("/") + 1);
    if (!/\.gguf$/i.test(name) || /^mmproj|mmproj-|imatrix/i.test(name)) continue;
    const [, prefix, , count] = splitForm.exec(file.path) ?? [];
    const key = prefix === undefined ? file.path : `${prefix}-of-${count}`;
    groups.set(key, [...groups.get(key) ?? [], file]);
  }
  return [...groups.values()].flatMap((group) => {
    const parts = group.toSorted((a, b) => a.path < b.path ? -1 : 1);
    const [, , first, count] = splitForm.exec(parts[0].path) ?? [];
    if (count !== undefined && (Number(first) !== 1 || parts.length !== Number(count))) return []; // a part is missing
    const bytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    return [{ path: parts[0].path, type: typeOf(parts[0].path), bytes, files: parts }];
  }).sort((a, b) => a.bytes - b.bytes);
}

/** The type of weights in a file's name. */
export function typeOf(path: string): string | undefined {
  const base = path.replace(splitForm, "$1").replace(/\.gguf$/i, "");
  return typeForm.exec(base)?.[1]?.toUpperCase().replace(/^FP(?=\d)/, "F");
}

/** What is asked for of a place. */
export interface Wanted {
  readonly file?: string;
  readonly type?: string;
}

/**
 * The model that is meant; undefined where there is none. Throws where several fit.
 *
 * @param place what has the files, for messages: `hf:user/repo`
 */
export function choose<F extends ListedFile>(
  files: readonly F[],
  { file, type }: Wanted,
  place: string,
): Candidate<F> | undefined {
  const candidates = candidatesOf(files);
  if (file !== undefined) {
    return candidates.find(({ files }) => files.some(({ path }) => path === file));
  }
  if (type !== undefined) return onlyOne(candidates.filter((each) => isOfType(each, type)), place);
  for (const name of usual) {
    const found = candidates.filter((candidate) => candidate.type === name);
    if (found.length > 0) return onlyOne(found, place);
  }
  return onlyOne(candidates, place);
}

function isOfType({ type, path }: Candidate, asked: string): boolean {
  const name = asked.toUpperCase();
  return type === name || path.replace(splitForm, "$1").replace(/\.gguf$/i, "").toUpperCase().endsWith(`-${name}`);
}

function onlyOne<F extends ListedFile>(found: readonly Candidate<F>[], place: string): Candidate<F> | undefined {
  if (found.length <= 1) return found[0];
  const names = found.slice(0, 8).map(({ path }) => `${place}/${path}`).join(", ");
  const more = found.length > 8 ? ` and ${found.length - 8} more` : "";
  throw new LightGPTError("io", `${place} has ${found.length} files that fit: ${names}${more}; expected one of them.`, {
    what: "several files that fit",
    where: place,
    expected: "the name of one file",
    got: `${found.length} files`,
  });
}

/** The error where no file is what was asked for; says what there is. */
export function noneFits(files: readonly ListedFile[], { file, type }: Wanted, place: string): LightGPTError {
  const candidates = candidatesOf(files);
  const what = file === undefined ? type === undefined ? "" : ` of the type ${type}` : ` ${file}`;
  const kinds = candidates.slice(0, 30).map(({ type, path }) => file === undefined && type !== undefined ? type : path);
  const isOther = files.some(({ path }) => /\.(safetensors|bin|onnx)$/i.test(path));
  const expected = candidates.length > 0
    ? `one of ${[...new Set(kinds)].join(", ")}`
    : isOther
    ? 'a repository with GGUF files: search the hub for its name and "GGUF", or convert its folder (lightgpt quantize)'
    : "a repository with GGUF files";
  return new LightGPTError("io", `${place} has no GGUF file${what}; expected ${expected}.`, {
    what: "no such file in the repository",
    where: place,
    expected,
    got: `${files.length} files`,
  });
}
