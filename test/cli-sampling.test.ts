/**
 * The command's options about choosing tokens: what llama.cpp's names come to.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { it } from "node:test";
import { parseCommand } from "../cli/options.ts";
import { UsageError } from "../cli/types.ts";
import { samplingOptions } from "../cli/sampling.ts";
import { InvalidArgumentError } from "../ffi/errors.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";

const read = (text: string) => samplingOptions(parseCommand("run", text.split(" ")));

it("options of llama.cpp become options of a sampler", () => {
  assertEquals(read("x"), {});
  assertEquals(
    read(
      "--temperature 0.7 --top-k 20 --top-p 0.9 --min-p 0.05 --typical 0.8 --top-nsigma 2 --xtc-probability 0.5 " +
        "--repeat-penalty 1.1 --repeat-last-n 128 --frequency-penalty -0.5 --dry-multiplier 0.8 --dry-base 2 " +
        "--dry-allowed-length 3 --dry-penalty-last-n 500 --dry-sequence-breaker : --dynatemp-range 0.2 --seed 3 " +
        "--logit-bias 5+1.5,6-2,7-inf",
    ),
    {
      temperature: 0.7,
      topK: 20,
      topP: 0.9,
      minP: 0.05,
      typicalP: 0.8,
      topNSigma: 2,
      xtc: { probability: 0.5 },
      penalties: { repetition: 1.1, frequency: -0.5, window: 128 },
      dry: { multiplier: 0.8, base: 2, allowedLength: 3, window: 500, breakers: [":"] },
      dynamicTemperature: { range: 0.2 },
      bias: new Map([[5, 1.5], [6, -2], [7, -Infinity]]),
      seed: 3n,
    },
  );
  assertEquals(read("--mirostat 2 --mirostat-ent 3"), { mirostat: { tau: 3 } });
  assertEquals(read("--mirostat 0"), {});
  assertEquals(read("--samplers top_k;typ_p;temperature"), { order: ["topK", "typicalP", "temperature"] });
});

it("options that mean nothing are refused", () => {
  const refused = (text: string, part: string) =>
    assertThrows(() => resolveSampling(read(text), () => []), InvalidArgumentError, part);
  for (const text of ["--min-p 2", "--repeat-penalty 0", "--mirostat 1", "--xtc-threshold 0.6", "--typical 0"]) {
    assertThrows(() => read(text), UsageError, text.split(" ")[0]);
  }
  refused("--samplers top_k;top_q", "--samplers");
  refused("--logit-bias 5", "--logit-bias");
  refused("--logit-bias 5+inf", "--logit-bias");
  refused("--mirostat-ent 3", "--mirostat 2");
  refused("--mirostat 2 --top-k 5", "mirostat");
  refused("--xtc-threshold 0.2", "xtc.probability");
  refused("--dry-base 2", "dry.multiplier");
  refused("--dry-sequence-breaker x", "dry.multiplier");
  refused("--dynatemp-exp 2", "dynamicTemperature.range");
  refused("--repeat-last-n 9", "penalties");
});
