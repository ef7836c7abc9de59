/** What code in a notebook can write into a checkout, and what git on the host must not make of it. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { bytes, codeHost, makeCourse } from "../support/code-host.ts";
import { behindLogin } from "../support/git-server.ts";
import { filesBelow, lacks, missingPrograms, removeFolder, runScript } from "../support/host-script.ts";
import { gitHandler } from "../support/loopback-server.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const host = codeHost();
const { scratch, home, repositories, git } = host;
const skip = lacks(missingPrograms("git git-lfs mkfifo"), "git on the host and what a notebook writes");

const at = (...parts: string[]) => host.at("course", ...parts);
const head = (...parts: string[]) => git(at(...parts), "rev-parse", "HEAD");
const status = () => git(at(), "status", "--porcelain", "--ignore-submodules=none");
/** A program that says that it ran. */
const canary = join(scratch, "canary");
const ran = join(scratch, "it ran");
/** A folder of the person's that no notebook sees. */
const elsewhere = join(scratch, "elsewhere");
const victim = join(elsewhere, "victim");

let commits: ReturnType<typeof makeCourse>;
beforeAll(() => {
  if (skip) return;
  commits = makeCourse(host);
  writeFileSync(canary, `#!/bin/sh\necho "$0 $*" >>'${ran}'\nexit 1\n`);
  chmodSync(canary, 0o755);
  host.server.handle("/private/", behindLogin("me", "secret", gitHandler("/private/", repositories)));
});
beforeEach(() => {
  removeFolder(ran);
  removeFolder(elsewhere);
  mkdirSync(elsewhere, { recursive: true });
  writeFileSync(victim, "the person's own");
});

const wantedOf = (ref: string, more: Record<string, string> = {}) => ({
  URL: host.url("course"),
  REF: ref,
  ...more,
});
const checkOut = (ref: string, more?: Record<string, string>) => host.checkOut(wantedOf(ref, more));
const setBranch = (commit: string) =>
  git(join(repositories, "course.git"), "update-ref", "refs/heads/moving", commit);
const purge = () =>
  runScript("gpubox_data/retire.py", { ...host.environment(wantedOf("v1")), KIND: "code", PURGE: "1" });

/** Begins with a checkout of the branch `moving` at the first commit: made once for all tests. */
async function begin(extras: Record<string, string>): Promise<void> {
  setBranch(commits.first);
  const kept = join(scratch, `kept with ${Object.keys(extras)}`);
  if (!existsSync(kept)) {
    expect(await checkOut("moving", extras)).toMatchObject({ code: 0 });
    cpSync(host.at(), kept, { recursive: true, preserveTimestamps: true });
  }
  removeFolder(host.at());
  cpSync(kept, host.at(), { recursive: true, preserveTimestamps: true });
  setBranch(commits.second);
}

/** As a notebook does that only touches them: git has to look into them again. */
function touch(): void {
  for (const path of ["notes.txt", "model.bin", "part/part.txt", "part/deep/deep.txt"]) {
    if (existsSync(at(path))) utimesSync(at(path), new Date(), new Date());
  }
}

const configure = (text: string, ...file: string[]) =>
  appendFileSync(at(".git", ...(file.length > 0 ? file : ["config"])), `\n${text}\n`);
const attributes = (text: string, ...module: string[]) => {
  mkdirSync(at(".git", ...module, "info"), { recursive: true });
  writeFileSync(at(".git", ...module, "info", "attributes"), `${text}\n`);
};
const filter = (kind: string) => `[filter "planted"]\n\t${kind} = ${canary}\n\trequired = true`;
/** Sends what is fetched from the course's server to another address. */
const instead = (address: string) => `[url "${address}"]\n\tinsteadOf = ${host.server.url("/git/")}`;

const expectNothingRan = () => expect(existsSync(ran) ? readFileSync(ran, "utf8") : "").toBe("");

type Plant = [key: string, plant: () => void];
const SUBMODULES = { SUBMODULES: "1" };
const LFS = { LFS: "1" };

