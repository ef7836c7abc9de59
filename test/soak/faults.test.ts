/** Everything that befalls a notebook on a person's machine, again and again on one stack: it is had back each time. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { campaign, randomOf, seed } from "../support/campaign.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { FaultyStack, MovingCode, NOTEBOOK_FAULTS } from "../support/faults.ts";
import { type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const ROUNDS = 22;
vi.setConfig({ testTimeout: ROUNDS * 5 * 60_000 });

describeWithDaemon("a notebook", () => {
  let daemon: Daemon;
  let person: Person;
  let server: LoopbackServer;
  let stack: FaultyStack;
  let code: MovingCode;

  beforeAll(async () => {
    server = await startLoopbackServer();
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    stack = new FaultyStack(daemon, person);
    code = new MovingCode(stack, server);
    await code.make();
    code.at("v1");
    await stack.succeeds();
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
    await server?.close();
  });

  const changesNothing = async () => {
    const { exitCode, all, stdout } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    expect(stdout).toMatch(/^unchanged/m);
  };
  const FAULTS: Record<string, () => Promise<void>> = {
    ...Object.fromEntries(Object.keys(NOTEBOOK_FAULTS).map((name) => [name, () => stack.recoversFrom(name)])),
    "has its code changed by a run that is killed": () => code.isKilledAndTakenBack().then(changesNothing),
    "has its code changed by a run that fails": () => code.failsAndIsTakenBack().then(changesNothing),
    "has a daemon that is gone for good": async () => {
      await stack.forgetDaemon();
      await stack.succeeds();
    },
    "is torn down, twice, while the daemon is gone": async () => {
      await stack.tearDownWithoutDaemon(2);
      await stack.succeeds();
    },
  };

  /** The faults of a cycle, in an order of its own. */
  const shuffled = (cycle: number) => {
    const next = randomOf(cycle);
    return Object.entries(FAULTS)
      .map((fault) => ({ fault, place: next() }))
      .sort((a, b) => a.place - b.place)
      .map(({ fault }) => fault);
  };

  it(`is had back after ${ROUNDS} faults (seed ${seed})`, async () => {
    const kinds = Object.keys(FAULTS).length;
    for await (const round of campaign(ROUNDS)) {
      const index = round - 1;
      const [name, fault] = shuffled(Math.floor(index / kinds))[index % kinds] as [
        string,
        () => Promise<void>,
      ];
      await fault().catch((error) => {
        throw new Error(`seed ${seed}, round ${round}: ${name}`, { cause: error });
      });
    }
    expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
  });
});
