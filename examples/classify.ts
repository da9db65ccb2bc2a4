/**
 * Classifies texts: which of a few words does the model say, held to them (`choice`), and how likely was each?
 *
 *     deno run -A examples/classify.ts                   (or: bun examples/classify.ts)
 */
import { LightGPT } from "../mod.ts";

await using lm = await LightGPT.load();
const labels = ["She", "He"];
// The first token of each label, as it stands after a space.
const tokens = labels.map((label) =>
  lm.tokenize(` ${label}`, { addSpecial: false }).find((id) => lm.detokenize([id]).trim() !== "")
);

for (
  const text of [
    "Once upon a time there was a little girl named Mia.",
    "Once upon a time there was a little boy named Tom.",
  ]
) {
  const choice = labels.map((label) => ` ${label}`);
  const answer = await lm.complete(text, { constraint: { choice }, sampling: { temperature: 0 } });
  const logits = await lm.logits(lm.tokenize(text));
  const scores = tokens.map((token) => logits[token as number]);
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const sum = weights.reduce((total, weight) => total + weight);
  const shares = labels.map((label, index) => `${label} ${(100 * weights[index] / sum).toFixed(0)} %`);
  console.log(`${text} ...${answer.text} (${shares.join(", ")})`);
}
