/**
 * Whether other processes still run, by their numbers.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";

/** Whether no process of this machine has the number `pid`. */
export function isGone(pid: number): boolean {
  try {
    node("node:process").kill(pid, 0); // asks whether the process exists; no signal is sent
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH"; // other errors: it exists, and belongs to another user
  }
}
