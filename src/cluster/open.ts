/**
 * The way in: a worker, which runs jobs, and a gateway, which is a server whose jobs run on workers. Several of both may run on any
 * machines that reach the same server of NATS.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { partsOf } from "../batching/batcher.ts";
import { every, wallClock } from "../batching/clock.ts";
import { LightGPT } from "../lightgpt/lightgpt.ts";
import { refuseOption } from "../options/checks.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import { Answers } from "../server/answers.ts";
import { LocalBackend } from "../server/backend.ts";
import { isModel, type PoolServerOptions, settingFields } from "../server/options.ts";
import { type Server, serverOf } from "../server/server.ts";
import { LocalTexts } from "../server/text_backend.ts";
import type { Embedder } from "../server/types.ts";
import { GatewayModels } from "./gateway_models.ts";
import { Hub } from "./hub.ts";
import { fingerprintOf, packFacts } from "./model_facts.ts";
import { NatsTransport } from "./nats.ts";
import { gatewayFields, type GatewayOptions, workerFields, type WorkerOptions } from "./options.ts";
import { beatMs, gatewayKey, Registry } from "./registry.ts";
import { SharedAnswers } from "./shared_answers.ts";
import { askSubject, controlSubject, frameSubject, newSubject } from "./subjects.ts";
import type { Transport } from "./types.ts";
import { VaultShelf } from "./vault_shelf.ts";
import { Worker } from "./worker.ts";

/**
 * A worker that runs jobs.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type ClusterWorker, startWorker } from "@lightgpt/lightgpt/cluster";
 *
 * await using lm = await LightGPT.load();
 * const worker: ClusterWorker = await startWorker(lm, { nats: "nats://127.0.0.1:4222", name: "stories" });
 * console.log(worker.id, worker.running);
 * await worker.close();
 * ```
 */
