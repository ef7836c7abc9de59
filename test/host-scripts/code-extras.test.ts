import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { bytes, codeHost, makeCourse } from "../support/code-host.ts";
import { courseKills } from "../support/code-kills.ts";
import { dumbHandler, gitAs } from "../support/git-server.ts";
import {
  lacks,
  missingPrograms,
  pathWith,
  removeFolder,
  runScript,
  type ScriptOptions,
} from "../support/host-script.ts";
import type { Kill } from "../support/killed-script.ts";
import { gitHandler } from "../support/loopback-server.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const host = codeHost();
const { scratch, home, repositories, git } = host;
const skip = lacks(missingPrograms("git git-lfs"), "code.py with submodules and LFS");

let commits: ReturnType<typeof makeCourse>;
beforeAll(() => {
  if (!skip) commits = makeCourse(host);
});

const wantedOf = (ref: string, extras: Record<string, string> = {}) => ({
  URL: host.url("course"),
  REF: ref,
  ...extras,
});
const checkOut = (ref: string, extras?: Record<string, string>, options?: ScriptOptions) =>
  host.checkOut(wantedOf(ref, extras), options);
/** Begins where a checkout was put at `v1`: made once for all tests that do. */
async function beginAtV1(extras: Record<string, string> = {}): Promise<void> {
  const kept = join(scratch, `v1 with ${Object.keys(extras)}`);
  if (!existsSync(kept)) {
    expect(await checkOut("v1", extras)).toMatchObject({ code: 0 });
    cpSync(host.at(), kept, { recursive: true, preserveTimestamps: true });
    host.server.forget();
  }
  removeFolder(host.at());
  cpSync(kept, host.at(), { recursive: true, preserveTimestamps: true });
}
const at = (...parts: string[]) => host.at("course", ...parts);
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
  host.server.forget();
  const run = await checkOut(ref, extras);
  expect(run).toMatchObject({ code: 0, stdout: `${at()}\n` });
  expect(run.stderr).toContain("unchanged");
  expect(host.server.requests).toEqual([]);
}

describe.skipIf(skip)("code.py and history", () => {
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
    await beginAtV1();
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
    host.server.handle("/dumb/", dumbHandler("/dumb/", repositories));
    const dumb = { URL: host.server.url("/dumb/course.git") };
    expect(await checkOut("v1", dumb)).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.first, 2]);
    expect(await checkOut(commits.second, dumb)).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.second, 3]);
    expect(status()).toBe("");
  });

  it("mends a fetch that was killed between the commit and the note that its history is not there", async () => {
    await checkOut(commits.second);
    git(at(), "fetch", "--quiet", "--depth", "1", served("course"), commits.first);
    writeFileSync(at(".git", "shallow"), `${commits.second}\n`);
    expect(await checkOut(commits.first)).toMatchObject({ code: 0 });
    expect([head(), history()]).toEqual([commits.first, 1]);
  });
});

