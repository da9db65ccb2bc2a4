/**
 * The table of architectures, by what comes out: a forward pass in float64 over the plan of every model of the kit must
 * give the kit's exact logits. And what `planModel` refuses.
 *
 * @module
 */
import { it } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assertLess } from "@std/assert";
import { describeKit, readJson } from "./kit.ts";
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
  n_vocab: number;
  sequences: Sequence[];
}

const TOLERANCE = 2e-5;

describeKit("planModel against the kit's exact logits", (kit) => {
  const { models } = readJson<{ models: Model[] }>(kit, "archs", "manifest.json");
  for (const model of models) {
    it(model.name, () => {
      for (const { ids, positions, logits_exact, logits_std } of model.sequences.slice(0, 2)) {
        const bytes = readFileSync(join(kit, "archs", logits_exact));
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const logits = referenceLogits(join(kit, "archs", model.file), ids);
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
