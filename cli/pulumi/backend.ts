/** Where the state is kept, and the passphrase that protects the secrets in it. */
import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "../../errors.ts";
import { type Context, ensureFolder } from "../context.ts";
import type { Env } from "../system/run.ts";
import { say } from "../ui/say.ts";

/** Where the state of the stacks is kept. */
export interface Backend {
  /** As in PULUMI_BACKEND_URL. */
  url: string;
  /** Who chose it: the environment, an earlier `pulumi login`, or we. */
  from: "environment" | "login" | "gpubox";
}

/** What the engine is told of the backend and the passphrase. */
export interface BackendEnv {
  backend: Backend;
  env: Env;
}

/** Folder of the file with the person's login: not in PULUMI_HOME, where the environment says so. */
export function credentialsFolder({ env, pulumiHome }: Pick<Context, "env" | "pulumiHome">): string {
  return env.PULUMI_CREDENTIALS_PATH || pulumiHome;
}

/** The backend that is in force. Pure but for `readLogin`. */
export function chooseBackend(
  context: Pick<Context, "env" | "home" | "pulumiHome">,
  readLogin: (folder: string) => string | undefined = readCredentials,
): Backend {
  const { env, home } = context;
  if (env.PULUMI_BACKEND_URL) return { url: env.PULUMI_BACKEND_URL, from: "environment" };
  const login = readLogin(credentialsFolder(context));
  // A token stands for a login at Pulumi Cloud.
  if (login || env.PULUMI_ACCESS_TOKEN) return { url: login || "https://api.pulumi.com", from: "login" };
  return { url: `file://${join(home, "state")}`, from: "gpubox" };
}

function readCredentials(folder: string): string | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "credentials.json"), "utf8")).current || undefined;
  } catch {
    return undefined;
  }
}

/** Folder of a `file://` backend, or undefined for another kind. */
export function backendFolder(url: string, user: string = homedir()): string | undefined {
  if (!url.startsWith("file://")) return undefined;
  const path = url.slice("file://".length).replace(/\?.*$/, "");
  return resolve(path.replace(/^~(?=\/|$)/, user));
}

/**
 * Makes sure that there is a backend, and a passphrase where one is needed and nobody has given one.
 *
 * @throws UserError when our own state is there and its passphrase is gone
 */
export function prepareBackend(context: Context): BackendEnv {
  const backend = chooseBackend(context);
  const env: Env = {};
  const folder = backendFolder(backend.url, context.env.HOME);
  if (backend.from === "gpubox") {
    ensureFolder(context.home, "the state of your stacks and its passphrase; keep it");
    ensureFolder(folder as string, "the state of your stacks");
    env.PULUMI_BACKEND_URL = backend.url;
  }
  // Other kinds of backend are shared with people who know another passphrase, or need none.
  if (folder !== undefined && !hasPassphrase(context.env)) {
    const passphrase = ensurePassphrase(context, backend, folder);
    if (passphrase) env.PULUMI_CONFIG_PASSPHRASE_FILE = passphrase;
  }
  return { backend, env };
}

function hasPassphrase(env: Env): boolean {
  return env.PULUMI_CONFIG_PASSPHRASE !== undefined || Boolean(env.PULUMI_CONFIG_PASSPHRASE_FILE);
}

function ensurePassphrase(context: Context, backend: Backend, folder: string): string | undefined {
  const path = join(context.home, "passphrase");
  if (existsSync(path)) return path;
  if (hasStacks(folder)) {
    // Stacks that the person made have the person's passphrase, which the engine asks for.
    if (backend.from !== "gpubox") return undefined;
    throw new UserError(
      `the state in ${folder} exists, but the passphrase for its secrets is missing: restore ${path} from a backup, or give it as PULUMI_CONFIG_PASSPHRASE_FILE. docs/troubleshooting.md says what to do if it is lost`,
    );
  }
  ensureFolder(context.home, "the passphrase of your stacks; keep it");
  if (createPassphrase(path))
    say(`${path}: created, the passphrase that protects the secrets in the state; keep it`);
  return path;
}

function hasStacks(folder: string): boolean {
  const stacks = join(folder, ".pulumi", "stacks");
  return existsSync(stacks) && readdirSync(stacks).length > 0;
}

/**
 * Makes a passphrase that only its owner can read.
 *
 * @returns false when somebody else has made it meanwhile; theirs stays
 */
export function createPassphrase(path: string): boolean {
  const half = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  writeFileSync(half, `${randomBytes(32).toString("base64url")}\n`, {
    flag: "wx",
    mode: 0o600,
    // On the disk before it has its name: after a power cut an empty one would lock the person out of the secrets.
    flush: true,
  });
  try {
    // A link appears whole or not at all, and never in the place of another file.
    linkSync(half, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  } finally {
    rmSync(half, { force: true });
  }
}
