/** What goes wrong on a person's machine: each is said clearly, loses nothing, and the next run goes on. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const BASE = "debian:bookworm-slim";
const CONFIG = { image: { target: "lab" }, notebooks: [{ name: "container1", gpus: "none" }] };

describeWithDaemon("faults", () => {
  let daemon: Daemon;
  let person: Person;

  const containers = async () =>
    (await daemon.client.listContainers({ all: true })).map(({ Names }) => Names[0]?.slice(1));

  /** The stack is up and answers. */
  const succeeds = async () => {
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    expect(await status((await person.npm("url")).stdout, "/api/contents")).toBe(200);
  };

  const fails = ({ exitCode, all }: Outcome, ...messages: (string | RegExp)[]) => {
    expect(exitCode, all).not.toBe(0);
    for (const message of messages) expect(all).toMatch(message);
  };

  beforeAll(async () => {
    daemon = await startDaemon({ folder: inject("daemonFolder"), group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
  });
  beforeEach(() => person.configure(CONFIG));
  afterEach(async () => {
    const { exitCode, all } = await person.npm("destroy", "--yes");
    expect(exitCode, all).toBe(0);
    expect(await containers()).toEqual([]);
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("a port that another program listens on", async () => {
    const server = createServer().listen(8888, "127.0.0.1");
    await once(server, "listening");
    try {
      fails(
        await person.npm("start"),
        /notebooks\[0\]\.port: port 8888 is taken by another program/,
        /ss -ltnp/,
      );
      expect(await containers()).toEqual([]);
    } finally {
      server.close();
    }
    await succeeds();
  });

  it("a container of that name that is somebody else's", async () => {
    const stranger = await daemon.client.createContainer({
      name: "container1",
      Image: BASE,
      Cmd: ["sleep", "600"],
    });
    await stranger.start();
    fails(
      await person.npm("start"),
      /notebooks\[0\]\.name: a container named container1 is there already/,
      /docker rename/,
    );
    expect((await stranger.inspect()).State.Running).toBe(true);
    await stranger.remove({ force: true });
    await succeeds();
  });

  it("GPUs that are not there, before anything is built", async () => {
    person.configure({ ...CONFIG, notebooks: [{ name: "container1", gpus: "all" }] });
    const outcome = await person.npm("start");
    fails(outcome, /notebooks\[0\]\.gpus: no NVIDIA driver on this host/, /apt-get install nvidia-driver/);
    expect(outcome.all).not.toMatch(/image-build.*creat/);
    expect(await containers()).toEqual([]);
    person.configure(CONFIG);
    await succeeds();
  });

  it("a configuration that is wrong in several places", async () => {
    person.configure({ ...CONFIG, image: { taget: "lab" }, notebook: [] });
    fails(
      await person.npm("start"),
      /gpubox:image\.taget: there is no such key/,
      /gpubox:notebook: there is no such key/,
    );
    expect(await containers()).toEqual([]);
  });

  it("no Docker daemon", async () => {
    const { stdout: exports } = await person.npm("env");
    await daemon.stop();
    try {
      fails(await person.npm("start"), /no Docker daemon answers at unix:/, /start it/);
      fails(
        await person.sh(`${exports}\npulumi up --yes --non-interactive`),
        /no Docker daemon answers/,
        /npm start/,
      );
    } finally {
      await daemon.start();
    }
    await succeeds();
  });

  it("an image build that fails, and goes on from the cache once it is mended", async () => {
    const dockerfile = join(person.project, "docker", "Dockerfile");
    const whole = readFileSync(dockerfile, "utf8");
    const [lab] = whole.match(/^FROM .* AS lab$/m) ?? [];
    expect(lab).toBeDefined();
    writeFileSync(dockerfile, whole.replace(lab as string, `${lab}\nRUN echo canary-output && exit 7`));
    fails(await person.npm("start"), /echo canary-output && exit 7/, /canary-output/, /exit code: 7/);
    expect(await containers()).toEqual([]);
    writeFileSync(dockerfile, whole);
    await succeeds();
  });

  it("a download that fails, and a repository that is not there", async () => {
    const archive = "not yet";
    let served: string | undefined;
    const server = createServer((_request, response) => {
      if (served === undefined) response.writeHead(404).end();
      else response.end(served);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/notes.txt`;
    const repository = join(person.home, "course.git");
    person.configure({
      ...CONFIG,
      data: [{ url, sha256: createHash("sha256").update(archive).digest("hex"), folder: "notes" }],
      code: [{ url: `file://${repository}`, ref: "v1", folder: "course" }],
    });
    try {
      const outcome = await person.npm("start");
      fails(outcome, url, "404", `file://${repository}`);
      expect(existsSync(join(person.root, "data", "notes"))).toBe(false);
      expect(existsSync(join(person.root, "code", "course"))).toBe(false);

      served = archive;
      await makeRepository(repository);
      await succeeds();
      expect(readFileSync(join(person.root, "data", "notes", "notes.txt"), "utf8")).toBe(archive);
      expect(readFileSync(join(person.root, "code", "course", "lesson1.txt"), "utf8")).toBe("lesson 1\n");

      const mine = join(person.root, "code", "course", "mine.txt");
      writeFileSync(mine, "mine");
      const again = await person.npm("start");
      expect(again.stdout).toMatch(/^unchanged/m);
    } finally {
      server.close();
    }
    expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
    expect(readFileSync(join(person.root, "code", "course", "mine.txt"), "utf8")).toBe("mine");
    expect(existsSync(join(person.root, "data", "notes", "notes.txt"))).toBe(true);
  });

  it("a run that is killed, whenever that is", async () => {
    await succeeds();
    for (const milliseconds of [1500, 3000, 4500, 6500]) {
      // Each round has a container, a network and a volume to make.
      expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
      const run = person.npm("start");
      await sleep(milliseconds);
      await execa("pkill", ["-KILL", "-u", String(UID), "-f", person.home], { reject: false });
      await run;
      await succeeds();
      expect(await containers()).toEqual(["container1"]);
    }
  });

  it("two runs at once: one of them leaves, and says who holds the stack", async () => {
    await succeeds();
    person.configure({ ...CONFIG, notebooks: [{ ...CONFIG.notebooks[0], environment: { ROUND: "2" } }] });
    const both = await Promise.all([person.npm("start"), person.npm("start")]);
    const failed = both.filter(({ exitCode }) => exitCode !== 0);
    expect(failed.length, both.map(({ all }) => all).join("\n----\n")).toBeLessThanOrEqual(1);
    for (const { all } of failed) expect(all).toMatch(/lock|another/i);
    await succeeds();
  });

  it("an image to pull that is there already needs no registry", async () => {
    await succeeds();
    await daemon.client.getImage("gpubox-dev").tag({ repo: "example.org/notebook", tag: "1" });
    person.configure({ ...CONFIG, image: "example.org/notebook:1" });
    await succeeds();
    const { Config } = await daemon.client.getContainer("container1").inspect();
    expect(Config.Cmd?.join(" ")).toContain("jupyter");
  });
});

async function makeRepository(folder: string): Promise<void> {
  const work = `${folder}.work`;
  mkdirSync(work);
  const git = (...args: string[]) =>
    execa("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
      cwd: work,
      uid: UID,
      gid: UID,
    });
  appendFileSync(join(work, "lesson1.txt"), "lesson 1\n");
  await execa("chown", ["-R", `${UID}:${UID}`, work]);
  await git("init", "-q");
  await git("add", ".");
  await git("commit", "-qm", "lesson 1");
  await git("tag", "v1");
  await git("clone", "-q", "--bare", work, folder);
}
