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
  /** Folder of its own; by default the lane's, which holds the images that every test needs. */
  folder?: string;
  /** Group that may use its socket. */
  group?: string;
  /** Further arguments. */
  args?: string[];
  /** Put before the daemon's PATH. */
  path?: string;
  /** Words before the commands that make it, such as those that enter a network namespace; none by default. */
  prefix?: string[];
}

/** Longest wait for a daemon to answer, in milliseconds. */
const PATIENCE_MS = 180_000;

/** The daemon's bridge, this machine's address on it, and what its containers' networks are cut from. */
const NETWORK = { bridge: "gpubox-test", gateway: "10.213.0.1", pools: "base=10.214.0.0/23,size=27" };

/** Variable that names the folder of the lane's daemon; see test/setup/lane.ts. */
export const LANE_FOLDER = "GPUBOX_TEST_LANE_FOLDER";

/** Folder of the lane's daemon: what one test file left in its image store and its build cache, the next one finds. */
export function laneFolder(): string {
  const folder = process.env[LANE_FOLDER];
  if (!folder) throw new Error("this is no lane: run the end-to-end tests with `npm test`");
  return folder;
}

/** Starts a private daemon in the lane we are in. Needs root, `dockerd` and iptables. */
export async function startDaemon({
  folder = laneFolder(),
  group = "root",
  args = [],
  path,
  prefix = [],
}: DaemonOptions = {}): Promise<Daemon> {
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
  const { bridge, gateway, pools } = NETWORK;
  await ip("link", "add", bridge, "type", "bridge");

  async function start(): Promise<void> {
    const output = openSync(log, "w");
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
        `--bridge=${bridge}`,
        `--default-address-pool=${pools}`,
        ...args,
      ],
      {
        stdio: ["ignore", output, output],
        env: { ...process.env, PATH: `${path ? `${path}:` : ""}${process.env.PATH}:/usr/sbin:/sbin` },
      },
    );
    for (
      const end = Date.now() + PATIENCE_MS;
      Date.now() < end && child.exitCode === null;
      await sleep(200)
    ) {
      if (await client.ping().catch(() => undefined)) return;
    }
    const said = readFileSync(log, "utf8").split("\n").slice(-15).join("\n");
    throw new Error(`the tests' dockerd did not start:\n${said}`);
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

  await ip("address", "replace", `${gateway}/24`, "dev", bridge);
  await ip("link", "set", bridge, "up");
  await start();
  return {
    host: `unix://${socket}`,
    client,
    gateway,
    start,
    stop,
    cutPower,
    async end() {
      await clear();
      await stop();
    },
  };
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
