/**
 * Errors: codes, classes, and the sentence that is made from their parts.
 *
 * @module
 */
import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { describe, it } from "node:test";
import {
  CancelledError,
  ClosedError,
  errorFor,
  InvalidArgumentError,
  LightGPTError,
  ModelFormatError,
  OutOfMemoryError,
  sentence,
  UnsupportedError,
} from "../ffi/errors.ts";

describe("errors", () => {
  it("have the class that belongs to their code, and keep its parts", () => {
    const classes = [
      ["modelFormat", ModelFormatError],
      ["unsupported", UnsupportedError],
      ["invalidArgument", InvalidArgumentError],
      ["outOfMemory", OutOfMemoryError],
      ["closed", ClosedError],
      ["cancelled", CancelledError],
      ["queueFull", LightGPTError],
      ["nonFinite", LightGPTError],
      ["limit", LightGPTError],
      ["library", LightGPTError],
      ["io", LightGPTError],
    ] as const;
    const cause = new Error("because");
    for (const [code, type] of classes) {
      const parts = { what: "wrong", where: "there", expected: "2", got: "3" };
      const error = errorFor(code, parts, { cause });
      assertInstanceOf(error, type);
      assertEquals(error.code, code);
      assertEquals(error.name, type.name);
      assertEquals(error.cause, cause);
      assertEquals(error.message, "wrong: there; expected 2, got 3.");
      assertEquals([error.detail.where, error.detail.expected, error.detail.got], ["there", "2", "3"]);
      assertMatch(String(error), new RegExp(`^${type.name}: wrong`));
    }
  });

  it("name the field and the byte of a damaged file", () => {
    const error = new ModelFormatError("bad", { field: "general.alignment", offset: 24 });
    assertEquals([error.field, error.offset, error.code], ["general.alignment", 24, "modelFormat"]);
    assertEquals(error.detail, { what: "bad", where: "general.alignment" });
  });

  it("are sentences, whatever parts they have", () => {
    assertEquals(sentence({}), "Something failed.");
    assertEquals(sentence({ what: "no" }), "no.");
    assertEquals(sentence({ what: "no", where: "" }), "no.");
    assertEquals(sentence({ what: "no", got: "1" }), "no; got 1.");
    assertEquals(sentence({ what: "no", where: "x", expected: "1" }), "no: x; expected 1.");
    assertEquals(sentence({ what: "really?" }), "really?");
  });
});
