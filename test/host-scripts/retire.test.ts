import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { gitAs } from "../support/git-server.ts";
import {
  filesBelow,
  lacks,
  missingPrograms,
  pathWith,
  removeFolder,
  runScript,
  type ScriptOptions,
  startScript,
} from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";
import { countFiles, expectRemoval } from "../support/retire-kills.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const scratch = ownFolder();
const home = join(scratch, "home");
const git = gitAs(home);
const upstream = join(scratch, "upstream");
const skip = lacks(missingPrograms("git python3 tar gzip"), "retire.py");

let root = "";
let roots = 0;

beforeAll(() => {
  for (const folder of [home, upstream]) mkdirSync(folder);
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  writeFileSync(join(upstream, "lesson.txt"), "one");
  writeFileSync(join(upstream, ".gitignore"), "models/\n");
  git(upstream, "add", ".");
  git(upstream, "commit", "--quiet", "-m", "one");
  git(upstream, "tag", "v1");
  writeFileSync(join(upstream, "lesson.txt"), "two");
  git(upstream, "commit", "--quiet", "-am", "two");
});
beforeEach(() => {
  roots += 1;
  // Characters that a shell or a pattern could take for its own.
  root = join(scratch, `root [${roots}] *`);
  for (const kind of ["code", "data"]) mkdirSync(join(root, kind), { recursive: true });
});

type Kind = "code" | "data";
const environment = (kind: Kind, folder: string, purge: string) => ({
  ROOT: root,
  KIND: kind,
  FOLDER: folder,
  PURGE: purge,
  HOME: home,
  GIT_CONFIG_NOSYSTEM: "1",
});
const retire = (kind: Kind, folder: string, options?: ScriptOptions) =>
  runScript("gpubox_data/retire.py", environment(kind, folder, ""), options);
const purge = (kind: Kind, folder: string, options?: ScriptOptions) =>
  runScript("gpubox_data/retire.py", environment(kind, folder, "1"), options);
const at = (...parts: string[]) => join(root, ...parts);

async function putCode(folder = "course", ref = "v1", more: Record<string, string> = {}): Promise<void> {
  const run = await runScript("gpubox_data/code.py", {
    ROOT: root,
    URL: `file://${upstream}`,
    REF: ref,
    FOLDER: folder,
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    ...more,
  });
  expect(run).toMatchObject({ code: 0 });
}

/** A data set of `train/a` and `valid/b`, from an archive; another text makes another version. Gives its short hash. */
async function putData(folder = "pets", text = "one", more: Record<string, string> = {}): Promise<string> {
  const source = join(scratch, `source-${text}`);
  const archive = `${source}.tar.gz`;
  for (const [part, name] of [
    ["train", "a"],
    ["valid", "b"],
  ] as const) {
    mkdirSync(join(source, part), { recursive: true });
    writeFileSync(join(source, part, name), text);
  }
  execFileSync("tar", ["-czf", archive, "-C", source, "."]);
  const sha256 = createHash("sha256").update(readFileSync(archive)).digest("hex");
  const run = await runScript("gpubox_data/dataset.py", {
    ROOT: root,
    URLS: `file://${archive}`,
    SHA256: sha256,
    FOLDER: folder,
    HOME: home,
    ...more,
  });
  expect(run).toMatchObject({ code: 0 });
  return sha256.slice(0, 8);
}

describe.skipIf(skip)("gpubox_data/list_own.py", () => {
  const list = async () => {
    const { code, stdout } = await runScript("gpubox_data/list_own.py", { ROOT: root, HOME: home });
    expect(code).toBe(0);
    return stdout.split("\n").slice(0, -1);
  };

  it("lists what was put there, with its versions and sizes, whatever it is called", async () => {
    await putCode("courses/100%");
    await putData("pets", "one");
    const second = await putData("pets", "two");
    await putData(".hidden set");
    const line = (kind: Kind, folder: string, path: string) =>
      expect.stringMatching(new RegExp(`^${[kind, folder, "[1-9]\\d*", ""].join("\t")}.*/${kind}/${path}$`));
    expect(await list()).toEqual([
      line("code", "courses/100%", "courses/100%"),
      line("data", ".hidden set", ".hidden set"),
      line("data", "pets", "pets"),
      line("data", "pets", `pets-${second}`),
    ]);
  });

  it("lists what is half made, and nothing of the person's", async () => {
    mkdirSync(at("data", ".gpubox", "cut", "unpacked"), { recursive: true });
    mkdirSync(at("data", ".gpubox", "done"));
    for (const name of ["lock", "fetch.log"]) writeFileSync(at("data", ".gpubox", "done", name), "");
    mkdirSync(at("data", "mine"));
    mkdirSync(at("data", ".gpubox", "mine"));
    // Behind a link is what the person put somewhere else.
    await putData("moved");
    renameSync(at("data", "moved"), join(root, "elsewhere"));
    symlinkSync(join(root, "elsewhere"), at("data", "moved"));
    expect(await list()).toEqual([expect.stringContaining(`\t${at("data", ".gpubox", "cut")}`)]);
  });

  it("lists nothing where nothing was put, and refuses a root that is none", async () => {
    expect(await list()).toEqual([]);
    removeFolder(root);
    expect(await list()).toEqual([]);
    const run = await runScript("gpubox_data/list_own.py", { ROOT: "mount", HOME: home });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain("root: 'mount' is neither absolute nor below ~/");
  });
});

