import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.d.ts";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import type Docker from "dockerode";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { contextArchive, contextDigest } from "../../../../machine/docker/build-context.ts";
import type { BuildStatus } from "../../../../machine/docker/image-build.ts";
import { BuildLog } from "../../../../offline/plugins/resource-docker/build-log.ts";
import {
  type ContainerInputs,
  containerSpec,
} from "../../../../offline/plugins/resource-docker/container-spec.ts";
import { containerState } from "../../../../offline/plugins/resource-docker/container-state.ts";
import {
  containerOutputs,
  containerTable,
} from "../../../../offline/plugins/resource-docker/container-table.ts";
import { connect, loginAddress, loginsOf } from "../../../../offline/plugins/resource-docker/docker.ts";
import { formatDuration, parseDuration } from "../../../../offline/plugins/resource-docker/duration.ts";
import { dockerProvider } from "../../../../offline/plugins/resource-docker/provider.ts";
import { PullProgress } from "../../../../offline/plugins/resource-docker/pull.ts";
import { repoDigest } from "../../../../offline/plugins/resource-docker/remote-image.ts";
import {
  diffTable,
  firstState,
  known,
  plan,
  withFallbacks,
} from "../../../../offline/plugins/resource-docker/table.ts";
import { checkProperties } from "../../../../offline/plugins/shared/check.ts";
import {
  type Operation,
  PartialFailure,
  type Resource,
} from "../../../../offline/plugins/shared/provider.ts";
import { type Properties, unknownValue } from "../../../../offline/plugins/shared/values.ts";
import { call, startPlugin, struct } from "../../../support/offline-plugin.ts";

const least: Properties = { name: "container1", image: "sha256:1", command: ["a"], entrypoints: ["b"] };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "offline-docker-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What a change from one to the other set of container inputs comes to, when the state is as it was asked for. */
function change(before: Properties, after: Properties): string {
  const state = withFallbacks(containerTable, { ...least, ...before });
  const { changes, replaces } = diffTable(containerTable, state, { ...least, ...after });
  if (changes.size === 0) return "same";
  return `${replaces.length > 0 ? "replace" : "update"} ${[...changes.keys()].join(" ")}`;
}

function resource(kind: string): Resource {
  const found = dockerProvider().resources[`docker:index/${kind}`];
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
}

const operation = (lines: string[] = [], preview = false): Operation => ({
  urn: "urn",
  name: "container1",
  preview,
  signal: new AbortController().signal,
  timeout: 0,
  log: { info: (line) => lines.push(line), warning: () => {}, status: () => {}, flush: async () => {} },
});

