/**
 * One round of an experiment: each subject in a process of its own, one after the other, the other way round in every
 * second round, so that none always runs on what another leaves behind. `run.ts` starts it, so that whatever keeps the
 * machine quiet can be put in front of a whole round.
 *
 *     bun bench/round.ts EXPERIMENT NUMBER
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promptSource } from "../src/measuring/benchmark/timing.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { allThreads, type ChildPlan, EXPERIMENTS, type Round, type Subject, type SubjectResult } from "./plan.ts";
import { makeModel } from "./shapes.ts";
import { sharedWindow } from "./statistics.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const tool = (name: string) => here(`../node_modules/.bin/${name}`);

/** Runs a program to its end; the JSON that it prints last. */
function runChild(command: string, parameters: readonly string[], env: Record<string, string> = {}): unknown {
  const output = execFileSync(command, parameters, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  });
  return JSON.parse(output.trim().split("\n").at(-1) ?? "");
}

function runLightGPT({ runtime = "bun", level }: Subject, plan: ChildPlan): SubjectResult {
  const start = runtime === "deno" ? ["run", "-A", "--no-check"] : [];
  const env: Record<string, string> = level === undefined ? {} : { LIGHTGPT_CPU: level };
  const run = () => runChild(tool(runtime), [...start, here("worker.ts"), JSON.stringify(plan)], env) as SubjectResult;
  if (!plan.packed) return run();
  env.LIGHTGPT_CACHE = mkdtempSync(join(tmpdir(), "lightgpt-bench-"));
  try {
    run(); // keeps the packed weights
    return run();
  } finally {
    rmSync(env.LIGHTGPT_CACHE, { recursive: true });
  }
}

