/** Every damage to the state and every full disk, again and again on one stack: it comes back each time. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import type { Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { StackState } from "../support/state.ts";

const ROUNDS = 14;
/** Whatever works on a state. */
const COMMANDS = ["preview", "refresh", "start"];
vi.setConfig({ testTimeout: ROUNDS * 5 * 60_000 });

/** What befalls the state, given random numbers. */
const FAULTS: Record<string, (state: StackState, next: () => number) => Promise<void>> = {
  "half of it is lost": (state) => state.comesBackAfter(() => state.cutShort(1 / 2, COMMANDS)),
  "all of it is lost": (state) => state.comesBackAfter(() => state.cutShort(0, COMMANDS)),
  "some of it is lost": (state, next) => state.comesBackAfter(() => state.cutShort(next(), COMMANDS)),
  "every version of it is lost": (state) => state.loseEveryVersion(),
  "no room for its lock, for it, for its history": (state) => state.fillDisk([0, 16, 48]),
  "little room": (state, next) => state.fillDisk([Math.floor(next() * 48)]),
};

describeWithDaemon("the state", () => {
  let person: Person;
  let state: StackState;

  beforeAll(async () => {
    state = await StackState.create();
    person = state.person;
  });
  afterAll(async () => {
    await state?.end();
  });

  it(`comes back from ${ROUNDS} faults (seed ${seed})`, async () => {
    const all = Object.entries(FAULTS);
    for await (const round of campaign(ROUNDS)) {
      const [name, fault] = all[(round - 1) % all.length] as (typeof all)[number];
      await fault(state, randomOf(round)).catch((error) => {
        throw new Error(`seed ${seed}, round ${round}: ${name}`, { cause: error });
      });
    }
    expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
  });
});
