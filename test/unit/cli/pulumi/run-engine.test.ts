/** What is said of an engine that did not do what it was asked to. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
function run(engine: string, command = "up") {
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
  };
  const program = `
    import { runEngine } from "${ROOT}/cli/pulumi/run-engine.ts";
    import { explain } from "${ROOT}/cli/system/failure.mjs";
    process.exitCode = await runEngine(${JSON.stringify(session)}, "${command}", []).catch((error) => {
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
