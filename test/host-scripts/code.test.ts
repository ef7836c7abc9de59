import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { codeHost, makeLessons } from "../support/code-host.ts";
import { lessonsKills } from "../support/code-kills.ts";
import { behindLogin } from "../support/git-server.ts";
import {
  findProgram,
  lacks,
  missingPrograms,
  pathWith,
  pretend,
  removeFolder,
  type ScriptOptions,
} from "../support/host-script.ts";
import { gitHandler } from "../support/loopback-server.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const host = codeHost();
const { scratch, home, git, at } = host;

let commits: ReturnType<typeof makeLessons>;
let upstream = "";
let bare = "";
let httpUrl = "";
beforeAll(() => {
  commits = makeLessons(host);
  ({ upstream, bare } = commits);
  httpUrl = host.url("lessons");
});

interface Wanted {
  url?: string;
  ref: string;
  folder?: string;
  env?: Record<string, string>;
}

const wantedOf = ({ url, ref, folder, env }: Wanted) => ({
  URL: url ?? `file://${bare}`,
  REF: ref,
  ...(folder ? { FOLDER: folder } : {}),
  ...env,
});
const checkOut = (wanted: Wanted, options?: ScriptOptions) => host.checkOut(wantedOf(wanted), options);

const head = () => git(at("course"), "rev-parse", "HEAD");
const status = () => git(at("course"), "status", "--porcelain");
const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);

/** Works with a copy of the repository that a later test may not find changed. */
function editLesson(text: string): void {
  writeFileSync(at("course", "lesson-1.txt"), text);
}

describe("code on a host with git and python3", () => {
  const tools = "git python3";
  const skip = lacks(missingPrograms(tools), "code");
  const options: ScriptOptions = { path: join(scratch, tools) };
  beforeAll(() => void pathWith(join(scratch, tools), tools));

  it.skipIf(skip)("clones the pinned commit over http, once, and moves on with the config", async () => {
    const run = await checkOut({ url: httpUrl, ref: commits.first }, options);
    expect(run).toMatchObject({ code: 0, stdout: `${at("course")}\n` });
    expect(lastLine(run.stderr)).toBe(`code course: created: ${at("course")} is at ${commits.first}`);
    expect(head()).toBe(commits.first);
    expect(status()).toBe("");
    expect(readdirSync(at()).sort()).toEqual([".gpubox", "course"]);
    expect(readFileSync(at("course", ".git", "gpubox"), "utf8")).toBe(
      `url=${httpUrl}\nref=${commits.first}\nname=\ncommit=${commits.first}\nwith=\n`,
    );

    host.server.forget();
    const again = await checkOut({ url: httpUrl, ref: commits.first }, options);
    expect(again).toMatchObject({ code: 0, stdout: run.stdout });
    expect(again.stderr).toBe(`code course: unchanged: ${at("course")} is at ${commits.first}\n`);
    expect(host.server.requests).toEqual([]);

    writeFileSync(at("course", "my notebook.ipynb"), "mine");
    const moved = await checkOut({ url: httpUrl, ref: commits.second }, options);
    expect(moved).toMatchObject({ code: 0, stdout: run.stdout });
    expect(lastLine(moved.stderr)).toContain("updated");
    expect(head()).toBe(commits.second);
    expect(status()).toBe('?? "my notebook.ipynb"');
  });

  /** Serves the repository once the gate is open; tells of the first request. */
  function heldServer() {
    const gate = Promise.withResolvers<void>();
    const serve = gitHandler("/held/", host.repositories);
    const asked = new Promise<void>((resolve) => {
      host.server.handle("/held/", (request, response) => {
        resolve();
        gate.promise.then(() => serve(request, response));
      });
    });
    const wanted = wantedOf({ url: host.server.url("/held/lessons.git"), ref: commits.first });
    return { open: gate.resolve, asked, wanted };
  }

  it.skipIf(skip)("lets a second run wait for the first, and find its work", async () => {
    const { open, asked, wanted } = heldServer();
    const first = host.start(wanted, options);
    await asked;
    const second = host.start(wanted, options);
    await second.said(/waiting for the run/);
    open();
    expect((await first.result).stderr).toContain("created");
    const { stderr } = await second.result;
    expect(stderr).toMatch(/waiting for the run that works on .* \(pid \d+\)/);
    expect(stderr).toContain("unchanged");
  });

  it.skipIf(skip)("waits for a git that outlives a killed run", async () => {
    const { open, asked, wanted } = heldServer();
    const first = host.start(wanted, options);
    await asked;
    process.kill(Number(readFileSync(at(".gpubox", "course", "lock"), "utf8")), "SIGKILL");
    const second = host.start(wanted, options);
    await second.said(/waiting for the run/);
    open();
    const { code, stderr } = await second.result;
    expect(stderr).toMatch(/waiting for the run.*\n.*looking for|waiting for the run.*\n.*fetching/);
    expect(code, stderr).toBe(0);
    await first.result;
  });

  it.skipIf(skip)("does not wait for what a git has started and left behind", async () => {
    const helped = join(scratch, "daemon");
    mkdirSync(helped);
    const pid = join(helped, "pid");
    const helper = join(helped, "helper");
    writeFileSync(
      helper,
      `#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho $! >'${pid}'\n[ "$1" = get ] && printf 'username=me\\npassword=secret\\n'\n`,
      { mode: 0o755 },
    );
    writeFileSync(join(helped, ".gitconfig"), `[credential]\nhelper = ${helper}\n`);
    host.server.handle("/private/", behindLogin("me", "secret", gitHandler("/private/", host.repositories)));
    const wanted = {
      url: host.server.url("/private/lessons.git"),
      ref: commits.first,
      env: { HOME: helped },
    };
    expect(await checkOut(wanted)).toMatchObject({ code: 0 });
    const { code, stderr } = await checkOut(wanted);
    process.kill(Number(readFileSync(pid, "utf8")), "SIGKILL");
    expect(stderr).not.toContain("waiting for the run");
    expect(code).toBe(0);
  });
});

