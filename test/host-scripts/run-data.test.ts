/** Where a host has no Python that will do: the docker command is pretended, writes down what it is asked, and runs the program here. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { HostScript } from "../../machine/scripts.ts";
import { findProgram, lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();
const IMAGE = "gpubox-dev";
const skip = lacks(missingPrograms("python3 git"), "a host without Python");
const uid = process.getuid?.();
const gid = process.getgid?.();

let root = "";
let home = "";
let bin = "";
let tests = 0;

beforeEach(() => {
  tests += 1;
  const folder = join(scratch, `"test" ${tests}, of many`);
  [root, home, bin] = ["root", "home", "bin"].map((name) => join(folder, name)) as [string, string, string];
  for (const kind of ["code", "data"]) mkdirSync(join(root, kind), { recursive: true });
  mkdirSync(home);
  pathWith(bin, "git id uname");
  docker();
});

/** Pretends a docker command: its daemon keeps containers apart in this way, and a run ends so, or with the program itself. */
function docker(
  options = "[name=seccomp,profile=default]",
  run = `exec ${findProgram("python3")} "$@"`,
): void {
  pretend(
    bin,
    "docker",
    `if [ "$1" = info ]; then echo '${options}'; exit; fi
     printf '%s\\n' "$@" >'${bin}/asked'
     env >'${bin}/environment'
     while [ "$1" != ${IMAGE} ]; do shift; done
     shift
     ${run}`,
  );
}
const run = (script: HostScript, environment: Record<string, string>, image: string | undefined = IMAGE) =>
  runScript(
    script,
    { ROOT: root, HOME: home, ...(image === undefined ? {} : { IMAGE: image }), ...environment },
    { path: bin },
  );
const retire = (environment: Record<string, string> = {}, image?: string) =>
  run("gpubox_data/retire.py", { KIND: "data", FOLDER: "pets", PURGE: "1", ...environment }, image);
const list = (environment: Record<string, string> = {}) => run("gpubox_data/list_own.py", environment);

function putData(): void {
  mkdirSync(join(root, "data", "pets"));
  mkdirSync(join(root, "data", ".gpubox", "pets"), { recursive: true });
  writeFileSync(join(root, "data", "pets", "a"), "ours");
  writeFileSync(join(root, "data", "pets", ".gpubox.json"), "{}");
}

/** What docker was asked to do before the name of the image, as "OPTION VALUE" where one has a value. */
function asked(): string[] {
  const [, ...words] = readFileSync(join(bin, "asked"), "utf8").split("\n");
  return words
    .slice(0, words.indexOf(IMAGE))
    .join("\n")
    .replace(/\n(?!--|-i$)/gm, " ")
    .split("\n");
}
const mountOf = (path: string, access: string) =>
  `--mount type=bind,"source=${path.replaceAll('"', '""')}","target=${path.replaceAll('"', '""')}",${access}`;
const mounts = () => asked().filter((each) => each.startsWith("--mount") && !each.includes("/etc/passwd"));

