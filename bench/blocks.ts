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

/** Weights `q * d` with q of deviation `spread`, d at `scaleAt`, the rest of the block random. */
function scaled(id: number, elements: number, bytes: number, scaleAt: number, spread: number): BlockType {
  return {
    id,
    elements,
    bytes,
    fill(view, blocks, deviation, random) {
      fillBytes(view, 0, blocks * bytes, random);
      for (let i = 0; i < blocks; i++) {
        view.setFloat16(i * bytes + scaleAt, jitter(random) * deviation / spread, true);
      }
    },
  };
}

/** The deviation of sc * q - 7.5 * m for uniform 6-bit sc and m and 4-bit q. */
const q4kSpread = 257;

/** The types that the bench's files use, by name. */
export const BLOCK_TYPES = {
  f32: {
    id: 0,
    elements: 1,
    bytes: 4,
    fill(view, blocks, _deviation, random) {
      for (let i = 0; i < blocks; i++) view.setFloat32(i * 4, jitter(random), true);
    },
  },
  f16: {
    id: 1,
    elements: 1,
    bytes: 2,
    fill(view, blocks, deviation, random) {
      const range = deviation * Math.sqrt(12);
      for (let i = 0; i < blocks; i++) view.setFloat16(i * 2, (random() / 2 ** 32 - 0.5) * range, true);
    },
  },
  q4_0: scaled(2, 32, 18, 0, 4.6),
  q8_0: scaled(8, 32, 34, 0, 73.9),
  q4_k: {
    ...scaled(12, 256, 144, 0, q4kSpread),
    fill(view, blocks, deviation, random) {
      fillBytes(view, 0, blocks * 144, random);
      for (let i = 0; i < blocks; i++) {
        const d = jitter(random) * deviation / q4kSpread;
        view.setFloat16(i * 144, d, true);
        view.setFloat16(i * 144 + 2, 7.5 * d, true); // the middle of q: weights centre on 0
      }
    },
  },
  q6_k: scaled(14, 256, 210, 208, 18.5 * 73.9),
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
