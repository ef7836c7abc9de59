/**
 * A machine elsewhere: a network namespace with an address of its own, a real sshd in it, and the tests' Docker daemon.
 * Its accounts are its own (a mount namespace hides this machine's); nothing of this machine's ssh or users is touched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { type Daemon, laneFolder, startDaemon } from "./daemon.ts";

/** Who the person is there. */
export const REMOTE = { user: "ada", uid: 4242, group: 4243 };

const HERE = "192.168.212.1";
const THERE = "192.168.212.2";
const PORT = 2222;

/** A machine, and what can happen to it. */
export interface SshMachine {
  address: string;
  port: number;
  daemon: Daemon;
  /** The person's home there. */
  home: string;
  /** Public host key, as `gpubox:host.hostKey` takes it. */
  hostKey: string;
  /** Lets the owner of a public key log in. */
  authorize(publicKey: string): void;
  /** Puts the person into the group `docker`, or takes them out; counts from the next login on. */
  allowDocker(allowed: boolean): void;
  /** Pulls the cable, or plugs it in again. */
  connect(connected: boolean): Promise<void>;
  /** Removes everything of it but the daemon's folder. */
  end(): Promise<void>;
}

const run = (file: string, ...args: string[]) => execa(file, args);

/** Makes a key pair without a passphrase. @returns the public key */
export async function makeKey(file: string): Promise<string> {
  await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file);
  return readFileSync(`${file}.pub`, "utf8").trim();
}

/** Starts a machine. Needs root, iproute2, iptables, openssh-server and `dockerd`. */
export async function startSshMachine(): Promise<SshMachine> {
  const id = randomBytes(3).toString("hex");
  const namespace = `gpubox-${id}`;
  const [outside, inside] = [`gbx${id}a`, `gbx${id}b`];
  const enter = ["nsenter", `--net=/run/netns/${namespace}`];
  const folder = mkdtempSync(join(tmpdir(), "gpubox-machine-"));
  const home = join(folder, "home");
  chmodSync(folder, 0o755);

  // Out into the world, for what a build downloads.
  const rules = [
    ["nat", "POSTROUTING", "-s", `${THERE}/32`, "!", "-o", outside, "-j", "MASQUERADE"],
    ["filter", "FORWARD", "-i", outside, "-j", "ACCEPT"],
    ["filter", "FORWARD", "-o", outside, "-j", "ACCEPT"],
  ];
  const iptables = (action: "-I" | "-D") =>
    Promise.all(
      rules.map(([table = "", ...rule]) => execa("iptables", ["-w", "-t", table, action, ...rule])),
    );

  await run("ip", "netns", "add", namespace);
  await run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", namespace);
  await run("ip", "address", "add", `${HERE}/30`, "dev", outside);
  await run("ip", "link", "set", outside, "up");
  const there = (...args: string[]) => run(enter[0] as string, ...enter.slice(1), "ip", ...args);
  await there("link", "set", "lo", "up");
  await there("address", "add", `${THERE}/30`, "dev", inside);
  await there("link", "set", inside, "up");
  await there("route", "add", "default", "via", HERE);
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  await iptables("-I");

  const daemon = await startDaemon({ group: String(REMOTE.group), prefix: enter });

  mkdirSync(home, { mode: 0o700 });
  await run("chown", `${REMOTE.uid}:${REMOTE.uid}`, home);
  const hostKey = await makeKey(join(folder, "host_key"));
  const file = (name: string, text: string, mode = 0o644) =>
    writeFileSync(join(folder, name), text, { mode });
  file("authorized_keys", "");
  file(
    "passwd",
    `${readFileSync("/etc/passwd", "utf8")}${REMOTE.user}:x:${REMOTE.uid}:${REMOTE.uid}::${home}:/bin/sh\n`,
  );
  file("shadow", `${REMOTE.user}:*:19000:0:99999:7:::\n`, 0o600);
  const groups = readFileSync("/etc/group", "utf8").replace(/^docker:.*\n/m, "");
  const allowDocker = (allowed: boolean) =>
    file(
      "group",
      `${groups}${REMOTE.user}:x:${REMOTE.uid}:\ndocker:x:${REMOTE.group}:${allowed ? REMOTE.user : ""}\n`,
    );
  allowDocker(true);
  file(
    "sshd_config",
    [
      `Port ${PORT}`,
      `ListenAddress ${THERE}`,
      `HostKey ${folder}/host_key`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      "PidFile none",
      // Its files are below /tmp, where everybody may write.
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "MaxStartups 100",
      "",
    ].join("\n"),
  );
  const sshd = startSshd(enter, folder);
  await untilListening(sshd, folder);

  return {
    address: THERE,
    port: PORT,
    daemon,
    home,
    hostKey,
    authorize: (publicKey) => file("authorized_keys", `${publicKey}\n`),
    allowDocker,
    connect: async (connected) => {
      await run("ip", "link", "set", outside, connected ? "up" : "down");
    },
    async end() {
      await daemon.end();
      const { stdout } = await execa("ip", ["netns", "pids", namespace]);
      for (const pid of stdout.split("\n").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
      await iptables("-D");
      await run("ip", "link", "delete", outside);
      await run("ip", "netns", "delete", namespace);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function startSshd(enter: string[], folder: string): ChildProcess {
  // Seen by this sshd and its sessions alone: accounts, and the socket where docker looks for it.
  const script = [
    ...["passwd", "shadow", "group"].map((name) => `mount --bind ${folder}/${name} /etc/${name}`),
    "mount -t tmpfs tmpfs /run",
    "mkdir -m 755 /run/sshd",
    // A daemon that is started anew makes its socket anew.
    `ln -s ${laneFolder()}/docker.sock /run/docker.sock`,
    `exec /usr/sbin/sshd -D -e -f ${folder}/sshd_config`,
  ].join(" && ");
  const output = openSync(join(folder, "sshd.log"), "a");
  const [command = "", ...args] = [...enter, "unshare", "--mount", "sh", "-c", script];
  return spawn(command, args, { stdio: ["ignore", output, output] });
}

async function untilListening(sshd: ChildProcess, folder: string): Promise<void> {
  const log = () => readFileSync(join(folder, "sshd.log"), "utf8");
  for (let tries = 0; tries < 100; tries++) {
    if (log().includes("Server listening")) return;
    if (sshd.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error(`the tests' sshd did not start:\n${log()}`);
}
