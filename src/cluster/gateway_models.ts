/**
 * The models of a gateway: those of which workers are there, by the names that their workers gave them. A model becomes ready when its
 * facts have been fetched; its weights are never here.
 *
 * @module
 */
import { Failure, refuseModel } from "../server/failure.ts";
import { servedOf } from "../server/models.ts";
import { nowSeconds } from "../server/openai.ts";
import { remoteReading } from "../server/text_backend.ts";
import type { Lease, Listed, ModelPool, Served, Tenant } from "../server/types.ts";
import type { Hub } from "./hub.ts";
import { readFacts } from "./model_facts.ts";
import type { Registry, WorkerEntry } from "./registry.ts";
import type { Transport } from "./types.ts";

/** Bytes of a message that a token of a text takes (4, in base64), and for how many tokens all else in a message counts. */
const bytesOfToken = 16 / 3;
const tokensOfRest = 2048;

/** What a gateway's models are made with. */
export interface GatewayParts {
  readonly transport: Transport;
  readonly registry: Registry;
  readonly hub: Hub;
}

/** The models of a gateway. */
export class GatewayModels implements ModelPool {
  readonly #parts: GatewayParts;
  readonly #served = new Map<string, Promise<Served>>();
  readonly #fingerprints = new WeakMap<Served, string>();
  readonly #ready = new Map<string, Served>();
  readonly #created = new Map<string, number>();

  /** Knows no model yet. */
  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  get list(): Listed[] {
    return [...this.#byName()].map(([name, { fingerprint }]) => {
      const created = this.#created.get(name) ?? nowSeconds();
      this.#created.set(name, created);
      return { name, created, served: this.#ready.get(fingerprint) };
    });
  }

  get isReady(): boolean {
    return this.#byName().size > 0;
  }

  async take(name: unknown): Promise<Lease> {
    const { fingerprint, model } = this.#find(name);
    return { served: await this.serve(fingerprint, model), release: () => {} };
  }

  /** What tells a model of this gateway from all that would give other bits. */
  fingerprintOf(served: Served): string {
    const fingerprint = this.#fingerprints.get(served);
    if (fingerprint === undefined) throw new Error("a model of another gateway");
    return fingerprint;
  }

  close(): Promise<void> {
    this.#parts.registry.close();
    return Promise.resolve();
  }

  /** Of each name a worker; where workers of one name have different bits, of the bits that most rows have. */
  #byName(): Map<string, WorkerEntry> {
    const rows = new Map<string, number>();
    const workers = this.#parts.registry.workers().filter(({ isDraining }) => !isDraining);
    for (const { fingerprint, rows: own } of workers) rows.set(fingerprint, (rows.get(fingerprint) ?? 0) + own);
    const byName = new Map<string, WorkerEntry>();
    const weight = (entry: WorkerEntry) => rows.get(entry.fingerprint) ?? 0;
    for (const entry of workers.sort((a, b) => a.worker < b.worker ? -1 : 1)) {
      const known = byName.get(entry.model);
      if (known === undefined || weight(entry) > weight(known)) byName.set(entry.model, entry);
    }
    return new Map([...byName].sort(([a], [b]) => a < b ? -1 : 1));
  }

  #find(name: unknown): WorkerEntry {
    const models = this.#byName();
    const [first] = models.values();
    if (first === undefined) {
      throw new Failure("No worker is there.", {
        status: 503,
        type: "server_error",
        code: "no_worker",
        headers: { "retry-after": "2" },
      });
    }
    if (name === undefined || name === null) return first;
    const found = typeof name === "string" ? models.get(name) ?? models.get(name.replace(/:latest$/, "")) : undefined;
    if (found !== undefined) return found;
    return refuseModel(name, this.list);
  }

  /** The model with this fingerprint, whether workers of it are there or not. */
  serve(fingerprint: string, name: string): Promise<Served> {
    const known = this.#served.get(fingerprint);
    if (known !== undefined) return known;
    const serving = this.#fetch(fingerprint, name);
    serving.then((served) => this.#ready.set(fingerprint, served), () => this.#served.delete(fingerprint));
    this.#served.set(fingerprint, serving);
    return serving;
  }

  async #fetch(fingerprint: string, name: string): Promise<Served> {
    const { transport, hub } = this.#parts;
    const bytes = await transport.fetch(fingerprint);
    if (bytes === undefined) {
      throw new Failure(`What is known of the model ${name} is not there yet.`, {
        status: 503,
        type: "server_error",
        code: "model_not_ready",
        headers: { "retry-after": "1" },
      });
    }
    const { model, template, textContext: context } = await readFacts(bytes);
    const backend = model.plan.texts.generates ? { submit: hub.submit.bind(hub, fingerprint) } : undefined;
    const tokensMost = Math.floor(transport.textBytesMax / bytesOfToken) - tokensOfRest;
    const reading = ({ priority }: Tenant) =>
      remoteReading({
        model,
        context,
        tokensMost,
        backend: { read: (order, signal) => hub.read(fingerprint, order, priority, signal) },
      });
    const served = servedOf({ name, model, backend, reading, lm: undefined, template });
    this.#fingerprints.set(served, fingerprint);
    return served;
  }
}
