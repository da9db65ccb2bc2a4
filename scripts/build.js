/**
 * Builds the shared library into lib/ with the pinned Zig, unless it was built from these very sources: the sources,
 * the tool and the machine are hashed into lib/built.json, so moved or touched files cost nothing.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setup } from "./setup.js";
import { Failure, main, root, run, toolPath, tools } from "./tools.js";

/** The file that `zig build` leaves for this machine. */
export const library = join(
  root,
  "lib",
  { win32: "lightgpt.dll", darwin: "liblightgpt.dylib" }[process.platform] ?? "liblightgpt.so",
);

const stamp = join(root, "lib", "built.json");

/** Builds what is not up to date. */
export async function build() {
  const wanted = fingerprint();
  if (isBuilt(wanted)) return;
  console.error("lightgpt: building the library (a minute or two the first time) ...");
  const { code, output } = await run(toolPath("zig"), ["build", "--summary", "failures"], { env: environment() });
  if (code !== 0) throw new Failure(`zig build failed:\n${output.trim()}`);
  if (!existsSync(library)) throw new Failure(`zig build left no ${library}`);
  mkdirSync(join(root, "lib"), { recursive: true });
  writeFileSync(stamp, JSON.stringify({ sources: wanted, library: hash([library]) }) + "\n");
}

/** The environment of `zig`: where there is no home folder, its global cache goes beside the local one. */
export function environment() {
  const env = { ...process.env, NO_COLOR: "1" };
  if (!env.HOME && !env.XDG_CACHE_HOME && process.platform !== "win32") {
    env.ZIG_GLOBAL_CACHE_DIR ??= join(root, ".zig-cache", "global");
  }
  return env;
}

function isBuilt(wanted) {
  if (!existsSync(library) || !existsSync(stamp)) return false;
  try {
    const built = JSON.parse(readFileSync(stamp, "utf8"));
    return built.sources === wanted && built.library === hash([library]);
  } catch (error) {
    if (error instanceof SyntaxError) return false; // half a file, from a build that was killed
    throw error;
  }
}

function fingerprint() {
  const sources = readdirSync(join(root, "kernels"), { recursive: true })
    .filter((path) => path.endsWith(".zig"))
    .map((path) => join(root, "kernels", path));
  const zig = tools.find((tool) => tool.name === "zig").version;
  return hash(
    [join(root, "build.zig"), join(root, "build.zig.zon"), ...sources],
    `${zig} ${process.platform} ${process.arch}`,
  );
}

function hash(paths, salt = "") {
  const sum = createHash("sha256").update(salt);
  for (const path of paths.sort()) sum.update(path.slice(root.length)).update("\0").update(readFileSync(path));
  return sum.digest("hex");
}

main(import.meta.url, async () => {
  await setup();
  await build();
});
