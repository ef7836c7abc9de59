/** A state that a power cut, a full disk or a hand has damaged: what to do, with the engine's own backups of it. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../../errors.ts";
import { quote } from "../../text/shell.ts";
import { stackCommand } from "../stack.ts";
import { ENDINGS, entries, type StackPlaces, unpack } from "./checkpoint.ts";

/** What is wrong with a file that should hold JSON; undefined for a whole one. */
export function damage(file: string): string | undefined {
  try {
    const bytes = readFileSync(file);
    if (bytes.length === 0) return "it is empty";
    // The engine's backup of dev.json.gz is dev.json.gz.bak.
    JSON.parse(unpack(file.replace(/\.bak$/, ""), bytes).toString());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The newest of a stack's earlier states that is whole; the engine keeps one beside the state and one of each run. */
function newestBackup({ state, backups }: StackPlaces): string | undefined {
  const [newest] = [
    ...ENDINGS.map((ending) => `${state}${ending}.bak`).filter(existsSync),
    ...entries(backups),
  ]
    .filter((file) => !file.endsWith(".attrs") && damage(file) === undefined)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  return newest;
}

/** @throws UserError with the command that sets a damaged state aside and puts its newest whole backup in its place */
export function refuseDamagedState({ stack }: { stack: string }, places: StackPlaces): void {
  for (const file of ENDINGS.map((ending) => places.state + ending).filter(existsSync)) {
    const fault = damage(file);
    if (fault === undefined) continue;
    const backup = newestBackup(places);
    throw new UserError(
      [
        `the state of stack ${stack} is damaged: ${file}: ${fault}. Nothing was changed.`,
        ...(backup ? restore(file, backup) : startOver(file, stack)),
        `Then try again. Your files in code/ and data/ are not affected.`,
      ].join("\n"),
    );
  }
}

/** A name for a damaged file, beside it, that the engine takes no notice of. */
function setAside(file: string): string {
  const time = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  return `mv ${quote(file)} ${quote(`${file}.damaged-${time}`)}`;
}

function restore(file: string, backup: string): string[] {
  const target = join(dirname(file), basename(file).replace(/\.json.*$/, endingOf(backup)));
  return [
    `Pulumi keeps earlier versions; the newest intact one is from ${statSync(backup).mtime.toLocaleString("sv")}. To restore it and keep the damaged one, run`,
    `  ${setAside(file)} && cp -p ${quote(backup)} ${quote(target)}`,
  ];
}

function endingOf(backup: string): string {
  return /\.json(\.gz|\.zst)?(?=(\.bak)?$)/.exec(backup)?.[0] ?? ".json";
}

function startOver(file: string, stack: string): string[] {
  return [
    "None of the earlier versions that Pulumi keeps is intact. To start with an empty one and keep the damaged one, run",
    `  ${setAside(file)}`,
    "then take over what the stack has on its Docker daemon, so that it is created again with its home volumes:",
    `  ${stackCommand("adopt", stack)}`,
  ];
}
