import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type * as enginePb from "@pulumi/pulumi/proto/engine_pb.d.ts";
import engineMessages from "@pulumi/pulumi/proto/engine_pb.js";
import languageServices from "@pulumi/pulumi/proto/language_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/language_pb.d.ts";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import monitorServices from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import type * as monitorPb from "@pulumi/pulumi/proto/resource_pb.d.ts";
import monitorMessages from "@pulumi/pulumi/proto/resource_pb.js";
import { execa } from "execa";
import emptyMessages from "google-protobuf/google/protobuf/empty_pb.js";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../../../../cli/context.ts";
import { commandLine } from "../../../../offline/plugins/language-nodejs/program.ts";
import {
  call,
  isRunning,
  type RunningPlugin,
  serveLoopback,
  startPlugin,
  struct,
} from "../../../support/offline-plugin.ts";

const seconds = 1_000;

let folder: string;
let engine: Awaited<ReturnType<typeof serveLoopback>>;
let logged: string[];
/** Of it, what is an error. */
let errors: string[];
let monitor: Awaited<ReturnType<typeof serveLoopback>>;
let outputs: Record<string, unknown> | undefined;
let plugin: RunningPlugin;
let client: grpc.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-language-"));
  monitor = await serveLoopback(monitorServices.ResourceMonitorService, {
    supportsFeature: (
      { request }: grpc.ServerUnaryCall<monitorPb.SupportsFeatureRequest, unknown>,
      done: grpc.sendUnaryData<monitorPb.SupportsFeatureResponse>,
    ) =>
      done(null, new monitorMessages.SupportsFeatureResponse().setHassupport(request.getId() === "secrets")),
    registerResource: (_call: unknown, done: grpc.sendUnaryData<monitorPb.RegisterResourceResponse>) =>
      done(null, new monitorMessages.RegisterResourceResponse().setUrn("urn:stack")),
    registerResourceOutputs(
      request: grpc.ServerUnaryCall<monitorPb.RegisterResourceOutputsRequest, unknown>,
      done: grpc.sendUnaryData<unknown>,
    ) {
      outputs = request.request.getOutputs()?.toJavaScript();
      done(null, new emptyMessages.Empty());
    },
  });
  engine = await serveLoopback(engineServices.EngineService, {
    log(request: grpc.ServerUnaryCall<enginePb.LogRequest, unknown>, done: grpc.sendUnaryData<unknown>) {
      logged.push(request.request.getMessage());
      if (request.request.getSeverity() === engineMessages.LogSeverity.ERROR)
        errors.push(request.request.getMessage());
      done(null, new emptyMessages.Empty());
    },
    getRootResource: (_call: unknown, done: grpc.sendUnaryData<enginePb.GetRootResourceResponse>) =>
      done(null, new engineMessages.GetRootResourceResponse()),
    setRootResource: (_call: unknown, done: grpc.sendUnaryData<enginePb.SetRootResourceResponse>) =>
      done(null, new engineMessages.SetRootResourceResponse()),
  });
  plugin = await startPlugin("language-nodejs", {
    engine: engine.address,
    env: { GPUBOX_HOME: join(folder, "home") },
  });
  client = connect(plugin);
});

afterAll(async () => {
  client?.close();
  await plugin?.stop();
  monitor?.stop();
  engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  outputs = undefined;
  logged = [];
  errors = [];
});

function connect({ address }: RunningPlugin): grpc.Client {
  return new languageServices.LanguageRuntimeClient(address, grpc.credentials.createInsecure());
}

