/**
 * The lock file must serve every machine, not only the one that wrote it: npm leaves out the optional packages of other
 * systems when it can't reach them, and notes the mirror it read from. With either, `npm ci` fails elsewhere.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { main, manifest, root } from "./tools.js";

/** Everything wrong with a lock file. */
export function lockViolations(lock, manifest) {
  const found = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const packed = lock.packages[`node_modules/${name}`];
      if (packed === undefined) found.push(`${path || "the project"}: the entry of ${name} is missing`);
      else if (path !== "" && packed.version !== version) {
        found.push(`${name}: ${packed.version} instead of ${version}`);
      } else if (path !== "" && !(packed.optional && packed.os)) {
        found.push(`${name}: not marked as optional, or without os`);
      }
    }
    if (/^https?:/.test(entry.resolved ?? "") && !entry.resolved.startsWith("https://registry.npmjs.org/")) {
      found.push(`${path}: resolved from ${new URL(entry.resolved).host}; only registry.npmjs.org is everywhere`);
    }
  }
  for (const kind of ["dependencies", "devDependencies", "optionalDependencies"]) {
    for (const [name, version] of Object.entries(manifest[kind])) {
      if (!/^(\d+\.\d+\.\d+|file:.*)$/.test(version)) found.push(`${name}: "${version}" is no exact version`);
      if (lock.packages[""][kind]?.[name] !== version) found.push(`${name}: the lock file doesn't have ${version}`);
    }
  }
  return found;
}

/** The committed file. */
export function checkLock() {
  return lockViolations(JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")), manifest);
}

main(import.meta.url, () => {
  const found = checkLock();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
});
