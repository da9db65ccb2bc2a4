/**
 * What the library holds, before and after. A thread of the pool may drop the last reference a moment after JavaScript has
 * heard of the end, so the comparison waits a little.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { native } from "../ffi/native.ts";
import type { MemoryFigures } from "../ffi/wire_calls.ts";

/** What the library holds, once it has given back what nobody holds a handle of any more. */
export async function holding(): Promise<MemoryFigures> {
  for (let waited = 0; waited < 20_000; waited += 5) {
    const { weights, kv, scratch, handles } = native().memory();
    if (handles > 0 || weights + kv + scratch === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return native().memory();
}

/** Fails unless the library holds what it held `before`, now or within twenty seconds; threads stay for the next job. */
export async function assertHeld(before: MemoryFigures): Promise<void> {
  const held = ({ weights, kv, scratch, handles }: MemoryFigures) => ({ weights, kv, scratch, handles });
  for (let waited = 0; waited < 20_000; waited += 5) {
    if (JSON.stringify(held(native().memory())) === JSON.stringify(held(before))) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(held(native().memory()), held(before));
}
