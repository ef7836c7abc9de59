/** The boundary of errors: whatever happens, a person reads words, and never a stack of calls. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { RunError } from "@pulumi/pulumi";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ROOT } from "../../../../cli/context.ts";
import { explain } from "../../../../cli/system/failure.mjs";
import { UserError } from "../../../../errors.ts";
import { dockerClient } from "../../../../machine/docker/api.ts";
import { lacks } from "../../../support/host-script.ts";

const GPUBOX = join(ROOT, "cli", "gpubox.mjs");
const STACK = /^\s+at .*\d+:\d+\)?$/m;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  vi.stubEnv("GPUBOX_HOME", join(folder, "home"));
  return () => vi.unstubAllEnvs();
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

const thrown = async (action: () => unknown) => {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
};

describe("an error", () => {
  it("that was made for the person is told as it is", () => {
    expect(explain(new UserError("run `npm start`"))).toEqual({ status: 1, tell: "run `npm start`" });
    expect(explain(new RunError("port 1 is taken"))).toEqual({ status: 1, tell: "port 1 is taken" });
    expect(existsSync(join(folder, "home"))).toBe(false);
  });

  it("that nobody foresaw is told in words, and kept where its owner alone can read it", () => {
    const { status, tell } = explain(new TypeError("x is not a function", { cause: new Error("the cause") }));
    expect(status).toBe(1);
    expect(tell).toMatch(/^unexpected error: x is not a function\n/);
    expect(tell).toContain("To report the error, send that file");
    expect(tell).not.toMatch(STACK);
    const file = /^ {2}details: (.+)/m.exec(tell)?.[1] as string;
    expect(file).toMatch(join(folder, "home", "errors"));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const details = readFileSync(file, "utf8");
    expect(details).toMatch(STACK);
    expect(details).toContain("the cause");
    expect(details).toContain(process.version);
  });

  it.each([undefined, "a text", { odd: 1 }])("may be anything that can be thrown: %j", (odd) => {
    expect(explain(odd).tell).toMatch(/^unexpected error: \S/);
  });

  it("is kept in the temporary folder where gpubox's own cannot be written", () => {
    vi.stubEnv("GPUBOX_HOME", join(folder, "file", "home"));
    writeFileSync(join(folder, "file"), "");
    vi.stubEnv("TMPDIR", folder);
    const { tell } = explain(new Error("boom"));
    const file = /^ {2}details: (.+)/m.exec(tell)?.[1] as string;
    expect(file).toMatch(join(folder, "gpubox-error-"));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    vi.stubEnv("TMPDIR", join(folder, "file"));
    expect(explain(new Error("boom")).tell).toContain("its details could be written neither below");
  });

  it("of the system is told with the path and what mends it", async () => {
    const isFolder = await thrown(() => writeFileSync(folder, ""));
    expect(explain(isFolder).tell).toBe(`${folder} (open): it is a folder (EISDIR)`);
    const full = (path?: string) =>
      explain(Object.assign(new Error("ENOSPC"), { code: "ENOSPC", syscall: "write", path })).tell;
    expect(full(join(folder, "home", "x"))).toMatch(
      /home\/x \(write\): the disk is full: .*GPUBOX_HOME.*\(ENOSPC\)$/,
    );
    expect(full("/x"), "another folder would not help").toBe(
      "/x (write): the disk is full: `df -h` shows which disk (ENOSPC)",
    );
    const missing = await thrown(async () => await once(spawn("no-such-program"), "spawn"));
    expect(explain(missing).tell).toBe("there is no program `no-such-program` on PATH: install it");
  });

  it("of a clone that somebody else's is tells to make one of one's own: no other folder helps", () => {
    const refused = (code: string, path: string) =>
      explain(Object.assign(new Error(code), { code, syscall: "mkdir", path })).tell;
    for (const code of ["EACCES", "EPERM", "EROFS"]) {
      const tell = refused(code, join(ROOT, ".gpubox"));
      expect(tell).toMatch(
        /you cannot write to this clone: clone it into a folder of yours, `git clone \S+ ~\/gpubox`/,
      );
      expect(tell).not.toContain("GPUBOX_HOME");
      expect(refused(code, join(folder, "home"))).toContain("GPUBOX_HOME");
    }
    expect(refused("ENOSPC", join(ROOT, ".gpubox"))).toContain("the disk is full");
  });

  it("that is a daemon's answer is told in its words", async () => {
    const socket = join(folder, "docker.sock");
    const server = createServer((_, response) => {
      response.writeHead(409, { "content-type": "application/json" });
      response.end('{"message":"container1 is marked for removal - and cannot be started"}');
    }).listen(socket);
    await once(server, "listening");
    const answer = await thrown(() => dockerClient(`unix://${socket}`).getContainer("x").start());
    expect(explain(answer).tell).toMatch(
      /^the Docker daemon answered: container1 is marked for removal - and cannot be started \(HTTP 409\);/,
    );
    server.closeAllConnections();
    server.close();
    const gone = await thrown(() => dockerClient(`unix://${folder}/none.sock`).getContainer("x").start());
    expect(explain(gone).tell).toMatch(/^nothing answers at .*none\.sock \(ENOENT\)/);
  });
});

describe("a command", () => {
  it.skipIf(!existsSync("/dev/full"))("that cannot print its result says that, and fails", () => {
    const command = `'${process.execPath}' '${GPUBOX}' status --help >/dev/full`;
    const { status, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "gpubox: what is printed (write): the disk is full: `df -h` shows which disk (ENOSPC)\n",
    });
  });

  it("whose program goes wrong outside all that is awaited ends in words", async () => {
    const program = `import { guard, explain } from "${ROOT}/cli/system/failure.mjs";
      guard((error) => { console.error(explain(error).tell); process.exit(1); });
      process.argv[1] === "reject" ? Promise.reject(new Error("boom")) : setTimeout(() => { throw new Error("boom"); });
      setTimeout(() => {}, 60_000);`;
    for (const how of ["reject", "throw"]) {
      const { exitCode, stderr } = await execa(
        process.execPath,
        ["--input-type=module", "-e", program, how],
        {
          reject: false,
        },
      );
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: expect.stringContaining("unexpected error: boom\n"),
      });
      expect(stderr).not.toMatch(STACK);
    }
  });

  it("whose reader has read enough says nothing of it, and does its work to the end", async () => {
    const program = `import { guard } from "${ROOT}/cli/system/failure.mjs";
      guard(() => process.exit(7));
      for (let line = 0; line < 100_000; line++) process.stdout.write("a line\\n");
      process.stderr.write("done\\n");`;
    const child = spawn("sh", [
      "-c",
      '"$0" --input-type=module -e "$1" | head -n 1',
      process.execPath,
      program,
    ]);
    const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect({ out, error }).toEqual({ out: "a line\n", error: "done\n" });
  });

  it.skipIf(lacks(process.getuid?.() !== 0, "a home on a disk in trouble: root alone can mount one")).each([
    ["can only be read", "ro", "its disk is read-only: ", "EROFS"],
    ["is full", "nr_inodes=1", "the disk is full: ", "ENOSPC"],
  ])("says that the disk of a home %s, and which path", async (_, option, words, code) => {
    const home = join(folder, "home");
    mkdirSync(home);
    const line = `mount -t tmpfs -o ${option} tmpfs ${home} && exec "$0" ${GPUBOX} env`;
    const { exitCode, stderr } = await execa("unshare", ["--mount", "sh", "-c", line, process.execPath], {
      env: { HOME: home, GPUBOX_HOME: undefined, GPUBOX_CACHE: undefined, PULUMI_HOME: undefined },
      reject: false,
    });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(`gpubox: ${home}/.cache/gpubox \\(mkdir\\): ${words}.* \\(${code}\\)$`),
    });
    expect(stderr).not.toMatch(STACK);
  });

  it.skipIf(lacks(process.getuid?.() !== 0, "to be somebody without a name takes root"))(
    "serves somebody without a name, and asks whoever has no home either for one",
    async () => {
      // Root's rights on files are for the checkout and the test's folder.
      const who = ["--reuid=4242", "--regid=4242", "--clear-groups", "--inh-caps=+dac_override"];
      const nameless = (env: Record<string, string | undefined>, ...args: string[]) =>
        execa("setpriv", [...who, "--ambient-caps=+dac_override", ...args], { env, reject: false });
      const { exitCode, stderr } = await nameless({ HOME: undefined }, process.execPath, GPUBOX, "status");
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr:
          "gpubox: HOME is not set, and this machine has no home folder for user 4242: run `export HOME=FOLDER` with a folder of yours, then try again",
      });
      const lock = join(folder, "lock");
      const program = `
        const { holdStack } = await import(${JSON.stringify(join(ROOT, "cli/pulumi/run-lock.ts"))});
        const { userIds } = await import(${JSON.stringify(join(ROOT, "machine/person.ts"))});
        holdStack(${JSON.stringify(lock)});
        process.stdout.write(userIds() + readFileSync(${JSON.stringify(lock)}, "utf8"));`;
      const imports = 'import { readFileSync } from "node:fs";';
      const held = await nameless({}, process.execPath, "--input-type=module", "-e", imports + program);
      expect(held.stderr).not.toMatch(STACK);
      expect(held.stdout).toMatch(/^4242:4242\{.*"username":"user 4242"/);
    },
  );

  it("is told which file of its own is missing", async () => {
    const checkout = join(folder, "checkout");
    mkdirSync(checkout);
    await execa("cp", ["-r", "--parents", "cli", "errors.ts", "text/legible.ts", checkout], { cwd: ROOT });
    const { exitCode, stderr } = await execa(process.execPath, [join(checkout, "cli", "main.ts"), "status"], {
      reject: false,
    });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^gpubox: Cannot find .*: this checkout is incomplete: `npm ci --include=dev` reinstalls/m,
    );
    expect(stderr).not.toMatch(STACK);
  });
});

const noTerminal = lacks(!existsSync("/usr/bin/python3"), "questions at a terminal: no python3");

/** Runs a program on a terminal, and types once it has asked. */
const TERMINAL = `
import os, pty, sys, time
key, prompt, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0: os.execvp(command[0], command)
said, typed = b"", False
while True:
    try: more = os.read(terminal, 4096)
    except OSError: break
    if not more: break
    said += more
    if prompt.encode() in said and not typed:
        # Echoed or not, what is typed before the terminal is read in raw mode is a signal already.
        time.sleep(0.5)
        os.write(terminal, key.encode())
        typed = True
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
`;

