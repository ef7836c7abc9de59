import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
import { isExecutable } from "../../../../cli/system/path.ts";

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
    context.memo.set("official downloads", "no");
    await expect(prepareEngine(context)).rejects.toThrow(/no Pulumi engine.*install Go/s);
    const version = neededPlugins(context.root).find(({ name }) => name === "nodejs")?.version as string;
    const file = program(".cache", "gpubox", "engine", version, "pulumi");
    expect(await prepareEngine(context)).toMatchObject({ file, origin: "built" });
  });
});

describe("what can be done while an engine is built", () => {
  /** A checkout whose build of an engine is a script. */
  const checkout = (build: string) => {
    const root = join(folder, "checkout");
    mkdirSync(join(root, "offline", "engine"), { recursive: true });
    writeFileSync(join(root, "offline", "engine", "build.sh"), build);
    writeFileSync(join(root, "package.json"), '{"dependencies":{"pulumi":"1.2.3"}}');
    writeFileSync(program("bin", "go"), "#!/bin/sh\necho go version go1.26.8 linux/amd64\n");
    const own = createContext({ HOME: folder, PATH: `${join(folder, "bin")}:/usr/bin:/bin` }, root);
    own.memo.set("official downloads", "no");
    return own;
  };
  const marker = () => join(folder, "begun");

  it("is done beside, and both are waited for", async () => {
    // An engine that is there only once the other was begun.
    const own = checkout(`until [ -e ${marker()} ]; do sleep 0.05; done; echo >"$1"; chmod 755 "$1"\n`);
    let isOver = false;
    const engine = await prepareEngine(own, async (signal) => {
      writeFileSync(marker(), "");
      await sleep(500);
      expect(signal.aborted).toBe(false);
      isOver = true;
    });
    expect(engine.origin).toBe("built");
    expect(isOver).toBe(true);
    expect(said).toMatch(/^engine: building Pulumi .* … done \(.*\)\n$/);
    expect(Number(own.memo.get("seconds that the engine's build took"))).toBeGreaterThan(0);
    await prepareEngine(own, async () => expect.unreachable("it is there"));
    rmSync(engine.file);
    said = "";
    own.memo.set("seconds that the engine's build took", "95.4");
    await prepareEngine(own);
    expect(said).toContain("once (1 min 35 s the last time)");
  });

  it("is ended where the engine cannot be built, which is what is told", async () => {
    const own = checkout("echo no space >&2; exit 1\n");
    let isEnded = false;
    const beside = (signal: AbortSignal) =>
      new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => {
          isEnded = true;
          resolve();
        }),
      );
    await expect(prepareEngine(own, beside)).rejects.toThrow("no space");
    expect(isEnded).toBe(true);
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
    context.memo.set("official downloads", "no", Date.now() - 25 * 60 * 60 * 1000);
    await canDownloadOfficial(context, ask);
    expect(asked).toBe(2);
  });
});

