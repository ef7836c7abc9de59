import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { table } from "../../../../cli/commands/status.ts";
import { createContext } from "../../../../cli/context.ts";
import { describe as describeNotebook, lookAtStack, pickNotebook } from "../../../../cli/docker/notebooks.ts";
import { missingFolders } from "../../../../cli/docker/present.ts";
import {
  historyFiles,
  readLastUpdate,
  readStateFile,
  stackPlaces,
} from "../../../../cli/pulumi/checkpoint.ts";
import { runCommand } from "../../../../cli/run-command.ts";
import { askDocker } from "../../../../machine/docker/api.ts";

const checkout = join(import.meta.dirname, "../../../..");
const TOKEN = "0123456789abcdef";

let folder: string;
let server: Server | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gpubox\nruntime: nodejs\n");
  writeFileSync(
    join(folder, "Pulumi.dev.yaml"),
    "config:\n  gpubox:notebooks: [{name: container1}, {name: container2}]\n",
  );
});
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

const place = () => stackPlaces(join(folder, "state"), "gpubox", "dev");
const env = () => ({
  PATH: process.env.PATH,
  HOME: folder,
  GPUBOX_HOME: folder,
  DOCKER_HOST: `unix://${join(folder, "docker.sock")}`,
});
const look = () => lookAtStack(createContext(env(), folder), "dev");

function write(path: string, content: string | Buffer): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
}

const stackFile = (ending = ".json") => join(folder, "state", ".pulumi", "stacks", "gpubox", `dev${ending}`);
const stateOf = (...resources: unknown[]) =>
  JSON.stringify({ version: 3, checkpoint: { stack: "organization/gpubox/dev", latest: { resources } } });

const urn = (name: string) => `urn:pulumi:dev::gpubox::x::${name}`;
const host = { urn: urn("local"), type: "gpubox:host:LocalHost" };
const stack = {
  urn: urn("gpubox-dev"),
  type: "pulumi:pulumi:Stack",
  outputs: { accelerator: "CPU", codeFolder: "/r/code", notebooks: { ciphertext: "v1:x" } },
};
const container = (name: string, port: number, inputs = {}) => ({
  urn: urn(`${name}-container`),
  type: "docker:index/container:Container",
  id: `id-of-${name}`,
  inputs: { name, ports: [{ external: port, internal: port, ip: "127.0.0.1" }], ...inputs },
});

const described = (status = "running") => ({
  Config: { Env: ["COLOUR=blue", `JUPYTER_TOKEN=${TOKEN}`] },
  State: { Status: status, Health: { Status: "healthy" } },
});

/** A daemon that knows some containers. */
async function daemonWith(containers: Record<string, object>, address: string | number) {
  server = createServer(({ url = "" }, response) => {
    const known = containers[url.split("/")[2] ?? ""];
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(known ?? { message: "no such container" }));
  }).listen(address);
  await once(server, "listening");
  return server.address() as AddressInfo;
}

describe("the notebooks of a stack, without the engine", () => {
  it("are those of the state, as the daemon has them, in the configuration's order", async () => {
    write(stackFile(), stateOf(host, container("container2", 8889), container("container1", 8888), stack));
    await daemonWith({ "id-of-container1": described(), "id-of-container2": described("exited") }, socket());
    const looked = await look();
    expect(looked?.outputs).toEqual({ accelerator: "CPU", codeFolder: "/r/code" });
    expect(looked?.problem).toBeUndefined();
    expect(looked?.notebooks).toMatchObject([
      { name: "container1", condition: "up", url: `http://127.0.0.1:8888/?token=${TOKEN}` },
      { name: "container2", condition: "stopped", health: undefined, address: "http://127.0.0.1:8889/" },
    ]);
  });

  it.each([
    "paused",
    "restarting",
    "created",
    "dead",
  ])("that are %s are called so, and not up", async (status) => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    await daemonWith({ "id-of-container1": described(status) }, socket());
    expect((await look())?.notebooks).toMatchObject([{ condition: status, health: undefined }]);
  });

  it("that the daemon does not know are gone", async () => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    await daemonWith({}, socket());
    expect((await look())?.notebooks).toMatchObject([{ condition: "gone", url: undefined }]);
  });

  it("are unknown where no daemon answers, which is said", async () => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    const looked = await look();
    expect(looked?.notebooks).toMatchObject([{ name: "container1", condition: "unknown" }]);
    expect(looked?.problem?.message).toMatch(/no Docker daemon answers at unix:.*docker\.sock .*`npm start`/);
  });

  it("are none before the first run and after the last", async () => {
    expect((await look())?.notebooks).toEqual([]);
    write(stackFile(), '{"version":3,"checkpoint":{"stack":"organization/gpubox/dev","latest":{}}}');
    expect((await look())?.notebooks).toEqual([]);
  });

  it("leave out a container that another has replaced", async () => {
    const old = { ...container("container1", 8888), id: "id-of-old", delete: true };
    write(stackFile(), stateOf(host, old, container("container1", 8888)));
    await daemonWith({ "id-of-container1": described() }, socket());
    expect((await look())?.notebooks).toMatchObject([{ condition: "up" }]);
  });

  it("are the engine's to tell of another kind of host, a half-written file, or another backend", async () => {
    const remote = { ...host, type: "gpubox:host:SshHost" };
    write(stackFile(), stateOf(remote, container("container1", 8888)));
    expect(await look()).toBeUndefined();
    write(stackFile(), stateOf(host, container("container1", 8888)).slice(0, -20));
    expect(await look()).toBeUndefined();
    const cloud = createContext({ ...env(), PULUMI_BACKEND_URL: "s3://states" }, folder);
    expect(await lookAtStack(cloud, "dev")).toBeUndefined();
  });

  const socket = () => join(folder, "docker.sock");
});

