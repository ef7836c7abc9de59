/** Starting a Docker daemon that is installed and does not run. */
import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { asRoot, type Machine } from "../system/packages.ts";
import { findSystemProgram } from "../system/path.ts";
import { makePrivate } from "../system/private.mjs";
import { say, step } from "../ui/say.ts";
import { DEFAULT_DOCKER_HOST, pingDocker } from "./daemon.ts";

/** How long a daemon may take to answer, in seconds: its first start makes its folders and network rules. */
const PATIENCE_SECONDS = 40;

/**
 * Starts the daemon by systemd, by the service's script, or by hand, whichever the machine has.
 *
 * @throws UserError with the end of the daemon's log
 */
export async function startDaemon(context: Context, machine: Machine): Promise<void> {
  await step("docker: starting the daemon", async () => {
    if (machine.systemd) return await bySystemd(context, machine);
    if (existsSync("/etc/init.d/docker") && (await byScript(context, machine))) return;
    await byHand(context, machine);
  });
  if (!machine.systemd)
    say("docker: this machine has no systemd, so bring the stack up again after a reboot");
}

async function bySystemd(context: Context, machine: Machine): Promise<void> {
  const { code, stderr } = await asRoot(context, machine, "systemctl", ["start", "docker"]);
  if (code === 0 && (await answers(PATIENCE_SECONDS))) return;
  throw new UserError(
    `\`systemctl start docker\` did not help: see \`sudo journalctl -u docker\`\n${stderr}`,
  );
}

async function byScript(context: Context, machine: Machine): Promise<boolean> {
  const { code } = await asRoot(context, machine, "service", ["docker", "start"]);
  return code === 0 && (await answers(10));
}

async function byHand(context: Context, machine: Machine): Promise<void> {
  const dockerd = findSystemProgram("dockerd", context.env.PATH);
  if (!dockerd) throw new UserError("`dockerd` is not installed: run `sudo apt-get install docker.io`");
  const log = join(context.cache, "dockerd.log");
  makePrivate(context.cache);
  const [file, ...args] = machine.root ? [dockerd] : ["sudo", dockerd];
  const output = openSync(log, "w", 0o600);
  // A process group of its own: it outlives this command, and Ctrl-C.
  const daemon = spawn(file as string, args, { detached: true, stdio: ["ignore", output, output] });
  let ended = false;
  daemon.on("exit", () => {
    ended = true;
  });
  daemon.on("error", () => {
    ended = true;
  });
  daemon.unref();
  if (await answers(PATIENCE_SECONDS, () => ended)) return;
  throw new UserError(
    `the Docker daemon ${ended ? "exited at once" : `does not answer after ${PATIENCE_SECONDS} s`}; its log ${log} ends:\n${tail(log)}`,
  );
}

async function answers(seconds: number, isOver = () => false): Promise<boolean> {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    // Denied is an answer too: the daemon is there.
    if ((await pingDocker(DEFAULT_DOCKER_HOST)) !== "silent") return true;
    if (isOver()) return false;
    await sleep(200);
  }
  return false;
}

function tail(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-8).join("\n");
}
