/** What this machine has. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { accessSync, statfsSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type Docker from "dockerode";
import { UserError } from "../errors.ts";
import { commandLine } from "../text/command-line.ts";
import { preflightProblems, refuse } from "./checks/preflight.ts";
import { checkoutChecks } from "./checks/volumes.ts";
import { askDocker, howToBeAllowed, isDenied } from "./docker/api.ts";
import { elsewhere, providerEndpoint } from "./docker/endpoint.ts";
import type { ExistingContainer, HostFacts, HostNeeds } from "./facts.ts";
import { furtherFolders, rootFolders } from "./facts.ts";
import {
  type GpuFindings,
  gpuInventory,
  mayHaveSlices,
  NVIDIA_DETAIL_ARGS,
  NVIDIA_LIST_ARGS,
  NVIDIA_SMI_ARGS,
} from "./gpus.ts";
import { sharedGroups } from "./groups.ts";
import { architecture, type DockerInfo, daemonFacts, type Machine, runsAs } from "./inspection.ts";
import { existing, stackName } from "./owner.ts";
import { userIds } from "./person.ts";
import { isEnough } from "./python.ts";
import { scriptText } from "./scripts.ts";

/** The folder that this file is part of, links resolved. */
const CHECKOUT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

type DaemonInfo = DockerInfo & Required<Pick<DockerInfo, "ID" | "Architecture">>;

/** A driver or a daemon in trouble can hang for minutes; this is ample for one that is well, in milliseconds. */
const PATIENCE_MS = 8_000;

/**
 * Looks this machine over.
 *
 * @param root of the stack
 * @param warn is told what does not keep it from serving the stack, and should be known
 * @throws UserError naming everything that keeps it from serving the stack
 */
export async function inspectLocalMachine(
  needs: HostNeeds,
  root: string,
  warn: (message: string) => void,
): Promise<Machine> {
  const daemon = providerEndpoint();
  const problem = elsewhere(daemon, "DOCKER_HOST", `Pulumi.${stackName(needs.stack)}.yaml`);
  if (problem) throw new UserError(problem);
  const looking = lookAtLocalMachine(needs, root, daemon).catch((error: Error) => {
    if (isDenied(error)) throw new UserError(howToBeAllowed(daemon));
    throw new UserError(
      `no Docker daemon answers on this machine (${error.message}); nothing was created. Run \`${commandLine("up", "-s", stackName(needs.stack))}\`, which installs or starts one, or start it yourself: \`sudo systemctl start docker\``,
    );
  });
  const [{ info, facts }, groups] = await Promise.all([looking, sharedGroups(daemon)]);
  refuse("this machine", preflightProblems(needs, facts));
  for (const { problem } of checkoutChecks(needs, facts)) if (problem) warn(problem);
  return {
    id: info.ID,
    platform: `linux/${architecture(info.Architecture)}`,
    runsAs: runsAs({ user: userIds(), groups }, info),
    home: homedir(),
    gpus: facts.gpus,
    hasPython: isEnough(facts.python),
  };
}

/**
 * What this machine has.
 *
 * @param root of the stack
 * @param daemon as in DOCKER_HOST
 * @throws when no Docker daemon answers
 */
export async function lookAtLocalMachine(
  needs: HostNeeds,
  root: string,
  daemon: string,
): Promise<{ info: DaemonInfo; facts: HostFacts }> {
  const [info, containers, networks, volumes, driver, toolkitHook, listenErrors, programs] =
    await Promise.all([
      askInfo(daemon),
      askDocker<Docker.ContainerInfo[]>(daemon, "/containers/json?all=true", PATIENCE_MS).catch(() => []),
      askDocker<Docker.NetworkInspectInfo[]>(daemon, "/networks", PATIENCE_MS).catch(() => []),
      askDocker<{ Volumes: Docker.VolumeInspectInfo[] | null }>(daemon, "/volumes", PATIENCE_MS).catch(
        () => undefined,
      ),
      askDriver(),
      hasToolkitHook(),
      findListenErrors(needs),
      askPrograms(),
    ]);
  const gpus = gpuInventory({
    driver,
    toolkit: toolkitHook || "nvidia" in (info.Runtimes ?? {}),
    cdi: (info.DiscoveredDevices ?? []).some(({ ID }) => ID?.startsWith("nvidia.com/gpu")),
  });
  const folder = resolve(root.replace(/^~(?=\/|$)/, homedir()));
  const facts = {
    gpus,
    containers: (containers ?? []).map(existingContainer),
    networks: (networks ?? []).map(({ Name, Labels }) => existing("network", Name, Labels)),
    volumes: (volumes?.Volumes ?? []).map(({ Name, Labels }) => existing("volume", Name, Labels)),
    listenErrors,
    freeMegabytes: freeMegabytes(info.DockerRootDir),
    freeForRoot: freeMegabytes(folder),
    root: folder,
    missing: [...rootFolders(folder), ...furtherFolders(needs)].filter(isMissing),
    home: homedir(),
    ...programs,
    checkout: CHECKOUT,
    clockAhead: clockAhead(),
    daemon: { id: info.ID, host: daemon },
    ...daemonFacts(info),
  };
  return { info, facts };
}

