/**
 * `/v1/files` and `/v1/batches`, as clients of OpenAI know them: what is uploaded, what is asked for and what came of it are kept, so
 * that a batch goes on when its server starts again, or at another that has the same. A server works batches one after the other,
 * behind all other requests.
 *
 * @module
 */
import { every, wallClock } from "../../batching/clock.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { Failure, refuse } from "../failure.ts";
import { newId, nowSeconds } from "../openai.ts";
import { batchPaths } from "./lines.ts";
import { runBatch } from "./run_batch.ts";
import type { Records, Shelf, StoredBatch, StoredFile } from "./types.ts";

/** Bytes of a file that is uploaded. */
const fileBytesMax = 256 * 2 ** 20;
/** Requests of a batch at work at once. */
const atOnce = 32;

/** What a desk is opened with. */
export interface DeskParts {
  readonly shelf: Shelf;
  /** Answers a request of a batch, as its tenant's. */
  readonly work: (request: Request, tenant: string) => Promise<Response>;
}

/** Takes files and batches. */
export class BatchDesk {
  readonly #parts: DeskParts;
  readonly #ending = new AbortController();
  readonly #cancels = new Map<string, AbortController>();
  /** The batches, one after the other. */
  #last: Promise<void> = Promise.resolve();
  readonly #opened: Promise<void>;
  #looking: Promise<void> | undefined;
  #stop = () => {};

  /** Goes on with the batches that are there, and whose servers are gone. */
  constructor(parts: DeskParts) {
    this.#parts = parts;
    const { lookMs } = parts.shelf;
    this.#opened = lookMs === undefined ? this.#look() : Promise.resolve();
    this.#opened.catch(() => {}); // each request hears of it
    if (lookMs === undefined) return;
    this.#lookAgain();
    this.#stop = every(wallClock, lookMs, () => this.#lookAgain());
  }

