/**
 * Options of workers and gateways: what users see, and the schema of it.
 *
 * @module
 */
import { callback, type FieldsOf, integer, text } from "../options/schema.ts";
import { type ServerOptions, settingFields } from "../server/options.ts";

/**
 * Options for how a machine takes part in a cluster.
 *
 * @example
 * ```ts
 * import type { ClusterOptions } from "@lightgpt/lightgpt/cluster";
 *
 * const options: ClusterOptions = { nats: "nats://127.0.0.1:4222" };
 * console.log(options.nats);
 * ```
 */
export interface ClusterOptions {
  /** The address of NATS (2.9 or later, with JetStream): `nats://HOST:PORT`, with `USER:PASSWORD@` or `TOKEN@` where it asks. */
  readonly nats: string;
  /**
   * Milliseconds after which a job whose worker gives no sign goes to another one. It must be the same for all workers of a model.
   * @default {2000}
   */
  readonly ackWaitMs?: number;
}

/** The schema of {@link ClusterOptions}. */
export const clusterFields = {
  nats: text({
    about: "The address of NATS.",
    required: true,
    flag: { value: "URL", about: "the server of NATS: nats://HOST:PORT, with USER:PASSWORD@ or TOKEN@ where it asks" },
  }),
  ackWaitMs: integer({
    about: "Time after which a job whose worker gives no sign goes to another one.",
    least: 100,
    most: 600_000,
    default: 2000,
    flag: { name: "ack-wait", value: "MS", about: "a job whose worker gives no sign for so long goes to another one" },
  }),
} as const satisfies FieldsOf<ClusterOptions>;

/**
 * Options for a worker.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { startWorker, type WorkerOptions } from "@lightgpt/lightgpt/cluster";
 *
 * const options: WorkerOptions = { nats: "nats://127.0.0.1:4222", name: "stories" };
 * await using lm = await LightGPT.load();
 * await using worker = await startWorker(lm, options);
 * console.log(worker.fingerprint);
 * ```
 */
export interface WorkerOptions extends ClusterOptions {
  /** The name by which clients ask for the model. */
  readonly name: string;
  /**
   * A chat template in place of the model's own.
   * @default {the template in the model's file}
   */
  readonly template?: string;
  /**
   * The most jobs at once.
   * @default {the most sequences of a step}
   */
  readonly rows?: number;
  /** Called with what goes wrong and no job is to blame for, such as a lost connection. */
  readonly troubled?: (error: unknown) => void;
}

/** The schema of {@link WorkerOptions}. */
export const workerFields = {
  ...clusterFields,
  name: text({ about: "The name by which clients ask for the model.", required: true }),
  template: text({ about: "A chat template.", otherwise: "the template in the model's file" }),
  rows: integer({
    about: "The most jobs at once.",
    least: 1,
    most: 1 << 16,
    otherwise: "the most sequences of a step",
    flag: { value: "N", about: "have at most N jobs at once (default: the most sequences of a step)" },
  }),
  troubled: callback<(error: unknown) => void>({ about: "Called with what goes wrong." }),
} as const satisfies FieldsOf<WorkerOptions>;

/**
 * Options for a gateway: those of a server, whose models are those of its workers, and whose files and batches are in NATS.
 *
 * @example
 * ```ts
 * import { type GatewayOptions, openGateway } from "@lightgpt/lightgpt/cluster";
 *
 * const options: GatewayOptions = { nats: "nats://127.0.0.1:4222", keys: ["a long secret"] };
 * await using gateway = await openGateway(options);
 * console.log((await gateway.fetch(new Request("http://localhost/health"))).status);
 * ```
 */
export interface GatewayOptions extends ClusterOptions, Omit<ServerOptions, "models" | "template" | "files"> {}

/** What a server takes that a gateway has no need of: its files and batches are in NATS. */
const { files: _, ...servingFields } = settingFields;

/** The schema of {@link GatewayOptions}. */
export const gatewayFields = { ...servingFields, ...clusterFields } as const satisfies FieldsOf<GatewayOptions>;
