/**
 * How short of memory the system is: the share of time in which a task waited for memory (PSI), and how often the process's
 * control group met its limit. A fact that the system does not tell is absent.
 *
 * @module
 */
import { readCgroups } from "./cgroup.ts";
import { Source, wholeNumber } from "./source.ts";

/** What the system says of its memory at a moment. */
export interface Pressure {
  /** Percent of the last ten seconds in which some task waited for memory. */
  readonly waiting: number | undefined;
  /** How often the group has met its limits since it was made: throttled, stopped at the maximum, or killed. */
  readonly met: number | undefined;
}

/** Reads the pressure as often as asked; the places of the files are found once. */
export class PressureProbe {
  readonly #source: Source;
  readonly #folder: string | undefined;

  /** Looks for the files of the process's own group. */
  constructor(source: Source = new Source()) {
    this.#source = source;
    this.#folder = source.platform === "linux" ? readCgroups(source).folder : undefined;
  }

  /** The pressure now. */
  read(): Pressure {
    if (this.#source.platform !== "linux") return { waiting: undefined, met: undefined };
    const folder = this.#folder;
    const own = folder === undefined ? undefined : this.#source.read(`${folder}/memory.pressure`);
    const text = own ?? this.#source.read("/proc/pressure/memory");
    const [, share] = /^some avg10=(\d{1,3}(?:\.\d+)?) /m.exec(text ?? "") ?? [];
    const events = folder === undefined ? undefined : this.#source.read(`${folder}/memory.events`);
    return {
      waiting: share === undefined ? undefined : Number(share),
      met: events === undefined ? undefined : countOf(events),
    };
  }
}

/** The sum of the events that mean a limit. */
function countOf(events: string): number | undefined {
  const counts = [...events.matchAll(/^(?:high|max|oom|oom_kill) (\d+)$/gm)].map(([, count]) =>
    wholeNumber(count) ?? 0
  );
  return counts.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : undefined;
}
