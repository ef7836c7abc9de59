/** What a notebook, or an archive, plants for dataset.sh to write elsewhere, to read without end, or to say. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type ArchiveEntry, tar, zip } from "../support/archives.ts";
import { datasetHost, PICTURES, sha256, UNPACKED } from "../support/dataset-host.ts";
import {
  findProgram,
  lacks,
  missingPrograms,
  pathWith,
  pretend,
  removeFolder,
} from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;
const bytes = zip(PICTURES);
const skip = lacks(missingPrograms("bsdtar python3 unzip mkfifo"), "dataset.sh and what is planted");

/** What the person has outside of the root. */
let mine = "";
let bin = "";
let tests = 0;
beforeEach(() => {
  tests += 1;
  mine = join(scratch, `mine ${tests}`);
  bin = join(scratch, `bin ${tests}`);
  mkdirSync(mine);
  host.server.serve("/set.zip", bytes);
});
const real = (name: string) => `'${findProgram(name)}'`;
/** Puts a program of the test's own before the host's: it may do what a notebook does at that very moment. */
const program = (name: string, text: string) => {
  rmSync(join(bin, name), { force: true });
  pretend(bin, name, text);
};
const having = (tools: string) => ({ path: pathWith(bin, `curl cp flock ln ${tools}`) });

/** A host whose only reader of a tar is the Python of Debian 12, whose tarfile has no filters. */
const oldPython = () => {
  const options = having("");
  mkdirSync(join(bin, "old"));
  const remove =
    "for name in ('data_filter', 'tar_filter', 'fully_trusted_filter'): vars(tarfile).pop(name, None)";
  writeFileSync(join(bin, "old", "sitecustomize.py"), `import tarfile\n${remove}\n`);
  program("python3", `PYTHONPATH='${join(bin, "old")}' exec ${real("python3")} "$@"`);
  return options;
};

/** When one of the archivers is about to unpack, and what it then does. */
const unpacking = (name: string, text: string) =>
  program(name, `case "$1 $3" in "-c unpack" | -xf* | -qo*) ${text} ;; esac\nexec ${real(name)} "$@"`);

