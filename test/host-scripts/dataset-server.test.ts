import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import {
  datasetHost,
  LARGE,
  large,
  PICTURES,
  sha256,
  UNPACKED,
  type Wanted,
} from "../support/dataset-host.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;

const bytes = zip(PICTURES);

/** Bytes that may be under way when a connection is closed. */
const SLACK = 300_000;

describe("dataset and a server that fails", () => {
  const fetchSet = (wanted: Wanted) => host.fetch(wanted);

  it.each([
    [{ kind: "status", status: 404 }, 1, "the server answers 404"],
    [{ kind: "status", status: 403 }, 1, "the server answers 403"],
    [{ kind: "status", status: 500 }, 5, "the server answers 500"],
    [{ kind: "status", status: 503 }, 5, "the server answers 503"],
    [{ kind: "html" }, 1, "is not the file that was asked for: it is an HTML page, not set.zip"],
    [{ kind: "short", bytes: 40 }, 1, "received sha256"],
    [{ kind: "length", claimed: 40 }, 1, "received sha256"],
    [{ kind: "cut", after: 0 }, 5, "cannot download"],
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

  it("gives up on a file that is shorter than the server claims, a bounded time", async () => {
    host.server.serve("/set.zip", bytes, { always: { kind: "length", claimed: bytes.length + 10 } });
    const run = await fetchSet({ bytes });
    // Where the answer to what is left is "there is no more", the file was complete after all.
    if (run.code === 0) expect(dataIn("set")).toEqual(UNPACKED);
    else expect(run.stderr).toContain(`cannot download ${host.server.url("/set.zip")}`);
    expect(host.gets().length).toBeLessThanOrEqual(5);
  });

  it("goes on where a connection broke, and after a 503, as long as it gets further", async () => {
    const cut = { kind: "cut", after: 500_000 } as const;
    const unavailable = { kind: "status", status: 503 } as const;
    host.server.serve("/set.zip", large, {
      faults: [cut, unavailable, cut, cut, unavailable, cut, cut, unavailable, cut],
      // As fast as it goes, more than was asked for is under way when the first connection is closed.
      rate: 4_000_000,
    });
    const run = await fetchSet({ bytes: large });
    expect(run.stderr).toContain("created");
    expect(host.server.requests.filter(({ range }) => range !== undefined)).not.toHaveLength(0);
    expect(host.server.bytesSent).toBeLessThanOrEqual(large.length + SLACK * 3);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("starts over, a bounded number of times, where the server cannot go on", async () => {
    host.server.serve("/set.zip", large, {
      faults: [{ kind: "cut", after: 100_000 }],
      always: { kind: "no-ranges" },
    });
    expect((await fetchSet({ bytes: large })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("follows a redirection, and shows no signature of either", async () => {
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

  it("takes an empty file", async () => {
    host.server.serve("/empty.csv", new Uint8Array());
    const run = await fetchSet({ path: "/empty.csv", sha256: sha256("") });
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "empty.csv": "" });
  });

  it("shows a signature in no process list", async () => {
    const gate = Promise.withResolvers<void>();
    host.server.serve("/set.zip", bytes, { after: gate.promise });
    const running = host.start({ path: "/set.zip?signature=of-this-url-alone", bytes });
    while (host.gets().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const seen = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
    gate.resolve();
    expect((await running.result).stderr).toContain("created");
    expect(seen).toContain("python3");
    expect(seen).not.toContain("of-this-url-alone");
  });

  it("reads no configuration of the person's, and no password for the host", async () => {
    const home = join(scratch, "home");
    mkdirSync(home);
    writeFileSync(join(home, ".curlrc"), 'user-agent = "canary"\n');
    writeFileSync(join(home, ".netrc"), "machine 127.0.0.1 login me password canary\n", { mode: 0o600 });
    const headers: string[] = [];
    host.server.handle("/who/", (request, response) => {
      headers.push(JSON.stringify(request.headers));
      // Without a length and a hash there is a second request, for the headers.
      response.writeHead(200).end(request.method === "HEAD" ? undefined : "hi");
    });
    const run = await fetchSet({ path: "/who/a.txt", more: { HOME: home } });
    expect(run.stderr).toContain("created");
    expect(headers.length).toBeGreaterThanOrEqual(2);
    expect(headers.join()).not.toMatch(/canary|[Aa]uthorization/);
  });
});

describe("dataset and steps that take long", () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
  const TRICKS = /[\x00-\x09\x0b-\x1f]/;

  it("says how far a download is, in plain lines", async () => {
    host.server.serve("/set.zip", large, { rate: 900_000 });
    const { stderr } = await host.fetch({ bytes: large, more: { CONNECTIONS: "1" } });
    expect(stderr).toMatch(
      /^data set: \d\.\d MB of 6\.4 MB, (0\.[5-9]|1\.0) MB\/s, \d s left\ndata set: unpacking/m,
    );
    expect(stderr).not.toMatch(TRICKS);
  });

  it("says how far unpacking is while the file arrives", async () => {
    const files = Array.from({ length: 40 }, (_, n) => ({
      path: `set/${n}`,
      content: LARGE.slice(0, 160_000),
    }));
    const many = zip(files);
    host.server.serve("/many.zip", many, { rate: 400_000 });
    const { stderr } = await host.fetch({ path: "/many.zip", bytes: many, more: { CONNECTIONS: "2" } });
    expect(stderr).toMatch(
      /unpacking 40 files, 6\.4 MB\ndata set: \d\.\d MB of 6\.4 MB, \d\.\d MB\/s, \d s left, [1-9]\d* of 40 files unpacked/,
    );
    expect(stderr).not.toMatch(TRICKS);
  });
});
