/**
 * Gateway, workers and queue in a world with a seeded clock, in which messages are late, lost, doubled and out of order, and workers are
 * killed, paused and cut off. The gateway is killed, too, and another one goes on from what was written down, which may be less than
 * readers had. The states of a job at both ends are those of the product; the queue behaves as JetStream's.
 *
 * @module
 */
import { JobReading, type Said, windowPieces } from "../src/cluster/reading.ts";
import { type Effect, JobRun } from "../src/cluster/running.ts";
import type { Control, Frame, PieceData, Question, Reply } from "../src/cluster/types.ts";

const ackWaitMs = 2000;
/** After so long another gateway goes on, and a worker gives up a job whose gateway does not answer. */
const [takenOverMs, orphanMs] = [5000, 10_000];

/** After so long a silence a worker is gone. */
const goneMs = 5000;

/** 32 bits of a few numbers. */
export function mix(...numbers: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return hash >>> 0;
}

/** A model whose tokens depend on the seed, on where they stand, and on what the sampler remembers. */
export function pieceAfter(seed: number, index: number, mu: number): PieceData {
  const token = mix(seed, index, mu) % 50_000;
  return { text: ` ${token}`, token, logprob: -token / 7, mu: mix(mu, token) % 1000 };
}

/** What can go wrong, as chances and counts. */
export interface Troubles {
  readonly lost: number;
  readonly doubled: number;
  /** The longest way of a message, in milliseconds; others take less, so that some overtake. */
  readonly lateMs: number;
  /** Kills, pauses, partitions of workers, kills of the gateway, and absences of the queue, all at random times. */
  readonly faults: number;
}

interface Waiting {
  readonly job: string;
  readonly isNew: boolean;
  deliveries: number;
  /** When it is handed to another worker. */
  dueAt: number;
}

interface Machine {
  name: string;
  readonly runs: Map<string, { readonly run: JobRun; at: number; mu: number; life: number; isOrphan?: true }>;
  pausedUntil: number;
  cutUntil: number;
  /** Things that came while it was paused. */
  readonly late: (() => void)[];
  life: number;
  isDraining: boolean;
}

/** One run of the world. */
export class World {
  now = 0;
  readonly buried: string[] = [];
  /** What each reader got, and how it ended. */
  readonly told = new Map<string, { readonly pieces: PieceData[]; end: unknown }>();
  readonly #random: () => number;
  readonly #events: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;
  readonly #troubles: Troubles;
  readonly #jobs: ReadonlyMap<string, { readonly seed: number; readonly length: number }>;
  /** By the names that jobs have at their gateways; behind a job's own name is how many it had before. */
  readonly #readings = new Map<string, JobReading>();
  /** What is written down of each job. */
  readonly #log = new Map<string, PieceData[]>();
  /** What its readers had when a gateway was killed. */
  readonly earlier = new Map<string, PieceData[]>();
  #gateway = 0;
  readonly #machines: Machine[];
  readonly #queue: Waiting[] = [];
  #absentUntil = 0;
  /** When workers were killed, paused or cut off last. */
  readonly #silentSince = new Map<string, number>();
  #faultsLeft: number;

  constructor(seed: number, troubles: Troubles, { workers = 3, jobs = 4 } = {}) {
    let state = seed;
    this.#random = () => (state = mix(state, 0x9e3779b9)) / 2 ** 32;
    this.#troubles = troubles;
    this.#faultsLeft = troubles.faults;
    this.#machines = Array.from({ length: workers }, (_, index) => this.#machine(index));
    this.#jobs = new Map(
      Array.from({ length: jobs }, (_, index) => [`job${index}`, {
        seed: mix(seed, index),
        length: 1 + Math.floor(this.#random() * 150),
      }]),
    );
    for (const machine of this.#machines) this.#each(machine, 100, () => this.#pull(machine));
    for (const machine of this.#machines) this.#each(machine, ackWaitMs / 4, () => this.#tick(machine));
    for (const job of this.#jobs.keys()) this.#submit(job);
    for (let fault = 0; fault < troubles.faults; fault++) this.#after(this.#random() * 20_000, () => this.#fault());
  }

  /** What the reader of a job must get. */
  expected(job: string): PieceData[] {
    const { seed, length } = this.#jobs.get(job) as { seed: number; length: number };
    const pieces: PieceData[] = [];
    for (let index = 0; index < length; index++) pieces.push(pieceAfter(seed, index, pieces.at(-1)?.mu ?? 0));
    return pieces;
  }

  get jobs(): string[] {
    return [...this.#jobs.keys()];
  }

  /** Jobs that lie in the queue. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Lets it run until all is told, or for so long. */
  run(mostMs = 240_000): void {
    for (;;) {
      let first = 0;
      for (let index = 1; index < this.#events.length; index++) {
        const [a, b] = [this.#events[index], this.#events[first]];
        if (a.at < b.at || (a.at === b.at && a.order < b.order)) first = index;
      }
      const event = this.#events[first];
      if (event === undefined || event.at > mostMs) return;
      this.#events[first] = this.#events.at(-1) as typeof event;
      this.#events.pop();
      this.now = event.at;
      event.run();
      if (this.#faultsLeft === 0 && this.#queue.length === 0 && [...this.told.values()].every(({ end }) => end)) return;
    }
  }

  #machine(index: number): Machine {
    const name = `worker${index}.0`;
    return { name, runs: new Map(), pausedUntil: 0, cutUntil: 0, late: [], life: 0, isDraining: false };
  }

  #after(ms: number, run: () => void): void {
    this.#events.push({ at: this.now + ms, order: this.#order++, run });
  }

  /** Something that a machine does again and again; a paused one does it when it wakes. */
  #each(machine: Machine, ms: number, act: () => void): void {
    this.#after(ms * (0.5 + this.#random()), () => {
      this.#on(machine, act);
      this.#each(machine, ms, act);
    });
  }

  #on(machine: Machine, act: () => void): void {
    if (machine.pausedUntil > this.now) machine.late.push(act);
    else act();
  }

