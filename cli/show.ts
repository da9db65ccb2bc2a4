/**
 * `lightgpt show`: one model. Of one that is here: its file, how it runs, in what memory, and how fast at most. Of one that is not: the
 * files that its repository has, and which of them fits this machine.
 *
 * @module
 */
import { prepare } from "../ffi/library.ts";
import { candidatesOf } from "../src/files/hub/choose.ts";
import { hubContext } from "../src/files/hub/environment.ts";
import { modelHere, repositoryFiles } from "../src/files/hub/find_model.ts";
import { fileAddress } from "../src/files/hub/listing.ts";
import { type HubName, parseModelName } from "../src/files/hub/names.ts";
import { readRemoteHeader } from "../src/files/hub/remote_header.ts";
import type { HubContext } from "../src/files/hub/types.ts";
import { type Gguf, readGguf } from "../src/files/gguf/read.ts";
import { isModelName } from "../src/files/model_file.ts";
import { type ModelPlan, planModel } from "../src/model/architectures/architectures.ts";
import { LightGPTError } from "../ffi/errors.ts";
import { sizeText } from "../src/options/size_text.ts";
import type { Arguments } from "./arguments.ts";
import { type Fit, fitOf, propose, roomHere } from "./fit.ts";
import { plainText, reportOn } from "./inspect.ts";
import { print, toJson } from "./output.ts";
import { rateText } from "./rate_text.ts";

/** A file of a repository, and how it would run here. */
export interface Offered {
  readonly path: string;
  readonly type: string | undefined;
  readonly bytes: number;
  readonly fit: Fit;
  /** Whether no other file has its type. */
  readonly isOnly: boolean;
}

/** Runs the subcommand. */
export async function show(args: Arguments, signal: AbortSignal): Promise<void> {
  const model = args.argument as string;
  await prepare();
  const context = hubContext({ signal, onProgress: undefined });
  const name = isModelName(model) ? parseModelName(model, context.endpoint) : undefined;
  const path = name === undefined ? model : modelHere(context, name);
  if (path !== undefined) return await showFile(model, path, args.flag("json"));
  if (name?.kind !== "hub" && name?.kind !== "short") {
    throw new LightGPTError("io", `${model} is not here; \`lightgpt pull ${model}\` fetches it.`, {
      what: "a model that is not here",
    });
  }
  const { files, best } = await offerOf(context, name.kind === "hub" ? name : name.hub);
  if (args.flag("json")) return await print(toJson({ model, files, proposed: best?.path ?? null }));
  const lines = files.map((file) => offerLine(file, file === best));
  await print(`${model} is not here; there is\n${lines.join("\n")}\n`);
}

async function showFile(model: string, path: string, json: boolean): Promise<void> {
  const gguf = readGguf(path);
  const report = await reportOn(gguf, false, undefined);
  const fit = report.runs ? fitOf(gguf.bytes, planModel(gguf), roomHere()) : null;
  if (json) return await print(toJson({ model, path, ...report, fit }));
  const speed = fit === null
    ? ""
    : `speed         at most ${rateText(fit.tokensPerSecond)} here, by how fast memory is read\n`;
  await print(plainText({ ...report, metadata: {} }).trimEnd() + "\n" + speed);
}

/** One file as a line. */
function offerLine({ path, type, bytes, fit }: Offered, isBest: boolean): string {
  const memory = `${sizeText(fit.memoryBytes)} of memory with ${fit.context} tokens`;
  const how = fit.fits ? isBest ? ", proposed for this machine" : "" : ", more than is free";
  return `  ${(type ?? "").padEnd(10)}${sizeText(bytes).padStart(8)}  ${memory}, at most ${
    rateText(fit.tokensPerSecond)
  }${how}  ${path}`;
}

/** What a repository has, how each file would run here, and which is proposed. */
export async function offerOf(
  context: HubContext,
  name: HubName,
): Promise<{ readonly files: readonly Offered[]; readonly best: Offered | undefined }> {
  await prepare();
  const room = roomHere();
  const listing = await repositoryFiles(context, name);
  const candidates = candidatesOf(listing.files);
  // One header tells of all: the files differ in the types of their weights.
  const single = candidates.find(({ files }) => files.length === 1);
  const header = single &&
    await readRemoteHeader(context, fileAddress(context, name.repository, listing.commit, single.path), single.bytes);
  const plan = header && planOf(header);
  const files = candidates.map(({ path, type, bytes }): Offered => ({
    path,
    type,
    bytes,
    fit: fitOf(bytes, plan, room),
    isOnly: candidates.filter((other) => other.type === type).length === 1,
  }));
  return { files, best: propose(files) };
}

/** What runs; undefined where it doesn't, and sizes are all that is known. */
function planOf(gguf: Gguf): ModelPlan | undefined {
  try {
    return planModel(gguf);
  } catch (error) {
    if (error instanceof LightGPTError) return undefined;
    throw error;
  }
}
