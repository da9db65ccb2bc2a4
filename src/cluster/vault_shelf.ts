/**
 * Files and batches of all gateways, in what they keep together: each finds them, and a batch whose gateway is gone is gone on with by
 * another one behind the results that are there. Results are a log of lines with their numbers: a line counts once, whatever gateway
 * has written it, for all of them write the same. At the end they become a file.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import type { BatchInput, BatchOutput, Records, ResultLines, Shelf, StoredBatch } from "../server/batches/types.ts";
import { appendSurely } from "./answer_log.ts";
import type { Vault } from "./types.ts";

/** How often batches are looked for whose gateways are gone. */
const lookMs = 2000;
/** How long results that cannot be written are tried again. */
const writeMs = 600_000;
/** Characters of results that may wait until they are written. */
const waitingMost = 1 << 20;

/** What the shelf of a gateway is made with. */
export interface ShelfParts {
  readonly vault: Vault;
  /** The gateway, and those that are there. */
  readonly gateway: string;
  readonly gateways: () => ReadonlySet<string>;
  readonly clock: Clock;
}

/** Results behind the first `at` of a batch. */
interface Entry {
  readonly at: number;
  readonly lines: readonly string[];
}

/** Files and batches of all gateways. */
export class VaultShelf implements Shelf {
  readonly lookMs = lookMs;
  readonly #parts: ShelfParts;

  /** Keeps them in a vault. */
  constructor(parts: ShelfParts) {
    this.#parts = parts;
  }

  async load<K extends keyof Records>(kind: K, id: string): Promise<Records[K] | undefined> {
    const record = await this.#parts.vault.read(keyOf(kind, id));
    return record && JSON.parse(record.text) as Records[K];
  }

  async all<K extends keyof Records>(kind: K): Promise<Records[K][]> {
    const keys = await this.#parts.vault.keys(kind);
    const found = await Promise.all(keys.map((key) => this.load(kind, key.slice(kind.length + 1))));
    return found.filter((one) => one !== undefined);
  }

  async change<K extends keyof Records>(
    kind: K,
    id: string,
    change: (now: Records[K] | undefined) => Records[K] | undefined,
  ): Promise<Records[K] | undefined> {
    const { vault } = this.#parts;
    const key = keyOf(kind, id);
    for (;;) {
      const record = await vault.read(key);
      const now = record && JSON.parse(record.text) as Records[K];
      const next = change(now);
      if (next === undefined) return now;
      if (await vault.write(key, JSON.stringify(next), record?.revision ?? 0)) return next;
    }
  }

  async drop(id: string): Promise<void> {
    const { vault } = this.#parts;
    await Promise.all([vault.erase(keyOf("files", id)), vault.drop(id), vault.wipe(id)]);
  }

  async claim(id: string): Promise<boolean> {
    const { gateway, gateways } = this.#parts;
    const isFree = ({ status, owner }: StoredBatch) =>
      status === "in_progress" && (owner === undefined || owner === gateway || !gateways().has(owner));
    const claimed = await this.change(
      "batches",
      id,
      (now) => now && isFree(now) ? { ...now, owner: gateway } : undefined,
    );
    return claimed?.status === "in_progress" && claimed.owner === gateway;
  }

  async put(id: string, bytes: Uint8Array): Promise<void> {
    await this.#parts.vault.put(id, bytes);
  }

  async bytes(id: string): Promise<Uint8Array<ArrayBuffer>> {
    const whole = await this.#parts.vault.get(id);
    return whole === undefined ? bytesOf(await resultsIn(this.#parts.vault, id)) : new Uint8Array(whole);
  }

  async size(id: string): Promise<number> {
    return await this.#parts.vault.size(id) ?? (await this.bytes(id)).length;
  }

  input(id: string): BatchInput {
    return { name: id, lines: () => this.#lines(id) };
  }

  output(id: string): BatchOutput {
    const { vault, clock } = this.#parts;
    const open = async (earlier: (line: string) => void): Promise<ResultLines> => {
      const there = await resultsIn(vault, id);
      there.forEach(earlier);
      return new LogResults(vault, id, clock, there.length);
    };
    return { name: id, open };
  }

  async finish(id: string): Promise<void> {
    const { vault } = this.#parts;
    await vault.put(id, bytesOf(await resultsIn(vault, id)));
    await vault.wipe(id);
  }

  async *#lines(id: string): AsyncGenerator<string, void, void> {
    const text = new TextDecoder().decode(await this.bytes(id));
    const lines = text.split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    yield* lines;
  }
}

/** Results on their way into a log: what comes while an entry is written goes into the next one. */
class LogResults implements ResultLines {
  readonly #vault: Vault;
  readonly #log: string;
  readonly #clock: Clock;
  readonly #waiting: string[] = [];
  #characters = 0;
  #written: number;
  #writing: Promise<void> | undefined;
  lines: number;

  constructor(vault: Vault, log: string, clock: Clock, lines: number) {
    this.#vault = vault;
    this.#log = log;
    this.#clock = clock;
    this.lines = this.#written = lines;
  }

  async append(line: string): Promise<void> {
    this.#waiting.push(line);
    this.#characters += line.length;
    this.lines++;
    if (this.#characters > waitingMost) return await this.close();
    if (this.#writing !== undefined) return;
    this.#writing = this.#write();
    this.#writing.catch(() => {}); // `close` says it, which is always called
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const entry: Entry = { at: this.#written, lines: this.#waiting.splice(0) };
      this.#characters = 0;
      await appendSurely(this.#vault, this.#log, JSON.stringify(entry), this.#clock, writeMs);
      this.#written += entry.lines.length;
    }
    this.#writing = undefined;
  }
}

/** The results that a log has. */
async function resultsIn(vault: Vault, log: string): Promise<string[]> {
  const results: string[] = [];
  for (const text of (await vault.entries(log, 0)).texts) {
    const { at, lines } = JSON.parse(text) as Entry;
    if (at <= results.length) results.push(...lines.slice(results.length - at));
  }
  return results;
}

function bytesOf(lines: readonly string[]): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
}

function keyOf(kind: keyof Records, id: string): string {
  return `${kind}.${id}`;
}