describe("code.py and its refs", () => {
  it.each([
    ["an annotated tag", "v1", () => commits.first],
    ["a branch", "release", () => commits.second],
    ["a short commit", () => commits.first.slice(0, 10), () => commits.first],
    ["a commit in capitals", () => commits.first.toUpperCase(), () => commits.first],
  ])("takes %s", async (_, ref, expected) => {
    const name = typeof ref === "string" ? ref : ref();
    expect(await checkOut({ url: httpUrl, ref: name })).toMatchObject({ code: 0 });
    expect(head()).toBe(expected());
    host.server.forget();
    expect((await checkOut({ url: httpUrl, ref: name })).stderr).toContain("unchanged");
    expect(host.server.requests).toEqual([]);
  });

  it("takes a commit that no branch leads to, from a server that hands it out", async () => {
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true");
    expect(await checkOut({ ref: commits.hidden })).toMatchObject({ code: 0 });
    expect(head()).toBe(commits.hidden);
  });

  it("takes a commit from a server that only hands out branches", async () => {
    const oldHome = join(scratch, "old home");
    mkdirSync(oldHome, { recursive: true });
    writeFileSync(join(oldHome, ".gitconfig"), "[protocol]\nversion = 0\n");
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "false");
    expect(await checkOut({ ref: commits.first, env: { HOME: oldHome } })).toMatchObject({ code: 0 });
    expect(head()).toBe(commits.first);
  });

  it.each([
    "no-such-branch",
    "abcdef1",
    "0123456789012345678901234567890123456789",
  ])("names the url where there is no %s", async (ref) => {
    const run = await checkOut({ url: httpUrl, ref });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(new RegExp(`ref: ${httpUrl} has no commit.* ${ref}`));
    expect(readdirSync(at())).toEqual([".gpubox"]);
  });

  it("resolves a branch once", async () => {
    await checkOut({ ref: "release" });
    git(bare, "update-ref", "refs/heads/release", commits.first);
    const run = await checkOut({ ref: "release" });
    expect(run.stderr).toContain("unchanged");
    expect(run.stderr).toContain("`npm run update` moves it on");
    git(bare, "update-ref", "refs/heads/release", commits.second);
    expect(head()).toBe(commits.second);
  });
});

