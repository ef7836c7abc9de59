/** What goes wrong on a person's machine: each is said clearly, loses nothing, and the next run goes on. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { execa } from "execa";
import tar from "tar-fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { FaultyStack, fails, MovingCode, NOTEBOOK, NOTEBOOK_FAULTS } from "../support/faults.ts";
import { type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import { createPerson, type Person } from "../support/person.ts";
import { startRegistry } from "../support/registry.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const BASE = "debian:bookworm-slim";
const NOTES = "lesson 1: look at the data\n";

describeWithDaemon("faults", () => {
  let daemon: Daemon;
  let person: Person;
  let server: LoopbackServer;
  let stack: FaultyStack;
  let code: MovingCode;
  let notes: string;
  /** Whether the stack is up as the test before has left it. */
  let isUp = false;
  const second = { name: "second", gpus: "none", port: 8889 };

  const containers = () => stack.containers();
  const start = () => person.npm("start");

  beforeAll(async () => {
    server = await startLoopbackServer();
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    stack = new FaultyStack(daemon, person);
    notes = server.url("/notes.txt");
    const sha256 = createHash("sha256").update(NOTES).digest("hex");
    code = new MovingCode(stack, server, { data: [{ url: notes, sha256, folder: "notes" }] });
  });
  beforeEach(() => stack.configure());
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
    await server?.close();
  });

  describe("before anything is made:", () => {
    afterEach(async () => expect(await containers()).toEqual([]));

    it("a port that another program listens on", async () => {
      const program = createServer().listen(8888, "127.0.0.1");
      await once(program, "listening");
      fails(await start(), /notebooks\[0\]\.port: port 8888 is taken by another program/, /ss -ltnp/);
      program.close();
    });

    it("a container of that name that is somebody else's", async () => {
      const stranger = await daemon.client.createContainer({
        name: "container1",
        Image: BASE,
        Cmd: ["sleep", "600"],
      });
      await stranger.start();
      fails(
        await start(),
        /notebooks\[0\]\.name: a container named container1 already exists/,
        /docker rename/,
      );
      expect((await stranger.inspect()).State.Running).toBe(true);
      await stranger.remove({ force: true });
    });

    it("a network and a volume of those names that are somebody else's", async () => {
      const network = await daemon.client.createNetwork({ Name: "gpubox-dev" });
      const volume = await daemon.client.createVolume({ Name: "gpubox-dev-container1-home" });
      fails(
        await start(),
        /a network named gpubox-dev already exists, made by something other than gpubox/,
        /notebooks\[0\]\.name: a volume named gpubox-dev-container1-home already exists/,
      );
      // Makes the stack: with nothing in it, there is something to destroy.
      await person.npm("env");
      expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
      await network.inspect();
      await daemon.client.getVolume(volume.name).inspect();
      // As the message says.
      await network.remove();
      await daemon.client.getVolume(volume.name).remove();
    });

    it("GPUs that are not there", async () => {
      stack.configure({ notebooks: [{ ...NOTEBOOK, gpus: "all" }] });
      const outcome = await start();
      fails(outcome, /notebooks\[0\]\.gpus: no NVIDIA driver on this host/, /apt-get install nvidia-driver/);
      expect(outcome.all).not.toMatch(/image-build.*creat/);
    });

    it("a configuration that is wrong in several places", async () => {
      stack.configure({ image: { taget: "lab" }, notebook: [] });
      fails(
        await start(),
        /gpubox:image\.taget: there is no such key/,
        /gpubox:notebook: there is no such key/,
      );
    });

    it("no Docker daemon", async () => {
      const { stdout: exports } = await person.npm("env");
      await daemon.stop();
      try {
        fails(await start(), /no Docker daemon answers at unix:/, /start it/);
        fails(
          await person.sh(`${exports}\npulumi up --yes --non-interactive`),
          /no Docker daemon answers/,
          /npm start/,
        );
      } finally {
        await daemon.start();
      }
    });

    it("an image whose base, and an image, that cannot be had", async () => {
      stack.configure({ image: { target: "lab", args: { BASE: "127.0.0.1:1/no-base:1" } } });
      fails(await start(), /127\.0\.0\.1:1\/no-base:1/, /connection refused|failed to/);
      stack.configure({ image: "127.0.0.1:1/no-image:1" });
      fails(await start(), /127\.0\.0\.1:1\/no-image:1/, /connection refused/);
    });
  });

  it("an image build that fails, and goes on from the cache once it is mended", async () => {
    const dockerfile = join(person.project, "docker", "Dockerfile");
    const whole = readFileSync(dockerfile, "utf8");
    const [lab] = whole.match(/^FROM .* AS lab$/m) ?? [];
    expect(lab).toBeDefined();
    writeFileSync(dockerfile, whole.replace(lab as string, `${lab}\nRUN echo canary-output && exit 7`));
    fails(await start(), /echo canary-output && exit 7/, /canary-output/, /exit code: 7/);
    expect(await containers()).toEqual([]);
    writeFileSync(dockerfile, whole);
    stack.configure({ notebooks: [NOTEBOOK, second] });
    await stack.succeeds();
    isUp = true;
  });

  describe("a notebook that runs", () => {
    beforeEach(async () => {
      // After a test that failed, whatever it left.
      if (!isUp) await stack.succeeds();
    });
    afterEach(({ task }) => {
      isUp = task.result?.state === "pass";
    });

    it("is renamed in the configuration, and left out of it: the files stay, and no other notebook is touched", async () => {
      for (const part of ["code", "data"]) writeFileSync(join(person.root, part, "mine.txt"), "mine");
      stack.configure({ notebooks: [NOTEBOOK, second] });
      if (!(await containers()).includes(second.name)) await stack.succeeds();
      const { Id } = await stack.container.inspect();
      stack.configure({ notebooks: [NOTEBOOK, { ...second, name: "renamed" }] });
      // It has the port that it wants under its new name, and goes on until somebody agrees to what is lost.
      fails(
        await start(),
        /second: its home volume is removed, and with it .*pip install.*your files there/,
        /npm start -- --yes/,
      );
      expect((await daemon.client.getContainer("second").inspect()).State.Running).toBe(true);
      const renamed = await person.npm("start", "--yes");
      expect(renamed.exitCode, renamed.all).toBe(0);
      expect(renamed.all).toMatch(/second: stopping it, because port 8889 now belongs to renamed/);
      expect(await containers()).toEqual(["container1", "renamed"]);
      expect((await daemon.client.getContainer("renamed").inspect()).State.Running).toBe(true);
      stack.configure();
      await stack.succeeds();
      expect(await containers()).toEqual(["container1"]);
      expect((await stack.container.inspect()).Id).toBe(Id);
      expect(((await daemon.client.listVolumes()).Volumes ?? []).map(({ Name }) => Name)).toEqual([
        "gpubox-dev-container1-home",
      ]);
      for (const part of ["code", "data"])
        expect(readFileSync(join(person.root, part, "mine.txt"), "utf8")).toBe("mine");
    });

    it("changes ports with another one", async () => {
      const ports = async () =>
        Promise.all(
          ["container1", "second"].map(async (name) => {
            const { HostConfig, State } = await daemon.client.getContainer(name).inspect();
            expect(State.Running).toBe(true);
            return Object.values(HostConfig.PortBindings as Record<string, { HostPort: string }[]>)[0]?.[0]
              ?.HostPort;
          }),
        );
      stack.configure({ notebooks: [NOTEBOOK, second] });
      await stack.succeeds();
      expect(await ports()).toEqual(["8888", "8889"]);
      stack.configure({
        notebooks: [
          { ...NOTEBOOK, port: 8889 },
          { ...second, port: 8888 },
        ],
      });
      await stack.succeeds();
      expect(await ports()).toEqual(["8889", "8888"]);
      stack.configure();
      await stack.succeeds();
      expect(await containers()).toEqual(["container1"]);
    });

    it.each([
      "is paused",
      "is removed, with network, volume and image",
    ])("%s, and is had back by the next run", async (fault) => {
      await stack.recoversFrom(fault);
    });

    it("is back by itself when its main process is killed, and when the machine loses its power", async () => {
      await NOTEBOOK_FAULTS["is back by itself when its main process is killed"]?.(stack);
      await stack.recoversFrom("is back by itself when the machine loses its power");
    });

    it("wants a download that fails, and a repository that is not there", async () => {
      code.at("v1");
      fails(await start(), notes, "404", code.url);
      expect(existsSync(join(person.root, "data", "notes"))).toBe(false);
      expect(existsSync(code.folder)).toBe(false);

      server.serve("/notes.txt", Buffer.from(NOTES));
      await code.make();
      await stack.succeeds();
      expect(readFileSync(join(person.root, "data", "notes", "notes.txt"), "utf8")).toBe(NOTES);
      expect(readFileSync(join(code.folder, "lesson1.txt"), "utf8")).toBe("lesson 1\n");
    });

    it("has its code changed by a run that is killed or fails halfway, and is taken back in the configuration", async () => {
      writeFileSync(join(code.folder, "mine.txt"), "mine");
      await code.isKilledAndTakenBack();
      await code.failsAndIsTakenBack();
      expect((await start()).stdout).toMatch(/^unchanged/m);
      expect(readFileSync(join(code.folder, "mine.txt"), "utf8")).toBe("mine");
    });

    it("wants an image to pull that is there already, and needs no registry", async () => {
      await daemon.client.getImage("gpubox-dev").tag({ repo: "example.org/notebook", tag: "1" });
      stack.configure({ image: "example.org/notebook:1" });
      await stack.succeeds();
      const { Config } = await stack.container.inspect();
      expect((Config.Entrypoint as string[]).join(" ")).toContain("jupyter");
    });

    it("wants an image of a registry that asks for a login: told, and pulled with the person's own; it has a home of its own", async () => {
      const registry = await startRegistry(
        await savedImage(daemon, join(person.home, "saved")),
        "ada:canary",
      );
      onTestFinished(() => registry.close());
      const image = `${registry.address}/team/notebook:1`;
      const notebooks = [{ ...NOTEBOOK, memory: "400m" }];
      stack.configure({ image, notebooks });
      fails(await start(), new RegExp(`log in on this machine with \`docker login ${registry.address}\``));

      mkdirSync(join(person.home, ".docker"));
      const auths = { [registry.address]: { auth: Buffer.from("ada:canary").toString("base64") } };
      writeFileSync(join(person.home, ".docker", "config.json"), JSON.stringify({ auths }));
      // The home volume that the image of docker/ had, and one that is new, which is root's where the image has no such folder.
      for (const isNew of [false, true]) {
        if (isNew) {
          await stack.container.remove({ force: true });
          await daemon.client.getVolume("gpubox-dev-container1-home").remove();
        }
        const { exitCode, all } = await start();
        expect(exitCode, all).toBe(0);
        expect(all).not.toContain("canary");
        const look = [
          "exec",
          NOTEBOOK.name,
          "sh",
          "-c",
          "id -u; stat -c %u:%a ~; cat ~/started; df --output=target ~",
        ];
        const { stdout } = await execa("docker", look, { env: { DOCKER_HOST: daemon.host } });
        expect(stdout).toMatch(/^1000\n1000:755\n\/home\/jupyter\nMounted on\n\/home\/jupyter$/);
      }
      expect((await start()).stdout).toMatch(/^unchanged/m);
      const found = await execa("grep", ["-rlF", "canary", join(person.home, ".gpubox")], { reject: false });
      expect(found.stdout, "the login is encrypted in the state").toBe("");
      rmSync(join(person.home, ".docker"), { recursive: true });
    });

    it("has a daemon that is gone for good: the stack is forgotten as the message says, and made on the next", async () => {
      await stack.forgetDaemon();
      code.at("v1");
      await stack.succeeds();
    });

    it("is torn down while the daemon is gone: what is left is said, and goes once it is there, but for code and data", async () => {
      await stack.tearDownWithoutDaemon();
      expect(readFileSync(join(code.folder, "mine.txt"), "utf8")).toBe("mine");
      expect(existsSync(join(person.root, "data", "notes", "notes.txt"))).toBe(true);
    });
  });
});

