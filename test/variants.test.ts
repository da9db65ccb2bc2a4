/**
 * Variants of every architecture, as small models made here: what the plan says of each, and the library's logits against
 * a forward pass in float64. And what is refused, by name.
 *
 * @module
 */
import { assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LightGPTError } from "../ffi/errors.ts";
import { LightGPT } from "../mod.ts";
import { ARCHITECTURES, planModel } from "../src/model/architectures/architectures.ts";
import type { Hyperparameters } from "../src/model/architectures/types.ts";
import { parseGguf } from "../src/files/gguf/read.ts";
import { reckonProcessors } from "../src/machine/machine.ts";
import { arrayOf, bpe, f32, flag, memorySource, text, u32 } from "./models.ts";
import { referenceLogits } from "./reference.ts";
import { repository } from "./kit.ts";
import { gemma3, type Shape, smallModelBytes, withModelFile } from "./small-models.ts";

reckonProcessors(3);

const plan = (shape: Shape, context?: number) =>
  planModel(parseGguf(memorySource("small", smallModelBytes(shape))), context === undefined ? {} : { context });
const windows = ({ perLayer }: Hyperparameters) => perLayer.map(({ window }) => window);

const llama: Shape = { architecture: "llama" };
/** What makes layer 1 of a llama one without some part. */
const without = (key: string, numbers: number[], tensor: string): Partial<Shape> => ({
  values: { [`llama.${key}`]: arrayOf("uint32", numbers) },
  absent: [`blk.1.${tensor}.weight`],
});
const qwen2: Shape = { architecture: "qwen2", biases: ["q", "k", "v"] };
const phi3: Shape = {
  architecture: "phi3",
  fused: true,
  untied: true,
  values: {
    "phi3.rope.dimension_count": u32(12),
    "phi3.attention.sliding_window": u32(5),
    "phi3.rope.scaling.original_context_length": u32(32),
    "phi3.rope.scaling.attn_factor": f32(1.19),
  },
  vectors: {
    "rope_factors_long.weight": [1, 1.1, 1.5, 3, 8, 20],
    "rope_factors_short.weight": [1, 1, 1.05, 1.1, 1.2, 1.3],
  },
};