describe("changes of a container", () => {
  const label = (value: string) => ({ label: "l", value });
  const bind = (target: string) => ({ type: "bind", source: "/s", target });
  const port = (external: number) => ({ internal: 80, external });

  it.each<[Properties, Properties, string]>([
    [{ labels: [label("a")] }, { labels: [label("b")] }, "replace labels[0]"],
    [
      { labels: [label("a")] },
      { labels: [label("a"), { label: "m", value: "" }] },
      "replace labels labels[1]",
    ],
    [{ envs: ["A=1", "B=2"] }, { envs: ["A=1", "B=3"] }, "replace envs[1]"],
    [{ envs: ["A=1", "B=2"] }, { envs: ["B=2", "A=1"] }, "same"],
    [{}, { image: "sha256:2" }, "replace image"],
    [{}, { image: unknownValue }, "replace image"],
    [{ ports: [port(1)] }, { ports: [port(2)] }, "replace ports[0].external"],
    [{ ports: [port(1)] }, { ports: [{ ...port(1), ip: "" }] }, "replace ports[0].ip"],
    [{ ports: [port(1), port(2)] }, { ports: [port(2), port(1)] }, "same"],
    [{ shmSize: 64 }, { shmSize: 128 }, "replace shmSize"],
    [{ logOpts: { "max-size": "1m" } }, { logOpts: { "max-size": "2m" } }, 'replace logOpts["max-size"]'],
    [{ stopTimeout: 1 }, { stopTimeout: 2 }, "replace stopTimeout"],
    [{ workingDir: "/a" }, { workingDir: "/b" }, "replace workingDir"],
    [{ capabilities: { drops: ["ALL"] } }, {}, "replace capabilities"],
    [{ securityOpts: ["a"] }, { securityOpts: ["b"] }, "replace securityOpts[0]"],
    [{ gpus: "all" }, { gpus: "device=0" }, "replace gpus"],
    [{ volumes: [{ volumeName: "a", containerPath: "/b" }] }, { volumes: [] }, "replace volumes"],
    [{}, { restart: "always" }, "update restart"],
    [{ memory: 64, memorySwap: 128 }, { memory: 96, memorySwap: 128 }, "update memory"],
    // Said to be updated, and not applied: callers carry a hash of these in a label.
    [{ healthcheck: { interval: "1s" } }, { healthcheck: { interval: "2s" } }, "update healthcheck.interval"],
    [{ init: false }, { init: true }, "update init"],
    [{ tmpfs: { "/x": "size=1m" } }, { tmpfs: { "/x": "size=2m" } }, 'update tmpfs["/x"]'],
    [{ mounts: [bind("/a")] }, { mounts: [bind("/b")] }, "update mounts[0]"],
    [{ mounts: [bind("/a")] }, { mounts: [bind("/a"), bind("/b")] }, "replace mounts mounts[1]"],
    // Folders of the host were volumes once.
    [
      { volumes: [{ hostPath: "/s", containerPath: "/a" }] },
      { mounts: [bind("/a")] },
      "replace volumes mounts",
    ],
    [{ destroyGraceSeconds: 1 }, { destroyGraceSeconds: 2 }, "update destroyGraceSeconds"],
    // Left out again, what the daemon decides by itself stays as it is.
    [
      { labels: [label("a")], envs: ["A=1"], shmSize: 128, init: true, user: "1", workingDir: "/a" },
      {},
      "same",
    ],
    [{ healthcheck: { interval: "1s" } }, {}, "same"],
  ])("%j -> %j: %s", (before, after, expected) => expect(change(before, after)).toBe(expected));

  it("replaces what failed while it was made, as long as no refresh told its entrypoint", () => {
    const { entrypoints: _, ...inputs } = least;
    const failed = withFallbacks(containerTable, inputs);
    expect(diffTable(containerTable, failed, inputs).replaces).toEqual(["entrypoints"]);
    expect(diffTable(containerTable, { ...failed, entrypoints: [] }, inputs).changes.size).toBe(0);
  });

  it("takes sets as they were asked for until a refresh tells otherwise", () => {
    const planned = plan(containerTable, containerOutputs, {
      ...least,
      capabilities: { drops: ["SYS_PTRACE"] },
    });
    const told = { ...planned, capabilities: { drops: ["CAP_SYS_PTRACE"] }, hostname: "h" };
    expect(firstState(containerTable, planned, told)).toMatchObject({
      capabilities: { drops: ["SYS_PTRACE"] },
      hostname: "h",
    });
  });

  it("keeps of a plan what is known", () => {
    const planned = { hostname: unknownValue, ports: [{ internal: 80, external: unknownValue }] };
    expect(known(planned)).toEqual({ hostname: undefined, ports: [{ internal: 80, external: undefined }] });
  });

  it("leaves unknown at preview what only the daemon can tell", () => {
    const planned = plan(containerTable, containerOutputs, { ...least, ports: [port(8080)] });
    const unknown = Object.keys(planned).filter((name) => planned[name] === unknownValue);
    expect(unknown).toEqual(expect.arrayContaining(["hostname", "shmSize", "exitCode", "networkDatas"]));
    expect(unknown).not.toContain("memory");
    expect(planned.ports).toEqual([{ internal: 80, external: 8080, ip: "0.0.0.0", protocol: "tcp" }]);
    // What the official plugin fills in, or it would replace what it takes over.
    const filled = {
      networkMode: "bridge",
      mustRun: true,
      start: true,
      rm: false,
      readOnly: false,
      tty: false,
    };
    expect(planned).toMatchObject(filled);
  });
});

