/**
 * The server: a web-standard handler, which names no runtime and can be mounted anywhere. What comes in is checked in the
 * order of what it costs: origin, path, method, key, body, then the model and the work. What each route does is in
 * `routes.ts`, how an answer is told in `telling.ts`.
 *
 * @module
 */
import { CancelledError } from "../../ffi/errors.ts";
import { readOptions, type Resolved } from "../options/schema.ts";
import { Answers } from "./answers.ts";
import { readBody } from "./body.ts";
import { BatchDesk } from "./batches/desk.ts";
import { FolderShelf } from "./batches/folder_shelf.ts";
import type { Shelf } from "./batches/types.ts";
import { Doors } from "./doors.ts";
import { draining, Failure, failureOf, failureResponse, noFolder } from "./failure.ts";
import { Figures } from "./figures.ts";
import { Keys } from "./keys.ts";
import { Hono } from "./libraries.ts";
import { Models } from "./models.ts";
import { newId } from "./openai.ts";
import {
  type AccessLogEntry,
  type PoolServerOptions,
  serverFields,
  type ServerOptions,
  settingFields,
} from "./options.ts";
import { recordRun } from "./recording.ts";
import { ROUTES } from "./routes.ts";
import {
  completed,
  describe,
  finished,
  generating,
  refused,
  refuseMethod,
  told,
  underway,
  unknownPath,
} from "./outcomes.ts";
import { Run } from "./run.ts";
import { planResponses } from "./skins/responses.ts";
import { eventBody, streamResponse } from "./stream.ts";
import { readAnswer, streamedAnswer, wholeAnswer, type Work } from "./telling.ts";
import {
  type AnswerStore,
  type Background,
  type Begun,
  type Call,
  dialectOf,
  type Host,
  type Limits,
  type ModelPool,
  type Outcome,
  type Plan,
  type Recording,
  type Route,
  type Tenant,
} from "./types.ts";

/**
 * A server of models.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, type Server } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load();
 * await using server: Server = createServer({ models: { stories: lm } });
 * const body = JSON.stringify({ model: "stories", prompt: "Once upon a time", max_tokens: 5 });
 * const headers = { "content-type": "application/json" };
 * const request = new Request("http://localhost/v1/completions", { method: "POST", headers, body });
 * console.log((await (await server.fetch(request)).json()).choices[0].text);
 * ```
 */