/** Each with what its plan must say. */
const variants: [name: string, shape: Shape, expected: Partial<Hyperparameters> & { windows?: number[] }][] = [
  ["llama with an output matrix", { ...llama, untied: true }, {
    ropeStyle: "norm",
    activation: "silu",
    attentionScale: 1 / 4,
  }],
  ["llama with biases everywhere", { ...llama, biases: ["q", "k", "v", "output"] }, {}],
  ["llama with as many KV heads as heads", { ...llama, kvHeads: 4 }, {}],
  ["llama with one KV head for eight", { ...llama, heads: 8, kvHeads: 1 }, {}],
  ["llama with long keys", { ...llama, keyLength: 24 }, { kDim: 24, vDim: 24 }],
  ["qwen2 with long keys and longer values", { ...qwen2, keyLength: 24, valueLength: 40 }, { kDim: 24, vDim: 40 }],
  ["qwen2 rotated in part", { ...qwen2, values: { "qwen2.rope.dimension_count": u32(8) } }, { ropeDim: 8 }],
  [
    "llama with linear scaling",
    { ...llama, values: { "llama.rope.scaling.type": text("linear"), "llama.rope.scaling.factor": f32(4) } },
    { ropeScale: 0.25 },
  ],
  ["llama with the old key of linear scaling", { ...llama, values: { "llama.rope.scale_linear": f32(2) } }, {
    ropeScale: 0.5,
  }],
  [
    "llama whose scaling is switched off",
    { ...llama, values: { "llama.rope.scaling.type": text("none"), "llama.rope.scaling.factor": f32(4) } },
    { ropeScale: 1 },
  ],
  ["llama with factors", { ...llama, vectors: { "rope_freqs.weight": [1, 1, 1, 2, 4, 8, 8, 8] } }, {}],
  [
    "llama with sizes for each layer",
    { ...llama, heads: [4, 8, 2], kvHeads: [2, 8, 1], feedForward: [96, 32, 160], keyLength: 16 },
    {},
  ],
  ["llama that states the scales that it has anyway", {
    ...llama,
    keyLength: 24,
    values: { "llama.attention.scale": f32(1 / Math.sqrt(24)), "llama.embedding_scale": f32(0) },
  }, { attentionScale: 1 / Math.sqrt(24), embeddingScale: 1 }],
  ["llama with a window, which is not applied", { ...llama, values: { "llama.attention.sliding_window": u32(4) } }, {
    windows: [0, 0, 0],
  }],
  ["llama with odd sizes", { ...llama, embedding: 60, heads: 3, kvHeads: 3, keyLength: 10, feedForward: 35 }, {}],
  ["mistral", { ...llama, architecture: "mistral" }, { ropeStyle: "norm" }],
  ["qwen2 with the embedding as output", qwen2, { ropeStyle: "neox" }],
  ["qwen3 with an output matrix", { architecture: "qwen3", headNorms: true, keyLength: 32, untied: true }, {}],
  ["gemma", { architecture: "gemma", keyLength: 32 }, { embeddingScale: 8, activation: "gelu", attentionSoftcap: 0 }],
  ["gemma2 by its defaults", { architecture: "gemma2", keyLength: 32, postNorms: true }, {
    attentionSoftcap: 50,
    logitSoftcap: 30,
    windows: [4096, 0, 4096],
  }],
  ["gemma2 with its own caps and window", {
    architecture: "gemma2",
    postNorms: true,
    values: {
      "gemma2.attn_logit_softcapping": f32(2),
      "gemma2.final_logit_softcapping": f32(3),
      "gemma2.attention.sliding_window": u32(7),
    },
  }, { attentionSoftcap: 2, logitSoftcap: 3, windows: [7, 0, 7] }],
  ["gemma3", gemma3, {
    windows: [9, 9, 9, 9, 9, 0, 9],
    ropeBase: 1_000_000,
    ropeLocalBase: 10_000,
    ropeScale: 1 / 8,
    embeddingScale: 8,
    attentionScale: 1 / Math.sqrt(32),
    attentionSoftcap: 0,
    logitSoftcap: 0,
  }],
  ["gemma3 with a pattern for each layer", {
    ...gemma3,
    layers: 3,
    values: {
      ...gemma3.values,
      "gemma3.attention.sliding_window_pattern": arrayOf("bool", [false, true, true]),
      "gemma3.rope.freq_base_swa": f32(5000),
      "gemma3.final_logit_softcapping": f32(4),
    },
  }, { windows: [0, 9, 9], ropeLocalBase: 5000, logitSoftcap: 4 }],
  ["gemma3 with another period", {
    ...gemma3,
    layers: 4,
    values: { ...gemma3.values, "gemma3.attention.sliding_window_pattern": u32(2) },
  }, { windows: [9, 0, 9, 0] }],
  ["phi3 with its factors for long contexts", phi3, {
    ropeMagnitude: Math.fround(1.19),
    ropeDim: 12,
    windows: [0, 0, 0],
  }],
  ["phi3 with its factors for short contexts", { ...phi3, context: 32 }, {}],
  ["phi3 with all matrices apart", { ...phi3, fused: false }, {}],
  ["phi3 without factors", { architecture: "phi3", fused: true, untied: true }, {
    ropeMagnitude: 1,
    ropeStyle: "neox",
  }],
];

const tokens = Array.from({ length: 34 }, (_, at) => 1 + (at * 37) % 270);

