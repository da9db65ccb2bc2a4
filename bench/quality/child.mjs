/**
 * A program that is run and whose cost is counted: processor time and the most memory, as the system counts them for a child
 * that has ended. That does not depend much on what else runs. Bun alone tells it of a child, and `npm run bench` uses Bun.
 *
 * @module
 */

/**
 * @typedef {object} Outcome What a program came to.
 * @property {string} output all that it wrote
 * @property {number} cpuSeconds seconds of processor time, user and system
 * @property {number} peakMB the most resident memory in MB (10^6 bytes), pages of mapped files included
 */

/**
 * Runs a program to its end; throws with its last words where it fails.
 *
 * @param {readonly string[]} words
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Promise<Outcome>}
 */
export async function runCounted(words, env) {
  const { Bun } = globalThis;
  if (Bun === undefined) throw new Error("the record of quality is made on Bun, which counts what a child costs");
  const child = Bun.spawn(words, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const output = out + err;
  if (code !== 0) throw new Error(`${words.slice(0, 3).join(" ")} ended with ${code}: ${output.trim().slice(-600)}`);
  const { cpuTime, maxRSS } = child.resourceUsage();
  return { output, cpuSeconds: Number(cpuTime.total) / 1e6, peakMB: maxRSS / 1e6 };
}