describe("a check of what is asked for", () => {
  const image = {
    context: "a",
    dockerfile: "a/Dockerfile",
    platform: "linux/amd64",
    builderVersion: "BuilderBuildKit",
  };

  it.each<[string, string, Properties, string]>([
    ["an unknown property", "container:Container", { ...least, prots: [] }, "prots"],
    [
      "an unknown nested property",
      "container:Container",
      { ...least, ports: [{ internal: 1, external: 1, protcol: "tcp" }] },
      "ports[0].protcol",
    ],
    ["a wrong type", "container:Container", { ...least, memory: "1g" }, "memory"],
    ["a bad restart policy", "container:Container", { ...least, restart: "sometimes" }, "restart"],
    [
      "a folder of the host as a volume",
      "container:Container",
      { ...least, volumes: [{ hostPath: "/a", containerPath: "/a" }] },
      "volumes[0].hostPath",
    ],
    ["a default that no program changes", "container:Container", { ...least, mustRun: true }, "mustRun"],
    ["several GPUs in one text", "container:Container", { ...least, gpus: "device=0,1" }, "gpus"],
    ["a number of GPUs", "container:Container", { ...least, gpus: "2" }, "gpus"],
    [
      "a bad duration",
      "container:Container",
      { ...least, healthcheck: { interval: "1 minute" } },
      "healthcheck.interval",
    ],
    ["a missing name", "container:Container", { image: "a" }, "name"],
    [
      "an unknown build option",
      "image:Image",
      { imageName: "a", skipPush: true, build: { ...image, cacheFrom: {} } },
      "build.cacheFrom",
    ],
    [
      "the classic builder",
      "image:Image",
      { imageName: "a", skipPush: true, build: { ...image, builderVersion: "BuilderV1" } },
      "build.builderVersion",
    ],
    [
      "an image that would be pushed",
      "image:Image",
      { imageName: "a", skipPush: false, build: image },
      "skipPush",
    ],
    ["an unknown network option", "network:Network", { name: "a", checkDuplicate: true }, "checkDuplicate"],
    ["an unknown volume option", "volume:Volume", { name: "a", cluster: {} }, "cluster"],
    [
      "a build in RemoteImage",
      "remoteImage:RemoteImage",
      { name: "a", keepLocally: true, build: {} },
      "build",
    ],
    [
      "an image that would be removed",
      "remoteImage:RemoteImage",
      { name: "a", keepLocally: false },
      "keepLocally",
    ],
  ])("refuses %s", (_, kind, inputs, property) => {
    expect(checkProperties(resource(kind).schema, inputs).map((failure) => failure.property)).toEqual([
      property,
    ]);
  });

  it("refuses gpus together with deviceRequests", () => {
    const { check } = resource("container:Container");
    expect(check?.({ ...least, gpus: "all", deviceRequests: [{}] })).toHaveLength(1);
    expect(check?.({ ...least, gpus: "all" })).toEqual([]);
  });

  it("passes what is not known yet", () => {
    const inputs = { name: "a", image: unknownValue, ports: unknownValue, memory: unknownValue };
    expect(checkProperties(resource("container:Container").schema, inputs)).toEqual([]);
  });

  it("says where the Dockerfile is, and takes none from outside the context", () => {
    writeFileSync(join(folder, "Dockerfile"), "FROM scratch");
    const { check } = resource("image:Image");
    const build = { context: folder, dockerfile: join(folder, "nowhere/Dockerfile") };
    mkdirSync(join(folder, "context"));
    const outside = { context: join(folder, "context"), dockerfile: join(folder, "Dockerfile") };
    expect(check?.({ imageName: "a", skipPush: true, build: outside })).toEqual([
      { property: "build.dockerfile", reason: expect.stringContaining("from outside the build context") },
    ]);
    expect(check?.({ imageName: "a", skipPush: true, build })).toEqual([
      {
        property: "build.dockerfile",
        reason: `could not open dockerfile ${build.dockerfile}; try setting dockerfile to ${join(folder, "Dockerfile")}`,
      },
    ]);
  });
});

