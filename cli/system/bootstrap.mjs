/**
 * Installs the dependencies where they are missing or out of date, then hands over to a program of ours on the Node that came with
 * them, which strips TypeScript's types by itself. Runs on any Node from 20 on with nothing installed.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import module from "node:module";
import { constants, homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { explain, guard } from "./failure.mjs";
import { settleHome } from "./home.mjs";
import { withLock } from "./lock.mjs";
import { makePrivate } from "./private.mjs";
import { timeLeft } from "./time-left.mjs";

const OLDEST_NODE = 20;
/** From here on Node runs TypeScript by itself. */
const TYPESCRIPT_NODE = 24;

// What is made from here on, by npm, the engine and its plugins as well, others can at most read: much of it are programs.
process.umask(process.umask() | 0o022);

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const modules = join(root, "node_modules");
const bin = join(modules, ".bin");
/** Written last, and inside the folder that `npm ci` empties first: it is there only after a whole install. */
const marker = join(modules, ".gpubox-installed");

/** How long the last install took, in seconds. */
const lastInstall = join(root, ".gpubox", "install-seconds");

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** An error for the person to read as it is; see failure.mjs. */
function problem(message, status = 1) {
  return Object.assign(new Error(message), { forPerson: true, status });
}

function fail(error) {
  const { status, tell } = explain(error);
  process.stderr.write(`gpubox: ${tell}\n`);
  process.exit(status);
}

/** What the installed dependencies depend on; a change makes them out of date. */
function wanted() {
  const hash = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  return `${hash} ${process.platform}-${process.arch}\n`;
}

function isInstalled() {
  return existsSync(marker) && readFileSync(marker, "utf8") === wanted();
}

