/**
 * Values that no caller should pass, and some does: of wrong kinds, at the ends of ranges, over memory that is gone, grows or
 * is shared, and objects that throw while they are looked at.
 *
 * @module
 */

const thrower = (message: string) => (): never => {
  throw new RangeError(message);
};

/** The values by what they are; each is made anew for each use. */
export const hostileValues: Readonly<Record<string, () => unknown>> = {
  "null": () => null,
  "true": () => true,
  "false": () => false,
  "0": () => 0,
  "-0": () => -0,
  "-1": () => -1,
  "1.5": () => 1.5,
  "NaN": () => NaN,
  "Infinity": () => Infinity,
  "-Infinity": () => -Infinity,
  "2^31": () => 2 ** 31,
  "2^53": () => 2 ** 53,
  "1e308": () => 1e308,
  "1n": () => 1n,
  "-1n": () => -1n,
  "2n^64": () => 2n ** 64n,
  "empty text": () => "",
  "text": () => "nonsense",
  "text of a number": () => "1",
  "text of false": () => "false",
  "NUL": () => "\0",
  "lone surrogate": () => "\ud800",
  "__proto__": () => "__proto__",
  "long text": () => "x".repeat(1 << 12),
  "symbol": () => Symbol("s"),
  "function": () => () => {},
  "throwing function": () => thrower("called"),
  "async function": () => async () => {},
  "class": () => class {},
  "empty array": () => [],
  "array of NaN": () => [NaN],
  "array of texts": () => ["x"],
  "array of null": () => [null],
  "sparse array": () => new Array(3),
  "empty object": () => ({}),
  "unknown key": () => ({ nonsense: 1 }),
  "null prototype": () => Object.create(null),
  "__proto__ key": () => JSON.parse('{"__proto__": {"x": 1}}'),
  "Date": () => new Date(NaN),
  "RegExp": () => /x/,
  "Map": () => new Map([["x", 1]]),
  "Set": () => new Set([1]),
  "Promise": () => Promise.resolve(1),
  "ArrayBuffer": () => new ArrayBuffer(8),
  "Uint8Array": () => new Uint8Array(3),
  "Uint32Array": () => Uint32Array.of(1, 2),
  "Float32Array of NaN": () => Float32Array.of(NaN, 1),
  "empty Float32Array": () => new Float32Array(0),
  "Float64Array": () => Float64Array.of(0.5),
  "BigInt64Array": () => new BigInt64Array(2),
  "DataView": () => new DataView(new ArrayBuffer(8)),
  "detached Float32Array": () => detached(new Float32Array(64)),
  "detached Uint32Array": () => detached(new Uint32Array(4)),
  "detached Uint8Array": () => detached(new Uint8Array(36)),
  "resizable Float32Array": () => new Float32Array(new ArrayBuffer(256, { maxByteLength: 512 })),
  "resizable Uint32Array": () => new Uint32Array(new ArrayBuffer(16, { maxByteLength: 32 })),
  "shared Float32Array": () => new Float32Array(new SharedArrayBuffer(256)),
  "shared Uint32Array": () => new Uint32Array(new SharedArrayBuffer(16)),
  "length of 2^40": () => ({ length: 2 ** 40 }),
  "length of -1": () => ({ length: -1 }),
  "length that throws": () => ({
    get length(): number {
      return thrower("length")();
    },
  }),
  "iterator that throws": () => ({ [Symbol.iterator]: thrower("iterator") }),
  "async iterator that throws": () => ({ [Symbol.asyncIterator]: thrower("async iterator") }),
  "text that throws": () => ({ toString: thrower("toString"), [Symbol.toPrimitive]: thrower("toPrimitive") }),
  "constructor that throws": () => ({
    get constructor(): never {
      return thrower("constructor")();
    },
  }),
  "constructor null": () => ({ constructor: null }),
  "then that throws": () => ({
    get foo(): never {
      return thrower("foo")();
    },
  }),
  "proxy that throws": () => new Proxy({}, { get: thrower("get"), has: thrower("has"), ownKeys: thrower("ownKeys") }),
  "proxied array": () => new Proxy([1], { get: thrower("get") }),
  "revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "aborted signal": () => AbortSignal.abort(),
  "signal of its own": () => ({ aborted: false, addEventListener() {} }),
  "cyclic object": () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    return cyclic;
  },
  "deep array": () => {
    let deep: unknown[] = [];
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    return deep;
  },
};

function detached<T extends { readonly buffer: ArrayBuffer }>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}
