/**
 * The reliability table as data: 40 kinds of fault, what must come of each, and what shows it: tests by file and name, Zig
 * tests, or a tool's run. A number of the gate is what every change is tested with; the night run has larger ones
 * (`test/counts.ts`).
 */

/** Tests of a file, on both runtimes; `names` are parts of the names of those that show the row, and all must be there. */
const test = (file, ...names) => ({ kind: "test", file: `test/${file}.test.ts`, names });

/** The same, with a library of another build: `faults` or `safe` (build.zig). */
const withLibrary = (library, shown) => ({ ...shown, library });

/** Zig tests whose names hold one of these, as the tests are compiled, or a tool's run (`sanitizers.js`). */
const zig = (...filters) => ({ kind: "zig", filters });
const tool = (name) => ({ kind: "tool", name });

/**
 * @typedef {object} Row
 * @property {number} row
 * @property {string} what
 * @property {string} expected
 * @property {string} gate The number on every change.
 * @property {string} night The number of the night run.
 * @property {object[]} shown
 */

/** @type {readonly Row[]} */
export const rows = [
  {
    row: 1,
    what: "damaged model files, by hand",
    expected: "an error that names field and byte, before any native call",
    gate: "112 files to refuse, 43 that may be",
    night: "the same",
    shown: [test("malformed", "that are to be refused", "that are to be loaded", "that may be refused or loaded")],
  },
  {
    row: 2,
    what: "damaged model files, at random",
    expected: "an error or a valid model; none over 1 s, no memory",
    gate: "100 000",
    night: "1 000 000",
    shown: [test("mutations", "from seed", "as good as whole")],
  },
  {
    row: 3,
    what: "model files cut",
    expected: "an error before anything is read of it",
    gate: "690 cuts of a model, each byte of small ones",
    night: "the same",
    shown: [test("files", "is refused when it is cut off"), test("gguf", "a cut file")],
  },
  {
    row: 4,
    what: "model files that cost time",
    expected: "work in proportion to the file",
    gate: "5 kinds",
    night: "the same",
    shown: [test("gguf", "work grows with the file", "what the parser allocates")],
  },
  {
    row: 5,
    what: "two parsers on the same files",
    expected: "what ours accepts the other accepts, alike",
    gate: "600",
    night: "10 000",
    shown: [test("reliability/parse", "agree on what ours accepts")],
  },
  {
    row: 6,
    what: "kernels beside the scalar reference",
    expected: "the same bits; nothing read or written beyond its ends",
    gate: "200 a format and level between guard pages, and all shapes of the unit tests",
    night: "10 000 a format and level",
    shown: [zig("guard pages", "equal the scalar reference")],
  },
  {
    row: 7,
    what: "golden blocks",
    expected: "llama.cpp's bits",
    gate: "all formats",
    night: "the same",
    shown: [zig("golden", "blocks")],
  },
  {
    row: 8,
    what: "levels of the processor",
    expected: "the committed hashes",
    gate: "every level that runs here",
    night: "the same; no emulated x86",
    shown: [test("exact", "are the committed ones at level"), test("abi", "the CPU level")],
  },
  {
    row: 9,
    what: "memory refused",
    expected: "outOfMemory or the usual result; nothing held; others go on",
    gate: "each request of 5 operations, and 4 of each call of the system",
    night: "each request, and each call",
    shown: [
      withLibrary("faults", test("reliability/allocation", "memory that is refused")),
      withLibrary("shim", test("reliability/system", "of malloc", "of mmap", "of madvise")),
    ],
  },
  {
    row: 10,
    what: "threads refused",
    expected: "fewer threads or outOfMemory",
    gate: "each thread",
    night: "the same",
    shown: [withLibrary("shim", test("reliability/system", "of pthread_create")), test("doorbell", "is the timer")],
  },
  {
    row: 11,
    what: "files that fail",
    expected: "io; nothing left behind; the input untouched",
    gate: "16 kinds, 20 cuts, a storm of cuts",
    night: "500 cuts, 20 storms",
    shown: [
      test("changing_files", "is an error", "never ends the process"),
      test("quantize-file", "bad input to quantizeFile"),
      test("partial", "a file on its way"),
      test("files", "is refused when it is missing"),
      withLibrary("shim", test("reliability/system", "of pread")),
    ],
  },
  {
    row: 12,
    what: "sanitizers",
    expected: "no report",
    gate: "at night only",
    night: "TSan and valgrind on Zig tests; 6 files of tests at their gate number on the library in ReleaseSafe",
    shown: [
      tool("tsan"),
      tool("valgrind"),
      withLibrary("safe", test("conformance")),
      withLibrary("safe", test("streams")),
      withLibrary("safe", test("batcher")),
      withLibrary("safe", test("sampling")),
      withLibrary("safe", test("quantizer")),
      withLibrary("safe", test("handles")),
    ].map((shown) => ({ ...shown, isNightly: true })),
  },
  {
    row: 13,
    what: "Zig's own checks",
    expected: "no panic, no leak",
    gate: "all Zig tests",
    night: "and row 12's library",
    shown: [zig()],
  },
  {
    row: 14,
    what: "handles misused",
    expected: "closed or invalidArgument",
    gate: "5 000 calls, 3 000 batches",
    night: "100 000 calls, 60 000 batches",
    shown: [test("handles", "a handle")],
  },
  {
    row: 15,
    what: "buffers misused",
    expected: "invalidArgument; no native call",
    gate: "34",
    night: "the same",
    shown: [test("buffers", "a buffer", "an integer")],
  },
  {
    row: 16,
    what: "collection while jobs run",
    expected: "the same results",
    gate: "a request of 40 tokens, a collection each",
    night: "10 000 tokens",
    shown: [test("streams", "is ended by the collector")],
  },
  {
    row: 17,
    what: "ways to end the process",
    expected: "the code asked for, no crash, soon",
    gate: "24 ends",
    night: "204 ends",
    shown: [test("exit", "by process.exit", "by SIGTERM", "by the end of workers")],
  },
  {
    row: 18,
    what: "workers that load at once",
    expected: "all load, all alike",
    gate: "3 rounds of 4",
    night: "50 rounds of 8",
    shown: [test("package", "may load LightGPT in the main thread and in several at once")],
  },
  {
    row: 19,
    what: "cancelling",
    expected: "the row is free, the others' bits stay",
    gate: "6 rounds of 15 streams, 60 ends",
    night: "200 rounds of 64, 2 000 ends",
    shown: [test("streams", "give what they give alone", "frees what it held"), test("batcher", "equal solo runs")],
  },
  {
    row: 20,
    what: "neighbours in a batch",
    expected: "the bits of a run alone",
    gate: "240 requests",
    night: "2 000 requests",
    shown: [test("batcher", "equal solo runs"), test("serving", "results are the same, bit for bit")],
  },
  {
    row: 21,
    what: "prefix cache beside none",
    expected: "the same tokens; nothing of another tenant",
    gate: "6 000 operations, 4 saved caches",
    night: "40 000 operations",
    shown: [
      test("cache", "agrees with a plain list of prefixes", "evicts a leaf before its parent"),
      test("prefix", "is not shared between tenants"),
      test("saved_cache", "a forged header", "a cache saved with a key"),
    ],
  },
  {
    row: 22,
    what: "prefixes that hash alike",
    expected: "told apart",
    gate: "4 pairs, 3 widths of hash",
    night: "the same",
    shown: [test("cache", "and what follows them", "with 8")],
  },
  {
    row: 23,
    what: "another tenant's prefix, by its time",
    expected: "first tokens as late as of a cold prompt",
    gate: "60 probes",
    night: "400 probes",
    shown: [test("reliability/timing", "tells nothing by its time")],
  },
  {
    row: 24,
    what: "what callers may ask for",
    expected: "a typed error at once",
    gate: "hostile values for every entry and option",
    night: "the same",
    shown: [test("hostile", "are taken, or refused by an error"), test("batcher", "a batcher refuses")],
  },
  {
    row: 25,
    what: "chat templates that attack, and conversations that forge control tokens",
    expected: "an end within 50 ms and 64 MiB; no object of the host; no control token of foreign text",
    gate: "166 hostile templates, 600 mutations, 8000 forged conversations",
    night: "1066 hostile templates, 20 000 mutations, 240 000 forged conversations",
    shown: [
      test(
        "template-budget",
        "hostile ones at once",
        "that grow and repeat",
        "little memory",
        "mutations of published ones",
      ),
      test("chat", "reaches no object of the host"),
      test("provenance", "make no control token", "by every filter, method and operator"),
    ],
  },
  {
    row: 26,
    what: "any text through every vocabulary",
    expected: "comes back; linear time; no control token",
    gate: "800 texts a vocabulary",
    night: "20 000 texts a vocabulary",
    shown: [
      test("texts", "comes back from its tokens", "has no control token", "a million letters"),
      test("special", "in proportion to the text"),
    ],
  },
  {
    row: 27,
    what: "any logits through the sampler",
    expected: "a choice or an error; the right frequencies",
    gate: "560 against the book, chi-square",
    night: "the same",
    shown: [test("sampling", "from few tokens", "from many tokens", "chi-square"), zig("sampl")],
  },
  {
    row: 28,
    what: "HTTP",
    expected: "no leak, others served",
    gate:
      "104 bad requests, 24 clients that leave, 24 faults, 100 streams, 4 000 changed bodies, 400 tries at another's " +
      "responses",
    night: "1 002 clients that leave, 100 000 changed bodies, 20 000 tries",
    shown: [
      test("server_sockets", "frees the row", "never ends cleanly", "hundred streams"),
      test("server_inputs", "bad requests are refused", "changed at random"),
      test("server_keys", "no tenant finds", "take turns"),
    ],
  },
  {
    row: 29,
    what: "soak",
    expected: "memory flat; no page, handle, timer left",
    gate: "2 000 requests",
    night: "200 000 requests",
    shown: [test("batcher", "of 2000 requests of random kinds")],
  },
  {
    row: 30,
    what: "loading and disposing",
    expected: "memory and files as before",
    gate: "50 models, 24 in the midst of requests",
    night: "500 models, 240 in the midst of requests",
    shown: [test("streams", "fifty times without a trace"), test("dispose", "resolves when memory is back")],
  },
  {
    row: 31,
    what: "the same seed",
    expected: "the same tokens for any threads, chunk, page, runtime",
    gate: "a matrix of all models of the kit",
    night: "the same",
    shown: [test("exact", "are the committed ones at level")],
  },
  {
    row: 32,
    what: "the scheduler, simulated",
    expected: "every request ends once, none starves, pages add up",
    gate: "20 000 schedules",
    night: "100 000 schedules",
    shown: [test("scheduler", "gives every request its own tokens", "shares work between tenants")],
  },
  {
    row: 33,
    what: "tuning under bad clocks and files",
    expected: "never slower than the defaults; files untrusted",
    gate: "all",
    night: "the same",
    shown: [test("tuner", "a clock that jumps", "never picks what is slower"), test("optimizer", "is not believed")],
  },
  {
    row: 34,
    what: "a library that does not fit",
    expected: "one clear error",
    gate: "10 kinds",
    night: "the same",
    shown: [test("abi", "a library that does not fit")],
  },
  {
    row: 35,
    what: "canary: what must fail",
    expected: "is reported as failed",
    gate: "a crash, a failure, a hang",
    night: "the same",
    shown: [tool("canary")],
  },
  {
    row: 36,
    what: "the host's floating-point state",
    expected: "is as it was after every export; small stacks are enough",
    gate: "every export",
    night: "the same",
    shown: [zig("floating-point state", "subnormals survive")],
  },
  {
    row: 37,
    what: "quantizing that is killed",
    expected: "no broken file; the input intact; what is left is removed",
    gate: "20 kills",
    night: "the same",
    shown: [test("quantize-file", "20 times", "not finite"), test("partial", "goes with the next run")],
  },
  {
    row: 38,
    what: "schemas and grammars that are damaged, and a model without sense",
    expected: "objects valid or incomplete; a typed error in good time and little memory",
    gate: "160 objects of 20 schemas, 800 mutations",
    night: "10 000 objects of 200 schemas, 100 000 mutations",
    shown: [
      test("grammar_storm", "valid or incomplete", "in good time and little memory"),
      test("real/objects", "no fewer of their fields"),
    ],
  },
  {
    row: 39,
    what: "downloads that break: cut, silent, reset, wrong bytes, a full disk, killed",
    expected: "no wrong file under a final name; 9 of 10 bytes that were there are kept",
    gate: "12 downloads, each broken up to 3 times, and each fault by hand",
    night: "500 downloads",
    shown: [
      test("hub_storm", "no wrong file under a final name"),
      test("hub", "come whole through", "go on where", "never kept where the sum is wrong"),
    ],
  },
  {
    row: 40,
    what: "machines of a cluster that die, pause, are cut off or end; messages late, lost and doubled",
    expected: "every reader gets the bits of the unbroken run, nothing twice, nothing lost",
    gate: "2 000 schedules; 18 streams under each of 4 faults, and seconds of all kinds of faults; a gateway killed",
    night: "200 000 schedules; 100 streams, and ten minutes of faults",
    shown: [
      test("cluster_simulation", "the same bits"),
      test(
        "cluster_chaos",
        "a worker is killed",
        "a paused worker wakes",
        "told to end",
        "NATS is killed",
        "one fault after the other",
      ),
      test("cluster_answers", "theirs is killed"),
      test("cluster_faults", "a minute without NATS", "refused takes it again"),
    ],
  },
];
