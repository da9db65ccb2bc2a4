/**
 * Whose a folder is, from what a system of files says of it.
 *
 * @module
 */
import type { Privacy } from "./types.ts";

/** The bits of a mode that let others than the owner in. */
const others = 0o077;

/** What `folder`, undefined where there is none, is to the user of this number, undefined where that may not be asked. */
export function privacyOf(folder: { mode: number; uid: number } | undefined, user: number | undefined): Privacy {
  if (folder === undefined) return "absent";
  if (user === undefined) return "unknown";
  return folder.uid === user && (folder.mode & others) === 0 ? "private" : "shared";
}
