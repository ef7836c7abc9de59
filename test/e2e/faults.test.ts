/** What goes wrong on a person's machine: each is said clearly, loses nothing, and the next run goes on. */
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { gitAs } from "../support/git-server.ts";
import { status } from "../support/jupyter.ts";
import { startLoopbackServer } from "../support/loopback-server.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { killAll, processesOf } from "../support/processes.ts";
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
    daemon = await startDaemon({ group: String(UID) });
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

  it("a change of code that is killed or fails halfway, and is taken back in the configuration", async () => {
    const repository = join(person.home, "moving.git");
    const asked = new EventEmitter();
    const server = await startLoopbackServer();
    // Killed while it waits for a submodule; then told that there is none.
    server.handle("/data.git", (_request, response) => {
      if (!asked.emit("request")) response.writeHead(404).end();
    });
    await makeRepository(repository, server.url("/data.git"));
    const at = (ref: string) =>
      person.configure({
        ...CONFIG,
        code: [{ url: `file://${repository}`, ref, folder: "moving", submodules: ref === "v2" }],
      });
    const isThere = (lesson: number) =>
      existsSync(join(person.root, "code", "moving", `lesson${lesson}.txt`));
    const goesBack = async () => {
      expect(isThere(2)).toBe(true);
      at("v1");
      await succeeds();
      expect([isThere(1), isThere(2)]).toEqual([true, false]);
      expect((await person.npm("start")).stdout).toMatch(/^unchanged/m);
    };
    try {
      at("v1");
      await succeeds();

      at("v2");
      const killed = person.npm("start");
      await once(asked, "request");
      killAll(processesOf(person.home));
      expect((await killed).exitCode).not.toBe(0);
      await goesBack();

      at("v2");
      fails(await person.npm("start"), /cannot fetch the submodules/);
      await goesBack();
    } finally {
      await server.close();
    }
  });

  it("a network and a volume of those names that are somebody else's", async () => {
    const network = await daemon.client.createNetwork({ Name: "gpubox-dev" });
    const volume = await daemon.client.createVolume({ Name: "gpubox-dev-container1-home" });
    fails(
      await person.npm("start"),
      /a network named gpubox-dev is there already, made by something other than gpubox/,
      /notebooks\[0\]\.name: a volume named gpubox-dev-container1-home is there already/,
    );
    expect(await containers()).toEqual([]);
    expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
    await network.inspect();
    await daemon.client.getVolume(volume.name).inspect();
    // As the message says.
    await network.remove();
    await daemon.client.getVolume(volume.name).remove();
    await succeeds();
  });

  it("an image whose base, and an image, that cannot be had", async () => {
    person.configure({ ...CONFIG, image: { target: "lab", args: { BASE: "127.0.0.1:1/no-base:1" } } });
    fails(await person.npm("start"), /127\.0\.0\.1:1\/no-base:1/, /connection refused|failed to/);
    person.configure({ ...CONFIG, image: "127.0.0.1:1/no-image:1" });
    fails(await person.npm("start"), /127\.0\.0\.1:1\/no-image:1/, /connection refused/);
    expect(await containers()).toEqual([]);
    person.configure(CONFIG);
    await succeeds();
  });

  describe("a notebook that runs", () => {
    let url: string;
    const container = () => daemon.client.getContainer("container1");
    const answers = () =>
      expect
        .poll(() => status(url, "/api/contents").catch(() => 0), { timeout: 60_000, interval: 250 })
        .toBe(200);
    beforeEach(async () => {
      await succeeds();
      url = (await person.npm("url")).stdout;
      for (const part of ["code", "data"]) writeFileSync(join(person.root, part, "mine.txt"), "mine");
    });
    afterEach(() => {
      for (const part of ["code", "data"]) {
        expect(readFileSync(join(person.root, part, "mine.txt"), "utf8")).toBe("mine");
      }
    });
    /** As it was, token included. */
    const isBack = async () => {
      const { exitCode, all } = await person.npm("start");
      expect(exitCode, all).toBe(0);
      expect(all).toContain(url);
      expect(await containers()).toEqual(["container1"]);
      expect(await status(url, "/api/contents")).toBe(200);
    };

    it("is back by itself when its main process is killed, and when the machine loses its power", async () => {
      const { Id, State } = await container().inspect();
      process.kill(State.Pid, "SIGKILL");
      await expect.poll(async () => (await container().inspect()).RestartCount, { timeout: 20_000 }).toBe(1);
      await answers();

      await daemon.cutPower();
      await daemon.start();
      await answers();
      expect((await container().inspect()).Id).toBe(Id);
      await isBack();
    });

    it("is stopped, killed by hand and paused, and started again by the next run each time", async () => {
      const { Id } = await container().inspect();
      for (const fault of ["stop", "kill", "pause"] as const) {
        await container()[fault]();
        await isBack();
        expect((await container().inspect()).Id, fault).toBe(Id);
      }
    });

    it("is removed by hand, with network, volume and image, and made again", async () => {
      await container().remove({ force: true });
      await isBack();
      await container().remove({ force: true });
      await daemon.client.getNetwork("gpubox-dev").remove();
      await daemon.client.getVolume("gpubox-dev-container1-home").remove();
      await daemon.client.getImage("gpubox-dev").remove({ force: true });
      await isBack();
    });

    it("is renamed in the configuration, and left out of it: the files stay, and no other notebook is touched", async () => {
      const notebook = { gpus: "none" };
      person.configure({
        ...CONFIG,
        notebooks: [
          { ...notebook, name: "container1" },
          { ...notebook, name: "second", port: 8889 },
        ],
      });
      await succeeds();
      const { Id } = await container().inspect();
      person.configure({
        ...CONFIG,
        notebooks: [
          { ...notebook, name: "container1" },
          { ...notebook, name: "renamed", port: 8889 },
        ],
      });
      const refused = await person.npm("start");
      fails(refused, /port 8889 is taken by the container second, .* no longer in the configuration/);
      const [, command] = /`(docker rm [^`]+)`/.exec(refused.all) ?? [];
      expect((await person.sh(command as string)).exitCode).toBe(0);
      await succeeds();
      expect((await containers()).sort()).toEqual(["container1", "renamed"]);
      person.configure({ ...CONFIG, notebooks: [{ ...notebook, name: "container1" }] });
      await succeeds();
      expect(await containers()).toEqual(["container1"]);
      expect((await container().inspect()).Id).toBe(Id);
      expect(((await daemon.client.listVolumes()).Volumes ?? []).map(({ Name }) => Name)).toEqual([
        "gpubox-dev-container1-home",
      ]);
    });

    it("is torn down while the daemon is gone: what is left is said, and goes once it is there, whoever was first", async () => {
      await daemon.stop();
      try {
        fails(
          await person.npm("destroy", "--yes"),
          /no Docker daemon answers at unix:/,
          /containers, networks and volumes of stack dev stay as they are/,
          /your files stay/,
        );
        fails(await person.npm("start"), /no Docker daemon answers at unix:/);
      } finally {
        await daemon.start();
      }
      await container().remove({ force: true });
      await daemon.client.getNetwork("gpubox-dev").remove();
      for (const _ of ["once", "twice"]) {
        const { exitCode, all } = await person.npm("destroy", "--yes");
        expect(exitCode, all).toBe(0);
        expect(all).toMatch(/What stays: your files|nothing to/);
      }
      expect(await containers()).toEqual([]);
    });

    it("has a daemon that is gone for good: the stack is forgotten as the message says, and made on the next", async () => {
      await daemon.stop();
      const { all } = await person.npm("destroy", "--yes");
      await daemon.start();
      const [, script, rest = ""] = /`npm run (\w+) -- (stack rm [^`]+)`/.exec(all) ?? [];
      const forgotten = await person.npm(script as string, ...rest.split(" "), "--yes");
      expect(forgotten.exitCode, forgotten.all).toBe(0);
      await container().remove({ force: true });
      await daemon.client.getNetwork("gpubox-dev").remove();
      await succeeds();
    });
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

/** A bare repository with the tag v1; with v2 as well where `submodule` is the url of one that v2 has. */
async function makeRepository(folder: string, submodule?: string): Promise<void> {
  const work = `${folder}.work`;
  mkdirSync(work);
  const git = gitAs(work);
  const commit = (lesson: number) => {
    writeFileSync(join(work, `lesson${lesson}.txt`), `lesson ${lesson}\n`);
    git(work, "add", ".");
    git(work, "commit", "-qm", `lesson ${lesson}`);
    git(work, "tag", `v${lesson}`);
  };
  git(work, "init", "-q");
  commit(1);
  if (submodule) {
    writeFileSync(join(work, ".gitmodules"), `[submodule "data"]\n\tpath = data\n\turl = ${submodule}\n`);
    git(work, "update-index", "--add", "--cacheinfo", `160000,${git(work, "rev-parse", "HEAD")},data`);
    mkdirSync(join(work, "data"));
    commit(2);
  }
  git(work, "clone", "-q", "--bare", work, folder);
  // Git reads no repository of somebody else's.
  await execa("chown", ["-R", `${UID}:${UID}`, folder]);
}