export interface Server extends AsyncDisposable {
  /** Answers a request; what else the caller passes (`Deno.serve` does) is not looked at. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Requests that are open. */
  readonly open: number;
  /**
   * Takes no more requests, waits for those that are open at most `graceMs` milliseconds (10 000), ends the others, and
   * disposes of the models that it loaded. Again is fine.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Makes a server of models: a handler for `Deno.serve`, `Bun.serve`, or whatever takes a `Request` and wants a `Response`.
 *
 * @returns the server; models that the caller gives stay the caller's
 * @throws {InvalidArgumentError} if an option is wrong
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm } });
 * const response = await server.fetch(new Request("http://localhost/v1/models"));
 * console.log(await response.json());
 * ```
 */
export function createServer(options: ServerOptions): Server {
  const { models, template, ...settings } = readOptions(serverFields, options, "options", "");
  return new ModelServer(new Models(models, template), settings);
}

/** A server whose models are those of a pool. */
export function serverOf(models: ModelPool, options: PoolServerOptions, parts: ServerParts = {}): ModelServer {
  return new ModelServer(models, readOptions(settingFields, options, "options", ""), parts);
}

/** What a server may be given in place of its own. */
export interface ServerParts {
  /** Keeps responses. */
  readonly answers?: AnswerStore;
  /** Keeps files and batches. */
  readonly shelf?: Shelf;
}

/** What a request carries from route to route. */
interface Carried {
  /** What the server gives for each request. */
  readonly Bindings: { readonly ended: (outcome: Outcome) => void };
  readonly Variables: { tenant: Tenant };
}

/** A server over models of any kind. */
export class ModelServer implements Server {
  readonly #models: ModelPool;
  readonly #answers: AnswerStore;
  readonly #figures = new Figures();
  readonly #keys: Keys;
  readonly #doors: Doors;
  readonly #limits: Limits;
  readonly #log: ((entry: AccessLogEntry) => void) | undefined;
  readonly #routes = new Hono<Carried>();
  readonly #desk: BatchDesk | undefined;
  readonly #open = new Set<AbortController>();
  readonly #perTenant = new Map<string, number>();
  #closing: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  constructor(
    models: ModelPool,
    { keys, limits, origins, hosts, log, files }: Resolved<typeof settingFields>,
    { answers = new Answers(limits), shelf = files === undefined ? undefined : new FolderShelf(files) }: ServerParts =
      {},
  ) {
    this.#models = models;
    this.#keys = new Keys(keys);
    this.#doors = new Doors(origins, hosts);
    this.#limits = limits;
    this.#answers = answers;
    this.#log = log;
    this.#desk = shelf === undefined
      ? undefined
      : new BatchDesk({ shelf, work: (request, tenant) => this.#workLine(request, tenant) });
    this.#addRoutes();
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const id = request.headers.get("x-request-id")?.slice(0, 128) ?? newId("req_");
    const begin = performance.now();
    const time = new Date().toISOString();
    const { method } = request;
    const ended = (outcome: Outcome) => {
      const ms = performance.now() - begin;
      this.#figures.add(outcome, ms);
      const { reasons: _, longest: __, ...told } = outcome;
      this.#log?.({ time, id, method, path: pathname, ms, ...told });
    };
    const response = await this.#routes.fetch(request, { ended });
    response.headers.set("x-request-id", id);
    this.#doors.mark(request, response);
    return response;
  };

  get open(): number {
    return this.#open.size;
  }

  close(graceMs: number = 10_000): Promise<void> {
    return this.#closing ??= this.#close(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0);
  }

  async #close(graceMs: number): Promise<void> {
    await this.#desk?.close();
    if (this.#open.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#emptied = resolve;
      const timer = setTimeout(() => {
        for (const controller of this.#open) controller.abort(new CancelledError("The server was closed."));
      }, graceMs);
      await promise;
      clearTimeout(timer);
    }
    await this.#models.close();
  }

  /** What each path does, once origin and key are known to be right; the order is that of the costs. */
  #addRoutes(): void {
    const routes = this.#routes;
    routes.use(async ({ req, env, set }, next) => {
      const preflight = this.#doors.check(req.raw);
      if (preflight) {
        env.ended({ status: preflight.status });
        return preflight;
      }
      const isOpen = ROUTES.some((route) => route.isOpen && route.path === req.path);
      if (!isOpen) set("tenant", this.#keys.tenantOf(req.raw));
      await next();
    });
    for (const route of ROUTES) {
      routes.on(route.method, route.path, async ({ req, env, get }) => {
        const { tell } = route;
        if (tell === undefined) return await this.#work(req.raw, route, get("tenant"), env.ended);
        const { searchParams } = new URL(req.url);
        const name = req.param("name") ?? "";
        const found = await tell({ host: this.#host(), tenant: get("tenant")?.tenant, name, query: searchParams });
        if (!(found instanceof Response)) return told(found, env.ended);
        env.ended({ status: found.status });
        return found;
      });
    }
    for (const path of ["/v1/files/*", "/v1/batches/*"]) {
      routes.all(path, async ({ req, env, get }) => {
        if (this.#desk === undefined) throw noFolder();
        const response = await this.#desk.handle(req.raw, get("tenant").tenant);
        env.ended({ status: response.status, tenant: get("tenant").tenant });
        return response;
      });
    }
    for (const path of new Set(ROUTES.map((route) => route.path))) {
      routes.all(path, ({ req }) => refuseMethod(req.method, path, req.path));
    }
    routes.notFound(({ req, env }) => refused(unknownPath(req.path), req.path, env.ended));
    routes.onError((error, { req, env }) => refused(failureOf(error), req.path, env.ended));
  }

  #host(): Host {
    return {
      list: this.#models.list,
      answers: this.#answers,
      isReady: this.#closing === undefined && this.#models.isReady,
      figures: () => this.#figures.text(this.#models),
    };
  }

  /** Does what takes a body: reads it, takes the model, plans, runs. */
  async #work(request: Request, route: Route, tenant: Tenant, ended: (outcome: Outcome) => void): Promise<Response> {
    if (this.#closing !== undefined) throw draining();
    const controller = new AbortController();
    const leave = this.#enter(tenant, controller);
    let model: string | undefined;
    let release = () => {};
    let isOver = false;
    const finish = (outcome: Outcome) => {
      if (isOver) return;
      isOver = true;
      release();
      leave();
      ended({ model, tenant: tenant.tenant, ...outcome });
    };
    try {
      const body = await readBody(request, this.#limits);
      const lease = await this.#models.take(body.model);
      const { served } = lease;
      ({ release } = lease);
      model = served.name;
      controller.signal.throwIfAborted();
      const call: Call = {
        body,
        served,
        tenant,
        limits: this.#limits,
        answers: this.#answers,
        signal: controller.signal,
      };
      if (route.read) return await readAnswer(route.read(call), { request, controller, finish });
      if (route.answer) return told(await route.answer(call), finish);
      const backend = generating(served);
      const plan = await (route.plan as NonNullable<Route["plan"]>)(call);
      const named = plan.background?.named;
      const taking = named ? this.#answers.backendOf({ named, body, tenant, served }, backend) : backend;
      const run = await Run.begin(taking, plan.jobs, controller.signal);
      return await this.#answer(plan, run, { request, controller, finish });
    } catch (error) {
      const failure = failureOf(controller.signal.aborted ? new CancelledError("The client left.") : error);
      finish({ status: failure.parts.status, error: describe(failure) });
      return failureResponse(failure, dialectOf(route.path));
    }
  }

  /** A request of a batch: it comes behind all others of its tenant. */
  async #workLine(request: Request, tenant: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    const route = ROUTES.find(({ method, path }) => method === "POST" && path === pathname) as Route;
    return await this.#work(request, route, { tenant, priority: 0 }, () => {});
  }

  /** The answer of a run: in the background, whole, or as it comes. */
  async #answer(plan: Plan, run: Run, work: Work): Promise<Response> {
    const { request, controller } = work;
    if (plan.background) return this.#record(plan.background, run, work);
    if (plan.writer === undefined) {
      const done = finished(() => completed(run), request, controller).then((completions) => plan.whole(completions));
      return await wholeAnswer(done, underway(run), work);
    }
    // A body that is not read would never hear that the server is closed.
    controller.signal.addEventListener("abort", () => work.finish({ status: 503, error: "The server was closed." }));
    return streamedAnswer(plan.writer, run, this.#limits.heartbeatMs, work);
  }

  /** Lets a run go on without its client. */
  #record(background: Background, run: Run, work: Work): Response {
    const { recording, first } = recordRun(background, run, { heartbeatMs: this.#limits.heartbeatMs, ...work });
    return background.isStream ? streamResponse(eventBody(recording.frames(-1)), "openai") : Response.json(first);
  }

  /** Tells a response that began elsewhere: from its beginning on, as it was told there. Resolves when it can be found here. */
  async goOn({ named, body, tenant, served }: Begun): Promise<Recording> {
    const controller = new AbortController();
    const { signal } = controller;
    const finish = this.#hold(controller);
    try {
      const call: Call = { body, served, tenant, limits: this.#limits, answers: this.#answers, signal, named };
      const { background, jobs } = await planResponses(call);
      const taking = this.#answers.backendOf({ named, body, tenant, served }, generating(served));
      const run = await Run.begin(taking, jobs, signal);
      const { heartbeatMs } = this.#limits;
      return recordRun(background as Background, run, { heartbeatMs, controller, finish }).recording;
    } catch (error) {
      finish();
      throw error;
    }
  }

  /** Counts a request in; returns what counts it out. */
  #enter({ tenant }: Tenant, controller: AbortController): () => void {
    const count = this.#perTenant.get(tenant) ?? 0;
    if (count >= this.#limits.openPerKey) {
      throw new Failure(`${count} requests of this key are open, and at most ${this.#limits.openPerKey} may be.`, {
        status: 429,
        type: "rate_limit_error",
        code: "too_many_open",
        headers: { "retry-after": "1" },
      });
    }
    this.#perTenant.set(tenant, count + 1);
    const free = this.#hold(controller);
    return () => {
      if (!this.#open.has(controller)) return;
      const left = (this.#perTenant.get(tenant) ?? 1) - 1;
      if (left > 0) this.#perTenant.set(tenant, left);
      else this.#perTenant.delete(tenant);
      free();
    };
  }

  /** What must end before the server is closed; returns what tells that it has. */
  #hold(controller: AbortController): () => void {
    this.#open.add(controller);
    return () => {
      if (this.#open.delete(controller) && this.#open.size === 0) this.#emptied?.();
    };
  }
}
