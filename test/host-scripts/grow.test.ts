/** Disks that were made larger, on real ones: loop devices with partitions and file systems, mounted. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();

let at: string;
let runs = 0;
beforeEach(() => {
  at = join(folder, String(++runs));
  for (const name of ["", "by-id", "etc", "work"]) mkdirSync(join(at, name));
});
const disk = () => join(at, "disk");
const work = () => join(at, "work");
const resize = (gigabytes: number) => execFileSync("truncate", ["-s", `${gigabytes}G`, disk()]);

/** A shell command that runs `before` first, in a mount namespace: with the last process, its mounts and loop devices are gone. */
const after = (...before: string[]) => [
  ...["unshare", "--mount", "sh", "-euc"],
  `{ ${before.join("\n")}\n} </dev/null >&2\nexec sh "$@"`,
  "sh",
];

/** Plugs the disk in as $disk, held by its mount alone. Not every kernel reads tables of partitions: it is told of them. */
const plug = (mounted: string) => [
  `disk=$(losetup --find --show --partscan ${disk()})`,
  "partx --update $disk 2>/dev/null || :",
  `mount ${mounted} ${work()} || { losetup -d $disk; exit 99; }`,
  "losetup -d $disk",
];

/** What a hypervisor and the kernel do about a disk that was made larger. */
const enlarge = (gigabytes: number) => [`truncate -s ${gigabytes}G ${disk()}`, "losetup -c $disk"];

const NEEDED =
  "unshare losetup mount truncate partx findmnt lsblk blockdev mkfs.xfs xfs_growfs sfdisk growpart";
const isRoot = process.getuid?.() === 0;
const skip = lacks(!isRoot, "disks need root") || lacks(missingPrograms(NEEDED), "disks");

