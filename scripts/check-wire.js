/**
 * Whether `ffi/wire.ts` and `ffi/wire_calls.ts` are what `zig build wire` makes of `kernels/wire.zig`: it is run into another
 * folder, and the files are compared.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "./build.js";
import { main, root, run, toolPath } from "./tools.js";

const names = ["wire.ts", "wire_calls.ts"];

/** What differs between two sets of files, by name: the first line that does. */
export function wireViolations(committed, made) {
  return Object.entries(made).flatMap(([name, text]) => {
    if (committed[name] === text) return [];
    const [ours, theirs] = [committed[name].split("\n"), text.split("\n")];
    const line = theirs.findIndex((each, index) => each !== ours[index]);
    const at = line < 0 ? theirs.length : line;
    return [
      `ffi/${name}, line ${at + 1}: has \`${ours[at] ?? ""}\`, kernels/wire.zig gives \`${theirs[at] ?? ""}\`; ` +
      "run `zig build wire`",
    ];
  });
}

/** The committed files against those that the table gives now. */
export async function checkWire() {
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-wire-"));
  try {
    const { code, output } = await run(toolPath("zig"), ["build", "wire", "--", folder], { env: environment() });
    if (code !== 0) return [output.trim()];
    const read = (from) => Object.fromEntries(names.map((name) => [name, readFileSync(join(from, name), "utf8")]));
    return wireViolations(read(join(root, "ffi")), read(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main(import.meta.url, async () => {
  const found = await checkWire();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
