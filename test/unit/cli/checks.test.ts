/** The checks before anything is made: each fails for what it is there for, and for nothing else. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChecks, formatChecks, summary } from "../../../cli/checks.ts";
import { createContext, ROOT } from "../../../cli/context.ts";
import { clientCheck } from "../../../cli/hosts/local.ts";
import { parseConfig } from "../../../config/schema.ts";
import { IMAGE_CUDA } from "../../../machine/checks/gpus.ts";
import { hostChecks, preflightProblems } from "../../../machine/checks/preflight.ts";
import type { HostFacts, HostNeeds } from "../../../machine/facts.ts";
import { gpuInventory, withDetails } from "../../../machine/gpus.ts";
import { hostNeeds } from "../../../machine/needs.ts";
import { atLeast } from "../../../text/version.ts";
import { pretend } from "../../support/host-script.ts";

const gpus = (details: string, toolkit = true) =>
  gpuInventory({ driver: { csv: "0, GPU-1, NVIDIA L4, 23034\n", details }, toolkit, cdi: false });

const healthy: HostFacts = {
  gpus: gpus("0, 580.95.05, 8.9\n"),
  containers: [],
  networks: [],
  volumes: [],
  listenErrors: new Map(),
  freeMegabytes: 50_000,
  freeForRoot: 50_000,
  docker: "28.5.1",
  cgroupDriver: "cgroupfs",
  memory: 16_000,
  python: "3.11.2",
  git: true,
  clockAhead: 0.4,
};
const needs = (config: Record<string, unknown> = {}): HostNeeds =>
  hostNeeds(
    "gpubox/dev",
    parseConfig({ notebooks: [{ name: "container1", gpus: "all" }], ...config }, "dev"),
  );
const bad = (facts: Partial<HostFacts>, config?: Record<string, unknown>) =>
  hostChecks(needs(config), { ...healthy, ...facts })
    .filter(({ status }) => status !== "ok")
    .map(({ check, status, problem }) => [check, status, problem]);

it("a machine without the command `docker` is warned of, though its daemon answers", () => {
  expect(clientCheck({ env: { PATH: ROOT } })).toMatchObject({
    check: "docker command",
    status: "warn",
    problem: expect.stringMatching(/shells, logs .*GPU.*apt-get install docker-cli/),
  });
  const folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  writeFileSync(join(folder, "docker"), "", { mode: 0o755 });
  expect(clientCheck({ env: { PATH: folder } }).status).toBe("ok");
  rmSync(folder, { recursive: true });
});

describe("a host", () => {
  it("that has everything passes every check, each with what was found and what it takes", () => {
    const checks = hostChecks(
      needs({ data: ["pets"], code: [{ url: "https://example.org/fastai.git", ref: "v1" }] }),
      healthy,
    );
    expect(checks.map(({ status }) => status)).toEqual(checks.map(() => "ok"));
    expect(checks.map(({ check }) => check)).toEqual([
      "Docker",
      "Python",
      "git",
      "disk of Docker",
      "disk of the root",
      "memory",
      "clock",
      "GPU of container1",
      "driver of GPU 0 (NVIDIA L4)",
      "generation of GPU 0 (NVIDIA L4)",
      "GPU after a reload of systemd",
      "stack gpubox/dev",
      "network gpubox-dev",
      "container container1",
      "port 8888 of 127.0.0.1",
    ]);
    for (const { found, needed } of checks) expect([found, needed]).not.toContain("");
  });

  const code = { code: [{ url: "https://example.org/fastai.git", ref: "v1" }] };
  const data = { data: ["pets"] };
  it.each<[string, Partial<HostFacts>, Record<string, unknown>, string, "warn" | "fail", RegExp]>([
    ["no Python", { python: null }, data, "Python", "warn", /python3 is not there.*apt-get install python3/],
    ["an old Python", { python: "3.8.10" }, code, "Python", "warn", /python3 is 3\.8\.10, which is too old/],
    ["no git", { git: false }, code, "git", "fail", /^gpubox:code: git is not there.*apt-get install git/],
  ])("with %s is told what code and data take", (_, facts, config, about, status, problem) => {
    expect(bad(facts, config)).toEqual([[about, status, expect.stringMatching(problem)]]);
  });

  it("needs no git where the image's is taken, or for data, and no Python for neither", () => {
    expect(bad({ python: null, git: false }, code).map(([about]) => about)).toEqual(["Python"]);
    expect(bad({ git: false }, data)).toEqual([]);
    expect(bad({ python: null, git: false })).toEqual([]);
    // A machine of which that is not known.
    expect(bad({ python: undefined, git: undefined }, code)).toEqual([]);
  });

  it("is told what a volume gives away, which keeps nothing from coming up", () => {
    const volumes = ["/srv/models", "/var/run/docker.sock", "/people"].map((source, index) => ({
      source,
      target: `/mnt/${index}`,
    }));
    const config = { notebooks: [{ name: "nb", gpus: "all", volumes }] };
    expect(bad({ home: "/people/ada" }, config)).toEqual([
      [
        "volume /var/run/docker.sock of nb",
        "warn",
        expect.stringMatching(/^gpubox:notebooks\[0\]\.volumes\[1\]\.source: .*the socket of Docker/),
      ],
      ["volume /people of nb", "warn", expect.stringMatching(/volumes\[2\]\.source: .*all in your home/)],
    ]);
    expect(preflightProblems(needs(config), { ...healthy, home: "/people/ada" })).toEqual([]);
  });

  it.each<[string, Partial<HostFacts>, string, "warn" | "fail", RegExp]>([
    ["an old Docker", { docker: "19.03.15" }, "Docker", "fail", /apt-get install docker\.io/],
    ["no room at all", { freeMegabytes: 1000 }, "disk of Docker", "fail", /docker system prune/],
    ["little room", { freeMegabytes: 9000 }, "disk of Docker", "warn", /18000/],
    ["little memory", { memory: 2000 }, "memory", "warn", /swap/],
    ["a clock that is behind", { clockAhead: -7200 }, "clock", "fail", /7200 s behind.*set-ntp/],
    ["a clock that is ahead", { clockAhead: 500 }, "clock", "fail", /500 s ahead/],
    [
      "no driver",
      { gpus: gpuInventory({ driver: { missing: true }, toolkit: false, cdi: false }) },
      "GPU of container1",
      "fail",
      /notebooks\[0\]\.gpus: no NVIDIA driver.*ubuntu-drivers install/,
    ],
    ["no toolkit", { gpus: gpus("", false) }, "GPU of container1", "fail", /nvidia-ctk runtime configure/],
    [
      "an old driver",
      { gpus: gpus("0, 535.10, 8.9") },
      "driver of GPU 0 (NVIDIA L4)",
      "fail",
      /too old for CUDA 13/,
    ],
    [
      "an old GPU",
      { gpus: gpus("0, 580.1, 6.1") },
      "generation of GPU 0 (NVIDIA L4)",
      "fail",
      /compute capability 6\.1.*7\.5 and newer/,
    ],
    [
      "control groups by systemd",
      { cgroupDriver: "systemd" },
      "GPU after a reload of systemd",
      "warn",
      /native\.cgroupdriver=cgroupfs.*nvidia-ctk cdi/,
    ],
    [
      "a foreign network",
      { networks: [{ kind: "network", name: "gpubox-dev" }] },
      "network gpubox-dev",
      "fail",
      /npm run init -- -s NAME/,
    ],
    [
      "a foreign container",
      { containers: [{ kind: "container", name: "container1", ports: [] }] },
      "container container1",
      "fail",
      /docker rename/,
    ],
    [
      "a busy port",
      { listenErrors: new Map([[8888, "EADDRINUSE"]]) },
      "port 8888 of 127.0.0.1",
      "fail",
      /another `port`.*ss -ltnp/,
    ],
  ])("with %s fails that check alone, and says how to fix it", (_, facts, name, status, problem) => {
    expect(bad(facts)).toEqual([[name, status, expect.stringMatching(problem)]]);
  });

  it.each([
    ["Up 2 minutes (healthy)", "ok"],
    ["Exited (0) 2 hours ago", "ok"],
    ["Up 2 hours (unhealthy)", "warn"],
    ["Up 2 hours (Paused)", "warn"],
    ["Restarting (1) 4 seconds ago", "warn"],
    ["Created", "warn"],
    ["Dead", "warn"],
  ])("with a notebook of its own of which Docker says %s: %s", (status, expected) => {
    const container = {
      kind: "container" as const,
      name: "container1",
      stack: "gpubox/dev",
      ports: [8888],
      status,
    };
    const checks = hostChecks(needs(), { ...healthy, containers: [container] });
    expect(checks.find(({ check }) => check === "notebook container1")).toMatchObject({ status: expected });
    expect(checks.filter(({ status }) => status !== "ok")).toHaveLength(expected === "ok" ? 0 : 1);
  });

  it("is told to have too little room for the data sets together", () => {
    const data = ["pets", "dogs"].map((folder) => ({ url: `https://h/${folder}.zip`, size: 3e9, folder }));
    expect(bad({ freeForRoot: 11_000 }, { data })).toEqual([
      ["disk of the root", "warn", expect.stringMatching(/11000 MB.*12000/)],
    ]);
    expect(bad({ freeForRoot: 13_000 }, { data })).toEqual([]);
  });

  it("is told of a memory limit that JupyterLab does not fit into", () => {
    const limited = (memory: string) => ({ notebooks: [{ name: "container1", gpus: "all", memory }] });
    expect(bad({}, limited("64m"))).toEqual([
      [
        "memory limit of container1",
        "warn",
        expect.stringMatching(/notebooks\[0\]\.memory: .*64 MB: raise it/),
      ],
    ]);
    expect(bad({}, limited("80m"))).toEqual([]);
    // What a pulled image needs is not known.
    expect(bad({}, { ...limited("10m"), image: "some/image" })).toEqual([]);
  });

  it("needs no GPU where none is asked for, and may lack one where the CPU will do", () => {
    const none = gpuInventory({ driver: { missing: true }, toolkit: false, cdi: false });
    expect(bad({ gpus: none }, { notebooks: [{ name: "container1", gpus: "none" }] })).toEqual([]);
    expect(bad({ gpus: none }, { notebooks: [{ name: "container1", gpus: "auto" }] })).toEqual([
      ["GPU of container1", "warn", expect.stringMatching(/will run on the CPU: no NVIDIA driver/)],
    ]);
  });

  it("is not judged by what was not found out", () => {
    const unknown = { gpus: gpus(""), docker: undefined, memory: undefined, clockAhead: undefined };
    expect(
      bad({ ...unknown, freeMegabytes: undefined, freeForRoot: undefined, cgroupDriver: undefined }),
    ).toEqual([]);
    // What a pulled image was made for is not known either.
    expect(bad({ gpus: gpus("0, 390.1, 3.7"), memory: 500 }, { image: "some/image" })).toEqual([]);
  });

  it("is refused by the program for what fails, and not for what is only to be known", () => {
    const facts = { ...healthy, memory: 500, docker: "18.9" };
    expect(preflightProblems(needs(), facts)).toEqual([expect.stringMatching(/Docker 18\.9/)]);
  });
});

describe("what the image was made for", () => {
  it("is what is locked", () => {
    const locked = readFileSync(new URL("../../../docker/requirements.txt", import.meta.url), "utf8");
    expect(/^cuda-toolkit==(\d+)\./m.exec(locked)?.[1]).toBe(IMAGE_CUDA.version);
  });

  it("is compared part by part", () => {
    expect(atLeast("580.65.06", "580")).toBe(true);
    expect(atLeast("9.10", "9.9")).toBe(true);
    expect(atLeast("7.0", "7.5")).toBe(false);
    expect(atLeast("20.10.24+dfsg1", "20.10")).toBe(true);
  });

  it("is held against what an old nvidia-smi does not say", () => {
    const [gpu] = withDetails(
      [{ index: 0, uuid: "GPU-1", name: "K80", memory: 1 }],
      'Field "compute_cap" is not a valid field to query.\n0, 390.1, [N/A]\n',
    );
    expect(gpu).toEqual({ index: 0, uuid: "GPU-1", name: "K80", memory: 1, driver: "390.1" });
  });
});

describe("npm run doctor", () => {
  const root = mkdtempSync(join(tmpdir(), "gpubox-doctor-"));
  const context = (env = {}) => createContext({ HOME: root, PATH: process.env.PATH, ...env }, root);
  const stack = (name: string, host: string) =>
    writeFileSync(join(root, `Pulumi.${name}.yaml`), `config:\n  gpubox:host: ${host}\n`);
  beforeAll(() => writeFileSync(join(root, "Pulumi.yaml"), "name: gpubox\n"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("says what is wrong with the configuration, and looks no further", async () => {
    stack("wrong", "{kind: asw}");
    expect(await findChecks(context(), "wrong")).toMatchObject([
      { check: "configuration", status: "fail", problem: expect.stringContaining('did you mean "aws"?') },
    ]);
    expect(await findChecks(context(), "none")).toMatchObject([{ status: "fail" }]);
  });

  it("tells of a credential helper that is named and not there, for the images that ask it", async () => {
    const socket = { DOCKER_HOST: `unix://${join(root, "none.sock")}`, DOCKER_CONFIG: join(root, "docker") };
    mkdirSync(socket.DOCKER_CONFIG, { recursive: true });
    const named = { credsStore: "nosuch", credHelpers: { "ghcr.io": "there", "quay.io": "gone" } };
    writeFileSync(join(socket.DOCKER_CONFIG, "config.json"), JSON.stringify(named));
    const bin = join(root, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "docker-credential-there"), "#!/bin/sh\n", { mode: 0o755 });
    const told = async (image: string) => {
      writeFileSync(join(root, "Pulumi.helper.yaml"), `config:\n  gpubox:image: ${image}\n`);
      const checks = await findChecks(context({ ...socket, PATH: `${bin}:${process.env.PATH}` }), "helper");
      return checks
        .filter(({ check }) => check === "passwords of registries")
        .map(({ status, needed, problem }) => [status, needed, problem?.includes("is not on PATH")]);
    };
    const gone = ["warn", "docker-credential-gone", true];
    const there = ["ok", "docker-credential-there", undefined];
    const store = ["warn", "docker-credential-nosuch", true];
    expect(await told("{target: lab}")).toEqual([store, there, gone]);
    expect(await told("ghcr.io/a/b:c")).toEqual([there]);
    expect(await told("quay.io/a/b")).toEqual([gone]);
    expect(await told("someone/image")).toEqual([store]);
    writeFileSync(join(socket.DOCKER_CONFIG, "config.json"), "{");
    expect(await told("{target: lab}")).toEqual([]);
  });

  it("says that a Docker context is none that is there, or another machine's", async () => {
    stack("dev", "{kind: local}");
    const found = async (env: Record<string, string>) => (await findChecks(context(env), "dev")).at(-1);
    expect(await found({ DOCKER_CONTEXT: "nosuch" })).toMatchObject({
      check: "Docker",
      status: "fail",
      problem: expect.stringContaining("there is no Docker context nosuch"),
    });
    expect(await found({ DOCKER_HOST: "ssh://ada@lab" })).toMatchObject({
      check: "Docker",
      status: "fail",
      problem: expect.stringContaining("address: lab"),
    });
  });

  it("tells of a notebook that runs at the moment, as it is started again and again", async () => {
    stack("loop", "{kind: local}");
    const state = join(root, ".gpubox", "state", ".pulumi", "stacks", "gpubox");
    mkdirSync(state, { recursive: true });
    const made = {
      urn: "urn::1",
      type: "docker:index/container:Container",
      id: "1",
      inputs: { name: "container1" },
    };
    const checkpoint = { latest: { resources: [made] } };
    writeFileSync(join(state, "loop.json"), JSON.stringify({ version: 3, checkpoint }));
    const bin = join(root, "looping");
    mkdirSync(bin);
    const docker = `case $1 in inspect) echo x >>'${bin}/looks'; echo "running 0 $(wc -l <'${bin}/looks') false 0";; esac`;
    pretend(bin, "docker", docker);
    const socket = join(bin, "docker.sock");
    const container = (Status: string) => ({
      Id: "1",
      Names: ["/container1"],
      Labels: { "gpubox.stack": "gpubox/loop", "gpubox.notebook": "container1" },
      Ports: [],
      Mounts: [],
      Status,
    });
    const told = async (status: string) => {
      const answers: Record<string, unknown> = {
        "/containers/json?all=true": [container(status)],
        "/info": { ID: "daemon", Architecture: "x86_64", ServerVersion: "28.5.1", MemTotal: 16e9 },
        "/networks": [],
        "/volumes": { Volumes: [] },
        "/_ping": "OK",
      };
      const daemon = createHttpServer(({ url = "" }, response) => {
        response.setHeader("content-type", "application/json").end(JSON.stringify(answers[url] ?? {}));
      }).listen(socket);
      const env = { DOCKER_HOST: `unix://${socket}`, PATH: `${bin}:${process.env.PATH}` };
      const checks = await findChecks(context(env), "loop");
      daemon.close();
      return checks.filter(({ check }) => check === "notebook container1");
    };
    expect(await told("Up 3 minutes (healthy)")).toMatchObject([{ status: "ok", found: "up" }]);
    expect(await told("Up 3 seconds (health: starting)")).toMatchObject([
      {
        status: "warn",
        problem: expect.stringMatching(
          /^container1 was started but does not answer \(container container1 stops and is started again and again, .*`npm run logs -- container1 -s loop`.*a package you installed/,
        ),
      },
    ]);
  }, 30_000);

  it.concurrent("takes no longer than ten seconds over a daemon that says nothing", async () => {
    stack("dev", "{kind: local}");
    const socket = join(root, "docker.sock");
    const server = createServer(() => {}).listen(socket);
    const began = Date.now();
    const checks = await findChecks(context({ DOCKER_HOST: `unix://${socket}` }), "dev");
    server.close();
    expect(checks.at(-1)).toMatchObject({
      check: "Docker",
      status: "fail",
      problem: expect.stringContaining("DOCKER_HOST names it"),
    });
    expect(Date.now() - began).toBeLessThan(10_000);
  }, 20_000);

  it.concurrent("takes no longer than ten seconds over a machine that says nothing", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { port: number };
    stack("lab", `{kind: ssh, address: 127.0.0.1, port: ${port}}`);
    const began = Date.now();
    const checks = await findChecks(context(), "lab");
    silent.close();
    expect(checks.at(-1)).toMatchObject({ check: "SSH", status: "fail" });
    expect(checks.at(-1)?.problem).toContain("step that failed: connect");
    expect(Date.now() - began).toBeLessThan(12_000);
  }, 20_000);

  it("shows one line a check, what is wrong below it, and a sum", () => {
    const checks = hostChecks(needs(), { ...healthy, memory: 2000, docker: "19.03" });
    const lines = formatChecks(checks).split("\n");
    expect(lines[0]).toMatch(/^fail {2}Docker +19\.03 \(needed: 20\.10 or newer\)$/);
    expect(lines[1]).toMatch(/^ {6}gpubox:host: Docker 19\.03 is too old/);
    expect(summary(checks)).toMatch(/^checks: \d+ ok, 1 warning, 1 failed; nothing was created$/);
  });
});
