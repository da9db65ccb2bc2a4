/**
 * Counts what the test runners report: Zig's summary lines, the JUnit files of Deno, Bun and Node. What a runner leaves out
 * (a file that can't be loaded, a crash) is counted as a failure, so that a suite which can't start never looks green.
 */

/** @typedef {{ passed: number, failed: number, skipped: string[] }} Counts */

/**
 * The sum of `zig <target>: N passed, M failed, K skipped`, one line for each target.
 * @returns {Counts}
 */
export function countZig(output, code) {
  const counts = { passed: 0, failed: 0, skipped: [] };
  for (const [, , passed, failed] of output.matchAll(/^zig (\S+): (\d+) passed, (\d+) failed, \d+ skipped$/gm)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
  }
  for (const [, name] of output.matchAll(/^skipped (\S.*)$/gm)) counts.skipped.push(name);
  for (const [, target, why] of output.matchAll(/^zig (\S+): SKIPPED,? (.*)$/gm)) {
    counts.skipped.push(`${target}: ${why}`);
  }
  return atLeastOneFailure(counts, code);
}

/**
 * Deno lists a `describe` as a test case beside those in it; only what holds no others is counted, unless the
 * `describe` itself failed (in a hook).
 * @returns {Counts}
 */
export function countDeno(xml, code) {
  const cases = testCases(xml);
  const parents = new Set();
  for (const { name } of cases) {
    for (let end = name.lastIndexOf(" > "); end > 0; end = name.lastIndexOf(" > ", end - 1)) {
      parents.add(name.slice(0, end));
    }
  }
  const leaves = cases.filter(({ name, failure }) =>
    failure === undefined ? !parents.has(name) : !/^\d+ test steps? failed/.test(failure)
  );
  return atLeastOneFailure(count(leaves), code);
}

/**
 * Bun's file has the leaves only, but not the files that could not be loaded; its last lines do.
 * @returns {Counts}
 */
export function countBun(xml, output, code) {
  const counts = count(testCases(xml));
  const failed = Number(output.match(/^\s*(\d+) fail$/m)?.[1] ?? 0);
  counts.failed = Math.max(counts.failed, failed);
  return atLeastOneFailure(counts, code);
}

/**
 * Node's file has the leaves only, and a case of its name for a file that could not be loaded.
 * @returns {Counts}
 */
export function countNode(xml, code) {
  return atLeastOneFailure(count(testCases(xml)), code);
}

/** The test cases of a JUnit file: `suite` is what holds a case. */
export function testCases(xml) {
  return [...xml.matchAll(/<testcase ((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map((
    [, attributes, body = ""],
  ) => ({
    name: unescape(attributes.match(/\bname="([^"]*)"/)?.[1] ?? ""),
    suite: unescape(attributes.match(/\bclassname="([^"]*)"/)?.[1] ?? ""),
    skipped: /<skipped\b/.test(body),
    failure: body.match(/<(?:failure|error)\b(?:[^>]*?message="([^"]*)")?/)?.slice(1).map((text) =>
      unescape(text ?? "")
    )[0],
  }));
}

function unescape(text) {
  return text.replaceAll("&gt;", ">").replaceAll("&lt;", "<").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

function count(cases) {
  const skipped = cases.filter((test) => test.skipped).map((test) => test.name);
  const failed = cases.filter((test) => test.failure !== undefined).length;
  return { passed: cases.length - failed - skipped.length, failed, skipped };
}

/** A suite that ended badly, or that ran nothing at all, has failed. */
function atLeastOneFailure(counts, code) {
  const ranNothing = counts.passed + counts.failed + counts.skipped.length === 0;
  if ((code !== 0 || ranNothing) && counts.failed === 0) counts.failed = 1;
  return counts;
}
