/**
 * Sampling by the book: every method sorts the candidates and walks them, in plain TypeScript, with its own exponential and
 * logarithm (the polynomials of `kernels/op/math.zig`, in exact fused steps) and its own random numbers. Slow on purpose;
 * the native sampler must choose the same tokens and keep the same candidates.
 *
 * @module
 */
import type { Sampling } from "../src/sampling/resolve.ts";

const f = Math.fround;
const view = new DataView(new ArrayBuffer(8));

/** a * b + c of f32, rounded once: the product is exact in f64; the sum is rounded to odd before it is rounded to f32. */
function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const virtual = sum - product;
  const lost = (product - (sum - virtual)) + (c - virtual);
  if (lost === 0 || !Number.isFinite(sum)) return f(sum);
  view.setFloat64(0, sum);
  const bits = view.getBigUint64(0);
  if ((bits & 1n) === 0n) view.setBigUint64(0, bits + ((lost > 0) === (sum > 0) ? 1n : -1n));
  return f(view.getFloat64(0));
}

/** e^x as f32, for x up to 0. */
export function exp32(x: number): number {
  if (x < -60) return 0;
  const round = 12_582_912;
  const n = f(fma(x, f(1.4426950408889634), round) - round);
  const r = fma(n, f(1.9046542121259336e-9), fma(n, f(-0.6931471824645996), x));
  let p = f(0.0013950603315606713);
  for (const term of [0.008368953131139278, 0.04166620597243309, 0.166665181517601, 0.5]) p = fma(p, r, f(term));
  return f(f(fma(f(r * r), p, r) + 1) * 2 ** n);
}

/** round(e * 2^32), ties to even. */
export function weightOf(e: number): bigint {
  const product = e * 2 ** 32;
  const below = Math.floor(product);
  const rest = product - below;
  return BigInt(rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below);
}

const ln2Rest = 1.9082149292705877e-10;
const ln2High = 0x162e42fee / 2 ** 33;

function log64(x: number): number {
  view.setFloat64(0, Math.SQRT1_2);
  const half = view.getBigInt64(0);
  view.setFloat64(0, x);
  const bits = view.getBigInt64(0) - half;
  const n = Number(bits >> 52n);
  view.setBigInt64(0, (bits & ((1n << 52n) - 1n)) + half);
  const m = view.getFloat64(0);
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let sum = 0;
  for (let k = 11; k >= 0; k--) sum = sum * z + 1 / (2 * k + 1);
  return n * ln2High + (n * ln2Rest + 2 * s * sum);
}

function exp64(x: number): number {
  const clamped = x < -746 ? -746 : x > 710 ? 710 : x;
  const round = 6_755_399_441_055_744;
  const n = clamped * (1 / Math.LN2) + round - round;
  const r = (clamped - n * ln2High) - n * ln2Rest;
  let sum = 0;
  let factorial = 1;
  const factorials = [1];
  for (let k = 1; k < 15; k++) factorials.push(factorial *= k);
  for (let k = 14; k >= 0; k--) sum = sum * r + 1 / factorials[k];
  const half = Math.floor(n / 2);
  return sum * 2 ** half * 2 ** (n - half);
}

const pow = (base: number, y: number) => exp64(y * log64(base));

