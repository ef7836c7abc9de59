/** The state of a stack in a `file://` backend: its file, the engine's backups of it, and what to do when it is damaged. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { quote } from "./commands/env.ts";
import { Problem } from "./say.ts";
import { shortName } from "./setup/stack.ts";

/** Where the engine keeps what belongs to one stack, below the folder of a `file://` backend. */
export interface StackPlaces {
  /** What follows is below it, and the files of the backend itself. */
  root: string;
  /** Without its ending: `.json`, `.json.gz` or `.json.zst`. */
  state: string;
  locks: string;
  backups: string;
  history: string;
}

/** The places of a stack; they need not be there. */
export function stackPlaces(folder: string, project: string, stack: string): StackPlaces {
  const name = shortName(stack);
  const root = join(folder, ".pulumi");
  const place = (...parts: string[]) => join(root, ...parts);
  return {
    root,
    state: place("stacks", project, name),
    locks: place("locks", "organization", project, name),
    backups: place("backups", project, name),
    history: place("history", project, name),
  };
}

/** The files in a folder; none where there is no such folder. */
export function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

const ENDINGS = [".json", ".json.gz", ".json.zst"];

/** What is wrong with a file that should hold JSON; undefined for a whole one. */
export function damage(file: string): string | undefined {
  try {
    const bytes = readFileSync(file);
    if (bytes.length === 0) return "it is empty";
    JSON.parse(unpacked(file, bytes).toString());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function unpacked(file: string, bytes: Buffer): Buffer {
  // The engine's backup of dev.json.gz is dev.json.gz.bak.
  const name = file.replace(/\.bak$/, "");
  if (name.endsWith(".gz")) return gunzipSync(bytes);
  return name.endsWith(".zst") ? zstdDecompressSync(bytes) : bytes;
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

/** @throws Problem with the command that sets a damaged state aside and puts its newest whole backup in its place */
export function refuseDamagedState(
  { stack, label }: { stack: string; label: string },
  places: StackPlaces,
): void {
  for (const file of ENDINGS.map((ending) => places.state + ending).filter(existsSync)) {
    const fault = damage(file);
    if (fault === undefined) continue;
    const backup = newestBackup(places);
    throw new Problem(
      [
        `the state of stack ${stack} is damaged: ${file}: ${fault}. Nothing was changed.`,
        ...(backup ? restore(file, backup) : startOver(file, label)),
        `Then run the same again. Your files in code/ and data/ are not concerned.`,
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
    `Pulumi keeps earlier versions; the newest whole one is of ${statSync(backup).mtime.toLocaleString("sv")}. Put it in place, and keep the damaged one, with`,
    `  ${setAside(file)} && cp -p ${quote(backup)} ${quote(target)}`,
  ];
}

function endingOf(backup: string): string {
  return /\.json(\.gz|\.zst)?(?=(\.bak)?$)/.exec(backup)?.[0] ?? ".json";
}

function startOver(file: string, label: string): string[] {
  return [
    "None of the earlier versions that Pulumi keeps is whole. Begin with an empty one, and keep the damaged one, with",
    `  ${setAside(file)}`,
    "What the stack made is made again, with new tokens; remove it first, with",
    `  docker ps -aq --filter label=gpubox.stack=${label} | xargs -r docker rm -f`,
    `  docker network ls -q --filter label=gpubox.stack=${label} | xargs -r docker network rm`,
  ];
}
