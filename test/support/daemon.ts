/** A Docker daemon of the tests' own: nothing of it touches, or is seen by, a person's. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
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

const SUBNETS = { bridge: "192.168.213.1/24", pools: "base=192.168.214.0/23,size=27" };
const BRIDGE = "gpubox-test0";

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
        `--bridge=${BRIDGE}`,
        `--default-address-pool=${SUBNETS.pools}`,
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

  const ip = (...args: string[]) => {
    const [file = "", ...before] = [...prefix, "ip"];
    return execa(file, [...before, ...args], { reject: args[1] !== "add" });
  };
  await ip("link", "add", BRIDGE, "type", "bridge");
  await ip("address", "replace", SUBNETS.bridge, "dev", BRIDGE);
  await ip("link", "set", BRIDGE, "up");
  await start();
  return {
    host: `unix://${socket}`,
    client,
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
  await execa("ip", ["link", "delete", BRIDGE], { reject: false });
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