describe.skipIf(skip)("retire.py without PURGE", () => {
  it("leaves everything and says where it is", async () => {
    await putCode();
    await putData("pets", "one");
    const second = await putData("pets", "two");
    const code = await retire("code", "course");
    expect(code).toMatchObject({ code: 0, stdout: `${at("code", "course")}\n` });
    expect(code.stderr).toBe(`code course: left: ${at("code", "course")} (\`npm run purge\` removes it)\n`);
    const data = await retire("data", "pets");
    expect(data.stdout).toBe(`${at("data", "pets")}\n${at("data", `pets-${second}`)}\n`);
    expect(data.stderr).toContain(`left: ${at("data", "pets")} (`);
    expect(data.stderr).toContain(`left: ${at("data", `pets-${second}`)} (`);
    expect(existsSync(at("code", "course", "lesson.txt"))).toBe(true);
    expect(readdirSync(at("data")).sort()).toEqual([".gpubox", "pets", `pets-${second}`]);
  });

  it.each(["", "1"])("does not mind what is gone (PURGE=%j)", async (wanted) => {
    for (const kind of ["code", "data"] as const) {
      expect(
        await runScript("gpubox_data/retire.py", environment(kind, "never/there", wanted)),
      ).toMatchObject({
        code: 0,
      });
      expect(readdirSync(at(kind)).filter((name) => name !== ".gpubox")).toEqual([]);
    }
    removeFolder(root);
    const run = await runScript("gpubox_data/retire.py", environment("data", "pets", wanted));
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toContain("nothing is left of it");
    expect(existsSync(root)).toBe(false);
  });

  it.each([
    { KIND: "else" },
    { FOLDER: "../x" },
    { FOLDER: "" },
    { PURGE: "yes" },
    { ROOT: "relative" },
  ])("%o is refused", async (wrong) => {
    expect(
      await runScript("gpubox_data/retire.py", { ...environment("data", "pets", "1"), ...wrong }),
    ).toMatchObject({
      code: 2,
    });
  });
});

const SHELLS = [["dash"], ["bash", "--posix"]];

