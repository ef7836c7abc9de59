import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type ArchiveEntry, tar, zip } from "../support/archives.ts";
import { datasetHost, PICTURES, sha256, UNPACKED } from "../support/dataset-host.ts";
import { filesBelow, pathWith, removeFolder } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;
const fetchSet = host.fetch;

describe("dataset", () => {
  it("unpacks a zip, strips its single folder, and remembers what it was", async () => {
    const bytes = zip(PICTURES);
    host.server.serve("/set.zip", bytes);
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(run.stderr.trimEnd().split("\n").at(-1)).toBe(`data set: created: ${at("set")}`);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(JSON.parse(readFileSync(at("set", ".gpubox.json"), "utf8"))).toEqual({
      url: host.server.url("/set.zip"),
      sha256: sha256(bytes),
      files: 2,
    });
    expect(readdirSync(at(".gpubox", "set"))).toEqual(["lock"]);

    host.server.forget();
    const again = await fetchSet({ bytes });
    expect(again).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(again.stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    expect(host.server.requests).toEqual([]);
  });

  const compressors: [string, (bytes: Buffer) => Buffer][] = [
    ["tar", (bytes) => bytes],
    ["tar.gz", (bytes) => gzipSync(bytes)],
    ["tar.zst", (bytes) => zstdCompressSync(bytes)],
    ["tar.xz", (input) => execFileSync("xz", ["-c"], { input })],
    ["tar.bz2", (input) => execFileSync("bzip2", ["-c"], { input })],
  ];
  it.each(compressors)("unpacks a %s with links, as the person's own", async (ending, compress) => {
    const bytes = compress(
      tar([
        { path: "./", content: "" },
        ...PICTURES.map((entry) => ({ ...entry, path: `./${entry.path}` })),
        { path: "./dogscats/train/again.jpg", link: "../valid/Zoë.jpg" },
        { path: "./dogscats/train/same.jpg", hardLink: "./dogscats/train/cat 1.jpg" },
      ]),
    );
    host.server.serve(`/set.${ending}`, bytes);
    const run = await fetchSet({ path: `/set.${ending}`, bytes });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ ...UNPACKED, "train/same.jpg": "a cat" });
    expect(readFileSync(at("set", "train", "again.jpg"), "utf8")).toBe("a dog");
    expect(statSync(at("set", "train", "cat 1.jpg")).uid).toBe(process.getuid?.());
  });

  it("keeps a plain file under its name", async () => {
    const bytes = Buffer.from("1,2\n");
    host.server.serve("/get", bytes);
    const run = await fetchSet({ path: "/get?id=3&signature=canary", bytes, more: { NAME: "table.csv" } });
    expect(run.stderr).toContain("created");
    expect(run.stderr).not.toContain("canary");
    expect(dataIn("set")).toEqual({ "table.csv": "1,2\n" });
  });

  it("reads a file url", async () => {
    const bytes = zip(PICTURES);
    writeFileSync(join(scratch, "local.zip"), bytes);
    const run = await fetchSet({ urls: `file://${join(scratch, "local.zip")}`, bytes });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    const missing = await fetchSet({ urls: "file:///nowhere/at/all.zip", bytes, folder: "b" });
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain("cannot download file:///nowhere/at/all.zip");
  });

  it("refuses archives that would write elsewhere, before anything is written", async () => {
    const evil: [string, ArchiveEntry[]][] = [
      ["leads out of the folder", [{ path: "set/ok" }, { path: "set/../../../evil", content: "x" }]],
      ["leads out of the folder", [{ path: "/tmp/evil", content: "x" }]],
      ["link", [{ path: "out", link: "/etc" }]],
      ["link", [{ path: "deep/out", link: "../../../etc" }]],
      ["link", [{ path: "a/b/out", link: "in/../../../.." }]],
    ];
    const archives: [string, string, Buffer][] = evil.flatMap(
      ([why, entries]): [string, string, Buffer][] => [
        [why, "/evil.zip", zip(entries)],
        [why, "/evil.tar", tar(entries)],
      ],
    );
    archives.push(
      [
        "behind the link",
        "/evil.tar",
        tar([
          { path: "here", link: "." },
          { path: "here/x", content: "x" },
        ]),
      ],
      ["link", "/evil.tar", tar([{ path: "hard", hardLink: "../../../../etc/passwd" }])],
      ["neither a file nor a folder", "/evil.tar", tar([{ path: "null", device: true }])],
    );
    for (const [why, path, bytes] of archives) {
      writeFileSync(join(scratch, path), bytes);
      const run = await fetchSet({ urls: `file://${join(scratch, path)}`, bytes });
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(new RegExp(`${path} (is refused: .*${why}|is not a \\w+ archive)`));
      expectNothingInPlace();
    }
    expect(existsSync("/tmp/evil")).toBe(false);
  }, 30_000);

  it("reads what archivers on other systems write", async () => {
    const bytes = zip([
      { path: "Zoë.txt", content: "unmarked", unmarked: true },
      { path: "run.sh", content: "#!/bin/sh\n", executable: true },
      { path: "long.txt", content: "long ".repeat(1000), deflated: true },
      { path: "twice.txt", content: "first" },
      { path: "./twice.txt", content: "last" },
      { path: "empty.txt", content: "" },
    ]);
    host.server.serve("/set.zip", bytes);
    const run = await fetchSet({ bytes });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({
      "Zoë.txt": "unmarked",
      "run.sh": "#!/bin/sh\n",
      "long.txt": "long ".repeat(1000),
      "twice.txt": "last",
      "empty.txt": "",
    });
    const executable = (name: string) => (statSync(at("set", name)).mode & 0o111) !== 0;
    expect([executable("run.sh"), executable("long.txt")]).toEqual([true, false]);
  });

  it("refuses what is encrypted, and asks nobody for a password", async () => {
    const bytes = zip([
      { path: "a", content: "x" },
      { path: "secret", content: "y".repeat(20), encrypted: true },
    ]);
    host.server.serve("/set.zip", bytes);
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/\/set.zip is (refused: secret is )?encrypted/);
    expectNothingInPlace();
  });

  it("refuses bombs, truncated archives and bad checksums", async () => {
    const good = zip(PICTURES);
    const bad: [string, Buffer][] = [
      ["MB are free", zip([{ path: "bomb", content: "x", claimedSize: 0xffff_fff0 }, ...bombs(5000)])],
      ["is not a zip archive", good.subarray(0, good.length - 30)],
      [
        "cannot be unpacked|is not a zip archive",
        zip([{ path: "a/b", content: "x".repeat(9000), wrongChecksum: true }]),
      ],
      ["holds no files", zip([{ path: "empty/" }])],
    ];
    for (const [why, bytes] of bad) {
      const urls = `file://${join(scratch, "bad.zip")}`;
      writeFileSync(join(scratch, "bad.zip"), bytes);
      const run = await fetchSet({ urls, bytes });
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(new RegExp(why));
      expect(run.stderr).toContain(urls);
      expectNothingInPlace();
    }
  });
});