describe("what the daemon is asked for", () => {
  const spec = (inputs: Properties) =>
    containerSpec(withFallbacks(containerTable, { ...least, ...inputs }) as unknown as ContainerInputs);

  it.each<[string, Docker.DeviceRequest]>([
    ["all", { Count: -1, Capabilities: [["gpu"]] }],
    ["device=0", { DeviceIDs: ["0"], Capabilities: [["gpu"]] }],
    ["device=GPU-3a23", { DeviceIDs: ["GPU-3a23"], Capabilities: [["gpu"]] }],
  ])("gpus %s", (gpus, request) => expect(spec({ gpus }).HostConfig?.DeviceRequests).toEqual([request]));

  it.each(["some", "uuid=0", "2,3"])("gpus %j is refused", (gpus) => {
    const failures = checkProperties(resource("container:Container").schema, { ...least, gpus });
    expect(failures.map(({ property }) => property)).toEqual(["gpus"]);
  });

  it("device requests", () => {
    const deviceRequests = [{ driver: "nvidia", deviceIds: ["0", "1"], capabilities: ["gpu"] }];
    expect(spec({ deviceRequests }).HostConfig?.DeviceRequests).toEqual([
      { Driver: "nvidia", Count: 0, DeviceIDs: ["0", "1"], Capabilities: [["gpu"]] },
    ]);
  });

  it("ports", () => {
    const asked = spec({
      ports: [
        { internal: 8888, external: 8889, ip: "127.0.0.1" },
        { internal: 53, external: 54, protocol: "udp" },
      ],
    });
    expect(asked.ExposedPorts).toEqual({ "8888/tcp": {}, "53/udp": {} });
    expect(asked.HostConfig?.PortBindings).toEqual({
      "8888/tcp": [{ HostIp: "127.0.0.1", HostPort: "8889" }],
      "53/udp": [{ HostIp: "0.0.0.0", HostPort: "54" }],
    });
  });

  it("a healthcheck, in nanoseconds", () => {
    expect(
      spec({ healthcheck: { tests: ["CMD", "true"], interval: "1m30s", retries: 3 } }).Healthcheck,
    ).toEqual({
      Test: ["CMD", "true"],
      Interval: 90e9,
      Timeout: 0,
      StartPeriod: 0,
      StartInterval: 0,
      Retries: 3,
    });
  });

  it("memory in bytes, init off unless asked for, no capabilities", () => {
    const { HostConfig } = spec({
      memory: 64,
      memorySwap: 64,
      shmSize: 1,
      capabilities: { drops: ["ALL"] },
    });
    expect(HostConfig).toMatchObject({
      Memory: 64 * 2 ** 20,
      MemorySwap: 64 * 2 ** 20,
      ShmSize: 2 ** 20,
      Init: false,
      CapDrop: ["ALL"],
    });
  });

  it.each([
    "0s",
    "500ms",
    "1.5s",
    "30s",
    "2m0s",
    "1m30s",
    "1h0m0s",
  ])("duration %s, there and back", (duration) => {
    expect(formatDuration(parseDuration(duration))).toBe(duration);
  });

  it("shows a duration that Go would write otherwise as a difference", () => {
    expect(formatDuration(parseDuration("120s"))).toBe("2m0s");
  });
});

/** What the daemon says of a container that runs as {@link least} asks. */
function inspected(
  changes: { running?: boolean; host?: object; ports?: object } = {},
): Docker.ContainerInspectInfo {
  const { running = true } = changes;
  return {
    Id: "id",
    Name: "/container1",
    Image: "sha256:1",
    State: { Running: running, Status: running ? "running" : "exited", ExitCode: running ? 0 : 137 },
    Config: {
      Image: "tag",
      Hostname: "h",
      Cmd: ["a"],
      Entrypoint: ["b"],
      User: "",
      WorkingDir: "",
      Tty: false,
      OpenStdin: false,
    },
    HostConfig: {
      AutoRemove: false,
      RestartPolicy: { Name: "no" },
      NetworkMode: "bridge",
      ShmSize: 64 * 2 ** 20,
      LogConfig: { Type: "json-file", Config: {} },
      ...changes.host,
    },
    NetworkSettings: { Bridge: "", Ports: changes.ports ?? {}, Networks: {} },
  } as unknown as Docker.ContainerInspectInfo;
}

