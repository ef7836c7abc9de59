import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { parseBenchArgs } from "../../bench/args.ts";
import { listFiles, writeFiles } from "../../bench/dataset.ts";
import { compare, isMet, median, type Round, type Row, readings, runRounds } from "../../bench/harness.ts";
import { watchMemory } from "../../bench/memory.ts";
import { plot, position } from "../../bench/plot.ts";
import {
  fillMarkers,
  formatMarkdown,
  formatRatio,
  formatTable,
  formatValue,
  mergeResults,
  type Results,
} from "../../bench/report.ts";
import { serveFile } from "../../bench/server.ts";

const round = (values: Record<string, number>, valid = true): Round => ({ values, floor: [1], valid });

describe("rounds", () => {
  const steady = async () => 1;

  it("turn the order round each time, with the floor before and after every arm", async () => {
    const order: string[] = [];
    const arm = (name: string) => async () => order.push(name);
    const rounds = await runRounds({
      arms: { a: arm("a"), b: arm("b") },
      rounds: 3,
      floor: async () => {
        order.push("-");
        return 1;
      },
    });
    expect(order.join("")).toBe("-a-b--b-a--a-b-");
    expect(rounds.map(({ floor }) => floor.length)).toEqual([3, 3, 3]);
  });

  it("are invalid where the floor varies over 30 %", async () => {
    const floors = [1, 1.29, 1, 1, 1.31, 1];
    const rounds = await runRounds({
      arms: { a: async () => 1, b: async () => 1 },
      rounds: 2,
      floor: async () => floors.shift() as number,
    });
    expect(rounds.map(({ valid }) => valid)).toEqual([true, false]);
  });

  it("name the values of an arm that gives several", async () => {
    const arms = { up: async () => ({ s: 2, MB: 300 }), other: async () => 5 };
    const [first] = await runRounds({ arms, rounds: 1, floor: steady });
    expect(first?.values).toEqual({ "up s": 2, "up MB": 300, other: 5 });
  });

  it("are compared one by one, without the invalid ones", () => {
    const rounds = [
      round({ ours: 1, theirs: 10 }),
      round({ ours: 3, theirs: 10 }),
      round({ ours: 100, theirs: 1 }, false),
      round({ ours: 4, theirs: 20 }),
    ];
    expect(compare(rounds, "ours", ({ theirs = 0 }) => theirs * 2)).toEqual({
      ours: { median: 3, min: 1, max: 4 },
      theirs: { median: 20, min: 20, max: 40 },
      ratio: { median: 0.1, min: 0.05, max: 0.15 },
      rounds: 4,
      invalid: 1,
    });
    expect(readings(rounds, "ours")).toEqual([1, 3, 4]);
  });

  it("give no ratio where none is valid, and an error for an arm that there is not", () => {
    expect(compare([round({ a: 1 }, false)], "a", "a").ratio).toBeUndefined();
    expect(() => compare([round({ a: 1 })], "a", "b")).toThrow("no arm b; there are a");
  });

  it("have a median that half of the values do not exceed", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.001, max: 1000, noNaN: true }), { minLength: 1 }), (values) => {
        const middle = median(values);
        const below = values.filter((value) => value <= middle).length;
        const above = values.filter((value) => value >= middle).length;
        expect(Math.min(below, above)).toBeGreaterThanOrEqual(Math.floor(values.length / 2));
      }),
    );
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it("reach an aim by their median, if the counters hold", () => {
    const ratio = { median: 0.2, min: 0.1, max: 0.9 };
    expect(isMet({ ratio, aim: 0.2 })).toBe(true);
    expect(isMet({ ratio, aim: 0.19 })).toBe(false);
    expect(isMet({ ratio, aim: 0.2, counters: { "3 requests": false } })).toBe(false);
    expect(isMet({ ratio })).toBeUndefined();
    expect(isMet({ ratio: undefined, aim: 1 })).toBeUndefined();
  });
});

