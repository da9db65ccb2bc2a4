/**
 * The kit's defective files: those to be refused are, with an error that names the field and the byte, at once and before
 * anything native is called; those to be loaded load; the rest does either. All in processes of their own, so that a
 * crash or a hang is a failure of the test and not its end.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { it } from "node:test";
import { repositoryUrl, runChild } from "./child.ts";
import { describeWholeKit, readJson } from "./kit.ts";

interface Defect {
  name: string;
  file: string;
  expect: "reject" | "either" | "load";
}

interface Outcome {
  name: string;
  error: { name: string; message: string; field?: string; offset?: number | string } | null;
  milliseconds: number;
}

/** Files that may be right, but that are of a kind we have nothing for. */
const unsupported =
  /^(arch_unknown|tokmodel_unknown|tokpre_unknown|ropescale_unknown|norm_type_f16|tensor_extra|version_1|byteswapped)$/;
/** Errors about what is not there have no place in the file. */
const absent = /^(missing_|merges_missing|notensor_|nt_zero)/;

/** Loads files one after the other, each used for a little; on Deno without the right to call native code, if asked. */
async function loadAll(directory: string, files: readonly Defect[], permitted: boolean): Promise<Outcome[]> {
  const { code, signal, stdout, stderr } = await runChild(
    `import { LightGPT } from "${repositoryUrl}mod.ts";
    import { workedMs } from "${repositoryUrl}test/worked.ts";
    for (const { name, file } of ${JSON.stringify(files)}) {
      const begin = workedMs();
      let error = null;
      try {
        await using lm = await LightGPT.load(${JSON.stringify(directory + "/")} + file, { context: 64, threads: 1 });
        lm.detokenize(lm.tokenize("Hello world"));
        if (name.startsWith("weights_")) await lm.complete("Hello", { maxTokens: 2 }).catch(() => {});
        else await lm.complete("Hello", { maxTokens: 2 });
      } catch (caught) {
        const { name, message, detail } = caught;
        const place = /\\(byte (\\d+)\\)/.exec(message);
        error = { name, message, field: caught.field ?? detail.where, offset: caught.offset ?? place?.[1] };
      }
      console.log(JSON.stringify({ name, error, milliseconds: workedMs() - begin }));
    }`,
    { timeoutMs: 120_000, ...(permitted ? {} : { allow: ["--allow-read", "--allow-env", "--allow-sys"] }) },
  );
  assertEquals({ code, signal }, { code: 0, signal: null }, stderr);
  const outcomes = stdout.trim().split("\n").map((line) => JSON.parse(line) as Outcome);
  assertEquals(outcomes.map(({ name }) => name), files.map(({ name }) => name));
  return outcomes;
}

describeWholeKit("defective files", "malformed", (directory) => {
  const { files } = readJson<{ files: Defect[] }>(directory, "manifest.json");
  const expecting = (wanted: Defect["expect"]) => files.filter(({ expect }) => expect === wanted);

  it(`${expecting("reject").length} that are to be refused`, async () => {
    for (const { name, error, milliseconds } of await loadAll(directory, expecting("reject"), false)) {
      const expected = unsupported.test(name) ? "UnsupportedError" : "ModelFormatError";
      assertEquals(error?.name, expected, `${name}: ${error?.message}`);
      assert(error?.field, `${name} names no field`);
      assert(error.message.includes(error.field), `${name}: ${error.message} does not name ${error.field}`);
      assertEquals(error.offset === undefined, absent.test(name), `${name}: offset ${error.offset}`);
      assertLess(milliseconds, 1000, name);
    }
  });

  it(`${expecting("load").length} that are to be loaded`, async () => {
    for (const { name, error } of await loadAll(directory, expecting("load"), true)) assertEquals(error, null, name);
  });

  it(`${expecting("either").length} that may be refused or loaded`, async () => {
    for (const { name, error, milliseconds } of await loadAll(directory, expecting("either"), true)) {
      if (error !== null) {
        assert(/^(LightGPT|ModelFormat|Unsupported)Error$/.test(error.name), `${name}: ${error.message}`);
      }
      assertLess(milliseconds, 1000, name);
    }
  });
});
