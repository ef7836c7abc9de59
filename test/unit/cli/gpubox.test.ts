import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { withLock } from "../../../cli/system/lock.mjs";

const root = join(import.meta.dirname, "../../..");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the first stage", () => {
  it("runs on old Nodes: no syntax that they cannot read, nothing to install", () => {
    for (const file of [
      "gpubox.mjs",
      "system/bootstrap.mjs",
      "system/lock.mjs",
      "system/private.mjs",
      "system/failure.mjs",
      "system/home.mjs",
      "system/time-left.mjs",
    ]) {
      const imports = [...readFileSync(join(root, "cli", file), "utf8").matchAll(/ from "([^"]+)"/g)];
      expect(
        imports
          .map(([, name]) => name)
          .filter(
            (name) =>
              !/^(node:|\.\/(system\/)?(bootstrap|lock|private|failure|home|time-left)\.mjs$)/.test(
                name ?? "",
              ),
          ),
      ).toEqual([]);
    }
  });
  it("runs where the system does not say which Node that is", () => {
    const unsaid = 'data:text/javascript,process.execPath="node"';
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--import", unsaid, join(root, "cli/gpubox.mjs"), "upp"],
      { encoding: "utf8" },
    );
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining("there is no command upp"),
    });
  });
  it("refuses what is no command", () => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "cli/gpubox.mjs"), "upp"], {
      encoding: "utf8",
    });
    expect(status).toBe(2);
    expect(stderr).toContain("there is no command upp: did you mean up?");
  });
});

describe("what is made", () => {
  /** Runs a command as a person does who lets everybody do everything. */
  const run = (...args: string[]) => {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const line = 'umask 000; exec "$@"';
    return spawnSync("sh", ["-c", line, "sh", process.execPath, ...args], {
      encoding: "utf8",
      env: { ...env, HOME: folder, GPUBOX_HOME: "", GPUBOX_CACHE: "", XDG_CACHE_HOME: "", PULUMI_HOME: "" },
    });
  };
  const mode = (path: string) => (statSync(join(folder, path)).mode & 0o777).toString(8);
  const open = (mask: number) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (path) => statSync(join(folder, path)).mode & mask,
    );

  it("for the cache is the person's alone, whatever the umask, also where it was open", () => {
    expect(run(join(root, "cli/gpubox.mjs"), "upp").status).toBe(2);
    expect(readdirSync(join(folder, ".cache/gpubox/compile-cache")).length).toBeGreaterThan(0);
    expect(open(0o022)).toEqual([]);
    const folders = [".cache/gpubox", ".cache/gpubox/compile-cache"];
    for (const path of folders) {
      expect(mode(path)).toBe("700");
      chmodSync(join(folder, path), 0o777);
    }
    run(join(root, "cli/gpubox.mjs"), "upp");
    for (const path of folders) expect(mode(path)).toBe("700");
  });

  it("for the state is as well, with the passphrase and what earlier runs found out", () => {
    const program = `
      const { createContext } = await import(${JSON.stringify(join(root, "cli/context.ts"))});
      const { prepareBackend } = await import(${JSON.stringify(join(root, "cli/pulumi/backend.ts"))});
      const { useCopy } = await import(${JSON.stringify(join(root, "cli/pulumi/stack.ts"))});
      const context = createContext();
      prepareBackend(context);
      context.memo.set("key", "value");
      useCopy(context, "dev", []);`;
    const { status, stderr } = run("--input-type=module", "-e", program);
    expect(status, stderr).toBe(0);
    const made = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const end of ["passphrase", "state", "findings.json", "Pulumi.dev.yaml"])
      expect(made.filter((path) => path.endsWith(end))).toHaveLength(1);
    expect(open(0o077)).toEqual([]);
    for (const path of [".gpubox", ".gpubox/state"]) chmodSync(join(folder, path), 0o777);
    run("--input-type=module", "-e", program);
    expect(open(0o077)).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)(
    "is not made where others may write and the person cannot help it",
    () => {
      const ours = join(folder, "theirs");
      mkdirSync(ours);
      chmodSync(folder, 0o755);
      chmodSync(ours, 0o777);
      const program = `
      process.setuid(65534);
      const { ensureFolder } = await import(${JSON.stringify(join(root, "cli/context.ts"))});
      ensureFolder(${JSON.stringify(ours)}, "a test");`;
      const { status, stderr } = run("--input-type=module", "-e", program);
      expect(status).not.toBe(0);
      expect(stderr).toContain(`${ours} belongs to another user, and others can write to it`);
      expect(stderr).toContain(`sudo chown 65534 '${ours}' && chmod go-rwx '${ours}'`);
    },
  );
});

