/** The command `dataset` at its hardest: killed at random moments, again and again. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { datasetHost } from "../support/dataset-host.ts";
import { expectConvergence } from "../support/dataset-kills.ts";
import { randomKills } from "../support/killed-script.ts";

/** Rounds of seven kills: with a hash and without, four times each. */
const TOTAL = 8;

const host = datasetHost();

describe("dataset, killed at any moment", () => {
  it(`converges, and leaves nothing behind (seed ${seed})`, async () => {
    for await (const round of campaign(TOTAL)) {
      host.root = join(host.scratch, `round ${round}`);
      mkdirSync(host.at(), { recursive: true });
      const kills = randomKills(7, 1000, randomOf(round));
      await expectConvergence(host, { known: round % 2 === 0, kills });
    }
  });
});
