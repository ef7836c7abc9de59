import { describe, expect, it } from "vitest";
import { hostChecks, preflightProblems } from "../../../../machine/checks/preflight.ts";
import type { ExistingContainer, HostFacts, HostNeeds } from "../../../../machine/facts.ts";
import type { GpuInventory } from "../../../../machine/gpus.ts";
import { type Existing, withAdopted } from "../../../../machine/owner.ts";

const noGpu: GpuInventory = { gpus: [], runtime: undefined, problem: "no driver" };
const needs = (extra: Partial<HostNeeds["notebooks"][number]> = {}): HostNeeds => ({
  stack: "gpubox/dev",
  holdings: { owner: OWN, names: new Set() },
  network: "gpubox-dev",
  notebooks: [
    {
      name: "container1",
      gpus: "auto",
      address: "127.0.0.1",
      port: 8888,
      volume: "container1-home",
      ...extra,
    },
  ],
});
const facts = (containers: ExistingContainer[] = [], listenErrors: [number, string][] = []): HostFacts => ({
  gpus: noGpu,
  containers,
  networks: [],
  volumes: [],
  listenErrors: new Map(listenErrors),
});
/** The owner of the stack that asks. */
const OWN = "c0ffee";
const container = (name: string, stack?: string, ports: number[] = [], owner = OWN): ExistingContainer => ({
  kind: "container",
  name,
  stack,
  owner: stack && owner,
  ports,
});

