import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();

const INFO = "info*) echo D1 ;;";

describe.each(["dash", "bash --posix"])("remove-volume.sh by %s", (command) => {
  const shell = command.split(" ");
  const skip = lacks(missingPrograms(shell[0] as string), "remove-volume.sh");
  const calls = join(scratch, `calls-${shell[0]}`);

  /** Runs it with a docker that writes its calls down; `answers` are by their words. */
  async function remove(answers: string, environment: Record<string, string> = {}) {
    const path = pathWith(join(scratch, `${shell[0]}`), "");
    rmSync(calls, { force: true });
    const body = `echo "$*" >>'${calls}'\ncase $* in\n${answers}\nesac`;
    pretend(path, "docker", body);
    const parameters = { VOLUME: "home", OWNER: "me", DAEMON: "D1", ...environment };
    const run = await runScript("remove-volume.sh", parameters, { path, shell });
    const made = existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [];
    return { ...run, calls: made, removes: made.includes("volume rm home") };
  }
  const labels = (values: Record<string, string>) =>
    ["owner", "stack", "made-by"]
      .map((key) => `*inspect*gpubox.${key}*) echo '${values[key] ?? ""}' ;;`)
      .join("\n");

  it.skipIf(skip).each([
    ["the stack's", { owner: "me", stack: "gpubox/dev" }, true, ""],
    ["of before there were owners", { stack: "gpubox/dev" }, true, ""],
    ["another's", { owner: "other", "made-by": "bob@desk" }, false, "left, as it is another's (bob@desk)"],
    ["restored by hand", {}, false, "docker volume rm home"],
  ])("one that is %s goes or stays", async (_, values, removes, said) => {
    const run = await remove(`${INFO}\n${labels(values)}`);
    expect(run.code, run.stderr).toBe(0);
    expect(run.removes).toBe(removes);
    expect(run.stderr).toContain(said);
  });

  it.skipIf(skip)("is done where it is gone already, and leaves another daemon alone", async () => {
    const gone = await remove(
      `${INFO}\n*inspect*) echo 'Error response: no such volume: home' >&2; exit 1 ;;`,
    );
    expect(gone).toMatchObject({ code: 0, removes: false });
    const other = await remove(`info*) echo D2 ;;\n${labels({ owner: "me" })}`);
    expect(other).toMatchObject({ code: 0, removes: false });
    expect(other.stderr).toContain("another Docker daemon (D2) than the one the stack was put on (D1)");
  });

  it.skipIf(skip)("names what uses it, and fails", async () => {
    const { code, stderr } = await remove(
      `${INFO}\n'volume rm'*) echo 'volume is in use' >&2; exit 1 ;;\nps*) echo train ;;\n${labels({ owner: "me" })}`,
    );
    expect(code).toBe(1);
    expect(stderr).toContain("docker rm -f train");
  });

  it.skipIf(skip).each(["VOLUME", "OWNER", "DAEMON"])("asks for nothing with an empty %s", async (name) => {
    const { code, calls } = await remove(INFO, { [name]: "" });
    expect(code).toBe(2);
    expect(calls).toEqual([]);
  });
});
