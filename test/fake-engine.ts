/**
 * An engine for tests of the scheduler: its keys and values are numbers that say what they were computed from, and it checks
 * all that it is told.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Chain, SampleRequest, StepResult, StepRunner, StepSequence } from "../src/engine/step.ts";
import type { Choice, SamplerState } from "../src/sampling/state.ts";

/** What a token at the end of `before` computes to: a number that depends on all of them. */
function mix(before: number, token: number): number {
  const mixed = Math.imul(before ^ (token + 0x9e3779b9), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

function choose(state: number, seed: bigint, choice: number, vocabulary: number): number {
  return mix(mix(state, Number(seed)), choice) % vocabulary;
}

/** What a request must give: the tokens of an engine that serves nobody else. */
export function expected(prompt: ArrayLike<number>, seed: bigint, count: number, vocabulary: number): number[] {
  let state = 0;
  for (let index = 0; index < prompt.length; index++) state = mix(state, prompt[index] as number);
  const tokens: number[] = [];
  for (let choice = 0; choice < count; choice++) {
    const token = choose(state, seed, choice, vocabulary);
    tokens.push(token);
    state = mix(state, token);
  }
  return tokens;
}

/** How tokens are chosen there: by a seed and the number of the choice. */
export class FakeSampler {
  readonly seed: bigint;
  choices = 0;

  constructor(seed: bigint) {
    this.seed = seed;
  }

  accept(): void {
    this.choices++;
  }

  tell(): void {
    // There is no report.
  }

  get changes(): boolean {
    return this.seed === 3n;
  }

  /** Chooses by nothing that takes long. */
  prepare(): boolean {
    return true;
  }

  assertChoice(): void {
    // Nothing is kept from it.
  }

  lookahead(): undefined {}

  /** As a sequence wants it. */
  static sample(seed: bigint): { sampler: SamplerState; top: undefined } {
    return { sampler: new FakeSampler(seed) as unknown as SamplerState, top: undefined };
  }
}

/** An engine that computes numbers and checks all that it is told. */
export class FakeEngine implements StepRunner {
  readonly settings: StepRunner["settings"];
  readonly #vocabulary: number;
  readonly #memory: Uint32Array;
  /** What windowed layers keep: the same, until it is left behind. */
  readonly #windowed: Uint32Array;
  readonly #both: readonly [Uint32Array, Uint32Array];
  /** Positions that windowed layers see, the query's included; 0: there are none. */
  readonly window: number;
  /** Pages that hold the state of a sequence: it must be right as well as the keys, and is read instead of them. */
  readonly statePages: number;
  readonly #fault: (sequence: StepSequence | undefined) => Error | undefined;
  #isBusy = false;
  steps = 0;
  tokens = 0;

  /** `fault` is asked for each sequence of a step, and once for the step. */
  constructor(
    settings: StepRunner["settings"],
    vocabulary: number,
    fault: (sequence: StepSequence | undefined) => Error | undefined = () => undefined,
    { statePages = 0, window = 0 }: { readonly statePages?: number; readonly window?: number } = {},
  ) {
    this.settings = settings;
    this.statePages = statePages;
    this.window = window;
    this.#vocabulary = vocabulary;
    const floats = settings.pages * settings.pageSize;
    [this.#memory, this.#windowed] = this.#both = [new Uint32Array(floats), new Uint32Array(floats)];
    this.#fault = fault;
  }

  /** What the scheduler did wrong first: it takes what is thrown for a failure of the engine. */
  broken: unknown;

  async run(sequences: readonly StepSequence[]): Promise<StepResult[]> {
    const refused = this.#fault(undefined);
    if (refused) throw refused;
    try {
      assert(!this.#isBusy, "two steps at once");
      return await this.#run(sequences);
    } catch (error) {
      this.broken ??= error;
      throw error;
    }
  }

  async #run(sequences: readonly StepSequence[]): Promise<StepResult[]> {
    const { batchTokens, logitRows } = this.settings;
    assert(sequences.length > 0 && sequences.length <= this.settings.sequences, "sequences of a step");
    assertEquals(new Set(sequences.map(({ id }) => id)).size, sequences.length);
    const tokens = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
    assert(tokens <= batchTokens, "tokens of a step");
    const rows = sequences.reduce(
      (sum, { logits, tokens, drafts = 0 }) => sum + (logits === "all" ? tokens.length : 1 + drafts),
      0,
    );
    assert(rows <= logitRows, "rows of a step");
    this.steps++;
    this.tokens += tokens;
    this.#isBusy = true;
    const written = new Map<number, number>();
    const results = sequences.map((sequence) => this.#one(sequence, written));
    await undefined;
    this.#isBusy = false;
    return results;
  }

  /** Rounds that followed others, and how many of a sequence's choices waited for something that came. */
  chained = 0;
  late = 0;
  #cancelled = new Set<number>();
  #granted = 0;
  /** What each sequence that pauses in a chain reads next, its choice and position, where that was said; and whether a round may follow. */
  #next = new Map<number, { token: number; choices: number; position: number }>();
  #goesOn = false;
  /** Rounds that a sequence sat out, and those that it came back for. */
  paused = 0;
  returned = 0;
  /** The choice of each sequence whose round in flight may go by what comes late. */
  #awaited = new Map<number, number>();

  /** Several rounds may end before the scheduler hears of the first, as beside a busy event loop. */
  async runChain(sequences: readonly StepSequence[], isInline: boolean, chain: Chain): Promise<void> {
    const refused = this.#fault(undefined);
    if (refused) throw refused;
    try {
      await this.#runChain(sequences, isInline, chain);
    } catch (error) {
      this.broken ??= error;
      throw error;
    }
  }

  async #runChain(given: readonly StepSequence[], isInline: boolean, chain: Chain): Promise<void> {
    // A sequence that is given up has no pages any more.
    const sequences = given.map((sequence) => ({ ...sequence, pages: [...sequence.pages as number[]] }));
    assert(chain.rounds > 1 && chain.granted >= 1, "rounds of a chain");
    const ends = new Set(chain.ends);
    const first = sequences.findIndex(({ pauses }) => pauses);
    const plain = sequences.slice(0, first < 0 ? undefined : first);
    assert(plain.length > 0 && !(isInline && first >= 0), "a chain of those that pause");
    assert(sequences.slice(plain.length).every(({ pauses }) => pauses), "those that pause come last");
    this.#cancelled.clear();
    this.#next.clear();
    this.#goesOn = true;
    this.#granted = chain.granted;
    const samplers = sequences.map(({ sample }) => sample?.sampler as unknown as FakeSampler | undefined);
    const at = samplers.map((sampler) => sampler?.choices ?? 0);
    const tokens = sequences.map(({ tokens }) => tokens[0] as number);
    const positions = sequences.map(({ position }) => position);
    let active = sequences.map((_, index) => index);
    const waiting: (StepResult | undefined)[][] = [];
    for (let round = 0, isOver = false; !isOver; round++) {
      assert(round < chain.rounds, "a round too many");
      const late = sequences.some(({ sample, pauses }) => sample?.sampler.changes && !pauses);
      assert(!late || !isInline, "an inline chain waits for itself");
      const steps = active.map((index) => ({
        ...sequences[index],
        position: positions[index],
        tokens: [tokens[index] as number],
        sample: samplers[index] &&
          { sampler: Object.assign(new FakeSampler(samplers[index].seed), { choices: at[index] }) },
      })) as unknown as StepSequence[];
      for (const [index, { id, sample }] of plain.entries()) {
        if (round === 0 || !sample?.sampler.changes || this.#cancelled.has(id)) continue;
        assertEquals(this.#awaited.get(id), at[index], "a choice went by what was not there");
        this.late++;
      }
      this.#awaited.clear();
      const results = await this.#run(steps);
      this.#isBusy = true;
      const all = new Array<StepResult | undefined>(sequences.length).fill(undefined);
      active.forEach((place, index) => {
        all[place] = results[index];
        tokens[place] = results[index]?.choices?.[0]?.token ?? -1;
        positions[place]!++;
        at[place]!++;
      });
      this.paused += sequences.length - active.length;
      const isEnd = plain.some((_, index) => all[index]?.error || ends.has(tokens[index] as number)) ||
        this.#cancelled.size > 0;
      isOver = isEnd || round + 1 >= chain.rounds || round + 1 >= this.#granted;
      active = plain.map((_, index) => index);
      this.#goesOn = !isOver;
      waiting.push(all);
      if (round > 0) this.chained++;
      // What comes late needs each round to be taken before the next one chooses.
      if (isOver || late || (!isInline && this.steps % 3 === 0)) {
        while (waiting.length > 0) {
          const taken = waiting.shift() as (StepResult | undefined)[];
          const isLast = isOver && waiting.length === 0;
          if (isLast) this.#isBusy = false;
          const granted = chain.take({ results: taken, ms: 1, isLast });
          // Rounds that ended meanwhile were granted before.
          if (this.#granted > 0) this.#granted = granted;
        }
        // Readers ask.
        for (let turns = this.steps % 8; turns > 0; turns--) await undefined;
      }
      for (const [index, { id }] of isOver ? [] : sequences.entries()) {
        const next = this.#next.get(id);
        if (next === undefined || !this.#next.delete(id) || this.#cancelled.has(id)) continue;
        assertEquals([next.position - 1, samplers[index] ? next.choices : at[index]], [positions[index], at[index]]);
        tokens[index] = next.token;
        active.push(index);
        this.returned++;
      }
    }
    this.#isBusy = false;
  }

  goOn(id: number, token: number, sample: SampleRequest | undefined, position: number): boolean {
    if (!this.#goesOn) return false;
    this.#next.set(id, {
      token,
      choices: (sample?.sampler as unknown as FakeSampler | undefined)?.choices ?? 0,
      position,
    });
    return true;
  }

  haltChain(): void {
    this.#granted = 0;
  }

  handOver(id: number, { sampler }: SampleRequest, position: number): void {
    assert(position > 0);
    this.#awaited.set(id, (sampler as unknown as FakeSampler).choices);
  }

  cancel(id: number): void {
    this.#cancelled.add(id);
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  copyPage(from: number, to: number): void {
    assert(!this.#isBusy, "a page was copied during a step");
    const { pageSize } = this.settings;
    for (const memory of this.#both) memory.copyWithin(to * pageSize, from * pageSize, (from + 1) * pageSize);
  }

  leavePage(page: number): void {
    assert(!this.#isBusy, "a page was left behind during a step");
    const { pageSize } = this.settings;
    this.#windowed.fill(0xdead, page * pageSize, (page + 1) * pageSize);
  }

  discardPages(first: number, count: number): number {
    assert(!this.#isBusy, "pages were given back during a step");
    const { pageSize } = this.settings;
    for (const memory of this.#both) memory.fill(0xdead, first * pageSize, (first + count) * pageSize);
    return count;
  }

  #one(step: StepSequence, written: Map<number, number>): StepResult {
    const { pageSize } = this.settings;
    const at = (position: number) =>
      (step.pages[this.statePages + Math.floor(position / pageSize)] as number) * pageSize + position % pageSize;
    const statePlaces = Array.from({ length: this.statePages }, (_, index) => (step.pages[index] as number) * pageSize);
    const error = this.#fault(step);
    if (error) {
      // What a step that failed leaves of a state is not one.
      for (const place of statePlaces) this.#memory[place] = 0xbad;
      return { error, logits: new Float32Array(0) };
    }
    let state = 0;
    const drafts = step.drafts ?? 0;
    const states: number[] = [];
    if (step.hidden) {
      assertEquals(step.tokens.length, 0);
      const [high, low] = step.hidden as unknown as [number, number];
      state = high * 65_536 + low;
    } else {
      assert(step.tokens.length > 0, "nothing to read");
      const capacity = (step.pages.length - this.statePages) * pageSize;
      assert(step.position + step.tokens.length <= capacity, "too few pages");
      state = step.position === 0 ? 0 : this.#memory[at(step.position - 1)] as number;
      if (step.position > 0) {
        statePlaces.forEach((place, index) => assertEquals(this.#memory[place], (state ^ index) >>> 0, "the state"));
      }
      const seen = this.window === 0 ? step.position : Math.max(0, step.position - this.window + 1);
      for (let position = seen; position < step.position; position++) {
        assert(this.#windowed[at(position)] === this.#memory[at(position)], "what the window shows is gone");
      }
      for (let index = 0; index < step.tokens.length; index++) {
        state = mix(state, step.tokens[index] as number);
        const place = at(step.position + index);
        assert(!written.has(place), "two sequences write to one place");
        written.set(place, step.id);
        this.#memory[place] = this.#windowed[place] = state;
        states.push(state);
      }
    }
    const result: { -readonly [Key in keyof StepResult]: StepResult[Key] } = {
      logits: new Float32Array(step.logits === "none" ? 0 : step.logits === "last" ? 1 : step.tokens.length),
    };
    if (step.sample) {
      const { seed, choices } = step.sample.sampler as unknown as FakeSampler;
      const chosen: Choice[] = [];
      for (let index = 0; index <= drafts; index++) {
        const at = states[states.length - 1 - drafts + index] ?? state;
        const token = choose(at, seed, choices + index, this.#vocabulary);
        chosen.push({ token });
        if (token !== step.tokens[step.tokens.length - drafts + index]) break;
      }
      result.choices = chosen;
    }
    // Of the drafts, the state takes those that were right.
    const kept = states[states.length - 1 - drafts + Math.max(0, (result.choices?.length ?? 1) - 1)];
    if (kept !== undefined) {
      statePlaces.forEach((place, index) => {
        assert(!written.has(place), "two sequences write to one state");
        written.set(place, step.id);
        this.#memory[place] = (kept ^ index) >>> 0;
      });
    }
    assert(drafts === 0 || !step.keep, "a state behind a guess");
    if (step.keep) result.hidden = Float32Array.of(Math.floor(state / 65_536), state % 65_536);
    return result;
  }
}