describe.skipIf(skip)("dataset.sh and an archive that is kept where a notebook can write", () => {
  const kept = () => at("set.archive", "set.zip");
  const wanted = { bytes, more: { KEEP_ARCHIVE: "1" } };
  beforeEach(async () => {
    expect((await host.fetch(wanted)).stderr).toContain("the archive is kept");
    removeFolder(at("set"));
    host.server.forget();
  });

  it.each([
    "python3",
    "bsdtar",
    "unzip",
  ])("unpacks what it has looked into, whatever is written there meanwhile: %s", async (archiver) => {
    const options = having(archiver);
    const evil = join(scratch, "evil.zip");
    const good = join(scratch, "good.zip");
    writeFileSync(evil, zip([{ path: `${mine}/evil`, content: "x" }]));
    writeFileSync(good, bytes);
    unpacking(
      archiver,
      `cat '${evil}' >'${kept()}'; ${real(archiver)} "$@"; status=$?; cat '${good}' >'${kept()}'; exit $status`,
    );
    const run = await host.fetch(wanted, options);
    expect(existsSync(join(mine, "evil"))).toBe(false);
    expect(run.stderr).toContain(`found ${kept()}`);
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(host.server.requests).toEqual([]);
    expect(readFileSync(kept())).toEqual(bytes);
  });

  it("waits at no pipe that takes its place", async () => {
    const options = having("bsdtar");
    program("ln", `rm -f '${kept()}'; mkfifo '${kept()}'; exec ${real("ln")} "$@"`);
    pathWith(bin, "mkfifo");
    expect((await host.fetch(wanted, options)).stderr).toContain("created");
    expect(host.gets()).toHaveLength(1);
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("reads nothing that is not as large as the file, or nothing but a hole", async () => {
    truncateSync(kept(), 1e12);
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(host.gets()).toHaveLength(1);
    removeFolder(at("set"));
    truncateSync(kept(), bytes.length + 1);
    const more = { ...wanted.more, SIZE: String(bytes.length) };
    const hashed = join(scratch, "hashed");
    const options = having("bsdtar");
    program(
      "sha256sum",
      `cat >'${hashed}'; ${real("sha256sum")} <'${hashed}'; wc -c <'${hashed}' >>'${hashed}.sizes'`,
    );
    expect((await host.fetch({ ...wanted, more }, options)).stderr).toContain("created");
    expect(readFileSync(`${hashed}.sizes`, "utf8")).not.toContain(String(bytes.length + 1));
  });
});

describe.skipIf(skip)("dataset.sh and links in an archive", () => {
  it.each([
    "python3 without filters",
    "bsdtar",
    "tar",
  ])("takes another name of a link for a link: %s", async (archiver) => {
    const options = archiver.startsWith("python3") ? oldPython() : having(archiver);
    // From where it is written it stays inside; from its other name it leads to data/.
    const body = tar([
      { path: "a/b/c/s", link: "../../.." },
      { path: "q", hardLink: "./a//b/c/s" },
      { path: "q/evil", content: "x" },
    ]);
    host.server.serve("/set.tar", body);
    const run = await host.fetch({ path: "/set.tar" }, options);
    expectNothingInPlace();
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("set.tar is refused: q is another name of the link");
  });

  const evil: [string, ArchiveEntry[]][] = [
    ["an absolute path", [{ path: "MINE/evil", content: "x" }]],
    ["a path that climbs", [{ path: "../../../../mine/evil", content: "x" }]],
    [
      "a path behind a link",
      [
        { path: "s", link: "MINE" },
        { path: "s/evil", content: "x" },
      ],
    ],
  ];
  const everywhere = [
    "python3 zip",
    "python3 tar",
    "bsdtar zip",
    "bsdtar tar",
    "tar tar",
    "unzip zip",
  ].flatMap((how) => evil.map(([what, entries]): [string, string, ArchiveEntry[]] => [how, what, entries]));
  it.each(
    everywhere,
  )("writes nothing elsewhere, also where the archive changes after the look into it: %s, %s", async (how, _, entries) => {
    const [archiver = "", kind = ""] = how.split(" ");
    const options = archiver === "python3" ? oldPython() : having(archiver);
    const make = kind === "zip" ? zip : tar;
    // As deep as the folder that it is unpacked in, so that the path that climbs ends in it.
    mine = join(host.root, "mine");
    mkdirSync(mine);
    const changed = join(scratch, "changed");
    writeFileSync(
      changed,
      make(
        entries.map((entry) => JSON.parse(JSON.stringify(entry).replaceAll("MINE", mine)) as ArchiveEntry),
      ),
    );
    const file = archiver === "bsdtar" || archiver === "tar" ? "$2" : "$4";
    const python = archiver === "python3" ? `export PYTHONPATH='${join(bin, "old")}'` : "";
    unpacking(archiver, `cat '${changed}' >"${file}"; ${python}`);
    const body = make(PICTURES);
    host.server.serve(`/set.${kind}`, body);
    const run = await host.fetch({ path: `/set.${kind}`, bytes: body }, options);
    expect(existsSync(join(mine, "evil"))).toBe(false);
    expect(run.code, run.stderr).toBe(1);
    expect(existsSync(at("set"))).toBe(false);
  });
});

describe.skipIf(skip)("dataset.sh and what is said of an archive", () => {
  const fetchTar = async (entries: ArchiveEntry[], tools: string) => {
    host.server.serve("/set.tar", tar(entries));
    return await host.fetch({ path: "/set.tar" }, having(tools));
  };

  it.each(["bsdtar", "tar"])("counts a name with a line break as one: %s", async (archiver) => {
    const run = await fetchTar(
      [
        { path: "a\nb", content: "1" },
        { path: "c", content: "2" },
      ],
      archiver,
    );
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "a\nb": "1", c: "2" });
    expect(JSON.parse(readFileSync(at("set", ".gpubox.json"), "utf8"))).toMatchObject({ files: 2 });
  });

  it("says of such a name what it is where it cannot be unpacked", async () => {
    const run = await fetchTar([{ path: "a\nb", content: "1" }], "python3");
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("set.tar is refused: 'a\\nb' has control characters in its name");
  });

  it.each(["bsdtar", "tar", "python3"])("takes a name with a backslash as it is: %s", async (archiver) => {
    mkdirSync(join(host.root, "mine"));
    writeFileSync(join(host.root, "mine", "thesis"), "mine");
    // What some shells make of it is the path to that folder.
    const folder = `${"\\0056\\0056\\0057".repeat(4)}mine`;
    const run = await fetchTar([{ path: `${folder}/a`, content: "1" }], archiver);
    expect(readFileSync(join(host.root, "mine", "thesis"), "utf8")).toBe("mine");
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ a: "1" });
  });

  it.each(["bsdtar", "tar"])("looks at where a link with a line break leads: %s", async (archiver) => {
    const run = await fetchTar(
      [
        { path: "top/x", content: "1" },
        { path: "top/y\nl\t0\td/d/z", link: "../top/x" },
      ],
      archiver,
    );
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /set\.tar is refused: y\?l\?0\?d\/d\/z has control characters|cannot be unpacked/,
    );
    expectNothingInPlace();
  });

  it("gives the reason in words where a hard link leads nowhere", async () => {
    const run = await fetchTar(
      [
        { path: "a", content: "1" },
        { path: "b", hardLink: "c" },
      ],
      "python3",
    );
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("set.tar cannot be unpacked");
    expect(run.stderr).toContain("  b: No such file or directory\n");
    expect(run.stderr).not.toMatch(/Traceback|KeyError|File "/);
  });

  it.each(["bsdtar", "tar", "python3", "unzip"])("shows names in it as text: %s", async (archiver) => {
    const entries = [{ path: "\u001b]52;c;cm0=\u0007\ndata set: created: x", link: "/etc" }];
    const kind = archiver === "unzip" ? "zip" : "tar";
    host.server.serve(`/set.${kind}`, kind === "zip" ? zip(entries) : tar(entries));
    const run = await host.fetch({ path: `/set.${kind}` }, having(archiver));
    expect(run.code).toBe(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(run.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]|^data set: created/m);
  });
});

describe.skipIf(skip)("dataset.sh and a plain file that is in place", () => {
  it("reads nothing of the person's that a link in its place leads to", async () => {
    const body = Buffer.from("1,2\n");
    host.server.serve("/labels.csv", body);
    const wanted = { path: "/labels.csv", sha256: sha256(body) };
    expect((await host.fetch(wanted)).stderr).toContain("created");
    writeFileSync(join(mine, "secret.gz"), gzipSync("secret"));
    rmSync(at("set", "labels.csv"));
    symlinkSync(join(mine, "secret.gz"), at("set", "labels.csv"));
    expect((await host.fetch(wanted)).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    rmSync(at("set", "labels.csv"));
    execFileSync("mkfifo", [at("set", "labels.csv")]);
    expect((await host.fetch(wanted)).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
  });
});
