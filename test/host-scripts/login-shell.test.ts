/** What a login shell may do to a machine that is reached by SSH: a real sshd, with accounts of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { SshConnection } from "../../machine/ssh/command.ts";
import { reachSshMachine, runOnMachine } from "../../machine/ssh/inspect.ts";
import { findProgram, lacks, missingPrograms, pathWith, removeFolder } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";
import { freePort, greets } from "../support/ports.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const DOCKER = `#!/bin/sh
case $1 in info) echo '{"ID":"D1","Architecture":"x86_64"}' ;; esac
`;
/** By the shell that each has. */
const UIDS = { bash: 4242, dash: 4243 };
type Shell = keyof typeof UIDS;

const skip = lacks(
  [
    ...missingPrograms("ssh ssh-agent ssh-keygen unshare bash dash"),
    ...(findProgram("sshd") ? [] : ["sshd"]),
    ...(process.getuid?.() === 0 ? [] : ["root"]),
  ],
  "login shells over ssh",
);

describe.skipIf(skip)("a login shell over ssh", () => {
  const scratch = ownFolder();
  const home = (shell: Shell) => join(scratch, shell);
  let sshd: ChildProcess;
  let port = 0;
  let hostKey = "";

  const put = (shell: Shell, name: string, text: string, mode = 0o644) => {
    const file = join(home(shell), name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    chmodSync(file, mode);
  };
  const connection = (shell: Shell): SshConnection => ({
    ...{ address: "127.0.0.1", user: shell, port, hostKey },
    key: join(scratch, "key"),
  });
  const reach = (shell: Shell) => reachSshMachine(connection(shell), { root: "~/docker_mount" }, "lab");

  beforeAll(async () => {
    chmodSync(scratch, 0o755);
    for (const name of ["host", "key"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", join(scratch, name)]);
    }
    hostKey = readFileSync(join(scratch, "host.pub"), "utf8").trim();
    const accounts = Object.entries(UIDS).map(([shell, uid]) => {
      return `${shell}:x:${uid}:${uid}::${home(shell as Shell)}:${findProgram(shell)}\n`;
    });
    writeFileSync(join(scratch, "passwd"), readFileSync("/etc/passwd", "utf8") + accounts.join(""));
    writeFileSync(
      join(scratch, "shadow"),
      Object.keys(UIDS)
        .map((user) => `${user}:*:19000:0:99999:7:::\n`)
        .join(""),
    );
    port = await freePort();
    const path = pathWith(join(scratch, "bin"), "ssh-agent");
    writeFileSync(
      join(scratch, "sshd_config"),
      [
        `ListenAddress 127.0.0.1:${port}`,
        `HostKey ${scratch}/host`,
        `AuthorizedKeysFile ${scratch}/key.pub`,
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        `SetEnv PATH=${path}`,
        "",
      ].join("\n"),
    );
    // Accounts that this sshd alone sees, and processes that end with it.
    const script = [
      ...["passwd", "shadow"].map((name) => `mount --bind ${scratch}/${name} /etc/${name}`),
      "mkdir -p /run/sshd",
      `exec ${findProgram("sshd")} -D -e -f ${scratch}/sshd_config`,
    ].join(" && ");
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    sshd = spawn("unshare", [...namespaces, "sh", "-c", script], { stdio: "ignore" });
    await vi.waitUntil(() => greets(port), { timeout: 10_000 });
  });
  afterAll(async () => {
    const ended = once(sshd, "exit");
    sshd.kill("SIGKILL");
    await ended;
  });
  beforeEach(() => {
    // The sockets of shared connections are below it; its path has to be short.
    vi.stubEnv("HOME", scratch);
    for (const [shell, uid] of Object.entries(UIDS)) {
      removeFolder(home(shell as Shell));
      put(shell as Shell, "docker/docker", DOCKER, 0o755);
      // As a person has it: for their own sessions, and not for a command.
      put(shell as Shell, ".profile", 'PATH="$HOME/docker:$PATH"\n');
      chownSync(home(shell as Shell), uid, uid);
    }
    return () => vi.unstubAllEnvs();
  });

  it("that finds docker for a person's own sessions alone is named with the line that mends it", async () => {
    const problem = await reach("bash").catch((error: Error) => error.message);
    expect(problem).toContain("step that failed: Docker not there");
    expect(problem).toContain(
      `its \`docker\` is ${home("bash")}/docker/docker, where commands over SSH do not find it`,
    );
    const [, file, line] = /put at the top of ~\/(\S+) there: (.+)/.exec(String(problem)) ?? [];
    put("bash", String(file), `${line}\n`);
    expect(await reach("bash")).toMatchObject({ docker: { info: { ID: "D1" } } });
  });

  it("that reads no file before a command is told to link docker", async () => {
    await expect(reach("dash")).rejects.toThrow(`sudo ln -s ${home("dash")}/docker/docker /usr/bin/`);
  });

  it("that prints is named with its file and the line that mends it, and spoils no script's result", async () => {
    const path = 'PATH="$PATH:$HOME/docker"\n';
    put("bash", ".bashrc", `${path}eval "$(ssh-agent)"\n`);
    const problem = String(await reach("bash").catch((error: Error) => error.message));
    expect(problem).toContain("step that failed: login shell");
    expect(problem).toMatch(/prints with each command.*: Agent pid \d+$/m);
    const environment = { ROOT: "~/docker_mount", NVIDIA_SMI_ARGS: "" };
    const printed = await runOnMachine(connection("bash"), "inspect.sh", environment, "lab");
    expect(JSON.parse(printed)).toMatchObject({ user: "4242:4242" });
    const [, file, guard] = /make ~\/(\S+) there .* with this line at its top: (.+)/.exec(problem) ?? [];
    put("bash", String(file), `${path}${guard}\neval "$(ssh-agent)"\n`);
    expect(await reach("bash")).toMatchObject({ docker: { info: { ID: "D1" } } });
  });

  it("that prints as it ends is named as well, as the last line is a script's result", async () => {
    put("bash", ".bashrc", 'PATH="$PATH:$HOME/docker"\ntrap "echo bye" EXIT\n');
    await expect(reach("bash")).rejects.toThrow(/prints with each command.*: bye\n.*~\/\.bashrc/);
  });

  it.each([
    "exit",
    "echo no shell for you; exit 1",
    "exec true",
  ])("that ends by itself is said to: %s", async (line) => {
    put("bash", ".bashrc", `${line}\n`);
    const problem = await reach("bash").catch((error: Error) => error.message);
    expect(problem).toContain("step that failed: login shell");
    expect(problem).toContain("ended before it ran a command");
    expect(problem).toMatch(/look for `exit` and `exec` in .*~\/\.bashrc/);
    if (line.startsWith("echo")) expect(problem).toContain(": no shell for you");
  });
});
