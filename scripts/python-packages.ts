/** Python packages for developers' commands and tests, apart from those of the machine. They come from PyPI and stay in the cache. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, createContext, ensureFolder } from "../cli/context.ts";
import { capture } from "../cli/system/run.ts";
import { UserError } from "../errors.ts";
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
 * @param requirements a line a package, as pip reads it; with hashes, pip checks them
 * @returns the folder, as PYTHONPATH wants it
 * @throws UserError where they cannot be installed
 */
export async function pythonPackages(
  name: string,
  requirements: string,
  { cache, env }: Context = createContext(),
): Promise<string> {
  const python = await capture("python3", ["--version"], { env });
  if (python.code !== 0)
    throw new UserError(`${name} takes python3 with pip: on Debian and Ubuntu, ${INSTALL_PIP}`);
  const wanted = createHash("sha256").update(python.stdout).update(requirements).digest("hex");
  const folder = join(cache, `${name}-${wanted.slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  ensureFolder(cache, "what can be made again");
  // Moved into place when it is whole: an install that was killed is never taken for one.
  const fresh = mkdtempSync(`${folder}.`);
  try {
    const list = join(fresh, "requirements.txt");
    writeFileSync(list, requirements);
    const { code, stderr } = await capture(
      "python3",
      [...INSTALL, "--target", fresh, "--requirement", list],
      { env },
    );
    if (code !== 0) {
      const hint = /No module named pip/.test(stderr) ? `: on Debian and Ubuntu, ${INSTALL_PIP}` : "";
      throw new UserError(`${name} cannot be installed from PyPI${hint}\n${stderr.trim()}`);
    }
    await dropOlder(cache, new RegExp(`^${name}-[0-9a-f]+$`));
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

const INSTALL_PIP = "`sudo apt-get install python3-pip`";
