/** A Docker daemon of the tests' own: nothing of it touches, or is seen by, a person's. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { execa } from "execa";
import { killAll, processes } from "./processes.ts";

/** A daemon that runs, and how to reach it. */
export interface Daemon {
  /** As in DOCKER_HOST. */
  host: string;
  client: Docker;
  /** This machine's address, as its containers see it. */
  gateway: string;
  /** Stops it; its images and containers stay for `start`. */
  stop(): Promise<void>;
  /** Starts it again. */
  start(): Promise<void>;
  /** SIGKILL to it and to all that it runs, as when a machine loses its power. */
  cutPower(): Promise<void>;
  /** Removes its containers, networks and volumes, and stops it; images and build cache stay in its folder. */
  end(): Promise<void>;
}

/** How a daemon is started. */
export interface DaemonOptions {
  /** Folder of its own; see `removeDaemon`. */
  folder: string;
  /** Group that may use its socket. */
  group?: string;
  /** Put before the daemon's PATH. */
  path?: string;
  /** Words before the commands that make it, such as those that enter a network namespace; none by default. */
  prefix?: string[];
}

/** How many daemons of several runs of the tests may be there at once. */
const NETWORKS = 16;

/** The network of a daemon. */
interface Network {
  bridge: string;
  /** This machine's address on it. */
  gateway: string;
  /** What its containers' networks are cut from. */
  pools: string;
}

const networkOf = (index: number): Network => ({
  bridge: `gpubox-test${index}`,
  gateway: `10.213.${index}.1`,
  pools: `base=10.214.${2 * index}.0/23,size=27`,
});

/** The file in a daemon's folder that says which network is its own. */
const networkFile = (folder: string) => join(folder, "network");

/** The network that a daemon's folder has; undefined where none was taken for it. */
function ownNetwork(folder: string): Network | undefined {
  if (!existsSync(networkFile(folder))) return undefined;
  return networkOf(Number(readFileSync(networkFile(folder), "utf8")));
}

/** Takes a network for a daemon that no other run of the tests has: whoever makes its bridge has it. */
async function takeNetwork(
  folder: string,
  ip: (...args: string[]) => Promise<{ exitCode?: number }>,
): Promise<Network> {
  const own = ownNetwork(folder);
  if (own) return own;
  for (let index = 0; index < NETWORKS; index++) {
    const network = networkOf(index);
    if ((await ip("link", "add", network.bridge, "type", "bridge")).exitCode !== 0) continue;
    writeFileSync(networkFile(folder), String(index));
    return network;
  }
  throw new Error(
    `there are ${NETWORKS} bridges gpubox-test… already: \`ip link delete NAME\` removes one left behind`,
  );
}

/** Starts a private daemon. Needs root, `dockerd` and iptables. */
export async function startDaemon({
  folder,
  group = "root",
  path,
  prefix = [],
}: DaemonOptions): Promise<Daemon> {
  mkdirSync(folder, { recursive: true });
  // Whoever is in the socket's group must get to it.
  chmodSync(folder, 0o711);
  const socket = join(folder, "docker.sock");
  const log = join(folder, "dockerd.log");
  const client = new Docker({ socketPath: socket });
  let child: ChildProcess | undefined;

  const ip = (...args: string[]) => {
    const [file = "", ...before] = [...prefix, "ip"];
    return execa(file, [...before, ...args], { reject: args[1] !== "add" });
  };
  // In a network namespace of its own there is nobody to share the names with.
  const network = prefix.length > 0 ? networkOf(0) : await takeNetwork(folder, ip);
  await ip("link", "add", network.bridge, "type", "bridge");

  async function start(): Promise<void> {
    const output = openSync(log, "a");
    const [file = "", ...before] = [...prefix, "dockerd"];
    child = spawn(
      file,
      [
        ...before,
        `--host=unix://${socket}`,
        `--group=${group}`,
        `--data-root=${join(folder, "data")}`,
        `--exec-root=${join(folder, "exec")}`,
        `--pidfile=${join(folder, "docker.pid")}`,
        `--bridge=${network.bridge}`,
        `--default-address-pool=${network.pools}`,
      ],
      {
        stdio: ["ignore", output, output],
        env: { ...process.env, PATH: `${path ? `${path}:` : ""}${process.env.PATH}:/usr/sbin:/sbin` },
      },
    );
    for (let tries = 0; tries < 150; tries++) {
      if (child.exitCode !== null) break;
      if (
        await client.ping().then(
          () => true,
          () => false,
        )
      )
        return;
      await sleep(200);
    }
    throw new Error(
      `the tests' dockerd did not start:\n${readFileSync(log, "utf8").split("\n").slice(-15).join("\n")}`,
    );
  }

  async function stop(): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child?.once("exit", resolve));
    child.kill("SIGTERM");
    await exited;
  }

  async function cutPower(): Promise<void> {
    const containers = await client.listContainers();
    const inside = await Promise.all(containers.map(({ Id }) => client.getContainer(Id).inspect()));
    // The daemon first: it would start again what ends.
    const exited = child && once(child, "exit");
    child?.kill("SIGKILL");
    await exited;
    killAll(processes().filter(({ args }) => /containerd/.test(args) && args.includes(`${folder}/`)));
    killAll(inside.map(({ State }) => ({ pid: State.Pid })));
    // What lies on /run and in the kernel does not outlive a reboot.
    await unmountBelow(folder);
    rmSync(join(folder, "exec"), { recursive: true, force: true });
    rmSync(join(folder, "docker.pid"), { force: true });
  }

  async function clear(): Promise<void> {
    for (const { Id } of await client.listContainers({ all: true })) {
      await client.getContainer(Id).remove({ force: true, v: true });
    }
    await client.pruneNetworks();
    for (const { Name } of (await client.listVolumes()).Volumes ?? []) await client.getVolume(Name).remove();
  }

  await ip("address", "replace", `${network.gateway}/24`, "dev", network.bridge);
  await ip("link", "set", network.bridge, "up");
  await start();
  return {
    host: `unix://${socket}`,
    client,
    gateway: network.gateway,
    start,
    stop,
    cutPower,
    async end() {
      await clear();
      await stop();
    },
  };
}

/** Removes everything of a daemon that was stopped: its bridge, its mounts, its folder. */
export async function removeDaemon(folder: string): Promise<void> {
  const own = ownNetwork(folder);
  if (own) await execa("ip", ["link", "delete", own.bridge], { reject: false });
  await unmountBelow(folder);
  rmSync(folder, { recursive: true, force: true });
}

/** A daemon that was killed leaves its mounts behind. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const mount of mounts.filter((point) => point.startsWith(`${folder}/`)).reverse()) {
    await execa("umount", ["-l", mount], { reject: false });
  }
}
