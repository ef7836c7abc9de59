/** What a notebook can plant in /code and /data for the host's scripts to write through, to delete behind, or to hang at. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { HostScript } from "../../machine/scripts.ts";
import { sha256 } from "../support/dataset-host.ts";
import { gitAs } from "../support/git-server.ts";
import {
  filesBelow,
  lacks,
  missingPrograms,
  pathWith,
  pretend,
  runScript,
  startScript,
} from "../support/host-script.ts";
import { startLoopbackServer } from "../support/loopback-server.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const scratch = ownFolder();
const home = join(scratch, "home");
const upstream = join(scratch, "upstream");
const archive = join(scratch, "pets.tar.gz");
const skip = lacks(missingPrograms("git python3 tar gzip mkfifo"), "scripts that write where a notebook can");
const PETS = { "train/a": "one", "valid/b": "two" };
const S3 = "s3://bucket/pets";
/** The AWS command line, with that bucket. */
const AWS = `mkdir -p "$4/train" "$4/valid"; printf one >"$4/train/a"; printf two >"$4/valid/b"`;

let root = "";
/** What the person has outside of the root. */
let mine = "";
let bin = "";
let tests = 0;
let hash = "";

beforeAll(() => {
  mkdirSync(home, { recursive: true });
  mkdirSync(upstream);
  const git = gitAs(home);
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  writeFileSync(join(upstream, "lesson.txt"), "one");
  git(upstream, "add", ".");
  git(upstream, "commit", "--quiet", "-m", "one");
  const source = join(scratch, "source");
  for (const [path, text] of Object.entries(PETS)) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), text);
  }
  execFileSync("tar", ["-czf", archive, "-C", source, "."]);
  hash = sha256(readFileSync(archive));
});
beforeEach(() => {
  tests += 1;
  root = join(scratch, `root [${tests}] *`);
  mine = join(scratch, `mine ${tests}`);
  bin = join(scratch, `bin ${tests}`);
  for (const kind of ["code", "data"]) mkdirSync(join(root, kind), { recursive: true });
  mkdirSync(mine);
  writeFileSync(join(mine, "thesis"), "mine");
  pathWith(bin, "git python3 touch");
  program("aws", AWS);
});

/** Puts a program of the test's own before the host's: it may do what a notebook does at that very moment. */
const program = (name: string, text: string) => {
  pretend(bin, name, text);
};

const at = (...parts: string[]) => join(root, ...parts);
const link = (to: string, ...parts: string[]) => {
  mkdirSync(dirname(at(...parts)), { recursive: true });
  symlinkSync(to, at(...parts));
};
const run = (script: HostScript, environment: Record<string, string>) =>
  runScript(script, { ROOT: root, HOME: home, GIT_CONFIG_NOSYSTEM: "1", ...environment }, { path: bin });

/** Each script that puts something there, or takes it away. */
const SCRIPTS = {
  "gpubox_data/dataset.py": (folder = "pets", more = {}) =>
    run("gpubox_data/dataset.py", { URLS: `file://${archive}`, SHA256: hash, FOLDER: folder, ...more }),
  "gpubox_data/s3.py": (folder = "pets") => run("gpubox_data/s3.py", { URL: S3, FOLDER: folder }),
  "gpubox_data/code.py": (folder = "pets") =>
    run("gpubox_data/code.py", { URL: `file://${upstream}`, REF: "main", FOLDER: folder }),
  "gpubox_data/retire.py": (folder = "pets") =>
    run("gpubox_data/retire.py", { KIND: "data", FOLDER: folder, PURGE: "1" }),
};
type Script = keyof typeof SCRIPTS;
const kindOf = (script: Script) => (script === "gpubox_data/code.py" ? "code" : "data");

const expectMineUntouched = () => expect(filesBelow(mine)).toEqual({ thesis: "mine" });
const partOfS3 = `s3-${crc32(S3)}`;

