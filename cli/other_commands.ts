/**
 * The subcommands that look at models, prepare and measure them, loaded together when one of them is used: each in a file of its own
 * would be many files in the package, and none of them is waited for as `run` and `chat` are.
 *
 * @module
 */
export { bench } from "./bench.ts";
export { imatrix } from "./imatrix.ts";
export { info } from "./info.ts";
export { inspect } from "./inspect.ts";
export { logits } from "./logits.ts";
export { pack } from "./pack.ts";
export { perplexity } from "./perplexity.ts";
export { quantize } from "./quantize.ts";
export { tokenize } from "./tokenize.ts";
export { tune } from "./tune.ts";
