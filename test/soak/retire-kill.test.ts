/** retire.py at its hardest: killed at random moments, again and again. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { zip } from "../support/archives.ts";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { datasetHost, PICTURES } from "../support/dataset-host.ts";
import { randomKills } from "../support/killed-script.ts";
import { expectRemoval } from "../support/retire-kills.ts";

/** Rounds of eight kills, with all that runs or with the shell alone. */
const TOTAL = 4;

const host = datasetHost();

describe("retire.py with PURGE, killed at any moment", () => {
  it(`goes on, and what is left is never taken for a whole data set (seed ${seed})`, async () => {
    const bytes = zip(PICTURES);
    for await (const round of campaign(TOTAL)) {
      host.root = join(host.scratch, `round ${round}`);
      mkdirSync(host.at(), { recursive: true });
      host.server.serve("/set.zip", bytes);
      expect((await host.fetch({ bytes })).code).toBe(0);
      await expectRemoval(host.root, "set", randomKills(8, 150, randomOf(round)));
    }
  });
});