describe.skipIf(skip)("a link in .gpubox is refused, and nothing is written through it", () => {
  const everywhere: [Script, string][] = (Object.keys(SCRIPTS) as Script[]).flatMap((script) =>
    [".gpubox", ".gpubox/pets", ".gpubox/pets/lock"].map((path): [Script, string] => [script, path]),
  );
  it.each<[Script, string]>([
    ...everywhere,
    ...["seen", "seen.new", "hash", "problem", "listing", "unpack.log", "fetch.log", "headers.log"].map(
      (name): [Script, string] => ["gpubox_data/dataset.py", `.gpubox/pets/${name}`],
    ),
    ...["part", "file", "parts", "parts.aria2"].map((ending): [Script, string] => [
      "gpubox_data/dataset.py",
      `.gpubox/pets/HASH.${ending}`,
    ]),
    ...["unpacked", "unpacked.files", "rejected-01234567"].map((name): [Script, string] => [
      "gpubox_data/dataset.py",
      `.gpubox/pets/${name}`,
    ]),
    ["gpubox_data/dataset.py", ".gpubox/%slot-1"],
    ["gpubox_data/s3.py", `.gpubox/pets/${partOfS3}`],
    ["gpubox_data/s3.py", `.gpubox/pets/${partOfS3}/train`],
    ["gpubox_data/code.py", ".gpubox/pets/git.log"],
    ["gpubox_data/code.py", ".gpubox/pets/new-tree"],
    ["gpubox_data/retire.py", ".gpubox/pets/removed"],
  ])("%s: %s", async (script, name) => {
    if (script === "gpubox_data/retire.py") {
      await SCRIPTS["gpubox_data/dataset.py"]();
      rmSync(at("data", name), { recursive: true, force: true });
    }
    const path = name.replace("HASH", hash);
    const isFolder = /(\.gpubox|pets|unpacked|removed|train|s3-\d+)$/.test(path);
    link(isFolder ? mine : join(mine, "thesis"), kindOf(script), path);
    const { code, stderr } = await SCRIPTS[script]();
    expectMineUntouched();
    expect(code, stderr).toBe(script === "gpubox_data/retire.py" ? 0 : 3);
    const full = at(kindOf(script), path);
    expect(stderr).toContain(`${full} was not put there by gpubox`);
    expect(stderr).toContain(`rm -rf '${full}'`);
    expect(readlinkSync(full)).toContain(mine);
    if (script === "gpubox_data/retire.py") expect(existsSync(at("data", "pets", "train", "a"))).toBe(true);
    // Done as the message says, the next run goes on.
    execFileSync("rm", ["-rf", full]);
    expect(await SCRIPTS[script]()).toMatchObject({ code: 0 });
    expectMineUntouched();
  });

  it.skipIf(lacks(process.getuid?.() !== 0, "a folder of someone else, which takes root"))(
    "nor is what the container runtime made as root written to",
    async () => {
      const person = 65_534;
      const hidden = at("data", ".gpubox");
      mkdirSync(hidden);
      chownSync(at("data"), person, person);
      const { code, stderr } = await runScript(
        "gpubox_data/dataset.py",
        { ROOT: root, URLS: `file://${archive}`, SHA256: hash, FOLDER: "pets", HOME: home },
        { path: bin, uid: person },
      );
      expect(code).toBe(3);
      expect(stderr).toContain(`sudo chown -R ${person}:${person} '${hidden}'`);
      expect(readdirSync(hidden)).toEqual([]);
    },
  );

  it("nor is a pipe waited at", async () => {
    mkdirSync(at("data", ".gpubox", "pets"), { recursive: true });
    execFileSync("mkfifo", [at("data", ".gpubox", "pets", "lock")]);
    const { code, stderr } = await SCRIPTS["gpubox_data/dataset.py"]();
    expect(code).toBe(3);
    expect(stderr).toContain("pets/lock was not put there by gpubox");
  });

  it("what is kept there is the person's alone, also where it was open", async () => {
    mkdirSync(at("data", ".gpubox", "pets"), { recursive: true });
    for (const path of [".gpubox", ".gpubox/pets"]) chmodSync(at("data", path), 0o777);
    expect(await SCRIPTS["gpubox_data/dataset.py"]()).toMatchObject({ code: 0 });
    const mode = (path: string) => (statSync(at("data", path)).mode & 0o777).toString(8);
    expect([mode(".gpubox"), mode(".gpubox/pets")]).toEqual(["755", "700"]);
  });
});

