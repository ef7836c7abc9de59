/** A data set of many files whose script is killed again and again, until it may end. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { zip } from "./archives.ts";
import type { datasetHost } from "./dataset-host.ts";
import { removeFolder } from "./host-script.ts";
import { attempts, type Kill, killed, killsText } from "./killed-script.ts";

const COUNT = 600;
const text = (n: number) => `${n} `.repeat(1000);
export const many = zip(
  Array.from({ length: COUNT }, (_, n) => ({
    path: `set/${n % 7}/${n}.txt`,
    content: text(n),
    deflated: n % 2 === 0,
  })),
);
const whole = Object.fromEntries(Array.from({ length: COUNT }, (_, n) => [`${n % 7}/${n}.txt`, text(n)]));

/** Processes that were started for a root: all of them inherit ROOT. */
function processesOf(root: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`ROOT=${root}`);
      } catch {
        return false; // it has ended, or is not ours
      }
    });
}

/** Puts `many` in place on a host, killed on the way, and holds what is there against what may be. */
export async function expectConvergence(
  host: ReturnType<typeof datasetHost>,
  { known, kills }: { known: boolean; kills: Kill[] },
): Promise<void> {
  const { at, dataIn } = host;
  const after = `killed: ${killsText(kills)}`;
  const wanted = known ? { bytes: many } : {};
  host.server.serve("/set.zip", many, { rate: 1_500_000, etag: '"1"' });
  // One that is complete is begun again: with what the killed runs left, it is quicker each time. What a run leaves that is
  // killed once its set is in place, the next one removes that has something to do.
  const beginAgain = () => {
    if (existsSync(at("set"))) removeFolder(at("set"));
  };
  for (const attempt of attempts(kills)) {
    host.server.forget();
    beginAgain();
    attempt.hit = await killed(host.start(wanted), attempt.kill);
    // Either nothing is in place, or all of it.
    if (existsSync(at("set"))) expect(dataIn("set"), after).toEqual(whole);
  }
  beginAgain();
  const last = await host.fetch(wanted);
  expect(last, after).toMatchObject({ code: 0, stdout: `${at("set")}\n` });
  expect(dataIn("set"), after).toEqual(whole);
  expect(readdirSync(at()).sort()).toEqual([".gpubox", "set"]);
  // The progress of a killed run notices within a second that it is alone.
  await expect.poll(() => processesOf(host.root), { timeout: 10_000 }).toEqual([]);
  const left = known ? ["lock"] : ["lock", "seen"];
  expect(readdirSync(at(".gpubox", "set")).sort(), after).toEqual(left);
}
