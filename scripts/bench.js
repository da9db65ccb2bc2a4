/**
 * `npm run bench`: LightGPT and llama.cpp side by side (bench/peers). The peer is a package of its own, installed here
 * when it is first needed, so that users never get it. Arguments are passed on.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.js";
import { setup } from "./setup.js";
import { Failure, main, root, run } from "./tools.js";

const peers = join(root, "bench", "peers");

async function bench() {
  await setup();
  await build();
  if (!existsSync(join(peers, "node_modules", "node-llama-cpp"))) {
    console.error("lightgpt: installing node-llama-cpp into bench/peers ...");
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    const { code, output } = await run(npm, ["ci", "--no-audit", "--no-fund"], { cwd: peers });
    if (code !== 0) throw new Failure(`npm could not install the peer: ${output.trim().slice(-300)}`);
  }
  const args = [join(peers, "run.mjs"), ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: peers, stdio: "inherit" });
  process.exitCode = await new Promise((done, fail) => child.on("error", fail).on("close", (code) => done(code ?? 1)));
}

main(import.meta.url, bench);