describe.skipIf(skip)("what a notebook puts in the place of a mark of gpubox's", () => {
  const list = () => run("gpubox_data/list_own.py", {});
  const pipe = (...parts: string[]) => execFileSync("mkfifo", [at("data", ...parts)]);
  /** A text, and then nothing to the end of what a disk can tell. */
  const endless = (text: string, ...parts: string[]) => {
    writeFileSync(at("data", ...parts), text);
    truncateSync(at("data", ...parts), 1e12);
  };

  it.each<Script>([
    "gpubox_data/dataset.py",
    "gpubox_data/s3.py",
  ])("is not waited at where it is a pipe: %s", async (script) => {
    mkdirSync(at("data", "pets"));
    pipe("pets", ".gpubox.json");
    const { code, stderr } = await SCRIPTS[script]();
    expect(code, stderr).toBe(3);
    expect(stderr).toContain("it is left as it is");
    // Nor is the person told to write there.
    expect(stderr).not.toContain("printf");
    for (const look of [list, SCRIPTS["gpubox_data/retire.py"]]) expect((await look()).code).toBe(0);
    expect(readdirSync(at("data", "pets"))).toEqual([".gpubox.json"]);
  });

  it("is not waited at where it is a pipe beside the mark of a version", async () => {
    await SCRIPTS["gpubox_data/dataset.py"]();
    const version = "pets-12345678";
    for (const [folder, name] of [
      [version, ".gpubox.json"],
      [version, ".gpubox-a.json"],
      ["pets-abcdef01", ".gpubox-removing.json"],
    ] as const) {
      mkdirSync(at("data", folder), { recursive: true });
      if (name !== ".gpubox.json") pipe(folder, name);
      else writeFileSync(at("data", folder, name), '{"sha256": "12345678"}');
    }
    const { stdout } = await list();
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t")[3]),
    ).toEqual([at("data", "pets"), at("data", version)]);
    const { code, stderr } = await SCRIPTS["gpubox_data/retire.py"]();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`removed: ${at("data", "pets")}\n`);
    expect(readdirSync(at("data", "pets-abcdef01"))).toEqual([".gpubox-removing.json"]);
  });

  it("is read no further than its own is long", async () => {
    await SCRIPTS["gpubox_data/dataset.py"]();
    endless(`{"sha256": "${hash}"}`, "pets", ".gpubox.json");
    expect((await SCRIPTS["gpubox_data/dataset.py"]()).stderr).toContain("unchanged");
    mkdirSync(at("data", "pets-12345678"));
    endless('{"sha256": "12345678"}', "pets-12345678", ".gpubox.json");
    expect((await list()).stdout.trim().split("\n")).toHaveLength(2);
    endless(`{"s3": "${S3}"}`, "pets", ".gpubox.json");
    expect((await SCRIPTS["gpubox_data/s3.py"]()).stderr).toContain("unchanged");
  });
});

describe.skipIf(skip)("what retire.py lists of a person's files", () => {
  it("has a line for each, as text that a terminal shows, and counts each once", async () => {
    await SCRIPTS["gpubox_data/dataset.py"]();
    const names = ["two\ndata pets: removed: lines", "\u001b]52;c;cm0=\u0007", "plain"];
    for (const name of names) writeFileSync(at("data", "pets", name), "mine");
    mkdirSync(at("data", "pets.archive"));
    writeFileSync(at("data", "pets.archive", "\u001b[2J\ndata pets: created: x"), "mine");
    const { code, stderr } = await SCRIPTS["gpubox_data/retire.py"]();
    expect(code).toBe(0);
    expect(stderr).toContain(`kept: ${at("data", "pets")} with 3 files that you changed or added\n`);
    for (const line of ["./two?data pets: removed: lines", "./?]52;c;cm0=?", "./plain"]) {
      expect(stderr).toContain(`\n  ${line}\n`);
    }
    expect(stderr).toContain("  ../pets.archive/?[2J?data pets: created: x\n");
    expect(stderr).not.toContain("\u001b");
  });
});

describe.skipIf(skip)("a link in the way to a folder", () => {
  it.each<Script>([
    "gpubox_data/dataset.py",
    "gpubox_data/s3.py",
    "gpubox_data/code.py",
  ])("is refused before anything is fetched: %s", async (script) => {
    link(mine, kindOf(script), "far");
    const { code, stderr } = await SCRIPTS[script]("far/deep/pets");
    expectMineUntouched();
    expect(code, stderr).toBe(3);
    expect(stderr).toContain(`${at(kindOf(script), "far")} is a link`);
    expect(readdirSync(mine)).toEqual(["thesis"]);
  });

  /** Has something done while a script fetches what it will put into place. */
  const meanwhile = async (script: Script, folder: string, act: () => void) => {
    if (script === "gpubox_data/s3.py") {
      program("aws", `${AWS}; touch '${bin}/fetched'; while [ ! -e '${bin}/done' ]; do sleep 0.05; done`);
      const running = startScript(script, { ROOT: root, HOME: home, URL: S3, FOLDER: folder }, { path: bin });
      while (!existsSync(join(bin, "fetched"))) await new Promise((resolve) => setTimeout(resolve, 10));
      act();
      writeFileSync(join(bin, "done"), "");
      return await running.result;
    }
    const gate = Promise.withResolvers<void>();
    const server = await startLoopbackServer();
    try {
      server.serve("/pets.tar.gz", readFileSync(archive), { after: gate.promise });
      const parameters = { URLS: server.url("/pets.tar.gz"), SHA256: hash, FOLDER: folder };
      const running = startScript(script, { ROOT: root, HOME: home, ...parameters }, { path: bin });
      await running.said(/downloading/);
      act();
      gate.resolve();
      return await running.result;
    } finally {
      await server.close();
    }
  };

  it.each<Script>([
    "gpubox_data/dataset.py",
    "gpubox_data/s3.py",
  ])("that comes there meanwhile leads nothing astray: %s", async (script) => {
    const { code, stderr } = await meanwhile(script, "far/pets", () => link(mine, "data", "far"));
    expect(code, stderr).toBe(3);
    expect(stderr).toContain(`${at("data", "far")} is a link`);
    expectMineUntouched();
    expect(readdirSync(mine)).toEqual(["thesis"]);
  });

  it.each<Script>([
    "gpubox_data/dataset.py",
    "gpubox_data/s3.py",
  ])("in the very place of the folder is not gone into: %s", async (script) => {
    const { code, stderr } = await meanwhile(script, "pets", () => link(mine, "data", "pets"));
    expect(code, stderr).toBe(3);
    expectMineUntouched();
    expect(readdirSync(mine)).toEqual(["thesis"]);
  });
});

