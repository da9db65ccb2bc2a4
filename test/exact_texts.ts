/**
 * The exactness matrix for models that read whole texts: rows, vectors and scores under every way to compute the same, as
 * `exact.ts` has it for those that generate.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Embedder } from "../exports/embedding.ts";

const lengths = [1, 7, 16, 40, 65];
const documents = ["the cat", "paris is the capital of france", "the dog and the cat, and: the rest", "zzz"];

interface TextWay {
  readonly threads: number;
  /** Whether texts share their steps. */
  readonly together: boolean;
}
const ways: readonly TextWay[] = [{ threads: 2, together: true }, { threads: 1, together: false }];

/** The SHA-256 of all that a model makes of texts; throws where two ways to compute it differ. `most` limits the ways. */
export async function exactTexts(path: string, most: number): Promise<string> {
  const all = createHash("sha256");
  for (const activations of ["int8", "int16"] as const) {
    const hashes: string[] = [];
    for (const way of ways.slice(0, most)) hashes.push(await hashOf(path, activations, way));
    if (new Set(hashes).size !== 1) throw new Error(`${path}, ${activations}: two ways give different bits`);
    all.update(`${activations} ${hashes[0]}\n`);
  }
  return all.digest("hex");
}

async function hashOf(path: string, activations: "int8" | "int16", { threads, together }: TextWay): Promise<string> {
  await using embedder = await Embedder.load(path, { threads, activations });
  const { model: { vocabulary, plan } } = embedder;
  const texts = lengths.map((count, salt) =>
    Uint32Array.from({ length: count }, (_, i) => 5 + (i * 7919 + salt * 104_729 + i * i * 31) % (vocabulary - 5))
  );
  const hash = createHash("sha256");
  for (const pooling of ["none", "mean", "cls", "last"] as const) {
    const steps = together ? [texts] : texts.map((text) => [text]);
    const parts: Float32Array[] = [];
    for (const step of steps) parts.push((await embedder.embed(step, { pooling })).data);
    for (const part of parts) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  if (plan.hyperparameters.rankScores > 0) {
    const asked = together ? [documents] : documents.map((document) => [document]);
    const scores = new Map<string, number>();
    for (const step of asked) {
      for (const { document, score } of await embedder.rerank("what is the capital of france", step)) {
        scores.set(document, score);
      }
    }
    hash.update(new Uint8Array(Float32Array.from(documents, (document) => scores.get(document) ?? NaN).buffer));
  }
  return hash.digest("hex");
}
