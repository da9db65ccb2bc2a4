/**
 * How the answer of a request becomes a response: whole, whole with its head ahead, or as it comes; and how it ends where its client
 * leaves.
 *
 * @module
 */
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { given } from "../options/schema.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import { type Failure, failureBody, failureFrame, failureOf } from "./failure.ts";
import { describe, finished, told, type Underway, underway } from "./outcomes.ts";
import type { Run } from "./run.ts";
import { heartbeats, isSilent, streamBody, streamResponse, tellRun } from "./stream.ts";
import { dialectOf, type Outcome, type TextsRead, type Writer } from "./types.ts";

/** Until a whole answer sends its head ahead, where it must: what fails sooner has a status of its own. */
const patienceMs = 10;

/** A request that is worked on: whether it is over, and what ends it. */
export interface Work {
  readonly request: Request;
  readonly controller: AbortController;
  readonly finish: (outcome: Outcome) => void;
}

/** The answer of texts that are read. */
export async function readAnswer(read: Promise<TextsRead>, work: Work): Promise<Response> {
  let promptTokens = 0;
  const done = finished(() => read, work.request, work.controller).then((texts) => {
    ({ promptTokens } = texts);
    return texts.value;
  });
  const end = () => work.controller.abort();
  return await wholeAnswer(done, { end, counts: () => ({ promptTokens }) }, work);
}

/** An answer that is told whole. */
export async function wholeAnswer(whole: Promise<JsonValue>, underway: Underway, work: Work): Promise<Response> {
  const isLate = !currentRuntime().hearsLeaving && await isSilent(whole, patienceMs);
  return isLate ? late(whole, underway, work) : told(await whole, work.finish, underway.counts);
}

/** The answer of a run as it comes, with a sign of life every `heartbeatMs`. */
export function streamedAnswer(writer: Writer, run: Run, heartbeatMs: number, work: Work): Response {
  const dialect = dialectOf(new URL(work.request.url).pathname);
  const frames = tellRun(run, writer, { ms: heartbeatMs, alive: heartbeats[dialect] });
  return streamResponse(bodyOf(frames, (failure) => failureFrame(failure, dialect), underway(run), work), dialect);
}

/** A whole answer whose head goes before it, for only then a runtime tells that the client leaves. */
function late(whole: Promise<JsonValue>, underway: Underway, work: Work): Response {
  const dialect = dialectOf(new URL(work.request.url).pathname);
  const frames = (async function* () {
    yield JSON.stringify(await whole);
  })();
  const body = bodyOf(frames, (failure) => JSON.stringify(failureBody(failure, dialect)), underway, work);
  // The work is over when the answer is there, whenever it is read.
  whole.then(
    () => work.finish({ status: 200, ...underway.counts() }),
    (error) => work.finish({ status: failureOf(error).parts.status, error: describe(failureOf(error)) }),
  );
  return new Response(body, { headers: { "content-type": "application/json" } });
}

function bodyOf(
  frames: AsyncGenerator<string, void, void>,
  failed: (failure: Failure) => string,
  { end, counts }: Underway,
  { finish }: Work,
): ReadableStream<Uint8Array> {
  return streamBody({
    frames,
    failed,
    left: end,
    ended: ({ error, left }) => {
      const failure = error === undefined ? undefined : failureOf(error);
      const status = left ? 499 : failure?.parts.status ?? 200;
      finish({ status, ...counts(), ...given({ error: failure && describe(failure) }) });
    },
  });
}
