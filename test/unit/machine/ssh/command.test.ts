import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  dockerUrl,
  forgivingScript,
  keyscanCommand,
  newLoginScript,
  personCommand,
  remoteScript,
  type SshConnection,
  scriptOnMachine,
  socketProblem,
  sshCommand,
  sshConfig,
  sshOptions,
  tunnelCommand,
} from "../../../../machine/ssh/command.ts";

const KEY = `ssh-ed25519 AAAA${"C".repeat(64)}`;
const gpu: SshConnection = { address: "gpu.example.org", user: "ada", port: 2222, hostKey: KEY };

/** The value of an option; ssh takes the first one. */
const optionValue = (words: string[], name: string) =>
  words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);

describe("the socket of a connection", () => {
  const home = (bytes: number) => `/home/${"a".repeat(bytes - 6)}`;

  it("fits into home folders as long as OpenSSH 9.2 takes, with what it puts behind the path", () => {
    expect(socketProblem(home(65), "linux")).toBeUndefined();
    expect(socketProblem(home(66), "linux")).toMatch(/has 66 bytes, and 65 are allowed\..*HOME=/);
    expect(socketProblem(home(62), "darwin")).toMatch(/ 61 are allowed/);
    // Bytes count, not letters.
    expect(socketProblem(`/home/${"ä".repeat(30)}`, "linux")).toMatch(/has 66 bytes/);
  });

  it("is where that was counted", () => {
    const path = optionValue(sshOptions(gpu), "ControlPath")?.replace(/^[^/]*/, home(65)) ?? "";
    expect(Buffer.byteLength(`${path}.0123456789abcdef`)).toBe(107);
  });
});

describe("a connection", () => {
  it.each([
    ["never asks a question", "BatchMode", "yes"],
    ["runs what it is told", "RemoteCommand", "none"],
    ["takes no port that a person's own session has", "ClearAllForwardings", "yes"],
    ["says what is wrong", "LogLevel", "INFO"],
    ["never trusts a new host key", "StrictHostKeyChecking", "yes"],
    ["trusts the pinned host key", "KnownHostsCommand", `/bin/echo %H ${KEY}`],
    ["and no other of the person's", "UserKnownHostsFile", "/dev/null"],
    ["or of the machine's", "GlobalKnownHostsFile", "/dev/null"],
    ["gives up", "ConnectTimeout", "15"],
    ["notices a machine that is gone", "ServerAliveInterval", "10"],
    ["and soon", "ServerAliveCountMax", "2"],
    ["is shared", "ControlMaster", "auto"],
    ["for a while", "ControlPersist", "60"],
  ])("%s", (_, name, value) => {
    expect(optionValue(sshOptions(gpu), name)).toBe(value);
  });

  it("takes the person's own files of host keys, or another, where none is pinned", () => {
    const { hostKey: _, ...rest } = gpu;
    expect(optionValue(sshOptions(rest), "KnownHostsCommand")).toBeUndefined();
    expect(optionValue(sshOptions(rest), "UserKnownHostsFile")).toBeUndefined();
    expect(optionValue(sshOptions(rest), "StrictHostKeyChecking")).toBe("yes");
    const named = sshOptions({ ...rest, knownHosts: "~/lab hosts" });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: for ssh
    expect(optionValue(named, "UserKnownHostsFile")).toBe('"${HOME}/lab hosts"');
  });

  it("leaves the comment of a host key out", () => {
    expect(optionValue(sshOptions({ ...gpu, hostKey: `${KEY} root@gpu` }), "KnownHostsCommand")).toBe(
      `/bin/echo %H ${KEY}`,
    );
  });

  it("offers the named key alone", () => {
    const options = sshOptions({ ...gpu, key: "/keys/50%" });
    expect(optionValue(options, "IdentityFile")).toBe('"/keys/50%%"');
    expect(optionValue(options, "IdentitiesOnly")).toBe("yes");
    expect(optionValue(sshOptions(gpu), "IdentitiesOnly")).toBeUndefined();
  });

  it("is another one whenever it is made with something else", () => {
    const { hostKey: _, ...unpinned } = gpu;
    const others: SshConnection[] = [
      gpu,
      unpinned,
      { ...gpu, hostKey: `${KEY.slice(0, -1)}D` },
      { ...gpu, user: "eve" },
      { ...gpu, port: 22 },
      { ...gpu, address: "gpu2" },
      { ...gpu, key: "~/id" },
      { ...unpinned, knownHosts: "~/hosts" },
    ];
    const paths = others.map((connection) => optionValue(sshOptions(connection), "ControlPath"));
    expect(new Set(paths).size).toBe(others.length);
  });

  it("has a socket whose path is short enough for any system", () => {
    const path = optionValue(sshOptions(gpu), "ControlPath") as string;
    // ssh first makes one with 17 characters more; macOS allows 104 bytes.
    const home = "/home/a.person.with.a.long.name@department";
    // biome-ignore lint/suspicious/noTemplateCurlyInString: for ssh
    expect(path.replace("${HOME}", home).length + 17).toBeLessThan(104);
  });

  it("is asked for in words that ssh cannot take for options", () => {
    expect(sshCommand(gpu, "true").slice(-4)).toEqual(["-T", "--", "gpu.example.org", "true"]);
    expect(sshCommand(gpu, "true").slice(0, 5)).toEqual(["ssh", "-l", "ada", "-p", "2222"]);
    expect(sshCommand({ address: "lab" }, "true").slice(0, 2)).toEqual(["ssh", "-o"]);
  });

  it("is the docker provider's, too", () => {
    expect(dockerUrl(gpu)).toBe("ssh://ada@gpu.example.org:2222");
    expect(dockerUrl({ address: "lab" })).toBe("ssh://lab");
    expect(dockerUrl({ address: "fd00::2", port: 22 })).toBe("ssh://[fd00::2]:22");
  });

  it("learns a host key without trusting it, logging in, or using what was trusted before", () => {
    const words = keyscanCommand(gpu, "/tmp/x y/known");
    expect(optionValue(words, "StrictHostKeyChecking")).toBe("accept-new");
    expect(optionValue(words, "UserKnownHostsFile")).toBe('"/tmp/x y/known"');
    expect(optionValue(words, "PreferredAuthentications")).toBe("none");
    expect(optionValue(words, "ControlPath")).toBe("none");
    expect(optionValue(words, "KnownHostsCommand")).toBeUndefined();
  });
});

