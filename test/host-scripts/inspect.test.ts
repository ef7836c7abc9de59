import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { NVIDIA_DETAIL_ARGS, NVIDIA_SMI_ARGS } from "../../machine/gpus.ts";
import { dockerProblem, factsOf, type Inspection, machineOf } from "../../machine/inspection.ts";
import { findProgram, lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();

const INFO = { ID: "D1", Architecture: "x86_64", DockerRootDir: "/", Runtimes: { nvidia: {} } };
const CONTAINER =
  '{"name":"web","stack":"gpubox/lab","owner":"c0ffee","madeBy":"","ports":"127.0.0.1:8888->8888/tcp","status":"Up 2 hours","mounts":"/srv,home"}';
const DOCKER = `case $1 in info) echo '${JSON.stringify(INFO)}' ;; ps) echo '${CONTAINER}'; echo '${CONTAINER}' ;; network | volume) echo '{"name":"gpubox-lab","stack":"","owner":"","madeBy":""}' ;; esac`;
const NVIDIA_SMI = `[ "$1 $2" = '${NVIDIA_SMI_ARGS.join(" ")}' ] && echo '0, GPU-1, NVIDIA L4, 23034'`;

describe.each(["dash", "bash --posix"])("inspect.sh by %s", (command) => {
  const shell = command.split(" ");
  const skip = lacks(missingPrograms(shell[0] as string), "inspect.sh");
  let count = 0;

  /** Looks at a machine that has these programs besides the base ones. */
  async function inspect(
    programs: Record<string, string>,
    folders: Record<string, string> = {},
    options: { uid?: number } = {},
  ): Promise<Inspection> {
    const path = pathWith(join(scratch, `${shell[0]}-${count++}`), "");
    for (const [name, body] of Object.entries(programs)) {
      pretend(path, name, body);
    }
    const environment = {
      HOME: join(scratch, `a "home"`),
      ROOT: "~/not there/yet",
      NVIDIA_SMI_ARGS: NVIDIA_SMI_ARGS.join(" "),
      TMPDIR: scratch,
      ...folders,
    };
    const { code, stdout, stderr } = await runScript("inspect.sh", environment, { path, shell, ...options });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n"), "one line").toHaveLength(2);
    return JSON.parse(stdout);
  }

  it.skipIf(skip)("finds what there is, and leaves nothing behind", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const hook = "nvidia-container-runtime-hook";
    const found = await inspect({ docker: DOCKER, "nvidia-smi": NVIDIA_SMI, [hook]: "exit 0" });
    server.close();
    expect(machineOf(found)).toMatchObject({
      id: "D1",
      platform: "linux/amd64",
      runsAs: { user: `${process.getuid?.()}:${process.getgid?.()}` },
      home: join(scratch, `a "home"`),
      gpus: { runtime: "nvidia", gpus: [{ index: 0, uuid: "GPU-1", name: "NVIDIA L4", memory: 23034 }] },
    });
    const needs = {
      stack: "x",
      network: "x",
      notebooks: [{ name: "a", gpus: "none" as const, address: "127.0.0.1", port }],
    };
    const facts = factsOf(found, needs);
    const web = { kind: "container", name: "web", stack: "gpubox/lab", owner: "c0ffee" };
    const container = { ...web, ports: [8888], status: "Up 2 hours", binds: ["/srv"] };
    expect(facts.containers).toEqual([container, container]);
    expect(facts.networks).toEqual([{ kind: "network", name: "gpubox-lab" }]);
    expect(facts.volumes).toEqual([{ kind: "volume", name: "gpubox-lab" }]);
    expect(facts.listenErrors.get(port)).toBe("EADDRINUSE");
    expect(facts.freeMegabytes).toBeGreaterThan(0);
    expect(found).toMatchObject({ toolkitHook: true, free: { root: expect.any(Number) } });
    expect(readdirSync(scratch).filter((name) => name.startsWith("tmp."))).toEqual([]);
  });

  it.skipIf(skip).each([
    ["Enabled", true],
    ["Disabled", false],
  ])("asks for slices of GPUs where MIG is %s", async (mode, isAsked) => {
    const nvidia = [
      `case "$1" in`,
      `-L) printf 'GPU 0: NVIDIA A100 (UUID: GPU-1)\\n  MIG 1g.5gb     Device  0: (UUID: MIG-1)\\n' ;;`,
      `*compute_cap*) echo '0, 580.1, 8.0, ${mode}' ;;`,
      `*) echo '0, GPU-1, NVIDIA A100, 40960' ;;`,
      "esac",
    ];
    const asked = { NVIDIA_DETAIL_ARGS: NVIDIA_DETAIL_ARGS.join(" ") };
    const found = await inspect({ docker: DOCKER, "nvidia-smi": nvidia.join("\n") }, asked);
    const slices = isAsked ? [{ index: 0, uuid: "MIG-1", profile: "1g.5gb" }] : undefined;
    expect(machineOf(found).gpus.gpus[0]?.slices).toEqual(slices);
    expect((found.driver as { list: string }).list).toContain(isAsked ? "MIG-1" : "");
  });

  it.skipIf(skip)("finds which folders are not there", async () => {
    const root = join(scratch, `${shell[0]} root`);
    mkdirSync(join(root, "code"), { recursive: true });
    const gone = join(scratch, 'a "quoted" name');
    const found = await inspect({}, { ROOT: `${root}/`, FOLDERS: `/\n${gone}` });
    expect(found.folders).toEqual({ root, missing: [join(root, "data"), gone] });
    // A link to a disk that is not mounted.
    symlinkSync("/nowhere/data", join(root, "data"));
    expect((await inspect({}, { ROOT: root })).folders?.missing).toEqual([join(root, "data")]);
  });

  it.skipIf(skip || lacks(process.getuid?.() !== 0, "folders that nobody may look into, which takes root"))(
    "does not miss what it may not look at",
    async () => {
      const closed = join(scratch, `${shell[0]} closed`);
      mkdirSync(join(closed, "there"), { recursive: true, mode: 0o700 });
      chmodSync(scratch, 0o777);
      const found = await inspect({}, { ROOT: "/", FOLDERS: join(closed, "there") }, { uid: 65_534 });
      expect(found.folders?.missing).toEqual(["/code", "/data"]);
    },
  );

  it.skipIf(skip)(
    "finds the groups that share files, and none that gives power over the machine",
    async () => {
      const groups = {
        // Of the system, whatever they are called.
        0: "root",
        4: "adm",
        27: "sudo",
        900: "lab-printers",
        // Where everybody is.
        100: "users",
        // Made by hand.
        1001: "docker",
        1002: "wheel",
        1003: "libvirt",
        // The person's own, and one that has no name here.
        1000: "ada",
        4000: "lab",
        30000: "domain users",
        700000001: undefined,
        // What the kernel shows where it knows none.
        65534: "nogroup",
      };
      const database = Object.entries(groups).flatMap(([gid, name]) => (name ? [`${name}:x:${gid}:`] : []));
      // The login has others: it began before the person joined the lab, and by `newgrp`.
      const id = `case $* in '-un') echo ada ;; '-G ada') echo 4000 ${Object.keys(groups).join(" ")} ;; '-g ada') echo 1000 ;; -u) echo 1000 ;; *) echo 4000 1001 5000 ;; esac`;
      const getent = `printf '%s\\n' ${database.map((line) => `'${line}'`).join(" ")}; exit 2`;
      expect((await inspect({ id, getent })).groups).toEqual([100, 4000, 30000, 700000001]);
    },
  );

  it.skipIf(skip)("finds the groups of whoever has no name", async () => {
    const id =
      "case $1 in -un) echo 4242; exit 1 ;; -u) echo 4242 ;; -g) echo 4242 ;; *) echo 5001 4242 5000 ;; esac";
    expect((await inspect({ id, getent: "exit 2" })).groups).toEqual([5000, 5001]);
  });

  it.skipIf(skip)("gives no group that owns the socket of the daemon, whatever it is called", async () => {
    const socket = join(scratch, `${shell[0]}.sock`);
    const server = createServer().listen(socket);
    await once(server, "listening");
    const gid = statSync(socket).gid;
    const id = `case $* in -un) echo ada ;; '-G ada') echo 4000 5000 ;; *) echo 1000 ;; esac`;
    // Where we may not give it away, it is known by the group that it has.
    const owner = process.getuid?.() === 0 ? 5000 : gid;
    if (owner !== gid) chownSync(socket, 0, owner);
    const found = await inspect(
      { id, getent: `echo people:x:${owner}:` },
      { DOCKER_HOST: `unix://${socket}` },
    );
    server.close();
    expect(found.groups).toEqual([4000, 5000].filter((each) => each !== owner));
  });

  it.skipIf(skip)("finds that there is nothing", async () => {
    const found = await inspect({});
    expect(found).toMatchObject({ docker: { missing: true }, driver: { missing: true }, addresses: null });
    expect(dockerProblem(found)?.step).toBe("Docker not there");
  });

  it.skipIf(skip || lacks(missingPrograms("python3 git"), "a host's Python"))(
    "finds Python with its version, and git",
    async () => {
      const real = (name: string) => `exec ${findProgram(name)} "$@"`;
      const found = await inspect({ python3: real("python3"), git: real("git") });
      expect(found).toMatchObject({ python: expect.stringMatching(/^3\.\d+\.\d+$/), git: true });
      expect(await inspect({})).toMatchObject({ python: null, git: false });
      expect((await inspect({ python3: "echo broken >&2; exit 1" })).python).toBe(null);
    },
  );

  it.skipIf(skip)("passes on what a daemon and a driver in trouble say, whatever is in it", async () => {
    const found = await inspect({
      docker: `printf 'permission denied\\twhile "trying" \\\\ to \\033[1mconnect\\n%s' more >&2; exit 1`,
      "nvidia-smi": `echo "NVIDIA-SMI has failed: it's \\"off\\""; exit 9`,
    });
    expect(found.docker).toMatchObject({ info: null, containers: [] });
    expect((found.docker as { error: string }).error).toContain('permission denied while "trying" \\ to ');
    expect(dockerProblem(found)?.step).toBe("Docker not allowed");
    expect(found.driver).toEqual({ failed: `NVIDIA-SMI has failed: it's "off"` });
  });
});