describe("a look at a host, before anything is made,", () => {
  it("finds nothing wrong with a bare host", () => {
    expect(preflightProblems(needs(), facts())).toEqual([]);
  });

  it("names the program that holds a port, unless it is our own container", () => {
    const busy: [number, string][] = [[8888, "EADDRINUSE"]];
    expect(preflightProblems(needs(), facts([container("container1", "gpubox/dev", [8888])], busy))).toEqual(
      [],
    );
    expect(preflightProblems(needs(), facts([], busy))).toEqual([
      "gpubox:notebooks[0].port: port 8888 is taken by another program: give container1 another `port`, or stop what `sudo ss -ltnp 'sport = :8888'` shows",
    ]);
    expect(preflightProblems(needs(), facts([container("other", undefined, [8888])], busy))).toEqual([
      "gpubox:notebooks[0].port: port 8888 is taken by the container other: give container1 another `port`, or, if that one is yours, stop it with `docker stop other`",
    ]);
  });

  it("does not name its own container that is started again and again, which has the port for moments", () => {
    const status = "Restarting (1) 2 seconds ago";
    const looping = { ...container("container1", "gpubox/dev"), status };
    const busy: [number, string][] = [[8888, "EADDRINUSE"]];
    expect(preflightProblems(needs(), facts([looping], busy))).toEqual([]);
    const stopped = { ...looping, status: "Exited (0) 2 hours ago" };
    expect(preflightProblems(needs(), facts([stopped], busy))).toEqual([
      expect.stringContaining("port 8888 is taken by another program"),
    ]);
  });

  it("refuses a root that is gone from under its own containers, and no other", () => {
    const folders = { root: "/mnt/disk", missing: ["/mnt/disk/code", "/mnt/disk/data"] };
    const problems = (stack: string, ...binds: string[]) =>
      preflightProblems(needs(), { ...facts([{ ...container("container1", stack), binds }]), ...folders });
    const [problem] = problems("gpubox/dev", "/mnt/disk/code", "/mnt/disk/data");
    expect(problem).toBe(
      "gpubox:root: /mnt/disk/code and /mnt/disk/data are gone, and the notebooks of this stack have them: is the disk mounted? If its files are lost for good, `mkdir -p /mnt/disk/code /mnt/disk/data` starts afresh",
    );
    // The configuration names another one now, which is made.
    expect(problems("gpubox/dev", "/old/code", "/old/data")).toEqual([]);
    expect(preflightProblems(needs(), { ...facts(), ...folders })).toEqual([]);
  });

  it("refuses a folder that is not there, as Docker would, and says which key names it", () => {
    const volumes = ["/srv/a", "/srv/my models"].map((source) => ({ source, readOnly: false }));
    const found = { ...facts(), root: "/home/ada/docker_mount", missing: ["/srv/my models"] };
    expect(preflightProblems(needs({ volumes }), found)).toEqual([
      "gpubox:notebooks[0].volumes[1].source: /srv/my models does not exist: is the disk mounted? To create a new folder: `mkdir -p '/srv/my models'`",
    ]);
  });

  it("has nothing against a port that another container of its own has: that is stopped first", () => {
    const busy: [number, string][] = [[8888, "EADDRINUSE"]];
    expect(preflightProblems(needs(), facts([container("renamed", "gpubox/dev", [8888])], busy))).toEqual([]);
  });

  it("tells a notebook that was given another name from one that has left the configuration", () => {
    const renamed = { ...container("renamed", "gpubox/dev", [8888]), notebook: "container1" };
    expect(preflightProblems(needs(), facts([renamed]))).toEqual([
      expect.stringContaining("`docker rename renamed container1`"),
    ]);
    expect(preflightProblems(needs(), facts([renamed, container("container1", "gpubox/dev")]))).toEqual([]);
  });

  it("refuses another daemon than the one that the stack is on, and names both", () => {
    const daemon = { id: "D1", host: "unix:///run/first.sock" };
    const there = { ...facts(), daemon: { id: "D2", host: "unix:///run/second.sock" } };
    const held = (names: string[]) => ({
      ...needs(),
      holdings: { owner: OWN, names: new Set(names), daemon },
    });
    const [problem, ...others] = preflightProblems(held(["network/gpubox-dev"]), there);
    expect(problem).toMatch(/D1 at unix:\/\/\/run\/first\.sock.*unix:\/\/\/run\/second\.sock is another, D2/);
    expect(problem).toContain("DOCKER_HOST=unix:///run/first.sock");
    expect(others).toEqual([]);
    expect(preflightProblems(held([]), there)).toEqual([]);
    expect(preflightProblems(held(["network/gpubox-dev"]), { ...there, daemon })).toEqual([]);
  });

  it("reports an address the host does not have", () => {
    const [problem] = preflightProblems(needs({ address: "10.9.9.9" }), facts([], [[8888, "EADDRNOTAVAIL"]]));
    expect(problem).toContain("port 8888 of 10.9.9.9 cannot be used (EADDRNOTAVAIL)");
  });

  it("names the owner of a container with a name the stack wants, unless it is its own", () => {
    expect(preflightProblems(needs(), facts([container("container1", "gpubox/dev")]))).toEqual([]);
    expect(
      preflightProblems(needs(), facts([container("container1", "gpubox/lab", [], "other")]))[0],
    ).toContain("made by the gpubox stack gpubox/lab");
    expect(preflightProblems(needs(), facts([container("container1")]))[0]).toMatch(
      /notebooks\[0\].name: a container named container1 .*another `name`, or, if that one is yours, rename it/,
    );
  });

  it("takes no network or volume for its own that something else made", () => {
    const there = (labels: Partial<Existing>): HostFacts => ({
      ...facts(),
      networks: [{ kind: "network", name: "gpubox-dev", ...labels }],
      volumes: [{ kind: "volume", name: "container1-home", ...labels }],
    });
    const ours = { stack: "gpubox/dev", owner: OWN };
    expect(preflightProblems(needs(), there(ours))).toEqual([]);
    const [network, volume] = preflightProblems(needs(), there({}));
    expect(network).toMatch(/^a network named gpubox-dev already exists.*npm run init -- -s NAME/);
    expect(volume).toMatch(/notebooks\[0\]\.name: a volume named container1-home .*another `name`$/);
    expect(preflightProblems(needs({ volume: undefined }), there(ours))).toEqual([]);
  });

  it("refuses a stack of its name that another state has, says whose, and advises to remove nothing", () => {
    const theirs = {
      stack: "gpubox/dev",
      owner: "other",
      madeBy: "ada@desk, state in file:///home/ada/state",
    };
    const there: HostFacts = {
      ...facts([{ ...container("lesson1", "gpubox/dev", [8888]), ...theirs }]),
      networks: [{ kind: "network", name: "gpubox-dev", ...theirs }],
      volumes: [{ kind: "volume", name: "container1-home", ...theirs }],
    };
    const [stack, port, ...others] = preflightProblems(needs(), there);
    expect(stack).toContain(
      "(ada@desk, state in file:///home/ada/state): container lesson1, network gpubox-dev",
    );
    expect(stack).toMatch(/npm run init -- -s NAME.*PULUMI_BACKEND_URL.*npm run adopt -- -s dev$/s);
    expect(port).toMatch(/port 8888 is taken by the container lesson1 of that other stack/);
    expect(others).toEqual([]);
    expect([stack, port].join()).not.toMatch(/docker (rm|network rm|volume rm|rename|stop)/);
    // Its network and its volume are there, so nothing says that they are free.
    const claimed = hostChecks(needs(), there).filter(({ needed }) => needed === "free");
    expect(claimed.map(({ check: name, status }) => [name, status])).toEqual([
      ["port 8888 of 127.0.0.1", "fail"],
    ]);
  });

  it("knows what was made before there were owners by the state that has it", () => {
    const old: HostFacts = {
      ...facts([{ kind: "container", name: "container1", stack: "gpubox/dev", ports: [8888] }]),
      volumes: [{ kind: "volume", name: "container1-home", stack: "gpubox/dev" }],
    };
    const names = new Set(["container/container1", "volume/container1-home"]);
    expect(preflightProblems({ ...needs(), holdings: { owner: undefined, names } }, old)).toEqual([]);
    expect(preflightProblems({ ...needs(), holdings: { owner: OWN, names: new Set() } }, old)).toEqual([
      expect.stringContaining("creator unknown"),
      expect.stringContaining("port 8888 is taken by the container container1"),
    ]);
    const nothing = { owner: undefined, names: new Set<string>() };
    const adopted = { stack: "gpubox/dev", owner: "feedbeef", names: [...names] };
    expect(preflightProblems({ ...needs(), holdings: withAdopted(nothing, adopted) }, old)).toEqual([]);
  });

  it("goes on with a volume that was restored by hand, without a label, and with nothing else of that kind", () => {
    const names = new Set(["container/container1", "network/gpubox-dev", "volume/container1-home"]);
    const asking = { ...needs(), holdings: { owner: OWN, names } };
    const restored: HostFacts = { ...facts(), volumes: [{ kind: "volume", name: "container1-home" }] };
    expect(preflightProblems(asking, restored)).toEqual([]);
    const others: HostFacts = {
      ...facts([{ kind: "container", name: "container1", ports: [] }]),
      networks: [{ kind: "network", name: "gpubox-dev" }],
    };
    expect(preflightProblems(asking, others)).toEqual([
      expect.stringContaining("a network named gpubox-dev already exists"),
      expect.stringContaining("a container named container1 already exists"),
    ]);
  });

  it("refuses one GPU, or one slice, for two notebooks that name it differently, unless both share it", () => {
    const gpu = { name: "A100", memory: 40960 };
    const slices = [{ index: 1, uuid: "MIG-x", profile: "1g.5gb" }];
    const gpus: GpuInventory = {
      gpus: [
        { ...gpu, index: 0, uuid: "GPU-a" },
        { ...gpu, index: 1, uuid: "GPU-b", slices },
      ],
      runtime: "nvidia",
      problem: undefined,
    };
    const problems = (one: string | number, other: string | number, shareGpus: boolean) => {
      const [notebook] = needs({ gpus: [one], shareGpus }).notebooks as [HostNeeds["notebooks"][number]];
      const both = [
        notebook,
        { ...notebook, name: "second", port: 8889, volume: "second-home", gpus: [other] },
      ];
      return preflightProblems({ ...needs(), notebooks: both }, { ...facts(), gpus });
    };
    expect(problems(0, "gpu-A", false)).toEqual([
      "gpubox:notebooks[1].gpus: container1 has GPU 0 (GPU-a) as well: list others, or allow it with `shareGpus: true` in both",
    ]);
    expect(problems("MIG-x", "1:1", false)).toEqual([
      expect.stringContaining("container1 has GPU 1:1 (MIG-x)"),
    ]);
    expect(problems("MIG-x", "1:1", true)).toEqual([]);
    expect(problems(0, "1:1", false)).toEqual([]);
  });

  it("refuses GPUs that are not there, and reports everything at once", () => {
    const problems = preflightProblems(
      needs({ gpus: "all" }),
      facts([container("container1")], [[8888, "EADDRINUSE"]]),
    );
    expect(problems.map((line) => line.split(":")[1])).toEqual([
      "notebooks[0].gpus",
      "notebooks[0].name",
      "notebooks[0].port",
    ]);
  });
});
