/** What commands take, and refuse before anything else is done. They run in a checkout of their own. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { COMMANDS as PRODUCT } from "../../../cli/commands.ts";
import { createContext, ROOT } from "../../../cli/context.ts";
import { parseArgs } from "../../../cli/parse.ts";
import { helpText } from "../../../cli/program.ts";
import { runCommand } from "../../../cli/run-command.ts";
import { explain } from "../../../cli/system/failure.mjs";
import { DEVELOPMENT } from "../../../scripts/commands.ts";
import { writeDocs } from "../../../scripts/docs.ts";
import { scriptOf } from "../../../text/command-line.ts";
import { readPage } from "../../support/docs.ts";

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
const COMMANDS = { ...PRODUCT, ...DEVELOPMENT.commands };
const names = Object.keys(COMMANDS);
/** Those that are about a stack that is there. */
const ofStack = names.filter((name) => COMMANDS[name]?.stack === "there");
const strict = names.filter((name) => COMMANDS[name]?.passes === undefined);

let checkout: string;
beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "gpubox-args-"));
  writeFileSync(join(checkout, "Pulumi.yaml"), "name: gpubox\n");
  for (const stack of ["dev", "lab"])
    writeFileSync(join(checkout, `Pulumi.${stack}.yaml`), `config:\n  gpubox:root: ${checkout}/root\n`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

/** Runs a command of a person who has nothing but the checkout, and as yet no engine. */
async function run([name = "", ...args]: string[], more: Record<string, string> = {}) {
  const home = join(checkout, "home");
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home);
  for (const [key, value] of Object.entries(more)) vi.stubEnv(key, value);
  const env = { PATH: process.env.PATH, HOME: home, DOCKER_HOST: `unix://${home}/none.sock`, ...more };
  const printed = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const context = { ...createContext(env, checkout), interactive: false };
  const { status, tell } = await runCommand(name, args, context, COMMANDS).then(
    (code) => ({ status: code, tell: "" }),
    explain,
  );
  expect(readdirSync(home), "nothing was made").toEqual([]);
  return { status, stdout: printed.mock.calls.join(""), stderr: tell };
}

