/**
 * What a cluster costs: three workers behind a gateway beside three engines that run at once on the same cores without NATS, in turns;
 * and how much later the first token comes through a gateway than from the model in the same process. It needs `nats-server`.
 *
 *     bun bench/cluster.ts [--model FILE] [--rounds N] [--streams N] [--tokens N]
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import process from "node:process";
import { openGateway } from "../exports/cluster.ts";
import { createServer, type Server } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";
import { median } from "../src/engine/median.ts";
import { repository } from "../test/kit.ts";
import { type Command, runtimes, startCommand, startNats } from "../test/nats-server.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    rounds: { type: "string", default: "5" },
    streams: { type: "string", default: "12" },
    tokens: { type: "string", default: "96" },
  },
});
const [rounds, streams, tokens] = [values.rounds, values.streams, values.tokens].map(Number);
const engines = 3;
/** Rounds until both have compiled what is used often. */
const warming = 3;

/** Keeps tokens from being chosen that end a text: no answer ends before all of its tokens are there. */
type Endless = Readonly<Record<string, number>>;

function endlessOf({ model }: LightGPT): Endless {
  return Object.fromEntries([...model.tokenizer.endOfGeneration].map((token) => [token, -100]));
}

function bodyOf(index: number, count: number, logit_bias: Endless): Request {
  const body = { prompt: `Story ${index}: once upon a time`, stream: true, seed: index, max_tokens: count, logit_bias };
  const headers = { "content-type": "application/json" };
  return new Request("http://localhost/v1/completions", { method: "POST", headers, body: JSON.stringify(body) });
}

/** Reads a stream to its end; gives the milliseconds to its first bytes. */
async function read(server: Server, index: number, count: number, endless: Endless): Promise<number> {
  const begin = performance.now();
  const response = await server.fetch(bodyOf(index, count, endless));
  let first = 0;
  for await (const _ of response.body ?? []) first ||= performance.now() - begin;
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return first;
}

/** Reads so many streams at once; gives the seconds. */
async function readAll(server: Server, from: number, count: number, endless: Endless): Promise<number> {
  const begin = performance.now();
  await Promise.all(Array.from({ length: count }, (_, index) => read(server, from + index, tokens, endless)));
  return (performance.now() - begin) / 1000;
}

/** One engine: reads its streams each time a line with a number comes, and says when it has. */
async function engine(): Promise<void> {
  await using lm = await LightGPT.load(values.model, { threads: 1 });
  await using server = createServer({ models: { m: lm }, limits: { openPerKey: 1024 } });
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    await readAll(server, Number(line), streams, endlessOf(lm));
    console.log("done");
  }
}

/** A process that is one engine. */
class Engine {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const [program, ...flags] = runtimes[0];
    const own = [
      "--streams",
      `${streams}`,
      "--tokens",
      `${tokens}`,
      ...(values.model ? ["--model", values.model] : []),
    ];
    this.child = spawn(program, [...flags, "bench/cluster.ts", "engine", ...own], {
      cwd: repository,
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (this.child.stdout === null) throw new Error("no output");
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async said(): Promise<void> {
    if ((await this.#lines.next()).done) throw new Error("an engine has ended");
  }

  async read(from: number): Promise<void> {
    this.child.stdin?.write(`${from}\n`);
    await this.said();
  }
}

/** Seconds of processor time that processes have had; what is busy beside them does not change it. */
function processorSeconds(processes: readonly ChildProcess[]): number {
  return processes.reduce((sum, { pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) / 100; // a clock tick of Linux is 10 ms
  }, 0);
}

/** Those of this process: the gateway, and the readers of its streams. */
function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The middle of how much later a first token comes through a gateway. */
async function latency(gateway: Server, lm: LightGPT): Promise<number> {
  await using local = createServer({ models: { m: lm } });
  const [far, near]: [number[], number[]] = [[], []];
  for (let index = 0; index < 220; index++) {
    // The prompts are warm at both.
    near.push(await read(local, index % 4, 1, {}));
    far.push(await read(gateway, index % 4, 1, {}));
  }
  return median(far.slice(20)) - median(near.slice(20));
}

async function main(): Promise<void> {
  await using nats = await startNats();
  const words = ["worker", "--nats", nats.url, "--name", "m", "--threads", "1", "--rows", `${streams}`];
  const workers: Command[] = await Promise.all(
    Array.from({ length: engines }, () => startCommand([...words, ...(values.model ? ["--model", values.model] : [])])),
  );
  const alone = Array.from({ length: engines }, () => new Engine());
  try {
    await Promise.all(alone.map((one) => one.said()));
    await using lm = await LightGPT.load(values.model, { threads: 1 });
    const endless = endlessOf(lm);
    await using gateway = await openGateway({ nats: nats.url, limits: { openPerKey: 1024 } });
    const rates: [number[], number[]] = [[], []];
    /** Processor seconds of each round: of the engines, of the workers, of the server of NATS, of the gateway. */
    const costs: [number[], number[], number[], number[]] = [[], [], [], []];
    const engineChildren = alone.map(({ child }) => child);
    const workerChildren = workers.map(({ child }) => child);
    const spent = () => [
      processorSeconds(engineChildren),
      processorSeconds(workerChildren),
      processorSeconds([nats.child()]),
      ownSeconds(),
    ];
    for (let round = 0; round < warming + rounds; round++) {
      const from = 1000 * round;
      const start = spent();
      const begin = performance.now();
      await Promise.all(alone.map((one, index) => one.read(from + streams * index)));
      const apart = (performance.now() - begin) / 1000;
      const middle = spent();
      const together = await readAll(gateway, from, engines * streams, endless);
      const end = spent();
      if (round < warming) continue;
      costs.forEach((list, index) => list.push(index === 0 ? middle[0] - start[0] : end[index] - middle[index]));
      [apart, together].forEach((seconds, index) => rates[index].push(engines * streams * tokens / seconds));
      console.log(
        `round ${round - warming + 1}: engines ${rates[0].at(-1)?.toFixed(0)}, cluster ${
          rates[1].at(-1)?.toFixed(0)
        } tokens/s`,
      );
    }
    const ratio = median(rates[1].map((rate, index) => rate / rates[0][index]));
    console.log(`three workers over three engines: ${ratio.toFixed(3)}   goal >= 0.95`);
    const [engineCosts, ...clusterCosts] = costs;
    const wholes = engineCosts.map((_, index) => clusterCosts.reduce((sum, list) => sum + list[index], 0));
    const dearer = median(wholes.map((seconds, index) => engineCosts[index] / seconds));
    console.log(`the same by processor time, whatever else the machine does: ${dearer.toFixed(3)}`);
    const [e, w, n, g] = costs.map((list) => median(list).toFixed(2));
    console.log(`processor seconds a round: engines ${e}; workers ${w}, nats-server ${n}, gateway and readers ${g}`);
    console.log(`added latency of the first token: ${(await latency(gateway, lm)).toFixed(2)} ms   goal <= 3 ms`);
  } finally {
    for (const { child } of alone) child.kill();
    for (const worker of workers) await worker[Symbol.asyncDispose]();
  }
}

await (positionals[0] === "engine" ? engine() : main());