  /** Answers a request for one of the paths. */
  async handle(request: Request, tenant: string): Promise<Response> {
    await this.#opened;
    const { shelf } = this.#parts;
    const { pathname } = new URL(request.url);
    const [, , kind, id, action] = pathname.split("/");
    const call = `${request.method} ${kind}${id ? "/id" : ""}${action ? `/${action}` : ""}`;
    switch (call) {
      case "POST files":
        return Response.json(await this.#tellFile(await this.#upload(request, tenant)));
      case "GET files": {
        const files = await this.#mine("files", tenant);
        return Response.json(listOf(await Promise.all(files.map((file) => this.#tellFile(file)))));
      }
      case "GET files/id":
        return Response.json(await this.#tellFile(await this.#find("files", id, tenant)));
      case "GET files/id/content":
        return new Response(await shelf.bytes((await this.#find("files", id, tenant)).id), {
          headers: { "content-type": "application/jsonl" },
        });
      case "DELETE files/id":
        await shelf.drop((await this.#find("files", id, tenant)).id);
        return Response.json({ id, object: "file", deleted: true });
      case "POST batches":
        return Response.json(tellBatch(await this.#begin(request, tenant)));
      case "GET batches":
        return Response.json(listOf((await this.#mine("batches", tenant)).map(tellBatch)));
      case "GET batches/id":
        return Response.json(tellBatch(await this.#find("batches", id, tenant)));
      case "POST batches/id/cancel":
        return Response.json(tellBatch(await this.#cancel(await this.#find("batches", id, tenant))));
    }
    throw new Failure(`There is no ${request.method} ${pathname.slice(0, 100)}.`, {
      status: 404,
      type: "invalid_request_error",
      code: "unknown_url",
    });
  }

  /** Ends the work; batches that have not ended go on later, or elsewhere. */
  async close(): Promise<void> {
    this.#stop();
    this.#ending.abort(new Error("The server is closed."));
    await this.#looking;
    await this.#last;
  }

  async #upload(request: Request, tenant: string): Promise<StoredFile> {
    const length = Number(request.headers.get("content-length") ?? Infinity);
    if (!(length <= fileBytesMax)) {
      throw new Failure(`A file may have at most ${fileBytesMax} bytes, and its length must be told.`, {
        status: 413,
        type: "invalid_request_error",
        code: "request_too_large",
      });
    }
    let form: FormData;
    try {
      form = await request.formData();
    } catch {
      return refuse("file", "file: expected a form (multipart/form-data) with file and purpose.");
    }
    const [file, purpose] = [form.get("file"), form.get("purpose")];
    if (!(file instanceof File)) refuse("file", "file: expected a file.");
    if (purpose !== "batch") refuse("purpose", 'purpose: expected "batch".');
    const stored: StoredFile = {
      id: newId("file-"),
      tenant,
      filename: file.name.slice(0, 200),
      purpose,
      created_at: nowSeconds(),
    };
    await this.#parts.shelf.put(stored.id, new Uint8Array(await file.arrayBuffer()));
    await this.#add("files", stored);
    return stored;
  }

  async #begin(request: Request, tenant: string): Promise<StoredBatch> {
    let body: Record<string, unknown>;
    try {
      body = await request.json() as Record<string, unknown>;
    } catch {
      return refuse("body", "The body is not JSON.");
    }
    const { input_file_id, endpoint, completion_window = "24h", metadata = null } = body ?? {};
    if (typeof input_file_id !== "string") refuse("input_file_id", "input_file_id: expected the id of a file.");
    if (!batchPaths.some((path) => path === endpoint)) {
      refuse("endpoint", `endpoint: expected ${batchPaths.join(", ")}.`);
    }
    if (completion_window !== "24h") refuse("completion_window", 'completion_window: expected "24h".');
    await this.#find("files", input_file_id, tenant);
    const id = newId("batch_");
    const created_at = nowSeconds();
    const output: StoredFile = {
      id: newId("file-"),
      tenant,
      filename: `${id}_output.jsonl`,
      purpose: "batch_output",
      created_at,
    };
    await this.#add("files", output);
    const batch: StoredBatch = {
      id,
      tenant,
      endpoint: endpoint as string,
      input_file_id,
      output_file_id: output.id,
      completion_window,
      metadata: metadata as JsonValue,
      created_at,
      status: "in_progress",
    };
    await this.#add("batches", batch);
    if (await this.#parts.shelf.claim(id)) this.#queue(batch);
    return batch;
  }

  #queue(batch: StoredBatch): void {
    const controller = new AbortController();
    this.#cancels.set(batch.id, controller);
    const signal = AbortSignal.any([controller.signal, this.#ending.signal]);
    this.#last = this.#last.then(() => this.#run(batch, signal));
  }

  async #run(batch: StoredBatch, signal: AbortSignal): Promise<void> {
    const { id, input_file_id, output_file_id, endpoint, tenant } = batch;
    const { shelf, work } = this.#parts;
    let counts = { total: 0, completed: 0, failed: 0 };
    let saving: Promise<unknown> = Promise.resolve();
    let savedAt = 0;
    try {
      signal.throwIfAborted();
      const { lines } = await runBatch({
        fetch: (request) => work(request, tenant),
        input: shelf.input(input_file_id),
        output: shelf.output(output_file_id),
        path: endpoint,
        atOnce,
        signal,
        onFailed: () => counts = { ...counts, failed: counts.failed + 1 },
        onProgress: (done, total) => {
          counts = { ...counts, total, completed: done - counts.failed };
          if (performance.now() - savedAt < 1000) return;
          savedAt = performance.now();
          const now = counts;
          saving = saving.then(() => this.#save(id, { counts: now }));
          saving.catch(() => {}); // heard at the end
        },
      });
      await saving;
      await shelf.finish(output_file_id);
      await this.#save(id, { status: "completed", counts: { ...counts, total: lines }, ended_at: nowSeconds() });
    } catch (error) {
      // When the server is closed, it goes on later; and so it does where its failure cannot be kept.
      if (this.#ending.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      const how = signal.aborted ? { status: "cancelled" } as const : { status: "failed", error: message } as const;
      await this.#save(id, { ...how, counts, ended_at: nowSeconds() }).catch(() => {});
    } finally {
      this.#cancels.delete(id);
    }
  }

  async #cancel({ id }: StoredBatch): Promise<StoredBatch> {
    const batch = await this.#save(id, { status: "cancelled", ended_at: nowSeconds() });
    if (batch.status === "cancelled") this.#cancels.get(id)?.abort(new Error("The batch was cancelled."));
    return batch;
  }

  /** Changes a batch that has not ended; gives it as it is then. */
  async #save(id: string, more: Partial<StoredBatch>): Promise<StoredBatch> {
    const { shelf } = this.#parts;
    const open = (now: StoredBatch | undefined) => now?.status === "in_progress" ? { ...now, ...more } : undefined;
    return await shelf.change("batches", id, open) ?? noSuch("batches", id);
  }

  async #add<K extends keyof Records>(kind: K, record: Records[K]): Promise<void> {
    await this.#parts.shelf.change(kind, record.id, () => record);
  }

  /** Takes up batches that no server works, and ends those that another server was told to end. */
  async #look(): Promise<void> {
    const { shelf } = this.#parts;
    const batches = (await shelf.all("batches")).sort((a, b) => a.created_at - b.created_at);
    for (const batch of batches) {
      const { id, status } = batch;
      const cancel = this.#cancels.get(id);
      if (status === "cancelled") cancel?.abort(new Error("The batch was cancelled."));
      if (status !== "in_progress" || cancel !== undefined || this.#ending.signal.aborted) continue;
      if (await shelf.claim(id)) this.#queue(batch);
    }
  }

  #lookAgain(): void {
    if (this.#looking !== undefined) return;
    // What cannot be reached now is looked at again in a while.
    this.#looking = this.#look().catch(() => {}).finally(() => this.#looking = undefined);
  }

  async #tellFile({ tenant: _, ...file }: StoredFile): Promise<JsonValue> {
    return { object: "file", ...file, bytes: await this.#parts.shelf.size(file.id), status: "processed" };
  }

  async #mine<K extends keyof Records>(kind: K, tenant: string): Promise<Records[K][]> {
    const all = await this.#parts.shelf.all(kind);
    return all.filter((one) => one.tenant === tenant).sort((a, b) => b.created_at - a.created_at);
  }

  async #find<K extends keyof Records>(kind: K, id: string, tenant: string): Promise<Records[K]> {
    // An id is never taken as a part of a path before its form is known.
    const isId = /^(file-|batch_)[0-9a-f]{32}$/.test(id);
    const found = isId ? await this.#parts.shelf.load(kind, id) : undefined;
    return found?.tenant === tenant ? found : noSuch(kind, id);
  }
}

function noSuch(kind: keyof Records, id: string): never {
  throw new Failure(`There is no ${kind === "files" ? "file" : "batch"} ${JSON.stringify(id.slice(0, 100))} here.`, {
    status: 404,
    type: "invalid_request_error",
    code: "not_found",
    param: "id",
  });
}

function listOf(data: readonly JsonValue[]): JsonValue {
  return { object: "list", data: [...data], has_more: false };
}

/** A batch as OpenAI tells it; all results are in one file, those without an answer, too. */
function tellBatch({ tenant: _, owner: _owner, counts, ended_at, error, ...batch }: StoredBatch): JsonValue {
  const errors = error === undefined ? null : { object: "list", data: [{ code: "failed", message: error }] };
  return {
    object: "batch",
    ...batch,
    errors,
    error_file_id: null,
    request_counts: counts ?? { total: 0, completed: 0, failed: 0 },
    in_progress_at: batch.created_at,
    ...(ended_at === undefined ? {} : { [`${batch.status}_at`]: ended_at }),
  };
}
