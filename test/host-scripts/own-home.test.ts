import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it, vi } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

vi.setConfig({ testTimeout: 60_000 });

const scratch = ownFolder();

const PARAMETERS = {
  VOLUME: "home",
  HOME_IN: "/home/jupyter",
  IMAGE: "sha256:1",
  RUNS_AS: `${process.getuid?.()}:${process.getgid?.()}`,
  OWNER: "me",
  STACK: "gpubox/dev",
};

let runs = 0;
describe.each(["dash", "bash --posix"])("own-home.sh by %s", (command) => {
  const shell = command.split(" ");
  const skip = lacks(missingPrograms(`${shell[0]} tar`), "own-home.sh");
  const calls = join(scratch, `calls-${shell[0]}`);
  const copied = join(scratch, `copied-${shell[0]}.tar`);

  /** Runs it with a docker that writes its calls down, and what is copied. */
  async function own(fails = "", environment: Record<string, string> = {}, programs = {}) {
    const path = pathWith(join(scratch, `${shell[0]}-${++runs}`), "tar");
    for (const [name, text] of Object.entries<string>(programs)) pretend(path, name, text);
    for (const file of [calls, copied]) rmSync(file, { force: true });
    const body = [
      `echo "$*" >>'${calls}'`,
      `case $1 in ${fails || "none"}) echo "Error: no room" >&2; exit 1 ;; create) echo C1 ;; cp) cat >'${copied}' ;; esac`,
    ];
    pretend(path, "docker", body.join("\n"));
    const run = await runScript(
      "own-home.sh",
      { ...PARAMETERS, TMPDIR: scratch, ...environment },
      { path, shell },
    );
    expect(readdirSync(scratch).filter((name) => name.startsWith("tmp."))).toEqual([]);
    return { ...run, calls: existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [] };
  }

  it.skipIf(skip)("copies a folder of the person's onto the volume's, and starts nothing", async () => {
    const run = await own();
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.calls).toEqual([
      "create --network none --label gpubox.owner=me --label gpubox.stack=gpubox/dev --volume home:/home/jupyter sha256:1 none",
      "cp - C1:/home",
      "rm --force C1",
    ]);
    const { stdout } = await execa("tar", ["--numeric-owner", "-tvf", copied]);
    expect(stdout).toMatch(
      new RegExp(`^drwxr-xr-x ${process.getuid?.()}/${process.getgid?.()} .* jupyter/$`),
    );
  });

  it.skipIf(skip).each([
    ["a rootless daemon", { RUNS_AS: "0:0" }, "--user root"],
    ["one that remaps ids", { RUNS_AS: "4321:4321", USERNS: "host" }, "--user ada --userns host"],
    ["one that remaps ids, nameless", { RUNS_AS: "4321:4321", USERNS: "host" }, "--user 4321 --userns host"],
  ])("has %s make the folder the container's user's", async (which, environment, options) => {
    // As somebody else than who runs the tests.
    const id = `case $* in -un) ${which.endsWith("nameless") ? "exit 1" : "echo ada"} ;; *) echo 4321 ;; esac`;
    const run = await own("", environment, { id });
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.calls).toEqual([
      `create --network none ${options} --label gpubox.owner=me --label gpubox.stack=gpubox/dev --volume home:/home/jupyter sha256:1 none`,
      "cp -a - C1:/home",
      "rm --force C1",
    ]);
  });

  it.skipIf(skip).each(["create", "cp"])(
    "says what went wrong with docker %s, and leaves nothing",
    async (step) => {
      const run = await own(step);
      expect(run.code).toBe(1);
      expect(run.stderr).toBe("volume home: it could not be made yours: Error: no room\n");
      expect(run.calls.includes("rm --force C1")).toBe(step === "cp");
    },
  );

  it
    .skipIf(skip)
    .each<Record<string, string>>([
      { VOLUME: "--privileged" },
      { HOME_IN: "/" },
      { OWNER: "" },
      { RUNS_AS: "--privileged" },
      { RUNS_AS: "0" },
      { USERNS: "keep-id" },
    ])("refuses %j", async (wrong) => {
    const run = await own("", wrong);
    expect(run).toMatchObject({ code: 2, calls: [] });
    expect(run.stderr).toContain(Object.keys(wrong)[0]);
  });
});
