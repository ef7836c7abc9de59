import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import { datasetHost, LARGE, large, sha256, type Wanted } from "../support/dataset-host.ts";
import { pathWith, type ScriptOptions } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn } = host;

const part = (of: Uint8Array, ending: string) => at(".gpubox", "set", `${sha256(of)}.${ending}`);

/** Starts the download of `large` and kills it once half of it is there; the server serves it well from then on. */
async function killHalfway(wanted: Wanted, options: ScriptOptions, etag = '"1"'): Promise<void> {
  // Slow enough for aria2c, which opens seven connections, to note down at least once what it has: each second.
  const rate = options.path?.includes("aria2c") ? 250_000 : 6_000_000;
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

  it("removes what a run that was killed while it cleaned up has left", async () => {
    const working = at(".gpubox", "set");
    await host.fetch({ bytes: large }, onlyCurl());
    const left = ["hash", "unpack.log", "unpacked.files"];
    for (const name of left) writeFileSync(join(working, name), "1");
    host.server.forget();
    expect((await host.fetch({ bytes: large }, onlyCurl())).stderr).toContain("unchanged");
    expect(readdirSync(working).filter((name) => left.includes(name))).toEqual([]);
    expect(host.server.requests).toEqual([]);
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

  it("starts afresh where neither a hash nor the server tells whether it is the same file", async () => {
    await killHalfway({}, onlyCurl(), "");
    expect((await host.fetch({}, onlyCurl())).stderr).toContain("created");
    expect(host.server.bytesSent).toBe(large.length);
  });
});
