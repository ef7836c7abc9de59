/** A lock between processes: a file that its holder keeps touching. */
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const HEARTBEAT = 2_000;
/** A holder that has not touched its lock for so long is dead: process ids are used again, touches are not. */
const STALE = 15_000;
const POLL = 250;

/** @see lock.d.mts */
export async function withLock(path, action, onWait = () => {}) {
  await acquire(path, onWait);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimesSync(path, now, now);
  }, HEARTBEAT);
  try {
    return await action();
  } finally {
    clearInterval(heartbeat);
    rmSync(path, { force: true });
  }
}

async function acquire(path, onWait) {
  for (let reported = false; ; ) {
    if (take(path)) return;
    const held = look(path);
    if (held === undefined) continue;
    if (held.age > STALE) {
      // Renamed rather than removed: of several that find it stale, one alone gets it out of the way.
      setAside(path);
      continue;
    }
    if (!reported) onWait(held.holder);
    reported = true;
    await sleep(POLL);
  }
}

function take(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  }
}

function look(path) {
  try {
    return { holder: readFileSync(path, "utf8"), age: Date.now() - statSync(path).mtimeMs };
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  }
}

function setAside(path) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  rmSync(aside, { force: true });
}
