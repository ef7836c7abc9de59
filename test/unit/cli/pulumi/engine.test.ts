import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Context, createContext } from "../../../../cli/context.ts";
import {
  chooseEngine,
  type Engine,
  type EngineProbes,
  parseGoVersion,
  prepareEngine,
} from "../../../../cli/pulumi/engine.ts";
import { canDownloadOfficial } from "../../../../cli/pulumi/official.ts";
import { findOfficial, neededPlugins, preparePlugins, sayStandIns } from "../../../../cli/pulumi/plugins.ts";
import { prepareToolchain } from "../../../../cli/pulumi/session.ts";

let folder: string;
let context: Context;
let said: string;
beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  context = createContext({ HOME: folder, PATH: join(folder, "bin") });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function program(...parts: string[]): string {
  const file = join(folder, ...parts);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o755);
  return file;
}

describe("the choice of an engine", () => {
  const nothing: EngineProbes = {
    onPath: () => undefined,
    downloaded: () => undefined,
    built: () => undefined,
    canDownload: async () => false,
  };
  it("takes what is there, best first", async () => {
    const all = { ...nothing, onPath: () => "/p", downloaded: () => "/d", built: () => "/b" };
    expect(await chooseEngine(all)).toEqual({ use: "/p", origin: "path" });
    expect(await chooseEngine({ ...all, onPath: () => undefined })).toEqual({
      use: "/d",
      origin: "official",
    });
    expect(await chooseEngine({ ...nothing, built: () => "/b" })).toEqual({ use: "/b", origin: "built" });
  });
  it("does not ask the network where an engine is there", async () => {
    const canDownload = async () => expect.unreachable("asked");
    expect(await chooseEngine({ ...nothing, built: () => "/b", canDownload })).toHaveProperty("use");
  });
  it("downloads where it can, else builds", async () => {
    expect(await chooseEngine({ ...nothing, canDownload: async () => true })).toEqual({ get: "download" });
    expect(await chooseEngine(nothing)).toEqual({ get: "build" });
  });
});

describe("an engine", () => {
  it("is found on PATH, through a folder with nothing that shadows our Node", async () => {
    const file = program("bin", "pulumi");
    program("bin", "node");
    const engine = await prepareEngine(context);
    expect(engine).toMatchObject({ file, origin: "path" });
    expect(engine.folder).not.toBe(join(folder, "bin"));
    expect(readFileSync(join(engine.folder, "pulumi"), "utf8")).toBe("#!/bin/sh\n");
    expect(() => readFileSync(join(engine.folder, "node"))).toThrow("ENOENT");
  });
  it("is not npm's package of that name", async () => {
    const lazy = program("node_modules", "pulumi", "run.js");
    mkdirSync(join(folder, "bin"));
    symlinkSync(lazy, join(folder, "bin", "pulumi"));
    const version = neededPlugins(context.root).find(({ name }) => name === "nodejs")?.version as string;
    const file = program(".pulumi", "versions", version, "bin", "pulumi");
    expect(await prepareEngine(context)).toEqual({ file, folder: dirname(file), origin: "official" });
  });
  it("is the one that was built, and it is said what to do where none can be", async () => {
    context.findings.set("official downloads", "no");
    await expect(prepareEngine(context)).rejects.toThrow(/no Pulumi engine.*install Go/s);
    const version = neededPlugins(context.root).find(({ name }) => name === "nodejs")?.version as string;
    const file = program(".cache", "gpubox", "engine", version, "pulumi");
    expect(await prepareEngine(context)).toMatchObject({ file, origin: "built" });
  });
});

describe("the version of Go", () => {
  it.each([
    ["go version go1.26.8 linux/amd64", [1, 26]],
    ["go version go1.9 darwin/arm64", [1, 9]],
    ["go version devel +abc", undefined],
  ])("is read from %s", (text, version) => {
    expect(parseGoVersion(text)).toEqual(version);
  });
});

