import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { lacks, runScript, type ScriptOptions } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 30_000 });

const scratch = ownFolder();
let home = "";
let homes = 0;
beforeEach(() => {
  homes += 1;
  home = join(scratch, `home ${homes}`);
  mkdirSync(home);
});

const prepare = (root: string, options?: ScriptOptions) =>
  runScript("prepare.sh", { ROOT: root, HOME: home }, options);

describe.each([[["dash"]], [["bash", "--posix"]]])("prepare.sh by %j", (shell) => {
  it("makes the folders below the home folder, and prints the absolute root", async () => {
    const run = await prepare("~/docker_mount", { shell });
    expect(run).toMatchObject({ code: 0, stdout: `${home}/docker_mount\n` });
    expect(readdirSync(join(home, "docker_mount")).sort()).toEqual(["code", "data"]);
    for (const folder of ["", "code", "data"]) {
      const { mode, uid } = statSync(join(home, "docker_mount", folder));
      expect(mode & 0o777).toBe(0o755);
      expect(uid).toBe(process.getuid?.());
    }
    // Before the container runtime, which would make them as root.
    for (const folder of ["code", "data"]) {
      expect(statSync(join(home, "docker_mount", folder, ".gpubox")).mode & 0o777).toBe(0o755);
    }
    expect(await prepare("~/docker_mount", { shell })).toEqual({ code: 0, stdout: run.stdout, stderr: "" });
  });

  it("takes an absolute root, and what is there as it is", async () => {
    mkdirSync(join(home, "root", "code"), { recursive: true });
    chmodSync(join(home, "root", "code"), 0o700);
    writeFileSync(join(home, "root", "code", "mine.txt"), "mine");
    mkdirSync(join(home, "big disk"));
    symlinkSync(join(home, "big disk"), join(home, "root", "data"));
    expect(await prepare(`${home}/root/`, { shell })).toMatchObject({ code: 0, stdout: `${home}/root\n` });
    expect(statSync(join(home, "root", "code")).mode & 0o777).toBe(0o700);
    expect(existsSync(join(home, "root", "code", "mine.txt"))).toBe(true);
  });

  it.each(["", "relative", "~someone/x", "./x"])("refuses the root %j", async (root) => {
    const run = await prepare(root, { shell });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(`root: '${root}' is neither absolute nor below ~/`);
  });

  it("makes nothing behind a link in the place of what notebooks do not see", async () => {
    mkdirSync(join(home, "elsewhere"));
    mkdirSync(join(home, "docker_mount", "data"), { recursive: true });
    symlinkSync(join(home, "elsewhere"), join(home, "docker_mount", "data", ".gpubox"));
    const run = await prepare("~/docker_mount", { shell });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(`${home}/docker_mount/data/.gpubox was not put there by gpubox`);
    expect(run.stderr).toContain(`rm -rf '${home}/docker_mount/data/.gpubox'`);
  });

  it("names the file that is in the way", async () => {
    writeFileSync(join(home, "it's a file"), "mine");
    const run = await prepare("~/it's a file/below", { shell });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(`${home}/it's a file is a file`);
    expect(run.stderr).toContain(`mv '${home}/it'\\''s a file' '${home}/it'\\''s a file.mine'`);
  });
});

