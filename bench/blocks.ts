/**
 * Random weights, as the bytes of a GGUF file has them: one pool of blocks for each format and row length, repeated
 * from changing offsets until a tensor is full. What a kernel does does not depend on the values, so random bytes cost
 * the same arithmetic as trained ones; scales are chosen so that a row's product keeps the size of its input.
 *
 * @module
 */

/** One tensor type: its number in the file, its block, and how to fill blocks with weights of a given deviation. */
export interface BlockType {
  readonly id: number;
  readonly elements: number;
  readonly bytes: number;
  /** Fills whole blocks; `random` gives 32 bits. */
  fill(view: DataView, blocks: number, deviation: number, random: () => number): void;
}

/** An xorshift generator: 32 bits a call, never 0. */
export function xorshift(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** Uniform in 0.75 to 1.25: scales of neighbouring blocks differ as in a trained model. */
const jitter = (random: () => number) => 0.75 + random() / 2 ** 33;

function fillBytes(view: DataView, at: number, count: number, random: () => number): void {
  for (let i = 0; i < count; i++) view.setUint8(at + i, random() >>> 11);
}

/** The range of the 16 values of IQ4_NL and IQ4_XS, and of the doubled ones of MXFP4. */
const iq4Spread = 71;
const fp4Spread = 6.4;

/**
 * Blocks of `q * d + m`, all bytes random but the scales: d at `scaleAt` such that the weights have the wanted deviation
 * where q has the deviation `spread`; m, if there is one, at `minimumAt`, such that they centre on 0: `centre` is the mean of q.
 */
function scaled(
  id: number,
  elements: number,
  bytes: number,
  scaleAt: number,
  spread: number,
  minimum?: { at: number; centre: number },
): BlockType {
  return {
    id,
    elements,
    bytes,
    fill(view, blocks, deviation, random) {
      fillBytes(view, 0, blocks * bytes, random);
      for (let i = 0; i < blocks; i++) {
        const d = jitter(random) * deviation / spread;
        view.setFloat16(i * bytes + scaleAt, d, true);
        if (minimum) view.setFloat16(i * bytes + minimum.at, minimum.centre * d, true);
      }
    },
  };
}

/** Plain numbers, uniform around 0. */
function plain(id: number, bytes: number, put: (view: DataView, at: number, value: number) => void): BlockType {
  return {
    id,
    elements: 1,
    bytes,
    fill(view, blocks, deviation, random) {
      const range = deviation * Math.sqrt(12);
      for (let i = 0; i < blocks; i++) put(view, i * bytes, (random() / 2 ** 32 - 0.5) * range);
    },
  };
}

/** The types that the bench's files use, by name. In K-quants, whose minimum is subtracted, both have 4 or 6 random bits. */
export const BLOCK_TYPES = {
  f32: plain(0, 4, (view, at, value) => view.setFloat32(at, value, true)),
  f16: plain(1, 2, (view, at, value) => view.setFloat16(at, value, true)),
  bf16: plain(30, 2, (view, at, value) => {
    view.setUint16(at, new DataView(Float32Array.of(value).buffer).getUint32(0, true) >>> 16, true);
  }),
  q4_0: scaled(2, 32, 18, 0, 4.6),
  q4_1: scaled(3, 32, 20, 0, 4.6, { at: 2, centre: -7.5 }),
  q5_0: scaled(6, 32, 22, 0, 9.2),
  q5_1: scaled(7, 32, 24, 0, 9.2, { at: 2, centre: -15.5 }),
  q8_0: scaled(8, 32, 34, 0, 73.9),
  q2_k: scaled(10, 256, 84, 80, 14, { at: 82, centre: 1.5 }),
  q3_k: scaled(11, 256, 110, 108, 2.3 * 18.5),
  q4_k: scaled(12, 256, 144, 0, 257, { at: 2, centre: 7.5 }),
  q5_k: scaled(13, 256, 176, 0, 514, { at: 2, centre: 15.5 }),
  q6_k: scaled(14, 256, 210, 208, 18.5 * 73.9),
  iq4_nl: scaled(20, 32, 18, 0, iq4Spread),
  iq4_xs: scaled(23, 256, 136, 0, 18.5 * iq4Spread),
  mxfp4: {
    id: 39,
    elements: 32,
    bytes: 17,
    fill(view, blocks, deviation, random) {
      fillBytes(view, 0, blocks * 17, random);
      // Scales are powers of 2, halved when they are used.
      const exponent = 128 + Math.round(Math.log2(deviation / fp4Spread));
      for (let i = 0; i < blocks; i++) view.setUint8(i * 17, exponent);
    },
  },
} as const satisfies Record<string, BlockType>;

/** The name of a tensor type of the bench's files. */
export type BlockTypeName = keyof typeof BLOCK_TYPES;

const poolBytes = 1 << 20;
const pools = new Map<string, Uint8Array>();

/** The bytes of a tensor of `rows` rows of `columns`, piece by piece. */
export function* randomTensor(name: BlockTypeName, columns: number, rows: number): Generator<Uint8Array> {
  const type: BlockType = BLOCK_TYPES[name];
  const key = `${name} ${columns}`;
  let pool = pools.get(key);
  if (pool === undefined) {
    const blocks = Math.floor(poolBytes / type.bytes);
    pool = new Uint8Array(blocks * type.bytes);
    type.fill(new DataView(pool.buffer), blocks, 1 / Math.sqrt(columns), xorshift(columns + type.id * 7919));
    pools.set(key, pool);
  }
  const random = xorshift(rows + columns);
  let left = (columns / type.elements) * type.bytes * rows;
  while (left > 0) {
    const start = random() % Math.floor(pool.length / type.bytes / 2) * type.bytes;
    const piece = pool.subarray(start, Math.min(pool.length, start + left));
    left -= piece.length;
    yield piece;
  }
}

/** The bytes of a norm's weights: f32, near 1. */
export function randomNorm(columns: number): Uint8Array {
  const random = xorshift(columns);
  return new Uint8Array(Float32Array.from({ length: columns }, () => jitter(random)).buffer);
}
