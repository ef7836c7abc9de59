import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { tar, zip } from "../support/archives.ts";
import { datasetHost, PICTURES, sha256, UNPACKED, type Wanted } from "../support/dataset-host.ts";
import {
  lacks,
  missingPrograms,
  pathWith,
  removeFolder,
  type ScriptOptions,
} from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;

const bytes = zip(PICTURES);
const LARGE = "0123456789abcdef".repeat(400_000);
const large = zip([{ path: "a.bin", content: LARGE }]);
const part = (of: Uint8Array, ending: string) => at(".gpubox", "set", `${sha256(of)}.${ending}`);

/** The same downloads by each program; aria2c makes requests of its own before it hands a failure on. */
const FETCHERS = [
  { fetcher: "aria2c", tools: "aria2c curl python3 flock", triesOfACut: 25, slack: 300_000 },
  { fetcher: "curl", tools: "curl python3 flock", triesOfACut: 5, slack: 0 },
  { fetcher: "wget", tools: "wget python3 flock", triesOfACut: 5, slack: 0 },
];

describe.each(FETCHERS)("dataset.sh and a server that fails $fetcher", (row) => {
  const { fetcher, tools, triesOfACut, slack } = row;
  const skip = lacks(missingPrograms(tools), "dataset.sh");
  const options: ScriptOptions = { path: join(scratch, tools) };
  beforeAll(() => void pathWith(join(scratch, tools), tools));
  const fetchSet = (wanted: Wanted) => host.fetch(wanted, options);

  it.skipIf(skip).each([
    [{ kind: "status", status: 404 }, 1, "the server answers 404"],
    [{ kind: "status", status: 403 }, 1, "the server answers 403"],
    [{ kind: "status", status: 500 }, 5, "the server answers 500"],
    [{ kind: "status", status: 503 }, 5, "the server answers 503"],
    [{ kind: "html" }, 1, "is not the file that was asked for: it is an HTML page, not set.zip"],
    [{ kind: "short", bytes: 40 }, 1, "received sha256"],
    [{ kind: "length", claimed: 40 }, 1, "received sha256"],
    [{ kind: "cut", after: 0 }, triesOfACut, "cannot download"],
  ] as const)("%o: gives up, names the url, leaves the target alone", async (always, tries, message) => {
    host.server.serve("/set.zip", bytes, { always });
    const run = await fetchSet({ bytes, path: "/set.zip?signature=canary" });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain(host.server.url("/set.zip"));
    expect(run.stderr).not.toContain("canary");
    expect(host.gets()).toHaveLength(tries);
    expectNothingInPlace();

    host.server.serve("/set.zip", bytes);
    expect((await fetchSet({ bytes })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(readdirSync(at(".gpubox", "set")).filter((name) => name.includes(".part"))).toEqual([]);
  });

  it.skipIf(skip)("gives up on a file that is shorter than the server claims, a bounded time", async () => {
    host.server.serve("/set.zip", bytes, { always: { kind: "length", claimed: bytes.length + 10 } });
    const run = await fetchSet({ bytes });
    // Where the answer to what is left is "there is no more", the file was complete after all.
    if (run.code === 0) expect(dataIn("set")).toEqual(UNPACKED);
    else expect(run.stderr).toContain(`cannot download ${host.server.url("/set.zip")}`);
    expect(host.gets().length).toBeLessThanOrEqual(triesOfACut);
  });

  it.skipIf(skip)(
    "goes on where a connection broke, and after a 503, as long as it gets further",
    async () => {
      const cut = { kind: "cut", after: 500_000 } as const;
      const unavailable = { kind: "status", status: 503 } as const;
      host.server.serve("/set.zip", large, {
        faults: [cut, unavailable, cut, cut, unavailable, cut, cut, unavailable, cut],
        // As fast as it goes, more than was asked for is under way when aria2c closes its first connection.
        rate: 4_000_000,
      });
      const run = await fetchSet({ bytes: large });
      expect(run.stderr).toContain("created");
      expect(host.server.requests.filter(({ range }) => range !== undefined)).not.toHaveLength(0);
      expect(host.server.bytesSent).toBeLessThanOrEqual(large.length + slack * 3);
      expect(dataIn("set")["a.bin"]).toBe(LARGE);
    },
  );

  it.skipIf(skip)("starts over, a bounded number of times, where the server cannot go on", async () => {
    host.server.serve("/set.zip", large, {
      faults: [{ kind: "cut", after: 100_000 }],
      always: { kind: "no-ranges" },
    });
    expect((await fetchSet({ bytes: large })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it.skipIf(skip)("follows a redirection, and shows no signature of either", async () => {
    host.server.serve("/storage/blob", bytes);
    host.server.handle("/moved/", (_, response) => {
      response.writeHead(302, { Location: "/storage/blob?signature=canary" }).end();
    });
    const run = await fetchSet({ path: "/moved/set.zip?signature=canary", bytes });
    expect(run.stderr).toContain("created");
    host.server.serve("/storage/blob", bytes, { always: { kind: "status", status: 500 } });
    const failed = await fetchSet({ path: "/moved/set.zip?signature=canary", bytes, folder: "again" });
    expect(failed.stderr).toContain("the server answers 500");
    expect(run.stderr + failed.stderr).not.toContain("canary");
  });

  it.skipIf(skip)("takes an empty file", async () => {
    host.server.serve("/empty.csv", new Uint8Array());
    const run = await fetchSet({ path: "/empty.csv", sha256: sha256("") });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "empty.csv": "" });
  });

  it.skipIf(skip)("shows a signature in no process list", async () => {
    const gate = Promise.withResolvers<void>();
    host.server.serve("/set.zip", bytes, { after: gate.promise });
    const running = host.start({ path: "/set.zip?signature=canary", bytes }, options);
    while (host.gets().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const seen = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
    gate.resolve();
    expect((await running.result).stderr).toContain("created");
    expect(seen).toContain(fetcher);
    expect(seen).not.toContain("canary");
  });

  it.skipIf(skip)("reads no configuration of the person's", async () => {
    const home = join(scratch, `home of ${fetcher}`);
    mkdirSync(join(home, ".config", "aria2"), { recursive: true });
    writeFileSync(join(home, ".curlrc"), 'user-agent = "canary"\n');
    writeFileSync(join(home, ".wgetrc"), "user_agent = canary\n");
    for (const place of [".config/aria2/aria2.conf", ".aria2/aria2.conf"]) {
      mkdirSync(join(home, place, ".."), { recursive: true });
      writeFileSync(join(home, place), "user-agent=canary\n");
    }
    writeFileSync(join(home, ".netrc"), "machine 127.0.0.1 login me password canary\n", { mode: 0o600 });
    const headers: string[] = [];
    host.server.handle("/who/", (request, response) => {
      headers.push(JSON.stringify(request.headers));
      response.writeHead(200, { "Content-Length": 2 }).end(request.method === "HEAD" ? undefined : "hi");
    });
    const run = await fetchSet({ path: "/who/a.txt", sha256: sha256("hi"), more: { HOME: home } });
    expect(run.stderr).toContain("created");
    expect(headers.length).toBeGreaterThanOrEqual(2);
    expect(headers.join()).not.toMatch(/canary|[Aa]uthorization/);
  });

  it.skipIf(skip)("says how far it is every five seconds, in plain lines", async () => {
    host.server.serve("/set.zip", large, { rate: 900_000 });
    const run = await fetchSet({ bytes: large, more: { CONNECTIONS: "1" } });
    expect(run.stderr).toMatch(
      /^data set: \d\.\d MB of 6\.4 MB, (0\.[5-9]|1\.0) MB\/s, \d s left\ndata set: unpacking/m,
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
    expect(run.stderr).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });
});

/** Starts the download of `large` and kills it once half of it is there; the server serves it well from then on. */
async function killHalfway(wanted: Wanted, options: ScriptOptions, etag = '"1"'): Promise<void> {
  // Slow enough for aria2c, which opens seven connections, to note down at least once what it has: each second.
  const rate = options.path?.includes("aria2c") ? 250_000 : 2_000_000;
  host.server.serve("/set.zip", large, { rate, etag });
  const running = host.start(wanted, options);
  while (host.server.bytesSent < HALF) await new Promise((resolve) => setTimeout(resolve, 10));
  running.kill("all");
  await running.result;
  host.server.serve("/set.zip", large, { rate: 4_000_000, etag });
  host.server.forget();
}
const HALF = large.length / 2;

describe("dataset.sh and what an earlier run left", () => {
  const aria2c = () => ({ path: pathWith(join(scratch, "with aria2c"), "aria2c curl python3 flock") });
  const onlyCurl = () => ({ path: pathWith(join(scratch, "only curl"), "curl python3 flock") });
  const onlyWget = () => ({ path: pathWith(join(scratch, "only wget"), "wget python3 flock") });
  beforeEach(() => {
    mkdirSync(at(".gpubox", "set"), { recursive: true });
    host.server.serve("/set.zip", large);
  });

  it.each([
    ["curl", onlyCurl],
    ["wget", onlyWget],
  ])("takes a complete download as such when the server answers 416 to %s", async (_, options) => {
    writeFileSync(part(large, "part"), large);
    expect((await host.fetch({ bytes: large }, options())).stderr).toContain("created");
    expect(host.server.bytesSent).toBe(0);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("sets the complete download of another file aside, and downloads at the next run", async () => {
    writeFileSync(part(large, "part"), Buffer.alloc(large.length));
    const run = await host.fetch({ bytes: large }, onlyCurl());
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`expected sha256 ${sha256(large)}`);
    expect(run.stderr).toContain(`received sha256 ${sha256(Buffer.alloc(large.length))}`);
    expect((await host.fetch({ bytes: large }, onlyCurl())).stderr).toContain("created");
  });

  it.each([
    ["no .aria2 file", () => writeFileSync(part(large, "parts"), Buffer.alloc(large.length))],
    [
      "an .aria2 file that was cut off",
      () => {
        writeFileSync(part(large, "parts"), Buffer.alloc(1000));
        writeFileSync(part(large, "parts.aria2"), "");
      },
    ],
    ["an .aria2 file alone", () => writeFileSync(part(large, "parts.aria2"), "\0\x01")],
  ])("does not believe a part of aria2c with %s", async (_, leave) => {
    leave();
    expect((await host.fetch({ bytes: large }, aria2c())).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it.each([
    // What came in the last second, or is under way, may be lost.
    ["aria2c", aria2c, aria2c, 2_000_000],
    ["curl", onlyCurl, onlyCurl, 0],
    ["wget", onlyWget, onlyWget, 0],
    ["aria2c, to which curl cannot add", aria2c, onlyCurl, HALF],
    ["curl, to which aria2c cannot add", onlyCurl, aria2c, 0],
  ])("goes on after a kill of %s", async (_, before, after, lost) => {
    await killHalfway({ bytes: large }, before());
    const run = await host.fetch({ bytes: large }, after());
    expect(run.stderr).toContain("created");
    expect(host.server.bytesSent).toBeLessThanOrEqual(HALF + lost + 300_000);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("asks for nothing it has: a refused archive is not downloaded again", async () => {
    const evil = zip([{ path: "../evil", content: "x" }]);
    host.server.serve("/set.zip", evil);
    expect((await host.fetch({ bytes: evil })).code).toBe(1);
    host.server.forget();
    expect((await host.fetch({ bytes: evil })).code).toBe(1);
    expect(host.server.requests).toEqual([]);
  });
});

describe("dataset.sh and its urls", () => {
  it("needs neither curl nor wget where there is aria2c", async () => {
    const path = pathWith(join(scratch, "aria2c alone"), "aria2c bsdtar flock");
    host.server.serve("/set.zip", large);
    expect((await host.fetch({ bytes: large }, { path })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("names a host that cannot be reached", async () => {
    const run = await host.fetch({ urls: "http://127.0.0.1:1/set.zip", bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot download http://127.0.0.1:1/set.zip");
  });

  it("sets a file with a flipped byte aside and prints both hashes", async () => {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(50) ^ 1, 50);
    host.server.serve("/set.zip", flipped);
    const run = await host.fetch({ bytes });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`expected sha256 ${sha256(bytes)}`);
    expect(run.stderr).toContain(`received sha256 ${sha256(flipped)}`);
    const kept = at(".gpubox", "set", `rejected-${sha256(flipped).slice(0, 8)}`);
    expect(run.stderr).toContain(kept);
    expect(readFileSync(kept)).toEqual(flipped);
    expectNothingInPlace();
  });

  it("tries the next url, also where the one before is unpacked before its hash is known", async () => {
    host.server.serve("/page/set.zip", bytes, { always: { kind: "html" } });
    host.server.serve("/other/set.zip", zip([{ path: "other", content: "x" }]));
    host.server.serve("/evil/set.zip", zip([{ path: "../evil", content: "x" }]));
    host.server.serve("/mirror/set.zip", bytes);
    const paths = ["/gone.zip", "/page/set.zip", "/other/set.zip", "/evil/set.zip", "/mirror/set.zip"];
    const urls = paths.map((path) => `  ${host.server.url(path)}\n`).join("");
    const run = await host.fetch({ urls, bytes });
    expect(run.stderr).toContain(`cannot download ${host.server.url("/gone.zip")}: the server answers 404`);
    for (const path of ["/page", "/other", "/evil"]) {
      expect(run.stderr).toContain(
        `${host.server.url(`${path}/set.zip`)} is not the file that was asked for`,
      );
    }
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it.each([
    "aria2c curl python3 flock",
    "curl python3 flock",
  ])("learns the size of a file whose url is signed for GET alone: %s", async (tools) => {
    const path = pathWith(join(scratch, tools), tools);
    host.server.serve("/set.zip", large, { head: 403 });
    const run = await host.fetch({ bytes: large, more: { SIZE: "7" } }, { path });
    expect(run.stderr).toContain(`it has ${large.length} bytes, not the 7 that are expected`);
    expect(host.server.bytesSent).toBe(1);
    expect((await host.fetch({ bytes: large }, { path })).stderr).toContain("(6.4 MB)");
  });
});

describe("dataset.sh and what is known of a file", () => {
  beforeEach(() => host.server.serve("/set.zip", bytes));
  const md5 = (of: Uint8Array) =>
    createHash("md5")
      .update(of.subarray(0, 1 << 20))
      .digest("hex");

  it("compares the size before it downloads, and after where the server does not tell", async () => {
    const wrong = { sha256: "", more: { SIZE: "12" } };
    const run = await host.fetch(wrong);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`it has ${bytes.length} bytes, not the 12 that are expected`);
    expect(host.gets()).toEqual([]);

    host.server.handle("/untold/", (request, response) => {
      response.writeHead(200);
      response.end(request.method === "HEAD" ? undefined : bytes);
    });
    const after = await host.fetch({ ...wrong, path: "/untold/set.zip" });
    expect(after).toMatchObject({ code: 1, stdout: "" });
    expect(after.stderr).toContain(`it has ${bytes.length} bytes, not the 12 that are expected`);
    expectNothingInPlace();
    const right = { path: "/untold/set.zip", more: { SIZE: String(bytes.length) } };
    expect((await host.fetch(right)).stderr).toContain("created");
  });

  it.each(["md5sum python3", "python3"])("compares the MD5 of the first MiB, by %s", async (md5s) => {
    const path = pathWith(join(scratch, md5s), `curl flock ${md5s}`);
    host.server.serve("/set.zip", large);
    const wrong = md5(bytes);
    const run = await host.fetch({ more: { HEAD_MD5: wrong } }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`the MD5 of its first MiB is ${md5(large)}, not ${wrong} as expected`);
    expectNothingInPlace();
    const right = await host.fetch({ more: { HEAD_MD5: md5(large).toUpperCase() } }, { path });
    expect(right.stderr).toContain("created");
    // A SHA-256 says more.
    const both = await host.fetch({ bytes: large, folder: "both", more: { HEAD_MD5: wrong } }, { path });
    expect(both.stderr).toContain("created");
  });

  it("needs a program for the MD5", async () => {
    const path = pathWith(join(scratch, "no md5"), "curl flock unzip");
    const run = await host.fetch({ more: { HEAD_MD5: md5(bytes) } }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("needs md5sum, md5 or python3");
    expect(host.server.requests).toEqual([]);
  });

  it("counts the files", async () => {
    const run = await host.fetch({ bytes, more: { FILES: "3" } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("/set.zip has 2 files, not the 3 that are expected");
    expectNothingInPlace();
    expect((await host.fetch({ bytes, more: { FILES: "2" } })).stderr).toContain("created");
  });
});

describe("dataset.sh without a hash", () => {
  const record = () => at(".gpubox", "set", "seen");
  const newer = zip([{ path: "new.txt", content: "new" }]);
  beforeEach(() => host.server.serve("/set.zip", bytes));

  it("records what it sees first, shows it, and is as quick as with one from then on", async () => {
    const run = await host.fetch({});
    expect(run).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(run.stderr).toContain(`\ndata set:   sha256: ${sha256(bytes)}\n`);
    expect(run.stderr).toContain(record());
    expect(readFileSync(record(), "utf8")).toContain(
      `sha256 ${sha256(bytes)}\nsize ${bytes.length}\nurl ${host.server.url("/set.zip")}\n`,
    );
    host.server.forget();
    for (const hash of ["", sha256(bytes)]) {
      expect((await host.fetch({ sha256: hash })).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    }
    // Another place of the same file.
    const urls = `${host.server.url("/mirror/set.zip")}\n${host.server.url("/set.zip")}`;
    expect((await host.fetch({ urls })).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    expect(host.server.requests).toEqual([]);
  });

  it.each([
    ["another size, which shows before the download", newer, "bytes, not the"],
    ["the same size", Buffer.from(bytes).fill("#", 40, 45), "received sha256"],
  ])("refuses a later file of %s, until the record is removed", async (_, other, message) => {
    await host.fetch({});
    removeFolder(at("set"));
    host.server.serve("/set.zip", other);
    host.server.forget();
    const run = await host.fetch({});
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(message);
    const remove = /rm '.*?'/.exec(run.stderr)?.[0] ?? "";
    expect(remove).toContain(record());
    expectNothingInPlace();

    execFileSync("sh", ["-c", remove]);
    host.server.serve("/set.zip", newer);
    expect((await host.fetch({})).stderr).toContain(`sha256: ${sha256(newer)}`);
    expect(dataIn("set")).toEqual({ "new.txt": "new" });
  });

  it("puts the new file beside the old one when the record was removed", async () => {
    await host.fetch({});
    host.server.serve("/set.zip", newer);
    rmSync(record());
    const beside = `set-${sha256(newer).slice(0, 8)}`;
    expect(await host.fetch({})).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(dataIn(beside)).toEqual({ "new.txt": "new" });
    expect((await host.fetch({})).stderr).toBe(`data set: unchanged: ${at(beside)}\n`);

    // The record is lost, and the file is what is there: found out by downloading it.
    rmSync(record());
    const again = await host.fetch({});
    expect(again).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(again.stderr).toContain("unchanged");
    expect(readdirSync(at(".gpubox", "set")).sort()).toEqual(["lock", "seen"]);
  });

  it("takes other urls, also in the query alone, for another file", async () => {
    await host.fetch({ path: "/set.zip?id=3&signature=canary" });
    expect(readFileSync(record(), "utf8")).not.toContain("canary");
    host.server.serve("/set.zip", newer);
    const beside = `set-${sha256(newer).slice(0, 8)}`;
    const run = await host.fetch({ path: "/set.zip?id=4&signature=canary" });
    expect(run).toMatchObject({ code: 0, stdout: `${at(beside)}\n` });
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("records nothing that cannot be unpacked, and goes on with the next url", async () => {
    host.server.serve("/page/set.zip", bytes, { always: { kind: "html" } });
    host.server.serve("/short/set.zip", bytes, { always: { kind: "short", bytes: 60 } });
    host.server.serve("/evil/set.zip", zip([{ path: "../evil", content: "x" }]));
    const bad = ["/page/set.zip", "/short/set.zip", "/evil/set.zip"].map((path) => host.server.url(path));
    const run = await host.fetch({ urls: bad.join("\n") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("it is an HTML page, not set.zip");
    expect(run.stderr).toContain(`it has 60 bytes, not the ${bytes.length} that the server announced`);
    expect(run.stderr).toContain("../evil leads out of the folder");
    expect(existsSync(record())).toBe(false);
    expectNothingInPlace();
    const urls = [...bad, host.server.url("/set.zip")].join("\n");
    expect((await host.fetch({ urls })).stderr).toContain(`sha256: ${sha256(bytes)}`);
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("refuses a page in place of a plain file, which has no directory to be wrong", async () => {
    host.server.serve("/a.csv", Buffer.from("1,2"), { always: { kind: "html" } });
    const run = await host.fetch({ path: "/a.csv" });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("it is an HTML page, not a.csv");
    host.server.serve("/a.html", Buffer.from("<!doctype html>"));
    expect((await host.fetch({ path: "/a.html" })).stderr).toContain("created");
  });

  it.each([
    "aria2c curl python3 flock",
    "curl python3 flock",
  ])("goes on only with the same version of the file: %s", async (tools) => {
    const options = { path: pathWith(join(scratch, tools), tools) };
    const changed = zip([{ path: "a.bin", content: LARGE.replaceAll("0", "z") }]);
    await killHalfway({ folder: "same" }, options);
    expect((await host.fetch({ folder: "same" }, options)).stderr).toContain(`sha256: ${sha256(large)}`);
    expect(host.server.bytesSent).toBeLessThan(large.length - 1_000_000);

    await killHalfway({ folder: "changed" }, options);
    host.server.serve("/set.zip", changed, { etag: '"2"' });
    const run = await host.fetch({ folder: "changed" }, options);
    expect(run.stderr).toContain(`sha256: ${sha256(changed)}`);
    expect(host.server.bytesSent).toBeGreaterThanOrEqual(large.length);
  });

  it("leaves a folder that it did not make, before it downloads", async () => {
    mkdirSync(at("set"));
    writeFileSync(at("set", "mine.txt"), "mine");
    expect(await host.fetch({})).toMatchObject({ code: 3, stdout: "" });
    expect(host.server.requests).toEqual([]);
  });
});

describe("dataset.sh and the archive", () => {
  const kept = () => at("set.archive", "set.zip");
  const keep = { bytes, more: { KEEP_ARCHIVE: "1" } };
  beforeEach(() => host.server.serve("/set.zip", bytes));

  it("keeps it where it is asked to, and unpacks it again without a download", async () => {
    expect((await host.fetch(keep)).stderr).toContain(`the archive is kept: ${kept()}\n`);
    expect(readFileSync(kept())).toEqual(bytes);
    expect(dataIn("set")).toEqual(UNPACKED);
    removeFolder(at("set"));
    host.server.forget();
    expect((await host.fetch(keep)).stderr).toContain("created");
    expect(host.server.requests).toEqual([]);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(readFileSync(kept())).toEqual(bytes);
  });

  it("leaves another file there as it is", async () => {
    mkdirSync(at("set.archive"));
    writeFileSync(kept(), "mine");
    const run = await host.fetch(keep);
    expect(run.stderr).toContain(`${kept()} is there already and is left as it is`);
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(readFileSync(kept(), "utf8")).toBe("mine");
  });
});

/** Connections to the loopback server that are open at this moment, as the kernel lists them. */
function openConnections(): number {
  const port = Number(new URL(host.server.url("/")).port)
    .toString(16)
    .toUpperCase()
    .padStart(4, "0");
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n");
  return lines.filter((line) => new RegExp(`^ *\\d+: \\S+ \\S+:${port} 01 `).test(line)).length;
}

describe("dataset.sh, several at once", () => {
  const skip = lacks(!existsSync("/proc/net/tcp") || missingPrograms("aria2c"), "counting connections");

  it.skipIf(skip)("stays within the connections of all data sets of the root", async () => {
    host.server.serve("/set.zip", large, { rate: 1_500_000 });
    const folders = ["one", "two", "three"];
    const more = { CONNECTIONS: "6" };
    let most = 0;
    const counting = setInterval(() => {
      most = Math.max(most, openConnections());
    }, 10);
    const runs = await Promise.all(folders.map((folder) => host.fetch({ folder, bytes: large, more })));
    clearInterval(counting);
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(runs.some(({ stderr }) => stderr.includes("waiting for other data sets to download"))).toBe(true);
    // Beside the downloads themselves, each set may be asking how large its file is.
    expect(most).toBeGreaterThanOrEqual(5);
    expect(most).toBeLessThanOrEqual(7);
    for (const folder of folders) expect(dataIn(folder)["a.bin"]).toBe(LARGE);
  });

  it("does not wait for one that was killed", async () => {
    const gate = Promise.withResolvers<void>();
    host.server.serve("/set.zip", bytes);
    host.server.serve("/slow.zip", bytes, { after: gate.promise });
    const more = { CONNECTIONS: "1" };
    const first = host.start({ folder: "one", path: "/slow.zip", bytes, more });
    await first.said(/downloading/);
    const second = host.start({ folder: "two", bytes, more });
    await second.said(/waiting for other data sets/);
    expect(host.gets().map(({ url }) => url)).not.toContain("/set.zip");
    first.kill("all");
    expect((await second.result).stderr).toContain("created");
    gate.resolve();
    await first.result;
  });
});

describe("dataset.sh and a full disk", () => {
  const disk = join(scratch, "disk");
  let mounted = false;
  beforeAll(() => {
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], { stdio: "ignore" });
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
    host.root = disk;
    removeFolder(at());
    execFileSync("mount", ["-o", "remount,size=3m", disk]);
    mkdirSync(at(), { recursive: true });
  });
  const big = Buffer.alloc(4_000_000, "x");

  it("asks for nothing that does not fit", async () => {
    host.server.serve("/big.bin", big);
    const run = await host.fetch({ path: "/big.bin", bytes: big });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/the download needs 4.0 MB in .*, and 3.1 MB are free \(http.*big.bin\)/);
    expect(host.server.bytesSent).toBe(0);
    expectNothingInPlace();
  });

  it("counts what an archive unpacks to", async () => {
    const archive = zip([{ path: "a.bin", content: "x".repeat(2_000_000) }]);
    host.server.serve("/set.zip", archive);
    const run = await host.fetch({ bytes: archive });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(
      /the download needs 4.0 MB, at least half of it to unpack, in .*, and 3.1 MB are free/,
    );
    expect(host.server.bytesSent).toBe(0);
    expectNothingInPlace();
  });

  it.each([
    "",
    "has no hash",
  ])("unpacks nothing that does not fit, and has the archive when there is room (%s)", async (unknown) => {
    const archive = gzipSync(tar([{ path: "big.bin", content: "x".repeat(5_000_000) }]));
    host.server.serve("/set.tar.gz", archive, { etag: '"1"' });
    const wanted = { path: "/set.tar.gz", ...(unknown ? {} : { bytes: archive }) };
    const run = await host.fetch(wanted);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/unpacking 1 files needs 5.0 MB in .*, and 3.1 MB are free/);
    expectNothingInPlace();
    execFileSync("mount", ["-o", "remount,size=9m", disk]);
    host.server.forget();
    const again = await host.fetch(wanted);
    expect(again.stderr).toContain("created");
    expect(host.gets()).toEqual([]);
  });

  it.each(FETCHERS)("leaves no half a file where the server does not say how large it is: $fetcher", async ({
    tools,
  }) => {
    const path = pathWith(join(scratch, tools), tools);
    host.server.handle("/untold/", (request, response) => {
      response.writeHead(200);
      response.end(request.method === "HEAD" ? undefined : big);
    });
    const run = await host.fetch({ path: "/untold/big.bin", bytes: big }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot write the download of");
    expectNothingInPlace();
    expect(readdirSync(at(".gpubox", "set")).filter((name) => name.includes(".part"))).toEqual([]);
  });
});
