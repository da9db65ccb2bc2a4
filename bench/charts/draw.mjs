/**
 * Draws the newest record of each machine (`../record/<machine>/`), or the one that is named, as SVG beside it: LightGPT
 * against llama.cpp, and where both lie below the roof that memory and arithmetic set. Runs on Bun.
 *
 *     npm run bench draw [-- RECORD.json]
 *
 * @module
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as echarts from "echarts";
import { SHAPE } from "../tinyllama.ts";

const records = fileURLToPath(new URL("../record/", import.meta.url));
const formats = { q4_0: "Q4_0", q8_0: "Q8_0", q4_k_m: "Q4_K_M", q6_k: "Q6_K", f16: "F16" };
const works = { prefill: "prompt of 512", decode: "one sequence", batch: "16 sequences" };
const ours = "#2563eb";
const theirs = "#9ca3af";
const text = { color: "#374151", fontFamily: "sans-serif" };

/** Bytes of a Q4_0 weight, and multiply-adds of a token of TinyLlama's shape. */
const weightBytes = 18 / 32;
const { layers, embedding, heads, kvHeads, feedForward, vocabulary } = SHAPE;
const layerMacs = layers * embedding * (2 * embedding + 2 * embedding / heads * kvHeads + 3 * feedForward);
const outputMacs = embedding * vocabulary;

/** The newest record of each machine. */
function newest() {
  return readdirSync(records, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => {
    const files = readdirSync(join(records, name)).filter((file) => /^\d{4}-\d\d-\d\d\.json$/.test(file)).sort();
    return join(records, name, files.at(-1));
  });
}

function svg(option, width, height) {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({ animation: false, textStyle: text, backgroundColor: "#ffffff", ...option });
  const drawn = chart.renderToSVGString();
  chart.dispose();
  return drawn + "\n";
}

function subtitle({ machine, date, commit, versions }) {
  const peer = versions.find((version) => version.startsWith("llama.cpp")) ?? "";
  return `${machine.processor}, ${machine.cores} cores, ${date.slice(0, 10)}, commit ${commit}\nbeside ${peer}`;
}

/** How many times as fast as llama.cpp, by format and work. */
function bars(record) {
  const ratio = (format, work) => record.rows.find(({ id }) => id === `${format}.${work}`)?.median;
  const shades = { prefill: "#1e3a8a", decode: ours, batch: "#93c5fd" };
  return svg(
    {
      title: {
        text: "LightGPT's speed, llama.cpp's = 1 (TinyLlama shape, medians)",
        subtext: subtitle(record),
        left: 8,
        textStyle: { ...text, fontSize: 15 },
      },
      legend: { top: 66, left: 8, itemGap: 28, data: Object.values(works) },
      grid: { left: 44, right: 16, top: 100, bottom: 28 },
      xAxis: { type: "category", data: Object.values(formats), axisTick: { show: false } },
      yAxis: { type: "value", minInterval: 1 },
      series: Object.entries(works).map(([work, name], index) => ({
        name,
        type: "bar",
        itemStyle: { color: shades[work] },
        label: {
          show: true,
          position: "top",
          fontSize: 10,
          formatter: ({ value }) => value === null ? "" : `${value}`,
        },
        data: Object.keys(formats).map((format) => {
          const value = ratio(format, work);
          return value === undefined ? null : Number(value.toFixed(2));
        }),
        ...(index === 0
          ? {
            markLine: {
              symbol: "none",
              label: { show: false },
              lineStyle: { color: "#374151", type: "solid" },
              data: [{ yAxis: 1 }],
            },
          }
          : {}),
      })),
    },
    720,
    380,
  );
}

/** Multiply-adds a second over multiply-adds for each byte of weights read, below what memory and arithmetic allow. */
function roofline(record) {
  const { bandwidthGBs, kernels, machine } = record;
  const macs = { prefill: layerMacs, decode: layerMacs + outputMacs, batch: layerMacs + outputMacs };
  const tokens = { prefill: 512, decode: 1, batch: 16 };
  const points = (engine) =>
    Object.entries(works).flatMap(([work, name]) => {
      const rate = record.figures.q4_0?.[engine]?.[work]?.median;
      return rate === undefined ? [] : [{ name, value: [tokens[work] / weightBytes, rate * macs[work] / 1e9] }];
    });
  const roof = (limit) => [1, limit / bandwidthGBs.all, 10000].map((x) => [x, Math.min(limit, bandwidthGBs.all * x)]);
  const bare = kernels.bareGMACs * machine.cores;
  const tile = kernels.tileGMACs * machine.cores;
  const dots = (name, color, below) => ({
    name,
    type: "scatter",
    symbolSize: 11,
    itemStyle: { color },
    label: {
      show: true,
      position: below ? "bottom" : "right",
      fontSize: 11,
      color,
      formatter: ({ data }) => data.name,
    },
    data: points(name),
  });
  const line = (name, limit, style) => ({
    name,
    type: "line",
    symbol: "none",
    lineStyle: { color: "#374151", width: 1.5, type: style },
    itemStyle: { color: "#374151" },
    data: roof(limit),
  });
  return svg(
    {
      title: {
        text: "Where the time goes: Q4_0, TinyLlama shape, all cores",
        subtext: subtitle(record),
        left: 8,
        textStyle: { ...text, fontSize: 15 },
      },
      legend: { top: 66, left: 8, itemGap: 44 },
      grid: { left: 60, right: 24, top: 100, bottom: 48 },
      xAxis: {
        type: "log",
        min: 1,
        max: 10000,
        name: "multiply-adds for each byte of weights",
        nameLocation: "middle",
        nameGap: 28,
      },
      yAxis: { type: "log", min: 10, name: "10⁹ multiply-adds a second", nameLocation: "middle", nameGap: 40 },
      series: [
        line(`memory (${bandwidthGBs.all} GB/s) and the bare product`, bare, "solid"),
        line("the tile kernel", tile, "dashed"),
        dots("lightgpt", ours, false),
        dots("llama.cpp", theirs, true),
      ],
    },
    720,
    420,
  );
}

const named = process.argv[2];
for (const path of named === undefined ? newest() : [named]) {
  const record = JSON.parse(readFileSync(path, "utf8"));
  if (record.figures.q4_0 === undefined) continue; // another experiment's
  const drawings = { bars: bars(record), ...(record.kernels === null ? {} : { roofline: roofline(record) }) };
  for (const [name, drawing] of Object.entries(drawings)) {
    const to = join(dirname(path), `${name}.svg`);
    writeFileSync(to, drawing);
    console.log(to);
  }
}
