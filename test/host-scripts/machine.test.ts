/** The scripts that a new machine is set up with. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { loginCommand } from "../../machine/ssh/command.ts";
import { quote } from "../../text/shell.ts";
import {
  findProgram,
  lacks,
  missingPrograms,
  pathWith,
  pretend,
  runScript,
  startScript,
} from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";
import { makeKey } from "../support/ssh-machine.ts";

const folder = ownFolder();

let at: string;
let runs = 0;
beforeEach(() => {
  at = join(folder, String(++runs));
  mkdirSync(at);
});

/** A PATH with the programs of a host and these, each a script. */
function path(fakes: Record<string, string>, names = ""): string {
  rmSync(join(at, "bin"), { recursive: true, force: true });
  const bin = pathWith(join(at, "bin"), names);
  for (const [name, text] of Object.entries(fakes)) {
    pretend(bin, name, text);
  }
  return bin;
}

describe("wait-for-ssh.sh", () => {
  it("tries until it is let in", async () => {
    const count = join(at, "count");
    const CONNECT = `echo x >> ${count}; test $(wc -l < ${count}) -ge 3 || { echo 'Connection refused' >&2; exit 255; }`;
    const { code, stdout } = await runScript("wait-for-ssh.sh", {
      CONNECT,
      ADDRESS: "198.51.100.7",
      TIMEOUT: "30",
    });
    expect({ code, stdout: stdout.replace(/\d+ s/, "N s") }).toEqual({
      code: 0,
      stdout: "reachable after N s\n",
    });
    expect(readFileSync(count, "utf8").split("\n")).toHaveLength(4);
  });

  it("gives up in time, with what ssh said last and what to look at", async () => {
    const CONNECT = "echo first; echo 'Host key verification failed.' >&2; exit 255";
    const { code, stderr } = await runScript("wait-for-ssh.sh", {
      CONNECT,
      ADDRESS: "198.51.100.7",
      TIMEOUT: "0",
    });
    expect(code).toBe(1);
    expect(stderr).toContain("Host key verification failed.");
    expect(stderr).toContain("gpubox:host.sshCidr");
  });

  it("does not take what another machine says for AWS's word", async () => {
    const CONNECT =
      "echo 'Your session has expired' >&2; echo 'Permission denied (publickey).' >&2; exit 255";
    const { stderr } = await runScript("wait-for-ssh.sh", { CONNECT, ADDRESS: "gpu", TIMEOUT: "0" });
    expect(stderr).toMatch(/not let in after \d+ s: Permission denied \(publickey\)\./);
    expect(stderr).not.toContain("aws");
  });

  it("does not wait where this machine's own ssh is at fault", async () => {
    const CONNECT = "echo 'command-line: line 0: Bad configuration option: knownhostscommand' >&2; exit 255";
    const { code, stderr } = await runScript("wait-for-ssh.sh", { CONNECT, ADDRESS: "gpu", TIMEOUT: "600" });
    expect(code).toBe(1);
    expect(stderr).toContain("Bad configuration option: knownhostscommand\n");
  });

  it.each([{ TIMEOUT: "soon" }, { CONNECT: "" }])("refuses %o", async (change) => {
    const { code } = await runScript("wait-for-ssh.sh", {
      CONNECT: "true",
      ADDRESS: "a",
      TIMEOUT: "1",
      ...change,
    });
    expect(code).toBe(2);
  });
});

const SSH = "ssh ssh-keygen sshd unshare mount";
const sshSkip =
  lacks(process.getuid?.() !== 0, "an sshd needs root") || lacks(missingPrograms(SSH), "an sshd");

