/** The idle stop, with a real Jupyter, a pretended GPU, and a machine that says when it would have stopped. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { pythonPackages } from "../../scripts/python-packages.ts";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";
import { freePort } from "../support/ports.ts";

const CHECK = new URL("../../host-scripts/idle-check.py", import.meta.url).pathname;
const TOKEN = "5ec2e7-t0ken";
const folder = ownFolder();
const requirements = new URL("../../docker/requirements-lab.txt", import.meta.url);

/** A line of the image's own lock file, so that the API is the one that the notebooks have. */
function locked(name: string): string {
  const version = new RegExp(`^${name}==(\\S+)`, "m").exec(readFileSync(requirements, "utf8"))?.[1];
  return `${name}==${version}`;
}

let port: number;
let jupyter: ReturnType<typeof spawn>;
// biome-ignore lint/suspicious/noExplicitAny: answers of Jupyter
const api = async (path: string, method = "GET"): Promise<any> => {
  const headers = { Authorization: `token ${TOKEN}` };
  const response = await fetch(`http://127.0.0.1:${port}/api/${path}`, { method, headers });
  return response.status === 204 ? undefined : await response.json();
};

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 240; tries++) {
    if (await what().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error("it did not come about in a minute");
}

const skipped = lacks(missingPrograms("python3 pip3"), "the idle stop is a Python program");

describe.skipIf(skipped)("idle-check.py", () => {
  beforeAll(async () => {
    const packages = await pythonPackages("jupyter", `${locked("jupyter-server")}\n${locked("ipykernel")}\n`);
    port = await freePort();
    jupyter = spawn(
      "python3",
      [
        "-m",
        "jupyter_server",
        "--allow-root",
        "--ServerApp.jpserver_extensions={'jupyter_server_terminals': True}",
        `--ServerApp.port=${port}`,
        `--ServerApp.root_dir=${folder}`,
      ],
      {
        env: { PATH: process.env.PATH, PYTHONPATH: packages, HOME: folder, JUPYTER_TOKEN: TOKEN },
        stdio: "ignore",
      },
    );
    await until(async () => Array.isArray(await api("kernels")));
  }, 300_000);
  afterAll(() => void jupyter?.kill("SIGKILL"));

  let at: string;
  let runs = 0;
  beforeEach(async () => {
    at = join(folder, String(++runs));
    for (const part of ["bin", "proc/1", "state"]) mkdirSync(join(at, part), { recursive: true });
    for (const { id } of await api("kernels")) await api(`kernels/${id}`, "DELETE");
    program("docker", `case $1 in ps) echo c1 ;; inspect) cat ${join(at, "inspect.json")} ;; esac`);
    program("nvidia-smi", "echo 3");
    program("shutdown", `echo "$@" > ${join(at, "stopped")}`);
    container();
    uptime(24);
    process_("1", "/sbin/init");
  });

  const program = (name: string, text: string) => pretend(pathWith(join(at, "bin"), "python3"), name, text);
  const container = (to = port) =>
    writeFileSync(
      join(at, "inspect.json"),
      JSON.stringify([
        {
          Name: "/container1",
          Config: { Env: ["JUPYTER_PORT=8888", `JUPYTER_TOKEN=${TOKEN}`] },
          NetworkSettings: { Ports: { "8888/tcp": [{ HostIp: "0.0.0.0", HostPort: String(to) }] } },
        },
      ]),
    );
  const uptime = (hours: number) => writeFileSync(join(at, "proc/uptime"), `${hours * 3600}.0 1.0\n`);
  const process_ = (pid: string, title: string) => {
    mkdirSync(join(at, "proc", pid), { recursive: true });
    writeFileSync(join(at, "proc", pid, "cmdline"), `${title}\0`);
  };
  /** As if this was the last time that somebody was seen. */
  const lastSeen = (minutesAgo: number) => {
    const mark = join(at, "state/last-used");
    writeFileSync(mark, "");
    utimesSync(mark, new Date(), new Date(Date.now() - minutesAgo * 60_000));
  };
  const options = (change: Record<string, string> = {}) => ({
    encoding: "utf8" as const,
    env: {
      PATH: join(at, "bin"),
      STOP_AFTER: "30",
      MAX_HOURS: "",
      GPU: "1",
      STATE: join(at, "state"),
      PROC: join(at, "proc"),
      ...change,
    },
  });
  const outcome = (output: string) => {
    expect(output).not.toContain(TOKEN);
    return { output, stopped: existsSync(join(at, "stopped")) };
  };
  const check = (change: Record<string, string> = {}) =>
    outcome(execFileSync("python3", [CHECK], options(change)));
  /** The same, for what this very process has to answer meanwhile. */
  const checkLater = async () => outcome((await promisify(execFile)("python3", [CHECK], options())).stdout);

  it("stops a machine that nobody has used for as long as was asked for", () => {
    lastSeen(31);
    const { output, stopped } = check();
    expect(stopped).toBe(true);
    expect(output).toContain("not used for 31 minutes: stopping this machine");
    expect(readFileSync(join(at, "stopped"), "utf8")).toBe("-h now\n");
  });

  it("waits until then", () => {
    lastSeen(29);
    expect(check()).toEqual({ output: "not used for 29 of 30 minutes\n", stopped: false });
  });

  it("counts from ten minutes after the start", () => {
    uptime(0.25);
    expect(check().stopped).toBe(false);
    expect(check({ STOP_AFTER: "5" }).stopped).toBe(true);
  });

  it("never stops when told so", () => {
    lastSeen(1000);
    expect(check({ STOP_AFTER: "never" }).stopped).toBe(false);
  });

  it("stops after the hours that were set, busy or not", () => {
    process_("7", "sshd: ubuntu@pts/0");
    expect(check({ MAX_HOURS: "25" }).stopped).toBe(false);
    expect(check({ MAX_HOURS: "24", STOP_AFTER: "never" }).stopped).toBe(true);
  });

  it.each([
    ["5", false],
    ["100", false],
    ["4", true],
  ])("takes a GPU at %s percent as use from 5 on", (percent, stopped) => {
    lastSeen(31);
    program("nvidia-smi", `echo 0; echo ${percent}`);
    expect(check().stopped).toBe(stopped);
  });

  it("looks at no GPU where there is none", () => {
    lastSeen(31);
    program("nvidia-smi", "exit 9");
    expect(check({ GPU: "" }).stopped).toBe(true);
  });

  it.each([
    ["sshd: ubuntu@pts/0", false],
    ["sshd-session: ubuntu@notty", false],
    ["sshd: ubuntu [priv]", true],
    ["sshd: ubuntu", true],
  ])("takes %s as it is", (title, stopped) => {
    lastSeen(31);
    process_("7", title);
    expect(check().stopped).toBe(stopped);
  });

  it.each<[string, () => void]>([
    ["the GPU", () => program("nvidia-smi", "echo '[N/A]'")],
    ["the daemon", () => program("docker", "exit 1")],
    ["a notebook that does not answer", () => container(1)],
    ["a container without a token", () => writeFileSync(join(at, "inspect.json"), '[{"Config":{"Env":[]}}]')],
  ])("takes as busy what cannot be read: %s", (_name, harm) => {
    lastSeen(31);
    harm();
    const { output, stopped } = check();
    expect(stopped).toBe(false);
    expect(output).toContain("cannot be read");
  });

  it("looks at a server without terminals as at any other", async () => {
    lastSeen(31);
    let terminals = 404;
    const server = createHttpServer((request, response) => {
      response.writeHead(request.url === "/api/kernels" ? 200 : terminals).end("[]");
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    container((server.address() as { port: number }).port);
    expect((await checkLater()).stopped).toBe(true);
    rmSync(join(at, "stopped"));
    terminals = 500;
    lastSeen(31);
    expect((await checkLater()).stopped).toBe(false);
  });

  it("goes on counting from when it was busy last", () => {
    lastSeen(31);
    program("nvidia-smi", "echo 80");
    expect(check().output).toContain("a GPU is used (80 %)");
    program("nvidia-smi", "echo 0");
    expect(check().output).toBe("not used for 0 of 30 minutes\n");
  });

  it("stops with an idle kernel whose memory is still held, once it was not used for long enough", async () => {
    lastSeen(31);
    await api("kernels", "POST");
    expect(check().stopped).toBe(false);
    await until(async () => {
      rmSync(join(at, "state/last-used"));
      return check({ STOP_AFTER: "0.01" }).stopped;
    });
  });

  it("does not stop while a kernel computes, however long", async () => {
    const { id } = await api("kernels", "POST");
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/kernels/${id}/channels?token=${TOKEN}`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const header = { msg_id: "1", msg_type: "execute_request", username: "", session: "s", version: "5.3" };
    const content = { code: "import time; time.sleep(60)", silent: false };
    socket.send(JSON.stringify({ channel: "shell", header, parent_header: {}, metadata: {}, content }));
    await until(async () => (await api("kernels"))[0].execution_state === "busy");
    // Longer than the machine may be idle.
    await new Promise((resolve) => setTimeout(resolve, 700));
    lastSeen(31);
    const { output, stopped } = check({ STOP_AFTER: "0.01" });
    socket.close();
    expect(stopped).toBe(false);
    expect(output).toContain("a kernel of container1 computes");
  });
});

describe("install-idle-stop.sh", () => {
  const install = (change: Record<string, string> = {}) =>
    runScript("install-idle-stop.sh", {
      CHECK: "print('hello')",
      STOP_AFTER: "60",
      MAX_HOURS: "",
      GPU: "1",
      PREFIX: join(folder, "root"),
      ...change,
    });
  const installed = (path: string) => readFileSync(join(folder, "root", path), "utf8");

  it("puts the program and its timer there", async () => {
    const { code, stdout } = await install();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "stops after 60 minutes without use\n" });
    expect(installed("usr/local/lib/gpubox/idle-check.py")).toBe("print('hello')\n");
    expect(installed("usr/local/lib/gpubox/idle.conf")).toBe("STOP_AFTER=60\nMAX_HOURS=\nGPU=1\n");
    expect(installed("etc/systemd/system/gpubox-idle.service")).toContain(
      "EnvironmentFile=/usr/local/lib/gpubox/idle.conf\n",
    );
    expect(installed("etc/systemd/system/gpubox-idle.timer")).toContain("OnUnitActiveSec=60\n");
  });

  it("leaves systemd's units as they are where the minutes alone change, as a reload takes GPUs from notebooks", async () => {
    await install();
    const units = () =>
      ["service", "timer"].map(
        (kind) => statSync(join(folder, "root/etc/systemd/system", `gpubox-idle.${kind}`)).ino,
      );
    const before = units();
    expect((await install({ STOP_AFTER: "20" })).code).toBe(0);
    expect(installed("usr/local/lib/gpubox/idle.conf")).toContain("STOP_AFTER=20\n");
    expect(units()).toEqual(before);
  });

  it("says what was asked for", async () => {
    expect((await install({ STOP_AFTER: "never" })).stdout).toBe("does not stop by itself\n");
    expect((await install({ MAX_HOURS: "12" })).stdout).toBe(
      "stops after 60 minutes without use, and after 12 hours in any case\n",
    );
  });

  it.each<Record<string, string>>([
    { STOP_AFTER: "soon" },
    { STOP_AFTER: "" },
    { MAX_HOURS: "x" },
    { CHECK: "" },
  ])("refuses %o", async (change) => {
    expect((await install(change)).code).toBe(2);
  });
});