describe("variants of architectures", () => {
  for (const [name, shape, { windows: expectedWindows, ...expected }] of variants) {
    it(`${name}: the plan, and the logits of a forward pass in float64`, async () => {
      const { hyperparameters } = plan(shape);
      for (const [key, value] of Object.entries(expected)) {
        assertEquals(hyperparameters[key as keyof Hyperparameters], value, key);
      }
      if (expectedWindows !== undefined) assertEquals(windows(hyperparameters), expectedWindows);
      await withModelFile(shape, async (path) => {
        const ids = tokens.slice(0, Math.min(tokens.length, hyperparameters.context));
        const reference = referenceLogits(path, ids);
        await using lm = await LightGPT.load(path, { kv: "f32", threads: 1 });
        const logits = await lm.logits(ids, { all: true });
        const exact = reference.flatMap((row) => [...row]);
        const mean = exact.reduce((sum, logit) => sum + logit, 0) / exact.length;
        const deviation = Math.sqrt(exact.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / exact.length);
        const worst = exact.reduce((most, logit, at) => Math.max(most, Math.abs(logit - logits[at])), 0);
        assertLess(worst / deviation, 2e-5);
      });
    });
  }

  it("the bits do not depend on threads, chunks or pages", async () => {
    for (
      const shape of [
        gemma3,
        phi3,
        ...variants.map(([, shape]) => shape).filter(({ heads }) => Array.isArray(heads)),
      ]
    ) {
      await withModelFile(shape, async (path) => {
        const logits: Float32Array[] = [];
        for (
          const options of [{ threads: 1 }, { threads: 3, chunkTokens: 7, pageSize: 16 }, {
            threads: 2,
            chunkTokens: 1,
          }] as const
        ) {
          await using lm = await LightGPT.load(path, options);
          logits.push(await lm.logits(tokens, { all: true }));
        }
        for (const other of logits.slice(1)) assertEquals(other, logits[0]);
      });
    }
  });

  it("every architecture of the table is among them", () => {
    const tested = new Set(variants.map(([, { architecture }]) => architecture));
    assertEquals([...ARCHITECTURES.keys()].filter((name) => !tested.has(name) && name !== "mistral3"), []);
  });

  it("factors are chosen by the context that is used", () => {
    const factors = (context: number) =>
      plan(phi3, context).tensors.find(({ role }) => role === "rope_freqs")?.tensor.name;
    assertEquals(factors(32), "rope_factors_short.weight");
    assertEquals(factors(33), "rope_factors_long.weight");
  });

  it("fused tensors are taken apart in the order q, k, v and gate, up", () => {
    const { tensors } = plan(phi3);
    const parts = (name: string) =>
      tensors.filter(({ tensor }) => tensor.name === name).map(({ role, rows, offset, tensor }) => [
        role,
        rows,
        (offset - tensor.offset) / 256,
      ]);
    assertEquals(parts("blk.1.attn_qkv.weight"), [["attn_q", 64, 0], ["attn_k", 32, 64], ["attn_v", 32, 96]]);
    assertEquals(parts("blk.1.ffn_up.weight"), [["ffn_gate", 96, 0], ["ffn_up", 96, 96]]);
  });

  it("a deeper gemma is scaled by embedding / heads", () => {
    const deep = (architecture: string, layers: number) =>
      plan({
        architecture,
        layers,
        embedding: 32,
        heads: 4,
        keyLength: 16,
        feedForward: 16,
        headNorms: architecture === "gemma3",
        postNorms: true,
      })
        .hyperparameters.attentionScale;
    assertEquals([deep("gemma2", 46), deep("gemma3", 62)], [1 / Math.sqrt(8), 1 / Math.sqrt(8)]);
    assertEquals(deep("gemma2", 45), 1 / 4);
  });
});

