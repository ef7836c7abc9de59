import { describe, expect, it } from "vitest";
import { preflightProblems } from "../../../machine/checks/preflight.ts";
import type { HostNeeds } from "../../../machine/facts.ts";
import { dockerProblem, factsOf, type Inspection, machineOf } from "../../../machine/inspection.ts";

type DockerFound = Exclude<Inspection["docker"], { missing: true }>;

const inspection = (docker: Partial<DockerFound> = {}, more: Partial<Inspection> = {}): Inspection => ({
  user: "1000:1001",
  docker: {
    info: { ID: "abc", Architecture: "aarch64", Runtimes: { runc: {} } },
    containers: [],
    networks: [],
    volumes: [],
    error: "",
    ...docker,
  },
  driver: { missing: true },
  toolkitHook: false,
  listening: [],
  addresses: ["127.0.0.1", "10.0.0.5"],
  free: { docker: 50_000, root: 50_000 },
  ...more,
});

const needs = (address = "127.0.0.1", port = 8888): HostNeeds => ({
  stack: "gpubox/lab",
  network: "gpubox-lab",
  notebooks: [{ name: "container1", gpus: "none", address, port }],
});

describe("a machine", () => {
  it.each([
    ["3.9.0", true],
    ["3.13.1", true],
    ["4.0.0", true],
    ["3.8.20", false],
    [null, false],
    [undefined, false],
  ])("with Python %s has one for the data program: %s", (python, hasPython) => {
    expect(machineOf(inspection({}, { python })).hasPython).toBe(hasPython);
    expect(factsOf(inspection({}, { python, git: true }), needs())).toMatchObject({ python, git: true });
  });

  it("is its daemon's identity and platform, and the person's ids", () => {
    expect(machineOf(inspection())).toMatchObject({
      id: "abc",
      platform: "linux/arm64",
      runsAs: { user: "1000:1001" },
    });
  });

  it("has the person run as they are, in their groups, in an order that never changes", () => {
    const found = (groups?: number[]) => machineOf(inspection({}, { groups })).runsAs;
    expect(found([30000, 100, 4000])).toEqual({ user: "1000:1001", groups: ["100", "4000", "30000"] });
    // What an earlier version found on a machine says nothing of groups.
    expect(found(undefined)).toEqual({ user: "1000:1001", groups: [] });
  });

  it("has the person run as root where root is nobody but them, and with their own ids where containers have others", () => {
    const found = (...SecurityOptions: string[]) =>
      machineOf(inspection({ info: { ID: "abc", SecurityOptions } }, { groups: [4000] })).runsAs;
    const usual = { user: "1000:1001", groups: ["4000"] };
    expect(found("name=seccomp,profile=default", "name=cgroupns")).toEqual(usual);
    expect(found("name=seccomp,profile=default", "name=rootless")).toEqual({ user: "0:0", groups: [] });
    expect(found("name=userns")).toEqual({ ...usual, usernsMode: "host" });
  });

  it("hands out GPUs by the runtime, the hook or CDI", () => {
    const driver = { csv: "0, GPU-1, NVIDIA L4, 23034\n" };
    const runtime = (found: Inspection) => machineOf(found).gpus.runtime;
    const info = { ID: "abc" };
    expect(runtime(inspection({}, { driver }))).toBeUndefined();
    expect(runtime(inspection({ info: { ...info, Runtimes: { nvidia: {} } } }, { driver }))).toBe("nvidia");
    expect(runtime(inspection({}, { driver, toolkitHook: true }))).toBe("nvidia");
    const DiscoveredDevices = [{ ID: "nvidia.com/gpu=0" }];
    expect(runtime(inspection({ info: { ...info, DiscoveredDevices } }, { driver }))).toBe("cdi");
    expect(machineOf(inspection({}, { driver })).gpus.gpus[0]).toMatchObject({
      uuid: "GPU-1",
      memory: 23034,
    });
  });

  it.each([
    [{ missing: true }, "Docker not there", "apt-get install docker.io"],
    [{ info: null, error: "" }, "Docker not there", "no answer"],
    [
      { info: { ServerErrors: ["Cannot connect to the Docker daemon at unix:///var/run/docker.sock"] } },
      "Docker not there",
      "systemctl start docker",
    ],
    [
      { info: { ServerErrors: ["permission denied while trying to connect to the Docker daemon socket"] } },
      "Docker not allowed",
      "usermod -aG docker",
    ],
    [{ info: null, error: "Got permission denied while trying" }, "Docker not allowed", "usermod -aG docker"],
  ])("without a usable Docker says so: %j", (docker, step, mend) => {
    const found =
      "missing" in docker ? { ...inspection(), docker: docker as { missing: true } } : inspection(docker);
    expect(dockerProblem(found)).toMatchObject({ step, tell: expect.stringContaining(mend) });
    expect(() => machineOf(found)).toThrow(mend);
  });
});

