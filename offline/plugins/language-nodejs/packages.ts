import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

/** What this plugin reads of a package.json. */
interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  pulumi?: { resource?: boolean; name?: string; version?: string; server?: string };
}

/** A provider plugin that a program needs. */
export interface RequiredPlugin {
  name: string;
  /** With a leading `v`, as the engine expects it. */
  version: string;
  /** Where to download it, when that is not Pulumi's own server. */
  server?: string;
}

/** The provider plugins that the program's dependencies say they need. */
export async function requiredPlugins(folder: string): Promise<RequiredPlugin[]> {
  const manifests = await installed(folder);
  return manifests
    .filter(({ pulumi }) => pulumi?.resource)
    .map(({ name, version, pulumi }) => ({
      name: pulumi?.name ?? name.replace(/^@pulumi\//, ""),
      version: `v${(pulumi?.version ?? version).replace(/^v/, "")}`,
      server: pulumi?.server,
    }));
}

/** Name and version of the packages that the program depends on, or, with `transitive`, of all that are installed. */
export async function dependencies(
  folder: string,
  transitive: boolean,
): Promise<{ name: string; version: string }[]> {
  if (!transitive) return installed(folder);
  const lock = JSON.parse(await readFile(join(folder, "package-lock.json"), "utf8"));
  return Object.entries(lock.packages as Record<string, { version: string; link?: boolean }>)
    .filter(([path, { link }]) => path !== "" && !link)
    .map(([path, { version }]) => ({ name: path.replace(/^.*node_modules\//, ""), version }));
}

/** The manifests of the dependencies that are installed; the ones that are not are none of the engine's business. */
async function installed(folder: string): Promise<Manifest[]> {
  const own = await manifest(folder);
  const names = Object.keys({ ...own?.devDependencies, ...own?.dependencies });
  const found = await Promise.all(names.map((name) => findManifest(folder, name)));
  return found.filter((each) => each !== undefined);
}

/** Looks through the node_modules folders itself: most packages do not export their package.json. */
async function findManifest(folder: string, name: string): Promise<Manifest | undefined> {
  for (const root of createRequire(join(folder, "package.json")).resolve.paths(name) ?? []) {
    const found = await manifest(join(root, name));
    if (found) return found;
  }
  return undefined;
}

async function manifest(folder: string): Promise<Manifest | undefined> {
  const path = join(folder, "package.json");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
}
