import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();

const OURS = "--quiet --filter label=gpubox.owner=me";

describe.each(["dash", "bash --posix"])("teardown.sh by %s", (command) => {
  const shell = command.split(" ");
  const skip = lacks(missingPrograms(shell[0] as string), "teardown.sh");
  const calls = join(scratch, `calls-${shell[0]}`);

  /** Runs it with a docker that writes its calls down; `answers` are by their first word. */
  async function tearDown(answers: string, environment: Record<string, string> = {}, docker = true) {
    const path = pathWith(join(scratch, `${shell[0]}-${docker}`), "");
    rmSync(calls, { force: true });
    const body = `echo "$*" >>'${calls}'\ncase $* in\n${answers}\nesac`;
    if (docker) pretend(path, "docker", body);
    const parameters = { STACK: "gpubox/lab", OWNER: "me", DAEMON: "D1", ...environment };
    const run = await runScript("teardown.sh", parameters, { path, shell });
    return { ...run, calls: existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [] };
  }

  it.skipIf(skip)(
    "removes what carries both labels: containers, stopped first, networks, volumes",
    async () => {
      const { code, stderr, calls } = await tearDown(
        "info*) echo D1 ;; ps*) printf 'c1\\nc2\\n' ;; 'network ls'*) echo n1 ;; 'volume ls'*) printf 'v1\\nv2\\n' ;;",
      );
      expect(code, stderr).toBe(0);
      expect(calls.slice(1)).toEqual([
        `ps --all --no-trunc ${OURS}`,
        "stop --time 20 c1 c2",
        "rm --force --volumes c1 c2",
        `network ls ${OURS}`,
        "network rm n1",
        `volume ls ${OURS}`,
        "volume rm v1 v2",
      ]);
      expect(stderr).toContain("removed: 2 containers, 1 networks, 2 volumes");
    },
  );

  it.skipIf(skip)("removes nothing where there is nothing", async () => {
    const { code, stderr, calls } = await tearDown("info*) echo D1 ;;");
    expect(code).toBe(0);
    expect(calls.some((call) => / rm |^rm |^stop /.test(call))).toBe(false);
    expect(stderr).toContain("removed: 0 containers, 0 networks, 0 volumes");
  });

  it.skipIf(skip)("leaves another daemon alone", async () => {
    const { code, stderr, calls } = await tearDown("info*) echo D2 ;; ps*) echo c1 ;;");
    expect(code).toBe(0);
    expect(calls).toHaveLength(1);
    expect(stderr).toContain("another Docker daemon (D2) than the one the stack was put on (D1)");
  });

  it.skipIf(skip)("fails where the daemon does not answer, and says what to do", async () => {
    const { code, stderr, calls } = await tearDown("info*) echo 'Cannot connect' >&2; exit 1 ;;");
    expect(code).toBe(1);
    expect(calls).toHaveLength(1);
    expect(stderr).toMatch(/Cannot connect[\s\S]*systemctl start docker/);
  });

  it.skipIf(skip)("fails when Docker cannot remove something", async () => {
    const { code } = await tearDown(
      "info*) echo D1 ;; 'volume ls'*) echo v1 ;; 'volume rm'*) echo 'volume is in use' >&2; exit 1 ;;",
    );
    expect(code).toBe(1);
  });

  it.skipIf(skip)("is done where Docker is gone altogether", async () => {
    const { code, stderr } = await tearDown("", {}, false);
    expect(code).toBe(0);
    expect(stderr).toContain("not installed here any more");
  });

  it.skipIf(skip).each(["STACK", "OWNER", "DAEMON"])("asks for nothing with an empty %s", async (name) => {
    const { code, calls } = await tearDown("info*) echo D1 ;; ps*) echo c1 ;;", { [name]: "" });
    expect(code).toBe(2);
    expect(calls).toEqual([]);
  });
});
