/** A rootless Docker daemon of the tests' own: a program of a person's, in the lane we are in. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { execa } from "execa";
import type { Daemon } from "./daemon.ts";

/** Where Debian's package has the script that starts one; others have it on PATH. */
const SCRIPTS = "/usr/share/docker.io/contrib";
const PATIENCE_MS = 60_000;

/**
 * Starts one as somebody whom the lane knows; see people.ts. Needs root, to become them.
 *
 * @param folder of its own; its path must be short, as a socket is made in it
 */
export async function startRootless(
  folder: string,
  uid: number,
): Promise<Pick<Daemon, "host" | "client" | "end">> {
  const [home, run] = [join(folder, "home"), join(folder, "run")];
  for (const path of [folder, home, run]) {
    mkdirSync(path, { recursive: true, mode: path === folder ? 0o755 : 0o700 });
    if (path !== folder) chownSync(path, uid, uid);
  }
  // A lane's mounts are private, and its devices root's: a person's machine has neither.
  await execa("mount", ["--make-rshared", "/"]);
  for (const [device, major, minor] of [
    ["net/tun", "10", "200"],
    ["fuse", "10", "229"],
  ] as const) {
    const node = join(folder, device.replace("/", "-"));
    await execa("mknod", ["-m", "666", node, "c", major, minor]);
    await execa("mount", ["--bind", node, `/dev/${device}`]);
  }
  const log = join(folder, "dockerd.log");
  const output = openSync(log, "w");
  const command = ["--reuid", String(uid), "--regid", String(uid), "--init-groups", "dockerd-rootless.sh"];
  const child = spawn("setpriv", command, {
    stdio: ["ignore", output, output],
    env: {
      ...process.env,
      HOME: home,
      XDG_RUNTIME_DIR: run,
      PATH: `${process.env.PATH}:/usr/sbin:/sbin:${SCRIPTS}`,
    },
  });
  const socket = join(run, "docker.sock");
  const client = new Docker({ socketPath: socket });
  for (
    const end = Date.now() + PATIENCE_MS;
    !(await client.ping().catch(() => undefined));
    await sleep(200)
  ) {
    if (Date.now() < end && child.exitCode === null) continue;
    const said = readFileSync(log, "utf8").split("\n").slice(-15).join("\n");
    throw new Error(`the tests' rootless dockerd did not start:\n${said}`);
  }
  return {
    host: `unix://${socket}`,
    client,
    async end() {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    },
  };
}
