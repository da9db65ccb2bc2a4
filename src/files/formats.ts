/**
 * The tensor types of GGUF: id, name, block size. `inspect` shows files with any of them. Those that the library computes
 * with are marked; for the others there is a type to use instead. A test compares the marked ones with the library's list.
 *
 * @module
 */

/** One tensor type. */
export interface TensorFormat {
  /** The number that stands for it in a file. */
  readonly id: number;
  /** Its name, such as `Q4_K`. */
  readonly name: string;
  /** Elements of one block. */
  readonly blockElements: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** True where the library computes with it. */
  readonly supported: boolean;
}

type Row = [id: number, name: string, blockElements: number, blockBytes: number];

const SUPPORTED: readonly Row[] = [
  [0, "F32", 1, 4],
  [1, "F16", 1, 2],
  [2, "Q4_0", 32, 18],
  [3, "Q4_1", 32, 20],
  [6, "Q5_0", 32, 22],
  [7, "Q5_1", 32, 24],
  [8, "Q8_0", 32, 34],
  [10, "Q2_K", 256, 84],
  [11, "Q3_K", 256, 110],
  [12, "Q4_K", 256, 144],
  [13, "Q5_K", 256, 176],
  [14, "Q6_K", 256, 210],
  [16, "IQ2_XXS", 256, 66],
  [17, "IQ2_XS", 256, 74],
  [18, "IQ3_XXS", 256, 98],
  [19, "IQ1_S", 256, 50],
  [20, "IQ4_NL", 32, 18],
  [21, "IQ3_S", 256, 110],
  [22, "IQ2_S", 256, 82],
  [23, "IQ4_XS", 256, 136],
  [29, "IQ1_M", 256, 56],
  [30, "BF16", 1, 2],
  [34, "TQ1_0", 256, 54],
  [35, "TQ2_0", 256, 66],
  [39, "MXFP4", 32, 17],
  [40, "NVFP4", 64, 36],
  [41, "Q1_0", 128, 18],
  [42, "Q2_0", 64, 18],
];

const KNOWN: readonly Row[] = [
  [9, "Q8_1", 32, 36],
  [15, "Q8_K", 256, 292],
  [24, "I8", 1, 1],
  [25, "I16", 1, 2],
  [26, "I32", 1, 4],
  [27, "I64", 1, 8],
  [28, "F64", 1, 8],
];

/** Types that were removed from GGUF; no reader has their block layouts any more. */
const REMOVED: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [31, "Q4_0_4_4"],
  [32, "Q4_0_4_8"],
  [33, "Q4_0_8_8"],
  [36, "IQ4_NL_4_4"],
  [37, "IQ4_NL_4_8"],
  [38, "IQ4_NL_8_8"],
]);

/** What to use in place of a type that is not supported, by the start of its name. */
const INSTEAD: readonly (readonly [prefix: string, instead: string])[] = [
  ["Q4_0_", "Q4_0"],
  ["Q4_", "Q4_0"],
  ["IQ4_NL_", "IQ4_NL"],
  ["Q8_", "Q8_0"],
  ["F64", "F32"],
];

/** Every tensor type whose size is known, by id. */
export const FORMATS: ReadonlyMap<number, TensorFormat> = new Map(
  [...SUPPORTED.map((row) => format(row, true)), ...KNOWN.map((row) => format(row, false))]
    .map((entry) => [entry.id, entry]),
);

function format([id, name, blockElements, blockBytes]: Row, supported: boolean): TensorFormat {
  return { id, name, blockElements, blockBytes, supported };
}

/** The name of a type, also of a removed one, else its number. */
export function formatName(id: number): string {
  return FORMATS.get(id)?.name ?? REMOVED.get(id) ?? `number ${id}`;
}

/** Which type to ask for instead of one that is not supported. */
export function formatInstead(id: number): string {
  const name = formatName(id);
  const instead = INSTEAD.find(([prefix]) => name.startsWith(prefix))?.[1];
  if (SUPPORTED.some(([, name]) => name === instead)) return `a file made as ${instead}`;
  return `one of ${SUPPORTED.map(([, name]) => name).join(", ")}`;
}