describe("code.py and a url that does not work", () => {
  it.each([
    ["a repository that is not there", () => host.server.url("/git/nowhere.git")],
    ["a page that is no repository", () => host.server.url("/nothing")],
    ["a port where nobody listens", () => "http://127.0.0.1:1/x.git"],
    ["a folder that is not there", () => `file://${scratch}/nowhere`],
  ])("%s: names it, and a rerun succeeds", async (_, url) => {
    const run = await checkOut({ url: url(), ref: "v1" });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("  git: fatal:");
    expect(run.stderr).toContain(`cannot fetch ${url()}`);
    expect(readdirSync(at())).toEqual([".gpubox"]);
    expect(await checkOut({ ref: "v1" })).toMatchObject({ code: 0 });
  });
});

describe("code.py and its parameters", () => {
  it.each([
    [{ ROOT: "relative" }, "root: 'relative'"],
    [{ URL: "" }, "url: ''"],
    [{ URL: "--upload-pack=x" }, "url: '--upload-pack=x'"],
    [{ URL: "https://me:canary@localhost/x.git" }, "url: it has credentials in it"],
    [{ URL: "https://canary@localhost/x.git" }, "url: it has credentials in it"],
    [{ URL: "ssh://git:canary@localhost/x.git" }, "url: it has credentials in it"],
    [{ REF: "" }, "ref: ''"],
    [{ REF: "a..b" }, "ref: 'a..b'"],
    [{ REF: "main:x" }, "ref: 'main:x'"],
    [{ FOLDER: "../x" }, "folder: '../x'"],
    [{ FOLDER: "a//b" }, "folder: 'a//b'"],
    [{ FOLDER: "-x" }, "folder: '-x'"],
    [{ FOLDER: ".gpubox" }, "folder: '.gpubox'"],
    [{ FOLDER: "a\nb" }, "control characters"],
    [{ SHALLOW: "yes" }, "may be 0 or 1"],
  ])("%o is refused", async (wrong, message) => {
    const run = await host.checkOut({ ...wantedOf({ ref: "v1" }), ...wrong });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).not.toContain("canary");
    expect(readdirSync(at())).toEqual([]);
  });

  it("says so where code/ is not there, and where git is not", async () => {
    const lost = await host.checkOut({ ...wantedOf({ ref: "v1" }), ROOT: at() });
    expect(lost).toMatchObject({ code: 1, stdout: "" });
    expect(lost.stderr).toContain(`${at("code")} is not there`);
    const bald = await checkOut({ ref: "v1" }, { path: pathWith(join(scratch, "no git"), "python3") });
    expect(bald).toMatchObject({ code: 1, stdout: "" });
    expect(bald.stderr).toContain("sudo apt-get install git");
  });

  it("says what git says where that fails on the way", async () => {
    const path = pathWith(join(scratch, "broken git"), "python3");
    pretend(
      path,
      "git",
      `case "$*" in *" init "*) echo "fatal: no space" >&2; exit 128 ;; esac; exec '${findProgram("git")}' "$@"`,
    );
    const run = await checkOut({ ref: "v1" }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toBe(
      "  git: fatal: no space\ncode course: git has failed (above)\ncode course:   once it is mended run again\n",
    );
  });

  it("takes nested folders, and an empty one that is there", async () => {
    mkdirSync(at("courses", "one"), { recursive: true });
    const run = await checkOut({ ref: "v1", folder: "courses/one" });
    expect(run).toMatchObject({ code: 0, stdout: `${at("courses", "one")}\n` });
    expect(readdirSync(at("courses"))).toEqual(["one"]);
  });

  it("is not led astray by the repository of a hook that calls it", async () => {
    const run = await checkOut({
      ref: "v1",
      env: { GIT_DIR: join(upstream, ".git"), GIT_WORK_TREE: upstream },
    });
    expect(run).toMatchObject({ code: 0 });
    expect(head()).toBe(commits.first);
    expect(git(upstream, "rev-parse", "HEAD")).toBe(commits.second);
  });
});