describe.skipIf(skip)("a host without Python", () => {
  it("runs the program in a container of the image, as the person, with the root at its place", async () => {
    putData();
    const { code, stdout, stderr } = await list();
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^data\tpets\t\d+\t.*\/data\/pets\n$/),
    });
    expect(stderr).toBe(
      `list_own: python3 is not installed on this machine, so this is done in a container of ${IMAGE}\n`,
    );
    const options = asked();
    expect(options).toEqual(
      expect.arrayContaining([
        "--rm",
        "--init",
        "-i",
        "--pull never",
        "--network host",
        "--workdir /",
        "--entrypoint python3",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        `--user ${uid}:${gid}`,
        `--group-add ${gid}`,
        "--env ROOT",
        "--env HOME",
        "--env https_proxy",
      ]),
    );
    expect(mounts()).toEqual([mountOf(root, "readonly=false")]);
    expect(options).toContain(mountOf("/etc/passwd", "readonly"));
    expect(readFileSync(join(bin, "asked"), "utf8")).toMatch(
      /\ngpubox-dev\n-I\n-S\n-c\n[\s\S]*\nlist_own\n$/,
    );
  });

  it("hands over every parameter that the program reads, and no other variable", async () => {
    putData();
    const { code, stderr } = await retire({ SECRET: "of another program" });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`data pets: removed: ${join(root, "data", "pets")}\n`);
    expect(readdirSync(join(root, "data"))).toEqual([".gpubox"]);
    const handed = asked().flatMap((each) => /^--env (\w+)$/.exec(each)?.[1] ?? []);
    expect(handed).toEqual(expect.arrayContaining(["FOLDER", "HOME", "KIND", "PURGE", "ROOT", "no_proxy"]));
    expect(handed).not.toContain("SECRET");
    expect(handed).not.toContain("IMAGE");
  });

  it.each([
    [69, "is older than 3.9"],
    [127, "does not start (above)"],
  ])("does the same where there is a Python that will not do: exit %d", async (status, why) => {
    pretend(bin, "python3", `cat >/dev/null; exit ${status}`);
    const { code, stderr } = await list();
    expect(code).toBe(0);
    expect(stderr).toContain(`list_own: python3 on this machine ${why}, so this is done in a container`);
  });

  it("takes no container where Python will do", async () => {
    pretend(bin, "python3", `exec ${findProgram("python3")} "$@"`);
    putData();
    expect(await list()).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(bin, "asked"))).toBe(false);
  });

  it("makes the root absolute for it, and has the disks that its folders are links to", async () => {
    putData();
    const disk = join(scratch, `disk ${tests}`);
    execFileSync("mv", [join(root, "data"), disk]);
    symlinkSync(disk, join(root, "data"));
    symlinkSync(root, join(home, "mount"));
    const { stdout } = await list({ ROOT: "~/mount" });
    expect(stdout).toContain(`\t${join(home, "mount", "data", "pets")}\n`);
    expect(readFileSync(join(bin, "environment"), "utf8")).toContain(`ROOT=${join(home, "mount")}\n`);
    expect(mounts()).toEqual(
      [join(home, "mount"), root, disk].map((each) => mountOf(each, "readonly=false")),
    );
  });

  it.each([
    ["[name=seccomp,profile=default name=rootless]", ["--user 0:0"], /--group-add|--userns/],
    ["[name=userns]", [`--user ${uid}:${gid}`, "--userns host"], /--privileged/],
  ])("is the person for a daemon with %s", async (options, wanted, unwanted) => {
    docker(options);
    expect((await list()).code).toBe(0);
    expect(asked()).toEqual(expect.arrayContaining(wanted));
    expect(asked().join(" ")).not.toMatch(unwanted);
  });

  it("puts code there from a folder of the machine, with git's settings of the person", async () => {
    const upstream = join(scratch, `upstream ${tests}`, "course");
    mkdirSync(upstream, { recursive: true });
    writeFileSync(join(home, ".gitconfig"), "[user]\n  name = Ada\n  email = ada@example.org\n");
    mkdirSync(join(home, ".ssh"));
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", upstream, ...args], { env: { HOME: home } });
    git("init", "--quiet", "--initial-branch", "main");
    git("commit", "--quiet", "--allow-empty", "-m", "one");
    const wanted = { URL: `file://${upstream}`, REF: "main", FOLDER: "course" };
    const { code, stderr } = await run("gpubox_data/code.py", wanted);
    expect(code, stderr).toBe(0);
    expect(existsSync(join(root, "code", "course", ".git"))).toBe(true);
    expect(mounts()).toEqual([
      mountOf(root, "readonly=false"),
      mountOf(join(scratch, `upstream ${tests}`), "readonly"),
      mountOf(join(home, ".gitconfig"), "readonly"),
      mountOf(join(home, ".ssh"), "readonly"),
    ]);
  });

  it("has the folders of files that urls name, once each, and those of the root as they are", async () => {
    const files = ["sets/a.zip", "sets/b.zip", "my%20sets/deep/c.zip"].map(
      (path) => `file://${home}/${path}`,
    );
    for (const folder of ["sets", "my sets/deep"]) mkdirSync(join(home, folder), { recursive: true });
    // Of a program that reads them.
    const urls = [...files, `file://${root}/data/d.zip`, "file:///e.zip", "https://example.org/f.zip"];
    await list({ URLS: urls.join("\n") });
    expect(mounts()).toEqual([
      mountOf(root, "readonly=false"),
      mountOf(home, "readonly"),
      mountOf(join(home, "sets"), "readonly"),
    ]);
  });
});

describe.skipIf(skip)("a host without Python, and without a way around that", () => {
  const WHY = "retire: python3 is not installed on this machine\n";

  it.each<[string, () => void, string | undefined]>([
    ["no image", () => {}, ""],
    ["no docker", () => chmodSync(join(bin, "docker"), 0o644), undefined],
  ])("says what it takes, and lets a stack be torn down: %s", async (_, take, image) => {
    putData();
    take();
    const { code, stderr } = await retire({}, image);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `${WHY}retire:   for instance:  sudo apt-get install python3\nretire:   until then ${root}/data/pets stays as it is\n`,
    });
    expect(readdirSync(join(root, "data", "pets"))).toHaveLength(2);
  });

  it("fails where there was something to be put there", async () => {
    const { code, stderr } = await run("gpubox_data/code.py", { FOLDER: "x" }, "");
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        "code: python3 is not installed on this machine\ncode:   for instance:  sudo apt-get install python3\n",
    });
  });

  it("names macOS's own way to it, and never starts what stands for it there", async () => {
    pretend(bin, "uname", "echo Darwin");
    const { code, stderr } = await run("gpubox_data/s3.py", { FOLDER: "x" }, "");
    expect(code).toBe(1);
    expect(stderr).toContain("  for instance:  xcode-select --install\n");
  });

  it.each([
    [125, "docker cannot run it (above), and python3 is not installed on this machine"],
    [127, `${IMAGE} has no python3, and python3 is not installed on this machine`],
    [69, `the python3 of ${IMAGE} is older than 3.9, and python3 is not installed on this machine`],
  ])("tells why no container does it either: exit %d", async (status, why) => {
    docker("", `cat >/dev/null; exit ${status}`);
    const { code, stderr } = await list();
    expect(code).toBe(1);
    expect(stderr).toContain(`list_own: ${why}\n`);
  });

  it.each([0, 1, 2, 3])("ends as the program does: exit %d", async (status) => {
    docker("", `cat >/dev/null; exit ${status}`);
    expect((await list()).code).toBe(status);
  });
});
