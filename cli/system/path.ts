/** Looking for programs. */
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Folders that only root's PATH has on Debian; daemons and their tools live there. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Whether there is a file that can be run. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The folders of a PATH. */
export function folders(path: string | undefined): string[] {
  return (path ?? "").split(delimiter).filter(Boolean);
}

/** The first program of that name in the folders that `accept` lets through. */
export function findProgram(
  name: string,
  path: string | undefined,
  accept: (file: string) => boolean = () => true,
): string | undefined {
  return folders(path)
    .map((folder) => join(folder, name))
    .find((file) => isExecutable(file) && accept(realpathSync(file)));
}

/** Like `findProgram`, in root's folders as well: whether something is installed, whoever asks. */
export function findSystemProgram(name: string, path: string | undefined): string | undefined {
  return findProgram(name, [...folders(path), ...SYSTEM_FOLDERS].join(delimiter));
}
