import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, test, vi } from "vitest";
import { lacks, missingPrograms, pathWith, runScript, type ScriptOptions } from "../support/host-script.ts";
import { type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();

// Each test has a server of its own, so that they can do their waiting side by side.
const it = test.extend<{ server: LoopbackServer }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it which fixtures are needed
  server: async ({}, use) => {
    const server = await startLoopbackServer();
    await use(server);
    await server.close();
  },
});

const JUPYTER = Buffer.from('{"version": "2.20.0"}');

const wait = (server: LoopbackServer, overrides: Record<string, string> = {}, options: ScriptOptions = {}) =>
  runScript(
    "wait-for-notebook.sh",
    { URL: server.url("/"), CONTAINER: "container1", TIMEOUT: "20", ...overrides },
    { path: pathWith(join(scratch, "curl"), "curl"), ...options },
  );

describe.concurrent.each([
  { tool: "curl", shell: ["dash"] },
  { tool: "wget", shell: ["bash", "--posix"] },
  { tool: "python3", shell: ["dash"] },
])("wait-for-notebook.sh by $shell with $tool", ({ tool, shell }) => {
  const skip = lacks(missingPrograms(`${tool} ${shell[0]}`), "wait-for-notebook.sh");
  const options = { path: join(scratch, tool), shell };
  beforeAll(() => void pathWith(join(scratch, tool), tool));

  it.skipIf(skip)(
    "waits until the server answers as Jupyter does, whatever proxy is set",
    async ({ server, expect }) => {
      server.serve("/api", JUPYTER, { faults: [{ kind: "status", status: 503 }, { kind: "html" }] });
      const run = await wait(
        server,
        { http_proxy: "http://127.0.0.1:1", HTTP_PROXY: "http://127.0.0.1:1" },
        options,
      );
      expect(run.stdout).toMatch(/^ready after \d s\n$/);
      expect(run.code).toBe(0);
      expect(server.requests.map(({ url }) => url)).toEqual(["/api", "/api", "/api"]);
    },
  );

  it.skipIf(skip)("reads no more of an endless answer than Jupyter's has", async ({ server, expect }) => {
    let sent = 0;
    server.handle("/api", (_, response) => {
      const more = () => {
        do sent += 1 << 16;
        while (response.write("a".repeat(1 << 16)));
      };
      response.on("drain", more);
      more();
    });
    const run = await wait(server, { TIMEOUT: "0" }, options);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/\/api is not ready after \d s: it answers, but not as a Jupyter server does/);
    // Beside what is read: what the system holds of a connection.
    expect(sent).toBeLessThan(30_000_000);
  });

  it.skipIf(skip)("shows an error of the server's as text", async ({ server, expect }) => {
    server.handle("/api", (_, response) => {
      response.socket?.end("HTTP/1.1 500 \u001b]52;c;cm0=\u0007\r\nContent-Length: 0\r\n\r\n");
    });
    const run = await wait(server, { TIMEOUT: "0" }, options);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/\/api is not ready after \d s: .*500/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(run.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  it.skipIf(skip)("says what it last saw when the time is up", async ({ server, expect }) => {
    server.serve("/api", JUPYTER, { always: { kind: "html" } });
    const strange = await wait(server, { TIMEOUT: "3" }, options);
    expect(strange).toMatchObject({ code: 1, stdout: "" });
    expect(strange.stderr).toMatch(
      /\/api is not ready after \d s: it answers, but not as a Jupyter server does/,
    );

    const absent = await wait(server, { TIMEOUT: "0", URL: "http://127.0.0.1:1" }, options);
    expect(absent).toMatchObject({ code: 1, stdout: "" });
    expect(absent.stderr).toMatch(/http:\/\/127.0.0.1:1\/api is not ready after 0 s: .*(refused|connect)/);
    expect(absent.stderr).toContain("docker logs container1");
  });
});

describe.concurrent("wait-for-notebook.sh", () => {
  it("says every ten seconds what it waits for", async ({ server, expect }) => {
    const run = await wait(server, { TIMEOUT: "11" });
    expect(run.stderr).toMatch(/waiting for http\S+\/api, 1\d of 11 s: .*404/);
  });

  it("needs no token in the url, and a base path is fine", async ({ server, expect }) => {
    server.serve("/lab/api", JUPYTER);
    expect(await wait(server, { URL: server.url("/lab/") })).toMatchObject({ code: 0 });
    expect(server.requests.map(({ url }) => url)).toEqual(["/lab/api"]);
  });

  it.for([
    { wrong: "127.0.0.1:8888", name: "URL", message: "url: '127.0.0.1:8888'" },
    { wrong: "--help", name: "CONTAINER", message: "container: '--help'" },
    { wrong: "5m", name: "TIMEOUT", message: "timeout: '5m'" },
  ])("refuses $name $wrong", async ({ name, wrong, message }, { server, expect }) => {
    const run = await wait(server, { [name]: wrong });
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(message);
  });

  it("says what a host without curl, wget and python3 lacks", async ({ server, expect }) => {
    const run = await wait(server, {}, { path: pathWith(join(scratch, "nothing"), "") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("needs curl, wget or python3");
  });
});

/** A `docker` command whose daemon says this about the container, look by look (the last for good). */
function dockerSaying(name: string, ...looks: string[]): string {
  const path = pathWith(join(scratch, name), "curl timeout");
  const state = join(scratch, `${name}.looks`);
  writeFileSync(state, looks.join("\n"));
  const docker = join(path, "docker");
  writeFileSync(
    docker,
    `#!/bin/sh
case $1 in
  inspect)
    look=$(head -n 1 '${state}')
    if [ "$(wc -l <'${state}')" -gt 0 ]; then sed -i 1d '${state}'; fi
    case $look in Error*) echo "$look" >&2; exit 1 ;; esac
    echo "$look"
    ;;
  events) echo 1; echo 137 ;;
  update)
    echo "$*" >>'${state}.updates'
    \${UPDATE_FAILS:+eval 'echo "Error response from daemon: no such control group" >&2; exit 1'}
    ;;
  stats) echo "\${MEMORY_USED-12.50%}" ;;
  logs)
    if [ -n "\${SILENT-}" ]; then exit 0; fi
    [ "$*" = "logs --tail 20 container1" ] || exit 9
    echo "Serving at http://127.0.0.1:8888/lab?token=canary" >&2
    echo "GET /login?next=%2Flab%3Ftoken%3Dcanary&token%3dcanary HTTP/1.1"
    echo "JUPYTER_TOKEN=canary {'token': 'canary', \\"token\\":\\"canary\\"} Authorization: token canary"
    printf '\\033]52;c;cm0=\\007\\nnotebook container1: ready\\n'
    echo "OSError: no space left"
    ;;
esac
`,
  );
  chmodSync(docker, 0o755);
  return path;
}

describe.concurrent("wait-for-notebook.sh beside a container that does not run", () => {
  it.for([
    { name: "stopped", looks: ["exited 137 0"], message: "has stopped with exit code 137" },
    { name: "paused", looks: ["running 0 0", "paused 0 0"], message: "is paused" },
    {
      name: "restarting",
      looks: ["running 0 0", "restarting 1 1"],
      message: "keeps stopping with exit code 1",
    },
    {
      name: "looping",
      looks: ["running 0 3", "running 0 4"],
      message: "stops and is started again and again",
    },
  ])("gives up early on one that is $name, with its log but not its token", async ({ name, looks, message }, {
    server,
    expect,
  }) => {
    const run = await wait(server, {}, { path: dockerSaying(name, ...looks) });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`container container1 ${message}, so ${server.url("/")} will not answer`);
    expect(run.stderr).toMatch(/^notebook container1: the last lines of its log:\n {2}\| Serving/);
    expect(run.stderr).toContain("  | OSError: no space left");
    expect(run.stderr).toContain("token=...");
    expect(run.stderr).not.toContain("canary");
    // What is in it is nothing to a terminal, and no line of the script's.
    expect(run.stderr).toContain("\n  | ?]52;c;cm0=?\n  | notebook container1: ready\n");
  });

  it.for([
    // As daemons said it: with the kernel's word for it, without, and of one that runs again already.
    { name: "oom", looks: ["exited 137 0 true 10485760"], mend: "its limit is 10 MB: raise its `memory`" },
    {
      name: "limit",
      looks: ["restarting 137 7 false 41943040"],
      mend: "its limit is 40 MB: raise its `memory`",
    },
    {
      name: "again",
      looks: ["running 0 0 false 10485760", "running 0 3 false 10485760"],
      mend: "its limit is 10 MB",
    },
    { name: "machine", looks: ["exited 137 0 true 0"], mend: "the machine has no more" },
  ])("says of one that ran out of memory ($name) what mends it", async ({ name, looks, mend }, {
    server,
    expect,
  }) => {
    const run = await wait(server, {}, { path: dockerSaying(name, ...looks) });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(`container container1 was killed for want of memory, so ${server.url("/")}`);
    expect(run.stderr).toContain(mend);
  });

  it("does not say so of one that stops by itself", async ({ server, expect }) => {
    const looks = ["running 0 0 false 0", "running 0 1 false 0"];
    const run = await wait(server, {}, { path: dockerSaying("itself", ...looks) });
    expect(run.stderr).toContain("stops and is started again and again");
    expect(run.stderr).not.toContain("memory");
  });

  it.for([
    { name: "thrashing", used: "98.71%", mend: "gets nowhere for want of memory" },
    { name: "idle", used: "12.50%", mend: "is not ready after" },
    { name: "child", used: "12.50%", killed: true, mend: "gets nowhere for want of memory" },
    { name: "unlimited", used: "98.71%", limit: 0, mend: "is not ready after" },
  ])("tells a limit at which nothing gets done from a server that hangs ($name)", async ({
    name,
    used,
    killed = false,
    limit = 52428800,
    mend,
  }, { server, expect }) => {
    const path = dockerSaying(name, `running 0 0 ${killed} ${limit}`);
    const run = await wait(server, { TIMEOUT: "1", MEMORY_USED: used }, { path });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(mend);
    expect(run.stderr.includes("its limit is 50 MB: raise its `memory`")).toBe(mend.includes("memory"));
  });

  it("limits the number of its processes to what leaves the machine some", async ({ server, expect }) => {
    server.serve("/api", JUPYTER);
    const path = dockerSaying("limited", "running 0 0");
    expect(await wait(server, {}, { path })).toMatchObject({ code: 0, stderr: "" });
    const [, most, name] =
      /^update --pids-limit (\d+) (\S+)\n$/.exec(
        readFileSync(join(scratch, "limited.looks.updates"), "utf8"),
      ) ?? [];
    expect(name).toBe("container1");
    const all = ["pid_max", "threads-max"].map((each) =>
      Number(readFileSync(`/proc/sys/kernel/${each}`, "utf8")),
    );
    expect(Number(most)).toBe(Math.min(32768, ...all.map((each) => Math.floor(each / 2))));
  });

  it("goes on where the daemon cannot limit them, and says so", async ({ server, expect }) => {
    server.serve("/api", JUPYTER);
    const run = await wait(server, { UPDATE_FAILS: "1" }, { path: dockerSaying("boundless", "running 0 0") });
    expect(run.code).toBe(0);
    expect(run.stderr).toContain(
      "its number of processes is not limited: Error response from daemon: no such control",
    );
  });

  it("announces no log where there is none", async ({ server, expect }) => {
    const run = await wait(server, { SILENT: "1" }, { path: dockerSaying("mute", "exited 128 0") });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/^notebook container1: container container1 has stopped with exit code 128/);
    expect(run.stderr).not.toContain("its log:");
  });

  it("gives up on one that is not there", async ({ server, expect }) => {
    const run = await wait(
      server,
      {},
      { path: dockerSaying("absent", "Error: No such container: container1") },
    );
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("there is no container container1");
  });

  it("goes on waiting where it runs, was restarted long ago, or the daemon does not say", async ({
    server,
    expect,
  }) => {
    server.serve("/api", JUPYTER, { faults: Array(6).fill({ kind: "status", status: 503 }) });
    const path = dockerSaying(
      "well",
      "Error: Cannot connect to the Docker daemon",
      "running 0 3",
      "running 0 3",
    );
    expect(await wait(server, {}, { path })).toMatchObject({ code: 0 });
  });
});
