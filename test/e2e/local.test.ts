/** The main job, as a person does it who is not root: from a fresh clone to a notebook, and back. */
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { execute, status } from "../support/jupyter.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const LABEL = "gpubox.stack=gpubox/dev";

describeWithDaemon("a stack on this machine", () => {
  let daemon: Daemon;
  let person: Person;
  let url: string;

  const container = async (name: string) => await daemon.client.getContainer(name).inspect();

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    person.configure({
      image: { target: "lab" },
      notebooks: [
        { name: "container1", gpus: "none", environment: { COLOUR: "blue" } },
        { name: "container2", gpus: "none", port: 8889 },
      ],
    });
  });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("comes up with one command, and says where it is and on what it runs", async () => {
    const { exitCode, all, stdout } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    expect(stdout).toMatch(/http:\/\/127\.0\.0\.1:8888\/\?token=[A-Za-z0-9]{40}/);
    expect(stdout).toContain("docker exec -it container1 bash");
    expect(stdout).toContain("docker logs -f container1");
    expect(stdout).toContain("npm run destroy");
    expect(stdout).toContain("CPU");
    url = (await person.npm("url")).stdout;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:8888\/\?token=[A-Za-z0-9]{40}$/);
  });

  it("changes nothing the second time, and says so", async () => {
    const before = [(await container("container1")).Id, (await container("container2")).Id];
    const again = await person.npm("start");
    expect(again.exitCode, again.all).toBe(0);
    expect(again.stdout).toMatch(/^unchanged/m);
    expect([(await container("container1")).Id, (await container("container2")).Id]).toEqual(before);
    const preview = await person.shell("pulumi preview --expect-no-changes --non-interactive");
    expect(preview.exitCode, preview.all).toBe(0);
    const refreshed = await person.shell("pulumi preview --refresh --expect-no-changes --non-interactive");
    expect(refreshed.exitCode, refreshed.all).toBe(0);
  });

  it("lets in who has the token, on the loopback, and nobody else", async () => {
    expect(await status(url, "/api/contents")).toBe(200);
    expect(await status(url, "/api/contents", "")).toBe(403);
    expect(await status(url, "/api/contents", "0".repeat(48))).toBe(403);
    const second = await status(url.replace(":8888", ":8889"), "/api/contents");
    expect(second, "the other notebook has a token of its own").toBe(403);
    const { NetworkSettings } = await container("container1");
    expect(NetworkSettings.Ports["8888/tcp"]).toEqual([{ HostIp: "127.0.0.1", HostPort: "8888" }]);
    const { stdout: listening } = await execa("ss", ["-ltnH", "sport = :8888 or sport = :8889"]);
    const addresses = listening.split("\n").map((line) => line.split(/\s+/)[3]);
    expect(addresses.sort()).toEqual(["127.0.0.1:8888", "127.0.0.1:8889"]);
  });

  it("runs code whose files belong to the person", async () => {
    const { output, error } = await execute(
      url,
      [
        "import getpass, os",
        "open('/code/from-the-notebook.txt', 'w').write('hello')",
        "os.makedirs('/data/made', exist_ok=True)",
        "print(os.getcwd(), os.getuid(), getpass.getuser(), os.environ['COLOUR'])",
        "print('token' in repr(dict(os.environ)).lower())",
      ].join("\n"),
    );
    expect(error).toBeUndefined();
    expect(output).toMatch(/^\/code 1000 \w+ blue\nFalse\n$/);
    const made = join(person.root, "code", "from-the-notebook.txt");
    expect(readFileSync(made, "utf8")).toBe("hello");
    expect(statSync(made)).toMatchObject({ uid: UID, gid: UID });
    expect(statSync(join(person.root, "data", "made"))).toMatchObject({ uid: UID, gid: UID });
    expect(statSync(join(person.root, "code", "starters"))).toMatchObject({ uid: UID, gid: UID });
    expect(existsSync(join(person.root, "data", "shapes"))).toBe(true);
  });

  it("gives its containers what the README says", async () => {
    const { HostConfig, Config } = await container("container1");
    expect(Config).toMatchObject({ User: "1000:1000", WorkingDir: "/code" });
    expect(HostConfig).toMatchObject({
      Init: true,
      ShmSize: 8 * 1024 ** 3,
      CapDrop: ["ALL"],
      RestartPolicy: { Name: "unless-stopped" },
    });
    expect(HostConfig.SecurityOpt).toContain("no-new-privileges:true");
    expect(Config.Labels).toMatchObject({ "gpubox.stack": "gpubox/dev", "gpubox.notebook": "container1" });
    const labelled = { filters: JSON.stringify({ label: [LABEL] }) };
    expect(await daemon.client.listNetworks(labelled)).toHaveLength(1);
    expect((await daemon.client.listVolumes(labelled)).Volumes).toHaveLength(2);
    expect(await daemon.client.listContainers(labelled)).toHaveLength(2);
  });

  it("has enough shared memory for eight workers of a DataLoader", async () => {
    const { stdout } = await execa(
      "docker",
      ["exec", "container1", "df", "-m", "--output=size", "/dev/shm"],
      {
        env: { DOCKER_HOST: daemon.host },
      },
    );
    expect(stdout).toContain("8192");
  });

  it("keeps the seed's habits in the container's shell", async () => {
    const shell = (command: string) =>
      execa("docker", ["exec", "container1", "bash", "-ic", command], {
        env: { DOCKER_HOST: daemon.host },
        reject: false,
        all: true,
      });
    for (const habit of ["j8", "jupyter_notebook_GPU_0_PORT_8888"]) {
      expect((await shell(habit)).all).toContain(new URL(url).search);
    }
    expect(
      (await shell("type -t j9 jupyter_notebook_GPU_3_PORT_8891")).stdout.trim().split("\n"),
    ).toHaveLength(2);
  });

  it("keeps the token out of logs, plain state and the engine's display", async () => {
    const token = new URL(url).searchParams.get("token") as string;
    const preview = await person.shell("pulumi preview --diff --non-interactive; pulumi stack output");
    expect(preview.all).not.toContain(token);
    const { all } = await execa("docker", ["logs", "container1"], {
      env: { DOCKER_HOST: daemon.host },
      all: true,
    });
    expect(all).not.toContain(token);
    const found = await execa("grep", ["-rlF", token, person.home], { reject: false });
    expect(found.stdout).toBe("");
    const { stdout: processes } = await execa("ps", ["-eo", "args"]);
    expect(processes).not.toContain(token);
    const passphrase = statSync(join(person.home, ".gpubox", "passphrase"));
    expect(passphrase.mode & 0o777).toBe(0o600);
  });

  it("rebuilds only the last layers when a starter notebook changed, and leaves the person's copy alone", async () => {
    const mine = join(person.root, "code", "starters", "where-things-live.ipynb");
    appendFileSync(mine, "\n");
    const changed = readFileSync(mine, "utf8");
    const before = await container("container1");
    const starter = join(person.project, "docker", "notebooks", "where-things-live.ipynb");
    writeFileSync(starter, readFileSync(starter, "utf8").replace("\n", "\n\n"));
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    const after = await container("container1");
    expect(after.Image).not.toBe(before.Image);
    const layers = async (image: string) =>
      (await daemon.client.getImage(image).inspect()).RootFS.Layers ?? [];
    const [old, now] = [await layers(before.Image), await layers(after.Image)];
    const shared = now.filter((layer) => old.includes(layer)).length;
    expect(now.length - shared, `${now.length} layers, ${shared} shared`).toBeLessThanOrEqual(2);
    expect(readFileSync(mine, "utf8")).toBe(changed);
    expect((await person.npm("url")).stdout, "the token outlives the container").toBe(url);
  });

  it("stops without losing anything, and starts again", async () => {
    const before = (await container("container1")).Id;
    const stopped = await person.npm("stop");
    expect(stopped.exitCode, stopped.all).toBe(0);
    expect((await container("container1")).State.Running).toBe(false);
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    expect(await container("container1")).toMatchObject({ Id: before, State: { Running: true } });
    expect(await status(url, "/api/contents")).toBe(200);
  });

  it("puts back a container that somebody removed", async () => {
    await daemon.client.getContainer("container2").remove({ force: true });
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    expect((await container("container2")).State.Running).toBe(true);
  });

  it("comes back by itself when the daemon was restarted", async () => {
    await daemon.stop();
    await daemon.start();
    await expect
      .poll(() => status(url, "/api/contents").catch(() => 0), { timeout: 60_000, interval: 500 })
      .toBe(200);
  });

  it("does not destroy without a yes, and then leaves only the person's work", async () => {
    const refused = await person.npm("destroy");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.all).toContain("--yes");
    expect((await container("container1")).State.Running).toBe(true);

    const { exitCode, all } = await person.npm("destroy", "--yes");
    expect(exitCode, all).toBe(0);
    const everything = { all: true, filters: JSON.stringify({ label: [LABEL] }) };
    expect(await daemon.client.listContainers(everything)).toEqual([]);
    expect(await daemon.client.listNetworks(everything)).toEqual([]);
    expect((await daemon.client.listVolumes(everything)).Volumes ?? []).toEqual([]);
    expect(readFileSync(join(person.root, "code", "from-the-notebook.txt"), "utf8")).toBe("hello");
    expect(existsSync(join(person.root, "data", "made"))).toBe(true);
    expect((await person.npm("url")).exitCode).not.toBe(0);
  });

  it("may be destroyed twice", async () => {
    const { exitCode, all } = await person.npm("destroy", "--yes");
    expect(exitCode, all).toBe(0);
  });
});