describe.skipIf(skip)("grow-root.sh", () => {
  const grow = (
    shell: string[],
    change: Record<string, string> = {},
    path?: string,
  ): ReturnType<typeof runScript> =>
    runScript("grow-root.sh", { ROOT_SIZE: "2", TIMEOUT: "0", MOUNT: work(), ...change }, { shell, path });

  /** A disk of 1 GB, with the partitions of a table and XFS on the first, which cannot be had smaller than 300 MB. */
  function partitioned(table = "label: gpt\n-\n"): void {
    resize(1);
    execFileSync("sfdisk", ["-q", disk()], { input: table, stdio: ["pipe", "pipe", "pipe"] });
    // The first partition begins at 1 MB.
    const device = execFileSync("losetup", ["--find", "--show", "--offset=1M", "--sizelimit=600M", disk()], {
      encoding: "utf8",
    }).trim();
    execFileSync("mkfs.xfs", ["-q", device]);
    execFileSync("losetup", ["-d", device]);
  }
  const FIRST = `\${disk}p1`;

  it("grows partition and file system while they are used, once, and says so", async () => {
    partitioned();
    const shell = after(...plug(FIRST), `echo kept >${work()}/file`, ...enlarge(2));
    // Nothing can be written to a disk that is full.
    expect(await grow(shell, { TMPDIR: "/nowhere" })).toEqual({
      code: 0,
      stdout: "the system disk has 2 GB\n",
      stderr: "system disk: grown from 0.6 GB to 2 GB\n",
    });
    const again = await grow(after(...plug(FIRST), `cat ${work()}/file`));
    expect(again).toEqual({ code: 0, stdout: "the system disk has 2 GB\n", stderr: "kept\n" });
  });

  it("grows a file system that has the whole disk", async () => {
    resize(1);
    execFileSync("mkfs.xfs", ["-q", disk()]);
    const { code, stderr } = await grow(after(...plug("$disk"), ...enlarge(2)));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "system disk: grown from 1 GB to 2 GB\n" });
  });

  it("says what is in the way of its partition", async () => {
    partitioned("label: gpt\nsize=600M\nsize=100M\n");
    const { code, stderr } = await grow(after(...plug(FIRST), ...enlarge(2)));
    expect(code).toBe(0);
    expect(stderr).toMatch(/note: partition 1 of \/dev\/loop\d+ was not grown: NOCHANGE: /);
  });

  it("leaves it to the next start where there is no growpart", async () => {
    partitioned();
    const path = pathWith(join(at, "bin"), NEEDED.replace(" growpart", ""));
    const { stderr: none } = await grow(after(...plug(FIRST)), { ROOT_SIZE: "1" }, path);
    expect(none).not.toContain("growpart");
    const { code, stderr } = await grow(after(...plug(FIRST), ...enlarge(2)), {}, path);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /no growpart on this machine .* 1 GB of .* next start .* npm run stop, then npm start/,
    );
  });

  it("leaves a volume of LVM alone, and says so", async () => {
    const path = pathWith(join(at, "bin"), "");
    pretend(path, "findmnt", "case $* in *SOURCE*) echo /dev/loop0 ;; *) echo ext4 ;; esac");
    pretend(path, "lsblk", "echo lvm");
    const { code, stderr } = await grow(["sh"], {}, path);
    expect(code).toBe(0);
    expect(stderr).toContain("is on /dev/loop0 (lvm), which gpubox does not grow");
  });

  it("ends with both sizes where the disk does not get the new one", async () => {
    partitioned();
    const { code, stdout, stderr } = await grow(after(...plug(FIRST)));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /has 1 GB after \d s, and AWS has given it 2 GB \(gpubox:host\.rootSize\); .* safe/,
    );
  });

  it.each(["/proc", "/nowhere"])("has nothing to do for %s, which is on no disk", async (MOUNT) => {
    const { code, stderr } = await grow(["sh"], { MOUNT });
    expect(code).toBe(0);
    expect(stderr).toContain(`${MOUNT} is on no disk of its own`);
  });

  it.each<Record<string, string>>([
    { ROOT_SIZE: "" },
    { ROOT_SIZE: "big" },
    { TIMEOUT: "" },
  ])("refuses %o", async (change) => {
    expect((await grow(["sh"], change)).code).toBe(2);
  });
});

describe.skipIf(skip)("mount-volume.sh, on a volume that is mounted and used", () => {
  const VOLUME = "vol-0123456789abcdef0";
  const mount = (type: "ext4" | "xfs", ...more: string[]) => {
    resize(1);
    execFileSync(`mkfs.${type}`, ["-q", disk()]);
    const link = join(at, "by-id", "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0");
    return runScript(
      "mount-volume.sh",
      {
        ...{ ROOT: work(), VOLUME, SIZE: "2", TIMEOUT: "0", RUN: join(at, "run") },
        ...{ DEVICES: join(at, "by-id"), ETC: join(at, "etc") },
      },
      { shell: after(...plug("$disk"), `ln -s $disk ${link}`, ...more) },
    );
  };

  it("grows an XFS, as an adopted one may have it", async () => {
    const { code, stderr } = await mount("xfs", ...enlarge(2));
    expect({ code, stderr }).toEqual({ code: 0, stderr: `volume ${VOLUME}: grown from 1 GB to 2 GB\n` });
  });

  // A kernel grows an ext4 that is mounted for whoever has CAP_SYS_RESOURCE, bit 24: a container's root has not, a machine's has.
  const capabilities = /^CapEff:\s+(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const may = Boolean((BigInt(`0x${capabilities}`) >> 24n) & 1n);

  it(`grows an ext4, or says why the kernel refuses (here it ${may ? "may" : "may not"})`, async () => {
    const { code, stderr } = await mount("ext4", ...enlarge(2));
    expect(code).toBe(may ? 0 : 1);
    expect(stderr).toContain(
      may ? "grown from 1 GB to 2 GB" : "resize2fs says: resize2fs: Permission denied to resize filesystem",
    );
  });
});
