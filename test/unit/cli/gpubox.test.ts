import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withLock } from "../../../cli/lock.mjs";

const root = join(import.meta.dirname, "../../..");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

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

describe("a lock", () => {
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