export interface ClusterWorker extends AsyncDisposable {
  /** What it is called among others. */
  readonly id: string;
  /** What tells its model, template and settings from all that would give other bits. */
  readonly fingerprint: string;
  /** Jobs at work. */
  readonly running: number;
  /**
   * Takes no more jobs, and puts those that have not ended after `graceMs` milliseconds (0) back, where other workers go on with
   * them. Again is fine.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Lets a model run jobs that come over NATS: one that generates, or an embedder, which makes vectors or ranks. The model stays the
 * caller's.
 *
 * @param lm the model
 * @param options where NATS is, and what the model is called
 * @returns the worker
 * @throws {LightGPTError} of the code `io` where NATS cannot be reached, refuses, or has no JetStream; of the code `library` where its
 * clients are not installed
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { startWorker } from "@lightgpt/lightgpt/cluster";
 *
 * await using lm = await LightGPT.load();
 * await using worker = await startWorker(lm, { nats: "nats://127.0.0.1:4222", name: "stories" });
 * console.log(worker.running, "jobs");
 * ```
 */
export async function startWorker(lm: LightGPT | Embedder, options: WorkerOptions): Promise<ClusterWorker> {
  if (!isModel(lm)) refuseOption("lm", "a LightGPT or an Embedder", lm);
  const { nats, ackWaitMs, ...rest } = readOptions(workerFields, options, "options", "");
  const transport = await NatsTransport.open({ url: nats, ackWaitMs, name: `lightgpt worker ${rest.name}` });
  try {
    const worker = await workerOver(transport, lm, rest);
    await transport.allowed([askSubject("none"), frameSubject("none")]).catch((error) => endedWith(worker, error));
    return worker;
  } catch (error) {
    await transport.close();
    throw transport.told(error);
  }
}

/** Ends what has begun, and throws why. */
async function endedWith(begun: { close(graceMs?: number): Promise<void> }, error: unknown): Promise<never> {
  await begun.close(0);
  throw error;
}

/** Orders of texts that a worker has at once, unless more are asked for: one is computed while others come and go. */
const ordersAtOnce = 4;

/** A worker over any transport, which it closes at its end. */
export async function workerOver(
  transport: Transport,
  lm: LightGPT | Embedder,
  { name, template, rows, troubled = () => {} }: Omit<WorkerOptions, "nats" | "ackWaitMs">,
): Promise<ClusterWorker> {
  const fingerprint = await fingerprintOf(lm, template);
  await transport.store(fingerprint, packFacts(lm, template));
  const registry = await Registry.open(transport, wallClock);
  const texts = new LocalTexts(lm);
  const isGenerating = lm instanceof LightGPT;
  const worker = await Worker.start({
    id: crypto.randomUUID().replaceAll("-", ""),
    model: name,
    fingerprint,
    rows: rows ?? (isGenerating ? partsOf(lm.batcher).settings.sequences : ordersAtOnce),
    transport,
    backend: isGenerating ? new LocalBackend(lm) : undefined,
    texts,
    registry,
    clock: wallClock,
    figures: () => isGenerating ? figuresOf(lm) : texts.figures(),
    troubled,
  });
  let closing: Promise<void> | undefined;
  const close = (graceMs = 0) =>
    closing ??= (async () => {
      await worker.drain(graceMs);
      registry.close();
      await transport.close();
    })();
  return {
    id: worker.id,
    fingerprint,
    get running() {
      return worker.running;
    },
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function figuresOf({ batcher }: LightGPT) {
  const { tokensPerSecond, tokens, cache } = batcher.stats();
  return { tokensPerSecond, tokens, cacheAsked: cache?.tokensAsked ?? 0, cacheFound: cache?.tokensSaved ?? 0 };
}

/**
 * Opens a server whose models are those of the workers at the same server of NATS. Its streams go on where a worker dies, bit for bit.
 *
 * @param options where NATS is, and what a server takes
 * @returns the server
 * @throws {LightGPTError} of the code `io` where NATS cannot be reached, refuses, or has no JetStream; of the code `library` where its
 * clients are not installed
 *
 * @example
 * ```ts
 * import { openGateway } from "@lightgpt/lightgpt/cluster";
 * import { listen } from "@lightgpt/lightgpt/server";
 *
 * await using gateway = await openGateway({ nats: "nats://127.0.0.1:4222" });
 * const listening = await listen(gateway, { port: 0 });
 * console.log(await (await fetch(`${listening.url}/v1/models`)).json());
 * await listening.close();
 * ```
 */
export async function openGateway(options: GatewayOptions): Promise<Server> {
  const { nats, ackWaitMs } = readOptions(gatewayFields, options, "options", "");
  const transport = await NatsTransport.open({ url: nats, ackWaitMs, name: "lightgpt gateway" });
  try {
    const gateway = await gatewayOver(transport, pickOptions<PoolServerOptions>(settingFields, options));
    await transport.allowed([controlSubject("none"), newSubject("none")]).catch((error) => endedWith(gateway, error));
    return gateway;
  } catch (error) {
    await transport.close();
    throw transport.told(error);
  }
}

/** A gateway over any transport, which it closes at its end. */
export async function gatewayOver(transport: Transport, options: PoolServerOptions): Promise<Server> {
  const { limits } = readOptions(settingFields, options, "options", "");
  const vault = await transport.vault("answers", limits.answersMs);
  const clock = wallClock;
  const registry = await Registry.open(transport, clock);
  const hub = new Hub(transport, clock, registry);
  const models = new GatewayModels({ transport, registry, hub });
  const answers = new SharedAnswers({ local: new Answers(limits), vault, transport, registry, hub, models, clock });
  const gateways = () => registry.gateways();
  const files = await transport.vault("files", Infinity);
  const shelf = new VaultShelf({ vault: files, gateway: hub.id, gateways, clock });
  const server = serverOf(models, options, { answers, shelf });
  const key = gatewayKey(hub.id);
  // Without a connection it is announced again in a while.
  const announce = () => void transport.announce(key, hub.id).catch(() => {});
  await transport.announce(key, hub.id);
  const stopAnnouncing = every(clock, beatMs, announce);
  answers.start((begun) => server.goOn(begun));
  let closing: Promise<void> | undefined;
  const close = (graceMs?: number) =>
    closing ??= (async () => {
      await answers.leave();
      await server.close(graceMs);
      stopAnnouncing();
      // Where it cannot be taken back, it is forgotten by itself in a while.
      if (transport.isConnected) await transport.withdraw(key).catch(() => {});
      hub.close(new ClosedError("The gateway was closed.", { where: "gateway" }));
      await transport.close();
    })();
  return {
    fetch: server.fetch,
    get open() {
      return server.open;
    },
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}