describe.skipIf(noTerminal)("a question", () => {
  const asked = async (key: string, prompt: string, command: string[]) => {
    const { exitCode, stdout } = await execa("python3", ["-c", TERMINAL, key, prompt, ...command], {
      env: { CI: undefined, HOME: folder },
      reject: false,
    });
    expect(stdout).not.toMatch(STACK);
    expect(stdout).not.toMatch(/unsettled|Warning/);
    return { exitCode, stdout };
  };
  const CTRL_C = "\u0003";
  const CTRL_D = "\u0004";
  const CONFIRM = `import { confirm } from "${ROOT}/cli/ui/confirm.ts";
    import { explain } from "${ROOT}/cli/system/failure.mjs";
    confirm("go on?").then((yes) => console.log(yes ? "yes" : "no"), (error) => {
      const { status, tell } = explain(error);
      console.log(tell);
      process.exitCode = status;
    });`;
  const confirm = [process.execPath, "--input-type=module", "-e", CONFIRM];

  it("with yes or no is left by Ctrl-C, and answered with no by Ctrl-D", async () => {
    const stopped = await asked(CTRL_C, "go on?", confirm);
    expect(stopped.exitCode).toBe(130);
    expect(stopped.stdout).toMatch(/^stopped\r?$/m);
    const closed = await asked(CTRL_D, "go on?", confirm);
    expect(closed.exitCode).toBe(0);
    expect(closed.stdout).toMatch(/^no\r?$/m);
  });

  it.each([CTRL_C, CTRL_D])("of `npm run init` is left by %j, and nothing is written", async (key) => {
    const before = readdirSync(ROOT);
    const { exitCode, stdout } = await asked(key, "Where is the GPU?", [process.execPath, GPUBOX, "init"]);
    expect(exitCode).toBe(130);
    expect(stdout).toMatch(/gpubox: stopped\r?$/m);
    expect(readdirSync(ROOT)).toEqual(before);
  });
});
