/** A first start where the engine has to be built: the image does not wait for it. */
import { randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createPerson, type Person } from "../support/person.ts";
import { processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

/** Made anew: no build cache has a layer with it. */
const CANARY = `# canary-${randomBytes(8).toString("hex")}\n`;

describeWithDaemon("a first start without an engine", () => {
  let daemon: Daemon;
  let person: Person;

  beforeAll(async () => {
    const { stdout } = await execa("go", ["env", "GOCACHE", "GOMODCACHE"]);
    const [GOCACHE = "", GOMODCACHE = ""] = stdout.split("\n");
    daemon = await startDaemon({});
    // Root, who may read what Go has compiled before: it is the order that is tried here, not the compiler.
    person = await createPerson({ daemon, uid: 0, hasEngine: false, env: { GOCACHE, GOMODCACHE } });
    person.configure({ image: { target: "lab" }, notebooks: [{ name: "container1", gpus: "none" }] });
    appendFileSync(join(person.project, "docker", "profile.sh"), CANARY);
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("that is killed leaves nothing running", async () => {
    const begun = "until grep -q '^image: building it meanwhile' log; do sleep 0.1; done";
    const { stdout, all } = await person.sh(
      `node cli/gpubox.mjs up >log 2>&1 & pid=$!; ${begun}; kill $pid; wait $pid || echo "ended: $?"; cat log`,
    );
    expect(stdout, all).toContain("ended: 143");
    const left = () => processes().filter(({ args }) => args.includes(person.home));
    for (let tries = 0; left().length > 0 && tries < 100; tries++) await sleep(100);
    expect(left()).toEqual([]);
  });

  it("builds the image beside the engine, which finds it built", async () => {
    const { exitCode, all } = await person.npm("start", "--verbose");
    expect(exitCode, all).toBe(0);
    const [image, engine] = [
      /^image: building it meanwhile …/m,
      /^engine: building Pulumi from its Go module, once \([^)]*\)(: | … )done \(/m,
    ].map((line) => all.search(line)) as [number, number];
    expect(image, all).toBeGreaterThanOrEqual(0);
    expect(engine, all).toBeGreaterThan(image);
    expect(all).toMatch(/^image: building it meanwhile.*done \(/m);
    // What only this person's folder has.
    expect(all).toMatch(/COPY --chown=0:0 profile\.sh .*\(cached\)/);
    expect(all).not.toMatch(/COPY --chown=0:0 profile\.sh \S+\s*$/m);
    const { stdout } = await execa(
      "docker",
      ["exec", "container1", "tail", "-n1", "/etc/gpubox/profile.sh"],
      {
        env: { DOCKER_HOST: daemon.host },
      },
    );
    expect(`${stdout}\n`).toBe(CANARY);
    // Nothing without a name is left behind.
    expect(await daemon.client.listImages({ filters: { dangling: ["true"] } })).toEqual([]);
  });
});
