/** `npm run check`: everything that needs no daemon; with `--no-tests` what is left beside the tests. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Args } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import type { Program, Run } from "../cli/program.ts";
import { canInstall, inspectMachine, installPackages } from "../cli/system/packages.ts";
import { findSystemProgram } from "../cli/system/path.ts";
import { capture, type Env } from "../cli/system/run.ts";
import { formatSeconds, say } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";
import { writeDocs } from "./docs.ts";
import { pythonPackages } from "./python-packages.ts";
import { writeSchema } from "./schema.ts";

/** Folders with nothing of ours in them. */
const NOT_OURS = new Set(["node_modules", ".git", ".gpubox"]);

/** Folders with the data program's Python. */
const PYTHON = [join("host-scripts", "gpubox_data"), join("test", "data-program")];

interface Verdict {
  ok: boolean;
  output: string;
}

type Check = () => Promise<Verdict>;

/** The command, which looks at the pages of these commands as well. */
export const check =
  (development: Program): Run =>
  (context, args) =>
    checkAll(context, args, development);

async function checkAll(context: Context, args: Args, development: Program): Promise<number> {
  const tool = (name: string, ...args: string[]): Check =>
    run(context, join("node_modules", ".bin", name), args);
  const checks: Record<string, Check> = {
    biome: tool("biome", "check", "."),
    types: tool("tsc", "--noEmit"),
    shellcheck: await shellcheck(context),
    ...(await pythonChecks(context)),
    schema: () => verdict(() => writeSchema(context, true)),
    docs: () => verdict(async () => writeDocs(context, development, true)),
  };
  if (!args.options["no-tests"]) {
    checks.tests = tool(
      "vitest",
      "run",
      "--project",
      "unit",
      "--project",
      "contract",
      "--project",
      "data-program",
      "--reporter",
      "dot",
    );
  }
  const verdicts = Object.entries(checks).map(async ([name, action]) => {
    const started = performance.now();
    const { ok, output } = await action();
    say(`${name}: ${ok ? "ok" : "failed"} (${formatSeconds((performance.now() - started) / 1000)})`);
    if (!ok) say(output.trim());
    return ok;
  });
  return (await Promise.all(verdicts)).every(Boolean) ? 0 : 1;
}

function run({ env, root }: Context, file: string, args: string[]): Check {
  return async () => {
    const { code, stdout, stderr } = await capture(file, args, { env: uncoloured(env), cwd: root });
    return { ok: code === 0, output: `${stdout}\n${stderr}` };
  };
}

const uncoloured = (env: Env): Env => ({ ...env, NO_COLOR: "1" });

async function verdict(action: () => Promise<unknown>): Promise<Verdict> {
  try {
    await action();
    return { ok: true, output: "" };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ok: false, output: error.message };
  }
}

/** shellcheck is no npm package: installed where it can be, asked for in CI, left out elsewhere. */
async function shellcheck(context: Context): Promise<Check> {
  const { env, root } = context;
  const scripts = shellScripts(root);
  if (scripts.length === 0) return async () => ({ ok: true, output: "" });
  const there = () => findSystemProgram("shellcheck", env.PATH) !== undefined;
  if (!there()) await installWhereItCanBe(context, "shellcheck");
  if (there()) return run(context, "shellcheck", ["--external-sources", ...scripts]);
  const missing = "shellcheck is not installed: run `sudo apt-get install shellcheck` (or your system's own)";
  if (!env.CI) say(`${missing}; shell scripts are not checked`);
  return async () => ({ ok: !env.CI, output: missing });
}

async function installWhereItCanBe(context: Context, ...packages: string[]): Promise<void> {
  const machine = await inspectMachine(context);
  if (machine.root && canInstall(machine)) await installPackages(context, machine, packages);
}

/** The data program's Python, by what `pyproject.toml` says of it. The tools come from PyPI: asked for in CI, left out where they cannot be had. */
async function pythonChecks(context: Context): Promise<Record<string, Check>> {
  const { env, root } = context;
  const pip = await capture("python3", ["-m", "pip", "--version"], { env });
  if (pip.code !== 0) await installWhereItCanBe(context, "python3", "python3-pip");
  const list = readFileSync(join(root, "scripts", "python-checks.txt"), "utf8");
  const installed = pythonPackages("python-checks", list, context);
  // Each check that wants it is told.
  installed.catch(() => {});
  const tool =
    (file: (folder: string) => string, ...args: string[]): Check =>
    async () => {
      try {
        const folder = await installed;
        return await run({ ...context, env: { ...env, PYTHONPATH: folder } }, file(folder), args)();
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (!env.CI) say(`${error.message}; Python is not checked`);
        return { ok: !env.CI, output: error.message };
      }
    };
  const ruff = (folder: string) => join(folder, "bin", "ruff");
  return {
    ruff: tool(ruff, "check", "--quiet", ...PYTHON),
    "ruff format": tool(ruff, "format", "--check", "--quiet", ...PYTHON),
    mypy: tool(() => "python3", "-m", "mypy", "--no-error-summary"),
  };
}

/** Every file below a folder that is a shell script by its ending or its first line. */
export function shellScripts(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : shellScripts(path);
    return entry.isFile() && isShellScript(path) ? [path] : [];
  });
}

function isShellScript(path: string): boolean {
  if (path.endsWith(".sh")) return true;
  // Scripts without an ending are few and small; anything else is not worth reading.
  if (/\.[a-z0-9]+$/i.test(path)) return false;
  return /^#!\/(usr\/)?bin\/(env )?(sh|bash|dash)\b/.test(readFileSync(path, "utf8").slice(0, 64));
}
