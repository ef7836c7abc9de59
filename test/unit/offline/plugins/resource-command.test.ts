import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type * as enginePb from "@pulumi/pulumi/proto/engine_pb.d.ts";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.d.ts";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import emptyMessages from "google-protobuf/google/protobuf/empty_pb.js";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { unknownValue } from "../../../../offline/plugins/shared/values.ts";
import {
  call,
  isRunning,
  type RunningPlugin,
  serveLoopback,
  startPlugin,
  struct,
} from "../../../support/offline-plugin.ts";

const type = "command:local:Command";
const urn = "urn:pulumi:dev::gpubox::command:local:Command::fetch";

type Values = Record<string, unknown>;

let folder: string;
let engine: Awaited<ReturnType<typeof serveLoopback>>;
let shown: { message: string; ephemeral: boolean }[];
let plugin: RunningPlugin;
let client: grpc.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-command-"));
  engine = await serveLoopback(engineServices.EngineService, {
    log(request: grpc.ServerUnaryCall<enginePb.LogRequest, unknown>, done: grpc.sendUnaryData<unknown>) {
      shown.push({ message: request.request.getMessage(), ephemeral: request.request.getEphemeral() });
      done(null, new emptyMessages.Empty());
    },
  });
  plugin = await startPlugin("resource-command", { engine: engine.address });
  client = connect(plugin);
});

afterAll(async () => {
  client?.close();
  await plugin?.stop();
  engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  shown = [];
});

function connect({ address }: RunningPlugin): grpc.Client {
  return new providerServices.ResourceProviderClient(address, grpc.credentials.createInsecure());
}

async function create(
  inputs: Values,
  { preview = false, on = client } = {},
): Promise<{ id: string } & Values> {
  const request = new messages.CreateRequest()
    .setUrn(urn)
    .setName("fetch")
    .setType(type)
    .setPreview(preview)
    .setProperties(struct(inputs));
  const response = await call<pb.CreateResponse>(on, "create", request);
  return { ...response.getProperties()?.toJavaScript(), id: response.getId() };
}

async function update(state: Values, inputs: Values, { preview = false } = {}): Promise<Values | undefined> {
  const request = new messages.UpdateRequest()
    .setUrn(urn)
    .setType(type)
    .setPreview(preview)
    .setOlds(struct(state))
    .setNews(struct(inputs));
  return (await call<pb.UpdateResponse>(client, "update", request)).getProperties()?.toJavaScript();
}

async function check(inputs: Values): Promise<[property: string, reason: string][]> {
  const request = new messages.CheckRequest().setType(type).setNews(struct(inputs));
  const response = await call<pb.CheckResponse>(client, "check", request);
  return response.getFailuresList().map((failure) => [failure.getProperty(), failure.getReason()]);
}

async function diff(olds: Values, news: Values) {
  const request = new messages.DiffRequest().setType(type).setOldInputs(struct(olds)).setNews(struct(news));
  const response = await call<pb.DiffResponse>(client, "diff", request);
  return {
    changed: response.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME,
    replaces: response.getReplacesList(),
    paths: response
      .getDetaileddiffMap()
      .toArray()
      .map(([path]) => path)
      .sort(),
  };
}