describe.skipIf(skip)("a link in the place of the archive that is kept", () => {
  it("is not written behind", async () => {
    link(mine, "data", "pets.archive");
    const { code, stderr } = await SCRIPTS["gpubox_data/dataset.py"]("pets", { KEEP_ARCHIVE: "1" });
    expectMineUntouched();
    expect(code).toBe(3);
    expect(stderr).toContain(`${at("data", "pets.archive")} is a link`);
    expect(stderr).toContain(`mv '${at("data", "pets.archive")}'`);
  });

  it.each(["pets.archive", "pets.archive/pets.tar.gz"])("is not read: %s", async (path) => {
    writeFileSync(join(mine, "pets.tar.gz"), "a secret");
    link(path === "pets.archive" ? mine : join(mine, "pets.tar.gz"), "data", path);
    const { code, stderr } = await SCRIPTS["gpubox_data/dataset.py"]();
    expect(stderr).not.toContain(sha256("a secret"));
    expect(code, stderr).toBe(0);
    expect(filesBelow(at("data", "pets"))).toMatchObject(PETS);
  });
});

describe.skipIf(skip)("gpubox_data/retire.py", () => {
  beforeEach(async () => {
    await SCRIPTS["gpubox_data/dataset.py"]("far/pets");
    mkdirSync(join(mine, "pets"));
    writeFileSync(join(mine, "pets", "a"), "mine");
  });
  const expectAllThere = () => expect(filesBelow(mine)).toEqual({ thesis: "mine", "pets/a": "mine" });

  it("puts no marker behind a link", async () => {
    link(mine, "data", "far", "pets", ".gpubox-removing.json");
    const { stderr } = await SCRIPTS["gpubox_data/retire.py"]("far/pets");
    expectAllThere();
    expect(stderr).toContain(`removed: ${at("data", "far", "pets")}`);
  });

  it("takes a marker that is a link for none", async () => {
    rmSync(at("data", "far", "pets", ".gpubox.json"));
    link(join(mine, "thesis"), "data", "far", "pets", ".gpubox.json");
    const { stderr } = await SCRIPTS["gpubox_data/retire.py"]("far/pets");
    expect(stderr).toContain("of which nothing was put there by gpubox");
    expect(filesBelow(at("data", "far", "pets"))).toEqual(PETS);
  });

  it("removes a file with all of its names", async () => {
    const linked = join(scratch, "linked");
    mkdirSync(join(linked, "deep"), { recursive: true });
    writeFileSync(join(linked, "a"), "one");
    execFileSync("ln", ["-f", join(linked, "a"), join(linked, "deep", "b")]);
    const tar = join(scratch, "linked.tar");
    execFileSync("tar", ["-cf", tar, "-C", linked, "."]);
    await SCRIPTS["gpubox_data/dataset.py"]("linked", {
      URLS: `file://${tar}`,
      SHA256: sha256(readFileSync(tar)),
    });
    expect(statSync(at("data", "linked", "a")).nlink).toBe(2);
    writeFileSync(at("data", "linked", "deep", "notes"), "mine");
    await SCRIPTS["gpubox_data/retire.py"]("linked");
    expect(filesBelow(at("data", "linked"))).toEqual({ "deep/notes": "mine" });
  });
});

it.skipIf(skip)("list_own.py lists nothing that a made-up name leads to", async () => {
  await SCRIPTS["gpubox_data/dataset.py"]();
  for (const name of ["..%2F..%2Fmine", "%2Fetc", "two\nlines", "tab\there"]) {
    mkdirSync(at("data", ".gpubox", name, "half"), { recursive: true });
  }
  const { code, stdout } = await run("gpubox_data/list_own.py", {});
  expect(code).toBe(0);
  expect(stdout.trim().split("\n")).toEqual([expect.stringMatching(/^data\tpets\t\d+\t.*\/data\/pets$/)]);
});
