import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { tar, zip } from "../support/archives.ts";
import { datasetHost, LARGE, large, PICTURES } from "../support/dataset-host.ts";
import { lacks, removeFolder } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;

const bytes = zip(PICTURES);

/** Connections that are open at the end of who asks: the server hears later that one was closed. */
function connectionsTo(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const established = new RegExp(`^ *\\d+: \\S+ 0100007F:${hex} 01 `, "gm");
  return readFileSync("/proc/net/tcp", "utf8").match(established)?.length ?? 0;
}

describe("dataset, several at once", () => {
  it.each([6, 2])("stays within the %i connections of all data sets of the root", async (limit) => {
    host.server.serve("/set.zip", large, { rate: 1_500_000 });
    const folders = ["one", "two", "three"];
    const more = { CONNECTIONS: String(limit) };
    let most = 0;
    const counting = setInterval(() => {
      most = Math.max(most, connectionsTo(Number(new URL(host.server.url("/")).port)));
    }, 10);
    const runs = await Promise.all(folders.map((folder) => host.fetch({ folder, bytes: large, more })));
    clearInterval(counting);
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    const waiting = runs.some(({ stderr }) => stderr.includes("waiting for other data sets to download"));
    if (limit < folders.length) expect(waiting).toBe(true);
    expect(most).toBe(limit);
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

describe("dataset and a full disk", () => {
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

  it("waits for nothing that does not fit", async () => {
    host.server.serve("/big.bin", big, { always: { kind: "hold", after: 0 } });
    const run = await host.fetch({ path: "/big.bin", bytes: big });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/the download needs 4.0 MB in .*, and 3.1 MB are free \(http.*big.bin\)/);
    expect(host.server.bytesSent).toBe(0);
    expectNothingInPlace();
  });

  it("says the same where the whole file is sent at once", async () => {
    host.server.serve("/big.bin", big);
    const run = await host.fetch({ path: "/big.bin", bytes: big });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/the download needs 4.0 MB in .*, and 3.1 MB are free \(http.*big.bin\)/);
    expect(readdirSync(at(".gpubox", "set")).filter((name) => name.includes(".part"))).toEqual([]);
  });

  it("counts what an archive unpacks to", async () => {
    const archive = zip([{ path: "a.bin", content: "x".repeat(2_000_000) }]);
    host.server.serve("/set.zip", archive, { always: { kind: "hold", after: 0 } });
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

  it("leaves no half a file where the server does not say how large it is", async () => {
    host.server.handle("/untold/", (request, response) => {
      response.writeHead(200);
      response.end(request.method === "HEAD" ? undefined : big);
    });
    const run = await host.fetch({ path: "/untold/big.bin", bytes: big });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("cannot write the download of");
    expectNothingInPlace();
    expect(readdirSync(at(".gpubox", "set")).filter((name) => name.includes(".part"))).toEqual([]);
  });
});
