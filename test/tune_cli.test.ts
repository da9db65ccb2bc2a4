/**
 * `lightgpt tune` and `lightgpt info`, as a user runs them.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { lightgpt } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "lightgpt-tune-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("lightgpt tune and info", () => {
  const env = () => ({ LIGHTGPT_CACHE: join(folder, "command") });

  it("say what was chosen and why, and what the machine can do", async () => {
    const tuned = await lightgpt(["tune", "--seconds", "0.3"], { env: env() });
    assertEquals(tuned.code, 0, tuned.stderr);
    assertMatch(tuned.stdout, /decodeThreads: [^]*pageSize: [^]*measured in \d+\.\d s; (not )?kept/);
    const shown = await lightgpt(["info"], { env: env() });
    assertMatch(shown.stdout, /threads +\d+[^]*level +\w+; this[^]*bandwidth +\d[^]*tuned +/);
  });

  it("print JSON", async () => {
    const tuned = await lightgpt(["tune", "--json", "--seconds", "0.2", "--threads", "1"], { env: env() });
    const { profile, model } = JSON.parse(tuned.stdout);
    assertEquals(profile.settings.decodeThreads, 1);
    assertMatch(model, /tinytales/);
    const { machine, levels, bandwidthGBs, version } = JSON.parse(
      (await lightgpt(["info", "--json"], { env: env() })).stdout,
    );
    assert(machine.threads >= 1 && levels.length >= 1 && bandwidthGBs.all > 0.1 && version.length > 0);
  });

  it("work with a cache folder that cannot be written", async () => {
    const locked = join(folder, "locked");
    writeFileSync(locked, "");
    const { code, stdout, stderr } = await lightgpt(["tune", "--seconds", "0.1"], {
      env: { LIGHTGPT_CACHE: join(locked, "x") },
    });
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /not kept/);
    assertMatch(stderr, /cannot be kept|not kept/);
  });
});
