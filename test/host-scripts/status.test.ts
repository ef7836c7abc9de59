/** What a stack's notebooks are at. Docker, the driver and Jupyter are pretended; the shell and curl are real. */

import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readUsage } from "../../cli/ui/usage.ts";
import { pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();
const tokens: (string | undefined)[] = [];
const KERNELS = '[{"execution_state": "idle", "last_activity": "2026-01-01T00:00:00Z"}]';
let answer = KERNELS;
/** Whether the answer is repeated for as long as somebody reads. */
let endless = false;
const jupyter = createServer((request, response) => {
  tokens.push(request.headers.authorization);
  if (endless)
    Readable.from(repeat(answer))
      .on("error", () => {})
      .pipe(response);
  else response.end(answer);
});
function* repeat(text: string) {
  for (;;) yield text;
}
beforeAll(async () => {
  for (const kind of ["code", "data"]) mkdirSync(join(folder, "root", kind), { recursive: true });
  writeFileSync(join(folder, "root", "data", "file"), "x".repeat(100_000));
  await new Promise<void>((resolve) => jupyter.listen(0, "127.0.0.1", resolve));
});
afterAll(() => void jupyter.close());

let runs = 0;
async function look(programs: Record<string, string>, more: Record<string, string> = {}) {
  const bin = pathWith(join(folder, `bin-${++runs}`), "timeout curl");
  for (const [name, text] of Object.entries(programs)) {
    pretend(bin, name, text);
  }
  const environment = { ROOT: join(folder, "root"), CONTAINERS: "container1 gone1", ...more };
  return await runScript("status.sh", environment, { path: bin });
}

/** One container that runs, and none else. */
const docker = (planted = "") => `case "$*" in
  "exec container1 /bin/sh"*) shift 2; ${planted} JUPYTER_TOKEN=secret JUPYTER_PORT=${(jupyter.address() as { port: number }).port} exec "$@" ;;
  inspect*container1) echo '"state":"running","health":"healthy","started":"2026-01-01T00:00:00Z","image":"sha256:1"' ;;
  "image inspect"*) echo 1000 ;;
  *) echo "Error: No such container: $*" >&2; exit 1 ;;
esac`;

describe("status.sh", () => {
  it("says what each container is at, and what the machine is", async () => {
    const { code, stdout, stderr } = await look({
      docker: docker(),
      "nvidia-smi": "echo '0, 37, 1200, 23034'; echo '1, [N/A], 0, 23034'",
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const usage = readUsage(stdout);
    expect(usage).toMatchObject({
      containers: [
        {
          name: "container1",
          state: "running",
          health: "healthy",
          imageBytes: 1000,
          kernels: [{ execution_state: "idle" }],
        },
        { name: "gone1", state: "gone", imageBytes: null, kernels: null },
      ],
      gpus: [{ index: 0, percent: 37, used: 1200, total: 23034 }],
    });
    expect(usage?.data).toBeGreaterThan(90);
    expect(usage?.data).toBeLessThan(1000);
    expect(tokens).toEqual(["token secret"]);
    expect(stdout).not.toContain("secret");
  });

  it("asks Jupyter by the image's curl, not by one that a notebook put where PATH leads", async () => {
    const planted = join(folder, "planted");
    mkdirSync(planted);
    for (const name of ["sh", "curl"]) pretend(planted, name, "echo '[]'");
    const { stdout } = await look({ docker: docker(`PATH=${planted}:$PATH`) });
    expect(readUsage(stdout)?.containers[0]?.kernels).toHaveLength(1);
  });

  it("says null of what it cannot find out, and waits for nothing for long", async () => {
    const began = Date.now();
    const { code, stdout } = await look(
      { docker: "sleep 60", "nvidia-smi": "sleep 60", du: "sleep 60" },
      { CONTAINERS: "a" },
    );
    expect(code).toBe(0);
    expect(readUsage(stdout)).toMatchObject({
      containers: [{ name: "a", state: "unknown", kernels: null }],
      gpus: [],
      code: null,
      data: null,
    });
    expect(Date.now() - began).toBeLessThan(9_000);
  }, 20_000);

  it("takes no more than a beginning of what a notebook answers", async () => {
    endless = true;
    answer = "[1]".repeat(100_000);
    try {
      const { stdout } = await look({ docker: docker() });
      expect(stdout.length).toBeLessThan(1_100_000);
      expect(readUsage(stdout)?.containers).toMatchObject([
        { state: "running", kernels: null },
        { state: "gone" },
      ]);
    } finally {
      endless = false;
      answer = KERNELS;
    }
  });

  it.each([
    "[null]",
    "[x]",
    '["]',
    '[]}],"gpus":[],"code":1,"data":1,"uptime":1}\n[]',
    '[]}],"gpus":[],"code":1,"data":1,"uptime":1}\n',
    '\\"\u0001\u2028\u00e9]',
    `[${KERNELS.slice(1, -1)},1]`,
    "[".repeat(300_000),
  ])("takes nothing for its own that a container answers: answer %#", async (text) => {
    answer = text;
    try {
      const { code, stdout } = await look({ docker: docker() });
      expect(code).toBe(0);
      const usage = readUsage(stdout);
      expect(usage?.containers).toMatchObject([
        { name: "container1", state: "running", kernels: null },
        { name: "gone1", kernels: null },
      ]);
      expect(usage?.data).toBeGreaterThan(90);
    } finally {
      answer = KERNELS;
    }
  });

  it("refuses what is no name", async () => {
    expect((await look({ docker: "exit 1" }, { CONTAINERS: "$(id)" })).stdout).not.toContain("uid=");
  });
});
