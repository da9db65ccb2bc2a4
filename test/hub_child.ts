/**
 * A process that fetches a model and is killed meanwhile: `hub_child.ts FOLDER ENDPOINT`.
 *
 * @module
 */
import process from "node:process";
import { contextIn, find, hasty } from "./hub_context.ts";

const [folder, endpoint] = process.argv.slice(2) as [string, string];
await find(contextIn(folder, endpoint, { patience: { ...hasty, connections: 2 } }), "hf:user/model");
