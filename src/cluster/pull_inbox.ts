/**
 * Where the jobs of one place of a queue arrive: one subscription for all pulls of it. A job comes under its own subject, which does not
 * say whose answer it is; so there is one pull of a place at a time, and an inbox in which one was not answered in time is left.
 *
 * @module
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { Libraries } from "./libraries.ts";

/** How long a pull may take: one that finds nothing is answered, too. */
const pullMs = 2000;

/** What is asked for: one job, and an answer at once where there is none. */
const pull = '{"batch":1,"no_wait":true}';

/** The inbox of a place. */
export class PullInbox {
  readonly #connection: NatsConnection;
  readonly #core: Libraries["core"];
  readonly #inbox: string;
  readonly #subscription: Subscription;
  /** Takes what comes; undefined while nothing is asked for. */
  #heard: ((message: Msg) => void) | undefined;
  /** Called with what comes too late. */
  readonly #late: (message: Msg) => void;

  /** Begins to listen. */
  constructor(connection: NatsConnection, core: Libraries["core"], late: (message: Msg) => void) {
    this.#connection = connection;
    this.#core = core;
    this.#late = late;
    this.#inbox = core.createInbox();
    this.#subscription = connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        // An error here is the end of the subscription, of which the connection tells.
        if (error !== null) return;
        const heard = this.#heard ?? this.#late;
        this.#heard = undefined;
        heard(message);
      },
    });
  }

  /** The next job, or the word that there is none; rejects where no answer comes in time, and is of no use then. */
  async next(subject: string): Promise<Msg> {
    const { promise, resolve, reject } = Promise.withResolvers<Msg>();
    this.#heard = resolve;
    const timer = setTimeout(() => reject(new this.#core.TimeoutError()), pullMs);
    this.#connection.publish(subject, pull, { reply: this.#inbox });
    try {
      return await promise;
    } catch (error) {
      this.#heard = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Listens no more. */
  close(): void {
    this.#subscription.unsubscribe();
  }
}
