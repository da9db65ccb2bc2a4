/**
 * The format in which a model writes calls: what a caller says, what its template shows once it is verified, or what is known of its
 * family. Where none of them holds there is no format, and the error says why.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { familyOf } from "./families.ts";
import { type WireFormat, wireFormat } from "./format.ts";
import { probeFormat } from "./probe.ts";
import { ProbeFailure } from "./probe_failure.ts";
import type { Render, ToolFormat } from "./types.ts";
import { verifyFormat } from "./verify.ts";
import { controlTokensOf } from "./wire.ts";

/** A format, and whether the template itself writes calls in it. */
export interface FoundFormat {
  readonly format: WireFormat;
  /** Whether a conversation's earlier calls are written by the template; otherwise they must stand in its contents. */
  readonly isRendered: boolean;
}

/** What a format is looked for in. */
export interface FormatSource {
  readonly template: string;
  readonly tokenizer: Tokenizer;
  readonly render: Render;
}

/** Answers that are verified before a format is used. */
const rounds = 3;

/** Finds the format of a model. */
export async function findFormat(source: FormatSource, own: ToolFormat | undefined): Promise<FoundFormat> {
  const { template, tokenizer, render } = source;
  const controls = controlTokensOf(tokenizer);
  if (own !== undefined) return { format: wireFormat(own, controls), isRendered: true };
  const known = familyOf(template, controls);
  try {
    const format = wireFormat(probeFormat(render, controls), controls);
    await verifyFormat({ render, format, tokenizer }, rounds, randomBelow);
    return { format: known?.isOwn ? wireFormat(known.format, controls) : format, isRendered: true };
  } catch (error) {
    if (!(error instanceof ProbeFailure)) throw error;
    if (known !== undefined) return { format: wireFormat(known.format, controls), isRendered: false };
    throw new UnsupportedError(`It is not known how this model writes calls of tools: ${error.message}.`, {
      what: "a model whose calls cannot be read",
      where: "tools",
      expected: "a template that writes calls, or the option toolFormat",
      got: error.message,
    });
  }
}

function randomBelow(below: number): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] % below;
}
