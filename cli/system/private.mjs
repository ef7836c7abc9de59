/** Folders that are the person's alone. */
import { chmodSync, mkdirSync, statSync } from "node:fs";

/** @see private.d.mts */
export function makePrivate(path, others = 0o077) {
  const isMade = mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined;
  const { mode, uid } = statSync(path);
  if ((mode & others) === 0) return isMade;
  try {
    chmodSync(path, mode & 0o7777 & ~others);
  } catch (error) {
    // What is on a disk without modes, or one that cannot be written to, is as it is; what nobody but its owner can change, too.
    if (error.code === "EPERM" && uid !== process.getuid?.() && mode & 0o022) throw error;
  }
  return isMade;
}
