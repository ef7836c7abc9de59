/** Whose is it: stacks of one name, on one Docker daemon, of several states. */
import { cpSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const GROUP = 1000;
const PORTS = { lesson1: 8888, other: 8898, another: 8899 };
const VOLUME = "gpubox-dev-lesson1-home";

describeWithDaemon("a stack of a name that another state has too", () => {
  let daemon: Daemon;
  let ada: Person;
  let bob: Person;

  const configure = (person: Person, names: (keyof typeof PORTS)[], stack = "dev") =>
    person.configure(
      {
        image: { target: "lab" },
        notebooks: names.map((name) => ({ name, gpus: "none", port: PORTS[name] })),
      },
      stack,
    );
  const succeeds = ({ exitCode, all }: Outcome) => expect(exitCode, all).toBe(0);
  const isRunning = async (name: string) => (await daemon.client.getContainer(name).inspect()).State.Running;
  const exec = async (name: string, command: string) => {
    const { stdout } = await ada.sh(`docker exec ${name} sh -c '${command}'`);
    return stdout;
  };
  const labels = async (name: string) => (await daemon.client.getVolume(name).inspect()).Labels;

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(GROUP) });
    [ada, bob] = await Promise.all([
      createPerson({ daemon, uid: 0 }),
      createPerson({ daemon, uid: GROUP, env: { PULUMI_SKIP_CONFIRMATIONS: "true" } }),
    ]);
    // As a version without owners made it.
    unlabelled(ada.project);
    configure(ada, ["lesson1"]);
    succeeds(await ada.npm("start", "--yes"));
    expect(await labels(VOLUME)).toEqual({ "gpubox.stack": "gpubox/dev", "gpubox.notebook": "lesson1" });
    expect(await exec("lesson1", "echo mine >~/canary && cat ~/canary")).toBe("mine");
  });
  afterAll(async () => {
    await Promise.all([ada?.remove(), bob?.remove()]);
    await daemon?.end();
  });

  it("is kept from a state that has none of it, by a run, a look, a stop and a destroy, and nothing is said to be removed", async () => {
    configure(bob, ["lesson1"]);
    for (const command of ["start", "doctor"]) {
      const { exitCode, all } = await bob.npm(command);
      expect(exitCode, all).toBe(1);
      expect(all).toMatch(/a stack dev is on this Docker daemon already.*volume gpubox-dev-lesson1-home/s);
      expect(all).toMatch(/npm run init -- -s NAME.*npm run adopt -- -s dev/s);
      expect(all).not.toMatch(/docker (rm|volume rm|network rm)/);
      expect(all).not.toMatch(/building|pulumi up/);
    }
    succeeds(await bob.npm("stop"));
    succeeds(await bob.npm("destroy", "--yes"));
    expect(await isRunning("lesson1")).toBe(true);
    // Nor by the engine alone.
    const { exitCode, all } = await bob.shell("pulumi up --yes --skip-preview --non-interactive");
    expect(exitCode, all).not.toBe(0);
    expect(all).toMatch(/a stack dev is on this Docker daemon already/);
    expect(await isRunning("lesson1")).toBe(true);
  });

  it("that was made before there were owners goes on with its volumes, and gets an owner", async () => {
    labelled(ada.project);
    const { all, exitCode } = await ada.npm("start");
    expect(exitCode, all).toBe(0);
    expect(await exec("lesson1", "cat ~/canary")).toBe("mine");
    const { Config } = await daemon.client.getContainer("lesson1").inspect();
    expect(Config.Labels["gpubox.owner"]).toMatch(/^[A-Za-z0-9]{16}$/);
    expect((await ada.npm("start")).stdout).toMatch(/^unchanged/m);
  });

  it("stops what it is told to, and nothing that it does not understand", async () => {
    for (const [arg, status] of [
      ["--help", 0],
      ["--nonsense", 2],
      ["lesson9", 1],
    ] as const) {
      const { exitCode, all } = await ada.npm("stop", arg);
      expect(exitCode, all).toBe(status);
      expect(await isRunning("lesson1")).toBe(true);
    }
    configure(bob, ["other", "another"], "bob");
    succeeds(await bob.npm("start", "-s", "bob", "--yes"));
    succeeds(await bob.npm("stop", "-s", "bob", "another"));
    expect(await Promise.all(["lesson1", "other", "another"].map(isRunning))).toEqual([true, true, false]);
    const { "gpubox.made-by": madeBy } = await labels("gpubox-bob-other-home");
    expect(madeBy).toContain(`state in file://${bob.home}/.gpubox/state`);
  });

  it("loses no home volume without a word, where nobody can be asked", async () => {
    configure(bob, ["another"], "bob");
    const refused = await bob.npm("start", "-s", "bob");
    expect(refused.exitCode, refused.all).toBe(1);
    expect(refused.all).toMatch(/other: its home volume is removed.*npm start -- --yes -s bob/s);
    await labels("gpubox-bob-other-home");
    succeeds(await bob.npm("start", "-s", "bob", "--yes"));
    await expect(labels("gpubox-bob-other-home")).rejects.toThrow(/no such volume/);
    // A variable for other stacks is no yes to a question of ours.
    const typed = await bob.typed("n", "destroy", "-s", "bob");
    expect(typed.exitCode, typed.all).not.toBe(0);
    expect(typed.all).toMatch(
      /removed: the notebook another, with what.*removed: the network gpubox-bob.*the home volume of another goes.*your files in code\/ and data\/ stay.*the image \S+ stays.*tear stack bob down\?/s,
    );
    expect(await isRunning("another")).toBe(true);
  });

  it("goes on with a volume that was restored by hand, and leaves it", async () => {
    const name = "gpubox-bob-another-home";
    const restore = async (labels: Record<string, string>) => {
      await daemon.client.getContainer("another").remove({ force: true });
      await daemon.client.getVolume(name).remove();
      await daemon.client.createVolume({ Name: name, Labels: labels });
      await daemon.client.createContainer({
        name: "restoring",
        Image: "debian:bookworm-slim",
        Cmd: ["sh", "-c", `echo restored >/home/note; chown -R ${GROUP} /home`],
        HostConfig: { Binds: [`${name}:/home`] },
      });
      const restoring = daemon.client.getContainer("restoring");
      await restoring.start();
      await restoring.wait();
      await restoring.remove();
    };
    const { "gpubox.made-by": _, ...kept } = await labels(name);
    for (const labelled of [{}, kept]) {
      await restore(labelled);
      const { exitCode, all } = await bob.npm("start", "-s", "bob");
      expect(exitCode, all).toBe(0);
      expect(await exec("another", "cat ~/note")).toBe("restored");
      expect((await labels(name)) ?? {}).toEqual(labelled);
    }
    await restore({});
    succeeds(await bob.npm("start", "-s", "bob", "--yes"));
    // By the engine alone as well.
    const left = await bob.shell("pulumi destroy -s bob --yes --skip-preview --non-interactive");
    expect(left.exitCode, left.all).toBe(0);
    expect(left.all).toContain(`docker volume rm ${name}`);
    await labels(name);
    await daemon.client.getVolume(name).remove();
    succeeds(await bob.npm("start", "-s", "bob", "--yes"));
  });

  it("leaves a volume that is another's by now, whatever its name", async () => {
    const name = "gpubox-bob-another-home";
    await daemon.client.getContainer("another").remove({ force: true });
    await daemon.client.getVolume(name).remove();
    await daemon.client.createVolume({ Name: name, Labels: { "gpubox.owner": "somebody-else" } });
    // The state says where it is, whatever the file says by now.
    bob.configure({ host: { kind: "ssh", address: "192.0.2.1" } }, "bob");
    const { exitCode, all } = await bob.npm("destroy", "-s", "bob", "--yes");
    expect(exitCode, all).toBe(0);
    expect(all).toContain(`volume ${name} is another's, though the state names it`);
    expect(await labels(name)).toEqual({ "gpubox.owner": "somebody-else" });
    await daemon.client.getVolume(name).remove();
  });

  it("keeps its volumes when it is renamed", async () => {
    succeeds(await ada.shell("pulumi stack rename -s dev renamed"));
    succeeds(await ada.npm("start", "-s", "renamed", "--yes"));
    expect(await exec("lesson1", "cat ~/canary")).toBe("mine");
    succeeds(await ada.npm("stop", "-s", "renamed"));
    expect(await isRunning("lesson1")).toBe(false);
    succeeds(await ada.npm("start", "-s", "renamed", "--yes"));
  });

  it("is taken over where its state is lost, with what is in its volumes", async () => {
    renameSync(join(ada.home, ".gpubox"), join(ada.home, "lost"));
    const stopped = await ada.npm("stop", "-s", "renamed");
    expect(stopped.all).toMatch(
      /nothing was stopped; the Docker daemon runs lesson1 of another stack of that name: `npm run doctor -- -s renamed` shows whose/,
    );
    expect(await isRunning("lesson1")).toBe(true);
    const refused = await ada.npm("start", "-s", "renamed");
    expect(refused.all).toMatch(/npm run adopt -- -s renamed/);
    // Its volume has the name that the stack had when it was made.
    const misnamed = await ada.npm("adopt", "-s", "renamed", "--yes");
    expect(misnamed.exitCode, misnamed.all).toBe(1);
    expect(misnamed.all).toMatch(/mv Pulumi\.renamed\.yaml Pulumi\.dev\.yaml/);
    succeeds(await ada.sh("mv Pulumi.renamed.yaml Pulumi.dev.yaml"));
    expect((await ada.npm("adopt")).exitCode).toBe(1);
    expect(await isRunning("lesson1")).toBe(true);
    const file = join(ada.project, "Pulumi.dev.yaml");
    const before = readFileSync(file, "utf8");
    succeeds(await ada.npm("adopt", "--yes"));
    expect(readFileSync(file, "utf8")).toBe(before);
    succeeds(await ada.npm("start", "--yes"));
    expect(await exec("lesson1", "cat ~/canary")).toBe("mine");
    expect((await ada.npm("start")).stdout).toMatch(/^unchanged/m);
    // Whoever has the same file has not taken over anything.
    writeFileSync(join(bob.project, "Pulumi.dev.yaml"), before.replace(ada.root, bob.root));
    expect((await bob.npm("doctor")).all).toMatch(/a stack dev is on this Docker daemon already/);
    succeeds(await bob.npm("stop"));
    expect(await isRunning("lesson1")).toBe(true);
    const destroyed = await ada.npm("destroy", "--yes");
    succeeds(destroyed);
    expect(await daemon.client.listContainers({ all: true })).toEqual([]);
    expect((await daemon.client.listVolumes()).Volumes ?? []).toEqual([]);
    // What it says of the history can be typed, and leaves the stack's file alone.
    const [, script, rest = ""] = /`npm run (pulumi) -- (stack rm [^`]+)`/.exec(destroyed.all) ?? [];
    const forgotten = await ada.npm(String(script), ...rest.split(" "), "--yes");
    expect(forgotten.exitCode, forgotten.all).toBe(0);
    expect(readFileSync(join(ada.project, "Pulumi.dev.yaml"), "utf8")).toContain("lesson1");
    expect((await ada.npm("destroy", "--yes")).all).toContain("there is nothing to tear down");
  });
});

/** What makes a checkout's program one that knows no owners and has the provider remove volumes, as all were once; by file. */
const OLD: [string, string, string][] = [
  [
    "container.ts",
    "Object.entries(labels)",
    "Object.entries(labels).filter(([label]) => !/owner|made-by/.test(label))",
  ],
  ["notebook.ts", ", retainOnDelete: true", ""],
  ["notebook.ts", "[removeVolume(name, { host, volume }, { parent: this })]", "[]"],
];
const unlabelled = (project: string) => {
  for (const [file, from, to] of OLD) edit(project, file, from, to);
};
/** Brings it up to date. */
const labelled = (project: string) => {
  for (const file of ["container.ts", "notebook.ts"])
    cpSync(join(ROOT, WORKSPACE, file), join(project, WORKSPACE, file));
};

const WORKSPACE = join("components", "workspace");

function edit(project: string, name: string, from: string, to: string): void {
  const file = join(project, WORKSPACE, name);
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
}
