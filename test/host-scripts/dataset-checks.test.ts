import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import { datasetHost, large, PICTURES, sha256, UNPACKED } from "../support/dataset-host.ts";
import { removeFolder } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { at, dataIn, expectNothingInPlace } = host;

const bytes = zip(PICTURES);

describe("dataset and its urls", () => {
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

  it("learns the size from the answer that brings the file", async () => {
    host.server.serve("/set.zip", large, { head: 403, always: { kind: "hold", after: 1000 } });
    const run = await host.fetch({ bytes: large, more: { SIZE: "7" } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`it has ${large.length} bytes, not the 7 that are expected`);
    expect(host.server.requests.map(({ method }) => method)).not.toContain("HEAD");
    expect(host.server.bytesSent).toBeLessThanOrEqual(1000);
  });

  it("does not take the headers of an error for those of the file", async () => {
    host.server.handle("/flaky/", (request, response) => {
      const body = request.method === "HEAD" ? Buffer.from("out of order") : bytes;
      response.writeHead(request.method === "HEAD" ? 500 : 200, { "Content-Length": body.length }).end(body);
    });
    const run = await host.fetch({ path: "/flaky/set.zip", more: { SIZE: String(bytes.length) } });
    expect(run.stderr).toContain("created");
  });
});

describe("dataset and what is known of a file", () => {
  beforeEach(() => host.server.serve("/set.zip", bytes));
  const md5 = (of: Uint8Array) =>
    createHash("md5")
      .update(of.subarray(0, 1 << 20))
      .digest("hex");

  it("compares the size before the file is there, and after where the server does not tell", async () => {
    const wrong = { sha256: "", more: { SIZE: "12" } };
    host.server.serve("/set.zip", bytes, { always: { kind: "hold", after: 0 } });
    const run = await host.fetch(wrong);
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`it has ${bytes.length} bytes, not the 12 that are expected`);
    expect(host.gets()).toHaveLength(1);

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

  it("compares the MD5 of the first MiB", async () => {
    host.server.serve("/set.zip", large);
    const wrong = md5(bytes);
    const run = await host.fetch({ more: { HEAD_MD5: wrong } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`the MD5 of its first MiB is ${md5(large)}, not ${wrong} as expected`);
    expectNothingInPlace();
    const right = await host.fetch({ more: { HEAD_MD5: md5(large).toUpperCase() } });
    expect(right.stderr).toContain("created");
    // A SHA-256 says more.
    const both = await host.fetch({ bytes: large, folder: "both", more: { HEAD_MD5: wrong } });
    expect(both.stderr).toContain("created");
  });

  it("counts the files", async () => {
    const run = await host.fetch({ bytes, more: { FILES: "3" } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("/set.zip has 2 files, not the 3 that are expected");
    expectNothingInPlace();
    expect((await host.fetch({ bytes, more: { FILES: "2" } })).stderr).toContain("created");
  });
});

describe("dataset without a hash", () => {
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

  it("leaves a folder that it did not make, before it downloads", async () => {
    mkdirSync(at("set"));
    writeFileSync(at("set", "mine.txt"), "mine");
    expect(await host.fetch({})).toMatchObject({ code: 3, stdout: "" });
    expect(host.server.requests).toEqual([]);
  });
});

describe("dataset and the archive", () => {
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