describe("a notebook", () => {
  const gpusOf = (inputs: object, accelerator: string) =>
    describeNotebook(container("container1", 8888, inputs), { accelerator }, "gone").gpus;
  const two = "GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4); CPU";

  it.each([
    [{}, two, "CPU"],
    [{ gpus: "all" }, "GPU 0 (NVIDIA L4)", "GPU 0 (NVIDIA L4)"],
    [{ gpus: "device=GPU-1f2e" }, "GPU 0 (NVIDIA L4)", "GPU 0 (NVIDIA L4)"],
    [{ gpus: "all" }, two, "GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4)"],
    [{ gpus: "device=1" }, two, "GPU 1 (NVIDIA L4)"],
    [{ gpus: "device=7" }, two, "GPU 7"],
    [{ deviceRequests: [{ deviceIds: ["0", "1"] }] }, two, "GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4)"],
    [{ deviceRequests: [{ deviceIds: ["nvidia.com/gpu=1"] }] }, two, "GPU 1 (NVIDIA L4)"],
  ])("given %j of %s computes on %s", (inputs, accelerator, expected) => {
    expect(gpusOf(inputs, accelerator)).toBe(expected);
  });

  it("that is open to all is reached on the loopback from here", () => {
    const open = container("container1", 8888, { ports: [{ external: 8888, ip: "0.0.0.0" }] });
    expect(describeNotebook(open, {}, "gone").address).toBe("http://127.0.0.1:8888/");
  });

  it("is the first one, or the one that is named", () => {
    const both = [{ name: "a" }, { name: "b" }];
    expect(pickNotebook(both, "dev")).toEqual({ name: "a" });
    expect(pickNotebook(both, "dev", "b")).toEqual({ name: "b" });
    expect(() => pickNotebook(both, "dev", "c")).toThrow("stack dev has no notebook c; it has a, b");
    expect(() => pickNotebook([], "lab")).toThrow("stack lab is not up: run `npm start -- -s lab`");
  });

  it("is one line of a table", () => {
    const row = { address: "http://127.0.0.1:8888/", gpus: "CPU" };
    expect(
      table([
        { ...row, name: "a", condition: "up", health: "healthy" },
        { ...row, name: "long", condition: "gone", health: undefined },
      ]),
    ).toBe(
      "a     up (healthy)  http://127.0.0.1:8888/  CPU\nlong  gone          http://127.0.0.1:8888/  CPU\n",
    );
    expect(table([])).toBe("");
  });
});