describe("the arguments", () => {
  it("stand for everything, five times, at full scale", () => {
    const { only, ...others } = parseBenchArgs([]);
    expect(only.size).toBe(10);
    expect(others).toEqual({ rounds: 5, scale: 1, merge: false, docs: false });
    expect([...parseBenchArgs(["--only", "1,3", "--rounds", "2"]).only]).toEqual([1, 3]);
  });

  it.each([
    ["--only", "11"],
    ["--only", "a"],
    ["--only", ""],
    ["--rounds", "0"],
    ["--rounds", "1.5"],
    ["--scale", "2"],
    ["--scale", "0"],
    ["--fast"],
    ["--merge", "--scale", "0.5"],
  ])("are refused with what can be given: %s %s", (...args) => {
    expect(() => parseBenchArgs(args.filter((arg) => arg !== undefined))).toThrow(
      /--rounds {2}rounds of each/,
    );
  });
});

const row = (changes: Partial<Row> = {}): Row & { date: string } => ({
  measurement: 1,
  what: "data set, 20 MB/s a connection",
  against: "wget; unzip",
  unit: "s",
  aim: 0.2,
  date: "2026-01-02T03:04:05Z",
  ...compare([round({ ours: 10.1, theirs: 45.3 })], "ours", "theirs"),
  ...changes,
});

const results = (rows: Results["rows"], changes: Partial<Results> = {}): Results => ({
  command: "npm run bench",
  date: "2026-01-02T03:04:05Z",
  seconds: 1200,
  scale: 1,
  machine: { system: "Debian", kernel: "6", cpu: "a CPU", cores: 2, memory: 8, versions: { node: "24" } },
  rows,
  missing: [],
  rounds: {},
  ...changes,
});

describe("the report", () => {
  const missed = row();
  const met = row({ measurement: 5, aim: 0.3, counters: { "0 bytes served": true }, note: "and more" });
  const unsteady = row({ measurement: 7, ...compare([round({ a: 1 }, false)], "a", "a") });

  it("is a table with a verdict and the number of valid rounds", () => {
    const lines = formatTable({ rows: [missed, met, unsteady], missing: [] }).split("\n");
    expect(lines[1]).toMatch(
      /^1 data set.* 10\.1 s wget; unzip 45\.3 s 0\.22 \(0\.22–0\.22\) +≤0\.2 missed +1\/1$/,
    );
    expect(lines[2]).toMatch(/≤0\.3 met +1\/1$/);
    expect(lines[3]).toBe("   · 0 bytes served; and more");
    expect(lines[4]).toMatch(/– .* – no valid round +≤0\.2 +0\/1$/);
  });

  it("says what could not be measured, and why", () => {
    const table = formatTable({ rows: [], missing: [{ measurement: 9, reason: "no root" }] });
    expect(table).toContain("9 not measured: no root");
  });

  it("is a table of the page, between its markers", () => {
    const page = "before\n<!-- figures: npm run bench -- --docs -->\nold\n<!-- end of figures -->\nafter\n";
    const filled = fillMarkers(page, formatMarkdown(results([missed, met])));
    expect(filled).toMatch(/^before\n[\s\S]*\n<!-- end of figures -->\nafter\n$/);
    expect(filled).toContain("| 1 | data set, 20 MB/s a connection | 10.1 s | wget; unzip | 45.3 s |");
    expect(filled).toContain("`npm run bench`, 2026-01-02, 20 minutes, on 2 cores of a CPU, 8 GB,");
    expect(filled).not.toContain("old");
    expect(fillMarkers(filled, "new"), "it can be filled again").not.toContain("45.3");
    expect(() => fillMarkers("nothing", "")).toThrow("lacks");
  });

  it("keeps three digits", () => {
    expect(formatValue(0.05678, "s")).toBe("0.0568 s");
    expect(formatValue(748_123_456, "bytes")).toBe("748 MB");
    expect(formatValue(Number.NaN, "s")).toBe("–");
    expect(formatValue(1234.5, "MB")).toBe("1235 MB");
    expect(formatRatio({ median: 0.0512, min: 0.04, max: 120 })).toBe("0.051 (0.040–120)");
  });

  it("takes over what a later run measured again", () => {
    const earlier = results([missed, met], { rounds: { a: [], b: [] } });
    const later = results([row({ measurement: 5, aim: 1 })], {
      command: "npm run bench -- --only 5 --merge",
      rounds: { b: [round({})] },
    });
    const merged = mergeResults(earlier, later);
    expect(merged.command).toBe("npm run bench and npm run bench -- --only 5 --merge");
    expect(merged.rows.map(({ measurement, aim }) => [measurement, aim])).toEqual([
      [1, 0.2],
      [5, 1],
    ]);
    expect(merged.rounds).toEqual({ a: [], b: [round({})] });
  });

  it("has a plot with every row that has a ratio", () => {
    const svg = plot([missed, met, unsteady, row({ what: "a < b & c" })], "on a machine");
    expect(svg.match(/against wget; unzip/g)).toHaveLength(3);
    expect(svg).toContain("a &lt; b &amp; c");
    expect(svg).not.toContain("NaN");
    expect(position(0.1)).toBeLessThan(position(0.2));
    expect(position(1e-9), "what is off the axis stays on it").toBe(position(0.001));
  });

  it("fits the figures that are published", () => {
    const { rows, missing }: Results = JSON.parse(
      readFileSync(new URL("../../bench/results.json", import.meta.url), "utf8"),
    );
    const lines = formatTable({ rows, missing }).split("\n");
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(110);
  });
});