describe("command.local.Command", () => {
  it("creates: environment, stdin and interpreter reach the script, one line end is cut off", async () => {
    const script = 'printf "%s\\n\\n" "$WORD"; cat; echo aside >&2';
    const inputs = { create: script, environment: { WORD: "hello" }, stdin: "from stdin\n" };
    const made = await create(inputs);
    expect(made).toMatchObject({ ...inputs, stdout: "hello\n\nfrom stdin", stderr: "aside" });
    expect(made.id).toMatch(/^fetch[0-9a-f]{8}$/);
    const other = await create({ create: "console.log(6*7)", interpreter: [process.execPath, "-e"] });
    expect(other.stdout).toBe("42");
  });

  it("touches nothing at preview, where its outputs are unknown", async () => {
    const trace = join(folder, "previewed");
    const made = await create({ create: `touch ${trace}` }, { preview: true });
    expect(made).toMatchObject({ stdout: unknownValue, stderr: unknownValue });
    const state = { create: "true", stdout: "old", stderr: "" };
    expect(await update(state, { create: `touch ${trace}` }, { preview: true })).toMatchObject({
      stdout: unknownValue,
    });
    expect(await update(state, { create: "true", triggers: [1] }, { preview: true })).toMatchObject({
      stdout: "old",
    });
    expect(existsSync(trace)).toBe(false);
  });

  it("has empty outputs without a create script", async () => {
    expect(await create({})).toMatchObject({ stdout: "", stderr: "" });
  });

  it("updates with the create script, and leaves the outputs where there is none", async () => {
    const say = "echo again";
    const state = { create: "true", stdout: "out", stderr: "err" };
    expect(await update(state, { create: say })).toMatchObject({ stdout: "again", stderr: "", create: say });
    expect(await update(state, { delete: "true" })).toEqual({ delete: "true", stdout: "out", stderr: "err" });
  });

  it("runs the delete script of the state, and nothing without one", async () => {
    const trace = join(folder, "deleted");
    const remove = (state: Values) =>
      call(
        client,
        "delete",
        new messages.DeleteRequest().setType(type).setUrn(urn).setProperties(struct(state)),
      );
    await remove({ delete: `echo gone > ${trace}`, stdout: "kept", stderr: "" });
    expect(readFileSync(trace, "utf8")).toBe("gone\n");
    await remove({ create: `rm ${trace}`, stdout: "", stderr: "" });
    expect(existsSync(trace)).toBe(true);
  });

  it("says the script's exit code and everything it wrote when it fails", async () => {
    const failing = create({ create: "echo one; echo two >&2; exit 3" });
    await expect(failing).rejects.toThrow(/exit status 3: running "echo one; echo two >&2; exit 3":\n/);
    await expect(failing).rejects.toThrow(/one\n/);
    await expect(failing).rejects.toThrow(/two\n/);
    await expect(create({ create: "true", interpreter: ["/no/such"] })).rejects.toThrow(
      "cannot start /no/such",
    );
  });

  it("shows lines while the script runs, as progress", async () => {
    await create({ create: "printf 'half '; sleep 0.1; printf 'line\\nend'" });
    expect(shown).toEqual([
      { message: "half line", ephemeral: true },
      { message: "end", ephemeral: true },
    ]);
    shown = [];
    await create({ create: "printf 'half '; sleep 0.1; printf 'line\\nend'; echo aside >&2" });
    expect(shown.map(({ message }) => message).sort()).toEqual(["aside", "end", "half line"]);
  });

  it("refuses what it does not know, by name, and lets unknown values pass", async () => {
    const names = ["addPreviousOutputInEnv", "assetPaths", "dir", "logging", "update"];
    const unknown = Object.fromEntries(names.map((name) => [name, "x"]));
    expect(await check({ create: "true", ...unknown })).toEqual(
      names.map((name) => [name, expect.stringContaining("not supported by the stand-in")]),
    );
    const wrong = await check({ create: 5, environment: { A: 1 }, triggers: "x" });
    expect(wrong.map(([property]) => property).sort()).toEqual(["create", "environment.A", "triggers"]);
    expect(
      await check({
        create: unknownValue,
        environment: unknownValue,
        triggers: [unknownValue],
      }),
    ).toEqual([]);
    const request = new messages.CheckRequest().setType("command:remote:Command").setNews(struct({}));
    await expect(call(client, "check", request)).rejects.toThrow(
      /command:remote:Command is not supported by the stand-in .* it knows command:local:Command/,
    );
  });

  it("refuses functions, by name", async () => {
    const request = new messages.InvokeRequest().setTok("command:local:run");
    await expect(call(client, "invoke", request)).rejects.toThrow(
      /function command:local:run is not supported/,
    );
  });

  it("replaces when a trigger changes, updates for anything else, and names the path", async () => {
    const inputs = { create: "true", triggers: ["a", { b: 1 }], environment: { A: "1" } };
    expect(await diff(inputs, inputs)).toEqual({ changed: false, replaces: [], paths: [] });
    expect(await diff(inputs, { ...inputs, environment: { A: "2", "B.C": "3" } })).toEqual({
      changed: true,
      replaces: [],
      paths: ["environment.A", 'environment["B.C"]'],
    });
    expect(await diff(inputs, { ...inputs, triggers: ["a", { b: 2 }, "c"] })).toEqual({
      changed: true,
      replaces: ["triggers"],
      paths: ["triggers[1].b", "triggers[2]"],
    });
    expect(await diff(inputs, { ...inputs, triggers: [unknownValue, { b: 1 }] })).toMatchObject({
      replaces: ["triggers"],
    });
    expect(await diff({ ...inputs, __notes: "of the official plugin" }, inputs)).toMatchObject({
      changed: false,
    });
  });
});

describe.each([
  [
    "the run is cancelled",
    (_: RunningPlugin, other: grpc.Client) => call(other, "cancel", new emptyMessages.Empty()),
  ],
  ["the engine says goodbye", (other: RunningPlugin) => other.stop()],
  ["the engine is killed", async (other: RunningPlugin) => other.process.stdin?.destroy()],
])("when %s", (_title, end) => {
  it("kills the script with everything it started", async () => {
    const other = await startPlugin("resource-command");
    onTestFinished(() => other.stop());
    const otherClient = connect(other);
    const pids = join(folder, `pids-${other.process.pid}`);
    const script = `sleep 600 & echo $$ $! > ${pids}; wait`;
    const ended = create({ create: script }, { on: otherClient }).then(
      () => "succeeded",
      (error: Error) => error.message,
    );
    const [shell, child] = await vi.waitFor(() => {
      const found = readFileSync(pids, "utf8").trim().split(" ").map(Number);
      expect(found).toHaveLength(2);
      return found as [number, number];
    }, 5_000);
    onTestFinished(() => {
      for (const pid of [shell, child].filter(isRunning)) process.kill(pid, "SIGKILL");
    });
    expect([isRunning(shell), isRunning(child)]).toEqual([true, true]);
    await end(other, otherClient);
    expect(await ended).toMatch(/signal: SIGKILL|UNAVAILABLE|CANCELLED/);
    await vi.waitFor(() => expect([isRunning(shell), isRunning(child)]).toEqual([false, false]), 2_000);
    otherClient.close();
    await other.stop();
  }, 20_000);
});
