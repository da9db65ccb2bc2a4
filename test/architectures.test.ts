/**
 * The table of architectures, by what comes out: a forward pass in float64 over the plan of every model of the kit must
 * give the kit's exact logits. And what `planModel` refuses.
 *
 * @module
 */
import { it } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertLess } from "@std/assert";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import { describeKit, excerptDirectory, leftOutOfExcerpt, readJson } from "./kit.ts";
import { referenceLogits } from "./reference.ts";

interface Sequence {
  ids: number[];
  positions: number[];
  logits_exact: string;
  logits_std: number;
}

interface Model {
  name: string;
  file: string;
  arch: string;
  n_vocab: number;
  n_ctx: number;
  sequences: Sequence[];
}

const TOLERANCE = 2e-5;

it("the kit's excerpt has a model with every trait", () => {
  const { models } = readJson<{ models: Model[] }>(excerptDirectory, "archs", "manifest.json");
  const shown = new Set(models.flatMap(({ arch }) => Object.keys(ARCHITECTURES.get(arch) ?? {})));
  // Which tensors there are, no arithmetic; what the kit has no model of (variants.test.ts has); and latent attention, whose
  // two forms latent.test.ts compares.
  for (const trait of ["latent", "secondNorm", "optionalNorms", "layerNorms", "parallel", "logitScale"]) {
    shown.add(trait);
  }
  for (const arch of leftOutOfExcerpt) for (const trait of Object.keys(ARCHITECTURES.get(arch) ?? {})) shown.add(trait);
  const missing = [...ARCHITECTURES].flatMap(([name, traits]) =>
    Object.keys(traits).filter((trait) => !shown.has(trait)).map((trait) => `${name}: ${trait}`)
  );
  assertEquals(missing, [], "npm run excerpt adds what the kit has a model of");
});

describeKit("planModel against the kit's exact logits", "archs", (directory) => {
  const { models } = readJson<{ models: Model[] }>(directory, "manifest.json");
  for (const model of models) {
    it(model.name, () => {
      for (const { ids, positions, logits_exact, logits_std } of model.sequences.slice(0, 2)) {
        const bytes = readFileSync(join(directory, logits_exact));
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const logits = referenceLogits(join(directory, model.file), ids, { context: model.n_ctx });
        positions.forEach((position, row) => {
          logits[position].forEach((logit, token) => {
            const exact = view.getFloat64(8 * (row * model.n_vocab + token), true);
            assertLess(Math.abs(logit - exact) / logits_std, TOLERANCE, `token ${token} after position ${position}`);
          });
        });
      }
    });
  }
});