describe("the tools", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "gpubox-bench-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const serve = async (bytes: number) => {
    const path = join(folder, "file.bin");
    writeFileSync(path, Buffer.alloc(bytes, "x"));
    const server = await serveFile(path);
    onTestFinished(() => server.close());
    return server;
  };
  const download = async (url: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url, { headers });
    return { status: response.status, bytes: (await response.arrayBuffer()).byteLength };
  };

  it("serve files and ranges of them, and count", async () => {
    const server = await serve(300_000);
    expect(await download(server.url)).toEqual({ status: 200, bytes: 300_000 });
    expect(await download(server.url, { range: "bytes=100-199" })).toEqual({ status: 206, bytes: 100 });
    expect(await download(server.url, { range: "bytes=299990-" })).toEqual({ status: 206, bytes: 10 });
    expect((await download(server.url, { range: "bytes=300000-" })).status).toBe(416);
    await expect.poll(() => server.bytes).toBe(300_110);
    expect(server.requests).toBe(4);
    server.reset();
    expect([server.bytes, server.requests]).toEqual([0, 0]);
  });

  it("give each connection a link of its own, or all of them one", async () => {
    const server = await serve(400_000);
    const two = async () => {
      const started = performance.now();
      // Connections that are kept alive would be shared.
      const close = { connection: "close" };
      await Promise.all([download(server.url, close), download(server.url, close)]);
      return (performance.now() - started) / 1000;
    };
    server.setCap({ rate: 1_000_000, shared: false });
    const separate = await two();
    server.setCap({ rate: 1_000_000, shared: true });
    const together = await two();
    // 0.4 s each side by side, 0.8 s one after the other, less what a link may catch up with.
    expect(separate).toBeGreaterThan(0.3);
    expect(together).toBeGreaterThan(0.7);
    expect(together / separate).toBeGreaterThan(1.4);
  });

  it("break every connection once so many bytes are served, and go on well", async () => {
    const server = await serve(1_000_000);
    server.setCap({ rate: 5_000_000, shared: true });
    server.reset(500_000);
    await expect(download(server.url)).rejects.toThrow();
    expect(server.bytes).toBeGreaterThanOrEqual(500_000);
    expect(server.bytes).toBeLessThan(700_000);
    expect(await download(server.url, { range: "bytes=500000-" })).toEqual({ status: 206, bytes: 500_000 });
  });

  it("write as many bytes as the data set has", () => {
    const files = listFiles(10);
    writeFiles(folder, files, (bytes) => Buffer.alloc(bytes));
    for (const { path, bytes } of files) expect(statSync(join(folder, path)).size).toBe(bytes);
  });

  it("see the memory of what a command has started, as long as it was there", async () => {
    const memory = watchMemory(process.pid);
    const code = "const held = Buffer.alloc(200e6, 1); setTimeout(() => held, 500)";
    // Twice removed, as the program is from the command.
    const child = spawn("sh", ["-c", `"$NODE" -e "${code}"; true`], { env: { NODE: process.execPath } });
    await once(child, "exit");
    expect(memory.stop()).toBeGreaterThan(200);
  });
});
