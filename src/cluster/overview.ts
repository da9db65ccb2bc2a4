/**
 * What a cluster is doing, as a table: its workers, their rows and tokens a second, what their caches had, and the jobs that lie in the
 * queue of each model.
 *
 * @module
 */
import { wallClock } from "../batching/clock.ts";
import { NatsTransport } from "./nats.ts";
import type { ClusterOptions } from "./options.ts";
import { Registry, type WorkerEntry } from "./registry.ts";
import type { Transport } from "./types.ts";

/** A model, its workers, and the jobs in its queue, those at work included. */
export interface ModelView {
  readonly model: string;
  readonly fingerprint: string;
  readonly jobs: number;
  readonly workers: readonly WorkerEntry[];
}

/** Looks at a cluster. */
export class Overview {
  readonly #transport: Transport;
  readonly #registry: Registry;

  private constructor(transport: Transport, registry: Registry) {
    this.#transport = transport;
    this.#registry = registry;
  }

  /** Begins to look. */
  static async open({ nats, ackWaitMs = 2000 }: ClusterOptions): Promise<Overview> {
    const transport = await NatsTransport.open({ url: nats, ackWaitMs, name: "lightgpt top" });
    return new Overview(transport, await Registry.open(transport, wallClock));
  }

  /** What there is now. */
  async models(): Promise<ModelView[]> {
    const workers = this.#registry.workers().sort((a, b) => a.worker < b.worker ? -1 : 1);
    const views = [...new Set(workers.map(({ fingerprint }) => fingerprint))].map(async (fingerprint) => {
      const own = workers.filter((worker) => worker.fingerprint === fingerprint);
      const counts = await (await this.#transport.queue(fingerprint)).counts();
      const jobs = counts.reduce((sum, { count }) => sum + count, 0);
      return { model: own[0].model, fingerprint, jobs, workers: own };
    });
    return (await Promise.all(views)).sort((a, b) => a.model < b.model ? -1 : 1);
  }

  /** Looks no more. */
  async close(): Promise<void> {
    this.#registry.close();
    await this.#transport.close();
  }
}

/** A cluster as lines of text. */
export function overviewText(models: readonly ModelView[]): string {
  if (models.length === 0) return "no worker is there\n";
  const columns = ["  worker", "rows", "tokens/s", "tokens", "cache", "runtime"];
  const widths = [14, 9, 10, 12, 7, 9];
  const row = (cells: readonly string[]) =>
    cells.map((cell, index) => index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index])).join("");
  const lines = models.flatMap(({ model, fingerprint, jobs, workers }) => {
    const running = workers.reduce((sum, worker) => sum + worker.running, 0);
    return [
      `${model} (${fingerprint}): ${running} jobs at work, ${Math.max(0, jobs - running)} wait`,
      row(columns),
      ...workers.map((worker) => {
        const share = worker.cacheAsked > 0 ? `${Math.round(100 * worker.cacheFound / worker.cacheAsked)} %` : "-";
        const name = `  ${worker.worker.slice(0, 8)}${worker.isDraining ? " ends" : ""}`;
        const rows = `${worker.running}/${worker.rows}`;
        return row([name, rows, worker.tokensPerSecond.toFixed(1), `${worker.tokens}`, share, worker.runtime]);
      }),
      "",
    ];
  });
  return lines.join("\n");
}