describe.each(SHELLS)("retire.py with PURGE, by %s", (...shell) => {
  const lacking = skip || lacks(missingPrograms(`${shell[0]}`), "retire.py");
  const options: ScriptOptions = { path: join(scratch, "bin"), shell };
  beforeAll(() => void pathWith(join(scratch, "bin"), "git python3"));

  it.skipIf(lacking)("removes what gpubox put there, and what it noted of it", async () => {
    await putCode("courses/one");
    await putData("pets", "one");
    await putData("pets", "two");
    await putData("other");
    const code = await purge("code", "courses/one", options);
    expect(code).toMatchObject({ code: 0, stdout: "" });
    expect(code.stderr).toContain(`removed: ${at("code", "courses/one")}`);
    expect(readdirSync(at("code"))).toEqual([".gpubox"]);
    expect(readdirSync(at("code", ".gpubox"))).toEqual([]);
    expect(await purge("data", "pets", options)).toMatchObject({ code: 0 });
    expect(readdirSync(at("data")).sort()).toEqual([".gpubox", "other"]);
    expect(readdirSync(at("data", ".gpubox"))).toEqual(["other"]);
  });

  it.skipIf(lacking)("removes a data set that is one plain file", async () => {
    const file = join(scratch, "plain.bin");
    writeFileSync(file, "plain");
    const sha256 = createHash("sha256").update("plain").digest("hex");
    const parameters = { ROOT: root, URLS: `file://${file}`, SHA256: sha256, FOLDER: "plain", HOME: home };
    expect(await runScript("gpubox_data/dataset.py", parameters)).toMatchObject({ code: 0 });
    expect(await purge("data", "plain", options)).toMatchObject({ code: 0 });
    expect(readdirSync(at("data"))).toEqual([".gpubox"]);
  });

  it.skipIf(lacking)("removes the archive that was kept, and nothing that was put beside it", async () => {
    await putData("pets", "one", { KEEP_ARCHIVE: "1" });
    await putData("birds", "two", { KEEP_ARCHIVE: "1" });
    writeFileSync(at("data", "birds.archive", "mine"), "mine");
    expect(await purge("data", "pets", options)).toMatchObject({ code: 0 });
    const { stderr } = await purge("data", "birds", options);
    expect(readdirSync(at("data")).sort()).toEqual([".gpubox", "birds.archive"]);
    expect(readdirSync(at("data", "birds.archive"))).toEqual(["mine"]);
    expect(stderr).toContain(`kept: ${at("data", "birds.archive")} with files that you changed or added`);
  });

  it.skipIf(lacking)("keeps files of the person's in a data set, with their folders", async () => {
    await putData();
    // A file that was old when it came, as one that is copied with its times.
    const old = join(scratch, "an old file");
    writeFileSync(old, "mine");
    execFileSync("touch", ["-d", "2001-02-03", old]);
    renameSync(old, at("data", "pets", "train", "an old file"));
    mkdirSync(at("data", "pets", "results"));
    writeFileSync(at("data", "pets", "results", "best.pth"), "mine");
    writeFileSync(at("data", "pets", "valid", "b"), "one, and mine");
    const run = await purge("data", "pets", options);
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toContain(`kept: ${at("data", "pets")} with 3 files that you changed or added`);
    expect(run.stderr).toContain("  ./results/best.pth\n");
    expect(run.stderr).toContain(`rm -rf '${at("data", "pets")}'`);
    expect(Object.keys(filesBelow(at("data", "pets")))).toEqual([
      "results/best.pth",
      "train/an old file",
      "valid/b",
    ]);
    // Nothing of it is taken for a data set any more, by this command or by `dataset`.
    const again = await purge("data", "pets", options);
    expect(again.stderr).toContain("nothing was put there by gpubox");
    expect(Object.keys(filesBelow(at("data", "pets")))).toHaveLength(3);
  });
});

describe.skipIf(skip)("retire.py with PURGE and a checkout of the person's", () => {
  const course = (...parts: string[]) => at("code", "course", ...parts);
  const edit = (file: string) => writeFileSync(course(file), "mine");

  it.each<[string, string, () => void]>([
    ["an edit", " M lesson.txt", () => edit("lesson.txt")],
    ["a file that git does not know", "?? mine.txt", () => edit("mine.txt")],
    [
      "a file that git ignores",
      "?? models/best.pth",
      () => {
        mkdirSync(course("models"));
        edit("models/best.pth");
      },
    ],
    [
      "an edit that git was told not to see",
      "lesson.txt",
      () => {
        git(course(), "update-index", "--skip-worktree", "lesson.txt");
        edit("lesson.txt");
      },
    ],
    [
      "a stash",
      "commit",
      () => {
        edit("lesson.txt");
        git(course(), "stash");
      },
    ],
    [
      "a commit on a branch",
      "commit",
      () => {
        git(course(), "checkout", "--quiet", "-b", "mine");
        edit("lesson.txt");
        git(course(), "commit", "--quiet", "-am", "mine");
        git(course(), "checkout", "--quiet", "--detach", "HEAD~1");
      },
    ],
    [
      "a commit that no branch leads to",
      "commit",
      () => {
        edit("lesson.txt");
        git(course(), "commit", "--quiet", "-am", "mine");
        git(course(), "checkout", "--quiet", "--detach", "HEAD~1");
      },
    ],
    [
      "another commit of the server's",
      "you moved it away",
      () => {
        git(course(), "fetch", "--quiet", "origin");
        git(course(), "checkout", "--quiet", "--detach", "origin/main");
      },
    ],
    [
      "a second work tree",
      "worktree",
      () => git(course(), "worktree", "add", "--quiet", "--detach", join(scratch, "second tree")),
    ],
    ["what git cannot read", "as git cannot read it", () => edit(".git/HEAD")],
  ])("keeps %s", async (_, shown, change) => {
    await putCode();
    change();
    const before = filesBelow(course());
    const run = await purge("code", "course");
    expect(run).toMatchObject({ code: 0, stdout: "" });
    expect(run.stderr).toContain(shown);
    expect(run.stderr).toContain(`kept: ${course()}`);
    expect(run.stderr).toContain(`rm -rf '${course()}'`);
    expect(Object.keys(filesBelow(course()))).toEqual(Object.keys(before));
    expect(existsSync(at("code", ".gpubox", "course"))).toBe(true);
  });

  it("takes what was fetched for nobody's work, also after it moved from commit to commit", async () => {
    await putCode("course", "v1");
    await putCode("course", "main");
    await putCode("course", "v1", { SHALLOW: "0" });
    git(course(), "fetch", "--quiet", "origin");
    expect((await purge("code", "course")).stderr).toContain("removed");
    expect(existsSync(course())).toBe(false);
  });

  it("keeps it where there is no git to ask", async () => {
    await putCode();
    const run = await purge("code", "course", { path: pathWith(join(scratch, "no git"), "python3") });
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toContain("git is not installed");
    expect(existsSync(course("lesson.txt"))).toBe(true);
  });
});