describe("what a person types", () => {
  it("checks the host key just as strictly", () => {
    for (const command of [personCommand(gpu, "docker info"), tunnelCommand(gpu, [[8888, 8888]])]) {
      expect(command).toContain("-o StrictHostKeyChecking=yes");
      expect(command).toContain(`-o 'KnownHostsCommand=/bin/echo %H ${KEY}'`);
      expect(command).toContain("-l ada -p 2222");
    }
  });
  it("brings each port to the loopback alone, or fails", () => {
    const command = tunnelCommand(gpu, [
      [8888, 8888],
      [40000, 8889],
    ]);
    expect(command).toContain("-N -L 8888:127.0.0.1:8888 -L 40000:127.0.0.1:8889");
    expect(command).toContain("ExitOnForwardFailure=yes");
    expect(command).not.toContain("ClearAllForwardings");
    expect(command).toMatch(/ gpu\.example\.org$/);
  });
});

describe("a script", () => {
  let home: string;
  /** Runs a line with an `ssh` that logs its last two words, does what `body` says, and has a shell for the remote. */
  const runWith = (body: string, line: string, input = "") => {
    mkdirSync(join(home, "bin"), { recursive: true });
    const ssh = join(home, "bin", "ssh");
    const log = 'while [ $# -gt 2 ]; do if [ "$1" = -E ]; then log=$2; shift; fi; shift; done';
    writeFileSync(ssh, `#!/bin/sh\n${log}\n${body}\n`);
    chmodSync(ssh, 0o755);
    const env = { HOME: home, PATH: `${join(home, "bin")}:${process.env.PATH}`, TMPDIR: home };
    const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", line], { input, env });
    return { status, stdout: stdout.toString(), stderr: stderr.toString() };
  };
  const REMOTELY = 'exec sh -c "$2"';

  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), "gpubox-ssh-"));
  });
  afterAll(() => rmSync(home, { recursive: true }));

  it("is run there from standard input, with its exit status, and makes the folder of sockets for us alone", () => {
    const { status, stdout } = runWith(REMOTELY, remoteScript(gpu), "echo $((1 + 1)); exit 7");
    expect({ status, stdout }).toEqual({ status: 7, stdout: "2\n" });
    const folders = [join(home, ".gpubox"), join(home, ".gpubox", "ssh")];
    const modes = () => folders.map((path) => (statSync(path).mode & 0o777).toString(8));
    expect(modes()).toEqual(["700", "700"]);
    for (const path of folders) chmodSync(path, 0o777);
    runWith(REMOTELY, remoteScript(gpu), "");
    expect(modes(), "where others could put a socket").toEqual(["700", "700"]);
  });

  it("by a login of its own, is tried again where the server was just starting anew, and only then", () => {
    const refusedOnce = `[ -e "$HOME/up" ] || { touch "$HOME/up"; exit 255; }\n${REMOTELY}`;
    const line = newLoginScript(gpu);
    expect(runWith(refusedOnce, line, "echo again; exit 7")).toEqual({
      status: 7,
      stdout: "again\n",
      stderr: "",
    });
    const dead = runWith('echo x >>"$HOME/tries"; exit 255', line.replace("1 2 4 8 0", "0"));
    expect(dead.status).toBe(255);
    expect(readFileSync(join(home, "tries"), "utf8")).toBe("x\n");
  });

  describe("that waits and looks", () => {
    const line = (script: string) => scriptOnMachine(gpu, script, { TIMEOUT: "60" }).replace("sleep 2", ":");
    /** An ssh whose connections are lost, with these words, until there were so many. */
    const lost = (times: number, said: string) =>
      [
        'echo x >>"$HOME/lost"',
        `if [ "$(wc -l <"$HOME/lost")" -le ${times} ]; then echo "${said}" >>"$log"; exit 255; fi`,
        REMOTELY,
      ].join("\n");
    beforeEach(() => rmSync(join(home, "lost"), { force: true }));

    it.each([
      "wait-for-notebook.sh",
      "look-over-packages.sh",
      "prove-folders.sh",
      "prove-gpu.sh",
    ])("is run again when the connection is lost: %s", (script) => {
      const { status, stdout, stderr } = runWith(
        lost(2, "Connection closed by remote host"),
        line(script),
        "echo ready; exit 7",
      );
      expect({ status, stdout }).toEqual({ status: 7, stdout: "ready\n" });
      expect(stderr.match(/gpu\.example\.org: the connection is lost; trying again/g)).toHaveLength(2);
    });

    it("is given up once its time is up, with what ssh said", () => {
      const once = scriptOnMachine(gpu, "wait-for-notebook.sh", { TIMEOUT: "0" });
      const { status, stderr } = runWith(lost(9, "ssh: connect to host gpu: timed out"), once);
      expect({ status, stderr }).toEqual({ status: 255, stderr: "ssh: connect to host gpu: timed out\n" });
    });

    it.each([
      "Permission denied (publickey).",
      "Host key verification failed.",
    ])("is not run again where it is not the connection: %s", (said) => {
      expect(runWith(lost(9, said), line("prove-gpu.sh"))).toMatchObject({
        status: 255,
        stderr: `${said}\n`,
      });
      expect(readFileSync(join(home, "lost"), "utf8")).toBe("x\n");
    });

    it("is the only kind that is run again", () => {
      expect(line("gpubox_data/code.py")).toBe(remoteScript(gpu));
      expect(line("prepare.sh")).toBe(remoteScript(gpu));
    });
  });

  it("on deletion, too", () => {
    const done = runWith(REMOTELY, forgivingScript(gpu, ["left"]), "echo gone >&2; exit 3");
    expect(done).toEqual({ status: 3, stdout: "", stderr: "gone\n" });
  });

  it("on deletion, of a machine that does not answer, says what is left, and is done", () => {
    const dead = runWith(
      'echo "ssh: connect to host gpu: timed out" >"$log"; exit 255',
      forgivingScript(gpu, ["it's $left", "docker ps | cat"]),
    );
    expect(dead.status).toBe(0);
    expect(dead.stderr).toBe("ssh: connect to host gpu: timed out\nit's $left\ndocker ps | cat\n");
  });

  it.each([
    "Permission denied (publickey).",
    "Host key verification failed.",
  ])("on deletion, is not done when the machine is there: %s", (said) => {
    const refused = runWith(`echo "${said}" >"$log"; exit 255`, forgivingScript(gpu, ["left"]));
    expect(refused).toEqual({ status: 1, stdout: "", stderr: `${said}\n` });
  });
});

