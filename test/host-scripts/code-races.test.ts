/** A notebook that changes its checkout while git on the host works at it: nothing of it reaches beyond the checkout. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { codeHost } from "../support/code-host.ts";
import { filesBelow, lacks, missingPrograms, removeFolder, runScript } from "../support/host-script.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const host = codeHost();
const { scratch, repositories, git } = host;
const skip = lacks(
  missingPrograms("git python3 mkfifo"),
  "git on the host and what a notebook changes meanwhile",
);

const at = (...parts: string[]) => host.at("course", ...parts);
/** A folder of the person's that no notebook sees, with files of the names that the repository has. */
const elsewhere = join(scratch, "elsewhere");
const SECRET = "a secret of the person's";
const FILES = 2000;
const NAMES = Array.from({ length: FILES }, (_, n) => `f${n}`);

let first = "";
let second = "";
beforeAll(() => {
  if (skip) return;
  const upstream = join(scratch, "upstream");
  const commit = (text: string): string => {
    for (const name of NAMES) writeFileSync(join(upstream, "d", name), `${text} ${name}\n`);
    git(upstream, "add", "-A");
    git(upstream, "commit", "--quiet", "-m", text);
    return git(upstream, "rev-parse", "HEAD");
  };
  mkdirSync(join(upstream, "d"), { recursive: true });
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  writeFileSync(join(upstream, ".gitattributes"), "*.png binary\n");
  writeFileSync(join(upstream, ".gitignore"), "*.tmp\n");
  first = commit("first");
  second = commit("second");
  git(scratch, "clone", "--quiet", "--bare", upstream, join(repositories, "many.git"));
});
beforeEach(() => {
  removeFolder(elsewhere);
  mkdirSync(join(elsewhere, "logs"), { recursive: true });
  for (const name of [...NAMES, "HEAD", "logs/HEAD", "mine"]) writeFileSync(join(elsewhere, name), SECRET);
});

const wanted = (REF: string) => ({ URL: `file://${join(repositories, "many.git")}`, REF });
const checkOut = (ref: string) => host.checkOut(wanted(ref));
const purge = () =>
  runScript("gpubox_data/retire.py", { ...host.environment(wanted(first)), KIND: "code", PURGE: "1" });

/**
 * A program that puts a link to the person's folder in the place of a folder of the checkout: once, when one of its files is another,
 * or there and back for as long as it runs.
 */
const SWAP = `
import os, sys
folder, to, watched = sys.argv[1:]
def there(name):
    try: return os.stat(name).st_ino
    except OSError: return None
def swap():
    os.rename(folder, folder + ".aside")
    os.symlink(to, folder)
before = there(watched)
print("begins", flush=True)
if watched:
    while there(watched) in (before, None): pass
    swap()
while not watched:
    try:
        swap()
        os.unlink(folder)
        os.rename(folder + ".aside", folder)
    except OSError: pass
`;

/** @param when the file that is watched; without one it goes there and back */
async function swap(folder: string, when = ""): Promise<() => Promise<void>> {
  const child = spawn("python3", ["-c", SWAP, folder, elsewhere, when]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
}

/** What the checkout's repository holds, and what was said, have nothing of the person's; and all of that is as it was. */
function expectNothingTaken(...said: string[]): void {
  expect(filesBelow(elsewhere)).toEqual(
    Object.fromEntries([...NAMES, "HEAD", "logs/HEAD", "mine"].map((name) => [name, SECRET])),
  );
  const all = git(at(), "cat-file", "--batch-all-objects", "--batch");
  expect(all).not.toContain(SECRET);
  expect(said.join("\n")).not.toContain(SECRET);
  for (const [path, text] of Object.entries(filesBelow(at(".git", "logs"))))
    expect(text, path).not.toContain(SECRET);
}

describe.skipIf(skip)("a notebook that swaps a folder for a link", () => {
  /** Puts the folder back where the swapping has left it aside. */
  const restore = (folder: string) => {
    if (!existsSync(`${folder}.aside`)) return;
    rmSync(folder, { recursive: true, force: true });
    renameSync(`${folder}.aside`, folder);
  };

  it.each([
    ["d", "d/f20"],
    ["d", ""],
    [".git/logs", ""],
    [".git/objects", ""],
    [".git/refs", ""],
  ])("has nothing written or read beyond it while its checkout is moved: %s, at %j", async (folder, when) => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    const said: string[] = [];
    for (const ref of [second, first]) {
      const stop = await swap(at(folder), when && at(when));
      const run = await checkOut(ref);
      said.push(run.stderr);
      expect([0, 1, 3], run.stderr).toContain(run.code);
      expect(run.stderr).not.toMatch(/Traceback|^fatal/m);
      await stop();
      restore(at(folder));
    }
    expectNothingTaken(...said);
  });

  it.each([
    "d/f20",
    "",
  ])("has nothing written or read beyond it while a killed run is brought to its end: at %j", async (when) => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    host.leaveHalfWay(first, second);
    const stop = await swap(at("d"), when && at(when));
    const run = await checkOut(second);
    expect([0, 1, 3], run.stderr).toContain(run.code);
    await stop();
    restore(at("d"));
    expectNothingTaken(run.stderr);
  });

  it("has nothing read beyond it while it is to be purged", async () => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    const stop = await swap(at("d"));
    const run = await purge();
    await stop();
    expect(run.code).toBe(0);
    expect(run.stderr).not.toContain(SECRET);
    expect(Object.values(filesBelow(elsewhere))).toEqual(Array(FILES + 3).fill(SECRET));
  });
});

