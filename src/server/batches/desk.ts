/**
 * `/v1/files` and `/v1/batches`, as clients of OpenAI know them, over a folder: what is uploaded, what is asked for and what came of it
 * lie there, so that a batch goes on when the server starts again. Batches are worked one after the other, behind all other requests.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whyNotWritten, writeFailure } from "../../../ffi/system_errors.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { Failure, refuse } from "../failure.ts";
import { newId, nowSeconds } from "../openai.ts";
import { batchPaths } from "./lines.ts";
import { runBatch } from "./run_batch.ts";

/** Bytes of a file that is uploaded. */
const fileBytesMax = 256 * 2 ** 20;
/** Requests of a batch at work at once. */
const atOnce = 32;

/** A file, as it is told. */
interface StoredFile {
  readonly id: string;
  readonly tenant: string;
  readonly filename: string;
  readonly purpose: string;
  readonly created_at: number;
}

/** A batch, as it is kept. */
interface StoredBatch {
  readonly id: string;
  readonly tenant: string;
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly output_file_id: string;
  readonly completion_window: string;
  readonly metadata: JsonValue;
  readonly created_at: number;
  readonly status: "in_progress" | "completed" | "failed" | "cancelled";
  readonly ended_at?: number;
  readonly counts?: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly error?: string;
}

/** What a desk is opened with. */
export interface DeskParts {
  readonly folder: string;
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

  /** Opens a folder, made where there is none, and goes on with the batches in it. */
  constructor(parts: DeskParts) {
    this.#parts = parts;
    for (const kind of ["files", "batches"]) {
      try {
        mkdirSync(join(parts.folder, kind), { recursive: true });
      } catch (cause) {
        throw writeFailure(join(parts.folder, kind), cause, {
          what: "a folder that cannot be made",
          expected: "a folder that may be written",
        });
      }
    }
    const open = this.#all<StoredBatch>("batches").filter(({ status }) => status === "in_progress");
    for (const batch of open.sort((a, b) => a.created_at - b.created_at)) this.#queue(batch);
  }

