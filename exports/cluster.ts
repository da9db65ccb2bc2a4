/**
 * Many machines: workers that run jobs, and gateways that take requests, over NATS. A stream whose worker dies goes on at another one,
 * bit for bit as it would have. Nothing else of LightGPT loads the clients of NATS.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { openGateway, startWorker } from "@lightgpt/lightgpt/cluster";
 * import { listen } from "@lightgpt/lightgpt/server";
 *
 * const nats = "nats://127.0.0.1:4222";
 * await using lm = await LightGPT.load();
 * await using worker = await startWorker(lm, { nats, name: "stories" });
 * await using gateway = await openGateway({ nats }); // here or on another machine
 * const listening = await listen(gateway, { port: 0 });
 * console.log(worker.fingerprint, listening.url);
 * await listening.close();
 * ```
 *
 * @module
 */
export { type ClusterWorker, openGateway, startWorker } from "../src/cluster/open.ts";
export type { ClusterOptions, GatewayOptions, WorkerOptions } from "../src/cluster/options.ts";
export type { Server } from "../src/server/server.ts";
