/** The stack that a command is about: its name, its file, and its entry in the backend. */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { npmLine, shellWord } from "../../components/host/shell.ts";
import type { HostConfig } from "../../config.ts";
import { ConfigError, KEYS, NAMESPACE, nearest, shown } from "../../config-errors.ts";
import { type ConfigFile, readConfigFile } from "../../config-file.ts";
import type { Context } from "../context.ts";
import { type Env, mustRun, type RunOptions } from "../run.ts";
import { Problem, step } from "../say.ts";

const DEFAULT_STACK = "dev";

/** What of a command's arguments is about the stack. */
export interface StackArgs {
  /** As the person wrote it; may be `organization/project/name`. */
  stack: string;
  /** The arguments without `-s NAME`. */
  rest: string[];
}

/** Pulumi's rule for each part of a name; and a first letter by which it is no option, and no folder. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/**
 * Finds `-s NAME` or `--stack NAME`; without it PULUMI_STACK says which, else it is dev.
 *
 * @throws Problem when the name is missing, or none that a stack can have, or there are two
 */
export function parseStackArgs(args: string[], env: Env): StackArgs & { isNamed: boolean } {
  const rest: string[] = [];
  let named: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    const match = /^(--stack)(?:=(.*))?$/s.exec(arg) ?? /^(-s)(?:=?(.+))?$/s.exec(arg);
    if (!match) {
      rest.push(arg);
      continue;
    }
    const [, option = "", name = args[++at]] = match;
    if (!name || name.startsWith("-"))
      throw new Problem(`${option} needs the name of a stack, as in \`-s lab\``);
    if (named !== undefined && named !== name)
      throw new Problem(
        `-s is given twice, with ${shown(named)} and ${shown(name)}: which of them is meant?`,
      );
    named = name;
  }
  const stack = named ?? (env.PULUMI_STACK || DEFAULT_STACK);
  const parts = stack.split("/");
  if (parts.length > 3 || !parts.every((part) => NAME.test(part))) {
    const from = named === undefined ? "PULUMI_STACK" : "-s";
    throw new Problem(
      `${from} ${shown(stack.length > 120 ? `${stack.slice(0, 120)}…` : stack)}: no stack can be called that: a name is up to 100 letters from a to z, digits, _ . -, and begins with a letter, a digit or _`,
    );
  }
  return { stack, isNamed: named !== undefined, rest };
}

/** A stack's name as its file has it: `lab` of `organization/gpubox/lab`. */
export function shortName(stack: string): string {
  return stack.slice(stack.lastIndexOf("/") + 1);
}

/**
 * An npm command of ours as a person types it, about a stack: the only way to write one into a message. It names the stack wherever
 * without that another could be meant.
 *
 * @param words its other arguments
 */
export function npmCommand(script: string, stack: string, ...words: string[]): string {
  const isMeant = stack === DEFAULT_STACK && !process.env.PULUMI_STACK;
  return npmLine(script, ...words, ...(isMeant ? [] : ["-s", stack]));
}

/** That a stack is not up. */
export function notUp(stack: string): Problem {
  return new Problem(`stack ${stack} is not up: run \`${npmCommand("start", stack)}\``);
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
export function stackLabel(root: string, stack: string): string {
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
 * @throws Problem when there is no such file, or it is nothing that has keys
 */
export function readStackFile(root: string, stack: string): ConfigFile {
  const file = stackFile(root, stack);
  if (!hasStackFile(root, stack)) throw noSuchStack(root, stack);
  return told(() => readConfigFile(contents(file), shortName(stack)));
}

/** Whether a stack has a file, or something else in its place. */
export function hasStackFile(root: string, stack: string): boolean {
  return lstatSync(stackFile(root, stack), { throwIfNoEntry: false }) !== undefined;
}

function contents(file: string): Buffer {
  const refuse = (why: string) => new Problem(`${file} cannot be read: ${why}`);
  try {
    // Looked at before it is opened: a pipe would be waited for.
    const found = statSync(file);
    if (!found.isFile()) throw refuse(found.isDirectory() ? "it is a folder" : "it is no plain file");
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw refuse(`it is a link to ${shown(readlinkSync(file))}, and nothing is there`);
    if (code === "EACCES") throw refuse(`you may not: \`ls -l ${shellWord(file)}\` shows whose it is`);
    if (code === "ELOOP") throw refuse("its links lead in a circle");
    throw code === undefined ? error : refuse(message);
  }
}

/** Reads a configuration; what is wrong with it is for the person. */
export function told<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof ConfigError ? new Problem(error.message) : error;
  }
}

