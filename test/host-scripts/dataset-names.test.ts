import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { tar, zip } from "../support/archives.ts";
import { datasetHost, PICTURES, UNPACKED } from "../support/dataset-host.ts";
import { removeFolder } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { at, dataIn, expectNothingInPlace } = host;

/** Serves a file with these headers. */
const serve = (path: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
  host.server.handle(path, (request, response) => {
    response.writeHead(200, { "Content-Length": Buffer.byteLength(body), ...headers });
    response.end(request.method === "HEAD" ? undefined : body);
  });
const named = (disposition: string) => ({ "Content-Disposition": disposition });
/** A file as it is handed out, where others keep theirs. */
const input = (name: string) => readFileSync(new URL(`inputs/${name}`, import.meta.url));

const bytes = zip(PICTURES);
const tarred = tar(PICTURES);

describe("dataset and the name of a file", () => {
  it.each([
    ["attachment; filename=labels.csv; size=4", "labels.csv"],
    ['inline; FileName = "labels.csv"', "labels.csv"],
    ["attachment; filename*=UTF-8''Zo%C3%AB%20%F0%9F%90%A6.csv; filename=\"old.csv\"", "Zoë 🐦.csv"],
    ["attachment; filename*=iso-8859-1'en'%A3%20rates.csv", "£ rates.csv"],
    ["attachment; filename*=utf-16''x; filename=labels.csv", "labels.csv"],
    ['attachment; filename="say \\"hi\\"; a.csv"', 'say "hi"; a.csv'],
    ['attachment; filename="../../etc/labels.csv"', "labels.csv"],
    ['attachment; filename="C:\\Users\\me\\labels.csv"', "labels.csv"],
    ["attachment; filename*=UTF-8''..%2F..%2Fevil.csv", "evil.csv"],
    ["attachment; filename*=UTF-8''a%0Ab.csv", "content"],
    ["attachment; filename*=UTF-8''a%00b.csv", "content"],
    ['attachment; filename=".."', "content"],
    ['attachment; filename=".gpubox.json"', "content"],
    [`attachment; filename="${"a".repeat(300)}.csv"`, "content"],
    ["attachment", "content"],
  ])("takes it from the server: %s", async (disposition, name) => {
    serve("/files/a.csv/content", "1,2\n", named(disposition));
    const run = await host.fetch({ path: "/files/a.csv/content" });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ [name]: "1,2\n" });
  });

  it("takes it from the answer that brings the file", async () => {
    // As UTF-8 in place of the encoding that is the standard's.
    serve("/raw/content", "1,2\n", named(Buffer.from('attachment; filename="Zoë.csv"').toString("latin1")));
    host.server.handle("/moved/", (_, response) => {
      response.writeHead(302, { Location: "/raw/content", ...named("attachment; filename=no.zip") }).end();
    });
    expect((await host.fetch({ path: "/moved/x" })).stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "Zoë.csv": "1,2\n" });
  });

  it("takes the one that the configuration gives before any other", async () => {
    serve("/get.zip", "1,2\n", named("attachment; filename=other.zip"));
    const run = await host.fetch({ path: "/get.zip", more: { NAME: "labels.csv" } });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "labels.csv": "1,2\n" });
  });

  it("knows it still where an earlier run has downloaded the file", async () => {
    serve("/files/x/content", bytes, named("attachment; filename=birds.zip"));
    const wanted = { path: "/files/x/content", bytes, more: { KEEP_ARCHIVE: "1" } };
    const wrong = await host.fetch({ ...wanted, more: { ...wanted.more, FILES: "7" } });
    expect(wrong.stderr).toContain("has 2 files, not the 7 that are expected");
    host.server.forget();
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(readdirSync(at("set.archive"))).toEqual(["birds.zip"]);
    // And where the archive is all that is left.
    removeFolder(at("set"));
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(host.server.requests).toEqual([]);
  });
});

