/**
 * `npm run catalog`: asks the hub about each short name of models: whether its repository is there, has a file of the type, how large it
 * is, and whether it runs here, by its header. It ends with 1 where a row is wrong, and with 3 where the hub does not answer.
 */
import process from "node:process";
import { LightGPTError } from "../ffi/errors.ts";
import { prepare } from "../ffi/library.ts";
import { catalog, type CatalogEntry } from "../src/files/hub/catalog.ts";
import { choose } from "../src/files/hub/choose.ts";
import { hubContext } from "../src/files/hub/environment.ts";
import { repositoryFiles } from "../src/files/hub/find_model.ts";
import { fileAddress } from "../src/files/hub/listing.ts";
import type { HubName } from "../src/files/hub/names.ts";
import { readRemoteHeader } from "../src/files/hub/remote_header.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { loadTokenizer } from "../src/text/tokenizer/load.ts";

/** How far a size of the table may be from the file's. */
const tolerance = 0.03;
const context = hubContext({ signal: undefined, onProgress: undefined });

/** What is wrong with a row; undefined where nothing is. */
async function faultOf({ repository, type, bytes }: CatalogEntry): Promise<string | undefined> {
  const name: HubName = { kind: "hub", repository, revision: "main", type };
  const { commit, files } = await repositoryFiles(context, name);
  const chosen = choose(files, { type }, `hf:${repository}`);
  if (chosen === undefined) return `no file of the type ${type}`;
  if (Math.abs(chosen.bytes / bytes - 1) > tolerance) return `${chosen.bytes} bytes, and ${bytes} in the table`;
  const header = await readRemoteHeader(context, fileAddress(context, repository, commit, chosen.path), chosen.bytes);
  if (header === undefined) return "its header cannot be read";
  planModel(header);
  await loadTokenizer(header);
  return header.metadata.get("tokenizer.chat_template") === undefined ? "it has no chat template" : undefined;
}

await prepare();
for (const entry of catalog) {
  try {
    const fault = await faultOf(entry);
    console.log(`${entry.name.padEnd(14)} ${fault ?? "as the table says"}`);
    if (fault !== undefined) process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    console.log(`${entry.name.padEnd(14)} ${error.message}`);
    if (error.detail.what !== "a host that does not answer") process.exitCode = 1;
    else if (process.exitCode !== 1) process.exitCode = 3;
  }
}
