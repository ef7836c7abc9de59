import { readdir, readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

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

/** What makes a folder a policy pack: the plugins of its packages are none of the program's. */
const POLICY_PACK = /^PulumiPolicy\.(ya?ml|json)$/;

/**
 * The provider plugins of every package that is installed anywhere below the program's folder, as the official plugin has it:
 * whether the program depends on it or not. What cannot be read is left out.
 */
export async function requiredPlugins(folder: string): Promise<RequiredPlugin[]> {
  const found = await pluginsBelow(folder, false, new Set());
  return [...new Map(found.map((plugin) => [`${plugin.name} ${plugin.version}`, plugin])).values()];
}

async function pluginsBelow(
  folder: string,
  isInPackages: boolean,
  seen: Set<string>,
): Promise<RequiredPlugin[]> {
  // Links lead to where others have been.
  const real = await realpath(folder).catch(() => undefined);
  if (real === undefined || seen.has(real)) return [];
  seen.add(real);
  const entries = await readdir(real, { withFileTypes: true }).catch(() => []);
  if (entries.some(({ name }) => POLICY_PACK.test(name)) && seen.size > 1) return [];
  const arePackages = isInPackages || basename(real) === "node_modules";
  const found: RequiredPlugin[] = [];
  for (const entry of entries) {
    const path = join(real, entry.name);
    if (entry.isDirectory() || entry.isSymbolicLink())
      found.push(...(await pluginsBelow(path, arePackages, seen)));
    else if (isInPackages && entry.name === "package.json") found.push(...(await pluginOf(real)));
  }
  return found;
}

async function pluginOf(folder: string): Promise<RequiredPlugin[]> {
  const { name, version, pulumi } = (await manifest(folder).catch(() => undefined)) ?? {};
  if (!pulumi?.resource || !(pulumi.name ?? name?.startsWith("@pulumi/"))) return [];
  return [
    {
      name: pulumi.name ?? (name as string).replace(/^@pulumi\//, ""),
      version: `v${(pulumi.version ?? version ?? "").replace(/^v/, "")}`,
      server: pulumi.server,
    },
  ];
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
