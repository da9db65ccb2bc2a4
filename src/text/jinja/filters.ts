/**
 * All filters by name.
 *
 * @module
 */
import { numberFilters } from "./filters_number.ts";
import { selectFilters } from "./filters_select.ts";
import { sequenceFilters } from "./filters_sequence.ts";
import { textFilters } from "./filters_text.ts";
import type { Operation } from "./types.ts";

/** The filters by name. */
export const filters: ReadonlyMap<string, Operation> = new Map([
  ...textFilters,
  ...sequenceFilters,
  ...selectFilters,
  ...numberFilters,
]);
