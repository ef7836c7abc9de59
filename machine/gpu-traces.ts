/** What the kernel shows of GPUs, read in a millisecond, where asking the driver takes a second and wakes it. */
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where the driver shows its version, its GPUs and their slices: each a small file. */
const DRIVER = "proc/driver/nvidia";
/** Slices and capabilities of GPUs, by their device files; WSL has one device for all. */
const DEVICES = /^(nvidia.*|dxg)$/;
/** What of the driver's folder changes with the GPUs, and not with their use. */
const LASTING = /^(version|gpus|capabilities)$/;

/**
 * What can be seen of the GPUs of this machine and of their driver: another text wherever one comes, goes, is another one, or is cut
 * into slices, and when the driver does.
 *
 * @param root in place of `/`
 */
export function gpuTraces(root = "/"): string {
  const devices = names(join(root, "dev")).filter((name) => DEVICES.test(name));
  const files = entries(join(root, DRIVER))
    .filter(({ name }) => LASTING.test(name))
    .flatMap((entry) => read(join(root, DRIVER), entry));
  return JSON.stringify([devices, files]);
}

function read(folder: string, entry: Dirent): string[] {
  const path = join(folder, entry.name);
  if (entry.isDirectory()) return entries(path).flatMap((each) => read(path, each));
  try {
    return [`${path}: ${readFileSync(path, "utf8")}`];
  } catch {
    // Some may be read by root alone.
    return [path];
  }
}

function entries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((one, other) =>
      one.name < other.name ? -1 : 1,
    );
  } catch {
    return [];
  }
}

const names = (folder: string): string[] => entries(folder).map(({ name }) => name);