describe("whether official downloads can be had", () => {
  it("is asked once and remembered for a day", async () => {
    let asked = 0;
    const ask = async () => {
      asked++;
      return false;
    };
    expect(await canDownloadOfficial(context, ask)).toBe(false);
    expect(await canDownloadOfficial(createContext(context.env), ask)).toBe(false);
    expect(asked).toBe(1);
    expect(said).toMatch(
      /^official downloads of Pulumi: .* not reachable, not tried again for a day \(.*\)\n$/,
    );
    context.findings.set("official downloads", "no", Date.now() - 25 * 60 * 60 * 1000);
    await canDownloadOfficial(context, ask);
    expect(asked).toBe(2);
  });
});

describe("plugins", () => {
  const engineIn = (...parts: string[]): Engine => {
    const file = program(...parts);
    return { file, folder: dirname(file), origin: "path" };
  };
  const docker = () => neededPlugins(context.root).find(({ name }) => name === "docker");

  it("are asked for at the versions of the SDKs", () => {
    const { dependencies } = JSON.parse(readFileSync(join(context.root, "package.json"), "utf8"));
    expect(docker()).toEqual({
      kind: "resource",
      name: "docker",
      version: dependencies["@pulumi/docker"],
    });
  });
  it("are found on PATH, in Pulumi's folder at that version, and beside the engine", () => {
    const engine = engineIn("engine", "pulumi");
    const plugin = docker();
    if (!plugin) throw new Error("no plugin docker");
    expect(findOfficial(context, engine, plugin)).toBeUndefined();
    program(".pulumi", "plugins", "resource-docker-v4.0.0", "pulumi-resource-docker");
    expect(findOfficial(context, engine, plugin)).toBeUndefined();
    const installed = program(
      ".pulumi",
      "plugins",
      `resource-docker-v${plugin.version}`,
      "pulumi-resource-docker",
    );
    expect(findOfficial(context, engine, plugin)).toBe(installed);
    const onPath = program("bin", "pulumi-resource-docker");
    expect(findOfficial(context, engine, plugin)).toBe(onPath);
    const language = program("engine", "pulumi-language-nodejs");
    expect(findOfficial(context, engine, { kind: "language", name: "nodejs", version: "1.0.0" })).toBe(
      language,
    );
  });
  it("are stood in for where they are missing, and only there", async () => {
    context.findings.set("official downloads", "no");
    const engine = engineIn("engine", "pulumi");
    program("engine", "pulumi-language-nodejs");
    program("bin", "pulumi-resource-random");
    const { folders, standIns } = await preparePlugins(context, engine);
    expect(standIns).toEqual(["docker", "command"]);
    sayStandIns({ standIns });
    sayStandIns({ standIns: [] });
    expect(said).toMatch(/^plugins: using gpubox's own stand-ins for docker, command .*\n$/);
    expect(folders).toEqual(
      ["resource-docker", "resource-command"].map((name) => join(context.root, "offline", "plugins", name)),
    );
  });
  it("are downloaded to where they are looked for, whatever home the system has for the person", async () => {
    context.findings.set("official downloads", "yes");
    const file = program("bin", "pulumi");
    // biome-ignore lint/suspicious/noTemplateCurlyInString: for the shell
    writeFileSync(file, '#!/bin/sh\necho "$*" >>"${PULUMI_HOME:?}/asked"\n');
    const { additions } = await prepareToolchain(context);
    expect(additions.PULUMI_HOME).toBe(join(folder, ".pulumi"));
    expect(readFileSync(join(folder, ".pulumi", "asked"), "utf8")).toContain(
      "plugin install resource docker",
    );
  });
  it("are not taken for official ones where they are our own stand-ins on PATH", async () => {
    context.findings.set("official downloads", "no");
    const standIns = ["language-nodejs", "resource-docker", "resource-command", "resource-random"];
    const path = standIns.map((name) => join(context.root, "offline", "plugins", name)).join(":");
    const again = { ...context, env: { ...context.env, PATH: path } };
    expect((await preparePlugins(again, engineIn("engine", "pulumi"))).standIns).toHaveLength(4);
  });
});
