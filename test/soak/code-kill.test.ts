/** `code.py` at its hardest: killed at random moments, again and again. */
import { beforeAll, describe, it } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { codeHost, makeCourse, makeLessons } from "../support/code-host.ts";
import { courseKills, lessonsKills } from "../support/code-kills.ts";
import { lacks, missingPrograms } from "../support/host-script.ts";
import { randomKills } from "../support/killed-script.ts";

/** Rounds, each of them one of four campaigns: first clones and moves, of a plain repository and of one with submodules and LFS. */
const TOTAL = 8;

const host = codeHost();

describe.skipIf(lacks(missingPrograms("git git-lfs"), "gpubox_data/code.py"))(
  "code.py, killed at any moment",
  () => {
    let lessons: ReturnType<typeof lessonsKills>;
    let course: ReturnType<typeof courseKills>;
    beforeAll(() => {
      lessons = lessonsKills(host, makeLessons(host));
      course = courseKills(host, makeCourse(host));
    });

    it(`converges, and keeps what is the person's (seed ${seed})`, async () => {
      for await (const round of campaign(TOTAL)) {
        host.newRoot();
        const random = randomOf(round);
        if (round % 4 === 1) await lessons.firstClone(randomKills(6, 400, random));
        if (round % 4 === 2) await lessons.betweenCommits(randomKills(10, 300, random));
        if (round % 4 === 3) await course.firstClone(randomKills(4, 1500, random));
        if (round % 4 === 0) await course.betweenCommits(randomKills(10, 1800, random), 5);
      }
    });
  },
);
