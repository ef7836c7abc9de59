/** What a person reads of an error, and where the rest of it is kept. Runs on any Node from 20 on with nothing installed. */
import { accessSync, constants, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

/** How to fix it, and what else helps where it is one of gpubox's own folders. */
const SPACE = [
  "`df -h` shows which disk",
  ", and GPUBOX_HOME and GPUBOX_CACHE may name folders on another one",
];
const RIGHTS = [
  "check its owner with `ls -ld`",
  ", or let GPUBOX_HOME and GPUBOX_CACHE name folders that you may write to",
];

/** What the system's error codes mean, and how to fix them. */
const SYSTEM = {
  EACCES: [`permission denied: ${RIGHTS[0]}`, RIGHTS[1]],
  EPERM: [`permission denied: ${RIGHTS[0]}`, RIGHTS[1]],
  EROFS: [`its disk is read-only: ${RIGHTS[0]}`, RIGHTS[1]],
  ENOSPC: [`the disk is full: ${SPACE[0]}`, SPACE[1]],
  EDQUOT: [`your disk quota is used up: ${SPACE[0]}`, SPACE[1]],
  EIO: ["the disk reports errors: `sudo dmesg | tail` shows them"],
  EMFILE: ["too many files are open: raise the limit with `ulimit -n 4096`"],
  ENFILE: ["too many files are open on this machine: end some programs"],
  ENOTDIR: ["part of its path is a file, not a folder"],
  EISDIR: ["it is a folder"],
  ELOOP: ["its links form a loop"],
};

/** The checkout that this file is part of, as paths in it begin. */
const CLONE = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A clone is written to by all that is installed and kept in it, so a folder elsewhere does not help. */
const NOT_YOURS = `you cannot write to this clone: clone it into a folder of yours, \`git clone ${CLONE} ~/gpubox\`, and continue there`;
const UNWRITABLE = ["EACCES", "EPERM", "EROFS"];

const isInClone = (path = "") => path === CLONE || path.startsWith(`${CLONE}${sep}`);

/** What is thrown where Ctrl-C answers a question: by Node's own, and by @inquirer's. */
const isInterrupted = ({ name, message }) =>
  name === "ExitPromptError" || (name === "AbortError" && message.startsWith("Aborted with Ctrl+"));

/** @see failure.d.mts */
export function explain(thrown) {
  const error = thrown instanceof Object ? thrown : new Error(String(thrown));
  if (isInterrupted(error)) return { status: 130, tell: "stopped" };
  if (error.forPerson || error.__pulumiRunError) return { status: error.status ?? 1, tell: error.message };
  const tell = ofMissingModule(error) ?? ofDaemon(error) ?? ofSystem(error);
  return tell === undefined ? unexpected(error) : { status: 1, tell };
}

/** A dependency, or a file of ours, that went missing after it was put there. */
function ofMissingModule({ code, message }) {
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") return undefined;
  const [what] = message.split("\n");
  return `${what}: this checkout is incomplete: \`npm ci --include=dev\` reinstalls its dependencies, and \`git status\` shows which of its own files are missing`;
}

/** The daemon's answer to a request that it did not like. */
function ofDaemon({ statusCode, message }) {
  if (typeof statusCode !== "number") return undefined;
  // dockerode puts the status before what the daemon said.
  const said = message.replace(/^\(HTTP code \d+\) [^-]*- /, "").trim();
  return `the Docker daemon answered: ${said} (HTTP ${statusCode}); \`${doctor}\` checks what a stack needs`;
}

function ofSystem({ code, syscall, path, dest, address, port, message }) {
  if (syscall === "connect") {
    const where = [address, port].filter(Boolean).join(":");
    return `nothing answers at ${where} (${code}): is it running, and may you use it? \`${doctor}\` checks what a stack needs`;
  }
  if (code === "ENOENT" && syscall?.startsWith("spawn"))
    return `there is no program \`${path}\` on PATH: install it`;
  if (code === "EPIPE" || code === "ECONNRESET") return `a connection was lost (${code}): try again`;
  // Node says so of a folder that could not be made on the way to it.
  const reason = code === "ENOENT" && syscall === "mkdir" ? whyNotInside(path) : code;
  const known = Object.hasOwn(SYSTEM, reason) ? SYSTEM[reason] : undefined;
  const words = isInClone(path) && UNWRITABLE.includes(reason) ? [NOT_YOURS] : known;
  if (!words || !syscall) return undefined;
  const what = [path, dest].filter(Boolean).join(" and ") || message;
  const [fix, orElse = ""] = words;
  return `${what} (${syscall}): ${fix}${[path, dest].some(isOurs) ? orElse : ""} (${reason})`;
}

/** Whether a path is one that the person chooses by GPUBOX_HOME or GPUBOX_CACHE, or the way to it; see context.ts. */
function isOurs(path) {
  const { GPUBOX_HOME, GPUBOX_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  const user = HOME || homedir();
  const own = [
    GPUBOX_HOME || join(user, ".gpubox"),
    GPUBOX_CACHE || join(XDG_CACHE_HOME || join(user, ".cache"), "gpubox"),
  ];
  return (
    typeof path === "string" &&
    own.some((each) => `${path}/`.startsWith(`${each}/`) || `${each}/`.startsWith(`${path}/`))
  );
}

/** The code that says why nothing can be made where a path would be; undefined where something can. */
function whyNotInside(path) {
  try {
    accessSync(dirname(path), constants.W_OK);
    return undefined;
  } catch ({ code }) {
    return code === "ENOENT" ? whyNotInside(dirname(path)) : code;
  }
}

function unexpected(error) {
  return {
    status: 1,
    tell: [
      `unexpected error: ${error.message || error.name || inspect(error)}`,
      keep(inspect(error, { depth: 4 })),
      `  \`${doctor}\` checks what a stack needs. To report the error, send that file to where you cloned gpubox from (\`git remote -v\`); read it first: it may name your folders and machines`,
    ].join("\n"),
  };
}

/** Writes what is known of an error where its owner alone can read it. @returns a line that says where */
function keep(text) {
  const home = process.env.GPUBOX_HOME || join(process.env.HOME || homedir(), ".gpubox");
  // Not the arguments: a secret may be among them.
  const about = `gpubox ${process.argv[2] ?? ""}, Node ${process.version}, ${process.platform} ${process.arch}`;
  const name = `${new Date().toISOString().replaceAll(":", "-")}-${process.pid}.log`;
  const folders = [
    () => {
      const folder = join(home, "errors");
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return folder;
    },
    () => mkdtempSync(join(tmpdir(), "gpubox-error-")),
  ];
  for (const folder of folders) {
    try {
      const file = join(folder(), name);
      writeFileSync(file, `${about}\n${text}\n`, { flag: "wx", mode: 0o600 });
      return `  details: ${file}`;
    } catch {
      // The other one, then.
    }
  }
  return `  its details could be written neither below ${home} nor below ${tmpdir()}`;
}

let doctor = "npm run doctor";

/** @see failure.d.mts */
export function lookWith(command) {
  doctor = command;
}

let tell;

/** @see failure.d.mts */
export function guard(onError) {
  const first = tell === undefined;
  tell = onError;
  if (!first) return;
  // Whoever read what we print has read enough (`| head -1`): what was begun goes on.
  for (const [what, stream] of [
    ["what is printed", process.stdout],
    ["what is said", process.stderr],
  ]) {
    stream.on("error", (error) => {
      if (error.code !== "EPIPE") throw Object.assign(error, { path: what });
    });
  }
  // Rejections that nobody waits for come here as well.
  process.on("uncaughtException", (error) => tell(error));
}