describe.skipIf(skip)("what a notebook says of a run that was killed", () => {
  it("is not believed", async () => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    writeFileSync(at("d", ".bashrc"), "evil");
    git(at(), "add", "-A");
    const own = git(at(), "commit-tree", git(at(), "write-tree"), "-p", first, "-m", "own");
    git(at(), "reset", "--quiet", "--hard");
    writeFileSync(at(".git", "gpubox.next"), `old=${first}\nnew=${own}\nref=${first}\nname=\n`);
    writeFileSync(at(".git", "gpubox.busy"), "");
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    expect(git(at(), "rev-parse", "HEAD")).toBe(first);
    expect(existsSync(at("d", ".bashrc"))).toBe(false);
  });
});

describe.skipIf(skip)("a pipe or a file without end", () => {
  const pipe = (...path: string[]) => {
    mkdirSync(dirname(at(...path)), { recursive: true });
    rmSync(at(...path), { force: true });
    execFileSync("mkfifo", [at(...path)]);
  };
  const endless = (...path: string[]) => {
    writeFileSync(at(...path), "");
    truncateSync(at(...path), 1e11);
  };

  it.each<[string, () => void]>([
    [".gitattributes", () => pipe(".gitattributes")],
    [".gitignore", () => pipe(".gitignore")],
    ["d/.gitignore", () => pipe("d", ".gitignore")],
    [".git/index.lock", () => pipe(".git", "index.lock")],
    [".git/index", () => pipe(".git", "index")],
    [".git/config", () => pipe(".git", "config")],
    ["an object", () => pipe(".git", "objects", "00", "0".repeat(38))],
    [".git/worktrees/x/gitdir", () => pipe(".git", "worktrees", "x", "gitdir")],
    ["an endless .git/gpubox", () => endless(".git", "gpubox")],
    ["an endless .git/packed-refs", () => endless(".git", "packed-refs")],
  ])("is waited for by no run: %s", async (_, plant) => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    plant();
    const run = await checkOut(second);
    expect([0, 3], run.stderr).toContain(run.code);
    const purged = await purge();
    expect(purged).toMatchObject({ code: 0 });
    expect(purged.stderr).toMatch(/^code course: (kept|removed): /m);
  });

  it("is not shown where it is a link in the place of a further work tree's", async () => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    mkdirSync(at(".git", "worktrees", "x"), { recursive: true });
    symlinkSync(join(elsewhere, "mine"), at(".git", "worktrees", "x", "gitdir"));
    const run = await purge();
    expect(run.stderr).toMatch(/worktree x$/m);
    expect(run.stderr).not.toContain(SECRET);
    expect(readFileSync(join(elsewhere, "mine"), "utf8")).toBe(SECRET);
  });
});

describe.skipIf(skip)("what a run was killed with", () => {
  it("is cleared away without a change to the checkout's own objects", async () => {
    expect(await checkOut(first)).toMatchObject({ code: 0 });
    const packs = at(".git", "objects", "pack");
    const modes = () => readdirSync(packs).map((name) => statSync(join(packs, name)).mode);
    const before = modes();
    const left = host.at(".gpubox", "course", "work", "reader", "objects");
    mkdirSync(left, { recursive: true });
    for (const name of readdirSync(packs)) linkSync(join(packs, name), join(left, name));
    expect(await checkOut(second)).toMatchObject({ code: 0 });
    expect(modes().slice(0, before.length)).toEqual(before);
    expect(existsSync(left)).toBe(false);
  });
});