describe("dataset and what kind of file it is", () => {
  const compressed: [string, Buffer][] = [
    ["zip", bytes],
    ["tar", tarred],
    ["tar.gz", gzipSync(tarred)],
    ["tar.zst", zstdCompressSync(tarred)],
    ["tar.xz", execFileSync("xz", ["-c"], { input: tarred })],
    ["tar.bz2", execFileSync("bzip2", ["-c"], { input: tarred })],
  ];

  it.each(compressed)("unpacks a %s that the server names so", async (ending, body) => {
    serve("/files/birds/content", body, named(`attachment; filename="birds.${ending}"`));
    const run = await host.fetch({ path: "/files/birds/content" });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it.each(compressed)("knows a %s by its bytes, where no name says anything", async (_, body) => {
    serve("/records/7/content", body);
    expect((await host.fetch({ path: "/records/7/content" })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it.each([
    ["/get.php", bytes],
    ["/birds-1.0", bytes],
    ["/birds.zip", gzipSync(tarred)],
    ["/birds.tar.gz", bytes],
  ])("does not hold a name against the bytes: %s", async (path, body) => {
    serve(path, body);
    expect((await host.fetch({ path: `${path}?id=3` })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it.each([
    ["labels.csv", bytes, "labels.csv is a zip archive, and is kept as it is", "name: 'labels.zip'"],
    ["labels.csv", tarred, "labels.csv is a tar archive, and is kept as it is", "name: 'labels.tar'"],
    ["labels.csv", gzipSync("1,2\n"), "labels.csv is compressed by gzip, and is kept as it is", ""],
    ["birds.gz", gzipSync(tarred), "birds.gz is a tar archive, compressed by gzip,", "name: 'birds.tar'"],
    ["content", gzipSync("1,2\n"), "content is compressed by gzip, and is kept as it is", ""],
    ["birds.7z", Buffer.from("377abcaf271c0004", "hex"), "birds.7z is a 7z archive, and is kept", ""],
    ["birds", Buffer.from("526172211a0700cf", "hex"), "birds is a rar archive, and is kept", ""],
  ])("keeps a plain file %s as it is, and says what it is", async (name, body, message, advice) => {
    serve(`/plain/${name}`, body);
    const run = await host.fetch({ path: `/plain/${name}` });
    expect(run.stderr).toContain("created");
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain(advice);
    expect(readFileSync(at("set", name))).toEqual(body);
    if (!advice) return;
    // It is said as long as it is so, and the advice helps.
    expect((await host.fetch({ path: `/plain/${name}` })).stderr).toContain(message);
    const NAME = /name: '(.*)'/.exec(run.stderr)?.[1] ?? "";
    execFileSync("sh", ["-c", /rm -r .*/.exec(run.stderr)?.[0] ?? ""]);
    expect((await host.fetch({ path: `/plain/${name}`, more: { NAME } })).stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it.each([
    ["labels.csv.gz", gzipSync("1,2\n")],
    ["model.pth", bytes],
    ["labels.csv", Buffer.from("1,2\n")],
  ])("has nothing to say of %s as it is to be", async (name, body) => {
    serve(`/plain/${name}`, body);
    const run = await host.fetch({ path: `/plain/${name}` });
    expect(run.stderr).toContain("created");
    expect(run.stderr).not.toContain("is kept as it is");
    expect(readFileSync(at("set", name))).toEqual(body);
  });
});

describe("dataset and a zip from elsewhere", () => {
  const fetchInput = async (name: string) => {
    serve(`/inputs/${name}`, input(name));
    return host.fetch({ path: `/inputs/${name}` });
  };

  it("reads the names that WinRAR writes", async () => {
    expect((await fetchInput("winrar.zip")).stderr).toContain("created");
    expect(Object.keys(dataIn("set")).sort()).toEqual(["狗/二.jpg", "猫/一.jpg"].sort());
  });

  it("takes no name in UTF-8 that is of another one", async () => {
    const body = zip([
      { path: "a.txt", unicodePath: "ä.txt", content: "1", unmarked: true },
      { path: "b.txt", unicodePath: "β.txt", content: "2", unmarked: true, staleUnicodePath: true },
      { path: "Zoë.txt", content: "3" },
    ]);
    serve("/set.zip", body);
    expect((await host.fetch({})).stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "ä.txt": "1", "b.txt": "2", "Zoë.txt": "3" });
  });

  it("checks where a name in UTF-8 leads", async () => {
    serve("/set.zip", zip([{ path: "a.txt", unicodePath: "../evil", content: "x", unmarked: true }]));
    const run = await host.fetch({});
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("../evil leads out of the folder");
    expectNothingInPlace();
  });

  it("unpacks what Windows compresses by Deflate64", async () => {
    expect((await fetchInput("deflate64.zip")).stderr).toContain("created");
    const lines = dataIn("set")["labels.csv"]?.trimEnd().split("\n") ?? [];
    expect(lines).toHaveLength(900);
  });

  it.each([
    [77, "method 77"],
    [98, "PPMd (method 98)"],
  ])("refuses method %i before anything is written, also where other entries have another", async (method, name) => {
    serve(
      "/set.zip",
      zip([
        { path: "a.txt", content: "1" },
        { path: "b.txt", content: "2".repeat(100), deflated: true },
        { path: "c.txt", content: "3", method },
      ]),
    );
    const run = await host.fetch({});
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`/set.zip is compressed by ${name}`);
    expect(run.stderr).not.toContain("unpacking");
    expectNothingInPlace();
    expect(existsSync(at(".gpubox", "set", "seen"))).toBe(false);
  });
});

describe("dataset and what archivers leave beside the folder", () => {
  it("strips the folder of an archive from macOS", async () => {
    serve("/birds.tgz", input("birds-mac.tgz"));
    expect((await host.fetch({ path: "/birds.tgz" })).stderr).toContain("created");
    expect(Object.keys(dataIn("set"))).toEqual(expect.arrayContaining(["train/1.jpg", "train/2.jpg"]));
    expect(readdirSync(at("set")).sort()).toEqual(["._train", ".gpubox.json", "train"]);
  });

  it("does not count hidden files of macOS and Windows", async () => {
    const litter = ["._birds", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/birds/._x"];
    const body = zip([{ path: "birds/x", content: "1" }, ...litter.map((path) => ({ path, content: "2" }))]);
    serve("/set.zip", body);
    expect((await host.fetch({})).stderr).toContain("created");
    expect(dataIn("set")).toEqual({ x: "1" });
  });

  it("counts every other file", async () => {
    const body = zip([
      { path: "birds/x", content: "1" },
      { path: ".labels", content: "2" },
    ]);
    serve("/set.zip", body);
    expect((await host.fetch({})).stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "birds/x": "1", ".labels": "2" });
  });
});

describe("dataset and a page in place of a file", () => {
  const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, "utf16le");
  const pages: [string, string | Buffer][] = [
    ["a mark of byte order", "\ufeff<!DOCTYPE html><html><body>Log in</body></html>"],
    ["white space", "\r\n\t  <HTML>"],
    ["a comment", "<!-- portal 7 -->\n<!-- <b> -->\n<!doctype html>"],
    ["a long comment", `<!-- ${"portal ".repeat(1000)}-->\n<html lang="en">`],
    [
      "XHTML",
      '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">',
    ],
    ["XHTML without a doctype", '<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">'],
    ["a script", "<script>location.href = '/login'</script>"],
    ["a head", "<head><title>Log in</title></head>"],
    ["a refresh", '<META HTTP-EQUIV="refresh" CONTENT="0; url=/login">'],
    ["UTF-16", utf16("<!DOCTYPE html><html>")],
    ["UTF-16, in the other order", utf16("<html>").swap16()],
  ];
  const refused = async (path: string) => {
    const run = await host.fetch({ path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("it is an HTML page, not labels.csv");
    expectNothingInPlace();
    expect(existsSync(at(".gpubox", "set", "seen"))).toBe(false);
  };

  it.each(pages)("refuses one that begins with %s, and records nothing", async (_, body) => {
    serve("/labels.csv", body, { "Content-Type": "text/csv" });
    await refused("/labels.csv");
  });

  it.each([
    "text/html",
    "Text/HTML; charset=utf-8",
    "application/xhtml+xml",
  ])("refuses what the server says is one: %s", async (type) => {
    serve("/labels.csv", "Please log in.\n", { "Content-Type": type });
    await refused("/labels.csv");
  });

  it("hears that from the answer that brings it", async () => {
    serve("/labels.csv", "Please log in.\n", { "Content-Type": "text/html" });
    const run = await host.fetch({ path: "/labels.csv" });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("it is an HTML page, not labels.csv");
  });

  it("takes the next url instead", async () => {
    serve("/portal/labels.csv", "<html>", { "Content-Type": "text/html" });
    serve("/mirror/labels.csv", "1,2\n");
    const urls = `${host.server.url("/portal/labels.csv")}\n${host.server.url("/mirror/labels.csv")}`;
    expect((await host.fetch({ urls })).stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "labels.csv": "1,2\n" });
  });

  it.each([
    ["a page that is asked for", "index.html", "<!doctype html>", "text/html"],
    ["an archive whose server says so of all", "set.zip", bytes, "text/html"],
    ["bytes whose server says so of all", "weights.bin", Buffer.from([1, 0, 2, 0]), "text/html"],
    ["Markdown after a comment", "README.md", "<!-- a comment -->\n# <html> for birds\n", "text/plain"],
    ["XML of another kind", "1.xml", '<?xml version="1.0"?>\n<annotation><html/></annotation>\n', "text/xml"],
    ["a list of tags", "tags.csv", "<htmlx>,<head>\n", "text/csv"],
    ["nothing at all", "empty.csv", "", "text/html"],
  ])("takes %s", async (_, name, body, type) => {
    serve(`/${name}`, body, { "Content-Type": type });
    expect((await host.fetch({ path: `/${name}` })).stderr).toContain("created");
  });

  it("takes a file that has the hash, whatever the server says", async () => {
    const body = Buffer.from("1,2\n");
    serve("/labels.csv", body, { "Content-Type": "text/html" });
    expect((await host.fetch({ path: "/labels.csv", bytes: body })).stderr).toContain("created");
  });
});
