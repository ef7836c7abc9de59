/** In each lane, before its test file: waits until this machine is ready, and lays out the folder of the lane's daemon. */
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inject } from "vitest";
import { MISSING } from "../../scripts/test-packages.ts";
import { LANE_FOLDER } from "../support/daemon.ts";
import { copyImages } from "../support/images.ts";
import { LANE } from "../support/lanes.ts";
import type { Prepared } from "./machine.ts";

const run = inject("run");
const file = join(run, "prepared.json");
while (!existsSync(file)) await sleep(250);
const { missing, env }: Prepared = JSON.parse(readFileSync(file, "utf8"));
Object.assign(process.env, env, { [MISSING]: JSON.stringify(missing) });

if (missing.length === 0) {
  const folder = join(run, `lane${process.env[LANE]}`);
  process.env[LANE_FOLDER] = folder;
  if (!existsSync(folder)) {
    // Moved into place, as whoever comes after a lane that was ended takes what is there for whole.
    const fresh = `${folder}.part`;
    mkdirSync(fresh, { recursive: true });
    await copyImages("machine", join(fresh, "data"));
    renameSync(fresh, folder);
  }
}
