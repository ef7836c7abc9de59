/** The image that docker/Dockerfile starts from, where no container registry can be reached. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import type { Context } from "../context.ts";
import { asRoot, canInstall, inspectMachine, installPackages, type Machine } from "../system/packages.ts";
import { findSystemProgram } from "../system/path.ts";
import { step } from "../ui/say.ts";

/** How long a registry may take to begin to answer, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Reads the default of the build argument BASE. */
export function defaultBase(dockerfile: string): string {
  const base = /^ARG\s+BASE=(\S+)/m.exec(dockerfile)?.[1];
  if (!base) throw new UserError("docker/Dockerfile names no base image: it needs a line `ARG BASE=…`");
  return base;
}

/** The image that the build of a stack starts from; undefined for a stack that pulls its image. */
export function neededBase(image: unknown, byDefault: () => string): string | undefined {
  if (typeof image === "string") return undefined;
  const { pull, args } = (image ?? {}) as { pull?: unknown; args?: { BASE?: unknown } };
  if (pull !== undefined) return undefined;
  return typeof args?.BASE === "string" ? args.BASE : byDefault();
}

/** docker/Dockerfile's own base image. */
export function dockerfileBase(root: string): string {
  return defaultBase(readFileSync(join(root, "docker", "Dockerfile"), "utf8"));
}

/**
 * Makes sure that a daemon has a base image: has it pull it, or makes one out of Debian's packages.
 *
 * @param context who asks
 * @param dockerHost the daemon, as in DOCKER_HOST
 * @param tag for example debian:bookworm-slim
 * @param where the machine of the daemon, by which what is found out about registries is remembered
 * @throws UserError when the image can neither be pulled nor made
 */
export async function prepareBaseImage(
  context: Context,
  dockerHost: string,
  tag: string,
  where = "this machine",
): Promise<void> {
  if (await hasImage(dockerHost, tag)) return;
  const key = where === "this machine" ? `registry of ${tag}` : `registry of ${tag} from ${where}`;
  const isDebian = /(^|\/)debian:[a-z]+(-slim)?$/.test(tag);
  // What can be made instead is not waited for at every run; for the others there is nothing else to try.
  let failure = isDebian ? context.memo.get(key) : undefined;
  if (failure === undefined) {
    failure = await step(
      `base image ${tag}: pulling`,
      () => pull(dockerHost, tag),
      (why) => (why === undefined ? "done" : `failed${isDebian ? ", not tried again for a day" : ""}`),
    );
    if (failure === undefined) return;
    if (isDebian) context.memo.set(key, failure);
  }
  const machine = await inspectMachine(context);
  if (!isDebian || !canInstall(machine)) {
    throw new UserError(
      `the base image ${tag} is not on the Docker daemon and cannot be pulled (${failure}): load it by hand (\`docker load\`), or name another as \`gpubox:image: {args: {BASE: …}}\`${
        machine.family.includes("debian") ? "; as root, gpubox builds one from Debian's packages" : ""
      }`,
    );
  }
  await make(context, machine, dockerHost, tag);
}

async function hasImage(dockerHost: string, tag: string): Promise<boolean> {
  return (await askDocker(dockerHost, `/images/${tag}/json`)) !== undefined;
}

/** Why the daemon did not get the image, if so. A registry that says nothing is given up soon, one that answers is not. */
async function pull(dockerHost: string, tag: string): Promise<string | undefined> {
  const docker = dockerClient(dockerHost);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), PATIENCE_MS);
  try {
    const progress = await docker.pull(tag, { abortSignal: abort.signal });
    clearTimeout(timer);
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()));
    });
    return undefined;
  } catch (error) {
    if (abort.signal.aborted) return `no answer within ${PATIENCE_MS / 1000} s`;
    return (error as { json?: { message?: string } }).json?.message ?? (error as Error).message;
  } finally {
    clearTimeout(timer);
  }
}

async function make(context: Context, machine: Machine, dockerHost: string, tag: string): Promise<void> {
  const absent = ["debootstrap", "docker"].filter((name) => !findSystemProgram(name, context.env.PATH));
  if (absent.length > 0) {
    const packages = absent.flatMap((name) => (name === "docker" ? ["docker-cli", "docker.io"] : name));
    await installPackages(context, machine, packages);
  }
  await step(`base image ${tag}: building a stand-in from Debian's packages (about 40 s)`, async () => {
    const script = join(context.root, "offline", "base-image", "make.sh");
    const env = { ...context.env, DOCKER_HOST: dockerHost, GPUBOX_CACHE: context.cache };
    const { code, stderr } = await asRoot({ ...context, env }, machine, "sh", [script, tag]);
    if (code !== 0) throw new UserError(`${script} ${tag} failed:\n${stderr.trim()}`);
  });
}
