/** What is asked often is answered without the engine, and so is a start that has nothing to do. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { engineOptions } from "../../cli/pulumi/engine-options.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const NOTES = "lesson 1\n";

describeWithDaemon("quick commands", () => {
  let daemon: Daemon;
  let person: Person;
  let server: Server;
  let bin: string;
  let url: string;
  let config: Record<string, unknown>;

  const container = () => daemon.client.getContainer("container1");
  const calls = () => join(person.home, "engine-calls");
  /** The commands that the engine was started for. */
  const engineCalls = () => (existsSync(calls()) ? readFileSync(calls(), "utf8").trim().split("\n") : []);
  const start = async () => {
    const { exitCode, all, stdout } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    return { all, stdout };
  };

  beforeAll(async () => {
    server = createServer((_request, response) => response.end(NOTES)).listen(0, "127.0.0.1");
    await once(server, "listening");
    daemon = await startDaemon({ group: String(UID) });
    bin = mkdtempSync(join(tmpdir(), "gpubox-bin-"));
    chmodSync(bin, 0o755);
    person = await createPerson({ daemon, uid: UID, path: bin });
    const notes = `http://127.0.0.1:${(server.address() as AddressInfo).port}/notes.txt`;
    config = {
      image: { target: "lab" },
      data: [{ url: notes, sha256: createHash("sha256").update(NOTES).digest("hex"), folder: "notes" }],
      notebooks: [{ name: "container1", gpus: "none" }],
    };
    person.configure(config);
    url = /http:\S+token=\w+/.exec((await start()).stdout)?.[0] as string;
    // From now on every start of the engine leaves a line.
    const engine = /PATH='([^:']+)/.exec((await person.npm("env")).stdout)?.[1];
    writeFileSync(
      join(bin, "pulumi"),
      `#!/bin/sh\necho "$*" >>"$HOME/engine-calls"\nexec ${engine}/pulumi "$@"\n`,
    );
    chmodSync(join(bin, "pulumi"), 0o755);
  });
  beforeEach(() => rmSync(calls(), { force: true }));
  afterAll(async () => {
    server?.close();
    await person?.remove();
    await daemon?.end();
    rmSync(bin, { recursive: true });
  });

  it.each([
    "up",
    "preview",
    "refresh",
    "destroy",
  ] as const)("know the options of pulumi %s", async (command) => {
    const { stdout } = await person.npm("pulumi", command, "--help");
    const lines = stdout.matchAll(/^ +(?:-(?<short>\w), )? *--(?<name>[a-z-]+)(?: (?<type>\S+))? {2,}/gm);
    const options = [...lines].map(({ groups: { short, name = "", type } = {} }) => {
      // What has a value of its own, as `string[="true"]`, need not be given one; "false" is a word of the description.
      const takesValue = type !== undefined && type !== "false" && !type.includes("[=");
      return [name, { type: takesValue ? "string" : "boolean", ...(short && { short }) }];
    });
    // Ours.
    const { stack, help, verbose: _, ...others } = Object.fromEntries(options);
    expect({ stack, help }).toEqual({
      stack: { type: "string", short: "s" },
      help: { type: "boolean", short: "h" },
    });
    expect(engineOptions(command)).toEqual(others);
  });

  it("url prints what start printed, and it works", async () => {
    expect(await person.npm("url")).toMatchObject({ exitCode: 0, stdout: url, stderr: "" });
    expect(await status(url, "/api/contents")).toBe(200);
    expect(engineCalls()).toEqual([]);
  });

  it("status shows a notebook in a line, without its token", async () => {
    const { exitCode, stdout, all } = await person.npm("status");
    expect(exitCode, all).toBe(0);
    const [notebook, disk] = stdout.split("\n");
    expect(notebook).toMatch(/^container1 +up \(healthy\) +http:\/\/127\.0\.0\.1:8888\/ +CPU +no kernel$/);
    expect(disk).toMatch(/^disk: code \d+ MB, data \d+ MB, image \d+ MB$/);
    const told = JSON.parse((await person.npm("status", "--json")).stdout);
    expect(told).toMatchObject({
      stack: "dev",
      notebooks: [{ name: "container1", condition: "up", kernels: "no kernel" }],
    });
    expect(JSON.stringify(told)).not.toContain(new URL(url).searchParams.get("token"));
    expect(all).not.toContain(new URL(url).searchParams.get("token"));
    expect(engineCalls()).toEqual([]);
  });

  it("shell runs what it is given, and logs on a terminal follows until it is told to end", async () => {
    const shell = await person.sh("echo 'id -u; pwd' | node cli/gpubox.mjs shell");
    expect(shell.stdout, shell.all).toBe(`${UID}\n/code`);
    const logs = "timeout 5 node cli/gpubox.mjs logs container1";
    for (const [command, exitCode] of [
      [logs, 0],
      [`script -qec "${logs}" /dev/null`, 124],
    ] as const) {
      const run = await person.sh(command);
      expect(run.exitCode, `${command}: ${run.all}`).toBe(exitCode);
      expect(run.all).toMatch(/jupyter/i);
    }
    expect(engineCalls()).toEqual([]);
  });

  it("a start on a terminal asks before a container is replaced, and nothing otherwise", async () => {
    const file = join(person.project, "Pulumi.dev.yaml");
    const written = readFileSync(file, "utf8");
    const idle = await person.typed("", "start");
    expect(idle.exitCode, idle.all).toBe(0);
    expect(idle.stdout).toMatch(/^unchanged/m);
    expect(engineCalls()).toEqual([expect.stringMatching(/^preview --json/)]);
    expect(readFileSync(file, "utf8"), "the engine works on a copy").toBe(written);

    const before = (await container().inspect()).Id;
    person.configure({ ...config, notebooks: [{ name: "container1", gpus: "none", shmSize: "4g" }] });
    const declined = await person.typed("n", "start");
    expect(declined.exitCode, declined.all).toBe(1);
    expect(declined.stdout).toMatch(
      /^container1: its container is replaced, and what kernels have in memory/m,
    );
    expect(declined.stdout).toContain("nothing was changed");
    expect((await container().inspect()).Id).toBe(before);

    const agreed = await person.typed("y", "start");
    expect(agreed.exitCode, agreed.all).toBe(0);
    // The engine's own question would come a second time.
    expect(agreed.stdout).not.toContain("Do you want to perform");
    expect((await container().inspect()).HostConfig.ShmSize).toBe(4 * 1024 ** 3);
  });

  it("a data set that somebody removed comes back", async () => {
    const folder = join(person.root, "data", "notes");
    rmSync(folder, { recursive: true });
    const { all } = await start();
    expect(all).toContain(`gone since the last run: ${folder}; fetched again`);
    expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe(NOTES);
  });

  it("a start with nothing to do does without the engine, and one that is to look closer calls it once", async () => {
    // Until Docker's own check has passed it is not certain that a notebook answers.
    await expect
      .poll(async () => (await container().inspect()).State.Health?.Status, { timeout: 60_000 })
      .toBe("healthy");
    const { stdout } = await start();
    expect(stdout).toMatch(/^unchanged/m);
    expect(stdout).toContain(url);
    expect(engineCalls()).toEqual([]);
    const looked = await person.npm("start", "--diff");
    expect(looked.stdout, looked.all).toMatch(/^unchanged/m);
    expect(engineCalls()).toEqual([expect.stringMatching(/^preview /)]);
  });

  it("what is agreed to is done without a preview that nobody sees", async () => {
    const { exitCode, all } = await person.npm("refresh");
    expect(exitCode, all).toBe(0);
    expect(all).toContain("the state is as things are: nothing has changed");
    const typed = await person.typed("", "start", "--yes");
    expect(typed.exitCode, typed.all).toBe(0);
    expect(typed.stdout).toMatch(/^unchanged/m);
    const again = await person.typed("", "refresh", "--yes");
    expect(again.exitCode, again.all).toBe(0);
    expect(engineCalls()).toEqual([
      expect.stringMatching(/^refresh --yes --skip-preview/),
      expect.stringMatching(/^up --yes --skip-preview/),
      expect.stringMatching(/^refresh --yes --skip-preview/),
    ]);
  });

  it("a notebook that is stopped: said, and what it logged can still be read", async () => {
    await container().stop();
    const refused = await person.npm("url");
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toContain("container1 is stopped: `npm start` brings it back");
    expect((await person.npm("status")).stdout).toMatch(/^container1 +stopped +http/);
    expect(await person.npm("logs")).toMatchObject({ exitCode: 0, all: expect.stringMatching(/jupyter/i) });
    expect(engineCalls()).toEqual([]);
    await start();
    expect((await person.npm("url")).stdout).toBe(url);
  });

  it("one notebook is stopped and started by its name, and the engine is not called", async () => {
    const unknown = await person.npm("stop", "containr1");
    expect(unknown).toMatchObject({ exitCode: 1 });
    expect(unknown.stderr).toContain("it has container1: did you mean container1?");
    expect((await person.npm("stop", "container1")).all).toContain(
      "`npm start -- container1` brings it back",
    );
    expect((await person.npm("status")).all).toContain(
      "container1 is stopped: `npm start -- container1` starts it",
    );
    const started = await person.npm("start", "container1");
    expect(started.exitCode, started.all).toBe(0);
    expect(started.stdout).toBe("container1: up; its link: npm run url -- container1");
    expect((await person.npm("url")).stdout).toBe(url);
    expect(await status(url, "/api/contents")).toBe(200);
    expect(engineCalls()).toEqual([]);
  });

  it("no Docker daemon: said, and no error of status", async () => {
    await daemon.stop();
    try {
      const refused = await person.npm("url");
      expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
      expect(refused.stderr).toContain(`no Docker daemon answers at ${daemon.host}`);
      const { exitCode, stdout, stderr } = await person.npm("status");
      expect({ exitCode, stderr }).toMatchObject({
        exitCode: 0,
        stderr: refused.stderr.slice("gpubox: ".length),
      });
      expect(stdout).toMatch(/^container1 +unknown +http/);
      expect(engineCalls()).toEqual([]);
    } finally {
      await daemon.start();
    }
  });

  it("after the end: said", async () => {
    expect((await person.npm("destroy", "--yes")).exitCode).toBe(0);
    rmSync(calls());
    expect((await person.npm("url")).stderr).toBe("gpubox: stack dev is not up: run `npm start`");
    expect(await person.npm("status")).toMatchObject({ exitCode: 0, stdout: "" });
    expect(engineCalls()).toEqual([]);
  });
});
