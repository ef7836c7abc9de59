import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
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
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type ArchiveEntry, tar, zip } from "../support/archives.ts";
import {
  filesBelow,
  lacks,
  missingPrograms,
  pathWith,
  removeFolder,
  runScript,
  type ScriptOptions,
  startScript,
  temporaryPath,
} from "../support/host-script.ts";
import { type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const scratch = temporaryPath();
let server: LoopbackServer;
let root = "";
let roots = 0;

beforeAll(async () => {
  mkdirSync(scratch);
  server = await startLoopbackServer();
});
afterAll(async () => {
  await server.close();
  removeFolder(scratch);
});
beforeEach(() => {
  roots += 1;
  root = join(scratch, `root ${roots}`);
  mkdirSync(join(root, "data"), { recursive: true });
  server.forget();
});

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

const PICTURES: ArchiveEntry[] = [
  { path: "dogscats/" },
  { path: "dogscats/train/cat 1.jpg", content: "a cat" },
  { path: "dogscats/valid/Zoë.jpg", content: "a dog" },
];
const UNPACKED = { "train/cat 1.jpg": "a cat", "valid/Zoë.jpg": "a dog" };

interface Wanted {
  path?: string;
  bytes?: Uint8Array;
  urls?: string;
  sha256?: string;
  folder?: string;
  name?: string;
  delay?: string;
}

const environment = (wanted: Wanted) => ({
  ROOT: root,
  URLS: wanted.urls ?? server.url(wanted.path ?? "/set.zip"),
  SHA256: wanted.sha256 ?? sha256(wanted.bytes ?? ""),
  FOLDER: wanted.folder ?? "set",
  ...(wanted.name === undefined ? {} : { NAME: wanted.name }),
  ...(wanted.delay === undefined ? {} : { RETRY_DELAY: wanted.delay }),
});
const fetchSet = (wanted: Wanted, options?: ScriptOptions) =>
  runScript("dataset.sh", environment(wanted), options);

const at = (...parts: string[]) => join(root, "data", ...parts);

/** The person's files of a data set: all but the script's own record. */
function dataIn(folder: string): Record<string, string> {
  const { ".gpubox.json": _, ...files } = filesBelow(at(folder));
  return files;
}

/** Nothing but hidden files of our own: no target, whole or half. */
function expectNothingInPlace(): void {
  expect(readdirSync(at())).toEqual([".gpubox"]);
  expect(existsSync(at(".gpubox", "set", "unpacked"))).toBe(false);
}

/** The same scripts where a host has more programs, or fewer. */
const HOSTS = [
  { tools: "curl bsdtar flock", shell: ["dash"] },
  { tools: "curl python3", shell: ["bash", "--posix"] },
  { tools: "curl perl unzip tar gzip xz bzip2 zstd", shell: ["dash"] },
  { tools: "wget flock unzip tar gzip xz bzip2 zstd", shell: ["bash", "--posix"] },
];

describe.each(HOSTS)("dataset.sh by $shell on a host with $tools", ({ tools, shell }) => {
  const skip = lacks(missingPrograms(`${tools} ${shell[0]} xz bzip2`), "dataset.sh");
  const options: ScriptOptions = { path: join(scratch, tools), shell };
  beforeAll(() => void pathWith(join(scratch, tools), tools));
  const onlyPython = tools === "curl python3";

  it.skipIf(skip)("unpacks a zip, strips its single folder, and remembers what it was", async () => {
    const bytes = zip(PICTURES);
    server.serve("/set.zip", bytes);
    const run = await fetchSet({ bytes }, options);
    expect(run).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(run.stderr.trimEnd().split("\n").at(-1)).toBe(`data set: created: ${at("set")}`);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(JSON.parse(readFileSync(at("set", ".gpubox.json"), "utf8"))).toEqual({
      url: server.url("/set.zip"),
      sha256: sha256(bytes),
      files: 2,
    });
    expect(readdirSync(at(".gpubox", "set"))).toEqual(["lock"]);

    server.forget();
    const again = await fetchSet({ bytes }, options);
    expect(again).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(again.stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    expect(server.requests).toEqual([]);
  });

  const compressors: [string, (bytes: Buffer) => Buffer][] = [
    ["tar", (bytes) => bytes],
    ["tar.gz", (bytes) => gzipSync(bytes)],
    ["tar.zst", (bytes) => zstdCompressSync(bytes)],
    ["tar.xz", (input) => execFileSync("xz", ["-c"], { input })],
    ["tar.bz2", (input) => execFileSync("bzip2", ["-c"], { input })],
  ];
  it.skipIf(skip).each(compressors)(
    "unpacks a %s with links, as the person's own",
    async (ending, compress) => {
      const bytes = compress(
        tar([
          { path: "./", content: "" },
          ...PICTURES.map((entry) => ({ ...entry, path: `./${entry.path}` })),
          { path: "./dogscats/train/again.jpg", link: "../valid/Zoë.jpg" },
          { path: "./dogscats/train/same.jpg", hardLink: "./dogscats/train/cat 1.jpg" },
        ]),
      );
      server.serve(`/set.${ending}`, bytes);
      const run = await fetchSet({ path: `/set.${ending}`, bytes }, options);
      if (onlyPython && ending === "tar.zst" && run.code === 1) {
        // Python reads zstd from 3.14 on.
        expect(run.stderr).toContain("/set.tar.zst is not a tar archive that can be read");
        return;
      }
      expect(run.stderr).toContain("created");
      expect(dataIn("set")).toEqual({ ...UNPACKED, "train/same.jpg": "a cat" });
      expect(readFileSync(at("set", "train", "again.jpg"), "utf8")).toBe("a dog");
      expect(statSync(at("set", "train", "cat 1.jpg")).uid).toBe(process.getuid?.());
    },
  );

  it.skipIf(skip)("keeps a plain file under its name", async () => {
    const bytes = Buffer.from("1,2\n");
    server.serve("/get", bytes);
    const run = await fetchSet({ path: "/get?id=3&signature=canary", bytes, name: "table.csv" }, options);
    expect(run.stderr).toContain("created");
    expect(run.stderr).not.toContain("canary");
    expect(dataIn("set")).toEqual({ "table.csv": "1,2\n" });
  });

  it.skipIf(skip)("reads a file url", async () => {
    const bytes = zip(PICTURES);
    writeFileSync(join(scratch, "local.zip"), bytes);
    const run = await fetchSet({ urls: `file://${join(scratch, "local.zip")}`, bytes }, options);
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    const missing = await fetchSet({ urls: "file:///nowhere/at/all.zip", bytes, folder: "b" }, options);
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain("cannot download file:///nowhere/at/all.zip");
  });

  it.skipIf(skip)(
    "goes on where a connection broke, and after a 503, as long as it gets further",
    async () => {
      const bytes = zip([{ path: "a.bin", content: "x".repeat(400_000) }]);
      const cut = { kind: "cut", after: 60_000 } as const;
      const unavailable = { kind: "status", status: 503 } as const;
      server.serve("/set.zip", bytes, {
        faults: [cut, unavailable, cut, cut, unavailable, cut, cut, unavailable, cut],
      });
      const run = await fetchSet({ bytes }, options);
      expect(run.stderr).toContain("created");
      expect(server.requests.filter(({ range }) => range !== undefined)).not.toHaveLength(0);
      expect(server.bytesSent).toBe(bytes.length);
      expect(dataIn("set")["a.bin"]).toHaveLength(400_000);
    },
  );

  it.skipIf(skip)("takes a complete download as such when the server answers 416", async () => {
    const bytes = zip(PICTURES);
    server.serve("/set.zip", bytes);
    // The complete download of another file with this url: the server has nothing to add to it.
    mkdirSync(at(".gpubox", "set"), { recursive: true });
    writeFileSync(at(".gpubox", "set", `${sha256(bytes)}.part`), Buffer.alloc(bytes.length));
    const run = await fetchSet({ bytes }, options);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`expected sha256 ${sha256(bytes)}`);
    expect(run.stderr).toContain(`received sha256 ${sha256(Buffer.alloc(bytes.length))}`);
    expect((await fetchSet({ bytes }, options)).stderr).toContain("created");
  });

  it.skipIf(skip)(
    "refuses archives that would write elsewhere, before anything is written",
    async () => {
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
        server.serve(path, bytes);
        const run = await fetchSet({ path, bytes }, options);
        expect(run).toMatchObject({ code: 1, stdout: "" });
        expect(run.stderr).toMatch(new RegExp(`${path} (is refused: .*${why}|is not a \\w+ archive)`));
        expectNothingInPlace();
      }
      expect(existsSync("/tmp/evil")).toBe(false);
    },
    30_000,
  );

  it.skipIf(skip)("refuses bombs, truncated archives and bad checksums", async () => {
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
      server.serve("/set.zip", bytes);
      const run = await fetchSet({ bytes }, options);
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(new RegExp(why));
      expect(run.stderr).toContain(server.url("/set.zip"));
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

describe("dataset.sh and a server that fails", () => {
  const bytes = zip(PICTURES);

  it.each([
    [{ kind: "status", status: 404 }, 1, "the server answers 404"],
    [{ kind: "status", status: 500 }, 5, "the server answers 500"],
    [{ kind: "html" }, 1, "received sha256"],
    [{ kind: "short", bytes: 40 }, 1, "received sha256"],
    [{ kind: "cut", after: 0 }, 5, "cannot download"],
  ] as const)("%o: gives up, names the url, leaves the target alone", async (always, tries, message) => {
    server.serve("/set.zip", bytes, { always });
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain(server.url("/set.zip"));
    expect(server.requests.filter(({ method }) => method === "GET")).toHaveLength(tries);
    expectNothingInPlace();

    server.serve("/set.zip", bytes);
    expect((await fetchSet({ bytes })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("starts over, a bounded number of times, where the server cannot go on in the middle", async () => {
    const large = zip([{ path: "a.bin", content: "x".repeat(300_000) }]);
    server.serve("/set.zip", large, {
      faults: [{ kind: "cut", after: 100_000 }],
      always: { kind: "no-ranges" },
    });
    expect((await fetchSet({ bytes: large })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toHaveLength(300_000);
  });

  it("names a host that cannot be reached", async () => {
    const run = await fetchSet({ urls: "http://127.0.0.1:1/set.zip", bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot download http://127.0.0.1:1/set.zip");
  });

  it("sets a file with a flipped byte aside and prints both hashes", async () => {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(50) ^ 1, 50);
    server.serve("/set.zip", flipped);
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`expected sha256 ${sha256(bytes)}`);
    expect(run.stderr).toContain(`received sha256 ${sha256(flipped)}`);
    const kept = at(".gpubox", "set", `rejected-${sha256(flipped).slice(0, 8)}`);
    expect(run.stderr).toContain(kept);
    expect(readFileSync(kept)).toEqual(flipped);
    expectNothingInPlace();
  });

  it("tries the next url", async () => {
    server.serve("/mirror/set.zip", bytes);
    const urls = `${server.url("/gone.zip")}\n  ${server.url("/mirror/set.zip")}\n`;
    const run = await fetchSet({ urls, bytes });
    expect(run.stderr).toContain(`cannot download ${server.url("/gone.zip")}: the server answers 404`);
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("asks for nothing it has: a refused archive is not downloaded again", async () => {
    const evil = zip([{ path: "../evil", content: "x" }]);
    server.serve("/set.zip", evil);
    expect((await fetchSet({ bytes: evil })).code).toBe(1);
    server.forget();
    expect((await fetchSet({ bytes: evil })).code).toBe(1);
    expect(server.requests).toEqual([]);
  });
});

describe("dataset.sh and the person's files", () => {
  const bytes = zip(PICTURES);
  beforeEach(() => server.serve("/set.zip", bytes));

  it("leaves a folder it did not make as it is, and says how to adopt it", async () => {
    mkdirSync(at("set"));
    writeFileSync(at("set", "mine.txt"), "mine");
    const run = await fetchSet({ bytes });
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("was not made by gpubox");
    expect(filesBelow(at("set"))).toEqual({ "mine.txt": "mine" });
    expect(server.requests).toEqual([]);

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
    expect(server.requests).toEqual([]);
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
    server.serve("/set.zip", newer);
    const beside = `set-${sha256(newer).slice(0, 8)}`;
    const run = await fetchSet({ bytes: newer });
    expect(run).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(run.stderr).toContain(`${at("set")} holds another version of the file and is kept`);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(dataIn(beside)).toEqual({ "new.txt": "new" });

    server.forget();
    expect(await fetchSet({ bytes: newer })).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(await fetchSet({ bytes })).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(server.requests).toEqual([]);
  });

  it("knows a data set again after the root was moved, and fetches it again after it was deleted", async () => {
    await fetchSet({ bytes });
    renameSync(root, `${root} moved`);
    root = `${root} moved`;
    expect((await fetchSet({ bytes })).stderr).toContain("unchanged");
    removeFolder(at("set"));
    expect((await fetchSet({ bytes })).stderr).toContain("created");
  });

  it("makes the folders above a nested one", async () => {
    expect(await fetchSet({ bytes, folder: "a/b" })).toMatchObject({ code: 0, stdout: `${at("a", "b")}\n` });
    expect(dataIn("a/b")).toEqual(UNPACKED);
  });
});

describe("dataset.sh, details of unpacking", () => {
  const single = async (path: string, bytes: Buffer) => {
    server.serve(path, bytes);
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

describe("dataset.sh and its parameters", () => {
  it.each([
    [{ ROOT: "relative" }, "root: 'relative'"],
    [{ FOLDER: "../x" }, "folder: '../x'"],
    [{ FOLDER: "/x" }, "folder: '/x'"],
    [{ FOLDER: "" }, "folder: ''"],
    [{ FOLDER: ".gpubox" }, "folder: '.gpubox'"],
    [{ SHA256: "" }, "sha256: ''"],
    [{ SHA256: "abc" }, "sha256: 'abc'"],
    [{ URLS: "" }, "url: it is empty"],
    [{ URLS: "ftp://x/y.zip" }, "'ftp://x/y.zip' is not an http, https or file url"],
    [{ URLS: "http://x/" }, "does not end in the name of a file"],
    [{ URLS: "http://me:canary@x/y.zip" }, "credentials"],
    [{ NAME: "../x.zip" }, "does not end in the name of a file"],
    [{ RETRY_DELAY: "soon" }, "retry delay: 'soon'"],
  ])("%o is refused", async (wrong, message) => {
    const run = await runScript("dataset.sh", { ...environment({}), ...wrong });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).not.toContain("canary");
    expect(readdirSync(at())).toEqual([]);
  });

  it("says so where data/ is not there", async () => {
    const run = await runScript("dataset.sh", { ...environment({}), ROOT: join(root, "data") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`${at("data")} is not there`);
  });

  it.each([
    ["flock curl", "needs bsdtar, python3 or unzip to unpack set.zip"],
    ["flock bsdtar python3", "needs curl or wget to download"],
    ["curl unzip", "needs flock, perl or python3"],
  ])("says what a host with nothing but %s lacks", async (tools, message) => {
    const path = pathWith(join(scratch, `only ${tools}`), tools);
    const bytes = zip(PICTURES);
    const run = await fetchSet({ bytes }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain("sudo apt-get install");
  });
});

describe("dataset.sh, stopped or started at a bad moment", () => {
  const many = zip(
    Array.from({ length: 400 }, (_, n) => ({ path: `set/${n % 7}/${n}.txt`, content: `${n} `.repeat(1000) })),
  );
  const whole = Object.fromEntries(
    Array.from({ length: 400 }, (_, n) => [`${n % 7}/${n}.txt`, `${n} `.repeat(1000)]),
  );

  it("converges after SIGKILL at any moment", async () => {
    server.serve("/set.zip", many, { rate: 2_000_000 });
    const delays = [20, 80, 150, 300, 500, 700, 900].map((delay) => delay * (0.5 + Math.random()));
    for (const [n, delay] of delays.entries()) {
      const running = startScript("dataset.sh", environment({ bytes: many }));
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.kill(n % 2 === 0 ? "all" : "shell");
      await running.result;
      // Either nothing is in place, or all of it.
      if (existsSync(at("set"))) expect(dataIn("set"), `killed after ${delays}`).toEqual(whole);
    }
    expect(await fetchSet({ bytes: many })).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(dataIn("set"), `killed after ${delays}`).toEqual(whole);
    expect(readdirSync(at()).sort()).toEqual([".gpubox", "set"]);
  });

  it("does not download again what an earlier run got", async () => {
    server.serve("/set.zip", many, { rate: 4_000_000 });
    const running = startScript("dataset.sh", environment({ bytes: many }));
    const part = at(".gpubox", "set", `${sha256(many)}.part`);
    const got = () => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
    while (got() < 400_000) await new Promise((resolve) => setTimeout(resolve, 10));
    running.kill("all");
    await running.result;
    const earlier = got();
    server.forget();
    expect((await fetchSet({ bytes: many })).stderr).toContain("created");
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, `bytes=${earlier}-`]);
    expect(server.bytesSent).toBe(many.length - earlier);
    expect(dataIn("set")).toEqual(whole);
  });

  it("lets a second run wait for the first, and find its work", async () => {
    const gate = Promise.withResolvers<void>();
    server.serve("/set.zip", many, { after: gate.promise });
    const first = startScript("dataset.sh", environment({ bytes: many }));
    await first.said(/downloading/);
    const second = startScript("dataset.sh", environment({ bytes: many }));
    await second.said(/waiting for the run/);
    gate.resolve();
    expect((await first.result).stderr).toContain("created");
    const { stderr } = await second.result;
    expect(stderr).toMatch(/waiting for the run that works on set \(pid \d+\)/);
    expect(stderr).toContain("unchanged");
    expect(server.bytesSent).toBe(many.length);
  });
});

describe("dataset.sh and a full disk", () => {
  const disk = join(scratch, "disk");
  let mounted = false;
  beforeAll(() => {
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" });
      mounted = true;
    } catch {
      lacks(true, "a full disk, which takes the right to mount one");
    }
  });
  afterAll(() => {
    if (mounted) execFileSync("umount", [disk]);
  });
  beforeEach(({ skip }) => {
    skip(!mounted, "no disk to fill");
    root = disk;
    mkdirSync(at(), { recursive: true });
  });

  it("asks for nothing that does not fit", async () => {
    const bytes = Buffer.alloc(2_000_000, "x");
    server.serve("/big.bin", bytes);
    const run = await fetchSet({ path: "/big.bin", bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/the download needs 2.0 MB in .*, and 1.0 MB are free \(http.*big.bin\)/);
    expect(server.bytesSent).toBe(0);
    expectNothingInPlace();
  });

  it("unpacks nothing that does not fit", async () => {
    const bytes = gzipSync(tar([{ path: "big.bin", content: "x".repeat(3_000_000) }]));
    server.serve("/set.tar.gz", bytes);
    const run = await fetchSet({ path: "/set.tar.gz", bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/unpacking 1 files needs 3.0 MB in .*, and 1.0 MB are free/);
    expectNothingInPlace();
  });

  it("leaves no half a file where the server does not say how large it is", async () => {
    const bytes = Buffer.alloc(2_000_000, "x");
    server.handle("/untold/", (request, response) => {
      response.writeHead(200);
      if (request.method === "HEAD") response.end();
      else response.end(bytes);
    });
    const run = await fetchSet({ path: "/untold/big.bin", bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot write the download of");
    expectNothingInPlace();
    expect(readdirSync(at(".gpubox", "set"))).not.toContain(`${sha256(bytes)}.part`);
  });
});
