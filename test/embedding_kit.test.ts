/**
 * Embedding and reranking models of the kit: hidden rows, pooled rows and scores against a float64 forward pass, each sequence
 * alone and all in one step, which gives the same bits.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { TextEngine, type TextResult, type TokenText } from "../src/engine/text_engine.ts";
import { Model } from "../src/model/model.ts";
import { describeWholeKit, readJson } from "./kit.ts";

interface KitText {
  readonly ids: number[];
  readonly pooled_at: number;
}

interface KitModel {
  readonly name: string;
  readonly file: string;
  readonly exact: string;
  readonly weights: string;
  readonly n_embd: number;
  readonly pooling: number;
  readonly tolerance: { readonly hidden: number; readonly pooled: number };
  readonly rounded_activations_must_be_below?: { readonly hidden: number; readonly pooled: number };
  readonly measured: { readonly llamacpp_vs_exact: { readonly hidden: number; readonly pooled: number } };
  readonly sequences:
    readonly (KitText & { name: string; positions: number[]; hidden_at: number; n_out: number; hidden_std: number })[];
  readonly texts: readonly (KitText & { readonly text: string })[];
  readonly pairs?: readonly {
    query: string;
    document: string;
    ids: number[];
    token_types?: number[];
    scores_exact: number[];
  }[];
}

const PLAIN = { ranks: false, levels: false, dimensions: 0, normalises: false } as const;

function resultOf({ pooling }: KitModel, model: Model): TextResult {
  if (pooling === 4) return { ...PLAIN, pooling: model.plan.texts.rankPooling, ranks: true };
  return { ...PLAIN, pooling: (["rows", "mean", "first", "last"] as const)[pooling] ?? "rows" };
}

/** The greatest difference from numbers that stand at `at`, in units of their standard deviation, or absolute. */
function worst(got: Float32Array, exact: Float64Array, unit?: number): number {
  const mean = exact.reduce((sum, value) => sum + value, 0) / exact.length;
  const std = unit ?? Math.sqrt(exact.reduce((sum, value) => sum + (value - mean) ** 2, 0) / exact.length);
  return exact.reduce((most, value, index) => Math.max(most, Math.abs(value - (got[index] ?? NaN)) / std), 0);
}

describeWholeKit("embedding models of the kit", "embed", (directory) => {
  const { models } = readJson<{ models: KitModel[] }>(directory, "manifest.json");
  for (const kit of models) {
    for (const bits of kit.weights === "f32" ? [8] as const : [8, 16] as const) {
      it(`${kit.name}, ${kit.weights}, activations of ${bits} bits`, async () => {
        await using model = await Model.load(join(directory, kit.file));
        const bytes = readFileSync(join(directory, kit.exact));
        const exact = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
        const engine = new TextEngine(model, { batchTokens: 512, sequences: 16, threads: 2, activationBits: bits }, 0);
        try {
          const most = { hidden: 0, pooled: 0, scores: 0 };
          const run = async (texts: TokenText[], result: TextResult, width: number) => {
            const rows = texts.map(({ tokens }) => result.pooling === "rows" ? tokens.length : 1);
            const out = new Float32Array(rows.reduce((sum, count) => sum + count) * width);
            for (const error of await engine.run(texts, result, out)) assertEquals(error, undefined);
            let at = 0;
            return rows.map((count) => out.subarray(at, at += count * width));
          };
          const result = resultOf(kit, model);
          const n = kit.n_embd;
          const all = [...kit.sequences, ...kit.texts].map(({ ids }) => ({ tokens: ids, secondType: 0 }));
          const width = kit.sequences[0]?.n_out ?? n;
          const pooled = await run(all, result, width);
          const rows = await run(all, { ...PLAIN, pooling: "rows" }, n);
          for (const [index, sequence] of kit.sequences.entries()) {
            const [alone] = await run([{ tokens: sequence.ids, secondType: 0 }], result, width);
            assertEquals([...alone ?? []], [...pooled[index] ?? []], `${sequence.name} alone`);
            sequence.positions.forEach((position, row) => {
              const from = sequence.hidden_at + row * n;
              const own = (rows[index] as Float32Array).subarray(position * n, (position + 1) * n);
              most.hidden = Math.max(most.hidden, worst(own, exact.subarray(from, from + n), sequence.hidden_std));
            });
          }
          for (const [index, { pooled_at }] of [...kit.sequences, ...kit.texts].entries()) {
            const own = pooled[index] as Float32Array;
            const unit = kit.pooling === 4 ? 1 : undefined;
            most.pooled = Math.max(most.pooled, worst(own, exact.subarray(pooled_at, pooled_at + own.length), unit));
          }
          for (const { ids, token_types, scores_exact } of kit.pairs ?? []) {
            const secondType = token_types?.filter((type) => type === 1).length ?? 0;
            const [scores] = await run([{ tokens: ids, secondType }], result, width);
            most.scores = Math.max(most.scores, worst(scores as Float32Array, new Float64Array(scores_exact), 1));
          }
          console.log(kit.name, bits, most);
          const goal = kit.weights === "q8_0" ? kit.measured.llamacpp_vs_exact : kit.tolerance;
          const share = kit.weights === "q8_0" && bits === 16 ? 1 / 50 : 1;
          assert(most.hidden <= goal.hidden * share, `hidden rows: ${most.hidden}`);
          assert(most.pooled <= goal.pooled * share, `pooled: ${most.pooled}`);
          assert(most.scores <= 2e-5, `scores: ${most.scores}`);
        } finally {
          await engine.dispose();
        }
      });
    }
  }
});
