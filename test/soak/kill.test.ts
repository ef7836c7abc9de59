/**
 * SIGKILL in the middle of `npm start`, fifty times: in its own start, in downloads, in image builds, while containers
 * are made and while Jupyter is waited for. The `npm start` after one is killed too; the next makes everything whole.
 *
 * A failure names its seed S and its round N. The same round alone, again:
 *
 *     echo '{"rounds": {"done": '$((N - 1))'}}' >progress
 *     GPUBOX_SOAK=1 GPUBOX_TEST_SEED=S GPUBOX_SOAK_PROGRESS=$PWD/progress GPUBOX_SOAK_DEADLINE=0 \
 *       npm test -- --project soak test/soak/kill.test.ts
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { KilledStack } from "../support/killed-stack.ts";
import { killByChance, type Moment } from "../support/kills.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const ROUNDS = 25;
const KILLS = 2;
// On two slow cores a kill, and its half of what follows, takes some fifteen seconds.
vi.setConfig({ testTimeout: 120 * 60_000 });

describeWithDaemon("killed", () => {
  let stack: KilledStack;

  beforeAll(async () => {
    stack = await KilledStack.create();
  });
  afterAll(async () => {
    await stack?.end();
  });

  it(`${ROUNDS * KILLS} times at random moments (seed ${seed}), it goes on where it was`, async () => {
    const hits: Partial<Record<Moment, number>> = {};
    let late = 0;
    for await (const round of campaign(ROUNDS)) {
      const next = randomOf(round);
      try {
        // Each round has everything to change, and every third everything to make.
        await stack.beginWith(round % 3 === 1 ? "nothing" : "a stack");
        for (let number = KILLS * (round - 1) + 1; number <= KILLS * round; number++) {
          const kill = killByChance(number, next);
          if (await stack.kill(kill)) hits[kill.moment] = (hits[kill.moment] ?? 0) + 1;
          else late++;
        }
        await stack.goOn();
      } catch (error) {
        throw new Error(`seed ${seed}, round ${round}`, { cause: error });
      }
    }
    process.stderr.write(`killed (seed ${seed}): ${JSON.stringify(hits)}, ${late} too late\n`);
    // A kill that came too late hit nothing: one may, and of many less than one in ten.
    const kills = late + Object.values(hits).reduce((sum, count) => sum + count, 0);
    expect(late).toBeLessThan(Math.max(2, kills / 10));
  });
});
