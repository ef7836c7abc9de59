/** What developers' commands and tests keep in the cache folder. */
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

/** Removes what earlier versions kept under such names, before what takes its place is put there. */
export async function dropOlder(cache: string, names: RegExp): Promise<void> {
  const older = readdirSync(cache).filter((name) => names.test(name));
  await Promise.all(older.map((name) => rm(join(cache, name), { recursive: true, force: true })));
}
