/**
 * `lightgpt pull`: fetches a model by its name. Without a name it shows what there is, in a terminal as a menu; of a repository with
 * several files, the one that fits this machine is proposed.
 *
 * @module
 */
import { prepare } from "../ffi/library.ts";
import { statSync } from "node:fs";
import { catalog } from "../src/files/hub/catalog.ts";
import { hubContext } from "../src/files/hub/environment.ts";
import { modelHere } from "../src/files/hub/find_model.ts";
import { type HubName, hubText, parseModelName } from "../src/files/hub/names.ts";
import { sizeText } from "../src/options/size_text.ts";
import type { Arguments } from "./arguments.ts";
import { modelPath } from "./download.ts";
import { fitOf, roomHere } from "./fit.ts";
import { canAsk, choose } from "./menu.ts";
import { type Interrupt, note, print, toJson } from "./output.ts";
import { rateText } from "./rate_text.ts";
import { offerOf } from "./show.ts";
import { UsageError } from "./types.ts";

/** Runs the subcommand. */
export async function pull(args: Arguments, signal: AbortSignal, interrupt: Interrupt): Promise<void> {
  const asked = args.argument ?? await chooseModel("Which one?", interrupt);
  if (asked === undefined) return;
  const model = await withType(asked, signal, interrupt);
  if (model === undefined) return;
  const path = await modelPath(model, signal, true);
  if (args.flag("json")) return await print(toJson({ model, path, bytes: statSync(path).size }));
  await print(`${path}\n`);
  note(`${model} is here; \`lightgpt chat ${quotedName(model)}\` talks with it`);
}

/** The models of the table as lines, with what is known of them. */
export async function chooseModel(question: string, interrupt: Interrupt): Promise<string | undefined> {
  await prepare();
  const room = roomHere();
  const context = hubContext({ signal: interrupt.signal, onProgress: undefined });
  const lines = catalog.map(({ name, bytes, about, readShare = 1 }) => {
    const isHere = modelHere(context, parseModelName(name, context.endpoint)) !== undefined;
    const { fits, tokensPerSecond } = fitOf(bytes, undefined, room);
    const how = isHere ? "is here" : fits ? "" : "does not fit the free memory";
    const rate = `at most ${rateText(tokensPerSecond / readShare)}`;
    const text = `${name.padEnd(14)}${sizeText(bytes).padStart(8)}  ${about}; ${
      [rate, how].filter((part) => part !== "").join(", ")
    }`;
    return { text, value: name };
  });
  if (canAsk()) return await choose(question, lines, interrupt);
  const names = catalog.map(({ name }) => name).join(", ");
  throw new UsageError(`pull needs a MODEL: ${names}, or another of the hub as hf:user/repo`);
}

/** A name with spaces, as a shell takes it. */
function quotedName(name: string): string {
  return /^[\w:./@-]+$/.test(name) ? name : `'${name}'`;
}

/** Of a repository without a type, the file that is chosen, or proposed where no person can be asked. */
async function withType(model: string, signal: AbortSignal, interrupt: Interrupt): Promise<string | undefined> {
  if (!/^(hf|https?):/i.test(model)) return model;
  const context = hubContext({ signal, onProgress: undefined });
  const name = parseModelName(model, context.endpoint);
  if (name.kind !== "hub" || name.type !== undefined || name.file !== undefined || context.isOffline) return model;
  const { files, best } = await offerOf(context, name);
  if (files.length < 2 || best === undefined) return model;
  const textOf = (file: typeof best) => hubText(fileOf(name, file));
  if (!canAsk()) {
    note(`${textOf(best)} (${sizeText(best.bytes)}) fits this machine; \`lightgpt show ${model}\` lists the others`);
    return textOf(best);
  }
  const lines = files.map((file) => {
    const { fits, tokensPerSecond } = file.fit;
    const proposal = file === best ? ", proposed" : "";
    const text = `${(file.type ?? file.path).padEnd(10)}${sizeText(file.bytes).padStart(8)}  at most ${
      rateText(tokensPerSecond)
    }${fits ? "" : ", does not fit the free memory"}${proposal}`;
    return { text, value: textOf(file) };
  });
  return await choose("Which type of weights?", lines, interrupt);
}

/** The name of one file of a repository. */
function fileOf(
  { repository, revision }: HubName,
  { type, path, isOnly }: { readonly type: string | undefined; readonly path: string; readonly isOnly: boolean },
): Omit<HubName, "kind"> {
  return { repository, revision, ...type !== undefined && isOnly ? { type } : { file: path } };
}
