/**
 * A lane: a network, a process and a mount namespace of its own, so that several end-to-end files can run side by side with the
 * same ports, bridges and container names, and so that whatever a file started, mounted or set up is gone when its process is,
 * however that ended. The way out leads through slirp4netns, an ordinary program: the machine's own interfaces, routes and
 * firewall are never touched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findSystemProgram } from "../../cli/system/path.ts";

const enter = fileURLToPath(new URL("enter-lane.sh", import.meta.url));

/** The words before a command that put it into a lane of its own, which ends when the process that started it does. */
export const IN_LANE = [
  ...["setpriv", "--pdeathsig=SIGKILL"],
  ...["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", enter],
] as [string, ...string[]];

/** Whether we may make lanes: they take root on Linux. */
export function hasLanes(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

/** Connects the lane of a process that was just started to the outside, for as long as we are there. */
export async function connectLane(lane: ChildProcess): Promise<ChildProcess | undefined> {
  // Its tests are told what is missing here, and skipped.
  if (!findSystemProgram("slirp4netns", process.env.PATH)) return undefined;
  const ours = readlinkSync("/proc/self/ns/net");
  const theirs = () => readlinkSync(`/proc/${lane.pid}/ns/net`);
  while (theirs() === ours) await sleep(5);
  // It ends when the pipe does whose other end is ours.
  const options = ["--configure", "--mtu=65520", "--exit-fd=3", "--ready-fd=4"];
  const network = spawn("slirp4netns", [...options, String(lane.pid), "tap0"], {
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
  });
  let said = "";
  network.stderr?.on("data", (text) => {
    said += text;
  });
  const ended = once(network, "exit");
  const isReady = await Promise.race([
    once(network.stdio[4] as NodeJS.ReadableStream, "data").then(() => true),
    ended.then(() => false),
  ]);
  if (!isReady) throw new Error(`a lane was not connected: slirp4netns ended:\n${said}`);
  return network;
}

/** Ends a lane: all of its processes, its mounts, its network. */
export async function endLane(lane: ChildProcess, network: ChildProcess | undefined): Promise<void> {
  const running = [lane, network].filter(
    (each) => each && each.exitCode === null && each.signalCode === null,
  );
  const gone = running.map((each) => once(each as ChildProcess, "exit"));
  for (const each of running) each?.kill("SIGKILL");
  await Promise.all(gone);
}

/** Runs a program in a lane, with its output where ours is; its exit status. */
export async function runInLane(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [command, ...before] = IN_LANE;
  const lane = spawn(command, [...before, file, ...args], { env, stdio: "inherit" });
  const ended = once(lane, "exit");
  const network = await connectLane(lane);
  const [code] = await ended;
  await endLane(lane, network);
  return code ?? 1;
}