  /** Answers a request for one of the paths. */
  async handle(request: Request, tenant: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, , kind, id, action] = pathname.split("/");
    const call = `${request.method} ${kind}${id ? "/id" : ""}${action ? `/${action}` : ""}`;
    switch (call) {
      case "POST files":
        return Response.json(this.#tellFile(await this.#upload(request, tenant)));
      case "GET files":
        return Response.json(listOf(this.#mine<StoredFile>("files", tenant).map((file) => this.#tellFile(file))));
      case "GET files/id":
        return Response.json(this.#tellFile(this.#find<StoredFile>("files", id, tenant)));
      case "GET files/id/content":
        return new Response(this.#content(this.#find<StoredFile>("files", id, tenant)), {
          headers: { "content-type": "application/jsonl" },
        });
      case "DELETE files/id":
        return Response.json(this.#remove(this.#find<StoredFile>("files", id, tenant)));
      case "POST batches":
        return Response.json(tellBatch(await this.#begin(request, tenant)));
      case "GET batches":
        return Response.json(listOf(this.#mine<StoredBatch>("batches", tenant).map(tellBatch)));
      case "GET batches/id":
        return Response.json(tellBatch(this.#find<StoredBatch>("batches", id, tenant)));
      case "POST batches/id/cancel":
        return Response.json(tellBatch(this.#cancel(this.#find<StoredBatch>("batches", id, tenant))));
    }
    throw new Failure(`There is no ${request.method} ${pathname.slice(0, 100)}.`, {
      status: 404,
      type: "invalid_request_error",
      code: "unknown_url",
    });
  }

  /** Ends the work; batches that have not ended go on when the folder is opened again. */
  async close(): Promise<void> {
    this.#ending.abort(new Error("The server is closed."));
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
    this.#write(this.#lines(stored.id), new Uint8Array(await file.arrayBuffer()));
    this.#save("files", stored);
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
    this.#find<StoredFile>("files", input_file_id, tenant);
    const id = newId("batch_");
    const created_at = nowSeconds();
    const output: StoredFile = {
      id: newId("file-"),
      tenant,
      filename: `${id}_output.jsonl`,
      purpose: "batch_output",
      created_at,
    };
    this.#save("files", output);
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
    this.#save("batches", batch);
    this.#queue(batch);
    return batch;
  }

  #queue(batch: StoredBatch): void {
    const controller = new AbortController();
    this.#cancels.set(batch.id, controller);
    const signal = AbortSignal.any([controller.signal, this.#ending.signal]);
    this.#last = this.#last.then(() => this.#run(batch, signal));
  }

  async #run(batch: StoredBatch, signal: AbortSignal): Promise<void> {
    const { input_file_id, output_file_id, endpoint, tenant } = batch;
    let counts = { total: 0, completed: 0, failed: 0 };
    let savedAt = 0;
    try {
      signal.throwIfAborted();
      const { lines } = await runBatch({
        fetch: (request) => this.#parts.work(request, tenant),
        input: this.#lines(input_file_id),
        output: this.#lines(output_file_id),
        path: endpoint,
        atOnce,
        signal,
        onFailed: () => counts = { ...counts, failed: counts.failed + 1 },
        onProgress: (done, total) => {
          counts = { ...counts, total, completed: done - counts.failed };
          if (performance.now() - savedAt < 1000) return;
          savedAt = performance.now();
          this.#save("batches", { ...batch, counts });
        },
      });
      this.#end(batch, { status: "completed", counts: { ...counts, total: lines } });
    } catch (error) {
      // When the server is closed, it goes on later.
      if (this.#ending.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#end(batch, signal.aborted ? { status: "cancelled", counts } : { status: "failed", counts, error: message });
    } finally {
      this.#cancels.delete(batch.id);
    }
  }

  #end(batch: StoredBatch, how: Pick<StoredBatch, "status" | "counts" | "error">): void {
    this.#save("batches", { ...batch, ...how, ended_at: nowSeconds() });
  }

  #cancel(batch: StoredBatch): StoredBatch {
    if (batch.status !== "in_progress") return batch;
    this.#cancels.get(batch.id)?.abort(new Error("The batch was cancelled."));
    const cancelled = { ...batch, status: "cancelled", ended_at: nowSeconds() } as const;
    this.#save("batches", cancelled);
    return cancelled;
  }

  #content({ id }: StoredFile): Uint8Array<ArrayBuffer> {
    return existsSync(this.#lines(id)) ? new Uint8Array(readFileSync(this.#lines(id))) : new Uint8Array();
  }

  #remove({ id }: StoredFile): JsonValue {
    rmSync(this.#lines(id), { force: true });
    rmSync(this.#path("files", id), { force: true });
    return { id, object: "file", deleted: true };
  }

  #tellFile({ tenant: _, ...file }: StoredFile): JsonValue {
    const path = this.#lines(file.id);
    return { object: "file", ...file, bytes: existsSync(path) ? statSync(path).size : 0, status: "processed" };
  }

  #lines(id: string): string {
    return join(this.#parts.folder, "files", `${id}.jsonl`);
  }

  #path(kind: "files" | "batches", id: string): string {
    return join(this.#parts.folder, kind, `${id}.json`);
  }

  #save(kind: "files" | "batches", value: StoredFile | StoredBatch): void {
    this.#write(this.#path(kind, value.id), JSON.stringify(value));
  }

  /** Writes a file whole or not at all. */
  #write(path: string, data: string | Uint8Array): void {
    try {
      writeFileSync(`${path}.part`, data);
      renameSync(`${path}.part`, path);
    } catch (cause) {
      rmSync(`${path}.part`, { force: true });
      throw new Failure(`The file cannot be kept: ${whyNotWritten(cause)}.`, { ...serverFault, status: 507 }, {
        cause,
      });
    }
  }

  #all<T>(kind: "files" | "batches"): T[] {
    const folder = join(this.#parts.folder, kind);
    return readdirSync(folder).filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as T);
  }

  #mine<T extends { readonly tenant: string; readonly created_at: number }>(
    kind: "files" | "batches",
    tenant: string,
  ): T[] {
    return this.#all<T>(kind).filter((one) => one.tenant === tenant).sort((a, b) => b.created_at - a.created_at);
  }

  #find<T extends { readonly tenant: string }>(kind: "files" | "batches", id: string, tenant: string): T {
    // An id is never taken as a part of a path before its form is known.
    if (/^(file-|batch_)[0-9a-f]{32}$/.test(id) && existsSync(this.#path(kind, id))) {
      const found = JSON.parse(readFileSync(this.#path(kind, id), "utf8")) as T;
      if (found.tenant === tenant) return found;
    }
    throw new Failure(`There is no ${kind === "files" ? "file" : "batch"} ${JSON.stringify(id.slice(0, 100))} here.`, {
      status: 404,
      type: "invalid_request_error",
      code: "not_found",
      param: "id",
    });
  }
}

const serverFault = { status: 500, type: "server_error", code: "io" } as const;

function listOf(data: readonly JsonValue[]): JsonValue {
  return { object: "list", data: [...data], has_more: false };
}

/** A batch as OpenAI tells it; all results are in one file, those without an answer, too. */
function tellBatch({ tenant: _, counts, ended_at, error, ...batch }: StoredBatch): JsonValue {
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