describe.skipIf(skip)("retire.py with PURGE and what is not gpubox's", () => {
  it("leaves folders without a marker", async () => {
    mkdirSync(at("data", "pets", "train"), { recursive: true });
    mkdirSync(at("data", "pets-0123abcd"));
    git(scratch, "clone", "--quiet", upstream, at("code", "course"));
    for (const [kind, folder] of [
      ["data", "pets"],
      ["code", "course"],
    ] as const) {
      const run = await purge(kind, folder);
      expect(run).toMatchObject({ code: 0 });
      expect(run.stderr).toContain(`left: ${at(kind, folder)}, of which nothing was put there by gpubox`);
    }
    expect(existsSync(at("data", "pets", "train"))).toBe(true);
    expect(existsSync(at("data", "pets-0123abcd"))).toBe(true);
    expect(existsSync(at("code", "course", "lesson.txt"))).toBe(true);
  });

  it("leaves an entry whose name only looks like a version of this one", async () => {
    await putData("pets");
    await putData("pets-0123abcd");
    await purge("data", "pets");
    expect(readdirSync(at("data")).sort()).toEqual([".gpubox", "pets-0123abcd"]);
  });

  it("does not follow a link, nor one on the way", async () => {
    await putData("far/pets");
    await putCode("far/course");
    renameSync(at("data", "far"), at("elsewhere"));
    symlinkSync(at("elsewhere"), at("data", "far"));
    renameSync(at("code", "far", "course"), at("my course"));
    symlinkSync(at("my course"), at("code", "far", "course"));
    expect((await purge("data", "far/pets")).stderr).toContain("is a link, or behind one");
    expect((await purge("code", "far/course")).stderr).toContain("is a link, or behind one");
    expect(existsSync(at("elsewhere", "pets", "train", "a"))).toBe(true);
    expect(existsSync(at("my course", "lesson.txt"))).toBe(true);
  });

  it("follows the link that data/ itself may be", async () => {
    removeFolder(at("data"));
    mkdirSync(at("big disk"));
    symlinkSync(at("big disk"), at("data"));
    await putData();
    expect((await purge("data", "pets")).stderr).toContain("removed");
    expect(readdirSync(at("big disk"))).toEqual([".gpubox"]);
  });
});

describe.skipIf(skip)("retire.py with PURGE, and others at work", () => {
  it("waits for the run that holds the lock", async () => {
    await putData();
    const state = at("data", ".gpubox", "pets");
    const holder = spawn("flock", [join(state, "lock"), "cat"], { stdio: ["pipe", "ignore", "ignore"] });
    await expect.poll(() => spawnSync("flock", ["-n", join(state, "lock"), "true"]).status).toBe(1);
    const running = startScript("gpubox_data/retire.py", environment("data", "pets", "1"));
    await running.said(/waiting for the run/);
    expect(existsSync(at("data", "pets", "train", "a"))).toBe(true);
    holder.stdin?.end();
    expect(await running.result).toMatchObject({ code: 0 });
    expect(existsSync(at("data", "pets"))).toBe(false);
  });

  // Random moments are in the campaign: test/soak/retire-kill.test.ts.
  it("goes on after a kill, and what is left is never taken for a whole data set", async () => {
    await putData();
    const notWhole = () => !existsSync(at("data", "pets", ".gpubox.json"));
    let before = 0;
    const goingOn = () => {
      const files = countFiles(at("data", "pets"));
      before = Math.max(before, files);
      return files < before;
    };
    await expectRemoval(root, "pets", [
      { at: goingOn, what: "all" },
      { at: notWhole, what: "all" },
      { at: goingOn, what: "shell" },
    ]);
  });
});
