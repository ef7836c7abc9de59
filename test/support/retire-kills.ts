/** A data set whose removal is killed again and again. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { filesBelow, removeFolder, runScript, startScript } from "./host-script.ts";
import { attempts, type Kill, killed, killsText } from "./killed-script.ts";

const MORE = 2000;

/** How many files of a data set there are, however many of them go meanwhile. */
export const countFiles = (folder: string) =>
  existsSync(folder) ? readdirSync(folder, { recursive: true }).length : 0;

/** Removes a data set that is in place, killed on the way. */
export async function expectRemoval(root: string, folder: string, kills: readonly Kill[]): Promise<void> {
  const set = join(root, "data", folder);
  const marker = join(set, ".gpubox.json");
  const parameters = { ROOT: root, KIND: "data", FOLDER: folder, PURGE: "1" };
  for (let n = 0; n < MORE; n += 1) writeFileSync(join(set, `more-${n}`), "x");
  // As if all had come with it.
  const touch = () => execFileSync("touch", [marker]);
  touch();
  const whole = Object.keys(filesBelow(set)).length;
  const copy = `${root}.copy`;
  execFileSync("cp", ["-a", set, copy]);
  for (const attempt of attempts(kills)) {
    if (!existsSync(set)) {
      execFileSync("cp", ["-a", copy, set]);
      touch();
    }
    attempt.hit = await killed(startScript("gpubox_data/retire.py", parameters), attempt.kill);
    // What is left is never taken for a whole data set.
    if (existsSync(marker)) expect(Object.keys(filesBelow(set)), killsText(kills)).toHaveLength(whole);
  }
  removeFolder(copy);
  expect((await runScript("gpubox_data/retire.py", parameters)).code, killsText(kills)).toBe(0);
  expect(readdirSync(join(root, "data"))).toEqual([".gpubox"]);
}