  /** A message takes a while, gets lost, or comes twice. */
  #deliver(machine: Machine, act: () => void): void {
    if (this.#absentUntil > this.now || machine.cutUntil > this.now) return;
    const { lost, doubled, lateMs } = this.#troubles;
    if (this.#random() < lost) return;
    const { life } = machine;
    const copies = this.#random() < doubled ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#after(0.2 + this.#random() * lateMs, () => {
        if (machine.cutUntil <= this.now && machine.life === life) act();
      });
    }
  }

  #fault(): void {
    this.#faultsLeft--;
    const machine = this.#machines[Math.floor(this.#random() * this.#machines.length)];
    const kind = this.#random();
    const span = 500 + this.#random() * 4 * ackWaitMs;
    this.#silentSince.set(machine.name, this.now);
    if (kind < 0.3) {
      // Killed, and another process in its place.
      machine.life++;
      machine.name = `${machine.name.split(".")[0]}.${machine.life}`;
      machine.runs.clear();
      machine.late.length = 0;
      machine.pausedUntil = 0;
    } else if (kind < 0.55) {
      machine.pausedUntil = this.now + span;
      const { life } = machine;
      this.#after(span, () => {
        if (machine.life !== life) return;
        machine.pausedUntil = 0;
        for (const act of machine.late.splice(0)) act();
      });
    } else if (kind < 0.75) {
      machine.cutUntil = this.now + span;
    } else if (kind < 0.85) {
      this.#on(machine, () => {
        for (const [job, { run }] of machine.runs) this.#carryOut(machine, job, run.drain());
      });
    } else if (kind < 0.93) {
      this.#gateway++;
      this.#readings.clear();
      this.#after(takenOverMs, () => this.#takeOver());
    } else {
      this.#absentUntil = this.now + span;
    }
  }

  #submit(job: string): void {
    const before = this.#log.get(job) ?? [];
    const name = `${job} ${this.#gateway}`;
    this.#log.set(job, before);
    this.#readings.set(name, new JobReading(name, before));
    this.told.set(job, { pieces: [...before], end: undefined });
    this.#queue.push({ job: name, isNew: before.length === 0, deliveries: 0, dueAt: 0 });
    this.#read(name);
  }

  /** Another gateway goes on with what has not ended. */
  #takeOver(): void {
    for (const [job, { pieces, end }] of [...this.told]) {
      if (end !== undefined || this.#readings.has(`${job} ${this.#gateway}`)) continue;
      const had = this.earlier.get(job) ?? [];
      this.earlier.set(job, pieces.length > had.length ? pieces : had);
      this.#submit(job);
    }
  }

  /** Writes down what has come, a little later. */
  #write(name: string): void {
    const reading = this.#readings.get(name);
    this.#after(this.#random() * 200, () => {
      if (reading === undefined || this.#readings.get(name) !== reading) return;
      this.#log.set(jobOf(name), [...reading.pieces]);
    });
  }

  /** A reader that takes what is there, at its own pace. */
  #read(name: string): void {
    const reading = this.#readings.get(name);
    if (reading === undefined) return;
    const job = jobOf(name);
    const told = this.told.get(job) as { pieces: PieceData[]; end: unknown };
    const ahead = reading.pieces.length - told.pieces.length;
    if (ahead > windowPieces) throw new Error(`${job} is ${ahead} pieces ahead of its reader`);
    for (let count = 1 + Math.floor(this.#random() * 40); count > 0; count--) {
      const { piece, said } = reading.read();
      this.#sayAll(said);
      if (piece === undefined) {
        if (reading.outcome !== undefined) {
          told.end = reading.outcome;
          if (reading.isPoison) this.buried.push(job);
          return;
        }
        break;
      }
      told.pieces.push(piece);
    }
    this.#after(1 + this.#random() * 300, () => this.#read(name));
  }

  #sayAll(said: readonly Said[]): void {
    for (const { worker, control } of said) {
      const machine = this.#machines.find(({ name }) => name === worker);
      if (machine) this.#deliver(machine, () => this.#on(machine, () => this.#hear(machine, control)));
    }
  }

  #hear(machine: Machine, control: Control): void {
    const running = machine.runs.get(control.job);
    if (running) this.#carryOut(machine, control.job, running.run.told(control));
  }

  #pull(machine: Machine): void {
    if (machine.runs.size >= 2 || this.#absentUntil > this.now || machine.cutUntil > this.now) return;
    const waiting = this.#queue.find(({ dueAt }) => dueAt <= this.now);
    if (waiting === undefined) return;
    waiting.deliveries++;
    waiting.dueAt = this.now + ackWaitMs;
    const { job, isNew, deliveries } = waiting;
    // Handed over, but on its way it may be lost.
    this.#deliver(machine, () => {
      this.#on(machine, () => {
        if (machine.runs.has(job)) return;
        const run = new JobRun(job, machine.name, deliveries);
        machine.runs.set(job, { run, at: 0, mu: 0, life: 0 });
        this.#carryOut(machine, job, run.begin(isNew));
      });
    });
  }

  #tick(machine: Machine): void {
    for (const [job, { run }] of machine.runs) this.#carryOut(machine, job, run.tick());
  }

  #ask(machine: Machine, question: Question, made: number): void {
    this.#deliver(machine, () => {
      const reading = this.#readings.get(question.job);
      if (reading === undefined) return this.#orphan(machine, question.job);
      const reply: Reply = reading.ask(question, (worker) => this.#isThere(worker));
      this.#deliver(machine, () =>
        this.#on(machine, () => {
          const running = machine.runs.get(question.job);
          if (running) this.#carryOut(machine, question.job, running.run.replied(reply, made));
        }));
    });
  }

  /** As gateways know it: a worker is gone when it was silent for some seconds. */
  #isThere(worker: string): boolean {
    const machine = this.#machines.find(({ name }) => name === worker);
    const isSilent = machine === undefined || machine.pausedUntil > this.now || machine.cutUntil > this.now;
    return !isSilent || this.now - (this.#silentSince.get(worker) ?? 0) <= goneMs;
  }

  #send(machine: Machine, frame: Frame): void {
    this.#deliver(machine, () => {
      const reading = this.#readings.get(frame.job);
      if (reading === undefined) return;
      this.#sayAll(reading.take(frame));
      this.#write(frame.job);
    });
  }

  /** A job whose gateway does not answer is given up after a while. */
  #orphan(machine: Machine, job: string): void {
    const running = machine.runs.get(job);
    if (running === undefined || running.isOrphan) return;
    running.isOrphan = true;
    this.#after(orphanMs, () => {
      this.#on(machine, () => {
        if (machine.runs.get(job) === running) this.#carryOut(machine, job, running.run.orphaned());
      });
    });
  }

  #carryOut(machine: Machine, job: string, effects: readonly Effect[]): void {
    const running = machine.runs.get(job);
    if (running === undefined) return;
    const waiting = this.#queue.find((one) => one.job === job);
    const { run } = running;
    for (const effect of effects) {
      switch (effect.do) {
        case "ask":
          this.#ask(machine, run.question(effect.first), effect.made);
          break;
        case "start":
          running.at = effect.tokens.length;
          running.mu = effect.mu ?? 0;
          break;
        case "next":
          this.#generate(machine, job);
          break;
        case "send":
          this.#send(machine, effect.frame as Frame);
          break;
        case "working":
          this.#deliver(
            machine,
            () => waiting && this.#queue.includes(waiting) && (waiting.dueAt = this.now + ackWaitMs),
          );
          break;
        case "acknowledge":
          this.#deliver(machine, () => {
            const at = this.#queue.findIndex((one) => one === waiting);
            if (at >= 0) this.#queue.splice(at, 1);
          });
          break;
        case "giveBack":
          this.#deliver(machine, () => waiting && (waiting.dueAt = this.now + effect.delayMs));
          break;
        case "stop":
          running.life++;
          break;
        case "forget":
          machine.runs.delete(job);
      }
    }
  }

  #generate(machine: Machine, job: string): void {
    const running = machine.runs.get(job);
    const { seed, length } = this.#jobs.get(jobOf(job)) as { seed: number; length: number };
    if (running === undefined) return;
    const [{ life }, { life: own }] = [machine, running];
    this.#after(1 + this.#random() * 40, () => {
      this.#on(machine, () => {
        if (machine.life !== life || machine.runs.get(job) !== running || running.life !== own) return;
        if (running.at === length) {
          return this.#carryOut(machine, job, running.run.ended({ stopReason: "stop" } as never));
        }
        const piece = pieceAfter(seed, running.at++, running.mu);
        running.mu = piece.mu as number;
        this.#carryOut(machine, job, running.run.piece(piece));
      });
    });
  }
}

/** The job of a name that it has at a gateway. */
function jobOf(name: string): string {
  return name.split(" ")[0];
}