describe("what a refresh notices", () => {
  const drift = (inputs: Properties, found: Docker.ContainerInspectInfo) => {
    const all = { ...least, ...inputs };
    const { changes, replaces } = diffTable(
      containerTable,
      containerState(found, withFallbacks(containerTable, all)),
      all,
    );
    return { changes: [...changes.keys()], replaces };
  };
  const ports = { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] };

  it("nothing, of a container that runs as asked", () => {
    expect(drift({ ports: [{ internal: 80, external: 8080 }] }, inspected({ ports })).changes).toEqual([]);
  });
  it("a stopped container: started again, or replaced when it had ports", () => {
    expect(drift({}, inspected({ running: false }))).toEqual({ changes: ["mustRun"], replaces: [] });
    expect(
      drift({ ports: [{ internal: 80, external: 8080 }] }, inspected({ running: false })).replaces,
    ).toEqual(["ports"]);
  });
  it("the swap that the daemon adds to memory alone", () => {
    const host = { Memory: 64 * 2 ** 20, MemorySwap: 128 * 2 ** 20 };
    expect(drift({ memory: 64 }, inspected({ host })).changes).toEqual(["memorySwap"]);
    expect(drift({ memory: 64, memorySwap: 128 }, inspected({ host })).changes).toEqual([]);
  });
  it.each<[Properties, object]>([
    [{ gpus: "all" }, { Count: -1, Capabilities: [["gpu"]] }],
    [{ gpus: "device=0" }, { DeviceIDs: ["0"], Capabilities: [["gpu"]] }],
    [
      { deviceRequests: [{ driver: "nvidia", deviceIds: ["0", "1"], capabilities: ["gpu"] }] },
      { Driver: "nvidia", Count: 0, DeviceIDs: ["1", "0"], Capabilities: [["gpu"]], Options: {} },
    ],
  ])("nothing, of the GPU request %j", (inputs, request) => {
    expect(drift(inputs, inspected({ host: { DeviceRequests: [request] } })).changes).toEqual([]);
  });
});

