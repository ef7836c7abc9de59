/**
 * Everything that a start depends on, apart from the machine that the stack is on, as one hash.
 *
 * It is compared with that of the last good start: what is not in it is not noticed by a start that answers at once. Where it cannot
 * be certain, there is no hash, and the engine runs.
 */
import { createHash, type Hash } from "node:crypto";
import {
  type Dirent,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, sep } from "node:path";
import { requirementsPath } from "../../config/requirements.ts";
import { hasStackFile, readStackFile, stackFile } from "../../config/stack-file.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { findProgram } from "../system/path.ts";

/** What of a checkout a stack is made from, and what makes it. A test holds it against the files that are there. */
export const PROGRAM = [
  "Pulumi.yaml",
  "package.json",
  "package-lock.json",
  "index.ts",
  "errors.ts",
  "cli",
  "components",
  "config",
  "docker",
  "host-scripts",
  "machine",
  "offline",
  "program",
  "text",
];

/** Options by which a start does nothing else than without them. */
const HARMLESS = ["yes", "skip-preview", "non-interactive"];

/** Variables that decide what is done, and where. */
const VARIABLES =
  /^(PULUMI|GPUBOX|DOCKER|BUILDKIT|BUILDX|COMPOSE|AWS|NVIDIA|CUDA|SSH|XDG)_|^(HOME|USER|LOGNAME|PULUMI)$|_proxy$/i;
/** Those that hold a secret, or are another one in each terminal or by each way to call; none decides what the stack is made from. */
const LEFT_OUT =
  /PASSPHRASE$|SECRET|TOKEN|AUTH_CONFIG|^GPUBOX_CALLER$|^PULUMI_STACK$|^SSH_(AUTH_SOCK|AGENT_PID|CLIENT|CONNECTION|TTY)$|^XDG_(SESSION|SEAT|VTNR)/i;

/** Programs that a run takes from PATH, where they are there. */
const PROGRAMS = [
  "pulumi",
  "pulumi-language-nodejs",
  "pulumi-resource-docker",
  "pulumi-resource-command",
  "pulumi-resource-random",
  "pulumi-resource-aws",
  "docker",
];

/** More than a program and the context of an image have, in bytes: to read it would take longer than to ask the engine. */
const MOST = 32 * 2 ** 20;

/**
 * The hash of what a start depends on; undefined where that is not certain: arguments that the engine is to see, a login that a
 * helper has, files that are too many or cannot be read.
 */
export function hashInputs(context: Context, { stack, names, options }: Args): string | undefined {
  if (names.length > 0 || Object.keys(options).some((option) => !HARMLESS.includes(option))) return undefined;
  if (!hasStackFile(context.root, stack)) return undefined;
  try {
    const hash = new Inputs();
    for (const name of PROGRAM) hash.path(join(context.root, name));
    hash.read(stackFile(context.root, stack));
    for (const file of namedFiles(context, stack)) hash.read(file);
    for (const file of ["adopted.json", "passphrase"]) hash.identity(join(context.home, file));
    const { env } = context;
    for (const key of Object.keys(env).sort())
      if (VARIABLES.test(key) && !LEFT_OUT.test(key)) hash.text(key, env[key]);
    for (const name of PROGRAMS) hash.text(name, programOf(name, env.PATH));
    hash.text("who", [process.getuid?.(), process.getgid?.(), ...(process.getgroups?.() ?? [])].join(" "));
    return hash.end();
  } catch (error) {
    // What is wrong with a file is said where it is needed.
    if (error instanceof Uncertain || (error as NodeJS.ErrnoException).code) return undefined;
    throw error;
  }
}

/** That it cannot be told for certain whether something is as it was. */
class Uncertain extends Error {}

/** Files outside of the program that the stack's file makes it depend on. */
function namedFiles({ root, env }: Context, stack: string): string[] {
  const home = env.HOME || homedir();
  const given = readStackFile(root, stack).raw.image;
  const image = (typeof given === "string" ? { pull: given } : (given ?? {})) as {
    requirements?: unknown;
    pull?: unknown;
  };
  const files: string[] = [];
  if (typeof image.requirements === "string") files.push(requirementsPath(image.requirements, root, home));
  if (image.pull !== undefined) {
    const logins = join(env.DOCKER_CONFIG || join(home, ".docker"), "config.json");
    // What a helper gives may be another login at any time.
    if (/"(credsStore|credHelpers)"/.test(textOf(logins))) throw new Uncertain();
    files.push(logins);
  }
  return files;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Which file a program is; npm's own folder of programs is in the checkout. */
function programOf(name: string, path: string | undefined): string {
  const file = findProgram(name, path, (found) => !found.includes(`${sep}node_modules${sep}`));
  if (file === undefined) return "none";
  const program = realpathSync(file);
  const { size, mtimeMs } = lstatSync(program);
  return `${program} ${size} ${mtimeMs}`;
}

/** A hash of named texts and files: the same only where each has the same in it. */
class Inputs {
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  text(name: string, value: string | undefined): void {
    this.#hash.update(JSON.stringify([name, value ?? null]));
  }

  /** A file or a link, or a folder with everything in it; that it is not there counts as well. */
  path(path: string): void {
    const found = lstatSync(path, { throwIfNoEntry: false });
    const name = `${path} ${found?.mode.toString(8)}`;
    if (found?.isSymbolicLink()) this.text(name, readlinkSync(path));
    else if (found?.isFile()) this.#file(name, path, found.size);
    else this.text(name, "no file");
    if (!found?.isDirectory()) return;
    const inside = readdirSync(path, { withFileTypes: true }).filter(isKept);
    for (const each of inside.sort((one, other) => (one.name < other.name ? -1 : 1)))
      this.path(join(path, each.name));
  }

  /** A file that is read where it is, and where a link leads. */
  read(path: string): void {
    this.path(path);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && existsSync(path))
      this.path(realpathSync(path));
  }

  #file(name: string, path: string, size: number): void {
    this.#bytes += size;
    if (this.#bytes > MOST) throw new Uncertain();
    const contents = readFileSync(path);
    this.text(name, String(contents.length));
    this.#hash.update(contents);
  }

  /** Which file it is, without what is in it. */
  identity(path: string): void {
    const found = lstatSync(path, { throwIfNoEntry: false });
    this.text(path, found && `${found.ino} ${found.size} ${found.mtimeMs}`);
  }

  end(): string {
    return this.#hash.digest("hex");
  }
}

/** Whether an entry of a folder counts: installed packages are told by the lock file. */
const isKept = ({ name }: Dirent): boolean => name !== "node_modules" && name !== "__pycache__";
