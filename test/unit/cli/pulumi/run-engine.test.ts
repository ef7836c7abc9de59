/** What is said of an engine that did not do what it was asked to. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ROOT } from "../../../../cli/context.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Has something that is no engine run as one on stack lab. */
function run(engine: string, command = "up", args: string[] = [], changes: object = {}) {
  const file = join(folder, "engine");
  writeFileSync(file, `#!/bin/sh\n${engine}\n`);
  chmodSync(file, 0o755);
  const session = {
    engine: { file },
    context: { root: folder, cache: folder },
    stack: "lab",
    place: { locks: join(folder, "locks") },
    env: { PATH: process.env.PATH },
    rest: [],
    ...changes,
  };
  const program = `
    import { runEngine } from "${ROOT}/cli/pulumi/run-engine.ts";
    import { explain } from "${ROOT}/cli/system/failure.mjs";
    process.exitCode = await runEngine(${JSON.stringify(session)}, "${command}", ${JSON.stringify(args)}).catch((error) => {
      console.error(explain(error).tell);
      return 1;
    });`;
  return execa(process.execPath, ["--input-type=module-typescript", "-e", program], { reject: false });
}

describe("an engine", () => {
  it("that finds another at work names it, and nobody is told to remove its lock without more", async () => {
    // What a process is called tells an engine from something else with its number.
    const name = join(folder, "pulumi");
    copyFileSync("/bin/sleep", name);
    const other = spawn(name, ["60"], { stdio: "ignore" }) as ChildProcess & { pid: number };
    await once(other, "spawn");
    mkdirSync(join(folder, "locks"));
    const holder = {
      pid: other.pid,
      username: "ada",
      hostname: hostname(),
      timestamp: new Date().toISOString(),
    };
    writeFileSync(join(folder, "locks", "a.json"), JSON.stringify(holder));
    const { exitCode, stderr } = await run("exit 255");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`stack lab is in use by process ${other.pid} of ada on .*: wait for it to end`),
    );
    const exited = once(other, "exit");
    other.kill("SIGKILL");
    await exited;
  });

  it.each([
    ["up", "npm start -- -s lab"],
    ["destroy", "npm run destroy -- -s lab"],
  ])("that is stopped while it is at %s says how it goes on", async (command, again) => {
    const engine = `trap 'exit 1' TERM; : >'${folder}/ready'; while :; do sleep 0.1; done`;
    const running = run(engine, command);
    await expect
      .poll(() => execa("test", ["-e", join(folder, "ready")], { reject: false }), { timeout: 20_000 })
      .toMatchObject({ exitCode: 0 });
    running.kill("SIGTERM");
    const { exitCode, stderr } = await running;
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`stopped: \`${again}\` goes on`);
  });
});

describe("what an engine says", () => {
  const ERROR = "registry.example: no route to host";
  const event = { diagnosticEvent: { message: `${ERROR}\n`, severity: "error" } };
  /** Notes an error down, and says more. */
  const fails = (...events: object[]) =>
    `while [ "$1" != --event-log ]; do shift; done
    ${events.map((each) => `printf '%s\\n' '${JSON.stringify(each)}' >>"$2"`).join("\n")}
    echo "much more"
    echo "and on stderr" >&2
    exit 3`;
  const logs = () => readdirSync(join(folder, "logs")).sort();

  it("is kept for the person alone; why it failed is told once, with where the rest is", async () => {
    const { exitCode, stdout, stderr } = await run(fails(event, event), "up", ["--yes"]);
    const [name = ""] = logs();
    const file = join(folder, "logs", name);
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 3,
      stdout: "",
      stderr: `${ERROR}\nall that the engine said: ${file}`,
    });
    expect(name).toMatch(/^\d{4}-\d\d-\d\dT.*Z-lab-up\.log$/);
    expect(readFileSync(file, "utf8")).toBe("much more\nand on stderr\n");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "logs")).mode & 0o777).toBe(0o700);
  });

  it("is told by its end where it gave up before it began", async () => {
    mkdirSync(join(folder, "locks"));
    const { stderr } = await run("seq 100; echo no such stack; exit 3", "destroy", ["--yes"]);
    expect(stderr).toMatch(/^87\n[\s\S]*\n100\nno such stack\nall that the engine said: /);
  });

  it.each<[string, string, string[], object]>([
    ["for --verbose", "up", ["--yes"], { verbose: true }],
    ["in a preview", "preview", [], {}],
    ["where it is to be agreed to there", "up", [], {}],
    ["where the person wants to see the differences", "up", ["--yes"], { rest: ["--diff"] }],
  ])("is shown as it comes %s", async (_, command, args, changes) => {
    const { stdout } = await run(fails(event), command, args, changes);
    expect(stdout).toBe("much more");
    expect(() => logs()).toThrow(/ENOENT/);
  });

  it("is kept of the last ten runs", async () => {
    mkdirSync(join(folder, "logs"));
    for (let year = 2001; year <= 2012; year++)
      writeFileSync(join(folder, "logs", `${year}-01-01T00-00-00.000Z-lab-up.log`), "");
    await run("exit 0", "up", ["--yes"]);
    expect(logs()).toHaveLength(10);
    expect(logs()[0]).toMatch(/^2004/);
  });
});
