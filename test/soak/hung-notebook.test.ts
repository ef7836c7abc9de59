/** A notebook that hangs: Docker's own check takes minutes to tell. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { FaultyStack, fails } from "../support/faults.ts";
import { createPerson, type Person } from "../support/person.ts";
import { processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;

describeWithDaemon("a notebook's container", () => {
  let daemon: Daemon;
  let person: Person;
  let stack: FaultyStack;

  const inspect = () => stack.container.inspect();

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    stack = new FaultyStack(daemon, person);
    stack.configure();
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("that runs but does not answer is told, and not taken for well", async () => {
    await stack.succeeds();
    const { Id } = await inspect();
    const jupyter = processes((environment) => environment.includes("\0JUPYTER_PORT=")).filter(({ args }) =>
      args.includes("jupyter-lab"),
    );
    expect(jupyter).not.toEqual([]);
    const health = async () => (await inspect()).State.Health?.Status;
    // A check that fails before the first one that passes does not count for two minutes.
    await expect.poll(health, { timeout: 120_000, interval: 1000 }).toBe("healthy");
    for (const { pid } of jupyter) process.kill(pid, "SIGSTOP");
    await expect.poll(health, { timeout: 300_000, interval: 1000 }).toBe("unhealthy");
    expect((await person.npm("status")).stdout).toMatch(/^container1 +up \(unhealthy\) +http/);
    expect((await person.npm("doctor")).all).toMatch(/^warn +notebook container1 +up \(unhealthy\)/m);
    const refused = await person.npm("start");
    fails(refused, /^gpubox: container1 runs but does not answer: `docker logs container1`/m);
    expect(refused.all).not.toMatch(/^unchanged/m);
    expect((await inspect()).Id, "what kernels have in memory is the person's to give up").toBe(Id);
    for (const { pid } of jupyter) process.kill(pid, "SIGCONT");
    await stack.succeeds();
  });
});
