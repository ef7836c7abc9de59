/**
 * A PULUMI_HOME of gpubox's own: plugins that are not the person's are installed there, and everything else in it is a link to the
 * person's. So the engine finds the stand-ins as it finds any installed plugin, and the person's folder holds official ones only.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join, resolve } from "node:path";

/** Link to the person's PULUMI_HOME in one of ours. */
const ORIGINAL = "gpubox-original";

/** Folders that the engine makes when it needs them and that are worth keeping: the selected stack, encrypted logs. */
const KEPT = ["workspaces", "logs"];

/** A key that the engine writes to PULUMI_HOME, over a link as well; it belongs to the login in `credentials.json`. */
const LOGIN_KEY = "credentials-key.tpm";

const NOT_ALLOWED = ["EACCES", "EPERM", "EROFS"];

/** By folder below `plugins/`: what is in it by name, each with the file or folder that is meant. */
export type PluginLinks = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The person's PULUMI_HOME: a shell that has run `npm run env` names ours. */
export function originalHome(home: string): string {
  return linkTarget(join(home, ORIGINAL)) ?? home;
}

/** Makes `home`, or brings it up to date with the person's. Several runs may do so at once. */
export function makePulumiHome(home: string, persons: string, plugins: PluginLinks): void {
  const original = resolve(persons);
  // One that the person may only read is as it is: what the engine keeps there is kept in ours.
  for (const name of KEPT)
    tolerate(NOT_ALLOWED, () => mkdirSync(join(original, name), { recursive: true, mode: 0o700 }));
  mkdirSync(home, { recursive: true, mode: 0o700 });
  if (isFile(join(home, LOGIN_KEY)))
    tolerate([...NOT_ALLOWED, "EXDEV"], () => renameSync(join(home, LOGIN_KEY), join(original, LOGIN_KEY)));
  const others = namesIn(original).filter((name) => name !== "plugins");
  const links = others.map((name) => [name, join(original, name)] as const);
  linkAll(home, new Map([[ORIGINAL, original], ...links]));

  const folder = join(home, "plugins");
  const wanted = new Map([...installedPlugins(join(original, "plugins")), ...plugins]);
  for (const name of new Set([...foldersIn(folder), ...wanted.keys()])) {
    linkAll(join(folder, name), wanted.get(name) ?? new Map());
    if (!wanted.has(name)) tolerate(["ENOTEMPTY", "EEXIST", "ENOENT"], () => rmdirSync(join(folder, name)));
  }
}

/** The engine takes no link for a plugin's folder: the folders are real, and what is in them is linked. */
function installedPlugins(folder: string): PluginLinks {
  const whole = foldersIn(folder).filter((name) => !existsSync(join(folder, `${name}.partial`)));
  return new Map(
    whole.map((name) => [
      name,
      new Map(namesIn(join(folder, name)).map((file) => [file, join(folder, name, file)])),
    ]),
  );
}

/** Sees to it that the links of a folder are these. What is there and no link, the engine has made: it stays. */
function linkAll(folder: string, links: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const target = linkTarget(path);
    if (target !== undefined && target !== links.get(name)) rmSync(path, { force: true });
  }
  for (const [name, target] of links) tolerate(["EEXIST"], () => symlinkSync(target, join(folder, name)));
}

/** Does it, and passes over errors of these kinds. */
function tolerate(codes: string[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Whether there is a file, and no link to one. */
function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function foldersIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? entry.name : [],
  );
}
