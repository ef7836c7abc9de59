/** The scripts that a new machine is set up with. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript, startScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

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

const DISK = "mkfs.ext4 blkid resize2fs";

describe.skipIf(lacks(missingPrograms(DISK), "a volume is a real disk image"))("mount-volume.sh", () => {
  const VOLUME = "vol-0123456789abcdef0";
  const disk = () => join(at, "disk");
  /** A volume that is attached: a disk image, by the link that udev would make. Mounting is left out: it needs a device. */
  function attach(megabytes = 128): void {
    execFileSync("truncate", ["-s", `${megabytes}M`, disk()]);
    mkdirSync(join(at, "by-id"));
    symlinkSync(disk(), join(at, "by-id", "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"));
    mkdirSync(join(at, "etc"));
    writeFileSync(join(at, "etc", "fstab"), "UUID=root / ext4 defaults 0 1\n");
  }
  const mount = (change: Record<string, string> = {}, fakes: Record<string, string> = {}) =>
    runScript(
      "mount-volume.sh",
      {
        ROOT: join(at, "work"),
        VOLUME,
        TIMEOUT: "0",
        DEVICES: join(at, "by-id"),
        ETC: join(at, "etc"),
        ...change,
      },
      {
        path: path({ mount: `echo "$@" >> ${join(at, "mounted")}`, ...fakes }, `${DISK} cmp tee chown`),
      },
    );
  const blkid = (tag: string) =>
    execFileSync("/usr/sbin/blkid", ["-p", "-s", tag, "-o", "value", disk()], { encoding: "utf8" }).trim();
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
    const before = readFileSync(disk());
    const { code, stderr } = await mount();
    expect(code).toBe(3);
    expect(stderr).toContain("it is left alone");
    expect(readFileSync(disk()).equals(before)).toBe(true);
    expect(existsSync(join(at, "mounted"))).toBe(false);
  });

  it("leaves alone what it may not look at", async () => {
    attach();
    writeFileSync(disk(), "precious", { flag: "r+" });
    const { code } = await mount({}, { blkid: "exit 2", cmp: "exit 2" });
    expect(code).toBe(3);
    expect(readFileSync(disk(), "utf8").startsWith("precious")).toBe(true);
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
  ])("refuses %o", async (change) => {
    expect((await mount(change)).code).toBe(2);
  });
});