const KINDS: Record<HostConfig["kind"], true> = { local: true, ssh: true, aws: true };

/**
 * Reads what decides where a stack is, without the values of the notebooks and their like: those may be wrong while it is stopped, say.
 *
 * @throws Problem when there is no such file, or a key in it is misspelt, or the kind of host
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
  if (all.length > 0) throw new Problem(new ConfigError(shortName(stack), all).message);
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
export function noSuchStack(root: string, stack: string): Problem {
  return new Problem(
    `there is no stack ${stack}: ${stackFile(root, stack)} does not exist. There is ${stackNames(root).join(", ") || "none"}; for a new one: \`${npmLine("init", "-s", shortName(stack))}\``,
  );
}

/**
 * A copy of a stack's file for the engine to work with: it adds a line of its own (`encryptionsalt`) and
 * formats the whole anew, which is not wanted in a file that is under version control. The salt it needs is in
 * the state as well. The copy is JSON, which is YAML: the engine's YAML takes `2024-05-01` for a time and `010` for
 * eight, and is to see what was read here.
 *
 * @returns the arguments that make the engine use the copy; none where there is no file, or the person names one
 */
export function useCopy(context: Context, stack: string, args: string[]): string[] {
  if (!hasStackFile(context.root, stack) || args.some((arg) => /^--config-file(=|$)/.test(arg))) return [];
  const checkout = createHash("sha256").update(context.root).digest("hex").slice(0, 12);
  const folder = join(context.cache, "config", checkout);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const copy = stackFile(folder, stack);
  const next = `${copy}.${process.pid}`;
  writeCopy(context.root, stack, next);
  renameSync(next, copy);
  return ["--config-file", copy];
}

function writeCopy(root: string, stack: string, file: string): void {
  const { whole } = readStackFile(root, stack);
  const { encryptionsalt: _, ...rest } = whole;
  // Only secrets in the file need its salt: that of a state that is lost would keep a new one from being made.
  const used = hasSecrets(whole.config) ? whole : rest;
  writeFileSync(file, `${JSON.stringify(used, null, 2)}\n`, { mode: 0o600 });
}

const hasSecrets = (config: unknown) => /"secure":/.test(JSON.stringify(config) ?? "");

/** What to do where a new stack's file has secrets that another passphrase protects. */
function otherPassphrase(root: string, stack: string): Problem {
  const { secrets } = readStackFile(root, stack);
  return new Problem(
    [
      `stack ${stack} cannot be made: ${stackFile(root, stack)} has secrets that another passphrase protects. Put that one back, or, where it is gone, take out of the file`,
      "  the line that begins with encryptionsalt",
      ...secrets.map((key) => `  the secret of ${key}`),
      "and run the same again; docs/configuration.md says how a secret is set anew. Nothing was changed.",
    ].join("\n"),
  );
}

/** Makes a stack in the backend. Done on copies, as the engine would write into the stack's file. */
export async function createStack(
  root: string,
  stack: string,
  engine: string,
  options: RunOptions,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-stack-"));
  try {
    copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
    writeCopy(root, stack, stackFile(folder, stack));
    await step(`stack ${stack}: making it`, () =>
      mustRun(engine, ["stack", "init", "--stack", stack, "--no-select", "--non-interactive"], {
        ...options,
        cwd: folder,
      }),
    );
  } catch (error) {
    throw /incorrect passphrase/.test((error as Error).message) ? otherPassphrase(root, stack) : error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
