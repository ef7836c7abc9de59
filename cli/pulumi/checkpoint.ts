/**
 * What a `file://` backend keeps of a stack: where it is, and reading it as the engine writes it.
 *
 * Starting the engine takes longer than most commands need in all. Everything read here gives undefined where it cannot be
 * sure (another kind of backend, a file of another form): the engine is asked then.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type { HostConfig } from "../../config/host/index.ts";
import { projectName } from "../../config/stack-file.ts";
import { type Holdings, holdings } from "../../machine/owner.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { Context } from "../context.ts";
import { backendFolder, chooseBackend } from "./backend.ts";

/** An update in the history of a stack. */
export interface Update {
  /** In milliseconds since the epoch, of which the engine writes down whole seconds. */
  startTime: number;
  kind: string;
  result?: string;
  resourceChanges?: Record<string, number>;
}

/** Where the engine keeps what belongs to one stack, below the folder of a `file://` backend. */
export interface StackPlaces {
  /** What follows is below it, and the files of the backend itself. */
  root: string;
  /** Without its ending: `.json`, `.json.gz` or `.json.zst`. */
  state: string;
  locks: string;
  backups: string;
  history: string;
  /** The lock of the run of gpubox that works on it. */
  run: string;
}

/** The places of a stack; they need not be there. */
export function stackPlaces(folder: string, project: string, stack: string): StackPlaces {
  const root = join(folder, ".pulumi");
  const place = (...parts: string[]) => join(root, ...parts);
  return {
    root,
    state: place("stacks", project, stack),
    locks: place("locks", "organization", project, stack),
    backups: place("backups", project, stack),
    history: place("history", project, stack),
    // Beside the engine's own files: it takes each of those for what it would be of its own.
    run: join(folder, `.gpubox-${project}-${stack}.lock`),
  };
}

/** The places of a stack; undefined where that is no folder, or the stack's name is that of another project. */
export function findPlaces(context: Context, stack: string): StackPlaces | undefined {
  const folder = backendFolder(chooseBackend(context).url, context.env.HOME);
  if (folder === undefined || stack.includes("/")) return undefined;
  return stackPlaces(folder, projectName(context.root), stack);
}

/** The files in a folder; none where there is no such folder. */
export function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

/** The part of a container's inputs that is read. */
export interface ContainerInputs {
  name: string;
  ports: { external: number; ip: string }[];
  mounts?: { type: string; source?: string }[];
  gpus?: string;
  deviceRequests?: { deviceIds: string[] }[];
}

/** The forms of the files that are read here; from 4 on a file names its features. */
const VERSIONS = [3, 4];
/** Features that only add to what a resource says of itself. */
const FEATURES = ["replaceWith", "taint", "refreshBeforeUpdate"];

/** How the engine may have packed a file, by its ending. */
const PACKED: Record<string, (bytes: Buffer) => Buffer> = {
  ".json": (bytes) => bytes,
  ".json.gz": gunzipSync,
  ".json.zst": zstdDecompressSync,
};

/** Endings of the files that a state may be in. */
export const ENDINGS = Object.keys(PACKED);

/** What a file holds, whatever its ending. @throws Error where it is cut short */
export function unpack(file: string, bytes: Buffer): Buffer {
  const [ending = ".json"] = /\.json(\.gz|\.zst)?$/.exec(file) ?? [];
  return (PACKED[ending] as (bytes: Buffer) => Buffer)(bytes);
}

/** The file that a stack's state is in. */
export function checkpointFile({ state }: StackPlaces): string | undefined {
  return ENDINGS.map((ending) => state + ending).find(existsSync);
}

/** Whether the backend knows a stack. */
export function isStackFileThere(places: StackPlaces): boolean {
  return checkpointFile(places) !== undefined;
}

/** The state of a stack. */
export function readStateFile(places: StackPlaces | undefined): State | undefined {
  const { version, features, checkpoint } = (places && readPacked(places.state)) ?? {};
  const isKnown =
    VERSIONS.includes(version) && (features ?? []).every((each: string) => FEATURES.includes(each));
  // A stack that was made and never updated has nothing yet.
  return isKnown
    ? { version, ...(features && { features }), deployment: checkpoint.latest ?? {} }
    : undefined;
}

/** Types of the components that stand for the machine that a stack was put on, by the kinds of host. */
const HOSTS = {
  [TYPE.localHost]: "local",
  [TYPE.sshHost]: "ssh",
  [TYPE.awsHost]: "aws",
} as const;

/** The kind of host that a stack was put on, whatever its file says by now; undefined where it is on none. */
export function hostKindOf({ deployment: { resources = [] } }: State): HostConfig["kind"] | undefined {
  const kinds = resources.map(({ type }) => HOSTS[type as keyof typeof HOSTS]);
  // A machine of AWS's is reached as one of kind ssh is.
  return kinds.find((kind) => kind === "aws") ?? kinds.find((kind) => kind !== undefined);
}

/** What a stack has on its Docker daemon, by its state; what an engine that was killed was making tells the owner as well. */
export function stateHoldings({ deployment }: State): Holdings {
  const { resources = [], pending_operations: pending = [] } = deployment;
  const read = (some: StateResource[]) =>
    holdings(some.map(({ urn, type, inputs }) => ({ urn, type, properties: inputs })));
  const there = read(resources);
  return { ...there, owner: there.owner ?? read(pending.map(({ resource }) => resource)).owner };
}

/** The files of a stack's history. Named by their time in nanoseconds, in as many digits for centuries to come. */
export function historyFiles(places: StackPlaces | undefined): string[] {
  const all = places ? entries(places.history) : [];
  return all.filter((file) => /\.history\.json(\.gz|\.zst)?$/.test(file));
}

/**
 * The last entry in the history of a stack that changed something, or was to.
 *
 * @param before files that do not count: a clock that was set back would have an earlier run's for the newest
 */
export function readLastUpdate(
  places: StackPlaces | undefined,
  before: readonly string[] = [],
): Update | undefined {
  const files = historyFiles(places).filter((file) => !before.includes(file));
  for (const file of files.sort().reverse()) {
    const update = readPacked(file.replace(/\.json(\.gz|\.zst)?$/, ""));
    if (update && isUpdate(update)) return { ...update, startTime: update.startTime * 1000 };
  }
  return undefined;
}

/** Whether an entry of the history is more than a look at what is there. */
export const isUpdate = ({ kind }: Pick<Update, "kind">): boolean => kind === "update" || kind === "destroy";

function readPacked(base: string) {
  for (const ending of ENDINGS) {
    try {
      return JSON.parse(unpack(base + ending, readFileSync(base + ending)).toString("utf8"));
    } catch {
      // Not packed like that, or not whole: the engine has the words for it.
    }
  }
  return undefined;
}

/** A resource in the state. */
export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  /** Whether another has taken its place and it is still to be deleted. */
  delete?: boolean;
  /** Whether it is deleted already, and another is still to take its place. */
  pendingReplacement?: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  /** When it was made, as ISO 8601. */
  created?: string;
  retainOnDelete?: boolean;
  /** URNs of those that it was made from, or after. */
  dependencies?: string[];
  /** URN of the resource that takes it along when it is deleted itself. */
  deletedWith?: string;
  /** Whether the next run makes it again, whatever it was made from. */
  taint?: boolean;
}

/** The part of an exported state that is read here; the rest is carried along. */
export interface State {
  version: number;
  /** What an engine has to know of to read it. */
  features?: string[];
  deployment: {
    resources?: StateResource[];
    /** What an engine that was killed was about to do. */
    pending_operations?: { type: string; resource: StateResource }[];
  };
}
