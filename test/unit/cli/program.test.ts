/** The program that the commands make up, as it is called: through npm's scripts, and by its own name. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { COMMANDS, PRODUCT } from "../../../cli/commands.ts";
import { completionScript } from "../../../cli/completion.ts";
import { createContext, ROOT } from "../../../cli/context.ts";
import { runProgram } from "../../../cli/run-command.ts";
import { explain } from "../../../cli/system/failure.mjs";
import { DEVELOPMENT } from "../../../scripts/commands.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-program-"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gpubox\n");
  writeFileSync(join(folder, "package.json"), '{"version":"1.2.3"}');
  for (const stack of ["dev", "lab"]) writeFileSync(join(folder, `Pulumi.${stack}.yaml`), "config: {}\n");
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

async function run(...argv: string[]) {
  const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const error = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const context = createContext({ HOME: folder, PATH: "", DOCKER_HOST: `unix://${folder}/none` }, folder);
  const { status, tell } = await runProgram(PRODUCT, argv, { ...context, interactive: false }).then(
    (code) => ({ status: code, tell: "" }),
    explain,
  );
  const [stdout, stderr] = [out.mock.calls.join(""), error.mock.calls.join("")];
  vi.restoreAllMocks();
  return { status, stdout, stderr: stderr + tell };
}

describe("the program", () => {
  it.each([
    ["--help"],
    ["-h"],
    ["help"],
    ["-s", "lab", "--help"],
  ])("tells of its commands with %s", async (...argv) => {
    const { status, stdout, stderr } = await run(...argv);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const name of Object.keys(COMMANDS)) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
    for (const name of Object.keys(DEVELOPMENT.commands))
      expect(stdout).not.toMatch(new RegExp(`^ {2}${name} `, "m"));
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("does so as well where it is given none, which is a misuse", async () => {
    const { status, stdout, stderr } = await run();
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("Usage: gpubox [-s STACK] COMMAND");
  });

  it.each([["--version"], ["-V"]])("says its version with %s", async (flag) => {
    expect(await run(flag)).toEqual({ status: 0, stdout: "gpubox 1.2.3\n", stderr: "" });
  });

  it.each([
    ["stat", "there is no command stat; there are up, preview"],
    ["statsu", "there is no command statsu: did you mean status?"],
    ["--nonsense", "there is no option --nonsense; there are up"],
    ["check", "there is no command check; there are up"],
  ])("refuses %s", async (word, message) => {
    const { status, stdout, stderr } = await run(word);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("knows a command by its other word", async () => {
    expect((await run("start", "--help")).stdout).toBe((await run("up", "--help")).stdout);
    expect((await run("help", "up")).stdout).toBe((await run("up", "--help")).stdout);
  });

  it.each([
    [["-s", "nosuch", "stop"]],
    [["--stack=nosuch", "stop"]],
    [["stop", "-s", "nosuch"]],
    [["stop", "--stack", "nosuch"]],
  ])("takes a stack before or after the command: %j", async (argv) => {
    expect((await run(...argv)).stderr).toContain("there is no stack nosuch");
  });

  it("refuses two stacks, and one for a command that is about none", async () => {
    expect((await run("-s", "lab", "stop", "-s", "dev")).stderr).toContain(
      "-s is given twice, with lab and dev",
    );
    expect((await run("-s", "lab", "completion", "bash")).stderr).toContain("there is no option -s");
  });
});

describe("the command gpubox", () => {
  /** Calls it by a link, as npm makes one. */
  const call = (env: Record<string, string>, ...args: string[]) => {
    mkdirSync(join(folder, "bin"), { recursive: true });
    const link = join(folder, "bin", "gpubox");
    rmSync(link, { force: true });
    symlinkSync(join(ROOT, "cli", "gpubox.mjs"), link);
    const { npm_lifecycle_event: _, ...own } = process.env;
    return spawnSync(link, args, { cwd: folder, encoding: "utf8", env: { ...own, HOME: folder, ...env } });
  };

  it("is on PATH where npm links it, finds its checkout, and writes commands as it was called", () => {
    const { status, stdout } = call({}, "stop", "--help");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Usage: gpubox stop \[options\]/);
    const { stderr } = call({}, "stop", "-s", "nosuch");
    expect(stderr).toContain(`${join(ROOT, "Pulumi.nosuch.yaml")} does not exist`);
    expect(stderr).toContain("to create it: `gpubox init -s nosuch`");
  });

  it("is called npx gpubox where that has it", () => {
    const { stderr } = call({ npm_lifecycle_event: "npx" }, "stop", "--nonsense");
    expect(stderr).toBe(
      "gpubox: stop: there is no option --nonsense; `npx gpubox stop --help` says what there is\n",
    );
  });

  it("is npm where a script of npm's starts it", () => {
    const file = join(ROOT, "cli", "gpubox.mjs");
    const { stdout } = spawnSync(process.execPath, [file, "up", "-h"], { encoding: "utf8" });
    expect(stdout).toMatch(/^Usage: npm start -- \[options\]/);
  });
});

describe("completion", () => {
  /** What bash offers for a line, the cursor at its end. */
  const offered = (line: string) => {
    const words = line.split(" ");
    const program = `${completionScript("bash", PRODUCT, folder)}
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}) COMP_CWORD=${words.length - 1}
      _gpubox; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", program], { encoding: "utf8" });
    expect(stderr.replace(/.*complete: .*\n/g, "")).toBe("");
    return stdout.trim().split("\n");
  };

  it("in bash has the commands, their options, and the stacks there are", () => {
    expect(offered("gpubox ")).toEqual(
      expect.arrayContaining([...Object.keys(COMMANDS), "start", "--version"]),
    );
    expect(offered("gpubox st")).toEqual(["start", "stop", "status"]);
    expect(offered("gpubox status --")).toEqual(["--stack", "--json", "--help"]);
    expect(offered("gpubox -s lab status --j")).toEqual(["--json"]);
    expect(offered("gpubox --stack lab status --j")).toEqual(["--json"]);
    expect(offered("gpubox stop -s ")).toEqual(["dev", "lab"]);
    expect(offered("gpubox --stack l")).toEqual(["lab"]);
    expect(offered("gpubox destroy --exclude-p")).toEqual(["--exclude-protected"]);
  });

  it.each(["zsh", "fish"])("for %s names every command and option", (shell) => {
    const script = completionScript(shell, PRODUCT, folder);
    for (const [name, { does, options = {} }] of Object.entries(COMMANDS)) {
      expect(script).toContain(name);
      expect(script).toContain(does.replaceAll("'", "'\\''"));
      for (const option of Object.keys(options)) expect(script).toContain(option);
    }
    expect(script).toContain("ls Pulumi.*.yaml");
    const { error, status, stderr } = spawnSync(shell, ["-n"], { input: script, encoding: "utf8" });
    if (!error) expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("is printed for the shell that is named, and no other", async () => {
    expect((await run("completion", "zsh")).stdout).toBe(completionScript("zsh", PRODUCT, folder));
    expect(await run("completion", "bsh")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("there is none for bsh: did you mean bash?"),
    });
    expect((await run("completion")).stderr).toContain("it needs the name of a shell: bash, zsh, fish");
  });
});