describe("ports", () => {
  const errors = (listening: string[], address?: string) =>
    [...factsOf(inspection({}, { listening }), needs(address)).listenErrors.values()].join();

  it.each([
    ["0100007F:22B8", "127.0.0.1", "EADDRINUSE"],
    ["00000000:22B8", "127.0.0.1", "EADDRINUSE"],
    ["00000000000000000000000000000000:22B8", "127.0.0.1", "EADDRINUSE"],
    ["0500000A:22B8", "0.0.0.0", "EADDRINUSE"],
    ["0500000A:22B8", "127.0.0.1", ""],
    ["0100007F:22B9", "127.0.0.1", ""],
    ["00000000000000000000000001000000:22B8", "127.0.0.1", ""],
  ])("%s in use and %s asked for: %s", (socket, address, error) => {
    expect(errors([socket], address)).toBe(error);
  });

  it("of an address that the machine does not have cannot be had", () => {
    expect(errors([], "10.0.0.5")).toBe("");
    expect(errors([], "10.9.9.9")).toBe("EADDRNOTAVAIL");
    expect(factsOf(inspection({}, { addresses: null }), needs("10.9.9.9")).listenErrors.size).toBe(0);
  });
});

describe("containers", () => {
  it("are known by name, stack, owner and ports", () => {
    const containers = [
      {
        name: "a,web/b",
        stack: "",
        owner: "",
        madeBy: "",
        ports: "127.0.0.1:8888->8888/tcp, :::9000-9001->9000-9001/tcp, 443/tcp",
      },
      { name: "c", stack: "gpubox/lab", owner: "c0ffee", madeBy: "ada@desk", ports: "" },
    ];
    expect(factsOf(inspection({ containers }), needs()).containers).toEqual([
      { kind: "container", name: "a", ports: [8888, 9000, 9001] },
      {
        kind: "container",
        name: "c",
        stack: "gpubox/lab",
        owner: "c0ffee",
        madeBy: "ada@desk",
        ports: [],
      },
    ]);
  });
});

describe("folders", () => {
  it("are known by which of them are not there, and which a container has", () => {
    const folders = { root: "/mnt/disk", missing: ["/mnt/disk/code"] };
    const mounts = "/mnt/disk/code,gpubox-lab-container1-home,/mnt/disk/data";
    const status = "Exited (137) 2 hours ago";
    const containers = [{ name: "a", stack: "gpubox/lab", owner: "", madeBy: "", ports: "", status, mounts }];
    expect(factsOf(inspection({ containers }, { folders }), needs())).toMatchObject({
      ...folders,
      containers: [{ name: "a", status, binds: ["/mnt/disk/code", "/mnt/disk/data"] }],
    });
  });
});

describe("the disk", () => {
  const problems = (docker: number | null, containers: DockerFound["containers"] = []) =>
    preflightProblems(
      needs(),
      factsOf(inspection({ containers }, { free: { docker, root: null } }), needs()),
    );

  it("must have room for the smallest image, unless the stack is there already", () => {
    expect(problems(2048)).toEqual([]);
    expect(problems(null)).toEqual([]);
    expect(problems(2047)[0]).toMatch(/^gpubox:host: only 2047 MB are free .*docker system prune/);
    expect(
      problems(10, [{ name: "container1", stack: "gpubox/lab", owner: "", madeBy: "", ports: "" }]),
    ).toEqual([]);
  });
});
