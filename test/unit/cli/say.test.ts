/** What a person reads while something takes long: in a log, and on a terminal of 80 columns. */
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../../cli/context.ts";
import { formatSeconds } from "../../../cli/say.ts";
import { shellLine } from "../../../components/host/shell.ts";

/** A step of two and a half seconds, with the ticks of a log made as short as those of a terminal. */
const PROGRAM = `
import { say, step, TICK } from "${ROOT}/cli/say.ts";
import { setTimeout as sleep } from "node:timers/promises";
TICK.log = 1000;
const what = process.argv.includes("long") ? "engine: building it " + "from its Go module ".repeat(5) + "once" : "engine: building it";
await step(what, async () => {
  await sleep(1200);
  if (process.argv.includes("talk")) say("by the way");
  await sleep(1300);
});
`;
const node = (...args: string[]) => ["--input-type=module", "-e", PROGRAM, "--", ...args];

describe("a step that takes long", () => {
  it("says so in a log, a line at a time", () => {
    const log = execFileSync("sh", ["-c", 'exec "$0" "$@" 2>&1', process.execPath, ...node()]).toString();
    expect(log).toMatch(
      /^engine: building it … \nengine: building it: 1\.\d s so far\nengine: building it: 2\.\d s so far\nengine: building it: done \(2\.\d s\)\n$/,
    );
  });

  /** What a terminal of 80 columns is sent: lines, each of them as often as it was written over. */
  const typed = (...args: string[]) => {
    const line = shellLine([process.execPath, ...node(...args)]);
    const text = execFileSync("script", ["-qec", `stty cols 80; ${line}`, "/dev/null"], {
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
    }).toString();
    expect(text).toMatch(/… 1\.\d s/);
    return text
      .replaceAll("\u001b[K", "")
      .split("\r\n")
      .map((line) => line.split("\r"));
  };
  const last = (lines: string[][]) => lines.map((versions) => versions.at(-1));

  it("counts on a terminal, in one line", () => {
    expect(last(typed())).toEqual([expect.stringMatching(/^engine: building it … done \(2\.\d s\)$/), ""]);
  });

  it("counts in one line where what is done takes more than one to say", () => {
    const lines = typed("long");
    expect(last(lines)).toEqual([
      expect.stringMatching(/^engine: building it (from its Go module ){5}once … done \(2\.\d s\)$/),
      "",
    ]);
    const overwritten = lines[0]?.slice(0, -2) ?? [];
    expect(overwritten.length).toBeGreaterThan(1);
    for (const version of overwritten) expect(version.length, version).toBeLessThan(80);
  });

  it("writes over nothing that was said meanwhile", () => {
    const lines = last(typed("talk"));
    expect(lines).toContain("by the way");
    expect(lines.at(-2)).toMatch(/^engine: building it: done \(2\.\d s\)$/);
  });
});

describe("a time", () => {
  it.each([
    [0.04, "0.0 s"],
    [59.94, "59.9 s"],
    [95.4, "1 min 35 s"],
    [252, "4 min 12 s"],
  ])("of %d s is said as %s", (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});
