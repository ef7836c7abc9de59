/** Getting this machine's Docker daemon to run. */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { howToBeAllowed } from "../../machine/docker/api.ts";
import { type DockerEndpoint, dockerEndpoint } from "../../machine/docker/endpoint.ts";
import type { Context } from "../context.ts";
import { canInstall, inspectMachine, installPackages, type Machine } from "../system/packages.ts";
import { findSystemProgram } from "../system/path.ts";
import type { Env } from "../system/run.ts";
import { confirm } from "../ui/confirm.ts";
import { type Ping, pingDocker } from "./daemon.ts";
import { startDaemon } from "./start.ts";

/** What the distribution's Docker Engine needs; without iptables its daemon does not start. */
export const DOCKER_PACKAGES = ["docker.io", "docker-cli", "iptables"];

/** What puts data sets and repositories there. They come along where packages are installed anyway, and are not asked for alone. */
export const DATA_PACKAGES = ["python3", "git"];

/** What to do about the daemon. */
export type DockerPlan =
  | { do: "use" | "start" | "install" | "ask" }
  /** Nothing that can be done from here: `tell` says what the person must do. */
  | { do: "give up"; tell: string };

/** Decides what to do. Pure. */
export function planDocker(
  address: DockerEndpoint,
  ping: Ping,
  installed: { dockerd: boolean; iptables: boolean },
  machine: Machine,
): DockerPlan {
  if (ping === "ok") return { do: "use" };
  if (ping === "denied") {
    return giveUp(howToBeAllowed(address.host));
  }
  if (address.from !== "default") {
    const named =
      address.from === "context" ? "your current Docker context names it" : "DOCKER_HOST names it";
    return giveUp(
      `no Docker daemon answers at ${address.host} (${named}): start it, or ${
        address.from === "context" ? "run `docker context use default`" : "unset DOCKER_HOST"
      }, and try again`,
    );
  }
  const asRoot = machine.root || machine.sudo;
  if (installed.dockerd && installed.iptables) {
    if (asRoot) return { do: "start" };
    return giveUp(
      "Docker is installed but not running: start it with `sudo systemctl start docker` (or `sudo service docker start`) and try again",
    );
  }
  if (canInstall(machine)) return { do: machine.interactive ? "ask" : "install" };
  return giveUp(`Docker is not installed on this machine: ${howToInstall(machine)}, and try again`);
}

const giveUp = (tell: string): DockerPlan => ({ do: "give up", tell });

function howToInstall({ platform, family }: Machine): string {
  if (platform === "darwin") {
    return "install Docker Desktop (https://docs.docker.com/desktop/setup/install/mac-install/) and start it";
  }
  if (platform === "win32") {
    return "install Docker Desktop (https://docs.docker.com/desktop/setup/install/windows-install/) and start it";
  }
  if (family.includes("debian")) return "run `sudo apt-get install docker.io iptables`";
  if (family.includes("fedora"))
    return "run `sudo dnf install moby-engine && sudo systemctl enable --now docker`";
  if (family.includes("arch"))
    return "run `sudo pacman -S docker docker-buildx && sudo systemctl enable --now docker`";
  if (family.includes("suse"))
    return "run `sudo zypper install docker && sudo systemctl enable --now docker`";
  return "install Docker Engine (https://docs.docker.com/engine/install/) and start it";
}

/**
 * Makes sure that a Docker daemon answers: starts or installs the distribution's where that can be done.
 *
 * @returns where it is
 * @throws UserError that says what the person must do
 */
export async function prepareDocker(context: Context): Promise<DockerEndpoint> {
  const address = dockerEndpoint(context.env);
  const ping = await pingDocker(address.host);
  if (ping === "ok") return address;
  const machine = await inspectMachine(context);
  const plan = planDocker(address, ping, installedParts(context.env), machine);
  if (plan.do === "give up") throw new UserError(plan.tell);
  if (plan.do === "ask") await askToInstall();
  if (plan.do !== "start") {
    await installPackages(context, machine, [...DOCKER_PACKAGES, ...DATA_PACKAGES]);
  }
  if ((await pingDocker(address.host)) !== "ok") await startDaemon(context, machine);
  return await expectAnswer(address);
}

/** What of Docker Engine is on this machine. */
export function installedParts(env: Env): { dockerd: boolean; iptables: boolean } {
  const has = (name: string) => findSystemProgram(name, env.PATH) !== undefined;
  return { dockerd: has("dockerd"), iptables: has("iptables") };
}

async function askToInstall(): Promise<void> {
  const question =
    "Docker is not installed on this machine. Install and start the distribution's Docker Engine (docker.io), with python3 and git for data sets and code?";
  if (await confirm(question)) return;
  throw new UserError(
    "gpubox needs a Docker daemon: run `sudo apt-get install docker.io iptables` yourself, or point DOCKER_HOST at one, and try again",
  );
}

async function expectAnswer(address: DockerEndpoint): Promise<DockerEndpoint> {
  // Just started: the socket may be there a moment before the daemon answers.
  for (let attempt = 0; attempt < 20; attempt++) {
    const ping = await pingDocker(address.host);
    if (ping === "ok") return address;
    if (ping === "denied") {
      throw new UserError(
        "Docker is running now, but you may not use it yet: run `sudo usermod -aG docker $USER`, log out and in again, and try again",
      );
    }
    await sleep(250);
  }
  throw new UserError(
    `the Docker daemon was started but does not answer at ${address.host}: see \`sudo journalctl -u docker\``,
  );
}
