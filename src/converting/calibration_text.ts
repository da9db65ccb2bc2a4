/**
 * What of a text a model reads to be calibrated: some windows of it, from everywhere in it, however long it is.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { type Window, type WindowsModel, windowsOf } from "../measuring/text_windows.ts";

/** Fewer tokens say too little about a matrix: most of its columns would be rounded by chance. */
const tokensLeast = 64;
/** Characters of a text that surely hold a token: longer tokens are blanks and rules. */
const charactersOfToken = 8;

/**
 * Windows of `text` with about so many tokens in all, evenly spread over it.
 *
 * @throws {InvalidArgumentError} where the text has too few tokens to calibrate by
 * @throws {CancelledError} once the signal is aborted
 */
export async function calibrationWindows(
  model: WindowsModel,
  text: string,
  { tokens, window, signal }: { tokens: number; window: number; signal: AbortSignal | undefined },
): Promise<readonly Window[]> {
  const wanted = Math.ceil(tokens / window);
  const piece = window * charactersOfToken;
  const found: Window[] = [];
  if (text.length > 2 * wanted * piece) {
    for (let i = 0; i < wanted; i++) {
      const from = Math.floor(i * (text.length - piece) / wanted);
      // From the next line on, if there is one.
      const line = text.indexOf("\n", from) + 1;
      const begin = i === 0 || line === 0 || line > from + piece / 2 ? from : line;
      const [first] = await windowsOf(model, text.slice(begin, begin + piece), window, signal, i);
      found.push(first!);
    }
  } else {
    const all = await windowsOf(model, text, window, signal);
    const count = Math.min(wanted, all.length);
    for (let i = 0; i < count; i++) found.push(all[Math.floor(i * all.length / count)]!);
  }
  const sum = found.reduce((sum, { tokens }) => sum + tokens.length, 0);
  if (sum < tokensLeast) {
    throw new InvalidArgumentError(
      `calibration: expected a text of at least ${tokensLeast} tokens, like those that the model will meet, got ${sum}.`,
      {
        what: "a text that is too short to calibrate by",
        where: "calibration",
        expected: `${tokensLeast} tokens`,
        got: `${sum}`,
      },
    );
  }
  return found;
}
