import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { datasetHost } from "../support/dataset-host.ts";
import { expectConvergence, many } from "../support/dataset-kills.ts";
import type { Kill } from "../support/killed-script.ts";

vi.setConfig({ testTimeout: 120_000 });

const host = datasetHost();
const state = (...parts: string[]) => host.at(".gpubox", "set", ...parts);

/** Moments of a run. */
const begun = () => existsSync(state("lock"));
const downloading = /downloading/;
const halfway = () => host.server.bytesSent > many.length / 2;
const unpacking = /unpacking/;
const halfUnpacked = () => existsSync(state("unpacked")) && readdirSync(state("unpacked")).length > 0;
const checking = () => existsSync(state("unpacked.files"));
const inPlace = () => existsSync(host.at("set"));

// Each moment, once with all that runs and once with the shell alone, whose program goes on: none is left for a kill after that.
// Random moments are in the campaign: test/soak/dataset-kill.test.ts.
describe.each<{ hash: string; kills: [Kill["at"], Kill["what"]][] }>([
  {
    hash: "a hash",
    kills: [
      [begun, "all"],
      [downloading, "all"],
      [halfway, "shell"],
      [unpacking, "all"],
      [halfUnpacked, "shell"],
      [inPlace, "shell"],
      [checking, "all"],
    ],
  },
  {
    hash: "",
    kills: [
      [begun, "shell"],
      [halfway, "all"],
      [downloading, "shell"],
      [unpacking, "shell"],
      [halfUnpacked, "all"],
      [inPlace, "all"],
      [checking, "shell"],
    ],
  },
])("dataset, killed at each of its moments", ({ hash, kills }) => {
  it(`converges, and leaves nothing behind: with ${hash || "no hash"}`, async () => {
    await expectConvergence(host, {
      known: hash !== "",
      kills: kills.map(([at, what]) => ({ at, what })),
    });
  });
});

describe("dataset, started twice", () => {
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