describe("the table of commands", () => {
  it("has every npm script, and every npm script is in it", () => {
    const calls = (commands: object, file: string) =>
      Object.keys(commands).map((name) => [scriptOf(name), `node ${file} ${name}`]);
    expect(scripts).toEqual(
      Object.fromEntries([
        ...calls(PRODUCT, "cli/gpubox.mjs"),
        ...calls(DEVELOPMENT.commands, "scripts/run.mjs"),
      ]),
    );
  });

  it("is the one of the documentation", () => {
    expect(() => writeDocs({ root: ROOT }, DEVELOPMENT, true)).not.toThrow();
    const stale = mkdtempSync(join(tmpdir(), "gpubox-docs-"));
    onTestFinished(() => rmSync(stale, { recursive: true }));
    mkdirSync(join(stale, "docs"));
    for (const page of ["docs/commands.md", "CONTRIBUTING.md"]) {
      const text = readFileSync(join(ROOT, page), "utf8");
      for (const name of Object.keys(page === "CONTRIBUTING.md" ? DEVELOPMENT.commands : PRODUCT))
        expect(text).toContain(COMMANDS[name]?.does);
      writeFileSync(join(stale, page), text.replace(/^\| `npm .*\n/m, ""));
    }
    expect(() => writeDocs({ root: stale }, DEVELOPMENT, true)).toThrow("run `npm run docs` and commit it");
  });

  it("takes what the documentation calls", () => {
    const called = readdirSync(join(ROOT, "docs"))
      .filter((file) => file.endsWith(".md"))
      .flatMap((file) => readPage(join("docs", file)).blocks)
      .filter(({ language }) => language === "sh")
      .map(({ text }) => text.replace(/#.*$/gm, ""))
      .flatMap((text) => [...text.matchAll(/\bnpm (?:run (?:-s )?)?([\w:-]+) -- ([^#;)\n"|]+)/g)]);
    expect(called.length).toBeGreaterThan(15);
    for (const [line, script, args = ""] of called) {
      const name = names.find((each) => scriptOf(each) === script) ?? "";
      const words = args
        .trim()
        .split(/\s+/)
        .map((word) => word.replace(/^'(.*)'$/, "$1"));
      expect(() => parseArgs(name, COMMANDS[name] as never, words, {}), line).not.toThrow();
    }
  });

  it.each(names)("has an example that %s takes", (name) => {
    const takes = COMMANDS[name] as (typeof COMMANDS)[string];
    expect(parseArgs(name, takes, takes.example?.split(" ") ?? [], {})).toBeDefined();
    expect(helpText(name, takes)).toMatch(/^Example:\n {2}npm /m);
  });
});

describe("a command", () => {
  it.each(names)("tells of itself with --help and does nothing: %s", async (name) => {
    const { status, stdout, stderr } = await run([name, "--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(helpText(name, COMMANDS[name] as never));
    expect(stdout).toMatch(/^Usage: npm /);
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    vi.restoreAllMocks();
    expect((await run([name, "-h"])).stdout).toBe(stdout);
    for (const option of Object.keys(COMMANDS[name]?.options ?? {})) expect(stdout).toContain(`--${option}`);
  });

  it.each(strict)("refuses what it does not know, before anything else: %s", async (name) => {
    const { status, stdout, stderr } = await run([name, "--nonsense"]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    const script = scriptOf(name);
    const help = `npm ${script === "start" ? "start" : `run ${script}`} -- --help`;
    expect(stderr).toBe(`${script}: there is no option --nonsense; \`${help}\` says what there is`);
  });

  it.each([
    [["status", "--jsn"], "status: there is no option --jsn: did you mean --json?"],
    [["status", "container1"], "status: it takes no container1"],
    [["url", "one", "two"], "url: it takes one NOTEBOOK, not one and two"],
    [["status", "--json=yes"], "status: --json takes no value"],
    [["check", "-s", "dev"], "test"],
    [["init", "--kind"], "init: --kind needs a value"],
    [
      ["init", "--address", "-oProxy"],
      "init: --address needs a value, and -oProxy looks like an option: if it is none, write --address=-oProxy",
    ],
    [["init", "--kind", "ssh", "--kind", "aws"], "init: --kind is given twice, with ssh and aws"],
    [["up", "--message"], "start: --message needs a value"],
    [["stop", "a\u001b[31m\nb", "--\u009bx"], 'stop: there is no option "--\\u009bx"'],
    [["url", "one\u001b[2J", "two\n"], 'not "one\\u001b[2J" and "two\\n"'],
    [["status", "-s", "a\u001b[31mb"], '-s "a\\u001b[31mb": no stack can be called that'],
  ])("refuses %j", async (args, message) => {
    const { status, stderr } = await run(args);
    expect(status).toBeGreaterThan(0);
    if (message !== "test") expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\p{Cc}/u);
  });

  it.each(["__proto__", "constructor", "toString"])("cannot be called %s", (name) => {
    const main = join(ROOT, "cli", "main.ts");
    const { status, stderr } = spawnSync(process.execPath, [main, name], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toContain(`there is no command ${name}; there are up, preview`);
  });

  it("of the engine gets its options in full, and nothing else", () => {
    const parsed = parseArgs(
      "up",
      COMMANDS.up as never,
      ["-yf", "-m", "-a message", "-slab", "--refresh=false"],
      {},
    );
    expect(parsed).toMatchObject({
      stack: "lab",
      rest: ["--yes", "--skip-preview", "--message=-a message", "--refresh=false"],
      options: { yes: true, message: "-a message" },
    });
  });

  it("of another program gets all there is", () => {
    const args = ["stack", "rm", "--force", "-s", "lab", "--help"];
    expect(parseArgs("pulumi", COMMANDS.pulumi as never, args, {})).toMatchObject({
      stack: "lab",
      rest: args,
    });
  });
});

describe("a stack", () => {
  it.each(ofStack)("that is not there is told in one way by %s", async (name) => {
    const { status, stdout, stderr } = await run([name, "-s", "nosuch"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe(
      `there is no stack nosuch: ${join(checkout, "Pulumi.nosuch.yaml")} does not exist. There is dev, lab; to create it: \`npm run init -- -s nosuch\``,
    );
  });

  it("of another project is not the one of the same name here", async () => {
    expect((await run(["status", "-s", "organization/other/lab"])).stderr).toContain(
      "there is no stack organization/other/lab here: this is the project gpubox, not other",
    );
  });

  it.each([
    "a b",
    "é",
    "-x",
    ".",
    "..",
    "../../etc/x",
    "a/b/c/d",
    "/lab",
    "lab/",
    "a\nb",
    "x".repeat(101),
    "x".repeat(300),
  ])("cannot be called %j, on any command", async (stack) => {
    for (const name of ["init", "status", "doctor", "pulumi"]) {
      const { status, stderr } = await run([
        name,
        "-s",
        stack,
        ...(name === "init" ? ["--kind", "local"] : []),
      ]);
      expect({ name, status }).toEqual({ name, status: 1 });
      expect(stderr).toMatch(/-s .*no stack can be called that|-s needs the name of a stack/);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    }
    expect(
      readdirSync(checkout)
        .filter((file) => file.startsWith("Pulumi."))
        .sort(),
    ).toEqual(["Pulumi.dev.yaml", "Pulumi.lab.yaml", "Pulumi.yaml"]);
  });

  it("cannot be called so by the environment either", async () => {
    expect((await run(["status"], { PULUMI_STACK: "../x" })).stderr).toContain(
      "PULUMI_STACK ../x: no stack can be called",
    );
  });
});

describe("what says to confirm", () => {
  it("names the stack, and all that was said", async () => {
    const { status, stderr } = await run(["destroy", "-s", "lab", "-m", "for good"]);
    expect(status).toBe(1);
    expect(stderr).toContain("confirm with `npm run destroy -- '--message=for good' --yes -s lab`");
  });

  it("names the stack that is meant by itself where the environment means another, and only there", async () => {
    expect((await run(["destroy"], { PULUMI_STACK: "" })).stderr).toContain("`npm run destroy -- --yes`");
    expect((await run(["destroy", "-s", "dev"], { PULUMI_STACK: "lab" })).stderr).toContain(
      "`npm run destroy -- --yes -s dev`",
    );
  });
});
