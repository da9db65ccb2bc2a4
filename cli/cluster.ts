/**
 * `lightgpt worker` and `lightgpt gateway`: the two kinds of processes of a cluster, which meet at a server of NATS.
 *
 * @module
 */
import { openGateway, startWorker } from "../src/cluster/open.ts";
import { clusterFields, type ClusterOptions } from "../src/cluster/options.ts";
import { given } from "../src/options/schema.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { openModel } from "./model.ts";
import { errorText, note } from "./output.ts";
import { endAsked, modelName, servingOptions, templateOf, untilEnd } from "./serve.ts";

/** Where NATS is; the command line has been checked, so that its address is there. */
export function clusterOptions(args: Arguments): ClusterOptions {
  return { ...optionsFrom<ClusterOptions>(args, clusterFields), nats: args.text("nats") as string };
}

/** Runs jobs until SIGTERM or Ctrl-C. */
export async function worker(args: Arguments, signal: AbortSignal): Promise<void> {
  const where = clusterOptions(args);
  const lm = await openModel(args, signal);
  await using _ = lm;
  const name = modelName(args);
  const running = await startWorker(lm, {
    ...where,
    ...templateOf(args),
    ...given({ rows: args.number("rows") }),
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
