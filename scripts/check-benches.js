/**
 * The programs that the benches run are analysed as Zig analyses them, and no code is made: half a second each, where compiling
 * them (`zig build bench-tools`) takes a quarter of a minute. Nothing else in the tests would notice that one no longer compiles.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { environment } from "./build.js";
import { main, root, run, toolPath } from "./tools.js";

/** What `build.zig` tells a file that is compiled once for each level. */
const levelOptions = 'pub const name: [:0]const u8 = "v1";\n';

/** What is wrong with each file of `folder`, in Zig's words. */
export async function checkBenches(folder = "bench") {
  const from = resolve(root, folder);
  const files = readdirSync(from, { recursive: true })
    .filter((path) => path.endsWith(".zig") && !path.includes("node_modules"));
  const scratch = mkdtempSync(join(tmpdir(), "lightgpt-benches-"));
  const options = join(scratch, "level_options.zig");
  writeFileSync(options, levelOptions);
  try {
    const problems = await Promise.all(
      files.sort().map(async (file) => {
        const modules = [
          ...["--dep", "kernels", "--dep", "level_options", `-Mroot=${join(from, file)}`],
          ...["-Mkernels=kernels/bench.zig", `-Mlevel_options=${options}`],
        ];
        const parameters = ["build-obj", "-fno-emit-bin", "-OReleaseFast", "-lc", ...modules];
        const { code, output } = await run(toolPath("zig"), parameters, { env: environment() });
        return code === 0 ? [] : [`${file}: ${output.trim()}`];
      }),
    );
    return problems.flat();
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

main(import.meta.url, async () => {
  const problems = await checkBenches();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
});
