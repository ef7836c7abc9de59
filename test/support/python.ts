/** Python packages for the tests, apart from those of the machine. They come from PyPI and stay in the cache. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { createContext } from "../../cli/context.ts";
import { dropOlder } from "./cache.ts";

const INSTALL = [
  "-m",
  "pip",
  "install",
  "--quiet",
  "--disable-pip-version-check",
  "--root-user-action=ignore",
];

/**
 * Installs packages where they are not there yet.
 *
 * @param name what they are for: those of an earlier version are removed
 * @param requirements a line a package, as pip reads it
 * @returns the folder, as PYTHONPATH wants it
 */
export async function pythonPackages(name: string, requirements: string): Promise<string> {
  const { cache } = createContext();
  const { stdout: python } = await execa("python3", ["--version"]);
  const wanted = createHash("sha256").update(python).update(requirements).digest("hex");
  const folder = join(cache, `${name}-${wanted.slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  // Moved into place when it is whole: an install that was killed is never taken for one.
  const fresh = mkdtempSync(`${folder}.`);
  try {
    const list = join(fresh, "requirements.txt");
    writeFileSync(list, requirements);
    await execa("python3", [...INSTALL, "--target", fresh, "--requirement", list]);
    await dropOlder(cache, new RegExp(`^${name}-[0-9a-f]+$`));
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}
