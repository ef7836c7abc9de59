/** Showing a page in the person's browser. */
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram, isExecutable } from "../system/path.ts";
import { capture, type Env } from "../system/run.ts";

/** How long a browser may take until it reads the page, in milliseconds. */
const PATIENCE_MS = 30_000;
/** The same where the disk does not note down that a file was read. */
const UNSEEN_MS = 10_000;
/** How long it may read: what looks first may be something that searches new files. */
const READING_MS = 3_000;
const POLL_MS = 100;

/** What an editor that shows another machine names as BROWSER: it hands an address over to that machine, which has not our files. */
const ELSEWHERE = /\/bin\/helpers\/browser[^/]*$/;

/** The program that opens a page, or undefined where there is no screen to show it on. */
export function browserProgram(env: Env, platform = process.platform): string | undefined {
  const isScreen = platform === "darwin" || env.DISPLAY || env.WAYLAND_DISPLAY || env.WSL_DISTRO_NAME;
  const names = [
    // Several may be named, as in a PATH.
    ...(env.BROWSER ?? "").split(delimiter).filter((name) => name && !ELSEWHERE.test(name)),
    ...(!isScreen ? [] : platform === "darwin" ? ["open"] : ["wslview", "xdg-open"]),
  ];
  const find = (name: string) =>
    isAbsolute(name) ? (isExecutable(name) ? name : undefined) : findProgram(name, env.PATH);
  return names.map(find).find((program) => program !== undefined);
}

/**
 * Shows a page whose address is a secret: what a program is started with, everybody on the machine can see, and so what listens
 * there, and would have to be asked first. The browser is given a file that only the person can read, which sends it on; it is
 * gone once it was read.
 *
 * @returns whether a browser read it
 */
export async function openBrowser(url: string, env: Env): Promise<boolean> {
  const program = browserProgram(env);
  if (program === undefined) return false;
  let folder: string;
  try {
    // A browser in a snap has a /tmp of its own, and sees of a home only what is not hidden; one in a flatpak is handed the file
    // by xdg-open.
    folder = mkdtempSync(join(env.HOME || homedir(), "gpubox-open-"));
  } catch {
    return false;
  }
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const removeAndEnd = (signal: NodeJS.Signals) => {
    remove();
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.once(signal, removeAndEnd);
  try {
    const file = join(folder, "notebook.html");
    writeFileSync(file, redirectPage(url), { mode: 0o600 });
    const read = untilRead(file);
    const ended = capture(program, [await addressFor(program, file, env)], { env });
    // Some browsers stay, others leave at once; what counts is that the page was read.
    const failed = ended.then(({ code }) => (code === 0 ? new Promise<never>(() => {}) : false));
    return await Promise.race([read, failed]);
  } finally {
    for (const signal of signals) process.off(signal, removeAndEnd);
    remove();
  }
}

/** What a program is told to open: a browser of Windows, started from a Linux beside it, has another name for the file. */
async function addressFor(program: string, file: string, env: Env): Promise<string> {
  if (!/\.exe$/i.test(program)) return file;
  const { code, stdout } = await capture("wslpath", ["-m", file], { env });
  return code === 0 ? `file:${stdout.trim()}` : file;
}

/** Whether a file is read in time; waits until that is done. */
async function untilRead(file: string): Promise<boolean> {
  const isRead = () => statSync(file, { throwIfNoEntry: false })?.atimeMs !== 0;
  // Most disks note down the first reading since the last change.
  const forget = () => utimesSync(file, 0, new Date());
  forget();
  readFileSync(file);
  if (!isRead()) {
    await sleep(UNSEEN_MS);
    return true;
  }
  forget();
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(POLL_MS)) {
    if (!isRead()) continue;
    await sleep(READING_MS);
    return true;
  }
  return false;
}

/** A page that leads to another, and does not stay in the browser's history. */
function redirectPage(url: string): string {
  const address = url.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
  return [
    "<!doctype html>",
    '<meta charset="utf-8">',
    '<meta name="referrer" content="no-referrer">',
    `<meta http-equiv="refresh" content="0; url=${address}">`,
    "<title>gpubox</title>",
    `<a href="${address}">To the notebook</a>`,
    "",
  ].join("\n");
}
