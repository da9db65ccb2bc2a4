/**
 * Drawings of what was measured, by echarts where it is installed: it is large, few need it, and plotting is not what LightGPT is
 * for, so it is no dependency.
 *
 * @module
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { UnsupportedError } from "../ffi/errors.ts";
import type { BaselineReport } from "./baseline.ts";

/** What is used of echarts. */
export interface Charts {
  /** A chart without a page. */
  init(
    element: null,
    theme: null,
    options: { renderer: "svg"; ssr: true; width: number; height: number },
  ): { setOption(option: unknown): void; renderToSVGString(): string; dispose(): void };
}

/** echarts, of the program's own folder or beside LightGPT. */
export function loadCharts(): Charts {
  for (const from of [join(process.cwd(), "package.json"), import.meta.url]) {
    try {
      return createRequire(from)("echarts") as Charts;
    } catch (error) {
      if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new UnsupportedError(
    "--svg: drawing needs the package echarts, which is not installed here; expected `npm install echarts`.",
    {
      what: "a package is missing",
      where: "--svg",
      expected: "echarts",
    },
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
        label: {
          show: true,
          position: "right",
          formatter: ({ dataIndex }: { dataIndex: number }) => {
            const { ratio, optimized, unit } = rows[dataIndex];
            return `${ratio.median.toFixed(2)} x  (${optimized.median.toPrecision(3)} ${unit})`;
          },
        },
        markLine: { silent: true, symbol: "none", label: { show: false }, data: [{ xAxis: 1 }] },
      },
      {
        type: "custom",
        data: rows.map(({ ratio }, index) => [ratio.least, index, ratio.most]),
        encode: { x: [0, 2], y: 1 },
        silent: true,
        renderItem: (_: unknown, api: { value(index: number): number; coord(point: number[]): number[] }) => {
          const [left, y] = api.coord([api.value(0), api.value(1)]);
          const [right] = api.coord([api.value(2), api.value(1)]);
          return {
            type: "line",
            shape: { x1: left, y1: y, x2: right, y2: y },
            style: { stroke: text.color, lineWidth: 2 },
          };
        },
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
