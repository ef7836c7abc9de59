/** A stack, and a Docker daemon or a state that do not belong together: nothing is made twice, forgotten or lost, and the way on is said. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const VOLUME = "gpubox-dev-container1-home";

describeWithDaemon("a stack that is up", () => {
  let daemon: Daemon;
  let other: Daemon;
  let person: Person;
  let round = 0;

  /** Has the next run replace the container. */
  const change = () =>
    person.configure({
      image: { target: "lab" },
      notebooks: [{ name: "container1", gpus: "none", environment: { ROUND: String(++round) } }],
    });
  const succeeds = ({ exitCode, all }: Outcome) => expect(exitCode, all).toBe(0);
  const id = async () => (await daemon.client.getContainer("container1").inspect()).Id;
  /** Makes containers anew until `npm start`, with a state of before. */
  const restoreOlder = async () => {
    succeeds(await person.sh("rm -rf ~/older && cp -a ~/.gpubox ~/older"));
    change();
    succeeds(await person.npm("start", "--yes"));
    succeeds(await person.sh("rm -rf ~/.gpubox && cp -a ~/older ~/.gpubox"));
  };

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    const folder = join(laneFolder(), "other");
    // Docker up to 23 takes its identity from a key that all daemons of a machine share.
    const settings = join(folder, "daemon.json");
    mkdirSync(folder, { recursive: true });
    writeFileSync(settings, JSON.stringify({ "deprecated-key-path": join(folder, "key.json") }));
    const args = [`--config-file=${settings}`];
    other = await startDaemon({ group: String(UID), folder, args });
    person = await createPerson({ daemon, uid: UID });
    change();
    succeeds(await person.npm("start", "--yes"));
    succeeds(await person.sh("docker exec container1 sh -c 'echo mine >~/canary'"));
  });
  afterAll(async () => {
    await person?.remove();
    await other?.end();
    await daemon?.end();
  });

  it.each([
    "up",
    "preview",
    "refresh",
    "stop",
    "destroy --yes",
    "pulumi destroy --yes --skip-preview --non-interactive",
    "doctor",
    "status",
  ])("is left alone by `%s` on another daemon, which names both", async (command) => {
    const before = await id();
    const { exitCode, all } = await person.sh(`DOCKER_HOST=${other.host} node cli/gpubox.mjs ${command}`);
    if (command !== "status") expect(exitCode, all).not.toBe(0);
    const [own, found] = await Promise.all([daemon, other].map(({ client }) => client.info()));
    expect(all).toContain(`was put on the Docker daemon ${own?.ID} at ${daemon.host}`);
    expect(all).toContain(`answers at ${other.host} is another, ${found?.ID}`);
    expect(all).toContain("npm run pulumi -- stack rm --force --preserve-config dev");
    expect(await other.client.listContainers({ all: true })).toEqual([]);
    expect(await id()).toBe(before);
    expect((await daemon.client.getContainer("container1").inspect()).State.Running).toBe(true);
  });

  it("is left alone there by the engine alone", async () => {
    const { exitCode, all } = await person.shell(
      `DOCKER_HOST=${other.host} pulumi up --yes --skip-preview --non-interactive`,
    );
    expect(exitCode, all).not.toBe(0);
    expect(all).toContain("was put on the Docker daemon");
    expect((await person.npm("start")).stdout).toMatch(/^unchanged/m);
  });

  it("has a container that an older state does not know: it is shown, and made anew after a word", async () => {
    await restoreOlder();
    const before = await id();
    const stray = /container container1 belongs to this stack but is not in its state/;
    for (const command of ["doctor", "status"]) expect((await person.npm(command)).all).toMatch(stray);
    const refused = await person.npm("start");
    expect(refused.exitCode, refused.all).not.toBe(0);
    expect(refused.all).toMatch(/container1 is removed, and what kernels have in memory is lost.*--yes/s);
    expect(await id()).toBe(before);
    succeeds(await person.npm("start", "--yes"));
    const canary = await person.sh("docker exec container1 sh -c 'cat ~/canary'");
    expect(canary.stdout).toBe("mine");
    expect((await person.npm("start")).stdout).toMatch(/^unchanged/m);
  });

  it("is a notebook by whatever name: one that was given another is not said to be gone", async () => {
    succeeds(await person.sh("docker rename container1 foo"));
    change();
    const { all } = await person.npm("start");
    const [, command = ""] = /`(docker rename [^`]+)`/.exec(all) ?? [];
    succeeds(await person.sh(command));
    expect(all).not.toContain("docker rm");
    succeeds(await person.npm("start", "--yes"));
  });

  it("is stopped, whatever kind of host its file names by now", async () => {
    person.configure({ host: { kind: "aws", region: "eu-central-1" } });
    succeeds(await person.npm("stop"));
    expect((await daemon.client.getContainer("container1").inspect()).State.Running).toBe(false);
    change();
    succeeds(await person.npm("start", "--yes"));
  });

  it("names what else is on its network, before anything of it is removed", async () => {
    await daemon.client.createContainer({
      name: "guest",
      Image: "debian:bookworm-slim",
      Cmd: ["sleep", "600"],
      HostConfig: { NetworkMode: "gpubox-dev" },
    });
    await daemon.client.getContainer("guest").start();
    const refused = await person.npm("destroy", "--yes");
    expect(refused.exitCode, refused.all).not.toBe(0);
    expect((await daemon.client.getContainer("container1").inspect()).State.Running).toBe(true);
    const [command = ""] = /docker network disconnect .*/.exec(refused.all) ?? [];
    expect(command).toBe("docker network disconnect --force gpubox-dev guest");
    succeeds(await person.sh(command));
    await daemon.client.getContainer("guest").remove({ force: true });
  });

  it("is made again where the passphrase is lost, though its file has the salt of the old state", async () => {
    const file = join(person.project, "Pulumi.dev.yaml");
    const { deployment } = JSON.parse((await person.npm("pulumi", "stack", "export")).stdout);
    const plain = readFileSync(file, "utf8");
    const salted = `encryptionsalt: ${deployment.secrets_providers.state.salt}\n${plain}`;
    const secret = "v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    writeFileSync(file, salted.replace(/ROUND: .*/, `ROUND: { secure: "${secret}" }`));
    succeeds(await person.sh("mv ~/.gpubox ~/lost"));
    const before = await id();
    const refused = await person.npm("adopt", "--yes");
    expect(refused.exitCode, refused.all).not.toBe(0);
    expect(refused.all).toMatch(/encryptionsalt\n.*the secret of gpubox:notebooks\[0\]\.environment\.ROUND/);
    expect(await id()).toBe(before);
    writeFileSync(file, salted);
    // By its whole name, under which no file can be looked up: the engine knows.
    succeeds(await person.npm("adopt", "-s", "organization/gpubox/dev", "--yes"));
    succeeds(await person.npm("start", "--yes"));
    expect((await person.sh("docker exec container1 sh -c 'cat ~/canary'")).stdout).toBe("mine");
    expect((await person.npm("start")).stdout).toMatch(/^unchanged/m);
  });

  it("goes as a whole, though the state is an older one", async () => {
    await restoreOlder();
    succeeds(await person.npm("destroy", "--yes"));
    expect(await daemon.client.listContainers({ all: true })).toEqual([]);
    await expect(daemon.client.getVolume(VOLUME).inspect()).rejects.toThrow(/no such volume/);
  });
});
