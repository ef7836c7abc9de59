/** Packages of the distribution: Debian's and Ubuntu's, as root or with sudo. */
import { existsSync, readFileSync } from "node:fs";
import { UserError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { step } from "../ui/say.ts";
import { type Captured, capture } from "./run.ts";

/** What matters of a machine when something is missing on it. */
export interface Machine {
  platform: NodeJS.Platform;
  /** Names of the distribution and of those it derives from, as in os-release: ["ubuntu", "debian"]. */
  family: string[];
  /** Whether we are root. */
  root: boolean;
  /** Whether sudo can be used: it asks for nothing, or there is a person to answer. */
  sudo: boolean;
  systemd: boolean;
  /** Whether there is a person at a terminal. */
  interactive: boolean;
}

/** Looks at this machine. */
export async function inspectMachine({ env, interactive }: Context): Promise<Machine> {
  const root = process.getuid?.() === 0;
  return {
    platform: process.platform,
    family: parseFamily(existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : ""),
    root,
    sudo: !root && (await canSudo(env, interactive)),
    systemd: existsSync("/run/systemd/system"),
    interactive,
  };
}

async function canSudo(env: Context["env"], interactive: boolean): Promise<boolean> {
  const { code } = await capture("sudo", ["-n", "true"], { env });
  return code === 0 || (code !== 127 && interactive);
}

/** The ID and ID_LIKE of an os-release file. */
export function parseFamily(osRelease: string): string[] {
  return ["ID", "ID_LIKE"].flatMap((key) => {
    const value = new RegExp(`^${key}=(.*)$`, "m").exec(osRelease)?.[1] ?? "";
    return value.replace(/["']/g, "").split(/\s+/).filter(Boolean);
  });
}

/** Whether packages can be installed on a machine by us. */
export function canInstall({ family, root, sudo }: Machine): boolean {
  return family.includes("debian") && (root || sudo);
}

/** Runs a program as root; sudo may ask the person for a password. */
export async function asRoot(
  { env }: Context,
  { root }: Machine,
  file: string,
  args: string[],
): Promise<Captured> {
  if (root) return await capture(file, args, { env });
  const kept = ["GPUBOX_CACHE", "DOCKER_HOST", "DEBIAN_FRONTEND", "http_proxy", "https_proxy", "no_proxy"];
  return await capture("sudo", [`--preserve-env=${kept.join(",")}`, file, ...args], { env });
}

/**
 * Installs packages of Debian or Ubuntu; those that this release does not have are left out.
 *
 * @throws UserError with what apt-get said
 */
export async function installPackages(context: Context, machine: Machine, wanted: string[]): Promise<void> {
  const quiet = { ...context, env: { ...context.env, DEBIAN_FRONTEND: "noninteractive" } };
  const apt = (...args: string[]) =>
    asRoot(quiet, machine, "apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args]);
  const install = async () => {
    const packages = await available(quiet, wanted);
    if (packages.length === 0) return "apt knows none of them: see /etc/apt/sources.list and sources.list.d";
    const { code, stdout, stderr } = await apt("install", "-y", "--no-install-recommends", ...packages);
    return code === 0 ? undefined : stderr.trim() || stdout.trim();
  };
  await step(`packages: installing ${wanted.join(", ")} with apt-get`, async () => {
    if (!(await install())) return;
    // The lists are missing or older than what the mirror still has.
    await apt("update");
    const failure = await install();
    if (failure) throw new UserError(`\`apt-get install ${wanted.join(" ")}\` failed:\n${failure}`);
  });
}

async function available(context: Context, packages: string[]): Promise<string[]> {
  const checks = packages.map(async (name) => {
    const { stdout } = await capture("apt-cache", ["policy", name], { env: { ...context.env, LC_ALL: "C" } });
    return /Candidate: (?!\(none\))/.test(stdout) ? [name] : [];
  });
  return (await Promise.all(checks)).flat();
}