describe("npm run url", () => {
  let backend: string | undefined;
  beforeEach(() => {
    backend = undefined;
  });

  /** Runs a command with an engine that notes that it was called, and gives what its own process loaded. */
  async function run(...args: string[]) {
    const loads = join(folder, "loads");
    mkdirSync(loads, { recursive: true });
    write(
      join(folder, "bin", "pulumi"),
      `#!/bin/sh
       touch ${folder}/engine-was-called
       case "$*" in
         "stack ls"*) echo '[{"name":"dev"}]' ;;
         "stack output"*) echo '{"notebooks":[{"name":"far","url":"http://far:1/?token=${TOKEN}","gpus":"CPU"}]}' ;;
         *) exit 1 ;;
       esac\n`,
    );
    chmodSync(join(folder, "bin", "pulumi"), 0o755);
    const hook = join(folder, "hook.mjs");
    writeFileSync(
      hook,
      `import { registerHooks } from "node:module"; import { appendFileSync } from "node:fs";
       registerHooks({ load(url, context, next) {
         appendFileSync(${JSON.stringify(loads)} + "/" + process.pid, url + "\\n"); return next(url, context);
       } });`,
    );
    const child = spawn(process.execPath, [join(checkout, "cli/gpubox.mjs"), ...args], {
      env: {
        ...env(),
        PATH: `${join(folder, "bin")}:${process.env.PATH}`,
        NODE_OPTIONS: `--import=${hook}`,
        NODE_COMPILE_CACHE: join(folder, "compile-cache"),
        ...(backend ? { PULUMI_BACKEND_URL: backend } : {}),
      },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    const [code] = await once(child, "close");
    return { code, stdout, stderr, loaded: readFileSync(join(loads, String(child.pid)), "utf8") };
  }

  it("starts no engine and no second Node, and loads little", async () => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    await daemonWith({ "id-of-container1": described() }, join(folder, "docker.sock"));
    const { code, stdout, stderr, loaded } = await run("url");
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: `http://127.0.0.1:8888/?token=${TOKEN}\n`,
      stderr: "",
    });
    const { stdout: json } = await run("url", "--json");
    expect(JSON.parse(json)).toEqual({ stack: "dev", name: "container1", url: stdout.trim() });
    expect(existsSync(join(folder, "engine-was-called"))).toBe(false);
    expect(loaded).toContain("cli/main.ts");
    const packages = [...loaded.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].map(([, name]) => name);
    expect([...new Set(packages)].sort()).toEqual(["commander", "yaml"]);
  });

  it("asks the engine where the state is not in a file", async () => {
    backend = "s3://states";
    // Nobody asks the network in a unit test.
    const found = { "official downloads": { value: "no", at: Date.now() } };
    write(join(folder, ".cache", "gpubox", "findings.json"), JSON.stringify(found));
    expect(await run("url")).toMatchObject({ code: 0, stdout: `http://far:1/?token=${TOKEN}\n` });
    expect(await run("status")).toMatchObject({ code: 0, stdout: "far  unknown  http://far:1/  CPU\n" });
    expect(existsSync(join(folder, "engine-was-called"))).toBe(true);
  });

  it("says which notebook is stopped, and that of a stopped one the log can be read", async () => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    await daemonWith({ "id-of-container1": described("exited") }, join(folder, "docker.sock"));
    for (const command of ["url", "shell"]) {
      const { code, stdout, stderr } = await run(command);
      expect(code).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toBe("gpubox: container1 is stopped: `npm start` brings it back\n");
    }
    const { code, stdout, stderr } = await run("status");
    expect(code).toBe(0);
    expect(stdout).toBe("container1  stopped  http://127.0.0.1:8888/  CPU\n");
    expect(stderr).toContain("container1 is stopped: `npm start -- container1` starts it\n");
    write(join(folder, "bin", "docker"), '#!/bin/sh\necho "docker $*"\n');
    chmodSync(join(folder, "bin", "docker"), 0o755);
    // A terminal follows it, and what reads from a pipe waits for its end.
    expect(await run("logs")).toMatchObject({ code: 0, stdout: "docker logs container1\n" });
  });
});

describe("npm run status", () => {
  it.each([
    ["paused", 0, "container1 is paused: `npm start` resumes it"],
    ["restarting", 1, "container1 keeps stopping: `docker logs container1` shows why"],
    ["exited", 3, "container1 ended by itself, with exit code 3: `docker logs container1` shows why"],
    ["exited", 143, "container1 is stopped: `npm start -- container1` starts it"],
  ])("tells one that is %s (%d) from others, and what to do", async (state, code, told) => {
    write(stackFile(), stateOf(host, stack, container("container1", 8888)));
    const of = described(state);
    const known = { ...of, State: { ...of.State, ExitCode: code } };
    await daemonWith({ "id-of-container1": known }, join(folder, "docker.sock"));
    const err = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const context = createContext({ ...env(), PATH: process.env.PATH }, checkout);
    expect(await runCommand("status", [], context)).toBe(0);
    expect(await runCommand("status", ["--json"], context)).toBe(0);
    const [said, printed] = [err.mock.calls.join(""), out.mock.calls.join("")];
    vi.restoreAllMocks();
    expect(said).toContain(told);
    const condition = state === "exited" ? (code === 3 ? "failed" : "stopped") : state;
    expect(printed).toContain(`container1  ${condition}  http`);
    expect(JSON.parse(printed.slice(printed.indexOf("{"))).notebooks).toEqual([
      expect.objectContaining({ condition, ...(state === "exited" && { exitCode: code }) }),
    ]);
  });
});