describe("code.py and the person's files", () => {
  it("keeps edits while the config stays the same", async () => {
    await checkOut({ ref: "v1" });
    editLesson("mine");
    expect((await checkOut({ ref: "v1" })).stderr).toContain("unchanged");
    expect(readFileSync(at("course", "lesson-1.txt"), "utf8")).toBe("mine");
  });

  it("stops at edits when the config moves on; its own command puts them aside", async () => {
    await checkOut({ ref: "v1" });
    editLesson("mine");
    const run = await checkOut({ ref: commits.second });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("M lesson-1.txt");
    expect(run.stderr).toContain(`stays at ${commits.first} instead of ${commits.second}`);
    expect(readFileSync(at("course", "lesson-1.txt"), "utf8")).toBe("mine");
    expect(head()).toBe(commits.first);

    const command = /git -C .* stash$/m.exec(run.stderr)?.[0] ?? "";
    execFileSync("sh", ["-c", `${host.onHost(command)} 2>&1`], {
      env: { ...process.env, HOME: home, EMAIL: "a@localhost" },
    });
    expect(await checkOut({ ref: commits.second })).toMatchObject({ code: 0 });
    expect(head()).toBe(commits.second);
    expect(git(at("course"), "show", "stash@{0}:lesson-1.txt")).toBe("mine");
  });

  it("stops at a file of the person's that the new commit brings as well", async () => {
    await checkOut({ ref: "v1" });
    writeFileSync(at("course", "new in the second.txt"), "mine");
    const run = await checkOut({ ref: commits.second });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toMatch(/^ {2}new in the second\.txt\n.*are in the way of commit/m);
    expect(readFileSync(at("course", "new in the second.txt"), "utf8")).toBe("mine");
    expect(head()).toBe(commits.first);
  });

  it("leaves commits of the person's where they are", async () => {
    await checkOut({ ref: "v1" });
    editLesson("mine");
    git(at("course"), "commit", "--quiet", "-am", "mine");
    const mine = head();
    const same = await checkOut({ ref: "v1" });
    expect(same).toMatchObject({ code: 0, stdout: `${at("course")}\n` });
    expect(same.stderr).toContain(`it was put at ${commits.first}, and you have moved it since`);
    const moved = await checkOut({ ref: commits.second });
    expect(moved).toMatchObject({ code: 3, stdout: "" });
    expect(moved.stderr).toContain("in a terminal of the notebook:  git -C '/code/course' branch mine");
    expect(head()).toBe(mine);
  });

  it.each([
    [
      "a folder that is no repository",
      () => mkdirSync(at("course", "mine"), { recursive: true }),
      "is not a git repository",
    ],
    ["a file", () => writeFileSync(at("course"), "mine"), "is not a folder"],
    ["a link that leads nowhere", () => symlinkSync("/nowhere/at/all", at("course")), "is not a folder"],
    ["another repository", () => git(upstream, "clone", "--quiet", ".", at("course")), "comes from"],
  ])("leaves %s as it is", async (_, make, message) => {
    make();
    const before = readdirSync(at());
    const run = await checkOut({ ref: "v1" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(`${at("course")} ${message}`);
    expect(run.stderr).toContain(`mv '${at("course")}' '${at("course")}.mine'`);
    expect(readdirSync(at()).sort()).toEqual([...before, ".gpubox"].sort());
  });

  it("does not show the credentials of a foreign origin", async () => {
    await checkOut({ ref: "v1" });
    git(at("course"), "remote", "set-url", "origin", "https://me:canary@localhost/x.git");
    const run = await checkOut({ ref: "v1" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).not.toContain("canary");
  });

  it("takes a clone that was made by hand, where it is at the right commit", async () => {
    git(scratch, "clone", "--quiet", bare, at("course"));
    git(at("course"), "remote", "set-url", "origin", `file://${bare}/`);
    expect((await checkOut({ ref: commits.second })).stderr).toContain("unchanged");
    expect((await checkOut({ ref: "release" })).stderr).toContain("unchanged");
    const run = await checkOut({ ref: "v1" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(`is at ${commits.second} instead of v1 (${commits.first})`);
    expect(head()).toBe(commits.second);
  });

  it("does not take the repository around the root for the one in a broken folder", async () => {
    await checkOut({ ref: "v1" });
    git(host.root, "init", "--quiet");
    removeFolder(at("course", ".git", "HEAD"));
    const run = await checkOut({ ref: "v1" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(`git cannot read ${at("course")}`);
  });
});

describe("code.py, killed at each of its moments", () => {
  // Random moments are in the campaign: test/soak/code-kill.test.ts.
  const state = () => at(".gpubox", "course");
  const inClone = (...path: string[]) =>
    existsSync(state()) &&
    readdirSync(state()).some(
      (name) => name.startsWith("clone.") && existsSync(join(state(), name, ...path)),
    );
  const cloneIsMade = () => inClone(".git");
  const cloneIsFilled = () => inClone("lesson-0.txt");
  const fetching = /fetching/;
  const moving = /: from /;
  const checkoutIsUnderWay = () => existsSync(join(state(), "work", ".git", "reader", "index.lock"));

  it("converges from a first clone", async () => {
    await lessonsKills(host, commits).firstClone([
      { at: cloneIsMade, what: "all" },
      { at: fetching, what: "all" },
      { at: fetching, what: "shell" },
      { at: cloneIsFilled, what: "shell" },
      { at: cloneIsFilled, what: "all" },
    ]);
  });

  it("converges between two commits, and keeps what is not its own", async () => {
    await lessonsKills(host, commits).betweenCommits([
      { at: fetching, what: "all" },
      { at: moving, what: "shell" },
      { at: checkoutIsUnderWay, what: "all" },
      { at: checkoutIsUnderWay, what: "shell" },
    ]);
  });

  it("goes on from a checkout that stopped half-way, and leaves what was edited meanwhile", async () => {
    await checkOut({ ref: commits.first });
    // As a kill between two files leaves it: the lock, some files of the new commit, one that is gone.
    host.leaveHalfWay(commits.first, commits.second);
    writeFileSync(at("course", ".git", "index.lock"), "gpubox\n");
    writeFileSync(at("course", "new in the second.txt"), "mine as well");
    writeFileSync(at("course", "lesson-0.txt"), "second 0\n".repeat(200));
    removeFolder(at("course", "lesson-2.txt"));
    editLesson("mine, since then");
    const run = await checkOut({ ref: commits.second });
    expect(run).toMatchObject({ code: 0, stdout: `${at("course")}\n` });
    expect(head()).toBe(commits.second);
    const edited = ["lesson-1.txt", "new in the second.txt"];
    expect(status()).toBe(` M ${edited[0]}\n M "${edited[1]}"`);
    expect(readFileSync(at("course", "new in the second.txt"), "utf8")).toBe("mine as well");
    for (const name of edited) expect(run.stderr).toMatch(new RegExp(`^ {2}${name}$`, "m"));
    expect(run.stderr).toContain("are edited; they stay as they are");
  });
});
