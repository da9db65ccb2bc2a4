/**
 * The bytes of one file over HTTP: several ranges at once, each tried again from where it broke off. A server that ignores ranges is
 * read from the beginning, and one whose file has changed begins the file anew. Whatever a server answers, bytes are only written
 * where they belong.
 *
 * @module
 */
import { assertNotAborted } from "../../options/checks.ts";
import type { PartialFile, Span } from "./partial_file.ts";
import { assertNotPassing, PassingError, pauseAfter, refused, send } from "./request.ts";
import type { HubContext } from "./types.ts";

/** A file that is to be fetched. */
export interface Source {
  readonly url: URL;
  readonly authorization: string | undefined;
  /** Its size, where it is known before. */
  readonly bytes: number | undefined;
  /** Its SHA-256, where it is known. */
  readonly sha256: string | undefined;
  /** What it begins with: a file of another kind is not read to its end. */
  readonly magic: string;
  /** What it is, for messages: "a GGUF file". */
  readonly what: string;
  /** Why a server refuses it, where its answer alone doesn't say. */
  readonly refusal?: (response: Response) => Promise<Error>;
}

/** The file on the server is not the one that was begun. */
class ChangedError extends Error {}
/** The server sends the whole file, whatever is asked for. */
class IgnoresRangesError extends Error {}

/** How often a file may begin anew because it changed meanwhile. */
const restartsMost = 2;

/** Fetches what of a file is missing; returns its size. */
export async function transfer(
  context: HubContext,
  source: Source,
  partial: PartialFile,
  onBytes: (bytesTotal: number) => void,
): Promise<number> {
  for (let restarts = 0;; restarts++) {
    const work = new Transfer(context, source, partial, onBytes);
    try {
      return await work.run();
    } catch (error) {
      if (!(error instanceof ChangedError)) throw error;
      if (restarts >= restartsMost) {
        throw refused(source.url, `its file changes again and again (${error.message})`, source.what);
      }
      partial.restart();
    }
  }
}

/** A range on its way: `at` is the next byte. */
interface Piece {
  at: number;
  readonly end: number;
}

class Transfer {
  readonly #context: HubContext;
  readonly #source: Source;
  readonly #partial: PartialFile;
  readonly #onBytes: (bytesTotal: number) => void;
  #stop = new AbortController();

  constructor(context: HubContext, source: Source, partial: PartialFile, onBytes: (bytesTotal: number) => void) {
    this.#context = context;
    this.#source = source;
    this.#partial = partial;
    this.#onBytes = onBytes;
  }

