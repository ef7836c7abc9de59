import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import { datasetHost, LARGE, large, sha256, type Wanted } from "../support/dataset-host.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { at, dataIn } = host;

const part = (of: Uint8Array, ending: string) => at(".gpubox", "set", `${sha256(of)}.${ending}`);

/** Starts the download of `large` and kills it once half of it is there; the server serves it well from then on. */
async function killHalfway(wanted: Wanted, etag = '"1"'): Promise<void> {
  host.server.serve("/set.zip", large, { rate: 1_000_000, etag });
  const running = host.start(wanted);
  while (host.server.bytesSent < HALF) await new Promise((resolve) => setTimeout(resolve, 10));
  running.kill("all");
  await running.result;
  host.server.serve("/set.zip", large, { rate: 4_000_000, etag });
  host.server.forget();
}
const HALF = large.length / 2;
/** What came last to each of eight connections, or is under way. */
const LOST = 8 * 300_000;

describe("dataset and what an earlier run left", () => {
  beforeEach(() => {
    mkdirSync(at(".gpubox", "set"), { recursive: true });
    host.server.serve("/set.zip", large);
  });

  it("takes a complete download of an earlier version as such when the server answers 416", async () => {
    writeFileSync(part(large, "part"), large);
    expect((await host.fetch({ bytes: large })).stderr).toContain("created");
    expect(host.server.bytesSent).toBe(0);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("goes on with what an earlier version has brought from the front", async () => {
    writeFileSync(part(large, "part"), large.subarray(0, HALF));
    host.server.serve("/set.zip", large, { rate: 4_000_000 });
    expect((await host.fetch({ bytes: large })).stderr).toContain("created");
    expect(host.server.bytesSent).toBeLessThanOrEqual(HALF + 300_000);
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("removes what a run that was killed while it cleaned up has left", async () => {
    const working = at(".gpubox", "set");
    await host.fetch({ bytes: large });
    const left = ["hash", "unpack.log", "unpacked.files"];
    for (const name of left) writeFileSync(join(working, name), "1");
    host.server.forget();
    expect((await host.fetch({ bytes: large })).stderr).toContain("unchanged");
    expect(readdirSync(working).filter((name) => left.includes(name))).toEqual([]);
    expect(host.server.requests).toEqual([]);
  });

  it.each([
    ["all", Buffer.alloc(large.length)],
    ["half", Buffer.alloc(HALF)],
  ])("downloads anew where %s of what an earlier run left is of another file", async (_, left) => {
    writeFileSync(part(large, "part"), left);
    const run = await host.fetch({ bytes: large });
    expect(run.stderr).toContain("downloading all of it again");
    expect(run.stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it.each([
    ["a part of aria2c", () => writeFileSync(part(large, "parts"), Buffer.alloc(large.length))],
    ["its record of one", () => writeFileSync(part(large, "parts.aria2"), "\0\x01")],
    [
      "a record of parts that are not there",
      () => {
        writeFileSync(part(large, "part"), large.subarray(0, 1000));
        writeFileSync(part(large, "have"), `0 1000\n2000 ${large.length}\nx\n5`);
      },
    ],
  ])("does not believe %s that an earlier version left", async (_, leave) => {
    leave();
    expect((await host.fetch({ bytes: large })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
    expect(readdirSync(at(".gpubox", "set"))).toEqual(["lock"]);
  });

  it("goes on after a kill, and asks for what it has once", async () => {
    await killHalfway({ bytes: large });
    expect((await host.fetch({ bytes: large })).stderr).toContain("created");
    expect(host.server.bytesSent).toBeLessThanOrEqual(HALF + LOST);
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

  it("goes on only with the same version of the file", async () => {
    const changed = zip([{ path: "a.bin", content: LARGE.replaceAll("0", "z") }]);
    await killHalfway({ folder: "same" });
    expect((await host.fetch({ folder: "same" })).stderr).toContain(`sha256: ${sha256(large)}`);
    expect(host.server.bytesSent).toBeLessThanOrEqual(HALF + LOST);

    await killHalfway({ folder: "changed" });
    host.server.serve("/set.zip", changed, { etag: '"2"' });
    const run = await host.fetch({ folder: "changed" });
    expect(run.stderr).toContain(`sha256: ${sha256(changed)}`);
    expect(host.server.bytesSent).toBeGreaterThanOrEqual(large.length);
  });

  it("believes nothing of before the machine was started, where no hash would tell", async () => {
    await killHalfway({});
    const answer = at(".gpubox", "set", "unseen.answer");
    writeFileSync(answer, readFileSync(answer, "utf8").replace(/"boot": "[^"]+"/, '"boot": "another"'));
    expect((await host.fetch({})).stderr).toContain("created");
    expect(host.server.bytesSent).toBeGreaterThanOrEqual(large.length);
  });

  it("starts afresh where neither a hash nor the server tells whether it is the same file", async () => {
    await killHalfway({}, "");
    expect((await host.fetch({})).stderr).toContain("created");
    expect(host.server.bytesSent).toBeGreaterThanOrEqual(large.length);
  });
});