describe("what is refused", () => {
  const refused: [what: string, shape: Shape, type: string, where: string][] = [
    [
      "another architecture",
      { architecture: "falcon" },
      "UnsupportedError",
      "general.architecture",
    ],
    ...([
      ["experts", "expert_count", u32(8), ["blk.0.ffn_gate_inp.weight"]],
      ["positions of several dimensions", "rope.dimension_sections", arrayOf("int32", [8, 8, 0, 0]), []],
      ["yarn", "rope.scaling.type", text("yarn"), []],
      ["a scale of the logits", "logit_scale", f32(0.5), []],
      ["a scale of the residual stream", "residual_scale", f32(2), []],
      ["a cap of scores", "attn_logit_softcapping", f32(50), []],
      ["a cap of logits", "final_logit_softcapping", f32(30), []],
      ["attention that sees what follows", "attention.causal", flag(false), []],
      ["alibi", "attention.max_alibi_bias", f32(8), []],
      ["clamped attention", "attention.clamp_kqv", f32(8), []],
      ["an unknown scaling of positions", "rope.scaling.type", text("nosuch"), []],
      ["a scale of embeddings", "embedding_scale", f32(3), []],
      ["a scale of scores", "attention.scale", f32(0.5), []],
      ["heads rotated in part", "rope.dimension_count", u32(8), []],
      ["a tensor that nothing uses", "blk.0.attn_sinks.weight", undefined, ["blk.0.attn_sinks.weight"]],
    ] as const).map(([what, key, value, extra]): [string, Shape, string, string] => [
      what,
      {
        ...llama,
        values: { [`llama.${key}`]: value },
        vectors: Object.fromEntries(extra.map((name) => [name, [0]])),
      },
      "UnsupportedError",
      value === undefined ? key : `llama.${key}`,
    ]),
    ...([
      ["values of another length than keys", { keyLength: 24, valueLength: 40 }, "llama.attention.value_length"],
      ["head norms in a llama", { headNorms: true }, "blk.0.attn_q_norm.weight"],
      ["a layer without attention", without("attention.head_count", [4, 0, 4], "attn_q"), "llama.attention.head_count"],
      [
        "a layer without keys",
        without("attention.head_count_kv", [2, 0, 2], "attn_k"),
        "llama.attention.head_count_kv",
      ],
      [
        "a layer without feed-forward",
        without("feed_forward_length", [96, 0, 96], "ffn_up"),
        "llama.feed_forward_length",
      ],
    ] as const).map(([what, shape, where]): [string, Shape, string, string] => [
      what,
      { ...llama, ...shape },
      "UnsupportedError",
      where,
    ]),
    ...([
      ["qwen2 without biases", { architecture: "qwen2" }, "blk.0.attn_q.bias"],
      ["qwen3 without norms of heads", { architecture: "qwen3" }, "blk.0.attn_q_norm.weight"],
      ["gemma2 without norms behind", { architecture: "gemma2" }, "blk.0.post_attention_norm.weight"],
      [
        "longrope without factors",
        { ...llama, values: { "llama.rope.scaling.type": text("longrope") } },
        "llama.rope.scaling.type",
      ],
      ["factors for one kind of context only", {
        ...phi3,
        vectors: { "rope_factors_short.weight": [1, 1, 1, 1, 1, 1] },
      }, "rope_factors_long.weight"],
      ["too few factors", { ...llama, vectors: { "rope_freqs.weight": [1, 1] } }, "rope_freqs.weight"],
      ["too few layers in an array", {
        ...llama,
        feedForward: [96, 96],
        layers: 2,
        values: { "llama.block_count": u32(3) },
      }, "llama.feed_forward_length"],
      [
        "an array with 0 for a layer that has the tensor",
        { ...llama, values: { "llama.attention.head_count": arrayOf("uint32", [4, 0, 4]) } },
        "llama.attention.head_count",
      ],
      ["a pattern that is too short", {
        ...gemma3,
        values: { ...gemma3.values, "gemma3.attention.sliding_window_pattern": arrayOf("bool", [true]) },
      }, "gemma3.attention.sliding_window_pattern"],
      [
        "a base that is not finite",
        { ...llama, values: { "llama.rope.freq_base": f32(Infinity) } },
        "llama.rope.freq_base",
      ],
      [
        "more dimensions rotated than there are",
        { ...llama, values: { "llama.rope.dimension_count": u32(18) } },
        "llama.rope.dimension_count",
      ],
      [
        "a key that is too long",
        { ...llama, values: { "llama.attention.key_length": u32(1025) } },
        "llama.attention.key_length",
      ],
      ["a context of more than 16 Mi", { ...llama, context: 2 ** 24 + 1 }, "llama.context_length"],
      ["layers without end", { ...llama, values: { "llama.block_count": u32(513) } }, "llama.block_count"],
    ] as [string, Shape, string][]).map(([what, shape, where]): [string, Shape, string, string] => [
      what,
      shape,
      "ModelFormatError",
      where,
    ]),
  ];
  for (const [what, shape, type, where] of refused) {
    it(what, () => {
      const error = assertThrows(() => plan(shape), LightGPTError, where);
      assertEquals([error.name, error.detail.where], [type, where]);
      assertEquals(error.message.startsWith("small"), true, `${error.message} names no file`);
    });
  }

  it("another architecture is named, and those that there are", () => {
    const { message } = assertThrows(() => plan({ architecture: "falcon" }));
    for (const name of ["falcon", ...ARCHITECTURES.keys()]) assertEquals(message.includes(name), true, name);
  });
});

it("an unknown pre-tokenizer keeps a model from loading, unless the default may stand for it", async () => {
  const shape = { ...llama, vocabulary: bpe({ "tokenizer.ggml.pre": text("nosuch") }) };
  await withModelFile(shape, async (path) => {
    await assertRejects(() => LightGPT.load(path), LightGPTError, "'nosuch', which is not supported");
    await using lm = await LightGPT.load(path, { allowUnknownPreTokenizer: true });
    assertEquals(lm.detokenize(lm.tokenize("a text")), "a text");
    // A mistake of a caller in JavaScript.
    const options = { allowUnknownPreTokenizer: 1 as unknown as boolean };
    await assertRejects(() => LightGPT.load(path, options), LightGPTError, "expected a boolean");
  });
});

it("no code asks for an architecture by its name, but the table", () => {
  for (
    const file of [
      "src/model/architectures/rope.ts",
      "src/model/architectures/tensors.ts",
      "src/model/model.ts",
      "src/engine/engine.ts",
      "src/model/encode_model.ts",
    ]
  ) {
    const source = readFileSync(join(repository, file), "utf8");
    for (const name of ARCHITECTURES.keys()) assertEquals(source.includes(`"${name}"`), false, `${name} in ${file}`);
  }
});
