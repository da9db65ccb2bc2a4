/**
 * The list of faults that `npm test -- mutants` tries: each still applies to the code, and its tests exist.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { mutants, placeOf } from "../scripts/mutants.js";
import { repository } from "./kit.ts";

it("each mutant applies, and names tests that exist", () => {
  const all = mutants();
  assertEquals(new Set(all.map(({ name }: { name: string }) => name)).size, all.length);
  for (const mutant of all) {
    assertStringIncludes(placeOf(mutant), repository);
    assert(mutant.tests.length > 0);
    for (const test of mutant.tests) assert(test.startsWith("zig: ") || existsSync(join(repository, test)), test);
  }
});

it("a mutant that no longer applies is named, with what to do", () => {
  const [first] = mutants();
  assertThrows(() => placeOf({ ...first, old: "no such text" }), Error, `"${first.name}" no longer applies`);
  assertThrows(() => placeOf({ ...first, old: "\n" }), Error, "times");
  assertThrows(() => placeOf({ ...first, new: first.old }), Error, "changes nothing");
});
