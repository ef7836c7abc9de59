import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { behindLogin, gitAs } from "../support/git-server.ts";
import {
  filesBelow,
  findProgram,
  lacks,
  missingPrograms,
  removeFolder,
  runScript,
} from "../support/host-script.ts";
import { gitHandler, type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import { ownFolder } from "../support/own-folder.ts";
import { freePort, greets } from "../support/ports.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const scratch = ownFolder();
const home = join(scratch, "home");
const bare = join(scratch, "repositories", "course.git");
let server: LoopbackServer;
let root = "";
let roots = 0;

beforeAll(async () => {
  mkdirSync(home);
  const git = gitAs(home);
  const upstream = join(scratch, "upstream");
  mkdirSync(upstream);
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  git(upstream, "commit", "--quiet", "--allow-empty", "-m", "one");
  git(scratch, "clone", "--quiet", "--bare", upstream, bare);
  server = await startLoopbackServer();
  server.handle(
    "/private/",
    behindLogin("me", "canary", gitHandler("/private/", join(scratch, "repositories"))),
  );
});
afterAll(() => server.close());
beforeEach(() => {
  roots += 1;
  root = join(scratch, `root ${roots}`);
  mkdirSync(join(root, "code"), { recursive: true });
});

const checkOut = (url: string, env: Record<string, string> = {}) =>
  runScript("gpubox_data/code.py", {
    ROOT: root,
    URL: url,
    REF: "main",
    FOLDER: "course",
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    ...env,
  });
const putThere = () => existsSync(join(root, "code", "course"));

describe("code.py and a repository that wants a password", () => {
  const url = () => server.url("/private/course.git");

  /** A HOME whose git has a credential helper that gives this password. */
  function homeWithHelper(password: string): string {
    const helped = join(scratch, `helped-${password.length}`);
    mkdirSync(helped, { recursive: true });
    const helper = join(helped, "helper");
    const answer = `#!/bin/sh\n[ "$1" = get ] && printf 'username=me\\npassword=${password}\\n'\n`;
    writeFileSync(helper, answer, { mode: 0o755 });
    writeFileSync(join(helped, ".gitconfig"), `[credential]\nhelper = ${helper}\n`);
    return helped;
  }

  it("never asks for one, and says where to type it", async () => {
    const run = await checkOut(url());
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("terminal prompts disabled");
    expect(run.stderr).toContain(
      `git config --global credential.helper 'cache --timeout=86400' && git ls-remote '${url()}'`,
    );
    expect(putThere()).toBe(false);
  });

  it("names the machine that wants it, where that is reached by ssh", async () => {
    const run = await checkOut(url(), { SSH_CONNECTION: "192.0.2.1 50000 192.0.2.2 22" });
    expect(run.stderr).toContain(`it is ${hostname()} that fetches it`);
    expect(run.stderr).toContain("credential.helper");
  });

  it("uses the person's credential helper, and keeps nothing of what it says", async () => {
    const run = await checkOut(url(), { HOME: homeWithHelper("canary") });
    expect(run).toMatchObject({ code: 0 });
    expect(JSON.stringify([run, filesBelow(join(root, "code"))])).not.toContain("canary");
  });

  it("says so where the password is wrong", async () => {
    const run = await checkOut(url(), { HOME: homeWithHelper("wrong") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("Authentication failed");
    expect(run.stderr).toContain("credential.helper");
  });

  it("does not open the window that a desktop has for passwords", async () => {
    const window = join(scratch, "window");
    const opened = join(scratch, "opened");
    writeFileSync(window, `#!/bin/sh\ntouch '${opened}'\nsleep 60\n`, { mode: 0o755 });
    expect(await checkOut(url(), { SSH_ASKPASS: window, DISPLAY: ":0" })).toMatchObject({ code: 1 });
    expect(existsSync(opened)).toBe(false);
  });
});

const noSsh = lacks(
  [...missingPrograms("ssh ssh-agent ssh-add ssh-keygen"), ...(findServer() ? [] : ["sshd"])],
  "code.py over ssh",
);

function findServer(): string | undefined {
  return ["/usr/sbin/sshd", findProgram("sshd")].find((path) => path !== undefined && existsSync(path));
}

describe.skipIf(noSsh)("code.py and a repository behind ssh", () => {
  const keys = join(scratch, "keys");
  const agentSocket = join(scratch, "agent");
  const processes: ChildProcess[] = [];
  let url = "";

  beforeAll(async () => {
    mkdirSync(keys);
    for (const name of ["host", "mine"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(keys, name)]);
    }
    execFileSync("cp", [join(keys, "mine.pub"), join(keys, "authorized")]);
    const port = await freePort();
    const options = [
      `HostKey=${join(keys, "host")}`,
      `AuthorizedKeysFile=${join(keys, "authorized")}`,
      "StrictModes=no",
      "UsePAM=no",
      "PidFile=none",
      "PasswordAuthentication=no",
      "KbdInteractiveAuthentication=no",
      `ListenAddress=127.0.0.1:${port}`,
    ].flatMap((option) => ["-o", option]);
    // Where it leaves its privileges, which Debian's start script makes.
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
    processes.push(spawn(findServer() as string, ["-D", "-f", "/dev/null", ...options], { stdio: "ignore" }));
    processes.push(spawn("ssh-agent", ["-D", "-a", agentSocket], { stdio: "ignore" }));
    await vi.waitUntil(() => existsSync(agentSocket) && greets(port), { timeout: 10_000 });
    execFileSync("ssh-add", ["-q", join(keys, "mine")], {
      env: { ...process.env, SSH_AUTH_SOCK: agentSocket },
    });
    // The key is the agent's alone from here on.
    removeFolder(join(keys, "mine"));
    const host = execFileSync("cut", ["-d", " ", "-f", "1,2", join(keys, "host.pub")], { encoding: "utf8" });
    writeFileSync(join(keys, "known"), `[127.0.0.1]:${port} ${host}`);
    const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
    url = `ssh://${user}@127.0.0.1:${port}${bare}`;
  });
  afterAll(async () => {
    // The agent removes its socket as it ends, which is not to happen while the folder is removed.
    const ended = processes.map((each) => once(each, "exit"));
    for (const each of processes) each.kill();
    await Promise.all(ended);
  });

  /** The person's own way to start ssh, as it would be in a configuration: nothing of this machine's is used. */
  const ssh = (known: string) => ({
    GIT_SSH_COMMAND: `ssh -F /dev/null -o UserKnownHostsFile=${join(keys, known)} -o GlobalKnownHostsFile=/dev/null -o IdentityFile=/dev/null`,
  });

  it("uses the keys of the person's agent", async () => {
    const run = await checkOut(url, { ...ssh("known"), SSH_AUTH_SOCK: agentSocket });
    expect(run).toMatchObject({ code: 0, stdout: `${join(root, "code", "course")}\n` });
  });

  it("names the machine that lacks the key, where that is reached by ssh, and how to lend it one", async () => {
    const run = await checkOut(url, { ...ssh("known"), SSH_CONNECTION: "192.0.2.1 50000 192.0.2.2 22" });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`it is ${hostname()} that fetches it`);
    expect(run.stderr).toContain(
      `\`ForwardAgent yes\` below the \`Host\` of ${hostname()} in your own ~/.ssh/config`,
    );
    expect(run.stderr).not.toContain('eval "$(ssh-agent)"');
  });

  it("says what to do without an agent, with one that lacks the key, and at an unknown server", async () => {
    const without = await checkOut(url, ssh("known"));
    expect(without).toMatchObject({ code: 1, stdout: "" });
    expect(without.stderr).toContain('eval "$(ssh-agent)" && ssh-add');
    const unknown = await checkOut(url, { ...ssh("nothing"), SSH_AUTH_SOCK: agentSocket });
    expect(unknown.stderr).toContain(`look at its key and accept it:  git ls-remote '${url}'`);
    execFileSync("ssh-add", ["-q", "-D"], {
      env: { ...process.env, SSH_AUTH_SOCK: agentSocket },
      stdio: "ignore",
    });
    const empty = await checkOut(url, { ...ssh("known"), SSH_AUTH_SOCK: agentSocket });
    expect(empty.stderr).toContain("those that your ssh agent has:  ssh-add -l");
    expect(putThere()).toBe(false);
  });
});