/** Runs npm quietly; its output is for the person only when it fails. It ends with this process. */
function npm(args) {
  // npm names itself to the scripts it starts; another package manager does so too, but has no `ci`.
  const cli = process.env.npm_execpath ?? "";
  const [command, ...first] = /npm-cli\.[cm]?js$/.test(cli) ? [process.execPath, cli] : ["npm"];
  return new Promise((resolve, reject) => {
    // A process group of its own: what npm itself started ends with it, and Ctrl-C reaches it by us alone.
    const child = spawn(command, [...first, ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let stopped;
    const stop = (signal) => {
      stopped = signal;
      // npm goes on after a gentler one; what it leaves half made, the next run removes.
      process.kill(-child.pid, "SIGKILL");
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("exit", () => {
      for (const signal of SIGNALS) process.off(signal, stop);
    });
    child.on("close", (code) => {
      if (stopped) {
        const status = 128 + constants.signals[stopped];
        return reject(problem("stopped; the next run installs the dependencies anew", status));
      }
      if (code === 0) return resolve();
      // npm goes on to list its options; what is wrong comes first.
      const [said] = output.trim().split("\nnpm error Usage:");
      reject(new Error(said || `npm ended with ${code}`));
    });
  });
}

async function install() {
  const started = Date.now();
  const what = "dependencies: installing with npm ci …";
  process.stderr.write(`${what} `);
  // A slow network makes this minutes, and nothing is silent for so long.
  const expected = expectedInstall();
  const ticker = setInterval(
    () => {
      const seconds = Math.round((Date.now() - started) / 1000);
      const text = `${seconds} s, ${timeLeft(seconds, expected)}`;
      // A terminal clears what is right of here.
      process.stderr.write(process.stderr.isTTY ? `\r${what} ${text}\u001b[K ` : `${text} … `);
    },
    process.stderr.isTTY ? 1_000 : 10_000,
  );
  try {
    // Whatever NODE_ENV or a person's npmrc says: the tests and checks are part of the project.
    await npm(["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
  } catch (error) {
    clearInterval(ticker);
    process.stderr.write("failed\n");
    if (error.forPerson) throw error;
    throw problem(
      `\`npm ci\` failed in ${root}; mend what it says and run the same again:\n${error.message}`,
    );
  }
  clearInterval(ticker);
  writeFileSync(marker, wanted());
  const took = ((Date.now() - started) / 1000).toFixed(1);
  writeFileSync(lastInstall, took);
  process.stderr.write(`done (${took} s)\n`);
}

/** As long as the last time; before that, what is usual with a quick and with a slow line. In seconds. */
function expectedInstall() {
  const last = existsSync(lastInstall) ? Number(readFileSync(lastInstall, "utf8")) : 0;
  return last > 0 ? { least: last, most: last } : { least: 20, most: 120 };
}

async function ensureInstalled() {
  if (isInstalled()) return;
  const own = join(root, ".gpubox");
  mkdirSync(own, { recursive: true });
  await withLock(
    join(own, "install.lock"),
    () => (isInstalled() ? undefined : install()),
    (holder) => process.stderr.write(`dependencies: waiting for process ${holder}, which installs them\n`),
  );
}

/** The Node that runs TypeScript: the one installed, or this one where npm was told to run no install scripts. */
function runtime() {
  const own = join(modules, "node", "bin", "node");
  if (existsSync(own)) return own;
  if (Number.parseInt(process.versions.node, 10) >= TYPESCRIPT_NODE) return process.execPath;
  throw problem(
    `npm did not install Node ${TYPESCRIPT_NODE} (ignore-scripts is set?): run \`npm rebuild node --ignore-scripts=false\` in ${root}`,
  );
}

/** Runs a program: in this process where it is the right one already, as under npm, since starting another takes as long. */
async function handOver(program, env) {
  const cache =
    process.env.GPUBOX_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "gpubox");
  const node = runtime();
  const additions = {
    PATH: [bin, process.env.PATH].join(delimiter),
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE || ownFolder(cache, "compile-cache"),
    ...env,
  };
  // Node reads the setting of a proxy only as it starts.
  if (!isThisProcess(node) || needsProxy()) return start(node, program, additions);
  Object.assign(process.env, additions);
  if (additions.NODE_COMPILE_CACHE) module.enableCompileCache(additions.NODE_COMPILE_CACHE);
  await import(pathToFileURL(program).href);
}

/** Whether a Node is the one that runs here. Where the system does not say which that is, `process.execPath` is what it was called. */
function isThisProcess(node) {
  try {
    return realpathSync(node) === realpathSync(process.execPath);
  } catch {
    return false;
  }
}

/** A folder of ours; undefined where there can be none, or others could change what is run from it. */
function ownFolder(...path) {
  try {
    for (const end of path.keys()) makePrivate(join(...path.slice(0, end + 1)));
    return join(...path);
  } catch {
    return undefined;
  }
}

/** Whether the person has set a proxy, which is for our own look-ups as well, and this process does not use it yet. */
function needsProxy() {
  const { NODE_USE_ENV_PROXY, ...env } = process.env;
  return (
    !NODE_USE_ENV_PROXY &&
    ["http", "https"].some((kind) => env[`${kind}_proxy`] || env[`${kind.toUpperCase()}_PROXY`])
  );
}

function start(node, program, additions) {
  const child = spawn(node, [program, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, ...additions, NODE_USE_ENV_PROXY: process.env.NODE_USE_ENV_PROXY || "1" },
  });
  const passOn = (signal) => {
    // Ctrl-C on a terminal reaches every process by itself; a second one would make the engine give up at once.
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, passOn);
  child.on("error", fail);
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

async function run(program, env) {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw problem(
      `Node ${process.versions.node} is too old; install Node ${OLDEST_NODE} or newer (https://nodejs.org/en/download) and run the same again`,
    );
  }
  settleHome();
  await ensureInstalled();
  await handOver(program, env);
}

/** @see bootstrap.d.mts */
export function bootstrap(program, env = {}) {
  guard(fail);
  // Not awaited at the top, where Node itself warns of a wait that has no end.
  run(join(root, program), env).catch(fail);
}