describe("the entry for ssh", () => {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-ssh-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** What ssh itself makes of an entry. */
  const asSshReadsIt = (entry: string, name: string) => {
    const file = join(folder, "config");
    writeFileSync(file, `${entry}\n`);
    const lines = execFileSync("ssh", ["-G", "-F", file, name]).toString().split("\n");
    return new Map(lines.map((line) => [line.split(" ", 1)[0], line.slice(line.indexOf(" ") + 1)]));
  };

  it("has ssh check the pinned key and nothing else", () => {
    const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkeykeykeykeykeykeykeykeykeykeykeykeykey";
    const connection = { address: "gpu.example.org", user: "ada", port: 2222, key: "~/.ssh/id_gpu", hostKey };
    const read = asSshReadsIt(sshConfig("gpubox-lab", connection, new Map()), "gpubox-lab");
    expect(Object.fromEntries(read)).toMatchObject({
      hostname: "gpu.example.org",
      user: "ada",
      port: "2222",
      stricthostkeychecking: "true",
      knownhostscommand: `/bin/echo %H ${hostKey}`,
      userknownhostsfile: "/dev/null",
      identitiesonly: "yes",
    });
    expect(read.get("identityfile")).toMatch(/\.ssh\/id_gpu$/);
  });

  it("takes along what ~/.ssh/config says of the address", () => {
    const known = new Map([
      ["hostname", "10.0.0.7"],
      ["user", "eve"],
      ["port", "22"],
      ["proxyjump", "bastion"],
    ]);
    const read = asSshReadsIt(sshConfig("gpubox-lab", { address: "gpu" }, known), "gpubox-lab");
    expect(Object.fromEntries(read)).toMatchObject({
      hostname: "10.0.0.7",
      user: "eve",
      proxyjump: "bastion",
    });
  });

  it("goes through Session Manager where the stack does", () => {
    const proxyCommand = "aws ssm start-session --target %h --parameters portNumber=%p --region us-east-1";
    const connection = { address: "i-0123", user: "ubuntu", proxyCommand };
    const read = asSshReadsIt(sshConfig("gpubox-aws", connection, new Map()), "gpubox-aws");
    expect(Object.fromEntries(read)).toMatchObject({ hostname: "i-0123", proxycommand: proxyCommand });
  });
});
