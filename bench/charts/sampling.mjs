/**
 * Makes the plots of `docs/sampling.md` from the real sampler: what each method leaves of one distribution, that of the
 * embedded model after a beginning. The same plots come out everywhere, so a test compares them with the committed ones.
 *
 *     npm run bench plots        deno run -A bench/charts/sampling.mjs
 */
import * as echarts from "echarts";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LightGPT, Sampler } from "../../mod.ts";

/** The beginning of a text, with words and a turn that come again, for the penalties. */
const beginning = "Once upon a time, there was a cat. One day, the cat was happy. The next day, the";
/** So many of the likeliest tokens are shown. */
const shown = 24;

const none = { temperature: 1, topK: 0, topP: 1, seed: 1 };

/** Each plot: its file, and settings by what they are called. */
const plots = {
  temperature: {
    "temperature 0.5": { ...none, temperature: 0.5 },
    "temperature 1.5": { ...none, temperature: 1.5 },
    "dynamic, 1 ± 0.8": { ...none, dynamicTemperature: { range: 0.8 } },
  },
  cuts: {
    "top-k 8": { ...none, topK: 8 },
    "top-p 0.8": { ...none, topP: 0.8 },
    "min-p 0.1": { ...none, minP: 0.1 },
    "top-n-sigma 1": { ...none, topNSigma: 1 },
  },
  surprise: {
    "typical 0.6": { ...none, typicalP: 0.6 },
    "XTC 0.05": { ...none, xtc: { probability: 1, threshold: 0.05 } },
    "mirostat 2, tau 2": { ...none, mirostat: { tau: 2 } },
  },
  penalties: {
    "repetition 1.3": { ...none, penalties: { repetition: 1.3 } },
    "presence 1": { ...none, penalties: { presence: 1 } },
    "frequency 1": { ...none, penalties: { frequency: 1 } },
    "DRY 0.8": { ...none, dry: { multiplier: 0.8 } },
  },
};

/** What the sampler makes of logits that follow `history`: the probabilities of the tokens in `tokens`, in per cent. */
function shares(options, logits, history, tokens) {
  const sampler = new Sampler(options);
  for (const token of history) sampler.accept(token);
  const found = new Map(sampler.distribution(logits).map(({ token, probability }) => [token, probability]));
  return tokens.map((token) => Math.round((found.get(token) ?? 0) * 10_000) / 100);
}

/** One plot as SVG. */
function plot(names, series) {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 860, height: 320 });
  try {
    chart.setOption({
      animation: false,
      color: ["#9aa3ad", "#2b6cb0", "#c05621", "#2f855a", "#805ad5"],
      backgroundColor: "#ffffff",
      textStyle: { fontFamily: "sans-serif" },
      legend: { top: 6, itemGap: 28 },
      grid: { left: 48, right: 12, top: 40, bottom: 72 },
      xAxis: { type: "category", data: names, axisLabel: { rotate: 60, interval: 0 } },
      yAxis: { type: "value", name: "%" },
      series: Object.entries(series).map(([name, data]) => ({ name, type: "bar", data })),
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

/** All plots, by the name of their file. */
export async function makePlots() {
  await using lm = await LightGPT.load();
  const history = lm.tokenize(beginning);
  const logits = await lm.logits(history);
  const likeliest = new Sampler(none).distribution(logits).slice(0, shown).map(({ token }) => token);
  const names = likeliest.map((token) => lm.detokenize([token]).trim() || `token ${token}`);
  const plain = shares(none, logits, history, likeliest);
  return new Map(
    Object.entries(plots).map(([file, settings]) => {
      const series = Object.entries(settings).map(([name, options]) => [
        name,
        shares(options, logits, history, likeliest),
      ]);
      return [`${file}.svg`, plot(names, { "the model": plain, ...Object.fromEntries(series) })];
    }),
  );
}

if (import.meta.main) {
  const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "sampling");
  mkdirSync(folder, { recursive: true });
  for (const [name, svg] of await makePlots()) writeFileSync(join(folder, name), `${svg}\n`);
}
