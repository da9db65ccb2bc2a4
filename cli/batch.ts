/**
 * `lightgpt batch`: works a file of requests, by a model here or by the workers of a cluster. Lines without an answer are told on
 * standard error, and have their error in the results.
 *
 * @module
 */
import { openGateway } from "../src/cluster/open.ts";
import { runBatchFiles } from "../src/server/batches/file_lines.ts";
import type { BatchReport } from "../src/server/batches/run_batch.ts";
import { createServer, type Server } from "../src/server/server.ts";
import type { Arguments } from "./arguments.ts";
import { clusterOptions } from "./cluster.ts";
import { openModel } from "./model.ts";
import { note } from "./output.ts";
import { ProgressBar } from "./progress.ts";
import { modelName, templateOf } from "./serve.ts";
import { UsageError } from "./types.ts";

/** Requests at work at once. */
const atOnceUsual = 64;

/** Runs the subcommand. */
export async function batch(args: Arguments, signal: AbortSignal): Promise<void> {
  const [input, output] = [args.argument, args.second];
  if (input === undefined || output === undefined) throw new UsageError("batch needs IN.jsonl OUT.jsonl");
  // The same limits as one key has of a server: none of these requests is refused for the others.
  const limits = { openPerKey: Math.max(1024, args.number("at-once") ?? 0) };
  if (args.text("nats") !== undefined) {
    for (const flag of ["model", "name", "chat-template"]) {
      if (args.flag(flag)) throw new UsageError(`--${flag} is not for --nats, whose workers have their models`);
    }
    await using server = await openGateway({ ...clusterOptions(args), limits });
    return tell(await work(server, { input, output, args, signal }), output);
  }
  const lm = await openModel(args, signal);
  await using _ = lm;
  await using server = createServer({ models: { [modelName(args)]: lm }, limits, ...templateOf(args) });
  tell(await work(server, { input, output, args, signal }), output);
}

interface Files {
  readonly input: string;
  readonly output: string;
  readonly args: Arguments;
  readonly signal: AbortSignal;
}

async function work(server: Server, { args, ...files }: Files): Promise<BatchReport> {
  const bar = new ProgressBar("batch");
  try {
    return await runBatchFiles({
      ...files,
      fetch: server.fetch,
      atOnce: args.number("at-once") ?? atOnceUsual,
      onProgress: (done, total) => bar.update(done, total),
      onFailed: (message) => note(message),
    });
  } finally {
    bar.end();
  }
}

function tell({ lines, earlier, failed }: BatchReport, output: string): void {
  const before = earlier > 0 ? `, ${earlier} of them by an earlier run` : "";
  const without = failed > 0 ? `; ${failed} have no answer` : "";
  note(`${output} has the results of ${lines} lines${before}${without}`);
}
