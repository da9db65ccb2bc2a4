/**
 * Which adapters a sequence uses, and with whom it shares prefixes then. Keys and values depend on the adapters that they were
 * computed with, so a use other than the usual one is part of the salt. The usual one is not: all of a batcher's requests
 * that say nothing have it, and a saved cache is known by it (`codec.ts`).
 *
 * @module
 */
import type { AdapterUse } from "../model/adapter.ts";
import type { SequenceOptions } from "./sequence_options.ts";

/** Begins a salt that names adapters. A salt that begins so by itself gets it once more, so that none is taken for another. */
const mark = "\u0001";

/** Fills in the adapters of a sequence that says nothing, and puts those of another into its salt. */
export function withAdapters(options: SequenceOptions, usual: AdapterUse | undefined): SequenceOptions {
  const { adapters = usual, salt } = options;
  if (salt === undefined) return { ...options, adapters };
  return { ...options, adapters, salt: saltWith(salt, adapters?.key ?? "", usual?.key ?? "") };
}

/** The salt of prefixes that are computed with the adapters of `key`. */
export function saltWith(salt: string, key: string, usual: string): string {
  if (key === usual) return salt.startsWith(mark) ? `${mark}${salt}` : salt;
  return `${mark}adapters ${key}${mark}${salt}`;
}
