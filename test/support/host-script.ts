/** Runs the scripts of `host-scripts/` as a host does: as text on standard input, with their parameters in the environment. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostScript, scriptCommand, scriptText } from "../../machine/scripts.ts";

/**
 * Where programs are looked for. The system's own come first: a version manager's shims only work in place, and one of theirs
 * starts some thirty processes before Python.
 */
const FOLDERS = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", ...(process.env.PATH ?? "").split(":")];

/** How a script ended. */
export interface ScriptResult {
  /** Exit code; undefined where a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

export interface RunningScript {
  /** Of the shell. */
  pid: number;
  result: Promise<ScriptResult>;
  /** Settles once the script has said this on stderr, or has ended. */
  said(pattern: RegExp): Promise<void>;
  /** SIGKILL: for the shell alone, or together with what it started. */
  kill(what: "shell" | "all"): void;
}

export interface ScriptOptions {
  /** Shell and its options; `sh` by default. */
  shell?: string[];
  /** PATH of the script; that of the tests by default, the system's own folders first. */
  path?: string;
  /** Runs as this user and group; only root can. */
  uid?: number;
}

/** Starts a script; nothing of the environment of the tests but PATH and HOME reaches it. */
export function startScript(
  script: HostScript,
  environment: Record<string, string>,
  options: ScriptOptions = {},
): RunningScript {
  const [shell = "sh", ...shellArgs] = options.shell ?? ["sh"];
  const child = spawn(shellPath(shell), [...shellArgs, "-c", scriptCommand(script)], {
    env: { PATH: options.path ?? FOLDERS.join(":"), HOME: tmpdir(), RETRY_DELAY: "0", ...environment },
    stdio: ["pipe", "pipe", "pipe"],
    // A process group of its own, so that all of it can be killed at once.
    detached: true,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  child.stdin?.on("error", () => {}).end(scriptText(script));
  const result = collect(child);
  return {
    pid: child.pid ?? 0,
    result,
    said: (pattern) => said(child, pattern),
    kill: (what) => kill(child, what),
  };
}

/** Runs a script to its end. */
export function runScript(
  script: HostScript,
  environment: Record<string, string>,
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  return startScript(script, environment, options).result;
}

function collect(child: ChildProcess): Promise<ScriptResult> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? undefined, stdout, stderr }));
  });
}

function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve) => {
    let text = "";
    child.stderr?.on("data", (more: string) => {
      text += more;
      if (pattern.test(text)) resolve();
    });
    child.on("close", () => resolve());
  });
}

function kill(child: ChildProcess, what: "shell" | "all"): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  process.kill(what === "all" ? -child.pid : child.pid, "SIGKILL");
}

/** Where a program lies, or undefined. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function shellPath(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`there is no ${name} on this machine`);
  return path;
}

/** What any host has: the shell, coreutils, and awk, grep, sed, find. */
const BASE =
  "awk basename cat chmod cp cut date df dirname du env find grep head id locale ls mkdir mktemp mv od printf readlink rm rmdir sed sha256sum sh sleep sort sync tail touch tr wc";

/** The programs of `names`, space-separated, that this machine lacks. */
export function missingPrograms(names: string): string[] {
  return names.split(" ").filter((name) => findProgram(name) === undefined);
}

/** A folder to use as PATH that holds the base programs and these, space-separated; those that are missing are left out. */
export function pathWith(folder: string, names: string): string {
  mkdirSync(folder, { recursive: true });
  for (const name of new Set(`${BASE} ${names}`.trim().split(/\s+/))) {
    const program = findProgram(name);
    if (program !== undefined && !existsSync(join(folder, name))) symlinkSync(program, join(folder, name));
  }
  return folder;
}

/**
 * Puts a program of a test's own into such a folder, with the text of its script. A link there leads to the machine's own program,
 * which would be written to in its place.
 */
export function pretend(folder: string, name: string, text: string): void {
  rmSync(join(folder, name), { force: true });
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755, flag: "wx" });
}

/**
 * Where a test file may make a folder of its own. Made in `beforeAll`, not where the file is read: a run whose filter leaves
 * nothing of the file runs none of its hooks, so neither the one that would remove it.
 */
export function temporaryPath(): string {
  return join(tmpdir(), `gpubox-test-${randomUUID()}`);
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** Every file below a folder with its text, keyed by its path; folders below are walked, links are not followed. */
export function filesBelow(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]),
  );
}

/**
 * Whether a test must be skipped because this machine lacks something; says so on the console.
 *
 * @throws Error where CI=true: there nothing may be skipped
 */
export function lacks(missing: boolean | string[], reason: string): boolean {
  const lacking = typeof missing === "boolean" ? missing : missing.length > 0;
  if (!lacking) return false;
  const what = typeof missing === "boolean" ? reason : `${reason}: no ${missing.join(", ")}`;
  if (process.env.CI === "true") throw new Error(`cannot be tested here, and CI may skip nothing: ${what}`);
  console.warn(`skipped: ${what}`);
  return true;
}