/** Philox4x32-10: the 64 bits of a draw. */
function random(seed: bigint, choice: number, position: number, draw: number): bigint {
  const mask = 0xffff_ffffn;
  let c = [BigInt(choice), BigInt(position), BigInt(draw), 0n];
  let [k0, k1] = [seed & mask, seed >> 32n];
  for (let round = 0; round < 10; round++) {
    const a = c[0] * 0xd2511f53n;
    const b = c[2] * 0xcd9e8d57n;
    c = [(b >> 32n) ^ c[1] ^ k0, b & mask, (a >> 32n) ^ c[3] ^ k1, a & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return c[1] << 32n | c[0];
}

interface Token {
  id: number;
  logit: number;
}

/** What a choice depends on beside logits and settings. */
export interface Situation {
  readonly history: readonly number[];
  readonly choice: number;
  readonly mu: number;
}

/** What came of it. */
export interface Outcome {
  readonly token: number;
  readonly mu: number;
  readonly candidates: Map<number, number>;
}

const inOrder = (a: Token, b: Token) => b.logit - a.logit || a.id - b.id;
const most = f(3.4028234663852886e38);
const finite = (x: number) => Math.min(Math.max(f(x), -most), most);

/** Tokens of a state with their weights. */
class Candidates {
  heat = 1;
  tokens: Token[];

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  get max(): number {
    return this.tokens.reduce((max, { logit }) => Math.max(max, logit), -Infinity);
  }

  /** (l - max) / temperature. */
  distances(): number[] {
    const { max } = this;
    return this.tokens.map(({ logit }) => f(f(logit - max) / this.heat));
  }

  weights(): bigint[] {
    return this.distances().map((x) => weightOf(exp32(x)));
  }

  /** Keeps the beginning of an order: as long as `enough` says no to what was kept so far. */
  keep(minKeep: number, order: (a: Entry, b: Entry) => number, enough: (sum: bigint, next: Entry) => boolean): void {
    const distances = this.distances();
    const entries = this.tokens.map((token, i) => ({ ...token, x: distances[i], w: weightOf(exp32(distances[i])) }));
    entries.sort(order);
    const kept: Token[] = [];
    let sum = 0n;
    for (const entry of entries) {
      if (kept.length >= Math.max(minKeep, 1) && enough(sum, entry)) break;
      kept.push({ id: entry.id, logit: entry.logit });
      sum += entry.w;
    }
    this.tokens = kept;
  }
}

interface Entry extends Token {
  readonly x: number;
  readonly w: bigint;
}

const sumOf = (weights: readonly bigint[]) => weights.reduce((a, b) => a + b, 0n);

/** p of a sum, upwards, from 1 to the sum. */
function share(p: number, total: bigint): bigint {
  const product = BigInt(Math.ceil(p * Number(total)));
  return product < 1n ? 1n : product > total ? total : product;
}

function surprises(candidates: Candidates) {
  const distances = candidates.distances();
  const weights = distances.map((x) => weightOf(exp32(x)));
  const products = distances.map((x) => weightOf(x < -60 ? 0 : f(exp32(x) * -x)));
  return { total: Number(sumOf(weights)), surprise: Number(sumOf(products)) };
}

/** The longest repetitions that each next token would continue, by comparing every place with the end. */
function repetitions(sampling: Sampling, history: readonly number[]): Map<number, number> {
  const found = new Map<number, number>();
  if (!sampling.dry) return found;
  const { window, breakers } = sampling.dry;
  const tokens = history.slice(-window);
  for (let next = 0; next < tokens.length; next++) {
    let length = 0;
    while (
      length < next && tokens[next - 1 - length] === tokens.at(-1 - length) && !breakers.has(tokens[next - 1 - length])
    ) length++;
    found.set(tokens[next], Math.max(found.get(tokens[next]) ?? 0, length));
  }
  return found;
}

/** Chooses a token by the book. */
export function byTheBook(sampling: Sampling, logits: Float32Array, situation: Situation): Outcome | undefined {
  const { history, choice, mu } = situation;
  const edited = Array.from(logits);
  const bias = new Float32Array(sampling.bias.slice().buffer);
  for (let pair = 0; pair < bias.length; pair += 2) {
    const id = sampling.bias[pair];
    edited[id] = bias[pair + 1] === -Infinity ? -Infinity : f(edited[id] + bias[pair + 1]);
  }
  const { allowed, banned } = sampling;
  const isIn = (set: Sampling["allowed"], id: number) => set instanceof Array ? set.includes(id) : set?.has(id);
  const open = (id: number) => (allowed === undefined || isIn(allowed, id)) && !isIn(banned, id);
  const candidates = new Candidates(
    edited.map((logit, id) => ({ id, logit })).filter(({ id, logit }) => logit > -Infinity && open(id)),
  );
  if (candidates.tokens.length === 0) return undefined;
  let next = mu;
  for (const { method, count, numbers: [a, b, c] } of sampling.steps) {
    const minKeep = Math.min(sampling.minKeep, candidates.tokens.length);
    switch (method) {
      case "penalties":
        for (const token of candidates.tokens) {
          const times = history.slice(-sampling.penaltyWindow).filter((id) => id === token.id).length;
          if (times === 0) continue;
          const repeated = token.logit <= 0 ? f(token.logit * a) : f(token.logit / a);
          token.logit = f(repeated - finite(f(f(times * b) + c) * candidates.heat));
        }
        break;
      case "dry": {
        const lengths = repetitions(sampling, history);
        for (const token of candidates.tokens) {
          const length = lengths.get(token.id) ?? 0;
          if (length < count) continue;
          token.logit = f(token.logit - finite(f(Math.min(a * pow(b, length - count), most)) * candidates.heat));
        }
        break;
      }
      case "topK":
        candidates.keep(Math.max(count, minKeep), inOrder, () => true);
        break;
      case "topP": {
        const goal = share(a, sumOf(candidates.weights()));
        candidates.keep(minKeep, inOrder, (sum) => sum >= goal);
        break;
      }
      case "minP": {
        const goal = BigInt(Math.ceil(a * 2 ** 32));
        candidates.keep(minKeep, inOrder, (_, { w }) => w < goal);
        break;
      }
      case "topNSigma": {
        const { max } = candidates;
        const lanes = Array.from({ length: 16 }, () => [0, 0]);
        for (const { id, logit } of candidates.tokens.toSorted((x, y) => x.id - y.id)) {
          const d = f(max - logit);
          lanes[id % 16][0] += d;
          lanes[id % 16][1] += d * d;
        }
        const fold = (i: number) => {
          let sums = lanes.map((lane) => lane[i]);
          while (sums.length > 1) sums = sums.slice(0, sums.length / 2).map((x, j) => x + sums[j + sums.length / 2]);
          return sums[0];
        };
        const mean = fold(0) / candidates.tokens.length;
        const limit = a * Math.sqrt(Math.max(fold(1) / candidates.tokens.length - mean * mean, 0));
        candidates.keep(minKeep, inOrder, (_, { logit }) => f(max - logit) > limit);
        break;
      }
      case "typicalP": {
        const { total, surprise } = surprises(candidates);
        const mean = f(-surprise / total);
        const off = ({ x }: Entry) => Math.min(f(Math.abs(x - mean)), most);
        const goal = share(a, BigInt(total));
        candidates.keep(minKeep, (x, y) => off(x) - off(y) || x.id - y.id, (sum) => sum >= goal);
        break;
      }
      case "xtc": {
        if (!(Number(random(sampling.seed, choice, history.length, 1) >> 11n) / 2 ** 53 < a)) break;
        const weights = candidates.weights();
        const goal = share(b, sumOf(weights));
        const likely = candidates.tokens.filter((_, index) => weights[index] >= goal).sort(inOrder);
        if (likely.length < 2 || candidates.tokens.length - likely.length + 1 < Math.max(minKeep, 1)) break;
        const out = new Set(likely.slice(0, -1));
        candidates.tokens = candidates.tokens.filter((token) => !out.has(token));
        break;
      }
      case "temperature":
        if (b === 0 && a > 0) candidates.heat = a;
        else if (b === 0) candidates.keep(1, inOrder, () => true);
        else {
          const { total, surprise } = surprises(candidates);
          const n = candidates.tokens.length;
          const openness = n < 2
            ? 0
            : Math.min(Math.max((log64(total * 2 ** -32) + surprise / total) / log64(n), 0), 1);
          const least = Math.max(a - b, 0);
          candidates.heat = Math.max(f(least + (a + b - least) * (openness === 0 ? 0 : pow(openness, c))), 2 ** -126);
        }
        break;
      case "mirostat": {
        const portion = Number(sumOf(candidates.weights())) * exp64(-mu * Math.LN2);
        const goal = BigInt(Math.max(Math.ceil(Math.min(portion, 2 ** 33)), 1));
        candidates.keep(minKeep, inOrder, (_, { w }) => w < goal);
        break;
      }
    }
  }
  candidates.tokens.sort((x, y) => x.id - y.id);
  const weights = candidates.weights();
  const total = sumOf(weights);
  let left = random(sampling.seed, choice, history.length, 0) * total >> 64n;
  const index = weights.findIndex((weight) => {
    left -= weight;
    return left < 0n;
  });
  const last = sampling.steps.at(-1);
  if (last?.method === "mirostat") {
    const [tau, eta] = last.numbers;
    next = mu - eta * ((log64(Number(total)) - log64(Number(weights[index]))) / Math.LN2 - tau);
  }
  return {
    token: candidates.tokens[index].id,
    mu: next,
    candidates: new Map(
      candidates.tokens.map(({ id }, i) => [id, Number(weights[i]) / Number(total)] as const).filter(([, p]) => p > 0),
    ),
  };
}
