/** `npm run purge`: removes what gpubox put below `code/` and `data/`, after asking; what is the person's stays. */
import { readdirSync } from "node:fs";
import { rootId } from "../../config/host/index.ts";
import { readConfig } from "../../config/load.ts";
import { shortName, stackId } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { imageName } from "../../machine/names.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { connectTo } from "../hosts/index.ts";
import { openable } from "../session.ts";
import { stackCommand } from "../stack.ts";
import { runHostScript } from "../system/host-scripts.ts";
import { confirm } from "../ui/confirm.ts";
import { say } from "../ui/say.ts";

const KINDS = ["code", "data"] as const;

/** An entry of `code` or `data`, in the configuration or not any more, of which something is on the machine. */
export interface PutEntry {
  kind: (typeof KINDS)[number];
  /** Below `code/` or `data/`. */
  folder: string;
  /** What gpubox put there: the folder, its other versions, half-made downloads. Absolute. */
  paths: string[];
  /** What they take on the disk. */
  kilobytes: number;
}

export async function purge(context: Context, args: Args): Promise<number> {
  const { stack, names, options } = args;
  const { shared, entries: configured } = readConfigured(context, stack);
  const connection = await connectTo(openable(context, args));
  const chosen = chooseEntries(await putEntries(context, shared, connection), names);
  const others = othersOf(context, stack);
  const isKept = (entry: PutEntry) => names.length === 0 && others.has(nameOf(entry));
  for (const entry of chosen.filter(isKept)) {
    const name = nameOf(entry);
    say(
      `${name}: kept, because ${others.get(name)} uses it too; to remove it anyway, name it: \`${stackCommand("purge", stack, name)}\``,
    );
  }
  const entries = chosen.filter((entry) => !isKept(entry));
  if (chosen.length > 0 && entries.length === 0) return 0;
  if (entries.length === 0) {
    say(`gpubox has put nothing below ${shared.ROOT}${connection ? ` on ${connection.address}` : ""}`);
    return 0;
  }
  for (const entry of entries) {
    const note = configured.includes(nameOf(entry))
      ? ` (still in Pulumi.${shortName(stack)}.yaml: the next \`${stackCommand("up", stack)}\` brings it back)`
      : "";
    const other = others.get(nameOf(entry));
    const loss = other ? ` (${other} uses it too, and its notebooks will lose it)` : "";
    say(
      `${nameOf(entry)}  ${sizeText(entry)}${note}${loss}\n${entry.paths.map((path) => `  ${path}`).join("\n")}`,
    );
  }
  if (!options.yes && !context.interactive) {
    const again = stackCommand("purge", stack, ...names, "--yes");
    throw new UserError(`there is no terminal to ask at: confirm with \`${again}\``);
  }
  if (!options.yes && !(await confirm("remove these, except files that you changed or added?"))) {
    say("nothing was removed");
    return 1;
  }
  return await purgeEntries(context, shared, entries, connection);
}

const nameOf = ({ kind, folder }: PutEntry) => `${kind}/${folder}`;

/** What the scripts are told of a stack, by its file, and its entries by their names. @throws UserError when the file cannot be used */
function readConfigured(context: Context, stack: string): { shared: Shared; entries: string[] } {
  const config = readConfig(context.root, stack);
  const entries = KINDS.flatMap((kind) => config[kind].map(({ folder }) => `${kind}/${folder}`));
  const image = imageName(stackId(context.root, stack), config.image);
  return { shared: { ROOT: config.root, IMAGE: image }, entries };
}

/** The entries that other stacks of this checkout have on the same machine below the same root: by their names, whose file has them. */
function othersOf({ root: checkout, env }: Context, stack: string): Map<string, string> {
  const place = (name: string) => {
    const { host, root, ...config } = readConfig(checkout, name);
    const at = rootId(host, root, env.HOME);
    return { at, entries: KINDS.flatMap((kind) => config[kind].map(({ folder }) => `${kind}/${folder}`)) };
  };
  const { at } = place(stack);
  const found = new Map<string, string>();
  for (const file of readdirSync(checkout)) {
    const name = /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1];
    if (name === undefined || name === shortName(stack)) continue;
    try {
      const other = place(name);
      if (other.at === at) for (const entry of other.entries) found.set(entry, file);
    } catch (error) {
      // What is wrong with another stack's file is for a run of that one.
      if (!(error instanceof UserError)) throw error;
    }
  }
  return found;
}

/** Parameters of the scripts: the root, and the image whose Python they take on a machine without. */
type Shared = Record<"ROOT" | "IMAGE", string>;

/** Everything that gpubox put below a root, entry by entry. @throws UserError when the machine does not say */
export async function putEntries(
  context: Context,
  shared: Shared,
  connection?: SshConnection,
): Promise<PutEntry[]> {
  const { code, lines } = await runHostScript(context, "gpubox_data/list_own.py", shared, { connection });
  if (code !== 0) throw new UserError("the files that gpubox put there could not be listed");
  const entries = new Map<string, PutEntry>();
  for (const line of lines) {
    const [kind, folder = "", kilobytes, path] = line.split("\t");
    // A login shell may have printed a greeting.
    if (path === undefined || !(kind === "code" || kind === "data")) continue;
    const entry = entries.get(`${kind}/${folder}`) ?? { kind, folder, paths: [], kilobytes: 0 };
    entry.paths.push(path);
    entry.kilobytes += Number(kilobytes);
    entries.set(`${kind}/${folder}`, entry);
  }
  return [...entries.values()];
}

/** Those of these names, `data/pets` or `pets`; all of them without any. @throws UserError when there is none of that name */
export function chooseEntries(entries: PutEntry[], names: string[]): PutEntry[] {
  const hasName = (entry: PutEntry, name: string) => name === nameOf(entry) || name === entry.folder;
  const unknown = names.find((name) => !entries.some((entry) => hasName(entry, name)));
  if (unknown) {
    const known = entries.map(nameOf).join(", ") || "nothing";
    throw new UserError(`gpubox has put no ${unknown} there; it has put ${known}`);
  }
  return names.length === 0 ? entries : entries.filter((entry) => names.some((name) => hasName(entry, name)));
}

function sizeText({ kilobytes }: PutEntry): string {
  const megabytes = (kilobytes * 1024) / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
}

/** Removes what gpubox put there, one entry after the other. @returns exit status: 1 when a removal failed */
export async function purgeEntries(
  context: Context,
  shared: Shared,
  entries: PutEntry[],
  connection?: SshConnection,
): Promise<number> {
  let status = 0;
  for (const { kind, folder } of entries) {
    const environment = { ...shared, KIND: kind, FOLDER: folder, PURGE: "1" };
    const { code } = await runHostScript(context, "gpubox_data/retire.py", environment, { connection });
    if (code !== 0) status = 1;
  }
  return status;
}