describe("the build context", () => {
  const build = () => ({
    context: join(folder, "context"),
    dockerfile: join(folder, "context", "Dockerfile"),
  });
  const write = (path: string, content: string) => writeFileSync(join(folder, "context", path), content);
  beforeEach(() => {
    mkdirSync(join(folder, "context", "sub"), { recursive: true });
    write("Dockerfile", "FROM scratch");
    write("a.txt", "a");
    write("sub/b.txt", "b");
    write("sub/keep.txt", "k");
    write(".dockerignore", "sub\n!sub/keep.txt\n");
  });

  it.each<[string, boolean, () => void]>([
    ["nothing", false, () => {}],
    ["the content of a file", true, () => write("a.txt", "b")],
    [
      "the name of a file",
      true,
      () => renameSync(join(folder, "context", "a.txt"), join(folder, "context", "c.txt")),
    ],
    ["the mode of a file", true, () => chmodSync(join(folder, "context", "a.txt"), 0o755)],
    ["the Dockerfile", true, () => write("Dockerfile", "FROM scratch\n")],
    ["the ignore file", true, () => write(".dockerignore", "sub\n")],
    ["an ignored file", false, () => write("sub/b.txt", "c")],
    ["a file that is taken out of an ignored folder", true, () => write("sub/keep.txt", "c")],
    ["a link", true, () => symlinkSync("a.txt", join(folder, "context", "link"))],
    ["the time of a file", false, () => write("a.txt", "a")],
  ])("digest and a change of %s", (_, differs, alter) => {
    const before = contextDigest(build());
    alter();
    expect(contextDigest(build()) !== before).toBe(differs);
  });

  it("is sent without what is ignored, as root's", async () => {
    const { archive, dockerfile } = contextArchive(build());
    const { stdout } = await execa("tar", ["-tv", "--numeric-owner"], { input: archive });
    expect(dockerfile).toBe("Dockerfile");
    const names = stdout.split("\n").map((line) => line.split(/\s+/).at(-1)?.replace(/^\.\//, ""));
    expect(names).toEqual(expect.arrayContaining(["Dockerfile", "a.txt", "sub/keep.txt"]));
    expect(names).not.toContain("sub/b.txt");
    for (const line of stdout.split("\n")) expect(line).toMatch(/ 0\/0 /);
  });

  it("fails, and does not hang or crash, when a folder is gone", async () => {
    const { archive } = contextArchive(build());
    rmSync(join(folder, "context"), { recursive: true });
    await expect(archive.toArray()).rejects.toThrow("ENOENT");
  });

  it("is an update when it changed since the last build, none when not", () => {
    const { diff } = resource("image:Image");
    const inputs = { imageName: "a", skipPush: true, build: { ...build(), platform: "linux/amd64" } };
    const state = {
      __inputs: { ...inputs, build: { ...inputs.build, contextDigest: contextDigest(build()) } },
    };
    expect(diff?.(state, inputs, inputs).changes.size).toBe(0);
    write("a.txt", "changed");
    const changed = diff?.(state, inputs, inputs);
    expect([...(changed?.changes ?? [])]).toEqual([["build", "update"]]);
    expect(changed?.replaces).toEqual([]);
    const args = { ...inputs, build: { ...inputs.build, args: { A: "1" } } };
    expect(diff?.(state, inputs, args).changes.size).toBe(1);
  });
});

describe("the log of a build", () => {
  const at = (seconds: number) => ({ seconds, nanos: 0 });
  const step = { digest: "d", name: "[2/2] RUN make", cached: false, error: "", started: at(1) };
  const said = (text: string): BuildStatus => ({
    vertexes: [],
    logs: [{ vertex: "d", msg: Buffer.from(text) }],
  });

  it("says how far a step is that goes on, and nothing of one that is done", () => {
    const lines: string[] = [];
    const log = new BuildLog({ info: (line) => lines.push(line), status: () => {} });
    const started = { seconds: 0, nanos: 0 };
    const step = (digest: string, completed?: typeof started) => ({
      digest,
      name: `[1/2] RUN ${digest}`,
      cached: false,
      started,
      completed,
      error: "",
    });
    log.add({
      vertexes: [step("a"), step("b", started)],
      logs: [{ vertex: "a", msg: Buffer.from("one\ntwo\n") }],
    });
    lines.length = 0;
    log.tick(Date.now() + 40_000);
    expect(lines).toEqual(["[1/2] RUN a: 40 s so far: two"]);
  });

  it("shows the beginning of a step that is a page of commands, without its mounts", () => {
    const lines: string[] = [];
    const log = new BuildLog({ info: (line) => lines.push(line), status: () => {} });
    const name = `[common 2/4] RUN --mount=type=cache,target=/var/cache/apt     apt-get update     && ${"x".repeat(90)}`;
    log.add({ vertexes: [{ ...step, name }], logs: [] });
    expect(lines).toEqual([`[common 2/4] RUN apt-get update && ${"x".repeat(36)}…`]);
    log.add({ vertexes: [{ ...step, name, completed: at(2), error: "exit code: 2" }], logs: [] });
    expect(log.failure).toContain(name);
  });

  it("has a line per step, its time, and no line for the builder's own", () => {
    const lines: string[] = [];
    const log = new BuildLog({ info: (line) => lines.push(line), status: () => {} });
    log.add({ vertexes: [{ ...step, digest: "i", name: "[internal] load build context" }], logs: [] });
    log.add({ vertexes: [step, { ...step, digest: "c", name: "[1/2] FROM a", cached: true }], logs: [] });
    log.add({ vertexes: [step, { ...step, completed: at(4) }], logs: [] });
    expect(lines).toEqual(["[2/2] RUN make", "[1/2] FROM a (cached)", "[2/2] RUN make: done in 3.0 s"]);
    expect(log.failure).toBeUndefined();
  });

  it("names the step that failed, with the last it printed", () => {
    const log = new BuildLog({ info: () => {}, status: () => {} });
    log.add({ vertexes: [step], logs: [] });
    for (let line = 0; line < 100; line++) log.add(said(`line ${line}\n`));
    log.add(said("no rule to ma"));
    log.add(said("ke target\n"));
    log.add({ vertexes: [{ ...step, completed: at(2), error: "exit code: 2" }], logs: [] });
    expect(log.failure).toMatch(/^step \[2\/2\] RUN make failed; its last output:\nline 81\n/);
    expect(log.failure).toMatch(/line 99\nno rule to make target$/);
  });
});

describe("a pull", () => {
  const of = (id: string, status: string, current?: number, total?: number) => ({
    id,
    status,
    progressDetail: { current, total },
  });

  it("says how many layers and bytes there are, and how fast they come", () => {
    const progress = new PullProgress();
    expect(progress.add({ status: "Pulling from library/debian" })).toBe(false);
    for (const id of ["a", "b", "c"]) progress.add(of(id, "Pulling fs layer"));
    expect(progress.text()).toBe("0 of 3 layers");
    progress.add(of("a", "Downloading", 20e6, 60e6));
    progress.add(of("b", "Downloading", 10e6, 40e6));
    progress.add(of("b", "Download complete"));
    progress.add(of("c", "Already exists"));
    expect(progress.text(Date.now() + 10_000)).toBe("1 of 3 layers, 60 of 100 MB, 6.0 MB/s");
    expect(progress.add(of("b", "Extracting", 1e6, 90e6)), "unpacking is not downloading").toBe(false);
    progress.add(of("b", "Pull complete"));
    expect(progress.text(Date.now() + 10_000)).toBe("2 of 3 layers, 60 of 100 MB, 6.0 MB/s");
  });
});

describe("with a daemon", () => {
  /** Answers as a daemon would, and keeps what it was asked. */
  const requests: { method?: string; url?: string; body: string }[] = [];
  const answers: Record<string, [status: number, body: unknown]> = {};
  let server: Server;
  let host: string;

  beforeEach(async () => {
    requests.length = 0;
    for (const key of Object.keys(answers)) delete answers[key];
    answers["GET /_ping"] = [200, "OK"];
    answers["GET /images/sha256:1/json"] = [200, { Id: "sha256:1" }];
    answers["POST /containers/create"] = [201, { Id: "id" }];
    answers["POST /containers/id/start"] = [204, undefined];
    answers["GET /containers/id/json"] = [200, inspected()];
    server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      requests.push({ method: request.method, url: request.url, body });
      const [status, answer] = answers[`${request.method} ${request.url?.split("?")[0]}`] ?? [
        404,
        { message: "no such thing" },
      ];
      response.writeHead(status, { "content-type": "application/json" });
      response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
    });
    const socket = join(folder, "docker.sock");
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    host = `unix://${socket}`;
  });
  afterEach(() => server.close());

  async function container(): Promise<Resource> {
    const provider = dockerProvider();
    await provider.config?.configure({ host });
    return provider.resources["docker:index/container:Container"] as Resource;
  }

  it("creates nothing at preview", async () => {
    const { id, outputs } = await (await container()).create(least, operation([], true));
    expect(id).toBe("");
    expect(outputs.hostname).toBe(unknownValue);
    expect(requests.map(({ url }) => url)).toEqual(["/_ping"]);
  });

  it("keeps environment variables out of the URL", async () => {
    const { id } = await (await container()).create({ ...least, envs: ["TOKEN=canary"] }, operation());
    expect(id).toBe("id");
    const create = requests.find(({ url }) => url?.startsWith("/containers/create"));
    expect(create?.url).toBe("/containers/create?name=container1");
    expect(JSON.parse(create?.body ?? "")).toMatchObject({ Env: ["TOKEN=canary"], Image: "sha256:1" });
    for (const { url } of requests) expect(url).not.toContain("canary");
  });

  it("keeps a container that could not be started, so that the next up deletes it", async () => {
    answers["POST /containers/id/start"] = [500, { message: "port is already allocated" }];
    const failure = await (await container()).create(least, operation()).catch((error) => error);
    expect(failure).toBeInstanceOf(PartialFailure);
    expect(failure.message).toBe("starting container container1: port is already allocated");
    expect(failure.created.id).toBe("id");
    expect(Object.values(failure.created.outputs)).not.toContain(unknownValue);
  });

  it("neither adopts nor removes a container of the same name", async () => {
    answers["POST /containers/create"] = [409, { message: "Conflict. The container name is already in use" }];
    const failure = await (await container()).create(least, operation()).catch((error) => error);
    expect(failure).not.toBeInstanceOf(PartialFailure);
    expect(failure.message).toBe(
      "creating container container1: Conflict. The container name is already in use",
    );
    expect(requests.at(-1)?.method).toBe("POST");
  });

  it("drops a note of the official plugin that what was read no longer agrees with", async () => {
    const state = { ...least, __pulumi_raw_state_delta: { obj: {} }, __meta: "{}" };
    const told = await (await container()).read?.("id", state, operation());
    expect(told).toMatchObject({ name: "container1", __meta: "{}" });
    expect(told).not.toHaveProperty("__pulumi_raw_state_delta");
  });

  it("finds that a container is gone, and deletes it all the same", async () => {
    const { read, delete: remove } = await container();
    expect(await read?.("other", {}, operation())).toBeUndefined();
    await remove?.("other", {}, operation());
    expect(requests.at(-1)?.url).toContain("/containers/other/wait");
  });

  it.each([
    ["a/b:1", "registry-1.docker.io"],
    ["debian", "registry-1.docker.io"],
    ["docker.io/a/b", "docker.io"],
    ["ghcr.io/a/b:1", "ghcr.io"],
    ["localhost/a", "localhost"],
    ["127.0.0.1:5000/team/notebook:1", "127.0.0.1:5000"],
  ])("looks for the login of %s at %s, as the official plugin does", (image, address) => {
    const login = { address, username: "ada", password: "x" };
    expect(loginAddress(image)).toBe(address);
    expect(loginsOf({ registryAuth: JSON.stringify([login]) })).toEqual([login]);
    expect(loginsOf({})).toEqual([]);
    expect(() => loginsOf({ registryAuth: '[{"address":"x","configFile":"y"}]' })).toThrow();
  });

  it("says which host it could not reach", async () => {
    await expect(connect({ host: `unix://${folder}/nobody.sock` })).rejects.toThrow(
      new RegExp(`failed to connect to any docker daemon \\(unix://${folder}/nobody.sock: connect ENOENT`),
    );
    await expect(connect({ host: "npipe:////./pipe/docker_engine" })).rejects.toThrow(
      "is not supported by the stand-in",
    );
  });
});

it("passes over the notes of the official plugin in inputs that the engine takes from the state", async () => {
  const plugin = await startPlugin("resource-docker");
  onTestFinished(() => plugin.stop());
  const client = new providerServices.ResourceProviderClient(
    plugin.address,
    grpc.credentials.createInsecure(),
  );
  onTestFinished(() => client.close());
  const labels = [{ label: "a", value: "b" }];
  const noted = { name: "n", labels: labels.map((each) => ({ ...each, __defaults: [] })), __defaults: ["x"] };
  const request = new messages.CheckRequest().setType("docker:index/network:Network").setNews(struct(noted));
  const response = await call<pb.CheckResponse>(client, "check", request);
  expect(response.getFailuresList()).toEqual([]);
  expect(response.getInputs()?.toJavaScript()).toEqual({ name: "n", labels });
});

it("finds the digest of an image under the name it was asked for", () => {
  const digests = ["localhost:1/a@sha256:1", "a@sha256:2"];
  expect(repoDigest("a:1", digests)).toBe("a@sha256:2");
  expect(repoDigest("b:1", digests)).toBe("localhost:1/a@sha256:1");
  expect(repoDigest("a:1", [])).toBe("");
});
