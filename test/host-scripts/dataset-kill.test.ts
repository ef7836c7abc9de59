import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import { datasetHost } from "../support/dataset-host.ts";
import { lacks, missingPrograms, pathWith, removeFolder } from "../support/host-script.ts";

vi.setConfig({ testTimeout: 120_000 });

const host = datasetHost();
const { scratch, at, dataIn } = host;

const COUNT = 600;
const text = (n: number) => `${n} `.repeat(1000);
const many = zip(
  Array.from({ length: COUNT }, (_, n) => ({
    path: `set/${n % 7}/${n}.txt`,
    content: text(n),
    deflated: n % 2 === 0,
  })),
);
const whole = Object.fromEntries(Array.from({ length: COUNT }, (_, n) => [`${n % 7}/${n}.txt`, text(n)]));

/** Processes that were started for this test: all of them inherit ROOT. */
function processesOf(root: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`ROOT=${root}`);
      } catch {
        return false; // it has ended, or is not ours
      }
    });
}

const HOSTS = [
  { tools: "aria2c curl python3 flock", kills: 16 },
  { tools: "curl bsdtar perl", kills: 12 },
];

describe.each(HOSTS)("dataset.sh, killed at any moment, on a host with $tools", ({ tools, kills }) => {
  const skip = lacks(missingPrograms(tools), "dataset.sh");
  const path = join(scratch, tools);
  beforeAll(() => void pathWith(path, tools));

  it.skipIf(skip).each([
    ["with a hash", true],
    ["without", false],
  ])("converges, and leaves nothing behind: %s", async (_, known) => {
    host.server.serve("/set.zip", many, { rate: 1_500_000, etag: '"1"' });
    const wanted = known ? { bytes: many } : {};
    const moments: string[] = [];
    for (let n = 0; n < kills / 2; n += 1) {
      // One that is complete is begun again: with what the killed runs left, it is quicker each time.
      if (existsSync(at("set"))) removeFolder(at("set"));
      const running = host.start(wanted, { path });
      const delay = 20 + Math.random() * 1000;
      const what = Math.random() < 0.5 ? "all" : "shell";
      moments.push(`${what} after ${delay}`);
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.kill(what);
      await running.result;
      // Either nothing is in place, or all of it.
      if (existsSync(at("set"))) expect(dataIn("set"), moments.join()).toEqual(whole);
    }
    const last = await host.fetch(wanted, { path });
    expect(last, moments.join()).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
    expect(dataIn("set"), moments.join()).toEqual(whole);
    expect(readdirSync(at()).sort()).toEqual([".gpubox", "set"]);
    // The progress of a killed run notices within a second that it is alone.
    await expect.poll(() => processesOf(host.root), { timeout: 5000 }).toEqual([]);
    const left = known ? ["lock"] : ["lock", "seen"];
    expect(readdirSync(at(".gpubox", "set")).sort(), moments.join()).toEqual(left);
  });
});

describe("dataset.sh, started twice", () => {
  it("lets a second run wait for the first, and find its work", async () => {
    const gate = Promise.withResolvers<void>();
    host.server.serve("/set.zip", many, { after: gate.promise });
    const first = host.start({ bytes: many });
    await first.said(/downloading/);
    const second = host.start({ bytes: many });
    await second.said(/waiting for the run/);
    gate.resolve();
    expect((await first.result).stderr).toContain("created");
    const { stderr } = await second.result;
    expect(stderr).toMatch(/waiting for the run that works on set \(pid \d+\)/);
    expect(stderr).toContain("unchanged");
    expect(host.gets().filter(({ range }) => range === undefined)).toHaveLength(1);
  });
});