/** Free megabytes where a folder is or would be; undefined where that is not on this machine, or nobody may look. */
function freeMegabytes(folder: string | undefined): number | undefined {
  if (!folder) return undefined;
  try {
    const { bavail, bsize } = statfsSync(folder);
    return Math.floor((bavail * bsize) / 2 ** 20);
  } catch (error) {
    const above = dirname(folder);
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return isMissing && above !== folder ? freeMegabytes(above) : undefined;
  }
}

/** Whether a path is certainly not there: where nobody may look it may well be. */
function isMissing(path: string): boolean {
  try {
    accessSync(path);
    return false;
  } catch (error) {
    return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
  }
}

/** Seconds; negative where this machine's clock is behind the day on which this file was put there. */
function clockAhead(): number {
  return Math.min(0, (Date.now() - statSync(fileURLToPath(import.meta.url)).mtimeMs) / 1000);
}

async function askInfo(daemon: string) {
  const info = await askDocker<DaemonInfo>(daemon, "/info", PATIENCE_MS);
  if (info === undefined) throw new Error(`what answers at ${daemon} is not a Docker daemon`);
  return info;
}

function existingContainer(info: Docker.ContainerInfo): ExistingContainer {
  return {
    ...existing("container", info.Names[0]?.replace(/^\//, "") ?? info.Id, info.Labels),
    ports: info.Ports.flatMap(({ PublicPort }) => (PublicPort ? [PublicPort] : [])),
    status: info.Status,
    binds: info.Mounts.flatMap(({ Type, Source }) => (Type === "bind" ? [Source] : [])),
  };
}

async function askDriver(): Promise<GpuFindings["driver"]> {
  try {
    const ask = (args: string[]) => promisify(execFile)("nvidia-smi", args, { timeout: PATIENCE_MS });
    const [{ stdout: csv }, { stdout: details }] = await Promise.all([
      ask(NVIDIA_SMI_ARGS),
      ask(NVIDIA_DETAIL_ARGS).catch(() => ({ stdout: "" })),
    ]);
    if (!mayHaveSlices(details)) return { csv, details };
    const { stdout: list } = await ask(NVIDIA_LIST_ARGS).catch(() => ({ stdout: "" }));
    return { csv, details, list };
  } catch (error) {
    const { code, stdout = "", message } = error as NodeJS.ErrnoException & { stdout?: string };
    if (code === "ENOENT") return { missing: true };
    return { failed: stdout.trim().split("\n")[0] || message };
  }
}

/** Whether the host has the container toolkit's hook, which is what the daemon itself looks for. */
async function hasToolkitHook(): Promise<boolean> {
  // `dockerd` finds it in folders that only root's PATH has.
  const search =
    'PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin" command -v nvidia-container-runtime-hook';
  return promisify(execFile)("/bin/sh", ["-c", search]).then(
    () => true,
    () => false,
  );
}

/** What puts code and data there. */
async function askPrograms(): Promise<Pick<HostFacts, "python" | "git">> {
  const script = `${scriptText("python.sh")}\npython_version; if has_tool git; then echo git; fi`;
  const asked = promisify(execFile)("/bin/sh", ["-c", script], { timeout: PATIENCE_MS });
  const { stdout } = await asked.catch(() => ({ stdout: "" }));
  const [, python = null] = /^(\d\S*)$/m.exec(stdout) ?? [];
  return { python, git: /^git$/m.test(stdout) };
}

/** Tries to listen where the notebooks want to; the error code says why where that fails. */
async function findListenErrors(needs: HostNeeds): Promise<HostFacts["listenErrors"]> {
  const attempts = needs.notebooks.map(async ({ address, port }): Promise<[number, string] | undefined> => {
    const server = createServer().listen({ host: address, port, exclusive: true });
    try {
      await once(server, "listening");
      return undefined;
    } catch (error) {
      return [port, (error as NodeJS.ErrnoException).code ?? String(error)];
    } finally {
      server.close();
    }
  });
  return new Map((await Promise.all(attempts)).filter((attempt) => attempt !== undefined));
}