describe("plugins", () => {
  const engineIn = (...parts: string[]): Engine => {
    const file = program(...parts);
    return { file, folder: dirname(file), origin: "path" };
  };
  const needed = (name: string) => neededPlugins(context.root).find((plugin) => plugin.name === name);
  const docker = () => needed("docker");
  const installed = (name: string) => `resource-${name}-v${needed(name)?.version}`;
  /** Puts stand-ins for all plugins where the engine finds them. @returns its PULUMI_HOME */
  const withStandIns = async (of = context) => {
    of.memo.set("official downloads", "no");
    return (await preparePlugins(of, engineIn("engine", "pulumi"))).home;
  };

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
    context.memo.set("official downloads", "no");
    const engine = engineIn("engine", "pulumi");
    program("engine", "pulumi-language-nodejs");
    program("bin", "pulumi-resource-random");
    const { home, standIns } = await preparePlugins(context, engine);
    expect(standIns).toEqual(["docker", "command"]);
    sayStandIns({ standIns });
    sayStandIns({ standIns: [] });
    expect(said).toMatch(/^plugins: using gpubox's own stand-ins for docker, command .*\n$/);
    expect(readdirSync(join(home, "plugins")).sort()).toEqual([installed("command"), installed("docker")]);
    const file = join(home, "plugins", installed("docker"), "pulumi-resource-docker");
    expect(realpathSync(file)).toBe(
      realpathSync(join(context.root, "offline/plugins/resource-docker/pulumi-resource-docker")),
    );
    expect(isExecutable(file)).toBe(true);
  });
  it("are downloaded to where they are looked for, whatever home the system has for the person", async () => {
    context.memo.set("official downloads", "yes");
    const file = program("bin", "pulumi");
    const install = `PATH=/usr/bin:/bin; echo "$*" >>"\${PULUMI_HOME:?}/asked"; plugin=$PULUMI_HOME/plugins/$3-$4-v$5; mkdir -p "$plugin"; cp "$0" "$plugin/pulumi-$3-$4"`;
    writeFileSync(file, `#!/bin/sh\n${install}\n`);
    const { additions } = await prepareToolchain(context);
    expect(additions.PULUMI_HOME).toBe(join(folder, ".pulumi"));
    expect(readFileSync(join(folder, ".pulumi", "asked"), "utf8")).toContain(
      "plugin install resource docker",
    );
  });
  it("are all official: the engine's folder is the person's", async () => {
    for (const { kind, name } of neededPlugins(context.root)) program("bin", `pulumi-${kind}-${name}`);
    program("bin", "pulumi");
    const { additions } = await prepareToolchain(context);
    expect(additions.PULUMI_HOME).toBe(join(folder, ".pulumi"));
    expect(additions).not.toHaveProperty("PULUMI_CREDENTIALS_PATH");
  });
  it("are stood in for without anything of the person's lost: their login, plugins, stacks", async () => {
    context.memo.set("official downloads", "no");
    program("bin", "pulumi");
    const aws = program(".pulumi", "plugins", "resource-aws-v1.2.3", "pulumi-resource-aws");
    program(".pulumi", "plugins", "resource-gcp-v1.2.3", "pulumi-resource-gcp");
    writeFileSync(join(folder, ".pulumi", "plugins", "resource-gcp-v1.2.3.partial"), "");
    mkdirSync(join(folder, ".pulumi", "policies"));
    writeFileSync(join(folder, ".pulumi", "config.json"), "{}");
    const { additions } = await prepareToolchain(context);
    const home = additions.PULUMI_HOME as string;
    expect(home.startsWith(context.cache)).toBe(true);
    expect(additions.PULUMI_CREDENTIALS_PATH).toBe(join(folder, ".pulumi"));
    for (const name of ["policies", "workspaces", "logs", "config.json"])
      expect(realpathSync(join(home, name))).toBe(realpathSync(join(folder, ".pulumi", name)));
    // The engine takes a link for no plugin's folder, and what is half installed for none.
    const plugin = join(home, "plugins", "resource-aws-v1.2.3");
    expect(lstatSync(plugin).isDirectory()).toBe(true);
    expect(realpathSync(join(plugin, "pulumi-resource-aws"))).toBe(realpathSync(aws));
    expect(readdirSync(join(home, "plugins"))).not.toContain("resource-gcp-v1.2.3");
    expect(readdirSync(join(folder, ".pulumi", "plugins"))).not.toContain(installed("docker"));
  });
  it("are another checkout's in a folder of their own", async () => {
    const home = await withStandIns();
    const other = join(folder, "other");
    mkdirSync(other);
    for (const name of ["offline", "node_modules"]) symlinkSync(join(context.root, name), join(other, name));
    expect(await withStandIns({ ...context, root: other })).not.toBe(home);
    expect(await withStandIns()).toBe(home);
  });
  it("are those of the person's, whatever has come and gone there since", async () => {
    const aws = program(".pulumi", "plugins", "resource-aws-v1.2.3", "pulumi-resource-aws");
    writeFileSync(join(folder, ".pulumi", "config.json"), "{}");
    const home = await withStandIns();
    rmSync(dirname(aws), { recursive: true });
    rmSync(join(folder, ".pulumi", "config.json"));
    const official = program(".pulumi", "plugins", installed("docker"), "pulumi-resource-docker");
    // What the engine has made there itself stays, and the key of a login goes to the login.
    mkdirSync(join(home, "plugins", "resource-gcp-v1.2.3"));
    writeFileSync(join(home, "plugins", "resource-gcp-v1.2.3", "pulumi-resource-gcp"), "");
    writeFileSync(join(home, "credentials-key.tpm"), "key");
    expect(await withStandIns()).toBe(home);
    expect(readdirSync(join(home, "plugins"))).not.toContain("resource-aws-v1.2.3");
    expect(readdirSync(join(home, "plugins"))).toContain("resource-gcp-v1.2.3");
    expect(readdirSync(home)).not.toContain("config.json");
    const docker = join(home, "plugins", installed("docker"), "pulumi-resource-docker");
    expect(realpathSync(docker)).toBe(realpathSync(official));
    expect(readFileSync(join(folder, ".pulumi", "credentials-key.tpm"), "utf8")).toBe("key");
    expect(readFileSync(join(home, "credentials-key.tpm"), "utf8")).toBe("key");
  });
  it("are stand-ins again in a shell that has the set-up of an earlier run", async () => {
    const home = await withStandIns();
    const again = createContext({ ...context.env, PULUMI_HOME: home });
    expect(again.pulumiHome).toBe(join(folder, ".pulumi"));
    expect(await withStandIns(again)).toBe(home);
    expect((await preparePlugins(again, engineIn("engine", "pulumi"))).standIns).toHaveLength(4);
  });
  it("are not taken for official ones where they are our own stand-ins on PATH", async () => {
    context.memo.set("official downloads", "no");
    const standIns = ["language-nodejs", "resource-docker", "resource-command", "resource-random"];
    const path = standIns.map((name) => join(context.root, "offline", "plugins", name)).join(":");
    const again = { ...context, env: { ...context.env, PATH: path } };
    expect((await preparePlugins(again, engineIn("engine", "pulumi"))).standIns).toHaveLength(4);
  });
});