/** Puts a file out of the system's memory. */
function forget(path: string): void {
  execFileSync("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
}

/** The libraries of llama.cpp that node-llama-cpp brings for this machine, and the program linked with them. */
const direct = here("peers/node_modules/.direct/direct");

function runDirect({ withoutAmx }: Subject, { model, threads, context, work }: ChildPlan): SubjectResult {
  const { backends, backendsWithoutAmx, version } = JSON.parse(readFileSync(`${direct}.json`, "utf8"));
  const words = work.map((part) =>
    part.kind === "prefill"
      ? `${part.name}:prefill:${part.tokens}`
      : `${part.name}:decode:${part.batch}:${part.context}:${part.tokens}`
  );
  const result = runChild(direct, [
    model,
    String(threads),
    String(context),
    withoutAmx ? backendsWithoutAmx : backends,
    ...words,
  ]);
  return { ...result as Omit<SubjectResult, "version" | "others">, version, others: {} };
}

/** llama.cpp's own tool, where a folder of its tools is named. */
const tools = process.env.LIGHTGPT_LLAMA_TOOLS;

/** One sequence only: the tool has no batches. */
function runTool({ model, threads, work }: ChildPlan): SubjectResult {
  const tool = `${tools}/llama-bench`;
  const alone = work.filter((part) => part.kind === "prefill" || part.batch === 1);
  const rates = alone.map((part) => {
    const words = part.kind === "prefill"
      ? ["-p", part.tokens, "-n", 0]
      : ["-p", 0, "-n", part.tokens, "-d", part.context];
    const output = execFileSync(
      tool,
      ["-m", model, "-t", `${threads}`, "-r", "1", "-o", "json", ...words.map(String)],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    const [{ avg_ts, build_commit }] = JSON.parse(output) as [{ avg_ts: number; build_commit: string }];
    return { name: part.name, rate: avg_ts, commit: build_commit };
  });
  return {
    version: `llama-bench, commit ${rates[0]?.commit}`,
    rates: Object.fromEntries(rates.map(({ name, rate }) => [name, rate])),
    others: {},
    // The tool tells neither times of loading nor memory.
    loadMs: NaN,
    firstTokenMs: NaN,
    emptyBytes: NaN,
    loadedBytes: NaN,
    peakBytes: NaN,
  };
}

function runBinding(plan: ChildPlan): SubjectResult {
  const prompts = promptSource();
  const { times, ...rest } = runChild("node", [
    here("peers/llama.mjs"),
    JSON.stringify({
      ...plan,
      peerVersion: JSON.parse(readFileSync(here("peers/node_modules/node-llama-cpp/package.json"), "utf8")).version,
      prompts: plan.work.map((work) =>
        work.kind === "prefill"
          ? [prompts(work.tokens)]
          : Array.from({ length: work.batch }, () => prompts(work.context))
      ),
    }),
  ]) as Omit<SubjectResult, "rates"> & { times: Record<string, number[][]> };
  const rates = plan.work.map((work) => {
    const { tokens, ms } = work.kind === "prefill"
      ? { tokens: work.tokens, ms: times[work.name][0][1] - times[work.name][0][0] }
      : sharedWindow(times[work.name]);
    return [work.name, tokens / ms * 1000];
  });
  return { ...rest, rates: Object.fromEntries(rates) };
}

/** Does something while a process beside it keeps one core busy with integers. */
function besideNeighbour<Result>(action: () => Result): Result {
  const busy = spawn("node", ["-e", "for (let i = 0;; i = (i + 1) | 0);"], { stdio: "ignore" });
  try {
    return action();
  } finally {
    busy.kill("SIGKILL");
  }
}

/** Measures once. */
export function runRound(experiment: string, number: number): Round {
  const { model, subjects, work, kernels } = EXPERIMENTS[experiment];
  const most = work.map((part) => part.kind === "prefill" ? part.tokens + 1 : part.context + 2 * part.tokens + 17);
  const plan: ChildPlan = {
    model: model === "embedded" ? embeddedModel() : makeModel(model),
    threads: allThreads,
    context: Math.max(...most) > 512 ? Math.max(...most) : 512,
    work,
  };
  // Without a C++ compiler there is no program of llama.cpp's own, and no row against it.
  const isThere = (engine: Subject["engine"]) =>
    ({
      lightgpt: true,
      "llama.cpp": existsSync(direct),
      "node-llama-cpp": existsSync(here("peers/node_modules/node-llama-cpp")),
      "llama-bench": tools !== undefined,
    })[engine];
  const order = Object.entries(subjects).filter(([, { engine }]) => isThere(engine));
  if (number % 2 === 1) order.reverse();
  const results = order.map(([name, subject]) => {
    const { threads, kv, activations, packed, cold } = subject;
    const own = {
      ...plan,
      ...(threads === undefined ? {} : { threads, threadsTold: threads }),
      ...(kv ? { kv } : {}),
      ...(activations ? { activations } : {}),
      ...(packed ? { packed } : {}),
    };
    const action = () =>
      subject.engine === "lightgpt"
        ? runLightGPT(subject, own)
        : subject.engine === "llama.cpp"
        ? runDirect(subject, own)
        : subject.engine === "llama-bench"
        ? runTool(own)
        : runBinding(own);
    if (cold) forget(own.model);
    return [name, subject.neighbour ? besideNeighbour(action) : action()] as const;
  });
  const round: Round = { experiment, date: new Date().toISOString(), subjects: Object.fromEntries(results) };
  return kernels ? { ...round, kernels: runKernels() } : round;
}

/** The kernels alone, on one core, at the best level. */
function runKernels(): NonNullable<Round["kernels"]> {
  const levels = runChild(here("../zig-out/bin/order"), []) as Record<string, { tileGMACs: number; bareGMACs: number }>;
  const { tileGMACs, bareGMACs } = Object.values(levels).at(-1) as { tileGMACs: number; bareGMACs: number };
  return { tileGMACs, bareGMACs };
}

if (import.meta.main) {
  console.log(JSON.stringify(runRound(process.argv[2] ?? "", Number(process.argv[3]))));
}
