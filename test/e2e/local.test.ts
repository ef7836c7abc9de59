/** The main job, as a person does it who is not root: from a fresh clone to a notebook that keeps its secrets, and back. */
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import type { HostScript } from "../../machine/scripts.ts";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { pathWith, runScript } from "../support/host-script.ts";
import { execute, status } from "../support/jupyter.ts";
import { enlist } from "../support/people.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const LAB = 4000;
const LABEL = "gpubox.stack=gpubox/dev";
/** Made anew: the person's checkout holds this file. */
const CANARY = `canary-${randomBytes(8).toString("hex")}`;

describeWithDaemon("a stack on this machine", () => {
  let daemon: Daemon;
  let person: Person;
  let first: Outcome;
  let url: string;
  let token: string;
  /** What the engine shows of a stack that is up. */
  let shown: Outcome;
  /** Every command line there was on this machine while the notebooks were made, and once they ran. */
  const commandLines = new Set<string>();

  const container = async (name: string) => await daemon.client.getContainer(name).inspect();
  const docker = (...args: string[]) =>
    execa("docker", args, { env: { DOCKER_HOST: daemon.host }, all: true, reject: false, maxBuffer: 1e9 });

  const layers = async (image: string) => (await daemon.client.getImage(image).inspect()).RootFS.Layers ?? [];

  /** Changes nothing else, the secrets that Pulumi wrote included. */
  const configureImage = (image: object) => {
    const file = join(person.project, "Pulumi.dev.yaml");
    const document = parseDocument(readFileSync(file, "utf8"));
    document.setIn(["config", "gpubox:image"], { target: "lab", ...image });
    writeFileSync(file, document.toString());
  };

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    // One group that the person shares files in, and one that gives power over the machine, made by hand.
    await enlist(laneFolder(), UID, { lab: LAB, docker: 4001 });
    person = await createPerson({ daemon, uid: UID });
    for (const [name, gid] of [
      ["shared", LAB],
      ["closed", 4001],
    ] as const) {
      mkdirSync(join(person.home, name));
      writeFileSync(join(person.home, name, "thesis"), "");
      chownSync(join(person.home, name), 0, gid);
      chmodSync(join(person.home, name), 0o2775);
    }
    person.configure({
      image: { target: "lab" },
      notebooks: [
        {
          name: "container1",
          gpus: "none",
          environment: { COLOUR: "blue" },
          volumes: [{ source: join(person.home, "shared"), target: "/code/team/shared folder" }],
        },
        {
          name: "container2",
          gpus: "none",
          port: 8889,
          umask: "002",
          volumes: ["shared", "closed"].map((name) => ({
            source: join(person.home, name),
            target: `/${name}`,
          })),
        },
      ],
    });
    // Makes the stack, which has the key that the configuration's secrets are encrypted with. As a person does whose files are
    // everybody's.
    await person.sh("umask 000; exec node cli/gpubox.mjs env");
    const file = join(person.home, "secret");
    writeFileSync(file, CANARY);
    const set = await person.sh(
      `node cli/gpubox.mjs pulumi config set --secret --path 'gpubox:notebooks[0].environment.API_KEY' <${file}`,
    );
    expect(set.exitCode, set.all).toBe(0);
    rmSync(file);
  });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("comes up with one command, and says where it is and on what it runs", async () => {
    const look = () => {
      for (const { args } of processes()) commandLines.add(args);
    };
    let isDone = false;
    const watch = async () => {
      while (!isDone) {
        look();
        await sleep(20);
      }
    };
    const watching = watch();
    first = await person.npm("start");
    isDone = true;
    await watching;
    const { exitCode, all, stdout } = first;
    expect(exitCode, all).toBe(0);
    expect(stdout).toMatch(/http:\/\/127\.0\.0\.1:8888\/\?token=[A-Za-z0-9]{40}/);
    expect(stdout).toContain("docker exec -it container1 bash");
    expect(stdout).toContain("docker logs -f container1");
    expect(stdout).toContain("npm run destroy");
    expect(stdout).toContain("CPU");
    expect(all).not.toMatch(/from \$PATH|^ *warning:.*plugin/im);
    expect(all.split("\n").length, all).toBeLessThanOrEqual(40);
    expect(all).toMatch(/^resources: \d+ made \(/m);
    url = (await person.npm("url")).stdout;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:8888\/\?token=[A-Za-z0-9]{40}$/);
    token = new URL(url).searchParams.get("token") as string;
    look();
  });

  it("keeps all that the engine said in a log of the person's own", () => {
    const folder = join(person.home, ".cache", "gpubox", "logs");
    const [name = "", ...others] = readdirSync(folder);
    expect(name).toMatch(/-dev-up\.log$/);
    expect(others).toEqual([]);
    const said = readFileSync(join(folder, name), "utf8");
    expect(said).toMatch(/image-build.*creating/);
    expect(said).toMatch(/^Resources:\n +\+ \d+ created$/m);
    expect(said).not.toContain(token);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  });

  it("lets nobody else into its own folders, though the person's umask would", async () => {
    const own = [".gpubox", ".gpubox/state", ".cache/gpubox", ".cache/gpubox/compile-cache"];
    for (const path of own) expect(statSync(join(person.home, path)).mode & 0o777, path).toBe(0o700);
    const { all } = await person.sh("find ~/.gpubox ~/.cache/gpubox ~/.pulumi ! -type l -perm /022");
    expect(all).toBe("");
  });

  it("changes nothing the second time, and says so; nothing drifts", async () => {
    const before = [(await container("container1")).Id, (await container("container2")).Id];
    const again = await person.npm("start");
    expect(again.exitCode, again.all).toBe(0);
    expect(again.stdout).toMatch(/^unchanged: everything is as the configuration says; nothing to do$/m);
    expect([(await container("container1")).Id, (await container("container2")).Id]).toEqual(before);
    shown = await person.shell(
      "pulumi preview --refresh --diff --expect-no-changes --non-interactive; pulumi stack; pulumi stack output; pulumi stack history --json",
    );
    expect(shown.exitCode, shown.all).toBe(0);
  });

  it("lets in who has the token, on the loopback, and nobody else", async () => {
    for (const path of ["/api/contents", "/api/kernels", "/api/sessions", "/api/terminals"]) {
      expect(await status(url, path), path).toBe(200);
      expect(await status(url, path, ""), path).toBe(403);
      expect(await status(url, path, token.replace(/.$/, "_")), path).toBe(403);
    }
    const second = await status(url.replace(":8888", ":8889"), "/api/contents");
    expect(second, "the other notebook has a token of its own").toBe(403);
    const { NetworkSettings } = await container("container1");
    expect(NetworkSettings.Ports["8888/tcp"]).toEqual([{ HostIp: "127.0.0.1", HostPort: "8888" }]);
    const { stdout: listening } = await execa("ss", ["-ltnH", "sport = :8888 or sport = :8889"]);
    const local = listening.split("\n").map((line) => line.split(/\s+/)[3]);
    expect(local.sort()).toEqual(["127.0.0.1:8888", "127.0.0.1:8889"]);
    const addresses = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4");
    expect(addresses.length).toBeGreaterThan(0);
    for (const { address } of addresses) expect(await connects(address, 8888), address).toBe(false);
    expect(await connects("127.0.0.1", 8888)).toBe(true);
  });

  it("another site's page cannot use the browser's cookie: what changes something needs the page's own word", async () => {
    const cookies = new Map<string, string>();
    const header = () => [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const keep = ({ headers }: Response) => {
      for (const set of headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
        cookies.set(name, value);
      }
    };
    const login = new URL("/login", url);
    keep(await fetch(login));
    const xsrf = cookies.get("_xsrf") ?? "";
    const form = new URLSearchParams({ _xsrf: xsrf, password: token });
    keep(
      await fetch(login, { method: "POST", redirect: "manual", headers: { cookie: header() }, body: form }),
    );
    const cookie = header();
    const post = (headers: Record<string, string>) =>
      fetch(new URL("/api/contents/code", url), {
        method: "POST",
        headers: { cookie, ...headers },
        body: "{}",
      });
    const refused = await post({});
    expect(refused.status).toBe(403);
    expect(await refused.text()).toMatch(/xsrf/i);
    expect((await post({ "x-xsrftoken": "guessed" })).status).toBe(403);
    const other = await post({ origin: "http://other.example", "x-xsrftoken": xsrf });
    expect(other.status, "another site that knows it").toBe(404);
    expect((await post({ "x-xsrftoken": xsrf })).status).toBe(201);
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

  it("has what is deleted in the browser gone from the disk, folders with all in them, and no mounted one", async () => {
    const folder = join(person.root, "code", "big");
    const outside = join(person.root, "data", "kept");
    const made = await docker(
      ...["exec", "container1", "sh", "-c"],
      "mkdir -p /code/big/x ~/big/x /data/kept && touch /code/big/x/model ~/big/x/model /data/kept/file && ln -s /data/kept /code/link",
    );
    expect(made.exitCode, made.all).toBe(0);
    const remove = (path: string) =>
      fetch(new URL(`/api/contents/${path}`, url), {
        method: "DELETE",
        headers: { authorization: `token ${token}` },
      });
    for (const path of ["code/big", "code/link", "home/jupyter/big"])
      expect((await remove(path)).status, path).toBe(204);
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(join(outside, "file"))).toBe(true);
    for (const [path, mounted] of [
      ["code", "/code"],
      ["home", "/home/jupyter"],
      ["code/team", "/code/team/shared folder"],
    ]) {
      const refused = await remove(path as string);
      expect([refused.status, await refused.text()]).toEqual([
        400,
        expect.stringContaining(`${mounted} is mounted`),
      ]);
    }
    expect(existsSync(join(person.home, "shared", "thesis")), "what is mounted below the folder").toBe(true);
    const left = "find /home/jupyter /code /data -name '*Trash*' -o -name model";
    expect((await docker("exec", "container1", "sh", "-c", left)).all).toBe("");
    // The browser's question is worded by this.
    const page = await (
      await fetch(new URL("/lab", url), { headers: { authorization: `token ${token}` } })
    ).text();
    expect(page).toMatch(/"delete_to_trash": *(false|"false")/);
  });

  it.each([
    "code",
    "data",
  ])("sees nothing of what is kept in %s/.gpubox, and cannot touch it", async (kind) => {
    const hidden = `/${kind}/.gpubox`;
    const kept = join(person.root, kind, ".gpubox");
    writeFileSync(join(kept, "lock"), "mine");
    const before = statSync(kept);
    expect(before).toMatchObject({ uid: UID, gid: UID });
    expect(before.mode & 0o777).toBe(0o755);
    // Root in the container is what an image that runs as its own user may have.
    for (const user of [`${UID}:${UID}`, "0:0"]) {
      const attempt = (command: string) => docker("exec", "--user", user, "container1", "sh", "-c", command);
      expect((await attempt(`ls -A ${hidden} && echo seen`)).all).toBe("seen");
      for (const command of [
        `touch ${hidden}/x`,
        `echo x >${hidden}/lock`,
        `ln -s /etc/passwd ${hidden}/x`,
        `mkdir ${hidden}/pets`,
        `chmod 777 ${hidden}`,
        `mv ${hidden} /${kind}/moved`,
        `rmdir ${hidden}`,
        `rm -rf ${hidden}`,
        `ln -sfT /tmp ${hidden}`,
        `umount ${hidden}`,
        `mount -o remount,rw ${hidden}`,
      ]) {
        const { exitCode, all } = await attempt(command);
        expect(exitCode, `${command} as ${user}: ${all}`).not.toBe(0);
      }
    }
    expect(readdirSync(kept)).toEqual(["lock"]);
    expect(readFileSync(join(kept, "lock"), "utf8")).toBe("mine");
    expect(statSync(kept)).toMatchObject({ ino: before.ino, mode: before.mode });
  });

  it("shares files with the person's groups, and with none that gives power over the machine", async () => {
    const shared = join(person.home, "shared");
    const { HostConfig } = await container("container2");
    expect(HostConfig.GroupAdd).toEqual([String(LAB)]);
    const { stdout: second } = await person.npm("url", "container2");
    const made = await execute(
      second,
      "import os\nopen('/shared/by-code', 'w').write('x')\nos.mkdir('/shared/folder')\nprint(os.access('/closed', os.W_OK))",
    );
    expect(made).toEqual({ output: "False\n", error: undefined });
    const shell = "touch /shared/by-shell && groups";
    expect((await docker("exec", "container2", "bash", "-ic", shell)).stdout).toMatch(/^jupyter group4000$/m);
    const about = (name: string) => {
      const { uid, gid, mode } = statSync(join(shared, name));
      return [uid, gid, (mode & 0o7777).toString(8)];
    };
    expect(about("by-code")).toEqual([UID, LAB, "664"]);
    expect(about("by-shell")).toEqual([UID, LAB, "664"]);
    expect(about("folder")).toEqual([UID, LAB, "2775"]);
    // Without a umask of its own: as always.
    expect((await docker("exec", "container1", "bash", "-ic", "umask")).stdout).toMatch(/^0022$/m);
    // The run said which folder cannot be written to, and went on.
    expect(first.all).toContain("/closed cannot be written from container2: Permission denied");
    expect(first.all).not.toContain("/shared cannot be written");
  });

  it("is not ready as long as its files could not be saved, and says the command that mends it", async () => {
    const volume = "gpubox-dev-container2-home";
    const give = (owner: string) => [
      "run",
      "--rm",
      "--user",
      "0",
      "--entrypoint",
      "sh",
      "-v",
      `${volume}:/v`,
      "gpubox-dev",
      "-c",
      `chown ${owner} /v && chmod 755 /v`,
    ];
    expect((await docker(...give("7:7"))).exitCode).toBe(0);
    const restart = () => person.npm("start", "--yes", "--verbose", "--replace", "**container2-container");
    const refused = await restart();
    expect(refused.exitCode, refused.all).not.toBe(0);
    expect(refused.all, "the engine's own words").toMatch(/container2-container.*replaced/);
    expect(refused.all).toContain("/home/jupyter cannot be written from container2: Permission denied");
    expect(refused.all).toMatch(
      /it runs as uid 1000 in the groups 1000 4000; there \/home\/jupyter is drwxr-xr-x of 7:7/,
    );
    const [command] = /docker run --rm --user 0 .*/.exec(refused.all) ?? [];
    expect((await person.sh(command as string)).exitCode, command).toBe(0);
    const mended = await person.npm("start");
    expect(mended.exitCode, mended.all).toBe(0);
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
    const all = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    expect(HostConfig.PidsLimit).toBeLessThanOrEqual(Math.min(32768, all / 2));
    expect(HostConfig.PidsLimit).toBeGreaterThan(1000);
    const labelled = { filters: JSON.stringify({ label: [LABEL] }) };
    expect(await daemon.client.listNetworks(labelled)).toHaveLength(1);
    expect((await daemon.client.listVolumes(labelled)).Volumes).toHaveLength(2);
    expect(await daemon.client.listContainers(labelled)).toHaveLength(2);
  });

  it("has enough shared memory for eight workers of a DataLoader", async () => {
    const { stdout } = await docker("exec", "container1", "df", "-m", "--output=size", "/dev/shm");
    expect(stdout).toContain("8192");
  });

  it("keeps the seed's habits in the container's shell", async () => {
    const shell = (command: string) => docker("exec", "container1", "bash", "-ic", command);
    for (const habit of ["j8", "jupyter_notebook_GPU_0_PORT_8888"]) {
      expect((await shell(habit)).all).toContain(new URL(url).search);
    }
    const elsewhere = await shell("j9");
    expect(elsewhere.all).toContain("- {name: container2, gpus: [1], port: 8889}");
    expect(elsewhere.all).not.toContain(token);
    expect(
      (await shell("type -t j9 jupyter_notebook_GPU_3_PORT_8891")).stdout.trim().split("\n"),
    ).toHaveLength(2);
  });

  describe("keeps the token and a notebook's secrets", () => {
    /** What must be nowhere: the token, the person's own secret, and either as base64 has it. */
    const secrets = () => [token, CANARY].flatMap((secret) => [secret, base64(secret)]);
    const expectNone = (text: string, where: string) => {
      for (const secret of secrets()) expect(text.includes(secret), `${secret} is in ${where}`).toBe(false);
    };

    it("for the notebook and the person", async () => {
      expect(token).toMatch(/^\w{40}$/);
      const { Config } = await container("container1");
      expect(Config.Env).toEqual(expect.arrayContaining([`API_KEY=${CANARY}`, `JUPYTER_TOKEN=${token}`]));
    });

    it("out of every command line while the notebook is made", () => {
      expect([...commandLines].some((line) => / up /.test(line))).toBe(true);
      expect([...commandLines].some((line) => line.includes("jupyter"))).toBe(true);
      expectNone([...commandLines].join("\n"), "a command line");
    });

    it("out of every output but the url", () => {
      expectNone(first.all.replaceAll(url, ""), "the output of npm start");
      expectNone(shown.all, "what the engine shows");
    });

    it("out of every file in clear: state, history, backups, the engine's logs", async () => {
      const patterns = secrets().flatMap((secret) => ["-e", secret]);
      const found = await execa("grep", ["-rlaF", ...patterns, person.home], { reject: false });
      expect(found.stdout).toBe("");
      expect(statSync(join(person.home, ".gpubox", "passphrase")).mode & 0o777).toBe(0o600);
    });

    it("out of the container's log", async () => {
      const { all } = await docker("logs", "container1");
      expect(all).toMatch(/jupyter/i);
      expectNone(all, "the log");
    });

    it("out of every layer of the image, and its history", async () => {
      const { stdout: history } = await docker("history", "--no-trunc", "gpubox-dev");
      expectNone(history, "the image's history");
      const saved = execa("docker", ["save", "gpubox-dev"], {
        env: { DOCKER_HOST: daemon.host },
        encoding: "buffer",
        buffer: false,
      });
      const found = await find(saved.stdout as NodeJS.ReadableStream, [...secrets(), "start-notebook.sh"]);
      expect(found).toEqual(new Set(["start-notebook.sh"]));
    });
  });

  it("rebuilds only the last layers when a starter notebook or a file of the person's own changed, and leaves the person's copy alone", async () => {
    const mine = join(person.root, "code", "starters", "where-things-live.ipynb");
    appendFileSync(mine, "\n");
    const changed = readFileSync(mine, "utf8");
    const before = await container("container1");
    const starter = join(person.project, "docker", "notebooks", "where-things-live.ipynb");
    writeFileSync(starter, readFileSync(starter, "utf8").replace("\n", "\n\n"));
    const dockerfile = join(person.project, "docker", "Dockerfile");
    const stage = "FROM lab-added AS lab\nCOPY --from=files /files /\n";
    expect(readFileSync(dockerfile, "utf8")).toContain(stage);
    writeFileSync(
      dockerfile,
      readFileSync(dockerfile, "utf8").replace(stage, `${stage}COPY files/nanorc /etc/nanorc\n`),
    );
    mkdirSync(join(person.project, "docker", "files"));
    writeFileSync(join(person.project, "docker", "files", "nanorc"), "set tabsize 4\n");
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    const after = await container("container1");
    expect(after.Image).not.toBe(before.Image);
    const [old, now] = [await layers(before.Image), await layers(after.Image)];
    const shared = now.filter((layer) => old.includes(layer)).length;
    expect(now.length - shared, `${now.length} layers, ${shared} shared`).toBeLessThanOrEqual(2);
    expect(readFileSync(mine, "utf8")).toBe(changed);
    expect((await docker("exec", "container1", "cat", "/etc/nanorc")).stdout).toBe("set tabsize 4");
    expect((await person.npm("url")).stdout, "the token outlives the container").toBe(url);
  });

  it("uses what a person installs, in the image's place, beyond the container, and says so once its image is another", async () => {
    const version = async () =>
      (await execute(url, "import importlib.metadata as m; print(m.version('six'))")).output.trim();
    const ofTheImage = await version();
    const { output, error } = await execute(url, "%pip install -q six==1.15.0 && echo installed");
    expect(error).toBeUndefined();
    expect(output).not.toMatch(/error|warning/i);
    expect(await version()).toBe("1.15.0");
    configureImage({ packages: ["toolz"], apt: ["tree"] });
    const started = await person.npm("start");
    expect(started.exitCode, started.all).toBe(0);
    expect(started.all).toContain(`six 1.15.0 is used instead of the image's ${ofTheImage}`);
    expect(started.all).toContain("docker exec container1 gpubox-packages reset six");
    expect(started.all.match(/is used instead of/g), "the other notebook has none").toHaveLength(1);
    expect(await version(), "in the next container").toBe("1.15.0");
    const restarted = async () => {
      await docker("restart", "container1");
      await expect
        .poll(() => status(url, "/lab").catch(() => 0), { timeout: 60_000, interval: 500 })
        .toBe(200);
    };
    // One that JupyterLab does not go with keeps nobody out.
    await execute(url, "%pip install -q 'jupyter-events<0.9'");
    await restarted();
    const { all: log } = await docker("logs", "container1");
    expect(log).toMatch(
      /starts without them: .* requires jupyter-events.*\n.*gpubox-packages reset jupyter-events/,
    );
    expect(await version(), "kernels have them").toBe("1.15.0");
    const reset = await docker("exec", "container1", "gpubox-packages", "reset");
    expect(reset.exitCode, reset.all).toBe(0);
    expect(await version()).toBe(ofTheImage);
    await restarted();
  });

  it("adds the packages of the configuration in a layer of their own, and goes on when one cannot be had", async () => {
    const inImage = (...command: string[]) => docker("exec", "container1", ...command);
    expect((await inImage("tree", "--version")).stdout).toMatch(/^tree v/);
    expect((await inImage("python3", "-c", "import toolz")).exitCode).toBe(0);
    const before = await container("container1");
    writeFileSync(join(person.project, "more.txt"), "# with pip's comments\nsortedcontainers>=2\n");
    configureImage({ packages: ["toolz"], apt: ["tree"], requirements: "more.txt" });
    const started = await person.npm("start");
    expect(started.exitCode, started.all).toBe(0);
    const after = await container("container1");
    expect((await inImage("python3", "-c", "import sortedcontainers, toolz")).exitCode).toBe(0);
    const [old, now] = [await layers(before.Image), await layers(after.Image)];
    const shared = now.filter((layer) => old.includes(layer)).length;
    expect(now.length - shared, "the packages, and our own files").toBeLessThanOrEqual(2);

    for (const [packages, said] of [
      [["no-such-package-of-gpubox"], /no-such-package-of-gpubox was not found in the package registry/],
      [["jupyterlab<4"], /jupyterlab==4\.[\s\S]*jupyterlab<4|jupyterlab<4[\s\S]*jupyterlab==4\./],
    ] as const) {
      configureImage({ packages });
      const refused = await person.npm("start");
      expect(refused.exitCode).not.toBe(0);
      expect(refused.all).toMatch(said);
      expect(refused.all).toMatch(/gpubox:image/);
      expect(refused.all.split("\n").length, refused.all).toBeLessThanOrEqual(25);
      const [, log = ""] = /^all that the engine said: (.*-dev-up\.log)$/m.exec(refused.all) ?? [];
      expect(readFileSync(log, "utf8")).toMatch(said);
      expect(await container("container1")).toMatchObject({ Id: after.Id, State: { Running: true } });
    }
    configureImage({ requirements: "none.txt" });
    const unread = await person.npm("start");
    expect(unread.all).toMatch(/gpubox:image\.requirements: none\.txt is not there/);
    configureImage({});
    const back = await person.npm("start");
    expect(back.exitCode, back.all).toBe(0);
  });

  it("puts code there, and takes it away, with the image's Python where the machine has none", async () => {
    const path = pathWith(join(person.home, "no python"), "docker id uname");
    const upstream = join(person.home, "upstream", "lessons");
    const made = await person.sh(
      `git init --quiet --initial-branch main '${upstream}' && cd '${upstream}' && touch lesson && git add lesson && git -c user.name=Ada -c user.email=ada@example.org commit --quiet -m one`,
    );
    expect(made.exitCode, made.all).toBe(0);
    const { root } = person;
    const shared = { ROOT: root, FOLDER: "lessons", IMAGE: "gpubox-dev" };
    const run = (script: HostScript, more: Record<string, string>) =>
      runScript(
        script,
        { HOME: person.home, DOCKER_HOST: daemon.host, ...shared, ...more },
        { path, uid: UID },
      );
    const put = await run("gpubox_data/code.py", { URL: `file://${upstream}`, REF: "main" });
    expect(put, put.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining("code/lessons") });
    expect(put.stderr).toContain("in a container of gpubox-dev");
    expect(statSync(join(root, "code", "lessons", "lesson"))).toMatchObject({ uid: UID, gid: UID });
    const retired = await run("gpubox_data/retire.py", { KIND: "code", PURGE: "1" });
    expect(retired, retired.stderr).toMatchObject({ code: 0 });
    expect(existsSync(join(root, "code", "lessons"))).toBe(false);
    for (const name of ["no python", "upstream"]) rmSync(join(person.home, name), { recursive: true });
  });

  it("stops without losing anything, and starts again; a container that somebody removed is put back", async () => {
    const before = (await container("container1")).Id;
    const stopped = await person.npm("stop");
    expect(stopped.exitCode, stopped.all).toBe(0);
    expect((await container("container1")).State.Running).toBe(false);
    await daemon.client.getContainer("container2").remove({ force: true });
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    const started = await container("container1");
    expect(started).toMatchObject({ Id: before, State: { Running: true } });
    expect(started.HostConfig.PidsLimit).toBeGreaterThan(1000);
    expect(await status(url, "/api/contents")).toBe(200);
    expect((await container("container2")).State.Running).toBe(true);
  });

  it("comes back by itself when the daemon was restarted", async () => {
    await daemon.stop();
    await daemon.start();
    await expect
      .poll(() => status(url, "/api/contents").catch(() => 0), { timeout: 60_000, interval: 500 })
      .toBe(200);
  });

  it("does not destroy without a yes, and then leaves only the person's work; it may be destroyed twice", async () => {
    const refused = await person.npm("destroy");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.all).toContain("--yes");
    expect((await container("container1")).State.Running).toBe(true);

    const destroy = async () => {
      const { exitCode, all } = await person.npm("destroy", "--yes");
      expect(exitCode, all).toBe(0);
      return all;
    };
    const told = await destroy();
    expect(told).toMatch(/^resources: \d+ removed \(/m);
    expect(told.split("\n").length, told).toBeLessThanOrEqual(10);
    const everything = { all: true, filters: JSON.stringify({ label: [LABEL] }) };
    expect(await daemon.client.listContainers(everything)).toEqual([]);
    expect(await daemon.client.listNetworks(everything)).toEqual([]);
    expect((await daemon.client.listVolumes(everything)).Volumes ?? []).toEqual([]);
    expect(readFileSync(join(person.root, "code", "from-the-notebook.txt"), "utf8")).toBe("hello");
    expect(existsSync(join(person.root, "data", "made"))).toBe(true);
    expect((await person.npm("url")).exitCode).not.toBe(0);
    await destroy();
  });
});

function base64(text: string): string {
  // What of it does not depend on what stands before and behind it.
  return Buffer.from(text).toString("base64").replace(/..=*$/, "");
}

/** Which of the texts occur in a stream. */
async function find(stream: NodeJS.ReadableStream, texts: string[]): Promise<Set<string>> {
  const found = new Set<string>();
  const longest = Math.max(...texts.map(({ length }) => length));
  let tail = Buffer.alloc(0);
  for await (const chunk of stream) {
    const piece = Buffer.concat([tail, chunk as Buffer]);
    for (const text of texts) if (piece.includes(text)) found.add(text);
    tail = piece.subarray(-longest);
  }
  return found;
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port, timeout: 3_000 });
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", end(true)).on("error", end(false)).on("timeout", end(false));
  });
}