describe("asking a Docker daemon", () => {
  const known = { a: described() };

  it.each(["a socket", "a port"])("at %s tells what there is from what there is not", async (where) => {
    const path = join(folder, "docker.sock");
    const { port } = await daemonWith(known, where === "a socket" ? path : 0);
    const at = where === "a socket" ? `unix://${path}` : `tcp://127.0.0.1:${port}`;
    expect(await askDocker(at, "/containers/a/json")).toEqual(known.a);
    expect(await askDocker(at, "/containers/b/json")).toBeUndefined();
  });

  it("passes on what it complains of", async () => {
    const path = join(folder, "docker.sock");
    server = createServer((_request, response) => {
      response.writeHead(500, { "content-type": "application/json" }).end('{"message":"disk full"}');
    }).listen(path);
    await once(server, "listening");
    await expect(askDocker(`unix://${path}`, "/info")).rejects.toThrow("disk full");
    await expect(askDocker(`unix://${path}.not`, "/info")).rejects.toThrow("ENOENT");
  });
});

describe("a stack's files", () => {
  it.each([
    [".json", Buffer.from],
    [".json.gz", gzipSync],
    [".json.zst", zstdCompressSync],
  ] as const)("are read as %s", (ending, pack) => {
    expect(readStateFile(place())).toBeUndefined();
    write(stackFile(ending), pack(Buffer.from(stateOf(host))));
    expect(readStateFile(place())).toEqual({ version: 3, deployment: { resources: [host] } });
  });

  it("are read with features that only add to them", () => {
    const checkpoint = { latest: { resources: [] } };
    write(stackFile(), JSON.stringify({ version: 4, features: ["replaceWith"], checkpoint }));
    expect(readStateFile(place())).toEqual({
      version: 4,
      features: ["replaceWith"],
      deployment: { resources: [] },
    });
  });

  it.each([
    { version: 5 },
    { version: 4, features: ["replaceWith", "another"] },
  ])("of another form are left to the engine: %o", (form) => {
    write(stackFile(), JSON.stringify({ ...form, checkpoint: { latest: {} } }));
    expect(readStateFile(place())).toBeUndefined();
    expect(readStateFile(undefined)).toBeUndefined();
  });

  it("have the last update, in milliseconds", () => {
    expect(readLastUpdate(place())).toBeUndefined();
    const history = join(folder, "state", ".pulumi", "history", "gpubox", "dev");
    const entry = (startTime: number, kind = "update") =>
      JSON.stringify({ kind, startTime, result: "succeeded", resourceChanges: { same: 13 } });
    write(join(history, "dev-1795539326856153806.history.json"), entry(1795539300));
    write(join(history, "dev-1795539331057960964.history.json"), entry(1795539328));
    write(join(history, "dev-1795539331057960964.history.json.attrs"), "{}");
    write(join(history, "dev-1795539339999999999.checkpoint.json"), "{}");
    // A look at what is there, after it.
    write(join(history, "dev-1795539335000000000.history.json"), entry(1795539335, "refresh"));
    expect(readLastUpdate(place())).toEqual({
      kind: "update",
      startTime: 1795539328000,
      result: "succeeded",
      resourceChanges: { same: 13 },
    });
    // A run after which the clock was set back: its entry has an older name, and is the one that was not there before.
    const before = historyFiles(place());
    write(join(history, "dev-1795530000000000000.history.json"), entry(1795530000));
    expect(readLastUpdate(place(), before)?.startTime).toBe(1795530000000);
    expect(readLastUpdate(place(), historyFiles(place()))).toBeUndefined();
  });
});

describe("folders that somebody removed", () => {
  const command = (name: string, stdout: string, inputs = {}) => ({
    urn: urn(name),
    type: "command:local:Command",
    inputs: { create: "…", environment: { ROOT: "/r", FOLDER: name }, ...inputs },
    outputs: { stdout },
  });
  const gone = (...resources: ReturnType<typeof command>[]) =>
    missingFolders(resources, (path) => ["/r/data/", "/r/data/there"].includes(path)).map(
      ({ folder }) => folder,
    );

  it("are those whose path is the last line of what put them in place", () => {
    expect(gone(command("gone", "fetched\n/r/data/gone\n"), command("there", "/r/data/there"))).toEqual([
      "/r/data/gone",
    ]);
  });

  it("are none where all around them is gone: a disk that is not mounted", () => {
    const resources = [command("gone", "/r/data/gone"), command("a/b", "/r/data/a/b")];
    expect(missingFolders(resources, () => false)).toEqual([]);
  });

  it("are none of a command that put nothing in place", () => {
    expect(
      gone(
        command("purge", "/r/data/gone", { create: undefined, delete: "…" }),
        command("ready", "/r/data/gone", { environment: { URL: "http://127.0.0.1:8888" } }),
        command("root", "/r", { environment: { ROOT: "/r" } }),
        command("silent", ""),
        { ...command("other", "/r/data/gone"), type: "command:remote:Command" },
        { ...command("old", "/r/data/gone"), ...{ delete: true } },
      ),
    ).toEqual([]);
  });
});