/** A Jupyter in as few words as possible: it answers where it is asked, and writes to its home. */
const JUPYTER = `#!/usr/bin/perl
use IO::Socket::INET;
open(my $file, ">", "$ENV{HOME}/started") or die "no home: $!"; print $file "$ENV{HOME}\\n"; close $file;
my $server = IO::Socket::INET->new(LocalPort => $ENV{JUPYTER_PORT}, Listen => 9, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  while (<$client>) { last if /^\\r?$/ }
  print $client "HTTP/1.0 200 OK\\r\\n\\r\\n{\\"version\\": \\"2\\"}";
}
`;

/** An image as others make them: its ENTRYPOINT starts no command of ours, and it has no home folder. Its `docker save`, unpacked. */
async function savedImage(daemon: Daemon, folder: string): Promise<string> {
  const context = join(folder, "context");
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, "jupyter"), JUPYTER, { mode: 0o755 });
  const dockerfile = `FROM ${BASE}\nCOPY jupyter /usr/local/bin/\nENTRYPOINT ["echo"]\nCMD ["nothing"]\n`;
  writeFileSync(join(context, "Dockerfile"), dockerfile);
  const answer = await daemon.client.buildImage(tar.pack(context, {}), { t: "saved" });
  await new Promise<void>((resolve, reject) =>
    daemon.client.modem.followProgress(answer, (error) => (error ? reject(error) : resolve())),
  );
  await execa("sh", ["-c", 'docker save saved | tar -C "$0" -x', folder], {
    env: { DOCKER_HOST: daemon.host },
  });
  await daemon.client.getImage("saved").remove();
  return folder;
}
