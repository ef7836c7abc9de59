import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { shellScripts } from "../../../cli/commands/check.ts";
import { exports } from "../../../cli/commands/env.ts";
import { withLock } from "../../../cli/lock.mjs";
import { summary } from "../../../cli/outputs.ts";
import { capture, mustRun } from "../../../cli/run.ts";
import { formatSeconds } from "../../../cli/say.ts";
import { quote } from "../../../components/host/shell.ts";
import type { NotebookInfo } from "../../../components/workspace/notebook.ts";
import { summaryLine } from "../../support/summary-reporter.ts";

const root = join(import.meta.dirname, "../../..");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("npm run env", () => {
  it("quotes anything so that a shell reads it back", () => {
    const text = fc.string().filter((value) => !value.includes("\0"));
    fc.assert(
      fc.property(text, (value) => {
        const { stdout } = spawnSync("/bin/sh", ["-c", `printf %s ${quote(value)}`], { encoding: "utf8" });
        expect(stdout).toBe(value);
      }),
      { numRuns: 50 },
    );
  });
  it("puts its folders before the shell's own PATH", () => {
    const lines = exports({ PATH: "/a b:/c", PULUMI_STACK: "dev" });
    const read = execFileSync("/bin/sh", [
      "-c",
      `PATH=/usr/bin:/bin\neval "$1"; echo "$PATH" "$PULUMI_STACK"`,
      "sh",
      lines,
    ]);
    expect(read.toString()).toBe("/a b:/c:/usr/bin:/bin dev\n");
  });
});

describe("summary", () => {
  const notebook: NotebookInfo = {
    name: "container1",
    url: "http://127.0.0.1:8888/?token=abc",
    gpus: "CPU",
    port: 8888,
    shell: "docker exec -it container1 bash",
    logs: "docker logs -f container1",
  };
  it("names every way in and every way out", () => {
    const text = summary({ notebooks: [notebook], codeFolder: "/r/code", dataFolder: "/r/data" }, "dev");
    for (const part of [
      notebook.url,
      notebook.shell,
      notebook.logs,
      "npm run stop",
      "npm run destroy",
      "/r/code",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("-s dev");
  });
  it("says at its end why a notebook is on the CPU that was to have a GPU", () => {
    const text = summary({ accelerator: "GPU 0 (NVIDIA L4); CPU (no NVIDIA driver on this host)" }, "lab");
    expect(text.split("\n").at(-2)).toBe(
      "on the CPU: no NVIDIA driver on this host; npm run doctor -- -s lab says what mends it",
    );
    expect(summary({ accelerator: "CPU" }, "lab")).not.toContain("on the CPU");
  });
  it("names the stack in its commands", () => {
    expect(summary({ notebooks: [notebook] }, "lab")).toContain("npm run destroy -- -s lab");
  });
});

describe("npm test", () => {
  it("ends with a line of a fixed form", () => {
    expect(summaryLine({ passed: 3, failed: 0, skipped: 1 })).toBe("3 passed, 0 failed, 1 skipped");
  });
});

describe("npm run check", () => {
  it("finds shell scripts by their ending and by their first line", () => {
    writeFileSync(join(folder, "a.sh"), "");
    writeFileSync(join(folder, "run"), "#!/bin/bash\n");
    writeFileSync(join(folder, "other"), "#!/usr/bin/env node\n");
    writeFileSync(join(folder, "notes.md"), "#!/bin/sh\n");
    expect(shellScripts(folder).sort()).toEqual([join(folder, "a.sh"), join(folder, "run")]);
  });
});

describe("the first stage", () => {
  it("runs on old Nodes: no syntax that they cannot read, nothing to install", () => {
    for (const file of ["gpubox.mjs", "lock.mjs"]) {
      const imports = [...readFileSync(join(root, "cli", file), "utf8").matchAll(/ from "([^"]+)"/g)];
      expect(
        imports.map(([, name]) => name).filter((name) => !/^(node:|\.\/lock\.mjs$)/.test(name ?? "")),
      ).toEqual([]);
    }
  });
  it("refuses what is no command", () => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "cli/gpubox.mjs"), "upp"], {
      encoding: "utf8",
    });
    expect(status).toBe(2);
    expect(stderr).toContain("no command upp; there are up, preview");
  });
});

describe("withLock", () => {
  const lock = () => join(folder, "lock");

  it("lets one in at a time", async () => {
    let inside = 0;
    let most = 0;
    const waited: string[] = [];
    const one = () =>
      withLock(
        lock(),
        async () => {
          most = Math.max(most, ++inside);
          await new Promise((resolve) => setTimeout(resolve, 20));
          inside--;
        },
        (holder) => waited.push(holder),
      );
    await Promise.all([one(), one(), one()]);
    expect(most).toBe(1);
    expect(waited).toEqual([String(process.pid), String(process.pid)]);
    expect(existsSync(lock())).toBe(false);
  });
  it("is free again after a failure", async () => {
    const failing = withLock(lock(), () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(await withLock(lock(), () => "in")).toBe("in");
  });
  it("is taken over from a holder that was killed", async () => {
    const program = `import { withLock } from ${JSON.stringify(join(root, "cli/lock.mjs"))};
      await withLock(${JSON.stringify(lock())}, () => new Promise((resolve) => { console.log("in"); setTimeout(resolve, 60000); }));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
    expect(statSync(lock()).isFile()).toBe(true);
    const longAgo = new Date(Date.now() - 16_000);
    utimesSync(lock(), longAgo, longAgo);
    expect(await withLock(lock(), () => "in")).toBe("in");
  });
});

describe("running programs", () => {
  it("collects what they print and how they end", async () => {
    const env = { PATH: process.env.PATH, ONLY: "this" };
    expect(await capture("sh", ["-c", "echo $ONLY $HOME; echo err >&2; exit 3"], { env })).toEqual({
      code: 3,
      stdout: "this",
      stderr: "err",
    });
    expect(await capture("sh", ["-c", "kill -TERM $$"], { env })).toMatchObject({ code: 143 });
    expect((await capture("no-such-program", [], { env })).code).toBe(127);
  });
  it("shows what a program said that had to succeed", async () => {
    const failing = mustRun("sh", ["-c", "echo because >&2; exit 4"], { env: process.env });
    await expect(failing).rejects.toThrow(/exit 4.*because/s);
  });
});

describe("formatSeconds", () => {
  it.each([
    [0.04, "0.0 s"],
    [59.94, "59.9 s"],
    [95.4, "1 min 35 s"],
    [252, "4 min 12 s"],
  ])("%d is %s", (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});