/** A project folder with this program, on this repository's own packages. */
function project(program: string, { name = "program", sdk = true, manifest = {} } = {}): string {
  const path = join(folder, name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  writeFileSync(join(path, "index.ts"), program);
  writeFileSync(join(path, "package.json"), JSON.stringify({ type: "module", ...manifest }));
  if (sdk)
    symlinkSync(
      fileURLToPath(new URL("../../../../node_modules", import.meta.url)),
      join(path, "node_modules"),
    );
  return path;
}

function info(path: string, options: Record<string, unknown> = { typescript: false }): pb.ProgramInfo {
  return new messages.ProgramInfo()
    .setRootDirectory(path)
    .setProgramDirectory(path)
    .setEntryPoint("index.ts")
    .setOptions(struct(options));
}

async function run(
  path: string,
  { options = { typescript: false }, on = client, dryRun = false, entry = "index.ts" } = {},
) {
  const request = new messages.RunRequest()
    .setProject("gpubox")
    .setStack("dev")
    .setOrganization("organization")
    .setDryrun(dryRun)
    .setParallel(4)
    .setMonitorAddress(monitor.address)
    .setConfigsecretkeysList(["gpubox:token"])
    .setInfo(info(path, options).setEntryPoint(entry));
  request.getConfigMap().set("gpubox:root", "/srv").set("gpubox:token", "canary");
  const response = await call<pb.RunResponse>(on, "run", request);
  return { error: response.getError(), bail: response.getBail() };
}

describe("running a program", () => {
  it(
    "hands over stack, configuration and secrets, and what it prints goes to the engine",
    async () => {
      const path = project(`
      import * as pulumi from "@pulumi/pulumi";
      const config = new pulumi.Config();
      type Root = string;
      export const root: Root = config.require("root");
      export const token = config.requireSecret("token");
      export const where = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
      export const dryRun = pulumi.runtime.isDryRun();
      export const folder = process.cwd();
      console.log("printed");
    `);
      expect(await run(path, { dryRun: true })).toEqual({ error: "", bail: false });
      expect(outputs).toMatchObject({
        root: "/srv",
        where: "organization/gpubox/dev",
        dryRun: true,
        folder: path,
        token: { value: "canary" },
      });
      expect(plugin.output).toContain("printed");
      await run(path);
      expect(outputs).toMatchObject({ dryRun: false });
    },
    20 * seconds,
  );

  it(
    "says how a program failed, unless the program has said so itself",
    async () => {
      expect(await run(project("process.exit(7)"))).toEqual({
        error: "Program exited with non-zero exit code: 7",
        bail: false,
      });
      expect(await run(project('throw new Error("thrown")'))).toEqual({ error: "", bail: true });
      expect(logged.join()).toContain("thrown");
    },
    20 * seconds,
  );

  it("names the command that mends a missing SDK", async () => {
    const path = project("", { name: "bare", sdk: false });
    await expect(run(path)).rejects.toThrow(
      `${path}: @pulumi/pulumi is not installed; run \`npm install\` there`,
    );
  });

  it("refuses an option that it does not know, by name", async () => {
    await expect(
      run(project(""), { options: { typescript: false, nodeargs: "-x" } as never }),
    ).rejects.toThrow(/Pulumi\.yaml: runtime\.options: .*"nodeargs"/s);
  });
});

describe("gpubox's own program", () => {
  /** What runs index.ts, with another in its place. @returns where it is */
  function around(program: string): string {
    const path = project(program, { name: "around" });
    for (const file of ["program/main.mjs", "cli/system/failure.mjs", "cli/system/home.mjs"])
      cpSync(join(ROOT, file), join(path, file));
    return join(path, "program");
  }
  const runAround = (program: string) => run(around(program), { entry: "main.mjs" });

  beforeEach(() => rmSync(join(folder, "home"), { recursive: true, force: true }));

  it(
    "gives what index.ts exports",
    async () => {
      expect(await runAround("export default { folder: process.cwd() };")).toEqual({
        error: "",
        bail: false,
      });
      expect(outputs).toEqual({ folder: join(folder, "around", "program") });
    },
    20 * seconds,
  );

  it.each([
    ["at once", 'throw new RunError("port 1 is taken");'],
    ["later", 'setTimeout(() => { throw new RunError("port 1 is taken"); }, 1);'],
  ])(
    "tells what is for the person as it is, %s",
    async (_, line) => {
      const program = `import { RunError } from "@pulumi/pulumi"; ${line}`;
      expect(await runAround(program)).toEqual({ error: "", bail: true });
      expect(errors).toEqual(["port 1 is taken"]);
      expect(existsSync(join(folder, "home"))).toBe(false);
    },
    20 * seconds,
  );

  it.each([
    ["while it is read", 'throw new Error("boom");'],
    [
      "in what is computed later",
      'import { output } from "@pulumi/pulumi"; output(1).apply(() => { throw new Error("boom"); });',
    ],
    ["in what nobody waits for", 'setTimeout(() => { throw new Error("boom"); }, 1);'],
  ])(
    "tells an error %s in words, and keeps the rest in a file",
    async (_, program) => {
      expect(await runAround(program)).toEqual({ error: "", bail: true });
      expect(errors).toHaveLength(1);
      expect(errors[0]).toMatch(/^unexpected error: boom\n/);
      expect(errors[0]).not.toMatch(/^\s+at /m);
      const file = /^ {2}details: (.+)/m.exec(errors[0] ?? "")?.[1] as string;
      expect(file).toMatch(join(folder, "home"));
      expect(readFileSync(file, "utf8")).toMatch(/^\s+at /m);
    },
    20 * seconds,
  );

  it(
    "says which Node it needs where `node` is one that runs no TypeScript, as an older one does not",
    async () => {
      const programDirectory = around("export default {};");
      const runner = join(ROOT, "node_modules", "@pulumi", "pulumi", "cmd", "run");
      const about = { project: "gpubox", stack: "dev", organization: "organization", programDirectory };
      const words = commandLine(runner, {
        ...about,
        monitorAddress: monitor.address,
        engineAddress: engine.address,
        rootDirectory: dirname(programDirectory),
        entryPoint: "main.mjs",
        dryRun: false,
        parallel: 4,
        tracing: undefined,
        args: [],
        config: new Map(),
        configSecretKeys: [],
        options: { typescript: false },
      });
      const { exitCode } = await execa(process.execPath, ["--no-experimental-strip-types", ...words], {
        reject: false,
      });
      expect(exitCode).toBe(32);
      expect(errors).toEqual([
        expect.stringMatching(/^gpubox needs Node 24, and the first `node` on PATH is v\d+/),
      ]);
      expect(errors[0]).toContain("npm run pulumi -- up");
      expect(errors[0]).toContain('eval "$(npm run -s env)"');
    },
    20 * seconds,
  );
});

describe.each([
  [
    "the run is cancelled",
    (_: RunningPlugin, other: grpc.Client) => call(other, "cancel", new emptyMessages.Empty()),
  ],
  ["the engine says goodbye", (other: RunningPlugin) => other.stop()],
  ["the engine is killed", async (other: RunningPlugin) => other.process.stdin?.destroy()],
])("when %s", (_title, end) => {
  it(
    "ends the program",
    async () => {
      const other = await startPlugin("language-nodejs", { engine: engine.address });
      onTestFinished(() => other.stop());
      const otherClient = connect(other);
      const program = 'console.log("pid", process.pid); setInterval(() => {}, 1000);';
      const ended = run(project(program, { name: `endless-${other.process.pid}` }), { on: otherClient }).then(
        ({ error }) => error,
        (error: Error) => error.message,
      );
      const pid = await vi.waitFor(() => {
        const line = other.output.find((each) => each.startsWith("pid "));
        expect(line, logged.join("\n")).toBeDefined();
        return Number(line?.slice(4));
      }, 10 * seconds);
      expect(isRunning(pid)).toBe(true);
      await end(other, otherClient);
      expect(await ended).toMatch(/exit code: -1|exit code: 130|UNAVAILABLE|CANCELLED/);
      await vi.waitFor(() => expect(isRunning(pid)).toBe(false), 2 * seconds);
      otherClient.close();
    },
    20 * seconds,
  );
});

describe("what it says about a project", () => {
  /** The plugins of which it says that the engine needs them before a run. */
  const required = async (path: string) => {
    const request = new messages.GetRequiredPackagesRequest().setInfo(info(path));
    const response = await call<pb.GetRequiredPackagesResponse>(client, "getRequiredPackages", request);
    return response
      .getPackagesList()
      .map((each) => `${each.getKind()} ${each.getName()} ${each.getVersion()}`);
  };

  it("names the plugins of all packages below its folder, but for those of policy packs", async () => {
    const path = project("");
    const install = (below: string, manifest: object) => {
      const at = join(path, below, "node_modules", "x");
      mkdirSync(at, { recursive: true });
      writeFileSync(join(at, "package.json"), JSON.stringify({ version: "1.0.0", ...manifest }));
    };
    install("deep/er", { name: "@pulumi/deep", pulumi: { resource: true } });
    install("named", { name: "third", pulumi: { resource: true, name: "of-others", version: "v2.0.0" } });
    install("plain", { name: "@pulumi/plain" });
    install("policy", { name: "@pulumi/policys", pulumi: { resource: true } });
    writeFileSync(join(path, "policy", "PulumiPolicy.yaml"), "runtime: nodejs\n");
    writeFileSync(join(path, "plain", "node_modules", "x", "index.js"), "");
    expect((await required(path)).sort()).toEqual([
      "resource aws v7.48.0",
      "resource command v1.2.1",
      "resource deep v1.0.0",
      "resource docker v5.2.0",
      "resource of-others v2.0.0",
      "resource random v4.21.2",
    ]);
  });

  it("names none for gpubox itself, so that each is wanted by a resource alone: that of AWS by a stack on AWS", async () => {
    const { main } = parse(readFileSync(join(ROOT, "Pulumi.yaml"), "utf8"));
    expect(await required(dirname(join(ROOT, main)))).toEqual([]);
  });

  it("knows its own version: the SDK's", async () => {
    const response = await call<{ getVersion(): string }>(client, "getPluginInfo", new emptyMessages.Empty());
    expect(response.getVersion()).toBe("3.259.0");
  });

  it(
    "installs the dependencies, and shows what npm says",
    async () => {
      const install = async (manifest: string) => {
        const path = project("", { name: "installed", sdk: false });
        writeFileSync(join(path, "package.json"), manifest);
        const stream = (
          client as InstanceType<typeof languageServices.LanguageRuntimeClient>
        ).installDependencies(new messages.InstallDependenciesRequest().setInfo(info(path)));
        let said = "";
        for await (const part of stream as AsyncIterable<pb.InstallDependenciesResponse>)
          said +=
            Buffer.from(part.getStdout_asU8()).toString() + Buffer.from(part.getStderr_asU8()).toString();
        return said;
      };
      expect(await install('{"name":"empty"}')).toContain("up to date");
      await expect(install("{")).rejects.toThrow(/npm install: exit code 1/);
    },
    20 * seconds,
  );
});
