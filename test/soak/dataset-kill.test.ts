/** dataset.sh at its hardest: killed at random moments, again and again. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { datasetHost } from "../support/dataset-host.ts";
import { expectConvergence, KILLED_HOSTS } from "../support/dataset-kills.ts";
import { lacks, missingPrograms, pathWith } from "../support/host-script.ts";
import { randomKills } from "../support/killed-script.ts";

/** Rounds of seven kills: each kind of host with a hash and without, twice. */
const TOTAL = 8;

const host = datasetHost();

describe("dataset.sh, killed at any moment", () => {
  it(`converges, and leaves nothing behind (seed ${seed})`, async ({ skip }) => {
    skip(lacks(missingPrograms(KILLED_HOSTS.join(" ")), "dataset.sh"));
    for await (const round of campaign(TOTAL)) {
      const tools = KILLED_HOSTS[round % 2] as string;
      const path = pathWith(join(host.scratch, tools), tools);
      host.root = join(host.scratch, `round ${round}`);
      mkdirSync(host.at(), { recursive: true });
      const kills = randomKills(7, 1000, randomOf(round));
      await expectConvergence(host, { path, known: round % 4 < 2, kills });
    }
  });
});