describe("prepare.sh where a link of somebody else is on the way", () => {
  const skip = lacks(process.getuid?.() !== 0, "links of someone else, which takes root");
  const [PERSON, OTHER] = [65_534, 65_533];
  /** A link of a user's, and the folder that it leads to, which is the person's. */
  const link = (path: string, uid: number, to = `${path}.of-the-person`) => {
    if (!existsSync(to)) mkdirSync(to, { recursive: true });
    chownSync(to, PERSON, PERSON);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(to, path);
    lchownSync(path, uid, uid);
  };
  const as = (uid: number, root: string) => prepare(root, { uid });
  const at = (path: string) => join(home, path);

  it.skipIf(skip).each([
    ["the root", "root", "root"],
    ["the root, with a slash at its end", "root", "root/"],
    ["code/ in it", "root/code", "root"],
    ["data/ in it", "root/data", "root"],
    ["a folder above it", "team", "team/root"],
  ])("refuses %s, and makes nothing", async (_what, path, root) => {
    chownSync(home, PERSON, PERSON);
    link(at(path), OTHER);
    for (const uid of [PERSON, 0]) {
      const run = await as(uid, `${home}/${root}`);
      expect(run).toMatchObject({ code: 3, stdout: "" });
      expect(run.stderr).toContain(`${at(path)} is a link of ${OTHER}'s`);
      expect(run.stderr).toContain(`sudo chown -h ${uid}:`);
    }
    expect(readdirSync(at(`${path}.of-the-person`))).toEqual([]);
  });

  it.skipIf(skip)("refuses one that a link of the person's leads to", async () => {
    link(at("big"), OTHER);
    link(at("root"), PERSON, at("big/../big"));
    expect((await as(PERSON, "~/root")).stderr).toContain(`${at("big")} is a link of ${OTHER}'s`);
  });

  it.skipIf(skip)(
    "refuses root's own in the place of the root, and takes it above it, as /home may be",
    async () => {
      chownSync(home, PERSON, PERSON);
      link(at("root"), 0);
      expect((await as(PERSON, "~/root")).stderr).toContain(`${at("root")} is a link of root's`);
      link(at("homes"), 0);
      expect(await as(PERSON, `${home}/homes/root`)).toMatchObject({ code: 0 });
    },
  );

  it.skipIf(skip)("takes the person's own", async () => {
    chownSync(home, PERSON, PERSON);
    for (const path of ["root", "root/code", "root/data"]) link(at(path), PERSON);
    expect(await as(PERSON, "~/root")).toMatchObject({ code: 0 });
  });

  it.skipIf(skip)("ends where links lead in a circle", async () => {
    for (const [from, to] of [
      ["one", "two"],
      ["two", "one"],
    ] as const) {
      symlinkSync(at(to), at(from));
      lchownSync(at(from), PERSON, PERSON);
    }
    expect((await as(PERSON, "~/one/root")).stderr).toContain("a link that leads nowhere");
  });
});

describe("prepare.sh as someone else than the owner", () => {
  const skip = lacks(process.getuid?.() !== 0, "folders of someone else, which takes root");
  const uid = 65_534;

  it.skipIf(skip)("names the folder a daemon made as root, and the command that mends it", async () => {
    chownSync(home, uid, uid);
    mkdirSync(join(home, "docker_mount", "data"), { recursive: true });
    chownSync(join(home, "docker_mount"), uid, uid);
    const run = await prepare("~/docker_mount", { uid });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`${home}/docker_mount/data belongs to root`);
    expect(run.stderr).toContain(`sudo chown -R ${uid}:${uid} '${home}/docker_mount/data'`);
  });

  it.skipIf(skip)("names the folder that nothing can be made in", async () => {
    const run = await prepare("~/docker_mount", { uid });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`cannot make ${home}/docker_mount: ${home} belongs to root`);
    expect(run.stderr).toContain(`sudo mkdir -p '${home}/docker_mount' && sudo chown -R ${uid}:${uid}`);
    expect(readdirSync(home)).toEqual([]);
  });

  it.skipIf(skip)("mentions what a container left behind as root", async () => {
    chownSync(home, uid, uid);
    expect(await prepare("~/docker_mount", { uid })).toMatchObject({ code: 0 });
    mkdirSync(join(home, "docker_mount", "code", "fastai"));
    const run = await prepare("~/docker_mount", { uid });
    expect(run).toMatchObject({ code: 0, stdout: `${home}/docker_mount\n` });
    expect(run.stderr).toContain(`note: 1 entries of ${home}/docker_mount/code belong to someone else`);
  });
});
