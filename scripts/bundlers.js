/**
 * `npm run bundlers`: what takes too long for CI. It installs the packed package beside Vite and Next, from npm, into an empty folder,
 * builds a server with each by the settings of docs/bundlers.md, runs it on Node, and compares the story that it tells.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { compile, pack, stage } from "./package.js";
import { Failure, main, run, toolPath } from "./tools.js";

const versions = { vite: "8.3.8", next: "16.4.6", react: "19.3.1" };
const ask = `import { LightGPT } from "@lightgpt/lightgpt";
export async function ask() {
  await using lm = await LightGPT.load();
  return (await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } })).text;
}
`;

async function must(program, words, options) {
  const { code, output } = await run(program, words, options);
  if (code !== 0) throw new Failure(`${program} ${words.join(" ")} failed:\n${output.trim().slice(-3000)}`);
  return output;
}

function write(folder, files) {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** The text that a server bundle of Vite prints; it leaves LightGPT out by itself. */
async function withVite(folder, options) {
  write(folder, { "ssr.mjs": `import { ask } from "./ask.mjs";\nconsole.log(await ask());\n` });
  await must("node_modules/.bin/vite", ["build", "--ssr", "ssr.mjs", "--outDir", "built"], options);
  return (await must("node", ["built/ssr.js"], options)).trim();
}

/** The text that a route of Next answers. */
async function withNext(folder, options) {
  write(folder, {
    "next.config.mjs": `export default { serverExternalPackages: ["@lightgpt/lightgpt"] };\n`,
    "app/layout.jsx": "export default ({ children }) => <html><body>{children}</body></html>;\n",
    "app/api/route.js":
      `import { ask } from "../../ask.mjs";\nexport const dynamic = "force-dynamic";\nexport const GET = async () => new Response(await ask());\n`,
  });
  await must("node_modules/.bin/next", ["build"], options);
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const server = spawn("node_modules/.bin/next", ["start", "-p", `${port}`], { ...options, stdio: "ignore" });
  try {
    for (let tries = 0;; tries++) {
      const response = await fetch(`http://127.0.0.1:${port}/api`).catch(() => undefined);
      if (response?.ok) return (await response.text()).trim();
      if (tries > 120 || response !== undefined) throw new Failure(`next start answered ${response?.status}`);
      await new Promise((done) => setTimeout(done, 500));
    }
  } finally {
    server.kill();
  }
}

main(import.meta.url, async () => {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-bundlers-"));
  try {
    await stage(join(folder, "jsr"), { here: true });
    await compile(join(folder, "jsr"), join(folder, "npm"));
    const { path } = await pack(join(folder, "npm"));
    const place = join(folder, "program");
    write(place, { "package.json": '{ "type": "module", "private": true }\n', "ask.mjs": ask });
    const env = {
      ...process.env,
      PATH: `${dirname(toolPath("node"))}:${process.env.PATH}`,
      NODE_OPTIONS: "--disable-warning=ExperimentalWarning",
      NEXT_TELEMETRY_DISABLED: "1",
      NO_COLOR: "1",
    };
    const options = { cwd: place, env };
    const wanted = [path, ...Object.entries({ ...versions, "react-dom": versions.react }).map((one) => one.join("@"))];
    await must("npm", ["install", "--no-audit", "--no-fund", ...wanted], options);
    write(place, { "plain.mjs": `import { ask } from "./ask.mjs";\nconsole.log(await ask());\n` });
    const expected = (await must("node", ["plain.mjs"], options)).trim();
    for (const [name, build] of Object.entries({ Vite: withVite, Next: withNext })) {
      const told = await build(place, options);
      if (told !== expected) throw new Failure(`${name}: expected ${expected}, got ${told}`);
      console.log(`${name}: ${told}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
