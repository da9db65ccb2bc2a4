/**
 * Drawings of what was measured, by echarts where it is installed: it is large, few need it, and plotting is not what LightGPT is
 * for, so it is no dependency.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { BaselineReport } from "./report.ts";

/** What is used of echarts. */
export interface Charts {
  /** A chart without a page. */
  init(
    element: null,
    theme: null,
    options: { renderer: "svg"; ssr: true; width: number; height: number },
  ): { setOption(option: unknown): void; renderToSVGString(): string; dispose(): void };
}

/** echarts, of the folder that the command runs in or of one around it, or beside LightGPT. */
export function loadCharts(): Charts {
  // By its place, not by its name: Bun would fetch what is not there from the registry.
  for (const from of [process.cwd(), dirname(fileURLToPath(import.meta.url))]) {
    for (let folder = from;; folder = dirname(folder)) {
      const place = join(folder, "node_modules", "echarts");
      if (existsSync(join(place, "package.json"))) return createRequire(import.meta.url)(place) as Charts;
      if (folder === dirname(folder)) break;
    }
  }
  throw new UnsupportedError(
    "--svg: drawing needs the package echarts, which is not installed here; expected `npm install echarts`.",
    { what: "a package is missing", where: "--svg", expected: "echarts" },
  );
}

const rowHeight = 44;
const colours = ["#9ca3af", "#2563eb"] as const;
const text = { color: "#374151", fontFamily: "sans-serif" };

/** How many times better each figure is than the baseline's, with the least and the most of the rounds, as SVG. */
export function drawComparison(
  charts: Charts,
  { model, baseline, machine, threads, rounds, rows }: BaselineReport,
): string {
  const names = rows.map(({ what, unit }) => `${what}, ${unit}`);
  const chart = charts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: 860,
    height: 130 + rowHeight * rows.length,
  });
  const width = (name: string) => name.split(/[\\/]/).at(-1) ?? name;
  const against = baseline === "scalar" ? "itself on plain instructions" : width(baseline);
  chart.setOption({
    animation: false,
    textStyle: text,
    backgroundColor: "#ffffff",
    title: {
      text: `${width(model)} against ${against}: times better`,
      subtext:
        `${machine.processor}, ${threads} threads, level ${machine.level}; medians of ${rounds} rounds, bars from the least to the most`,
      left: 8,
      textStyle: { ...text, fontSize: 15 },
    },
    grid: { left: 230, right: 150, top: 70, bottom: 40 },
    xAxis: { type: "value", name: "baseline = 1", nameLocation: "middle", nameGap: 25 },
    yAxis: { type: "category", data: names, inverse: true },
    series: [
      {
        type: "bar",
        barWidth: 18,
        data: rows.map(({ ratio }) => ({
          value: ratio.median,
          itemStyle: { color: ratio.median >= 1 ? colours[1] : colours[0] },
        })),
        markLine: { silent: true, symbol: "none", label: { show: false }, data: [{ xAxis: 1 }] },
      },
      {
        type: "custom",
        data: rows.map(({ ratio }, index) => [ratio.least, index, ratio.most]),
        encode: { x: [0, 2], y: 1 },
        silent: true,
        renderItem: (
          { dataIndex }: { dataIndex: number },
          api: { value(index: number): number; coord(point: number[]): number[] },
        ) => {
          const [left, y] = api.coord([api.value(0), api.value(1)]);
          const [right] = api.coord([api.value(2), api.value(1)]);
          const { ratio, optimized, unit } = rows[dataIndex];
          const label = `${ratio.median.toFixed(2)} x  (${optimized.median.toPrecision(3)} ${unit})`;
          return {
            type: "group",
            children: [
              {
                type: "line",
                shape: { x1: left, y1: y, x2: right, y2: y },
                style: { stroke: text.color, lineWidth: 2 },
              },
              { type: "text", style: { text: label, x: right + 8, y, fill: text.color, textVerticalAlign: "middle" } },
            ],
          };
        },
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
