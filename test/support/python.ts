/** Python packages for the tests, apart from those of the machine. */
import { execFileSync } from "node:child_process";

/** Installs packages into a folder. @returns the folder, as PYTHONPATH wants it */
export function installPackages(folder: string, packages: string[]): string {
  const quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
  execFileSync("python3", ["-m", "pip", "install", ...quiet, "--target", folder, ...packages], {
    stdio: "pipe",
  });
  return folder;
}
