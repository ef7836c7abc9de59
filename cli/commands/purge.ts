/** `npm run purge`: removes what gpubox put below `code/` and `data/`, after asking; what is the person's stays. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../context.ts";
import { runHostScript } from "../host-scripts.ts";
import { capture } from "../run.ts";
import { Problem, say } from "../say.ts";
import { confirm } from "../setup/packages.ts";
import { parseStackArgs, readStack, shortName } from "../setup/stack.ts";

const KINDS = ["code", "data"] as const;

/** An entry of `code` or `data`, in the configuration or not any more, of which something is on this machine. */
export interface PutEntry {
  kind: (typeof KINDS)[number];
  /** Below `code/` or `data/`. */
  folder: string;
  /** What gpubox put there: the folder, its other versions, half-made downloads. Absolute. */
  paths: string[];
}

export async function purge(context: Context, args: string[]): Promise<number> {
  const { stack, rest } = parseStackArgs(args, context.env);
  const confirmed = rest.some((arg) => /^(-y|--yes)$/.test(arg));
  const names = rest.filter((arg) => !/^(-y|--yes)$/.test(arg));
  const option = names.find((name) => name.startsWith("-"));
  if (option) throw new Problem(`there is no option ${option}; it takes names like data/pets, and --yes`);
  if (readStack(context.root, stack).host !== "local") {
    throw new Problem(`stack ${stack} is not on this machine: \`npm run purge\` is for local stacks only`);
  }
  const { root, entries: configured } = await readConfigured(context, stack);
  const entries = chooseEntries(await putEntries(context, root), names);
  if (entries.length === 0) {
    say(`there is nothing below ${root} that gpubox put there`);
    return 0;
  }
  for (const entry of entries) {
    const size = await sizeOf(context, entry.paths);
    const note = configured.includes(nameOf(entry))
      ? ` (still in Pulumi.${shortName(stack)}.yaml: the next \`npm start\` brings it back)`
      : "";
    say(`${nameOf(entry)}  ${size}${note}\n${entry.paths.map((path) => `  ${path}`).join("\n")}`);
  }
  if (!confirmed && !context.interactive) {
    throw new Problem("there is no terminal to ask at: confirm with `npm run purge -- --yes`");
  }
  if (!confirmed && !(await confirm("remove these, but no file that you changed or added?"))) return 1;
  return await purgeEntries(context, root, entries);
}

const nameOf = ({ kind, folder }: PutEntry) => `${kind}/${folder}`;

/** The root of a stack, absolute, and its entries by their names. @throws Problem when its file cannot be used */
async function readConfigured(
  { env, root }: Context,
  stack: string,
): Promise<{ root: string; entries: string[] }> {
  // Loads Pulumi's SDK, which other commands need not wait for.
  const { readConfig } = await import("../setup/config.ts");
  const config = readConfig(root, stack);
  return {
    root: config.root.replace(/^~(?=\/|$)/, env.HOME ?? ""),
    entries: KINDS.flatMap((kind) => config[kind].map(({ folder }) => `${kind}/${folder}`)),
  };
}

/** Everything that gpubox put below a root. What it works on has a folder in `.gpubox/` of `code/` and `data/`. */
export async function putEntries(context: Context, root: string): Promise<PutEntry[]> {
  const entries = KINDS.flatMap((kind) => {
    const own = join(root, kind, ".gpubox");
    const inside = existsSync(own) ? readdirSync(own, { withFileTypes: true }) : [];
    const folders = inside.filter((each) => each.isDirectory()).map(({ name }) => name);
    return folders.sort().map(async (name): Promise<PutEntry> => {
      const folder = name.replaceAll("%2F", "/").replaceAll("%25", "%");
      // The script knows what is gpubox's; without PURGE it only says so.
      const { lines } = await runHostScript(
        context,
        "retire.sh",
        { ROOT: root, KIND: kind, FOLDER: folder, PURGE: "" },
        "ignore",
      );
      return { kind, folder, paths: [...lines, ...halfMade(join(own, name))] };
    });
  });
  return (await Promise.all(entries)).filter(({ paths }) => paths.length > 0);
}

/** The folder in which a download or a clone is half made, where there is one. */
function halfMade(folder: string): string[] {
  const rest = readdirSync(folder).filter((name) => name !== "lock" && !name.endsWith(".log"));
  return rest.length > 0 ? [folder] : [];
}

/** Those of these names, `data/pets` or `pets`; all of them without any. @throws Problem when there is none of that name */
export function chooseEntries(entries: PutEntry[], names: string[]): PutEntry[] {
  const hasName = (entry: PutEntry, name: string) => name === nameOf(entry) || name === entry.folder;
  const unknown = names.find((name) => !entries.some((entry) => hasName(entry, name)));
  if (unknown) {
    const known = entries.map(nameOf).join(", ") || "nothing";
    throw new Problem(`there is nothing of ${unknown} that gpubox put there; there is ${known}`);
  }
  return names.length === 0 ? entries : entries.filter((entry) => names.some((name) => hasName(entry, name)));
}

async function sizeOf({ env }: Context, paths: string[]): Promise<string> {
  const { stdout } = await capture("du", ["-sk", ...paths], { env });
  const kilobytes = stdout.split("\n").reduce((sum, line) => sum + Number.parseInt(line || "0", 10), 0);
  const megabytes = (kilobytes * 1024) / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
}

/** Removes what gpubox put there, one entry after the other. @returns exit status: 1 when a removal failed */
export async function purgeEntries(context: Context, root: string, entries: PutEntry[]): Promise<number> {
  let status = 0;
  for (const { kind, folder } of entries) {
    const { code } = await runHostScript(context, "retire.sh", {
      ROOT: root,
      KIND: kind,
      FOLDER: folder,
      PURGE: "1",
    });
    if (code !== 0) status = 1;
  }
  return status;
}
