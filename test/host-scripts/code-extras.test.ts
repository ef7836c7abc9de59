import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { dumbHandler, gitAs, lfsHandler } from "../support/git-server.ts";
import {
  lacks,
  missingPrograms,
  pathWith,
  removeFolder,
  runScript,
  type ScriptOptions,
  startScript,
  temporaryPath,
} from "../support/host-script.ts";
import { gitHandler, type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const scratch = temporaryPath();
const home = join(scratch, "home");
const repositories = join(scratch, "repositories");
const git = gitAs(home);
const skip = lacks(missingPrograms("git git-lfs"), "code.sh with submodules and LFS");

/** Commits of `course`: the first and second branch `main` leads to, with `part` at its first and second. */
const commits = { first: "", second: "" };
let server: LoopbackServer;
let url = "";
let root = "";
let roots = 0;

/** A repository whose commits are made one by one and served at once. */
function repository(name: string): { folder: string; commit: (files: Record<string, string>) => string } {
  const folder = join(scratch, name);
  mkdirSync(folder);
  git(folder, "init", "--quiet", "--initial-branch", "main");
  git(folder, "remote", "add", "served", join(repositories, `${name}.git`));
  git(scratch, "init", "--quiet", "--bare", "--initial-branch", "main", join(repositories, `${name}.git`));
  const commit = (files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
    git(folder, "add", ...Object.keys(files));
    git(folder, "commit", "--quiet", "--allow-empty", "-m", Object.keys(files).join());
    git(folder, "push", "--quiet", "--tags", "served", "main");
    return git(folder, "rev-parse", "HEAD");
  };
  return { folder, commit };
}

const bytes = (seed: number) => `${seed}\n`.repeat(50_000);
let course: ReturnType<typeof repository>;
let part: ReturnType<typeof repository>;

/** Makes `part` a submodule at a commit; an address that begins with ".." is beside the course's own. */
function setSubmodule(path: string, address: string, at: string, of = course): void {
  writeFileSync(
    join(of.folder, ".gitmodules"),
    `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${address}\n`,
  );
  git(of.folder, "update-index", "--add", "--cacheinfo", `160000,${at},${path}`);
}

beforeAll(async () => {
  for (const folder of [home, repositories]) mkdirSync(folder, { recursive: true });
  if (skip) return;
  const deep = repository("deep");
  const deepest = deep.commit({ "deep.txt": "deep" });
  part = repository("part");
  setSubmodule("deep", "../deep.git", deepest, part);
  const partFirst = part.commit({ "part.txt": bytes(1), ".gitmodules": readModules(part.folder) });
  const partSecond = part.commit({ "part.txt": bytes(2), "more.txt": bytes(2) });
  part.commit({ "part.txt": "the newest, which nobody asked for" });

  course = repository("course");
  git(course.folder, "lfs", "install", "--local", "--skip-repo");
  writeFileSync(join(course.folder, ".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n");
  course.commit({ "notes.txt": "before", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n" });
  setSubmodule("part", "../part.git", partFirst);
  commits.first = course.commit({ "model.bin": bytes(1), "notes.txt": "first", ".gitmodules": modules() });
  git(course.folder, "tag", "v1");
  setSubmodule("part", "../part.git", partSecond);
  commits.second = course.commit({ "model.bin": bytes(2), "big.bin": bytes(3), "notes.txt": "second" });

  server = await startLoopbackServer();
  const objects = join(course.folder, ".git", "lfs", "objects");
  server.handle(
    "/git/course.git/info/lfs/",
    lfsHandler("/git/course.git/info/lfs/", objects, server.url("")),
  );
  server.handle("/git/", gitHandler("/git/", repositories));
  url = server.url("/git/course.git");
});
afterAll(async () => {
  await server?.close();
  removeFolder(scratch);
});
beforeEach(() => {
  roots += 1;
  root = join(scratch, `root ${roots}`);
  mkdirSync(join(root, "code"), { recursive: true });
  server?.forget();
});

const readModules = (folder: string) => readFileSync(join(folder, ".gitmodules"), "utf8");
const modules = () => readModules(course.folder);

const environment = (ref: string, extras: Record<string, string> = {}) => ({
  ROOT: root,
  URL: url,
  REF: ref,
  FOLDER: "course",
  HOME: home,
  GIT_CONFIG_NOSYSTEM: "1",
  ...extras,
});
const checkOut = (ref: string, extras?: Record<string, string>, options?: ScriptOptions) =>
  runScript("code.sh", environment(ref, extras), options);
const at = (...parts: string[]) => join(root, "code", "course", ...parts);
const read = (...parts: string[]) => readFileSync(at(...parts), "utf8");
const head = (...parts: string[]) => git(at(...parts), "rev-parse", "HEAD");
const status = () => git(at(), "status", "--porcelain", "--ignore-submodules=none");
const history = (...parts: string[]) => Number(git(at(...parts), "rev-list", "--count", "HEAD"));
/** Where a git that this process waits for can fetch from: the server is in this process. */
const served = (name: string) => `file://${join(repositories, `${name}.git`)}`;
/** Moves the served branch `moving` without a trace in the others. */
const setBranch = (commit: string) =>
  git(join(repositories, "course.git"), "update-ref", "refs/heads/moving", commit);

async function expectUnchangedWithoutNetwork(ref: string, extras?: Record<string, string>): Promise<void> {
  server.forget();
  const run = await checkOut(ref, extras);
  expect(run).toMatchObject({ code: 0, stdout: `${at()}\n` });
  expect(run.stderr).toContain("unchanged");
  expect(server.requests).toEqual([]);
}

describe.skipIf(skip)("code.sh and history", () => {
  it("fetches one commit alone, and goes on to any other", async () => {
    setBranch(commits.second);
    for (const ref of ["v1", commits.second, commits.first, "moving"]) {
      expect(await checkOut(ref)).toMatchObject({ code: 0 });
      expect(history()).toBe(1);
      await expectUnchangedWithoutNetwork(ref);
    }
    expect(head()).toBe(commits.second);
    expect(await checkOut(commits.first.slice(0, 9))).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.first, 2]);
  });

  it("fetches all of it where that is wanted, then or later, and never cuts it off", async () => {
    await checkOut("v1");
    expect(history()).toBe(1);
    const run = await checkOut("v1", { SHALLOW: "0" });
    expect(run).toMatchObject({ code: 0 });
    expect(history()).toBe(2);
    await expectUnchangedWithoutNetwork("v1", { SHALLOW: "0" });
    expect(await checkOut(commits.second)).toMatchObject({ code: 0 });
    expect(history()).toBe(3);
  });

  it("fetches all of it from a server that knows nothing of git", async () => {
    git(join(repositories, "course.git"), "update-server-info");
    server.handle("/dumb/", dumbHandler("/dumb/", repositories));
    const dumb = { URL: server.url("/dumb/course.git") };
    expect(await checkOut("v1", dumb)).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.first, 2]);
  });

  it("mends a fetch that was killed between the commit and the note that its history is not there", async () => {
    await checkOut(commits.second);
    git(at(), "fetch", "--quiet", "--depth", "1", served("course"), commits.first);
    writeFileSync(at(".git", "shallow"), `${commits.second}\n`);
    writeFileSync(at(".git", "gpubox.busy"), "");
    writeFileSync(at(".git", "shallow.lock"), "");
    expect(await checkOut(commits.first)).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.first, 1]);
  });
});