describe.skipIf(sshSkip)("wait-for-ssh.sh through Session Manager", () => {
  const INSTANCE = "i-0123456789abcdef0";
  const SESSION =
    "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p --region us-east-1";
  const refused = (code: string, message: string) =>
    `An error occurred (${code}) when calling the StartSession operation: ${message}`;
  const NOT_CONNECTED = refused("TargetNotConnected", `${INSTANCE} is not connected.`);

  /** As `aws` fails: an empty line before what is wrong. */
  const failing = (message: string, status = 254) =>
    `echo x >>${join(at, "asked")}; printf '\\n%s\\n' ${quote(message)} >&2; exit ${status}`;
  const asked = () => readFileSync(join(at, "asked"), "utf8").length / 2;

  /** Logs in by ssh itself; `aws` is pretended. */
  async function wait(aws: string, change: Record<string, string> = {}, proxyCommand = SESSION) {
    const hostKey = await makeKey(join(at, "host"));
    writeFileSync(join(at, "authorized"), await makeKey(join(at, "key")));
    const CONNECT = loginCommand({
      ...{ address: INSTANCE, user: "root", key: join(at, "key"), hostKey, proxyCommand },
    });
    const options = { path: path({ aws }, SSH) };
    return runScript("wait-for-ssh.sh", { CONNECT, ADDRESS: INSTANCE, TIMEOUT: "60", ...change }, options);
  }

  /** What the agent does once it has registered: carries the bytes, here to a server of ours. */
  function server(): string {
    const config = [`HostKey ${join(at, "host")}`, `AuthorizedKeysFile ${join(at, "authorized")}`];
    const lines = [...config, "StrictModes no", "UsePAM yes", "PermitRootLogin yes", "PidFile none"];
    writeFileSync(join(at, "sshd_config"), `${lines.join("\n")}\n`);
    // It wants a folder in /run, which is none of this machine's here.
    const run = `mount -t tmpfs none /run && mkdir /run/sshd && exec ${findProgram("sshd")} -i -f ${join(at, "sshd_config")}`;
    return `exec unshare --mount sh -c ${quote(run)}`;
  }

  it("waits for the agent to register, and says so", async () => {
    const aws = `if test $(wc -l <${join(at, "asked")}) -ge 7; then ${server()}; fi; ${failing(NOT_CONNECTED)}`;
    writeFileSync(join(at, "asked"), "");
    const { code, stdout, stderr } = await wait(aws);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^reachable after \d+ s\n$/);
    expect(asked()).toBe(7);
    expect(stderr).toMatch(
      /^ssh to i-0123456789abcdef0: waiting, \d+ of 60 s: its agent of Session Manager has not registered with AWS yet\n$/,
    );
  });

  it("says in the end that it has not, how to look, and why that may be", async () => {
    const { code, stdout, stderr } = await wait(
      failing(NOT_CONNECTED),
      { TIMEOUT: "0" },
      `${SESSION} --profile lab`,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("its agent of Session Manager has not registered with AWS");
    expect(stderr).toContain(
      `aws ssm describe-instance-information --filters Key=InstanceIds,Values=${INSTANCE} --region us-east-1 --profile lab\n`,
    );
    for (const cause of ["route", "gpubox:host.ami", "AmazonSSMManagedInstanceCore", "which goes on waiting"])
      expect(stderr).toContain(cause);
    expect(stderr).not.toContain("sshCidr");
  });

  it.each([
    ["Rate exceeded", "ThrottlingException"],
    ["Service is not available", "InternalServerError"],
  ])("goes on after what passes (%s), and tells AWS's own words in the end", async (message, code) => {
    const { stderr } = await wait(failing(refused(code, message)), { TIMEOUT: "3" });
    expect(asked()).toBeGreaterThan(1);
    expect(stderr).toContain(refused(code, message));
    expect(stderr).toContain("which goes on waiting");
  });

  it.each([
    [
      refused("AccessDeniedException", "User: ada is not authorized to perform: ssm:StartSession"),
      "Permissions",
    ],
    [
      refused("ExpiredTokenException", "The security token included in the request is expired"),
      "aws sso login --profile lab",
    ],
    [refused("UnrecognizedClientException", "The security token is invalid."), "aws sso login --profile lab"],
    [
      "Error when retrieving token from sso: Token has expired and refresh failed",
      "aws sso login --profile lab",
    ],
    ["Error loading SSO Token: Token for lab does not exist", "aws sso login --profile lab"],
    [
      "The SSO session associated with this profile has expired or is otherwise invalid.",
      "aws sso login --profile lab",
    ],
    ["Your session has expired. Please reauthenticate using 'aws login'.", "aws sso login --profile lab"],
    [
      'Unable to locate credentials. You can configure credentials by running "aws configure".',
      "aws configure",
    ],
    ["The config profile (lab) could not be found", "aws configure --profile lab"],
    [
      refused("InvalidSignatureException", "Signature expired: 1 is now earlier than 2"),
      "clock of this machine",
    ],
    [
      refused("InvalidDocument", "Document with name AWS-StartSSHSession does not exist."),
      "gpubox:host.region",
    ],
    ["SessionManagerPlugin is not found. Please refer to SessionManager Documentation", "not on the PATH"],
    [
      "An error occurred (AccessDeniedException) when calling the TerminateSession operation: User: ada",
      "session-manager-plugin is not on the PATH",
    ],
  ])("ends at once after %s", async (message, remedy) => {
    const { code, stderr } = await wait(failing(message), {}, `${SESSION} --profile lab`);
    expect(code).toBe(1);
    expect(asked()).toBe(1);
    expect(stderr).toContain(`ssh to ${INSTANCE}: ${message}\n`);
    expect(stderr).toContain(remedy);
  });

  it("ends at once where there is no aws", async () => {
    const { code, stderr } = await wait("exit 1", {}, SESSION.replace("aws", "no-such-folder/aws"));
    expect({ code, asked: existsSync(join(at, "asked")) }).toEqual({ code: 1, asked: false });
    expect(stderr).toMatch(/aws: not found\n/);
  });
});