const SETTINGS: Plant[] = [
  ...["clean", "smudge", "process"].map(
    (kind): Plant => [
      `filter.*.${kind}`,
      () => {
        configure(filter(kind));
        attributes("* filter=planted");
      },
    ],
  ),
  ["lfs: filter.lfs.process", () => configure(`[filter "lfs"]\n\tprocess = ${canary}`)],
  [
    "core.attributesFile",
    () => {
      writeFileSync(at("planted"), "* filter=planted\n");
      configure(`${filter("clean")}\n[core]\n\tattributesFile = ${at("planted")}`);
    },
  ],
  [
    "include.path",
    () => {
      writeFileSync(at("planted"), filter("clean"));
      configure(`[include]\n\tpath = ${at("planted")}`);
      attributes("* filter=planted");
    },
  ],
  [
    "extensions.worktreeConfig",
    () => {
      configure("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig = true");
      configure(filter("clean"), "config.worktree");
      attributes("* filter=planted");
    },
  ],
  [
    "protocol.ext.allow and url.*.insteadOf",
    () => configure(`[protocol "ext"]\n\tallow = always\n${instead(`ext::${canary} `)}`),
  ],
  ["core.sshCommand", () => configure(`[core]\n\tsshCommand = ${canary}\n${instead("ssh://localhost:1/")}`)],
  ["core.gitProxy", () => configure(`[core]\n\tgitProxy = ${canary}\n${instead("git://localhost:1/")}`)],
  [
    "core.askPass",
    () => configure(`[core]\n\taskPass = ${canary}\n${instead(host.server.url("/private/"))}`),
  ],
  [
    "credential.helper",
    () => configure(`[credential]\n\thelper = ${canary}\n${instead(host.server.url("/private/"))}`),
  ],
  [
    "http.proxy",
    () => configure(`[http]\n\tproxy = ${host.server.url("/proxy/")}\n${instead("http://nowhere.invalid/")}`),
  ],
  [
    "remote.*.uploadpack",
    () => configure(`[remote "origin"]\n\tuploadpack = ${canary}\n${instead(`file://${repositories}/`)}`),
  ],
  [
    "remote.*.pushurl, fetch and tagOpt",
    () =>
      configure('[remote "origin"]\n\tfetch = +refs/heads/*:refs/heads/*\n\tprune = true\n\ttagOpt = --tags'),
  ],
  ["core.fsmonitor", () => configure(`[core]\n\tfsmonitor = ${canary}`)],
  [
    "core.hooksPath",
    () => {
      mkdirSync(at("hooks"));
      cpSync(canary, at("hooks", "post-checkout"));
      configure(`[core]\n\thooksPath = ${at("hooks")}`);
    },
  ],
  [
    "hooks",
    () => {
      mkdirSync(at(".git", "hooks"), { recursive: true });
      for (const hook of ["post-checkout", "post-index-change", "reference-transaction"])
        cpSync(canary, at(".git", "hooks", hook));
    },
  ],
  [
    "diff and merge drivers",
    () => {
      configure(
        `[diff]\n\texternal = ${canary}\n[diff "planted"]\n\tcommand = ${canary}\n\ttextconv = ${canary}\n[merge "planted"]\n\tdriver = ${canary}`,
      );
      attributes("* diff=planted merge=planted");
    },
  ],
  [
    "pager, editor and aliases",
    () =>
      configure(
        `[core]\n\tpager = ${canary}\n\teditor = ${canary}\n[alias]\n\tlfs = !${canary}\n\tstatus = !${canary}\n[pager]\n\tstatus = ${canary}`,
      ),
  ],
  ["core.worktree", () => configure(`[core]\n\tworktree = ${elsewhere}`)],
  [
    "commondir",
    () => {
      cpSync(at(".git"), join(elsewhere, "common"), { recursive: true });
      appendFileSync(join(elsewhere, "common", "config"), `\n${filter("clean")}\n`);
      mkdirSync(join(elsewhere, "common", "info"), { recursive: true });
      writeFileSync(join(elsewhere, "common", "info", "attributes"), "* filter=planted\n");
      writeFileSync(at(".git", "commondir"), `${join(elsewhere, "common")}\n`);
    },
  ],
  [
    "lfs.customTransfer.*",
    () =>
      configure(
        `[lfs]\n\tstandaloneTransferAgent = planted\n[lfs "customtransfer.planted"]\n\tpath = ${canary}\n[lfs "extension.planted"]\n\tclean = ${canary}\n\tsmudge = ${canary}\n\tpriority = 0`,
      ),
  ],
  ["submodule.*.update", () => configure(`[submodule "part"]\n\tupdate = !${canary}`)],
  [
    "submodule.*.url",
    () => {
      git(at(), "config", "submodule.part.url", host.server.url("/private/part.git"));
      removeFolder(at(".git", "modules"));
      removeFolder(at("part"));
      mkdirSync(at("part"));
    },
  ],
  [
    "a submodule's url",
    () => {
      configure('[protocol "ext"]\n\tallow = always', "modules", "part", "config");
      git(at("part"), "remote", "set-url", "origin", `ext::${canary} part`);
    },
  ],
  [
    "a submodule's filter",
    () => {
      configure(filter("clean"), "modules", "part", "config");
      attributes("* filter=planted", "modules", "part");
    },
  ],
  [
    "a submodule's core.worktree",
    () => configure(`[core]\n\tworktree = ${elsewhere}`, "modules", "part", "config"),
  ],
  [
    "a submodule's filter, two below",
    () => {
      configure(filter("clean"), "modules", "part", "modules", "deep", "config");
      attributes("* filter=planted", "modules", "part", "modules", "deep");
    },
  ],
];

describe.skipIf(skip)("code.py, retire.py and what a notebook put into .git", () => {
  it.each(SETTINGS)("do not obey %s", async (key, plant) => {
    const extras = key.includes("submodule") ? SUBMODULES : key.startsWith("lfs") ? LFS : {};
    await begin(extras);
    plant();
    touch();
    host.server.forget();
    // As an update and a start do.
    for (const [ref, more, expected] of [
      ["moving", { UPDATE: "1" }, commits.second],
      ["v1", {}, commits.first],
    ] as const) {
      const run = await checkOut(ref, { ...extras, ...more });
      expectNothingRan();
      expect(run, run.stderr).toMatchObject({ code: 0, stdout: `${at()}\n` });
      expect(readFileSync(at(".git", "HEAD"), "utf8")).toBe(`${expected}\n`);
      const n = expected === commits.second ? 2 : 1;
      if ("LFS" in extras) expect(readFileSync(at("model.bin"), "utf8")).toBe(bytes(n));
      if ("SUBMODULES" in extras) expect(readFileSync(at("part", "part.txt"), "utf8")).toBe(bytes(n));
      expect(readFileSync(at("notes.txt"), "utf8")).toBe(n === 2 ? "second" : "first");
      touch();
    }
    expect(await purge()).toMatchObject({ code: 0 });
    expectNothingRan();
    expect(host.server.requests.filter(({ url }) => /^\/(proxy|private)\//.test(url ?? ""))).toEqual([]);
    expect(readFileSync(victim, "utf8")).toBe("the person's own");
  });

  it("do not look at a commit's signature by the notebook's program", async () => {
    await begin({});
    configure(`[gpg]\n\tprogram = ${canary}\n[log]\n\tshowSignature = true`);
    const tree = git(at(), "rev-parse", "HEAD^{tree}");
    const signed = join(scratch, "signed");
    writeFileSync(
      signed,
      `tree ${tree}\nparent ${commits.first}\nauthor A <a@localhost> 1 +0000\ncommitter A <a@localhost> 1 +0000\n` +
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nmine, signed\n",
    );
    git(at(), "update-ref", "refs/heads/mine", git(at(), "hash-object", "-t", "commit", "-w", signed));
    const run = await purge();
    expect(run.stderr).toContain("mine, signed");
    expect(existsSync(ran)).toBe(false);
  });

  it("do not ask another server for LFS files than the commit says", async () => {
    await begin({});
    writeFileSync(at(".lfsconfig"), `[lfs]\n\turl = ${host.server.url("/evil/")}\n`);
    configure(`[lfs]\n\turl = ${host.server.url("/evil/")}`);
    host.server.forget();
    expect(await checkOut(commits.second, LFS)).toMatchObject({ code: 0 });
    expect(readFileSync(at("model.bin"), "utf8")).toBe(bytes(2));
    expect(host.server.requests.map(({ url }) => url).join()).not.toContain("/evil/");
  });

  it("take no submodule from where a planted object says it is", async () => {
    await begin(SUBMODULES);
    // An object of another text in the place of the commit's own .gitmodules.
    const real = git(at(), "rev-parse", "HEAD:.gitmodules");
    const planted = join(scratch, "planted");
    git(scratch, "init", "--quiet", planted);
    writeFileSync(
      join(planted, "gitmodules"),
      `[submodule "part"]\n\tpath = part\n\turl = ${host.server.url("/evil/part.git")}\n`,
    );
    const fake = git(planted, "hash-object", "-w", "gitmodules");
    const inStore = (repository: string, object: string) =>
      join(repository, "objects", object.slice(0, 2), object.slice(2));
    const packs = filesBelow(at(".git", "objects", "pack"));
    for (const name of Object.keys(packs).filter((each) => each.endsWith(".pack"))) {
      renameSync(at(".git", "objects", "pack", name), join(scratch, name));
      removeFolder(at(".git", "objects", "pack", name.replace(/pack$/, "idx")));
      execFileSync("sh", ["-c", `git -C '${at()}' unpack-objects -q <'${join(scratch, name)}'`]);
    }
    removeFolder(inStore(at(".git"), real));
    cpSync(inStore(join(planted, ".git"), fake), inStore(at(".git"), real));
    removeFolder(at(".git", "modules"));
    removeFolder(at("part"));
    mkdirSync(at("part"));
    writeFileSync(
      at(".git", "gpubox"),
      readFileSync(at(".git", "gpubox"), "utf8").replace("with= submodules", "with="),
    );
    host.server.forget();
    const run = await checkOut("moving", SUBMODULES);
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("git does not go to");
    expect(host.server.requests.map(({ url }) => url).join()).not.toContain("/evil/");
  });
});

/** In the place of a file or folder, with what it held at the link's end. */
function link(end: string, ...path: string[]): void {
  removeFolder(end);
  if (existsSync(at(...path))) {
    cpSync(at(...path), end, { recursive: true });
    removeFolder(at(...path));
  }
  symlinkSync(end, at(...path));
}

describe.skipIf(skip)("code.py, retire.py and links in a checkout", () => {
  const trees = (): unknown => filesBelow(elsewhere);

  it.each([
    [".git"],
    [".git/HEAD"],
    [".git/index"],
    [".git/index.lock"],
    [".git/logs"],
    [".git/logs/HEAD"],
    [".git/refs"],
    [".git/packed-refs"],
    [".git/shallow"],
    [".git/objects"],
    [".git/objects/pack"],
    [".git/modules"],
    [".git/modules/part"],
    [".git/modules/part/HEAD"],
    [".git/gpubox"],
    ["notes.txt"],
    ["part"],
    ["part/.git"],
    [""],
  ])("leave alone what a link at %j leads to", async (path) => {
    await begin(SUBMODULES);
    link(join(elsewhere, "end"), ...path.split("/"));
    const before = trees();
    for (const [ref, more] of [
      ["moving", { UPDATE: "1" }],
      ["v1", {}],
    ] as const) {
      const run = await checkOut(ref, { ...SUBMODULES, ...more });
      expect([0, 3], run.stderr).toContain(run.code);
      if (run.code === 3) expect(run.stderr).toMatch(/link|local changes|git is at work/);
      expect(trees()).toEqual(before);
    }
    const run = await purge();
    expect(run.code).toBe(0);
    expect(trees()).toEqual(before);
  });

  it.each([
    [".git/config", "link"],
    [".git/gpubox.new", ""],
  ])("write nothing through a link at %s", async (path, message) => {
    await begin({});
    link(join(elsewhere, "end"), ...path.split("/"));
    const before = trees();
    const run = await checkOut("moving", { ...SUBMODULES, ...LFS, UPDATE: "1" });
    expect([0, 3], run.stderr).toContain(run.code);
    expect(run.stderr).toContain(message);
    expect(trees()).toEqual(before);
  });

  it("do not wait at a pipe for ever", async () => {
    await begin({});
    removeFolder(at(".git", "HEAD"));
    execFileSync("mkfifo", [at(".git", "HEAD")]);
    const run = await checkOut("v1");
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(".git has links where git makes none: HEAD");
  });

  it("put no checkout behind a link", async () => {
    symlinkSync(elsewhere, host.at("courses"));
    const run = await checkOut("v1", { FOLDER: "courses/one" });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toMatch(/ is a link, or no folder that can be gone to/);
    expect(Object.keys(filesBelow(elsewhere))).toEqual(["victim"]);
  });
});

describe.skipIf(skip)("code.py and a .git that it does not take", () => {
  it.each<[string, string, () => void]>([
    [
      "alternates",
      "borrows objects",
      () => {
        mkdirSync(at(".git", "objects", "info"), { recursive: true });
        writeFileSync(at(".git", "objects", "info", "alternates"), `${join(elsewhere, "objects")}\n`);
      },
    ],
    [
      "http-alternates",
      "borrows objects",
      () => {
        mkdirSync(at(".git", "objects", "info"), { recursive: true });
        writeFileSync(at(".git", "objects", "info", "http-alternates"), "http://localhost:1/objects\n");
      },
    ],
    [
      "a file that leads to another folder",
      "has its git folder somewhere else",
      () => {
        renameSync(at(".git"), join(elsewhere, "git"));
        writeFileSync(at(".git"), `gitdir: ${join(elsewhere, "git")}\n`);
      },
    ],
    [
      "objects by another hash",
      "in a format that gpubox does not know",
      () => configure("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256"),
    ],
    [
      "refs in a table",
      "in a format that gpubox does not know",
      () => configure("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\trefStorage = reftable"),
    ],
    ["a configuration that is none", "bad config line", () => configure("[core")],
    ["an index that is none", "git cannot read the index", () => writeFileSync(at(".git", "index"), "x")],
    ["a head that is none", "git cannot read", () => writeFileSync(at(".git", "HEAD"), "ref: ../../x\n")],
    ["a lock of its git", "git is at work there", () => writeFileSync(at(".git", "index.lock"), "")],
  ])("refuses %s", async (_, message, plant) => {
    await begin({});
    plant();
    const run = await checkOut(commits.second);
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).toMatch(/ (mv|rm) |move it away/);
    expect(readFileSync(at("notes.txt"), "utf8")).toBe("first");
  });

  it("says that it does not move a partial clone, of which it has not all", async () => {
    const bare = join(repositories, "course.git");
    git(bare, "config", "uploadpack.allowFilter", "true");
    await begin({});
    removeFolder(at(".git"));
    git(
      scratch,
      "clone",
      "--quiet",
      "--filter=blob:none",
      "--no-checkout",
      `file://${bare}`,
      join(scratch, "partial"),
    );
    renameSync(join(scratch, "partial", ".git"), at(".git"));
    git(at(), "reset", "--quiet", "--hard", "v1");
    git(at(), "checkout", "--quiet", "--detach", "v1");
    git(at(), "remote", "set-url", "origin", host.url("course"));
    writeFileSync(
      at(".git", "gpubox"),
      `url=${host.url("course")}\nref=v1\nname=refs/tags/v1\ncommit=${commits.first}\nwith=\n`,
    );
    const run = await checkOut(commits.second);
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("git does not go to");
    expect(readFileSync(at("notes.txt"), "utf8")).toBe("first");
  });
});

describe.skipIf(skip)("code.py and a .gitmodules of the server's", () => {
  let traps = 0;
  /** A served repository with a submodule `part`, of which its .gitmodules says this. */
  function trap(gitmodules: string): string {
    traps += 1;
    const name = `trap-${traps}`;
    const { folder, commit } = commits.repository(name);
    writeFileSync(join(folder, ".gitmodules"), gitmodules);
    git(
      folder,
      "update-index",
      "--add",
      "--cacheinfo",
      `160000,${git(commits.part.folder, "rev-parse", "HEAD")},part`,
    );
    commit({ ".gitmodules": gitmodules });
    return host.url(name);
  }
  const part = (name: string, url: string, more = "") =>
    `[submodule "${name}"]\n\tpath = part\n\turl = ${url}\n${more}`;

  it.each([
    ["a helper that runs a command", part("part", `"ext::${canary} %S"`), "transport 'ext' not allowed"],
    [
      "a folder of this machine",
      part("part", `file://${join(repositories, "part.git")}`),
      "transport 'file' not allowed",
    ],
    ["a path of this machine", part("part", join(repositories, "part.git")), "transport 'file' not allowed"],
    ["an option", part("part", "--upload-pack=x"), "no address for it that git would take"],
    ["no address", '[submodule "part"]\n\tpath = part\n', "no address for it that git would take"],
    ["no name", "", "no name for it, or an unsafe one"],
    ["a name that leads out", part("../../x", "../part.git"), "no name for it, or an unsafe one"],
  ])("do not follow %s", async (_, gitmodules, message) => {
    const run = await checkOut("main", { ...SUBMODULES, URL: trap(gitmodules) });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(message);
    expect([existsSync(at()), existsSync(ran)]).toEqual([false, false]);
  });

  it("runs no command of it for an update, and leaves out what it says to leave out", async () => {
    const command = trap(part("part", "../part.git", `\tupdate = !${canary}\n`));
    expect(await checkOut("main", { ...SUBMODULES, URL: command })).toMatchObject({ code: 0 });
    expect([existsSync(at("part", "part.txt")), existsSync(ran)]).toEqual([true, false]);
    const none = trap(part("part", "../part.git", "\tupdate = none\n"));
    expect(await checkOut("main", { ...SUBMODULES, URL: none, FOLDER: "none" })).toMatchObject({ code: 0 });
    expect(existsSync(host.at("none", "part", "part.txt"))).toBe(false);
  });
});

describe.skipIf(skip)("the notebook's own git after a move", () => {
  it("goes on working: its settings, branches, stashes and commits", async () => {
    await begin({ ...SUBMODULES, ...LFS });
    git(at(), "config", "user.name", "Me");
    git(at(), "branch", "mine");
    writeFileSync(at("notes.txt"), "mine");
    git(at(), "stash");
    expect(await checkOut("moving", { ...SUBMODULES, ...LFS, UPDATE: "1" })).toMatchObject({ code: 0 });
    expect(status()).toBe("");
    expect(head("part")).toBe(git(at(), "rev-parse", "HEAD:part"));
    expect(git(at(), "fsck")).toBe("");
    expect(git(at(), "config", "user.name")).toBe("Me");
    expect(git(at(), "rev-parse", "mine")).toBe(commits.first);
    expect(git(at(), "show", "stash@{0}:notes.txt")).toBe("mine");
    expect(git(at(), "reflog", "-1", "--format=%gs")).toBe(
      `checkout: moving from ${commits.first} to ${commits.second}`,
    );
    git(at(), "checkout", "--quiet", "-b", "work");
    writeFileSync(at("notes.txt"), "work");
    git(at(), "commit", "--quiet", "-am", "work");
    git(at(), "submodule", "update", "--quiet");
    git(at(), "checkout", "--quiet", "mine");
    expect(readFileSync(at("notes.txt"), "utf8")).toBe("first");
    expect(existsSync(join(home, ".gitconfig"))).toBe(false);
  });
});