describe.skipIf(skip)("code.py and a branch", () => {
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

describe.skipIf(skip)("code.py and submodules", () => {
  const SUBMODULES = "1";

  it("leaves them out unless they are wanted", async () => {
    await beginAtV1();
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
    await beginAtV1();
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
    await beginAtV1({ SUBMODULES });
    change();
    const before = head("part");
    const run = await checkOut(commits.second, { SUBMODULES });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toMatch(/M part/);
    expect(run.stderr).toContain("submodule foreach --recursive git stash");
    expect([head(), head("part"), read("part", "part.txt")]).toEqual([commits.first, before, "mine"]);
  });

  it("is removed by retire.py, unless the person has work in one", async () => {
    await beginAtV1({ SUBMODULES });
    git(at("part"), "checkout", "--quiet", "-b", "mine");
    writeFileSync(at("part", "part.txt"), "mine");
    git(at("part"), "commit", "--quiet", "-am", "my own work");
    git(at("part"), "checkout", "--quiet", "--detach", "HEAD~1");
    const wanted = { ...host.environment(wantedOf("v1")), KIND: "code", PURGE: "1" };
    const kept = await runScript("gpubox_data/retire.py", wanted);
    expect(kept).toMatchObject({ code: 0 });
    expect(kept.stderr).toContain("my own work");
    expect(existsSync(at("part", "part.txt"))).toBe(true);
    git(at("part"), "branch", "--quiet", "-D", "mine");
    removeFolder(at(".git", "modules", "part", "logs"));
    expect((await runScript("gpubox_data/retire.py", wanted)).stderr).toContain("removed");
    expect(existsSync(at())).toBe(false);
  });

  it("does not follow a submodule to a folder of the host", async () => {
    const trap = commits.repository("trap");
    trap.setSubmodule("part", served("part"), git(commits.part.folder, "rev-parse", "HEAD"));
    trap.commit({ "trap.txt": "" });
    const run = await checkOut("main", { SUBMODULES, URL: host.url("trap") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("transport 'file' not allowed");
    expect(existsSync(at())).toBe(false);
  });

  it("goes on where a server failed, even to another commit", async () => {
    await beginAtV1({ SUBMODULES });
    let broken = true;
    const serve = gitHandler("/git/", repositories);
    host.server.handle("/git/part.git", (request, response) =>
      broken ? void response.writeHead(503).end() : serve(request, response),
    );
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

describe.skipIf(skip)("code.py and LFS", () => {
  const LFS = "1";
  const POINTER = /^version https:\/\/git-lfs/;

  it("leaves the pointers, even for a person whose git would fetch the files", async () => {
    const keen = join(scratch, "keen home");
    mkdirSync(keen, { recursive: true });
    gitAs(keen)(scratch, "lfs", "install", "--skip-repo");
    expect(await checkOut("v1", { HOME: keen })).toMatchObject({ code: 0 });
    expect(read("model.bin")).toMatch(POINTER);
    expect(host.server.requests.map((request) => request.url).join()).not.toContain("info/lfs");
  });

  it("fetches the files, then or later, and moves them on", async () => {
    await beginAtV1();
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
    await beginAtV1({ LFS });
    writeFileSync(at("model.bin"), "trained by me");
    expect(await checkOut(commits.second, { LFS })).toMatchObject({ code: 3 });
    expect(read("model.bin")).toBe("trained by me");
  });

  it("says what to install where git-lfs is missing", async () => {
    const options = { path: pathWith(join(scratch, "no lfs"), "git python3") };
    const run = await checkOut("v1", { LFS }, options);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("sudo apt-get install git-lfs");
    expect(await checkOut("v1", {}, options)).toMatchObject({ code: 0 });
  });
});

describe.skipIf(skip)("code.py with submodules and LFS, killed at each of its moments", () => {
  // Random moments are in the campaign: test/soak/code-kill.test.ts.
  const extras = { SUBMODULES: "1", LFS: "1" };
  const expectAll = (n: 1 | 2) => courseKills(host, commits).expectAll(n);
  const moving = /: from /;
  const submodules = /fetching its submodules/;
  const lfs = /fetching its LFS files/;
  const submoduleIsUnderWay = () =>
    existsSync(host.at(".gpubox", "course", "work", ".git%2Fmodules%2Fpart", "reader", "index.lock"));

  it("converges from a first clone", async () => {
    await courseKills(host, commits).firstClone([
      { at: submodules, what: "all" },
      { at: submodules, what: "shell" },
      { at: lfs, what: "all" },
    ]);
  });

  it("converges between two commits, and while they are fetched for the first time", async () => {
    const kills: Kill[] = [
      { at: submodules, what: "all" },
      { at: moving, what: "all" },
      { at: submoduleIsUnderWay, what: "all" },
      { at: lfs, what: "shell" },
      { at: submodules, what: "shell" },
    ];
    // The first and the last have nothing yet of what is beside the repository.
    await courseKills(host, commits).betweenCommits(kills, 5);
  });

  it("begins a submodule anew whose clone was cut short, and ends a checkout in one", async () => {
    await beginAtV1(extras);
    // As a kill inside `git clone` leaves it: begun, connected, nothing fetched.
    const module = at(".git", "modules", "part", "modules", "deep");
    removeFolder(module);
    git(at(), "init", "--quiet", "--bare", module);
    removeFolder(at("part", "deep", "deep.txt"));
    // As a kill inside a checkout of a submodule leaves it: the lock, and a file of the new commit.
    const wanted = git(commits.part.folder, "rev-parse", "main~1");
    git(at("part"), "fetch", "--quiet", "--depth", "1", served("part"), wanted);
    git(at(), "fetch", "--quiet", "--depth", "1", served("course"), commits.second);
    writeFileSync(at(".git", "modules", "part", "index.lock"), "gpubox\n");
    writeFileSync(at("part", "more.txt"), bytes(2));
    host.leaveHalfWay(commits.first, commits.second);
    const run = await checkOut(commits.second, extras);
    expect(run).toMatchObject({ code: 0 });
    expect(head("part")).toBe(wanted);
    expectAll(2);
  });

  it("begins a submodule anew that was cloned, and whose commit did not come", async () => {
    await beginAtV1(extras);
    const module = at(".git", "modules", "part");
    removeFolder(module);
    removeFolder(at("part"));
    git(scratch, "clone", "--quiet", "--bare", "--depth", "1", served("part"), module);
    mkdirSync(at("part"));
    writeFileSync(at("part", ".git"), "gitdir: ../.git/modules/part\n");
    git(module, "config", "core.bare", "false");
    git(module, "config", "core.worktree", "../../../part");
    host.leaveHalfWay(commits.first, commits.first, "v1");
    const run = await checkOut("v1", extras);
    expect(run, run.stderr).toMatchObject({ code: 0 });
    expectAll(1);
  });

  it("keeps what the person did to a submodule meanwhile", async () => {
    await beginAtV1(extras);
    writeFileSync(at("part", "part.txt"), "mine, since then");
    host.leaveHalfWay(commits.first, commits.first, "v1");
    const run = await checkOut("v1", extras);
    expect(run).toMatchObject({ code: 0 });
    expect(readFileSync(at("part", "part.txt"), "utf8")).toBe("mine, since then");
  });
});
