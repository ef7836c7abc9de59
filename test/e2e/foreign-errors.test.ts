/** What other programs say when something is wrong that they alone can see: each is told with what mends it, and loses nothing. */
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { FaultyStack, fails, NOTEBOOK } from "../support/faults.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;

describeWithDaemon("what others say", () => {
  let daemon: Daemon;
  let person: Person;
  let stack: FaultyStack;
  const start = () => person.npm("start");

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    stack = new FaultyStack(daemon, person);
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  describe("of a stack's file", () => {
    const write = (text: string) => writeFileSync(join(person.project, "Pulumi.dev.yaml"), text);
    afterEach(async () => {
      expect(await stack.containers()).toEqual([]);
      expect(existsSync(join(person.home, ".gpubox"))).toBe(false);
    });

    it.each([
      ["confg:\n  gpubox:image: {target: lab}\n", /Pulumi\.dev\.yaml:1: confg: .*did you mean "config"/],
      ["config:\n  root: /srv/x\n", /Pulumi\.dev\.yaml:2: root: .*did you mean "gpubox:root"/],
    ])("%j is refused by every command before anything is made", async (text, told) => {
      write(text);
      for (const script of ["doctor", "start", "preview", "stop", "update", "env"])
        fails(await person.npm(script), told);
    });
  });

  it("Docker's address pools are exhausted", async () => {
    const networks = [];
    // Until there is none left.
    for (let count = 0; ; count++) {
      const network = await daemon.client.createNetwork({ Name: `n${count}` }).catch(() => undefined);
      if (network === undefined) break;
      networks.push(network);
    }
    stack.configure({ connections: 4 });
    fails(await start(), /no address left for another network: `docker network prune`/);
    for (const network of networks) await network.remove();
  });

  it("a memory limit is too small for Docker, and for Jupyter", async () => {
    stack.configure({ notebooks: [{ ...NOTEBOOK, memory: "5m" }] });
    fails(await start(), /notebooks\[0\]\.memory: must be at least "6m"/);
    stack.configure({ notebooks: [{ ...NOTEBOOK, memory: "10m" }] });
    fails(await start(), /container container1 was killed for want of memory/, /its limit is 10 MB: raise/);
    await stack.container.remove({ force: true });
  });

  it("a number at the top of the configuration reaches the program as one", async () => {
    stack.configure({ connections: 4 });
    await stack.succeeds();
  });

  it("Docker may not be used", async () => {
    const socket = daemon.host.replace("unix://", "");
    chmodSync(socket, 0o600);
    fails(await person.npm("stop"), /you may not use the Docker daemon at unix:/, /usermod -aG docker/);
    fails(await person.npm("doctor"), /usermod -aG docker/);
    chmodSync(socket, 0o660);
    expect((await stack.container.inspect()).State.Running).toBe(true);
  });

  it("the passphrase is another, or lost", async () => {
    const file = join(person.home, ".gpubox", "passphrase");
    const right = readFileSync(file, "utf8");
    stack.configure({ notebooks: [{ ...NOTEBOOK, shmSize: "1g" }] });
    writeFileSync(file, "another\n");
    for (const [script, ...args] of [["start"], ["preview"], ["destroy", "--yes"]] as const) {
      const outcome = await person.npm(script, ...args);
      fails(
        outcome,
        /passphrase is not the one that protects the secrets of stack dev/,
        /troubleshooting\.md/,
      );
      expect(outcome.all).toMatch(
        new RegExp(`the passphrase from ${file} is not the one .*: put the right one there`),
      );
    }
    renameSync(file, `${file}.away`);
    fails(await start(), /but the passphrase for its secrets is missing: restore/, /troubleshooting\.md/);
    renameSync(`${file}.away`, file);
    writeFileSync(file, right);
    await stack.isBack();
  });

  it("the state is of a newer version", async () => {
    const file = join(person.home, ".gpubox/state/.pulumi/stacks/gpubox/dev.json");
    const whole = readFileSync(file, "utf8");
    for (const newer of [{ version: 5 }, { version: 4, features: ["future"] }]) {
      const text = JSON.stringify({ ...JSON.parse(whole), ...newer });
      writeFileSync(file, text);
      for (const [script, ...args] of [["start"], ["status"], ["destroy", "--yes"]] as const)
        fails(
          await person.npm(script, ...args),
          /state of stack dev was written by a newer Pulumi/,
          /git pull/,
        );
      expect(readFileSync(file, "utf8")).toBe(text);
    }
    writeFileSync(file, whole);
    await stack.isBack();
  });
});
