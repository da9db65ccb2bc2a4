/**
 * As which type a model would fit into memory: what an error about a file that is too large can offer.
 *
 * @module
 */
import { FORMATS } from "../files/formats.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

/** The largest type, of those that files are made in, that all matrices could have to fit in `bytes`; undefined where even the smallest takes more. */
export function typeThatFits(
  plan: ModelPlan,
  weights: number,
  bytes: number,
): { name: string; bytes: number } | undefined {
  const formats = [...FORMATS.values()].filter(({ supported, name }) =>
    supported && /^(Q[2-8]_K|Q[4-8]_|F16)/.test(name)
  );
  return formats.map(({ name, blockElements, blockBytes }) => ({
    name,
    bytes: plan.tensors.reduce((sum, { columns, rows, bytes }) => {
      const canBe = rows > 1 && columns % blockElements === 0;
      return sum + (canBe ? columns / blockElements * blockBytes * rows : bytes);
    }, 0),
  }))
    .filter((format) => format.bytes <= bytes && format.bytes < weights)
    .sort((a, b) => b.bytes - a.bytes)[0];
}