  get #bytes(): number | undefined {
    return this.#partial.identity?.bytes;
  }

  async run(): Promise<number> {
    const { bytes, sha256 } = this.#source;
    if (bytes !== undefined && sha256 !== undefined) this.#partial.begin({ bytes, version: sha256 });
    try {
      await this.#inPieces();
    } catch (error) {
      if (!(error instanceof IgnoresRangesError)) throw error;
      await this.#untilWhole();
    }
    return this.#bytes as number;
  }

  /** The first piece alone: it tells the size, and whether ranges are given at all. */
  async #inPieces(): Promise<void> {
    const { pieceLeast, pieceMost, connections } = this.#context.patience;
    const known = this.#bytes;
    const [first] = known === undefined ? [{ start: 0, end: pieceLeast }] : this.#partial.missing(known);
    if (first === undefined) return;
    await this.#piece({ at: first.start, end: Math.min(first.end, first.start + pieceLeast) });
    const bytes = this.#bytes as number;
    const missing = this.#partial.missing(bytes);
    const left = missing.reduce((sum, { start, end }) => sum + end - start, 0);
    const size = Math.min(pieceMost, Math.max(pieceLeast, Math.ceil(left / (2 * connections))));
    const queue = missing.flatMap((span) => cut(span, size));
    let failure: { readonly error: unknown } | undefined;
    const workers = Array.from({ length: Math.min(connections, queue.length) }, async () => {
      try {
        for (let span = queue.shift(); span !== undefined; span = queue.shift()) {
          await this.#piece({ at: span.start, end: span.end });
        }
      } catch (error) {
        failure ??= { error };
        this.#stop.abort(); // one that cannot go on ends the others
      }
    });
    await Promise.all(workers);
    if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
  }

  async #piece(piece: Piece): Promise<void> {
    await this.#persist(() => piece.at, async () => {
      await this.#range(piece);
      return piece.at >= Math.min(piece.end, this.#bytes ?? Infinity);
    });
  }

  async #untilWhole(): Promise<void> {
    this.#stop = new AbortController(); // the pieces were stopped
    await this.#persist(() => this.#partial.bytesDone, () => this.#whole());
  }

  /** Tries until `attempt` says that all is there; tries that bring bytes are not counted. */
  async #persist(done: () => number, attempt: () => Promise<boolean>): Promise<void> {
    for (let tries = 0;;) {
      const before = done();
      let failure = new PassingError(`${this.#source.url.host} broke off`);
      try {
        if (await attempt()) return;
      } catch (error) {
        if (!(error instanceof PassingError)) throw error;
        failure = error;
      }
      tries = done() > before ? 0 : tries + 1;
      if (tries >= this.#context.patience.triesMost) {
        throw refused(
          this.#source.url,
          `${failure.message}, ${tries} times in a row`,
          "a server that answers",
          failure,
        );
      }
      if (tries > 0 || failure.waitSeconds !== undefined) await pauseAfter(this.#context, Math.max(1, tries), failure);
    }
  }

  /** Asks for the rest of a piece, and writes what comes. */
  async #range(piece: Piece): Promise<void> {
    const { identity } = this.#partial;
    const tag = identity?.version?.startsWith('"') ? identity.version : undefined;
    const headers = {
      range: `bytes=${piece.at}-${piece.end - 1}`,
      ...tag === undefined ? {} : { "if-range": tag },
    };
    await this.#receive(headers, async (response, chunks) => {
      const { status } = response;
      if (status === 416) throw identity === undefined ? new IgnoresRangesError() : new ChangedError("it is shorter");
      if (status === 200) {
        if (tag !== undefined && response.headers.get("etag") !== tag) throw new ChangedError("it has another ETag");
        throw new IgnoresRangesError();
      }
      const [, start, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ??
        [];
      if (Number(start) !== piece.at || !(Number(last) < piece.end)) {
        throw new PassingError(`${this.#source.url.host} sends other bytes than those asked for`);
      }
      this.#identify(response, Number(total));
      if (this.#partial.identity?.version === undefined) throw new IgnoresRangesError(); // another piece could be another file's
      const end = Math.min(piece.end, Number(last) + 1);
      await this.#write(chunks, piece, end);
    });
  }

  /** Reads the whole file, and writes what of it is missing. Whether all of it came. */
  async #whole(): Promise<boolean> {
    let isWhole = false;
    await this.#receive({}, async (response, chunks) => {
      if (response.status !== 200) {
        throw new PassingError(`${this.#source.url.host} sends a part of what was asked for whole`);
      }
      const length = response.headers.get("content-length");
      const known = this.#source.bytes;
      this.#identify(response, length === null ? known ?? NaN : Number(length));
      const piece = { at: 0, end: this.#bytes as number };
      await this.#write(chunks, piece, piece.end);
      isWhole = piece.at === piece.end;
    });
    return isWhole;
  }

  /** Learns the size and the version from an answer, or finds that they are not those known. */
  #identify({ headers }: Response, bytes: number): void {
    const { url, what, bytes: wanted } = this.#source;
    if (!Number.isSafeInteger(bytes)) throw refused(url, "it does not tell the size of its file", "a server that does");
    if (wanted !== undefined && wanted !== bytes) {
      throw refused(url, `its file has ${bytes} bytes`, `${what} of ${wanted} bytes`);
    }
    const known = this.#partial.identity;
    const etag = headers.get("etag");
    const version = this.#source.sha256 ?? (etag?.startsWith('"') ? etag : undefined);
    if (known !== undefined && known.version !== undefined && (known.bytes !== bytes || known.version !== version)) {
      throw new ChangedError("it has another size or ETag");
    }
    this.#partial.begin({ bytes, version });
  }

  async #write(chunks: AsyncIterable<Uint8Array>, piece: Piece, end: number): Promise<void> {
    let marked = piece.at;
    const mark = () => {
      this.#partial.mark({ start: marked, end: piece.at });
      marked = piece.at;
      this.#onBytes(this.#bytes as number);
    };
    try {
      for await (const chunk of chunks) {
        if (chunk.length > end - piece.at) {
          throw refused(this.#source.url, "it sends more bytes than it said", "as many as it said");
        }
        this.#partial.write(chunk, piece.at);
        const isHead = piece.at < this.#source.magic.length;
        piece.at += chunk.length;
        if (isHead) this.#checkMagic(piece.at);
        if (piece.at - marked >= this.#partial.grain) mark();
      }
    } finally {
      mark();
    }
  }

  /** A web page in place of a file shows in its first bytes. */
  #checkMagic(length: number): void {
    const { magic, url, what } = this.#source;
    if (length < magic.length) return;
    const head = new TextDecoder("latin1").decode(this.#partial.head(magic.length));
    if (head === magic) return;
    throw refused(
      url,
      `its file begins with ${JSON.stringify(head)}`,
      `${what}, which begins with ${JSON.stringify(magic)}`,
    );
  }

  /** Sends a request; `body` gets the answer and its chunks, whose source is cut where it goes silent. */
  async #receive(
    headers: Readonly<Record<string, string>>,
    body: (response: Response, chunks: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<void> {
    const { url, authorization, refusal, what } = this.#source;
    const cut = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, cut.signal]);
    const response = await send(this.#context, url, { headers, authorization, signal });
    try {
      assertNotPassing(response, url);
      if (![200, 206, 416].includes(response.status)) {
        // A signed address of the hub's storage runs out; the hub gives another.
        const isElsewhere = URL.parse(response.url)?.origin !== url.origin && [403, 404, 410].includes(response.status);
        if (isElsewhere && refusal !== undefined) {
          throw new PassingError(`the storage behind ${url.host} refuses (${response.status})`);
        }
        throw await refusal?.(response) ?? refused(url, `it cannot be had (status ${response.status})`, what);
      }
      if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
        throw refused(url, "it answers with a web page, perhaps of a proxy or a login", what);
      }
      if (!/^(identity)?$/i.test(response.headers.get("content-encoding") ?? "")) {
        throw refused(url, "it compresses its file", "a file as it is");
      }
      await body(response, this.#chunks(response, cut));
    } finally {
      cut.abort(); // ends a body that was not read to its end
    }
  }

  async *#chunks(response: Response, cut: AbortController): AsyncGenerator<Uint8Array> {
    const { stallMs } = this.#context.patience;
    const { host } = this.#source.url;
    let last = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - last > stallMs) cut.abort();
    }, stallMs / 4);
    try {
      for await (const chunk of response.body ?? []) {
        last = performance.now();
        yield chunk;
      }
    } catch (cause) {
      assertNotAborted(this.#context.signal);
      if (this.#stop.signal.aborted) throw cause;
      const why = cut.signal.aborted ? `sent nothing for ${stallMs / 1000} s` : "broke off";
      throw new PassingError(`${host} ${why}`, { cause });
    } finally {
      clearInterval(timer);
    }
  }
}

function cut({ start, end }: Span, size: number): Span[] {
  return Array.from({ length: Math.ceil((end - start) / size) }, (_, index) => ({
    start: start + index * size,
    end: Math.min(end, start + (index + 1) * size),
  }));
}