describe("wait-for-machine.sh", () => {
  const SUDO = 'test "$1" = -n && shift; exec "$@"';
  const WELL = { sudo: SUDO, "cloud-init": "echo status: done", docker: "exit 0", "nvidia-smi": "exit 0" };
  const wait = (fakes: Record<string, string>, change: Record<string, string> = {}, names = "") => {
    const SENTINEL = join(at, "booted");
    if (change.SENTINEL === undefined) writeFileSync(SENTINEL, "");
    return runScript(
      "wait-for-machine.sh",
      { SENTINEL, GPU: "1", TIMEOUT: "0", ...change },
      { path: path(fakes, names) },
    );
  };

  it("says ready once cloud-init, Docker and the driver are", async () => {
    const { code, stdout, stderr } = await wait(WELL);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^ready after \d+ s\n$/);
  });

  it.each([
    "status: error",
    "status: degraded done",
    "status: done",
  ])("goes by the sentinel, not by cloud-init's word: %s", async (status) => {
    const fakes = { ...WELL, "cloud-init": `echo '${status}'; exit 1` };
    expect((await wait(fakes)).code).toBe(0);
    const without = await wait(fakes, { SENTINEL: join(at, "not-there") });
    expect(without.code).toBe(1);
    expect(without.stderr).toContain("without having done what it was told");
    expect(without.stderr).toContain(`| ${status}`);
  });

  it("waits for cloud-init to end", async () => {
    const state = join(at, "state");
    writeFileSync(state, "status: running");
    const looked = join(at, "looked");
    const fakes = { ...WELL, "cloud-init": `touch ${looked}; cat ${state}` };
    writeFileSync(join(at, "booted"), "");
    const running = startScript(
      "wait-for-machine.sh",
      { SENTINEL: join(at, "booted"), GPU: "", TIMEOUT: "60" },
      { path: path(fakes) },
    );
    await expect.poll(() => existsSync(looked), { timeout: 20_000 }).toBe(true);
    writeFileSync(state, "status: done");
    const { code, stdout } = await running.result;
    expect(code).toBe(0);
    expect(Number(/after (\d+) s/.exec(stdout)?.[1])).toBeGreaterThan(0);
  });

  it("goes by the sentinel alone where there is no cloud-init", async () => {
    const { "cloud-init": _, ...fakes } = WELL;
    expect((await wait(fakes)).code).toBe(0);
    expect((await wait(fakes, { SENTINEL: join(at, "not-there") })).code).toBe(1);
  });

  it.each<[string, Record<string, string>, string]>([
    ["cloud-init is not through", { "cloud-init": "echo status: running" }, "not through yet"],
    ["Docker does not answer", { docker: "echo no daemon >&2; exit 1" }, "the Docker daemon: no daemon"],
    [
      "the driver does not answer",
      { "nvidia-smi": "echo NVRM broken; exit 9" },
      "the GPU's driver: NVRM broken",
    ],
  ])("gives up when %s, with what cloud-init says", async (_name, change, part) => {
    const { code, stderr } = await wait({ ...WELL, ...change });
    expect(code).toBe(1);
    expect(stderr).toContain(part);
    expect(stderr).toContain("| status: ");
  });

  it("advises to run again what may only be late, and to make anew what has ended", async () => {
    const late = await wait({ ...WELL, "cloud-init": "echo status: running" });
    expect(late.stderr).toContain("run the same command again, which goes on waiting");
    expect(late.stderr).not.toContain("--replace");
    const ended = await wait(WELL, { SENTINEL: join(at, "not-there") });
    expect(ended.stderr).toContain("--replace");
    expect(ended.stderr).not.toContain("goes on waiting");
  });

  it("does not wait for a driver that was upgraded while the machine ran", async () => {
    const driver =
      "echo 'Failed to initialize NVML: Driver/library version mismatch'; echo 'NVML library version: 580'; exit 18";
    const { code, stderr } = await wait({ ...WELL, "nvidia-smi": driver }, { TIMEOUT: "600" });
    expect(code).toBe(1);
    expect(stderr).toContain("the GPU's driver: Failed to initialize NVML: Driver/library version mismatch");
    expect(stderr).toContain("npm run stop, then npm start");
  });

  it("names the image where Docker or the driver is missing", async () => {
    const { docker: _, ...noDocker } = WELL;
    expect((await wait(noDocker)).stderr).toContain("gpubox:host.ami");
    const { "nvidia-smi": __, ...noDriver } = WELL;
    expect((await wait(noDriver)).stderr).toContain("no nvidia-smi on this image");
    expect((await wait(noDriver, { GPU: "" })).code).toBe(0);
  });

  it("lets the person use Docker where only root may", async () => {
    const asked = join(at, "asked");
    const fakes = {
      ...WELL,
      id: 'case "$1" in -u) echo 1000;; -un) echo ada;; esac',
      sudo: `test "$1" = -n && shift; AS_ROOT=1 exec "$@"`,
      docker: 'test "$AS_ROOT" = 1',
      usermod: `echo "$AS_ROOT $*" > ${asked}`,
    };
    const { code, stderr } = await wait(fakes);
    expect(code).toBe(0);
    expect(readFileSync(asked, "utf8")).toBe("1 -aG docker ada\n");
    expect(stderr).toContain("ada may use Docker from now on");
  });

  it.each<Record<string, string>>([
    { TIMEOUT: "soon" },
    { SENTINEL: "booted" },
  ])("refuses %o", async (change) => {
    expect((await wait(WELL, change)).code).toBe(2);
  });
});

