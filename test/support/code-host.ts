/** A host for `code.py`: a folder as ROOT, and a loopback server with git repositories. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { gitAs, lfsHandler } from "./git-server.ts";
import { type RunningScript, type ScriptOptions, type ScriptResult, startScript } from "./host-script.ts";
import { gitHandler, type LoopbackServer, startLoopbackServer } from "./loopback-server.ts";
import { ownFolder } from "./own-folder.ts";

export type CodeHost = ReturnType<typeof codeHost>;

/** The host of one test file; each test has a root of its own. Call it where the file is read: it registers hooks. */
export function codeHost() {
  const scratch = ownFolder();
  const home = join(scratch, "home");
  const repositories = join(scratch, "repositories");
  let server: LoopbackServer;
  let roots = 0;

  const host = {
    /** Folder for what a test file needs beside the root. */
    scratch,
    /** HOME of the script. */
    home,
    /** Folder of the bare repositories that are served. */
    repositories,
    git: gitAs(home),
    /** ROOT of the script. */
    root: "",
    get server() {
      return server;
    },
    /** Address of a repository. */
    url: (name: string) => server.url(`/git/${name}.git`),
    /** A path below code/. */
    at: (...parts: string[]) => join(host.root, "code", ...parts),
    /** What a run leaves that is killed on the way from a commit to another. */
    leaveHalfWay: (old: string, next: string, ref = next) => {
      const state = (name: string) => host.at(".gpubox", "course", name);
      writeFileSync(state("next"), `old=${old}\nnew=${next}\nref=${ref}\nname=\n`);
      writeFileSync(state("busy"), "");
    },
    /** A command for the notebook's terminal, as it is typed where there is no container. */
    onHost: (command: string) => command.replaceAll("'/code/", `'${host.at()}/`),
    environment: (wanted: Record<string, string>): Record<string, string> => ({
      ROOT: host.root,
      FOLDER: "course",
      HOME: home,
      GIT_CONFIG_NOSYSTEM: "1",
      ...wanted,
    }),
    start: (wanted: Record<string, string>, options?: ScriptOptions): RunningScript =>
      startScript("gpubox_data/code.py", host.environment(wanted), options),
    checkOut: (wanted: Record<string, string>, options?: ScriptOptions): Promise<ScriptResult> =>
      host.start(wanted, options).result,
    /** Takes another, empty root. */
    newRoot: () => {
      roots += 1;
      host.root = join(scratch, `root ${roots}`);
      mkdirSync(host.at(), { recursive: true });
    },
  };

  beforeAll(async () => {
    for (const folder of [home, repositories]) mkdirSync(folder);
    server = await startLoopbackServer();
    server.handle("/git/", gitHandler("/git/", repositories));
  });
  afterAll(() => server?.close());
  beforeEach(() => {
    host.newRoot();
    server.forget();
  });
  return host;
}

const LESSONS = 150;

/** A repository of many files, whose second commit changes all of them: "lessons". */
export function makeLessons({ git, scratch, repositories }: CodeHost) {
  const upstream = join(scratch, "upstream");
  const bare = join(repositories, "lessons.git");
  const commit = (message: string): string => {
    for (let n = 0; n < LESSONS; n += 1)
      writeFileSync(join(upstream, `lesson-${n}.txt`), `${message} ${n}\n`.repeat(200));
    git(upstream, "add", "-A");
    git(upstream, "commit", "--quiet", "-m", message);
    return git(upstream, "rev-parse", "HEAD");
  };
  mkdirSync(upstream);
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  const first = commit("first");
  git(upstream, "tag", "-a", "v1", "-m", "version 1");
  // History that no branch or tag leads to any more, as the courses of an old course repository.
  git(upstream, "checkout", "--quiet", "-b", "gone");
  writeFileSync(join(upstream, "only-here.txt"), "hidden");
  const hidden = commit("hidden");
  git(upstream, "checkout", "--quiet", "main");
  writeFileSync(join(upstream, "new in the second.txt"), "new");
  git(upstream, "rm", "--quiet", "lesson-7.txt");
  git(upstream, "commit", "--quiet", "-m", "second, part one");
  const second = commit("second");
  git(upstream, "branch", "release");
  git(scratch, "clone", "--quiet", "--bare", upstream, bare);
  git(bare, "branch", "-D", "gone");
  return { first, second, hidden, upstream, bare };
}

/** Files of a course are of this size. */
export const bytes = (seed: number) => `${seed}\n`.repeat(50_000);

/** A repository with a submodule, which has one of its own, and with files of LFS: "course". */
export function makeCourse({ git, scratch, repositories, server }: CodeHost) {
  /** A repository whose commits are made one by one and served at once. */
  const repository = (name: string) => {
    const folder = join(scratch, name);
    const served = join(repositories, `${name}.git`);
    mkdirSync(folder);
    git(folder, "init", "--quiet", "--initial-branch", "main");
    git(folder, "remote", "add", "served", served);
    git(scratch, "init", "--quiet", "--bare", "--initial-branch", "main", served);
    const commit = (files: Record<string, string>) => {
      for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
      git(folder, "add", ...Object.keys(files));
      git(folder, "commit", "--quiet", "--allow-empty", "-m", Object.keys(files).join());
      git(folder, "push", "--quiet", "--tags", "served", "main");
      return git(folder, "rev-parse", "HEAD");
    };
    /** Has a submodule at a commit; an address that begins with ".." is beside the repository's own. */
    const setSubmodule = (path: string, address: string, at: string) => {
      writeFileSync(
        join(folder, ".gitmodules"),
        `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${address}\n`,
      );
      git(folder, "add", ".gitmodules");
      git(folder, "update-index", "--add", "--cacheinfo", `160000,${at},${path}`);
    };
    return { folder, commit, setSubmodule };
  };

  const deep = repository("deep");
  const deepest = deep.commit({ "deep.txt": "deep" });
  const part = repository("part");
  part.setSubmodule("deep", "../deep.git", deepest);
  // As many as make a checkout of it last.
  const chapters = (seed: number) =>
    Object.fromEntries(Array.from({ length: 80 }, (_, n) => [`chapter-${n}.txt`, bytes(seed)]));
  const partFirst = part.commit({ "part.txt": bytes(1), ...chapters(1) });
  const partSecond = part.commit({ "part.txt": bytes(2), "more.txt": bytes(2), ...chapters(2) });
  part.commit({ "part.txt": "the newest, which nobody asked for" });

  const course = repository("course");
  git(course.folder, "lfs", "install", "--local", "--skip-repo");
  course.commit({ "notes.txt": "before", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n" });
  course.setSubmodule("part", "../part.git", partFirst);
  const first = course.commit({ "model.bin": bytes(1), "notes.txt": "first" });
  git(course.folder, "tag", "v1");
  course.setSubmodule("part", "../part.git", partSecond);
  const second = course.commit({ "model.bin": bytes(2), "big.bin": bytes(3), "notes.txt": "second" });

  const api = "/git/course.git/info/lfs/";
  server.handle(api, lfsHandler(api, join(course.folder, ".git", "lfs", "objects"), server.url("")));
  return { first, second, part, repository };
}
