/** The same stack on a machine that is reached by SSH: a real sshd and a Docker daemon in a network of their own. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { createContext } from "../../cli/context.ts";
import { prepareBaseImage } from "../../cli/docker/base-image.ts";
import { openRemote } from "../../cli/hosts/ssh.ts";
import { gitAs } from "../support/git-server.ts";
import { execute, status } from "../support/jupyter.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { killAll, processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { makeKey, REMOTE, type SshMachine, startSshMachine } from "../support/ssh-machine.ts";
import { throughTunnel } from "../support/tunnel.ts";

/** `nobody`: ssh asks the system who it is, so it must be an account; this one's home has no ssh files to find. */
const UID = 65534;
const LABEL = "gpubox.stack=gpubox/dev";
const MINUTE = 60_000;

describeWithDaemon("a stack on a machine reached by SSH", () => {
  const keys = mkdtempSync(join(tmpdir(), "gpubox-keys-"));
  let machine: SshMachine;
  let person: Person;

  const host = () => ({
    kind: "ssh",
    address: machine.address,
    user: REMOTE.user,
    port: machine.port,
    key: "~/id_gpu",
  });
  const configure = (changes: Record<string, unknown>, more: Record<string, unknown> = {}) =>
    person.configure({
      host: { ...host(), ...changes },
      root: "~/docker_mount",
      image: { target: "lab" },
      notebooks: [
        { name: "container1", gpus: "none" },
        { name: "container2", gpus: "none", port: 8889 },
      ],
      ...more,
    });
  const labelled = () => ({ all: true, filters: JSON.stringify({ label: [LABEL] }) });
  const containers = async () =>
    (await machine.daemon.client.listContainers(labelled())).map(({ Names }) => Names[0]);
  const succeeds = ({ exitCode, all }: Outcome) => expect(exitCode, all).toBe(0);
  const fails = ({ exitCode, all }: Outcome, ...messages: RegExp[]) => {
    expect(exitCode, all).not.toBe(0);
    for (const message of messages) expect(all).toMatch(message);
  };

  beforeAll(async () => {
    machine = await startSshMachine();
    person = await createPerson({
      daemon: machine.daemon,
      // Whoever reaches a machine elsewhere needs no Docker here.
      dockerHost: "unix:///nonexistent/docker.sock",
      uid: UID,
      env: { SSH_AUTH_SOCK: "" },
    });
    machine.authorize(await makeKey(join(keys, "id")));
    await execa("install", ["-m", "600", "-o", String(UID), join(keys, "id"), join(person.home, "id_gpu")]);
  });

  afterAll(async () => {
    const endConnections =
      'for at in "$HOME"/.gpubox/ssh/*; do ssh -F none -o ControlPath="$at" -O exit x || :; done';
    await person?.sh(endConnections);
    await execa("sh", ["-c", endConnections], { env: { HOME: keys } });
    await machine?.end();
    await person?.remove();
    rmSync(keys, { recursive: true, force: true });
  });

  it("does not trust a host key that nothing vouches for, and says what to add", async () => {
    configure({});
    const outcome = await person.npm("start");
    fails(
      outcome,
      /step that failed: host key/,
      /nothing vouches for the host key/,
      /ssh-ed25519 SHA256:\S{43}/,
      /gpubox:host in Pulumi\.dev\.yaml/,
    );
    const line = /^\s+hostKey: (ssh-ed25519 \S+)$/m.exec(outcome.all)?.[1];
    expect(line).toBe(machine.hostKey);
  });

  it("refuses another key than the one that is pinned, loudly", async () => {
    configure({ hostKey: await makeKey(join(keys, "other")) });
    fails(
      await person.npm("start"),
      /THE HOST KEY OF 192\.168\.212\.2 IS NOT THE ONE THAT IS TRUSTED/,
      /gpubox:host\.hostKey in Pulumi\.dev\.yaml/,
    );
    writeFileSync(
      join(person.home, "known_hosts"),
      `[${machine.address}]:${machine.port} ${readFileSync(join(keys, "other.pub"), "utf8")}`,
    );
    configure({ knownHosts: "~/known_hosts" });
    fails(await person.npm("start"), /IS NOT THE ONE THAT IS TRUSTED/, /Offending .*known_hosts:1/);
    expect(await containers()).toEqual([]);
  });

  it("says which step failed: the name, the port, the key, Docker's group", async () => {
    const { hostKey } = machine;
    configure({ hostKey, address: "gpu.invalid" });
    fails(await person.npm("start"), /step that failed: resolve/, /gpubox:host\.address/);
    configure({ hostKey, port: 2223 });
    fails(await person.npm("start"), /step that failed: connect/, /refused/);
    configure({ hostKey, user: "root" });
    fails(await person.npm("start"), /step that failed: authentication/, /ssh-copy-id/);
    machine.allowDocker(false);
    configure({ hostKey });
    fails(await person.npm("start"), /step that failed: Docker not allowed/, /usermod -aG docker/);
    machine.allowDocker(true);
    configure({ hostKey, user: undefined, address: "-oProxyCommand=x" });
    fails(await person.npm("start"), /gpubox:host\.address: must be a name or an address/);
    expect(await containers()).toEqual([]);
  });

  it("gets its base image by way of ssh", async () => {
    const tag = "debian:bookworm";
    const stack = {
      config: { "gpubox:host": { ...host(), key: join(keys, "id"), hostKey: machine.hostKey } },
    };
    writeFileSync(join(keys, "Pulumi.dev.yaml"), stringify(stack));
    const context = createContext();
    const { HOME } = process.env;
    // The sockets of this process's own connections are kept below it.
    process.env.HOME = keys;
    try {
      const remote = await openRemote({ context: createContext(process.env, keys), stack: "dev" });
      await prepareBaseImage(context, remote.docker.host, tag, remote.connection.address);
      const image = machine.daemon.client.getImage(tag);
      expect((await image.inspect()).Os).toBe("linux");
      await image.remove();
      // A process of the tests is not always given the time to do so as it ends.
      rmSync(dirname(remote.docker.host.replace("unix://", "")), { recursive: true });
    } finally {
      process.env.HOME = HOME;
    }
  });

  it("comes up with the line that was asked for, without a Docker daemon here", async () => {
    configure({ hostKey: machine.hostKey });
    const outcome = await person.npm("start");
    succeeds(outcome);
    expect(await containers()).toHaveLength(2);
    expect(outcome.stdout).toContain("npm run tunnel");
    expect(outcome.stdout).toMatch(/ssh -N -L 8888:127\.0\.0\.1:8888 -L 8889:127\.0\.0\.1:8889 /);
    expect(outcome.stdout).toMatch(/shell {2}ssh -t .*docker exec -it container1 bash/);
  });

  it("does not drift", async () => {
    succeeds(await person.shell("pulumi preview --refresh --expect-no-changes --non-interactive"));
  });

  it("answers through the tunnel and nowhere else, and its files belong to the person there", async () => {
    const url = (await person.npm("url")).stdout;
    await expect(status(url, "/api")).rejects.toThrow();
    await expect(status(url.replace("127.0.0.1", machine.address), "/api")).rejects.toThrow();
    await throughTunnel(person, async (open) => {
      expect(open).toBe(url);
      expect(await status(open, "/api/contents")).toBe(200);
      const { error } = await execute(open, "open('/code/made.txt', 'w').write('hello')");
      expect(error).toBeUndefined();
    });
    const made = join(machine.home, "docker_mount", "code", "made.txt");
    expect(readFileSync(made, "utf8")).toBe("hello");
    expect(statSync(made)).toMatchObject({ uid: REMOTE.uid, gid: REMOTE.uid });
  });

  it("is looked into, stopped and started from here, and nothing changes by it", async () => {
    const shell = await person.sh("echo 'echo $JUPYTER_PORT; id -u' | node cli/gpubox.mjs shell container2");
    expect(shell.stdout, shell.all).toMatch(/8889\n4242/);
    succeeds(await person.npm("stop"));
    const running = async () => (await machine.daemon.client.listContainers()).length;
    expect(await running()).toBe(0);
    const opened = await person.npm("open");
    expect(opened.exitCode, opened.all).toBe(1);
    expect(opened.all).toMatch(/container1 is stopped: `npm start[^`]*` brings it back/);
    expect(opened.stdout).toBe("");
    const started = await person.npm("start");
    succeeds(started);
    expect(started.stdout).toMatch(/^unchanged/m);
    expect(await running()).toBe(2);
  });

  it("has nothing to do: said after a look at the machine alone, until something there is another", async () => {
    const { client } = machine.daemon;
    const health = async () =>
      (await client.listContainers()).map(({ Status }) => /\(healthy\)/.test(Status));
    await expect.poll(health, { timeout: 60_000 }).toEqual([true, true]);
    const closer = await person.npm("start");
    succeeds(closer);
    const again = await person.npm("start");
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    expect(again.stdout).toContain(closer.stdout.replace(/^unchanged.*\n/, ""));
    expect(again.all).not.toContain("looking at what has changed");
    await client.getContainer("container1").pause();
    const paused = await person.npm("start");
    succeeds(paused);
    expect(paused.all).toContain("looking at what has changed");
  });

  it("is told of from here: its notebooks, its disks, and what it has", async () => {
    const status = await person.npm("status");
    succeeds(status);
    expect(status.stdout).toMatch(/^container1 +up .*http:\/\/127\.0\.0\.1:8888\/ +CPU +no kernel$/m);
    expect(status.stdout).toMatch(/^disk: code \d+ MB/m);
    const doctor = await person.npm("doctor");
    succeeds(doctor);
    expect(doctor.stdout).toMatch(/^ok +SSH +\S+ answers/m);
    expect(doctor.stdout).toMatch(/^ok +clock +right/m);
  });

  it("can be reached by plain ssh with the entry that is printed, which trusts the pinned key alone", async () => {
    const config = await person.npm("ssh-config");
    succeeds(config);
    const name = /^Host (gpubox-\S+)$/m.exec(config.stdout)?.[1];
    const login = (entry: string) => {
      writeFileSync(join(person.home, "entry"), `${entry}\n`, { mode: 0o644 });
      return person.sh(`ssh -F "$HOME/entry" -o BatchMode=yes ${name} id -u`);
    };
    const inside = await login(config.stdout);
    succeeds(inside);
    expect(inside.stdout).toBe("4242");
    const other = await login(config.stdout.replace(/(ssh-ed25519 AAAA\S{20})\S/, "$1x"));
    expect(other.exitCode, other.all).toBe(255);
    expect(other.all).toMatch(/Host key verification failed/);
  });

  it("removes one notebook alone, has its code moved on from here, and says where data stays that leaves the configuration", async () => {
    const file = join(machine.home, "signals.txt");
    writeFileSync(file, "1 2 3\n", { mode: 0o644 });
    const sha256 = createHash("sha256").update("1 2 3\n").digest("hex");
    const data = (purge: boolean) => ({
      url: `file://${file}`,
      sha256,
      folder: purge ? "purged" : "kept",
      purge,
    });
    const notebooks = [{ name: "container1", gpus: "none" }];
    const upstream = join(machine.home, "upstream");
    const git = gitAs(keys);
    mkdirSync(upstream);
    git(upstream, "init", "--quiet", "--initial-branch", "main");
    // git touches no repository of another person's.
    const own = (uid: number) => execa("chown", ["-R", String(uid), upstream]);
    const commit = async () => {
      await own(0);
      git(upstream, "commit", "--quiet", "--allow-empty", "-m", "a lesson");
      await own(REMOTE.uid);
    };
    await commit();
    const code = [{ url: `file://${upstream}`, ref: "main", folder: "course" }];
    configure({ hostKey: machine.hostKey }, { code, data: [data(true), data(false)], notebooks });
    succeeds(await person.npm("start", "--yes"));
    expect(await containers()).toEqual(["/container1"]);
    await commit();
    const update = await person.npm("update");
    succeeds(update);
    expect(update.all).toContain(`code course: updated: ${machine.home}/docker_mount/code/course is at`);
    expect(existsSync(join(machine.home, "docker_mount", "data", "kept", "signals.txt"))).toBe(true);
    configure({ hostKey: machine.hostKey }, { notebooks });
    const outcome = await person.npm("start", "--yes");
    succeeds(outcome);
    expect(outcome.all).toMatch(/left: \S+data\/kept/);
  });

  it("is rid from here of what gpubox put there, and of nothing else", async () => {
    const purge = await person.npm("purge", "--yes");
    succeeds(purge);
    expect(purge.all).toMatch(/^code\/course {2}0\.\d MB$/m);
    expect(purge.all).toMatch(/^data\/kept {2}0\.\d MB$/m);
    const mount = join(machine.home, "docker_mount");
    expect(readdirSync(join(mount, "code"))).toContain("made.txt");
    expect(readdirSync(join(mount, "code"))).not.toContain("course");
    expect(readdirSync(join(mount, "data"))).not.toContain("kept");
    const again = await person.npm("purge", "--yes");
    expect(again.all).toContain(`gpubox has put nothing below ~/docker_mount on ${machine.address}`);
  });

  it("waits for a notebook through a connection that is lost", async () => {
    await machine.daemon.client.getImage("gpubox-dev").tag({ repo: "example.org/slow", tag: "1" });
    // Slow enough for the connection to be lost while it is waited for.
    const slowly = ["sh", "-c", "sleep 15; exec start-notebook.sh"];
    const notebooks = [{ name: "container1", gpus: "none" }];
    const image = { pull: "example.org/slow:1", command: slowly };
    configure({ hostKey: machine.hostKey }, { image, notebooks });
    const starting = person.npm("start", "--yes");
    const isWaiting = () => processes((environment) => environment.includes("\0CONTAINER=container1\0"));
    await expect.poll(isWaiting, { timeout: 300_000, interval: 50 }).not.toEqual([]);
    const sessions = processes().filter(({ args }) => args.startsWith(`sshd: ${REMOTE.user}`));
    expect(sessions).not.toEqual([]);
    killAll(sessions);
    const outcome = await starting;
    succeeds(outcome);
    expect(outcome.all).toContain("the connection is lost; trying again");
    configure({ hostKey: machine.hostKey }, { notebooks });
    succeeds(await person.npm("start", "--yes"));
  });

  it("gives up within a minute on a machine that went away, and can be destroyed without it", async () => {
    await machine.connect(false);
    try {
      const begun = Date.now();
      fails(await person.npm("start"), /step that failed: connect/);
      expect(Date.now() - begun).toBeLessThan(MINUTE);
      const gone = await person.npm("destroy", "--yes");
      succeeds(gone);
      expect(gone.all).toMatch(/192\.168\.212\.2 does not answer, so what stack gpubox\/dev has there stays/);
      expect((await person.npm("url")).exitCode).not.toBe(0);
      const commands = [...gone.all.matchAll(/docker (?:ps|network ls|volume ls) -.*xargs -r docker .*$/gm)];
      expect(commands).toHaveLength(3);
      expect(await containers()).toHaveLength(1);
      for (const [line] of commands)
        await execa("sh", ["-c", line], { env: { DOCKER_HOST: machine.daemon.host } });
      expect(await containers()).toEqual([]);
    } finally {
      await machine.connect(true);
    }
  });

  it("destroyed, leaves code and data, and what another has under the same name", async () => {
    succeeds(await person.npm("start", "--yes"));
    const stranger = await machine.daemon.client.createContainer({
      name: "container9",
      Image: "debian:bookworm-slim",
      Labels: { "gpubox.stack": "gpubox/dev", "gpubox.owner": "somebody-else" },
    });
    const outcome = await person.npm("destroy", "--yes");
    succeeds(outcome);
    expect(outcome.all).toMatch(/removed: 1 containers, 1 networks, 1 volumes/);
    expect(await containers()).toEqual(["/container9"]);
    await stranger.remove();
    expect(await machine.daemon.client.listNetworks({ filters: labelled().filters })).toEqual([]);
    expect((await machine.daemon.client.listVolumes({ filters: labelled().filters })).Volumes ?? []).toEqual(
      [],
    );
    expect(readFileSync(join(machine.home, "docker_mount", "code", "made.txt"), "utf8")).toBe("hello");
    succeeds(await person.npm("destroy", "--yes"));
  });
});