describe("the installation", () => {
  /** A checkout whose one dependency comes from a server, which holds it back until `deliver` is true. */
  async function checkout() {
    const registry = {
      deliver: false,
      asked: Promise.withResolvers<void>(),
      left: Promise.withResolvers<void>(),
    };
    const packed = join(folder, "package");
    mkdirSync(packed);
    writeFileSync(join(packed, "package.json"), '{"name":"late","version":"1.0.0"}');
    execFileSync("tar", ["-czf", join(folder, "late.tgz"), "-C", folder, "package"]);
    const server = createServer((_, response) => {
      if (registry.deliver) return response.end(readFileSync(join(folder, "late.tgz")));
      response.on("close", () => registry.left.resolve());
      registry.asked.resolve();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const dependencies = { late: "1.0.0" };
    const late = { version: "1.0.0", resolved: `http://127.0.0.1:${port}/late.tgz` };
    const write = (name: string, content: unknown) =>
      writeFileSync(join(folder, name), JSON.stringify({ name: "x", version: "1.0.0", ...Object(content) }));
    write("package.json", { type: "module", dependencies });
    write("package-lock.json", {
      lockfileVersion: 3,
      packages: { "": { dependencies }, "node_modules/late": late },
    });
    for (const part of ["cli", "errors.ts", "text"])
      cpSync(join(root, part), join(folder, part), { recursive: true });
    return registry;
  }

  const start = () =>
    spawn(process.execPath, [join(folder, "cli", "gpubox.mjs"), "upp"], {
      env: { ...process.env, npm_execpath: undefined, npm_config_cache: join(folder, "npm") },
      stdio: ["ignore", "ignore", "pipe"],
      // A group of its own, which a terminal's Ctrl-C reaches as a whole.
      detached: true,
    });

  it("is ended by Ctrl-C, npm and all, and the next run does it anew at once", async () => {
    const registry = await checkout();
    const stopped = start();
    const said = text(stopped.stderr);
    await registry.asked.promise;
    mkdirSync(join(folder, "node_modules", "half"), { recursive: true });
    process.kill(-Number(stopped.pid), "SIGINT");
    const [code] = await once(stopped, "exit");
    await registry.left.promise;
    expect(code).toBe(130);
    expect(await said).toMatch(/failed\ngpubox: stopped; the next run installs the dependencies anew\n$/);
    expect(existsSync(join(folder, ".gpubox", "install.lock"))).toBe(false);
    registry.deliver = true;
    const next = start();
    const [saidNext] = await Promise.all([text(next.stderr), once(next, "exit")]);
    expect(saidNext).toMatch(/^dependencies: installing with npm ci … done/);
    // Handed over: its one package is not one of those that a command needs.
    expect(saidNext).toMatch(/gpubox: Cannot find .*: this checkout is incomplete/);
    expect(existsSync(join(folder, "node_modules", "late", "package.json"))).toBe(true);
    expect(existsSync(join(folder, "node_modules", "half"))).toBe(false);
  }, 60_000);
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
    const program = `import { withLock } from ${JSON.stringify(join(root, "cli/system/lock.mjs"))};
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
