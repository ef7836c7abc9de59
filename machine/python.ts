/** The Python of a machine, with which the data program runs. */
import { atLeast } from "../text/version.ts";

/** The oldest that the data program takes: host-scripts/gpubox_data/load.py says so as well. */
export const OLDEST_PYTHON = "3.9";

/** Whether the data program runs with a Python of this version; null where there is none. */
export const isEnough = (version: string | null | undefined): boolean =>
  typeof version === "string" && atLeast(version, OLDEST_PYTHON);
