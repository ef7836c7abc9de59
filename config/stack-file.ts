/** The stack files of a checkout, `Pulumi.<stack>.yaml`: everything that is known of one is read here. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { UserError } from "../errors.ts";
import { commandLine } from "../text/command-line.ts";
import { shellWord } from "../text/shell.ts";
import { nearest, shown } from "../text/words.ts";
import { type ConfigFile, readConfigFile } from "./document.ts";
import type { HostConfig } from "./host/index.ts";
import { configError, KEYS, NAMESPACE } from "./messages.ts";

/** A stack's name as its file has it: `lab` of `organization/gpubox/lab`. */
export function shortName(stack: string): string {
  return stack.slice(stack.lastIndexOf("/") + 1);
}

/** File of a stack's configuration. */
export function stackFile(root: string, stack: string): string {
  return join(root, `Pulumi.${shortName(stack)}.yaml`);
}

/** Name of the project. */
export function projectName(root: string): string {
  return parseDocument(readFileSync(join(root, "Pulumi.yaml"), "utf8")).get("name") as string;
}

/** `<project>/<stack>`: the label on everything a stack owns. */
export function stackId(root: string, stack: string): string {
  return `${projectName(root)}/${shortName(stack)}`;
}

/** What the set-up needs to know of a stack's configuration; `readConfig` checks all of it. */
export interface StackSettings {
  /** Kind of host, `local` by default. */
  host: HostConfig["kind"];
  image: unknown;
  /** Names of the notebooks; none where the file leaves them to the defaults, or has them wrong. */
  notebooks: string[];
}

/**
 * Reads a stack's file: the only way in which a command learns what is in it.
 *
 * @throws UserError when there is no such file, or it is nothing that has keys
 */
export function readStackFile(root: string, stack: string): ConfigFile {
  const file = stackFile(root, stack);
  if (!hasStackFile(root, stack)) throw noSuchStack(root, stack);
  return readConfigFile(contents(file), shortName(stack));
}

/** Whether a stack has a file, or something else in its place. */
export function hasStackFile(root: string, stack: string): boolean {
  return lstatSync(stackFile(root, stack), { throwIfNoEntry: false }) !== undefined;
}

function contents(file: string): Buffer {
  const refuse = (why: string) => new UserError(`${file} cannot be read: ${why}`);
  try {
    // Looked at before it is opened: a pipe would be waited for.
    const found = statSync(file);
    if (!found.isFile()) throw refuse(found.isDirectory() ? "it is a folder" : "it is not a regular file");
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw refuse(`it is a link to ${shown(readlinkSync(file))}, which does not exist`);
    if (code === "EACCES") throw refuse(`permission denied: \`ls -l ${shellWord(file)}\` shows its owner`);
    if (code === "ELOOP") throw refuse("its links form a loop");
    throw code === undefined ? error : refuse(message);
  }
}

const KINDS: Record<HostConfig["kind"], true> = { local: true, ssh: true, aws: true };

/**
 * Reads what decides where a stack is, without the values of the notebooks and their like: those may be wrong while it is stopped, say.
 *
 * @throws UserError when there is no such file, or a key in it is misspelt, or the kind of host
 */
export function readStack(root: string, stack: string): StackSettings {
  const { raw, problems, located } = readStackFile(root, stack);
  const host = raw.host === undefined ? "local" : (raw.host as { kind?: unknown } | null)?.kind;
  const unknown = Object.keys(raw).filter((key) => !KEYS.some((each) => each === key));
  const all = [
    ...problems,
    ...unknown.map((key) => {
      const meant = nearest(key, KEYS);
      const instead = meant === undefined ? `there is ${KEYS.join(", ")}` : `did you mean "${meant}"?`;
      return located(`${NAMESPACE}:${shown(key)}: there is no such key; ${instead}`);
    }),
    ...(Object.hasOwn(KINDS, String(host)) ? [] : [located(`${NAMESPACE}:host.kind: must be ${KIND_WORDS}`)]),
  ];
  if (all.length > 0) throw configError(shortName(stack), all);
  const { image, notebooks } = raw;
  return {
    host: host as HostConfig["kind"],
    image,
    notebooks: Array.isArray(notebooks) ? notebooks.map((each) => each?.name) : [],
  };
}

const KIND_WORDS = '"local", "ssh" or "aws"';

/** The stacks of a checkout, by their files. */
export function stackNames(root: string): string[] {
  return readdirSync(root).flatMap((entry) => /^Pulumi\.(.+)\.yaml$/.exec(entry)?.[1] ?? []);
}

/** That there is no such stack, and which there are. */
export function noSuchStack(root: string, stack: string): UserError {
  return new UserError(
    `there is no stack ${stack}: ${stackFile(root, stack)} does not exist. There is ${stackNames(root).join(", ") || "none"}; to create it: \`${commandLine("init", "-s", shortName(stack))}\``,
  );
}