describe.skipIf(skip)("code.sh and a branch", () => {
  it("moves it on when asked, and only then", async () => {
    setBranch(commits.first);
    await checkOut("moving");
    setBranch(commits.second);
    await expectUnchangedWithoutNetwork("moving");
    expect(head()).toBe(commits.first);
    const run = await checkOut("moving", { UPDATE: "1" });
    expect(run).toMatchObject({ code: 0, stdout: `${at()}\n` });
    expect(run.stderr).toContain(`from ${commits.first} to moving (${commits.second})`);
    expect(head()).toBe(commits.second);
    expect((await checkOut("moving", { UPDATE: "1" })).stderr).toContain("unchanged");
    await expectUnchangedWithoutNetwork("moving");
  });

  it("asks nothing for a commit, which cannot move", async () => {
    await checkOut(commits.first.slice(0, 9));
    await expectUnchangedWithoutNetwork(commits.first.slice(0, 9), { UPDATE: "1" });
  });

  it("keeps edits: says what differs and stops", async () => {
    setBranch(commits.first);
    await checkOut("moving");
    setBranch(commits.second);
    writeFileSync(at("notes.txt"), "mine");
    const run = await checkOut("moving", { UPDATE: "1" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("M notes.txt");
    expect([head(), read("notes.txt")]).toEqual([commits.first, "mine"]);
  });

  it("leaves a checkout that the person moved", async () => {
    setBranch(commits.first);
    await checkOut("moving");
    writeFileSync(at("notes.txt"), "mine");
    git(at(), "commit", "--quiet", "-am", "mine");
    const mine = head();
    const still = await checkOut("moving", { UPDATE: "1" });
    expect(still).toMatchObject({ code: 0 });
    expect(still.stderr).toContain("you have moved it since");
    setBranch(commits.second);
    const moved = await checkOut("moving", { UPDATE: "1" });
    expect(moved).toMatchObject({ code: 3, stdout: "" });
    expect(moved.stderr).toContain("where you put it");
    expect(head()).toBe(mine);
  });
});

describe.skipIf(skip)("code.sh and submodules", () => {
  const SUBMODULES = "1";

  it("leaves them out unless they are wanted", async () => {
    await checkOut("v1");
    expect(readdirSync(at("part"))).toEqual([]);
    await expectUnchangedWithoutNetwork("v1");
  });

  it("fetches them and theirs, one commit each, and moves them on", async () => {
    expect(await checkOut("v1", { SUBMODULES })).toMatchObject({ code: 0 });
    expect([read("part", "part.txt"), read("part", "deep", "deep.txt")]).toEqual([bytes(1), "deep"]);
    expect([history(), history("part")]).toEqual([1, 1]);
    await expectUnchangedWithoutNetwork("v1", { SUBMODULES });
    expect(await checkOut(commits.second, { SUBMODULES })).toMatchObject({ code: 0 });
    expect(read("part", "part.txt")).toBe(bytes(2));
    expect(status()).toBe("");
  });

  it("fetches them later as well, and all of their history where the server hands out no single commit", async () => {
    await checkOut("v1");
    const old = join(scratch, "old home");
    mkdirSync(old, { recursive: true });
    writeFileSync(join(old, ".gitconfig"), "[protocol]\nversion = 0\n");
    expect(await checkOut("v1", { SUBMODULES, HOME: old })).toMatchObject({ code: 0 });
    expect(read("part", "part.txt")).toBe(bytes(1));
    expect(status()).toBe("");
  });

  it.each([
    ["an edit", () => writeFileSync(at("part", "part.txt"), "mine")],
    [
      "a commit",
      () => {
        writeFileSync(at("part", "part.txt"), "mine");
        git(at("part"), "commit", "--quiet", "-am", "mine");
      },
    ],
  ])("stops at %s of the person's in one", async (_, change) => {
    await checkOut("v1", { SUBMODULES });
    change();
    const before = head("part");
    const run = await checkOut(commits.second, { SUBMODULES });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toMatch(/M part/);
    expect(run.stderr).toContain("submodule foreach --recursive git stash");
    expect([head(), head("part"), read("part", "part.txt")]).toEqual([commits.first, before, "mine"]);
  });

  it("is removed by retire.sh, unless the person has work in one", async () => {
    await checkOut("v1", { SUBMODULES });
    git(at("part"), "checkout", "--quiet", "-b", "mine");
    writeFileSync(at("part", "part.txt"), "mine");
    git(at("part"), "commit", "--quiet", "-am", "my own work");
    git(at("part"), "checkout", "--quiet", "--detach", "HEAD~1");
    const wanted = { ...environment("v1"), KIND: "code", PURGE: "1" };
    const kept = await runScript("retire.sh", wanted);
    expect(kept).toMatchObject({ code: 0 });
    expect(kept.stderr).toContain("my own work");
    expect(existsSync(at("part", "part.txt"))).toBe(true);
    git(at("part"), "branch", "--quiet", "-D", "mine");
    removeFolder(at(".git", "modules", "part", "logs"));
    expect((await runScript("retire.sh", wanted)).stderr).toContain("removed");
    expect(existsSync(at())).toBe(false);
  });

  it("does not follow a submodule to a folder of the host", async () => {
    const trap = repository("trap");
    setSubmodule("part", served("part"), git(part.folder, "rev-parse", "HEAD"), trap);
    trap.commit({ ".gitmodules": readModules(trap.folder) });
    const run = await checkOut("main", { SUBMODULES, URL: server.url("/git/trap.git") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("transport 'file' not allowed");
    expect(existsSync(at())).toBe(false);
  });

  it("goes on where a server failed, even to another commit", async () => {
    await checkOut("v1", { SUBMODULES });
    let broken = true;
    const serve = gitHandler("/flaky/", repositories);
    server.handle("/flaky/", (request, response) =>
      broken ? void response.writeHead(503).end() : serve(request, response),
    );
    git(at("part"), "remote", "set-url", "origin", server.url("/flaky/part.git"));
    const run = await checkOut(commits.second, { SUBMODULES });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot fetch the submodules");
    expect(head()).toBe(commits.second);
    broken = false;
    expect(await checkOut(commits.second, { SUBMODULES })).toMatchObject({ code: 0 });
    expect(read("part", "part.txt")).toBe(bytes(2));
    expect(status()).toBe("");
  });
});

describe.skipIf(skip)("code.sh and LFS", () => {
  const LFS = "1";
  const POINTER = /^version https:\/\/git-lfs/;

  it("leaves the pointers, even for a person whose git would fetch the files", async () => {
    const keen = join(scratch, "keen home");
    mkdirSync(keen, { recursive: true });
    gitAs(keen)(scratch, "lfs", "install", "--skip-repo");
    expect(await checkOut("v1", { HOME: keen })).toMatchObject({ code: 0 });
    expect(read("model.bin")).toMatch(POINTER);
    expect(server.requests.map((request) => request.url).join()).not.toContain("info/lfs");
  });

  it("fetches the files, then or later, and moves them on", async () => {
    await checkOut("v1");
    expect(read("model.bin")).toMatch(POINTER);
    expect(await checkOut("v1", { LFS })).toMatchObject({ code: 0 });
    expect(read("model.bin")).toBe(bytes(1));
    await expectUnchangedWithoutNetwork("v1", { LFS });
    expect(await checkOut(commits.second, { LFS })).toMatchObject({ code: 0 });
    expect([read("model.bin"), read("big.bin")]).toEqual([bytes(2), bytes(3)]);
    // The person's git would bring git-lfs's own hooks.
    expect(existsSync(at(".git", "hooks"))).toBe(false);
    expect(existsSync(join(home, ".gitconfig"))).toBe(false);
    expect(status()).toBe("");
  });

  it("stops at a file that the person changed", async () => {
    await checkOut("v1", { LFS });
    writeFileSync(at("model.bin"), "trained by me");
    expect(await checkOut(commits.second, { LFS })).toMatchObject({ code: 3 });
    expect(read("model.bin")).toBe("trained by me");
  });

  it("says what to install where git-lfs is missing", async () => {
    const options = { path: pathWith(join(scratch, "no lfs"), "git flock") };
    const run = await checkOut("v1", { LFS }, options);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("sudo apt-get install git-lfs");
    expect(await checkOut("v1", {}, options)).toMatchObject({ code: 0 });
  });
});

describe.skipIf(skip)("code.sh with submodules and LFS, killed at any moment", () => {
  const extras = { SUBMODULES: "1", LFS: "1" };
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const killed = async (ref: string, after: number, what: "shell" | "all", more = {}) => {
    const running = startScript("code.sh", environment(ref, { ...extras, ...more }));
    await pause(after);
    running.kill(what);
    await running.result;
  };
  const expectAll = (n: 1 | 2) => {
    expect(status()).toBe("");
    expect([read("model.bin"), read("part", "part.txt"), read("part", "deep", "deep.txt")]).toEqual([
      bytes(n),
      bytes(n),
      "deep",
    ]);
  };

  it("converges from a first clone", async () => {
    for (const [n, after] of [150, 400, 700, 1000].entries()) {
      await killed("v1", after * (0.5 + Math.random()), n % 2 === 0 ? "all" : "shell");
      if (existsSync(at())) expectAll(1);
    }
    expect(await checkOut("v1", extras)).toMatchObject({ code: 0 });
    expectAll(1);
  });

  it("converges between two commits, and while they are fetched for the first time", async () => {
    await checkOut("v1");
    writeFileSync(at("my notebook.ipynb"), "mine");
    const delays = [150, 250, 350, 450, 550, 650, 800, 950, 1100, 1300].map((d) => d * (0.6 + Math.random()));
    for (const [n, after] of delays.entries()) {
      const second = n % 2 === 1;
      const ref = second ? commits.second : "v1";
      if (n % 5 === 4) {
        // As it was before anything was fetched.
        removeFolder(at());
        await checkOut(ref);
        writeFileSync(at("my notebook.ipynb"), "mine");
      }
      await killed(ref, after, n % 3 === 0 ? "shell" : "all");
      const run = await checkOut(ref, extras);
      expect(run, `killed after ${delays}\n${run.stderr}`).toMatchObject({ code: 0, stdout: `${at()}\n` });
      expect(status()).toBe('?? "my notebook.ipynb"');
      removeFolder(at("my notebook.ipynb"));
      expectAll(second ? 2 : 1);
      writeFileSync(at("my notebook.ipynb"), "mine");
    }
  });

  it("begins a submodule anew whose clone was cut short, and ends a checkout in one", async () => {
    await checkOut("v1", extras);
    // As a kill inside `git clone` leaves it: begun, connected, nothing fetched.
    const module = at(".git", "modules", "part", "modules", "deep");
    removeFolder(module);
    git(at(), "init", "--quiet", "--bare", module);
    removeFolder(at("part", "deep", "deep.txt"));
    // As a kill inside a checkout of a submodule leaves it: the lock, and a file of the new commit.
    const wanted = git(part.folder, "rev-parse", "main~1");
    git(at("part"), "fetch", "--quiet", "--depth", "1", served("part"), wanted);
    git(at(), "fetch", "--quiet", "--depth", "1", served("course"), commits.second);
    writeFileSync(at(".git", "modules", "part", "index.lock"), "");
    writeFileSync(at("part", "more.txt"), bytes(2));
    writeFileSync(
      at(".git", "gpubox.next"),
      `old=${commits.first}\nnew=${commits.second}\nref=${commits.second}\nname=\n`,
    );
    writeFileSync(at(".git", "gpubox.busy"), "");
    const run = await checkOut(commits.second, extras);
    expect(run).toMatchObject({ code: 0 });
    expect(head("part")).toBe(wanted);
    expectAll(2);
  });

  it("begins a submodule anew that was cloned, and whose commit did not come", async () => {
    await checkOut("v1", extras);
    const module = at(".git", "modules", "part");
    removeFolder(module);
    removeFolder(at("part"));
    git(scratch, "clone", "--quiet", "--bare", "--depth", "1", served("part"), module);
    mkdirSync(at("part"));
    writeFileSync(at("part", ".git"), "gitdir: ../.git/modules/part\n");
    git(module, "config", "core.bare", "false");
    git(module, "config", "core.worktree", "../../../part");
    writeFileSync(at(".git", "gpubox.next"), `old=${commits.first}\nnew=${commits.first}\nref=v1\nname=\n`);
    writeFileSync(at(".git", "gpubox.busy"), "");
    const run = await checkOut("v1", extras);
    expect(run, run.stderr).toMatchObject({ code: 0 });
    expectAll(1);
  });

  it("keeps what the person did to a submodule meanwhile", async () => {
    await checkOut("v1", extras);
    writeFileSync(at("part", "part.txt"), "mine, since then");
    writeFileSync(at(".git", "gpubox.next"), `old=${commits.first}\nnew=${commits.first}\nref=v1\nname=\n`);
    writeFileSync(at(".git", "gpubox.busy"), "");
    const run = await checkOut("v1", extras);
    expect(run).toMatchObject({ code: 0 });
    const saved = git(at("part"), "for-each-ref", "--format=%(objectname)", "refs/gpubox");
    expect(git(at("part"), "show", `${saved}:part.txt`)).toBe("mine, since then");
    expect(run.stderr).toContain(`show ${saved}`);
    expectAll(1);
  });
});
