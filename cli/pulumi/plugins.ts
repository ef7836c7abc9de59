/** The engine's plugins: official ones where they can be had, the stand-ins of offline/ for the others. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { UserError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { findProgram, isExecutable } from "../system/path.ts";
import { capture } from "../system/run.ts";
import { say, step } from "../ui/say.ts";
import type { Engine } from "./engine.ts";
import { canDownloadOfficial, downloadEnv, rememberNoDownloads } from "./official.ts";
import { makePulumiHome } from "./pulumi-home.ts";

/** A plugin that the program needs. */
export interface Plugin {
  kind: "language" | "resource";
  name: string;
  /** Version that the SDK in node_modules asks for. */
  version: string;
}

/** Where the engine finds every plugin. */
export interface Plugins {
  /** The engine's PULUMI_HOME: the person's, or one of ours that has stand-ins as well. */
  home: string;
  /** Names of the plugins that stand-ins are used for. */
  standIns: string[];
}

const SDKS = { nodejs: "pulumi", docker: "docker", command: "command", random: "random" };

/** Folder of the stand-ins in a checkout. */
export function standInFolder(root: string): string {
  return join(root, "offline", "plugins");
}

/** File name of a plugin's program. */
export function programName({ kind, name }: Plugin): string {
  return `pulumi-${kind}-${name}`;
}

/** Folder that a plugin is installed in, below `plugins/` of a PULUMI_HOME. */
function folderName({ kind, name, version }: Plugin): string {
  return `${kind}-${name}-v${version}`;
}

/** The plugins that the program needs, at the versions of the SDKs that are installed. */
export function neededPlugins(root: string): Plugin[] {
  return Object.entries(SDKS).map(([name, sdk]) => {
    const manifest = join(root, "node_modules", "@pulumi", sdk, "package.json");
    const { version } = JSON.parse(readFileSync(manifest, "utf8"));
    return { kind: name === "nodejs" ? "language" : "resource", name, version };
  });
}

/** Where an official plugin is, looked for where the engine looks: PATH, beside itself, its own folder. */
export function findOfficial(context: Context, engine: Engine, plugin: Plugin): string | undefined {
  const program = programName(plugin);
  const standIns = realpathOf(standInFolder(context.root)) + sep;
  const beside = join(dirname(realpathSync(engine.file)), program);
  const installed = join(context.pulumiHome, "plugins", folderName(plugin), program);
  return (
    findProgram(program, context.env.PATH, (file) => !file.startsWith(standIns)) ??
    [...(plugin.kind === "language" ? [beside] : []), installed].find(isExecutable)
  );
}

function realpathOf(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

/**
 * Makes sure that the engine finds every plugin.
 *
 * @throws UserError when a plugin can neither be had nor stood in for
 */
export async function preparePlugins(context: Context, engine: Engine): Promise<Plugins> {
  let missing = neededPlugins(context.root).filter((plugin) => !findOfficial(context, engine, plugin));
  if (missing.length > 0 && (await canDownloadOfficial(context))) {
    await download(context, engine, missing);
    missing = missing.filter((plugin) => !findOfficial(context, engine, plugin));
    if (missing.length > 0) rememberNoDownloads(context);
  }
  return {
    home: missing.length === 0 ? context.pulumiHome : homeWith(context, missing),
    standIns: missing.map(({ name }) => name),
  };
}

/** A PULUMI_HOME of this checkout's that has the stand-ins of these beside everything in the person's. */
function homeWith({ cache, pulumiHome, root }: Context, plugins: Plugin[]): string {
  const key = createHash("sha256").update(`${root}\0${pulumiHome}`).digest("hex").slice(0, 12);
  const home = join(cache, "pulumi-home", key);
  const standIns = plugins.map(
    (plugin) => [folderName(plugin), new Map([[programName(plugin), standIn(root, plugin)]])] as const,
  );
  makePulumiHome(home, pulumiHome, new Map(standIns));
  return home;
}

/** Says in one line where stand-ins are used. */
export function sayStandIns({ standIns }: Pick<Plugins, "standIns">): void {
  if (standIns.length === 0) return;
  say(
    `plugins: using gpubox's own stand-ins for ${standIns.join(", ")} (the official ones cannot be downloaded here)`,
  );
}

/** The program of a plugin's stand-in. */
function standIn(root: string, plugin: Plugin): string {
  const folder = join(standInFolder(root), `${plugin.kind}-${plugin.name}`);
  const file = join(folder, programName(plugin));
  if (isExecutable(file)) return file;
  throw new UserError(
    `the plugin ${plugin.name} ${plugin.version} cannot be downloaded and its stand-in ${folder} is incomplete: restore it with \`git checkout -- offline\``,
  );
}

async function download(context: Context, engine: Engine, plugins: Plugin[]): Promise<void> {
  for (const { kind, name, version } of plugins) {
    await step(`plugin ${name} ${version}: downloading`, () =>
      capture(engine.file, ["plugin", "install", kind, name, version], {
        env: downloadEnv(context),
      }),
    );
  }
}
