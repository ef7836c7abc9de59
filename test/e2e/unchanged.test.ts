/** A start that has nothing to do answers without the engine; whatever is another than at the last good start, it notices. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stackPlaces } from "../../cli/pulumi/checkpoint.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;

describeWithDaemon("a start with nothing to do", () => {
  let daemon: Daemon;
  let person: Person;
  let bin: string;

  const container = () => daemon.client.getContainer("container1");
  const calls = () => join(person.home, "engine-calls");
  const places = () => stackPlaces(join(person.home, ".gpubox", "state"), "gpubox", "dev");
  const wanted = { image: { target: "lab" }, notebooks: [{ name: "container1", gpus: "none" }] };

  /** A start, and what the engine was asked in it. */
  async function start(...args: string[]): Promise<{ all: string; stdout: string; asked: string[] }> {
    rmSync(calls(), { force: true });
    const { exitCode, all, stdout } = await person.npm("start", ...args);
    expect(exitCode, all).toBe(0);
    const asked = existsSync(calls()) ? readFileSync(calls(), "utf8").trim().split("\n") : [];
    return { all, stdout, asked };
  }

  /** Waits until Docker's own check has passed: until then it is not certain that a notebook answers. */
  const isHealthy = () =>
    expect
      .poll(async () => (await container().inspect()).State.Health?.Status, {
        timeout: 60_000,
        interval: 250,
      })
      .toBe("healthy");

  /** That a start does without the engine. */
  async function expectInstant(): Promise<void> {
    await isHealthy();
    const { asked, stdout } = await start();
    expect(asked).toEqual([]);
    expect(stdout).toMatch(/^unchanged/m);
  }

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    bin = mkdtempSync(join(tmpdir(), "gpubox-bin-"));
    chmodSync(bin, 0o755);
    person = await createPerson({ daemon, uid: UID, path: bin });
    const engine = /PATH='([^:']+)/.exec((await person.npm("env")).stdout)?.[1];
    // Every start of the engine leaves a line.
    const recorder = `#!/bin/sh\necho "$*" >>"$HOME/engine-calls"\nexec ${engine}/pulumi "$@"\n`;
    writeFileSync(join(bin, "pulumi"), recorder, { mode: 0o755 });
    person.configure(wanted);
    expect((await start()).asked).not.toEqual([]);
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
    rmSync(bin, { recursive: true });
  });

  it("answers at once, with all that a start ends with", async () => {
    await isHealthy();
    const again = await start();
    expect(again.asked).toEqual([]);
    const closer = await start("--diff");
    expect(closer.asked).not.toEqual([]);
    expect(again.stdout).toBe(closer.stdout);
    expect(again.stdout).toMatch(/^unchanged.*http:\S+token=\w+.*^files: /ms);
    expect(again.all).toBe(again.stdout);
  });

  const volume = () => daemon.client.getVolume("gpubox-dev-container1-home");
  const stackFile = () => join(person.project, "Pulumi.dev.yaml");
  it.each<[string, () => unknown]>([
    ["the stack's file", () => appendFileSync(stackFile(), "# another\n")],
    ["the program", () => appendFileSync(join(person.project, "components", "workspace", "gpu.ts"), "\n")],
    ["the context of the image", () => writeFileSync(join(person.project, "docker", "own.txt"), "x")],
    ["a script for hosts", () => appendFileSync(join(person.project, "host-scripts", "README"), "x")],
    ["a notebook that is stopped", () => container().stop()],
    ["a notebook that is paused", () => container().pause()],
    ["a container that is removed", () => container().remove({ force: true })],
    ["a state that was written since", () => appendFileSync(`${places().state}.json`, "\n")],
    ["a run that was killed", () => writeFileSync(places().run, '{"pid": 1}')],
    ["an engine that was replaced", () => appendFileSync(join(bin, "pulumi"), "\n")],
    [
      "another container of the stack's owner",
      async () => {
        const { Config } = await container().inspect();
        await daemon.client.createContainer({ Image: Config.Image, name: "stray", Labels: Config.Labels });
      },
    ],
  ])("notices %s, once", async (_, change) => {
    await expectInstant();
    await change();
    expect((await start()).asked).not.toEqual([]);
    await expectInstant();
  });

  it("notices that the image is gone", async () => {
    await expectInstant();
    const { Image } = await container().inspect();
    await container().remove({ force: true });
    await daemon.client.getImage(Image).remove({ force: true });
    expect((await start()).asked).not.toEqual([]);
    await expectInstant();
  });

  it("notices that a folder of the host is gone which a notebook has, and leaves it to the engine to refuse", async () => {
    const source = join(person.home, "course");
    mkdirSync(source, { mode: 0o777 });
    const [notebook] = wanted.notebooks;
    person.configure({
      ...wanted,
      notebooks: [{ ...notebook, volumes: [{ source, target: "/course", readOnly: true }] }],
    });
    await start();
    await expectInstant();
    rmdirSync(source);
    const { exitCode, all } = await person.npm("start");
    expect(exitCode).not.toBe(0);
    expect(all).toContain(`${source} does not exist: is the disk mounted?`);
    person.configure(wanted);
    await start();
    await expectInstant();
  });

  it("notices a notebook under another name, and leaves it to the engine to refuse", async () => {
    await expectInstant();
    await container().rename({ name: "other" });
    const { exitCode, all } = await person.npm("start");
    expect(exitCode).not.toBe(0);
    expect(all).toContain("docker rename other container1");
    await daemon.client.getContainer("other").rename({ name: "container1" });
    expect((await start()).asked).not.toEqual([]);
    await expectInstant();
  });

  it("ends well where it cannot be remembered", async () => {
    await expectInstant();
    const cache = join(person.home, ".cache", "gpubox");
    appendFileSync(stackFile(), "# one more\n");
    chmodSync(cache, 0o500);
    const { stdout } = await start();
    chmodSync(cache, 0o700);
    expect(stdout).toMatch(/^unchanged.*http:\S+token=\w+.*^files: /ms);
    await start();
    await expectInstant();
  });

  it("goes on looking after a start that failed, though the configuration is what it was", async () => {
    await expectInstant();
    person.configure({ ...wanted, data: [{ url: "http://127.0.0.1:9/none.zip", folder: "none" }] });
    expect((await person.npm("start")).exitCode).not.toBe(0);
    person.configure(wanted);
    expect((await start()).asked).not.toEqual([]);
    await expectInstant();
  });

  it("leaves it to the engine while a home volume is one that was put there by hand", async () => {
    await expectInstant();
    await container().remove({ force: true });
    await volume().remove();
    await daemon.client.createVolume({ Name: volume().name });
    for (const _ of [1, 2]) {
      expect((await start()).asked).not.toEqual([]);
      await isHealthy();
    }
  });
});