const DISK = "mkfs.ext4 blkid resize2fs dumpe2fs";

const VOLUME = "vol-0123456789abcdef0";
const EBS = "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0";

describe.skipIf(lacks(missingPrograms(DISK), "a volume is a real disk image"))("mount-volume.sh", () => {
  const disk = () => join(at, "disk");
  /** A volume that is attached: a disk image, by the link that udev would make. Mounting is left out: it needs a device. */
  function attach(link = EBS): void {
    resize(1);
    mkdirSync(join(at, "by-id"));
    symlinkSync(disk(), join(at, "by-id", link));
    mkdirSync(join(at, "etc"));
    writeFileSync(join(at, "etc", "fstab"), "UUID=root / ext4 defaults 0 1\n");
  }
  const resize = (gigabytes: number, image = disk()) =>
    execFileSync("truncate", ["-s", `${gigabytes}G`, image]);
  const BLOCKDEV = 'test "$1" = --getsize64 && wc -c <"$2"';
  const mount = (change: Record<string, string> = {}, fakes: Record<string, string> = {}) =>
    runScript(
      "mount-volume.sh",
      {
        ROOT: join(at, "work"),
        VOLUME,
        SIZE: "1",
        TIMEOUT: "0",
        DEVICES: join(at, "by-id"),
        ETC: join(at, "etc"),
        ...change,
      },
      {
        path: path(
          { mount: `echo "$@" >> ${join(at, "mounted")}`, blockdev: BLOCKDEV, ...fakes },
          `${DISK} cmp tee chown`,
        ),
      },
    );
  const blkid = (tag: string) =>
    execFileSync("/usr/sbin/blkid", ["-p", "-s", tag, "-o", "value", disk()], { encoding: "utf8" }).trim();
  const blkidSays = () => spawnSync("/usr/sbin/blkid", ["-p", disk()], { encoding: "utf8" }).stdout;
  const head = () => execFileSync("head", ["-c", "1M", disk()], { encoding: "utf8" });
  const mounted = () => readFileSync(join(at, "mounted"), "utf8");

  it("formats an empty volume and mounts it at the root, now and at every start", async () => {
    attach();
    const { code, stdout, stderr } = await mount();
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${join(at, "work")}\n` });
    expect(stderr).toContain("empty: formatting it");
    expect(blkid("TYPE")).toBe("ext4");
    expect(mounted()).toBe(`-t ext4 ${disk()} ${join(at, "work")}\n`);
    expect(readFileSync(join(at, "etc", "fstab"), "utf8")).toBe(
      `UUID=root / ext4 defaults 0 1\nUUID=${blkid("UUID")} ${join(at, "work")} ext4 defaults,nofail,x-systemd.device-timeout=60s 0 2\n`,
    );
  });

  it("keeps Docker from starting without it", async () => {
    attach();
    await mount();
    const unit = readFileSync(join(at, "etc/systemd/system/docker.service.d/gpubox.conf"), "utf8");
    expect(unit).toBe(`[Unit]\nRequiresMountsFor=${join(at, "work")}\n`);
  });

  it("never formats a second time, and writes one line however often it runs", async () => {
    attach();
    await mount();
    const uuid = blkid("UUID");
    const { code, stderr } = await mount();
    expect(code).toBe(0);
    expect(stderr).not.toContain("formatting");
    expect(blkid("UUID")).toBe(uuid);
    expect(readFileSync(join(at, "etc", "fstab"), "utf8").split("\n")).toHaveLength(3);
  });

  it("uses another file system as it is", async () => {
    attach();
    execFileSync("/usr/sbin/mkfs.ext4", ["-q", "-t", "ext3", disk()]);
    const uuid = blkid("UUID");
    expect((await mount()).code).toBe(0);
    expect(blkid("UUID")).toBe(uuid);
    expect(mounted()).toContain("-t ext3");
  });

  it("leaves alone what it does not know", async () => {
    attach();
    writeFileSync(disk(), "my own format", { flag: "r+" });
    const before = head();
    const { code, stderr } = await mount();
    expect(code).toBe(3);
    expect(stderr).toContain("it is left alone");
    expect(head()).toBe(before);
    expect(existsSync(join(at, "mounted"))).toBe(false);
  });

  it("leaves alone what it may not look at", async () => {
    attach();
    writeFileSync(disk(), "precious", { flag: "r+" });
    const { code } = await mount({}, { blkid: "exit 2", cmp: "exit 2" });
    expect(code).toBe(3);
    expect(head()).toMatch(/^precious/);
  });

  it("does not hide files that are in the root", async () => {
    attach();
    mkdirSync(join(at, "work"));
    writeFileSync(join(at, "work", "mine"), "");
    const { code, stderr } = await mount();
    expect(code).toBe(3);
    expect(stderr).toContain("which the volume would hide");
    expect(stderr).toContain("mv '");
  });

  it("says when the volume is not attached", async () => {
    attach();
    rmSync(join(at, "by-id"), { recursive: true });
    const { code, stderr } = await mount();
    expect(code).toBe(1);
    expect(stderr).toContain("not attached after 0 s");
  });

  it.each<Record<string, string>>([
    { VOLUME: "data" },
    { VOLUME: "vol-1;reboot" },
    { ROOT: "/" },
    { ROOT: "~" },
    { ROOT: "/a b" },
    { TIMEOUT: "" },
    { SIZE: "" },
    { SIZE: "0" },
    { SIZE: "1.5" },
  ])("refuses %o", async (change) => {
    expect((await mount(change)).code).toBe(2);
  });

  it("grows the file system of a volume that was made larger, once, and says so", async () => {
    attach();
    await mount();
    resize(2);
    const { code, stderr } = await mount({ SIZE: "2" });
    expect({ code, stderr }).toEqual({ code: 0, stderr: `volume ${VOLUME}: grown from 1 GB to 2 GB\n` });
    expect(await mount({ SIZE: "2" })).toMatchObject({ code: 0, stderr: "" });
    // One that was adopted may have more than was asked for.
    expect(await mount({ SIZE: "1" })).toMatchObject({ code: 0, stderr: "" });
  });

  it("waits until the kernel knows the new size", async () => {
    attach();
    await mount();
    const asked = join(at, "asked");
    const blockdev = `echo >> ${asked}; if test $(wc -l <${asked}) -lt 3; then echo 1073741824; else ${BLOCKDEV}; fi`;
    resize(2);
    const { code, stderr } = await mount({ SIZE: "2", TIMEOUT: "60" }, { blockdev });
    expect(code).toBe(0);
    expect(stderr).toContain("grown from 1 GB to 2 GB");
  });

  it("ends with both sizes where it does not get the new one, with the files in place", async () => {
    attach();
    const { code, stderr } = await mount({ SIZE: "2" });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /has 1 GB after \d s, and AWS has given it 2 GB \(gpubox:host\.dataVolume\); .* safe/,
    );
    expect(stderr).toContain("run the same again later");
    expect(mounted()).toContain(join(at, "work"));
  });

  it("fails with the tool's own words where the file system cannot be grown", async () => {
    attach();
    const resize2fs =
      "echo 'resize2fs: Permission denied to resize filesystem' >&2; echo old_desc_blocks = 1; exit 1";
    const { code, stdout, stderr } = await mount({}, { resize2fs });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("resize2fs says: resize2fs: Permission denied to resize filesystem");
    expect(stderr).toContain(`try it on the machine:  sudo resize2fs ${disk()}`);
  });

  it.each([
    ["btrfs", 0, "note: its file system (btrfs) has 0.5 GB of the 1 GB and is left alone"],
    ["xfs", 1, "sudo apt-get install xfsprogs"],
  ])("says what to do about %s, where there is no tool and something to grow", async (type, code, message) => {
    attach();
    const blkid = `case $* in *TYPE*) echo ${type} ;; *) echo 0-0 ;; esac`;
    const df = (kilobytes: number) => `echo Filesystem; echo ${disk()} ${kilobytes} 0 0 0% /work`;
    const small = await mount({}, { blkid, df: df(524288) });
    expect(small.code).toBe(code);
    expect(small.stderr).toContain(message);
    expect(await mount({}, { blkid, df: df(1000000) })).toMatchObject({ code: 0, stderr: "" });
  });

  it("reloads systemd where it has changed something for it, and not again: containers would lose their GPUs", async () => {
    attach();
    const reloads = join(at, "reloads");
    mkdirSync(join(at, "run/systemd/system"), { recursive: true });
    const fakes = { systemctl: `echo "$*" >> ${reloads}` };
    for (let time = 0; time < 3; time++) await mount({ RUN: join(at, "run") }, fakes);
    expect(readFileSync(reloads, "utf8")).toBe("daemon-reload\n");
  });

  const STORE = "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS";
  /** Instance-store disks, which lose what is on them with the next stop: their links, each to an empty disk. */
  function instanceStore(): () => string[] {
    const names = ["1A2B3C4D5E6F70819", "2B3C4D5E6F7081920", "vol0123456789abcdef0"].flatMap((serial) => [
      `${STORE}${serial}`,
      `${STORE}${serial}_1`,
      `${STORE}${serial}-part1`,
    ]);
    for (const name of names) {
      resize(1, join(at, name));
      symlinkSync(join(at, name), join(at, "by-id", name));
    }
    return () =>
      names.filter((name) => spawnSync("/usr/sbin/blkid", ["-p", join(at, name)]).stdout.length > 0);
  }

  it.each([EBS, `${EBS}_1`])("takes %s among the disks of an instance", async (link) => {
    attach(link);
    const formatted = instanceStore();
    expect((await mount()).code).toBe(0);
    expect(mounted()).toBe(`-t ext4 ${disk()} ${join(at, "work")}\n`);
    expect(formatted()).toEqual([]);
  });

  it.each([`${EBS}-part1`, `${EBS}_1-part1`, `${EBS}a`])("never takes %s", async (link) => {
    attach(link);
    const formatted = instanceStore();
    expect(await mount()).toMatchObject({ code: 1, stdout: "" });
    expect(formatted()).toEqual([]);
    expect(blkidSays()).toBe("");
  });
});
