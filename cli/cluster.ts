/**
 * `lightgpt worker` and `lightgpt gateway`, the two kinds of processes of a cluster, which meet at a server of NATS, and `lightgpt top`,
 * which shows them.
 *
 * @module
 */
import process from "node:process";
import { LIMITS } from "../ffi/wire.ts";
import { openGateway, startWorker } from "../src/cluster/open.ts";
import { clusterFields, type ClusterOptions } from "../src/cluster/options.ts";
import { Overview, overviewText } from "../src/cluster/overview.ts";
import { given } from "../src/options/schema.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { errorText, note, print, toJson } from "./output.ts";
import { endAsked, modelName, openServed, servingOptions, templateOf, untilEnd } from "./serve.ts";

/** Where NATS is; the command line has been checked, so that its address is there. */
export function clusterOptions(args: Arguments): ClusterOptions {
  return { ...optionsFrom<ClusterOptions>(args, clusterFields), nats: args.text("nats") as string };
}

/** Runs jobs until SIGTERM or Ctrl-C. */
export async function worker(args: Arguments, signal: AbortSignal): Promise<void> {
  const where = clusterOptions(args);
  const rows = args.number("rows");
  // A job that has a row has a place in each step, too: one that waited for a place would be silent meanwhile.
  const places = rows === undefined ? {} : { batchSequences: Math.min(rows, LIMITS.sequencesMax) };
  const lm = await openServed(args, signal, places);
  await using _ = lm;
  const name = modelName(args);
  const running = await startWorker(lm, {
    ...where,
    ...templateOf(args),
    ...given({ rows }),
    name,
    troubled: (error) => note(errorText(error)),
  });
  note(`working for ${name} (${running.fingerprint}); Ctrl-C ends`);
  await endAsked(signal);
  if (running.running > 0) note(`${running.running} jobs end, or go to another worker`);
  await running.close(1000 * (args.number("grace") ?? 0));
}

/** Serves the models of the workers until SIGTERM or Ctrl-C. */
export async function gateway(args: Arguments, signal: AbortSignal): Promise<void> {
  const { where, options } = servingOptions(args);
  const server = await openGateway({ ...options, ...clusterOptions(args) });
  await untilEnd(server, { name: "the models of all workers", where, args, signal });
}

/** How often the picture is drawn anew. */
const drawMs = 1000;

/** Shows what a cluster is doing: on a terminal again and again, until Ctrl-C, elsewhere once. */
export async function top(args: Arguments, signal: AbortSignal): Promise<void> {
  const overview = await Overview.open(clusterOptions(args));
  try {
    if (args.flag("json")) return await print(toJson(await overview.models()));
    for (;;) {
      const text = overviewText(await overview.models());
      if (!process.stdout.isTTY) return await print(text);
      await print(`\x1b[H\x1b[2J${text}`);
      if (await isEndedWithin(drawMs, signal)) return;
    }
  } finally {
    await overview.close();
  }
}

/** Whether the signal is aborted within a while. */
function isEndedWithin(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve(signal.aborted);
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
