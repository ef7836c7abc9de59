/**
 * SIGKILL in the middle of `npm start`, once in each kind of moment; test/soak/kill.test.ts has the campaign. What must be whole
 * after the next one is in KilledStack.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { random, seed } from "../support/campaign.ts";
import { KilledStack } from "../support/killed-stack.ts";
import { inWords, surely } from "../support/kills.ts";
import { describeWithDaemon } from "../support/requirements.ts";

describeWithDaemon(`killed (seed ${seed})`, () => {
  const next = random(seed);
  let stack: KilledStack;

  beforeAll(async () => {
    stack = await KilledStack.create();
  });
  afterAll(async () => {
    await stack?.end();
  });

  it.each([
    ["while the first image is built", "nothing", [surely("build", "the engine", next)]],
    [
      "while a container is replaced",
      "a stack",
      [surely("container", "the command, the engine and its plugins", next)],
    ],
    [
      "in a download, and again in the start after it",
      "a stack",
      [
        surely("download", "everything", next),
        surely("start", "the command, the engine and its plugins", next),
      ],
    ],
    [
      "while Jupyter is waited for, in the first start after a destroy",
      "nothing",
      [surely("notebook", "everything", next)],
    ],
  ] as const)("%s, it goes on where it was", async (_when, from, kills) => {
    await stack.beginWith(from);
    for (const kill of kills) expect(await stack.kill(kill), `hit: ${inWords(kill)}`).toBe(kill.victims);
    await stack.goOn();
  });
});