/** Files that claim to be 4 GiB each. */
function bombs(count: number): ArchiveEntry[] {
  return Array.from({ length: count }, (_, n) => ({
    path: `bomb-${n}`,
    content: "x",
    claimedSize: 0xffff_fff0,
  }));
}

describe("dataset and the person's files", () => {
  const bytes = zip(PICTURES);
  beforeEach(() => host.server.serve("/set.zip", bytes));

  it("leaves a folder it did not make as it is, and says how to adopt it", async () => {
    mkdirSync(at("set"));
    writeFileSync(at("set", "mine.txt"), "mine");
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("was not made by gpubox");
    expect(filesBelow(at("set"))).toEqual({ "mine.txt": "mine" });
    expect(host.server.requests).toEqual([]);

    const adopt = /printf .*$/m.exec(run.stderr)?.[0] ?? "";
    execFileSync("sh", ["-c", adopt]);
    expect((await fetchSet({ bytes })).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    expect(dataIn("set")).toEqual({ "mine.txt": "mine" });
  });

  it.each([
    ["a file", () => writeFileSync(at("set"), "mine")],
    ["a link that leads nowhere", () => symlinkSync("/nowhere/at/all", at("set"))],
    [
      "a link to an empty folder",
      () => symlinkSync(mkdirSync(at("..", "elsewhere"), { recursive: true }) ?? "", at("set")),
    ],
  ])("leaves %s as it is", async (_, make) => {
    make();
    expect(await fetchSet({ bytes })).toMatchObject({ code: 3, stdout: "" });
    expect(host.server.requests).toEqual([]);
  });

  it("takes an empty folder for free room", async () => {
    mkdirSync(at("set"));
    expect((await fetchSet({ bytes })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("keeps what the person changed in it", async () => {
    await fetchSet({ bytes });
    writeFileSync(at("set", "train", "cat 1.jpg"), "retouched");
    writeFileSync(at("set", "labels.csv"), "mine");
    expect((await fetchSet({ bytes })).stderr).toContain("unchanged");
    expect(dataIn("set")).toEqual({ ...UNPACKED, "train/cat 1.jpg": "retouched", "labels.csv": "mine" });
  });

  it("puts a new version beside the old one, once", async () => {
    await fetchSet({ bytes });
    const newer = zip([{ path: "new.txt", content: "new" }]);
    host.server.serve("/set.zip", newer);
    const beside = `set-${sha256(newer).slice(0, 8)}`;
    const run = await fetchSet({ bytes: newer });
    expect(run).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(run.stderr).toContain(`${at("set")} holds another version of the file and is kept`);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(dataIn(beside)).toEqual({ "new.txt": "new" });

    host.server.forget();
    expect(await fetchSet({ bytes: newer })).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(await fetchSet({ bytes })).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(host.server.requests).toEqual([]);
  });

  it("knows a data set again after the root was moved, and fetches it again after it was deleted", async () => {
    await fetchSet({ bytes });
    renameSync(host.root, `${host.root} moved`);
    host.root = `${host.root} moved`;
    expect((await fetchSet({ bytes })).stderr).toContain("unchanged");
    removeFolder(at("set"));
    expect((await fetchSet({ bytes })).stderr).toContain("created");
  });

  it("makes the folders above a nested one", async () => {
    expect(await fetchSet({ bytes, folder: "a/b" })).toMatchObject({ code: 0, stdout: `${at("a", "b")}\n` });
    expect(dataIn("a/b")).toEqual(UNPACKED);
  });
});

describe("dataset, details of unpacking", () => {
  const single = async (path: string, bytes: Buffer) => {
    host.server.serve(path, bytes);
    return fetchSet({ path, bytes });
  };

  it("strips no folder where there are several, or a file beside it", async () => {
    await single(
      "/set.zip",
      zip([
        { path: "a/x", content: "1" },
        { path: "readme", content: "2" },
      ]),
    );
    expect(dataIn("set")).toEqual({ "a/x": "1", readme: "2" });
  });

  it("does not count what macOS adds as a second folder", async () => {
    await single(
      "/set.zip",
      zip([
        { path: "a/x", content: "1" },
        { path: "__MACOSX/a/._x", content: "2" },
      ]),
    );
    expect(dataIn("set")).toEqual({ x: "1" });
  });

  it("refuses a link that only stayed inside by way of the folder that is stripped", async () => {
    const run = await single(
      "/set.tar",
      tar([
        { path: "a/x", content: "1" },
        { path: "a/l", link: "../a/x" },
      ]),
    );
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("l is a link that leads out of the folder");
    expectNothingInPlace();
  });

  it("writes its own record, whatever the archive calls .gpubox.json", async () => {
    await single(
      "/set.tar",
      tar([
        { path: "x", content: "1" },
        { path: ".gpubox.json", link: "x" },
      ]),
    );
    expect(dataIn("set")).toEqual({ x: "1" });
    expect(readFileSync(at("set", ".gpubox.json"), "utf8")).toContain('"sha256"');
  });
});

describe("dataset and its parameters", () => {
  it.each([
    [{ ROOT: "relative" }, "root: 'relative'"],
    [{ FOLDER: "../x" }, "folder: '../x'"],
    [{ FOLDER: "/x" }, "folder: '/x'"],
    [{ FOLDER: "" }, "folder: ''"],
    [{ FOLDER: ".gpubox" }, "folder: '.gpubox'"],
    [{ SHA256: "abc" }, "sha256: 'abc'"],
    [{ URLS: "" }, "url: it is empty"],
    [{ URLS: "ftp://x/y.zip" }, "'ftp://x/y.zip' is not an http, https or file url"],
    [{ URLS: "http://x/" }, "does not end in the name of a file"],
    [{ URLS: "http://me:canary@x/y.zip" }, "credentials"],
    [{ NAME: "../x.zip" }, "name: '../x.zip' is not the name of a file"],
    [{ RETRY_DELAY: "soon" }, "retry delay: 'soon'"],
    [{ SIZE: "12 MB" }, "size: '12 MB'"],
    [{ SIZE: "012" }, "size: '012'"],
    [{ FILES: "-1" }, "files: '-1'"],
    [{ HEAD_MD5: "d41d8cd98f00b204" }, "head md5: 'd41d8cd98f00b204'"],
    [{ CONNECTIONS: "0" }, "connections: it takes at least one"],
    [{ CONNECTIONS: "many" }, "connections: 'many'"],
    [{ KEEP_ARCHIVE: "yes" }, "keep archive: 'yes'"],
  ])("%o is refused", async (wrong, message) => {
    const run = await host.fetch({ more: wrong });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).not.toContain("canary");
    expect(readdirSync(at())).toEqual([]);
  });

  it("says so where data/ is not there", async () => {
    const run = await host.fetch({ more: { ROOT: join(host.root, "data") } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`${at("data")} is not there`);
  });

  it("says what a host without Python lacks", async () => {
    const path = pathWith(join(scratch, "nothing"), "");
    const run = await host.fetch({ bytes: zip(PICTURES) }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("python3 is not installed on this machine");
    expect(run.stderr).toContain("sudo apt-get install python3");
  });

  it.each([["dash"], ["bash", "--posix"]])("is started by %s", async (...shell) => {
    const bytes = Buffer.from("1,2\n");
    host.server.serve("/a.csv", bytes);
    expect((await host.fetch({ path: "/a.csv", bytes }, { shell })).stderr).toContain("created");
  });
});
