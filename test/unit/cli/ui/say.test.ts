/** What a person reads while something takes long: in a log, and on a terminal of 80 columns. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../../../cli/context.ts";
import { formatSeconds, TICK } from "../../../../cli/ui/say.ts";
import { shellLine } from "../../../../text/shell.ts";
import { removeFolder, temporaryPath } from "../../../support/host-script.ts";

/** A step that ends once it has said twice that it goes on, or was heard of once more after it was interrupted. */
const PROGRAM = `
import { say, step, TICK } from "${ROOT}/cli/ui/say.ts";
import { setTimeout as sleep } from "node:timers/promises";
TICK.log = TICK.terminal = 200;
let ticks = 0;
const write = process.stderr.write.bind(process.stderr);
process.stderr.write = (text) => {
  if (/\\d s/.test(text)) ticks++;
  return write(text);
};
const until = async (count) => {
  while (ticks < count) await sleep(20);
};
const what = process.argv.includes("long") ? "engine: building it " + "from its Go module ".repeat(5) + "once" : "engine: building it";
await step(what, async () => {
  await until(1);
  if (!process.argv.includes("talk")) return until(2);
  say("by the way");
  await sleep(500);
});
`;
const node = (...args: string[]) => ["--input-type=module", "-e", PROGRAM, "--", ...args];

describe.concurrent("a step that takes long", () => {
  it("is heard of every second on a terminal, and every thirty in a log", ({ expect }) => {
    expect(TICK).toEqual({ terminal: 1_000, log: 30_000 });
  });

  it("says so in a log, a line at a time", async ({ expect }) => {
    const { stdout: log } = await execa("sh", ["-c", 'exec "$0" "$@" 2>&1', process.execPath, ...node()]);
    expect(log).toMatch(
      /^engine: building it … \nengine: building it: \d\.\d s so far\nengine: building it: \d\.\d s so far\nengine: building it: done \(\d\.\d s\)$/,
    );
  });

  /** What a terminal of 80 columns is sent: lines, each of them as often as it was written over. */
  const typed = async (...args: string[]) => {
    const line = shellLine([process.execPath, ...node(...args)]);
    const { stdout } = await execa("script", ["-qec", `stty cols 80; ${line}`, "/dev/null"], {
      env: { NODE_NO_WARNINGS: "1" },
      stripFinalNewline: false,
    });
    if (!/… \d\.\d s/.test(stdout)) throw new Error(`it does not count: ${stdout}`);
    return stdout
      .replaceAll("\u001b[K", "")
      .split("\r\n")
      .map((line) => line.split("\r"));
  };
  const last = (lines: string[][]) => lines.map((versions) => versions.at(-1));

  it("counts on a terminal, in one line", async ({ expect }) => {
    expect(last(await typed())).toEqual([
      expect.stringMatching(/^engine: building it … done \(\d\.\d s\)$/),
      "",
    ]);
  });

  it("counts in one line where what is done takes more than one to say", async ({ expect }) => {
    const lines = await typed("long");
    expect(last(lines)).toEqual([
      expect.stringMatching(/^engine: building it (from its Go module ){5}once … done \(\d\.\d s\)$/),
      "",
    ]);
    const overwritten = lines[0]?.slice(0, -2) ?? [];
    expect(overwritten.length).toBeGreaterThan(1);
    for (const version of overwritten) expect(version.length, version).toBeLessThan(80);
  });

  it("writes over nothing that was said meanwhile", async ({ expect }) => {
    const lines = last(await typed("talk"));
    expect(lines).toContain("by the way");
    expect(lines.at(-2)).toMatch(/^engine: building it: done \(\d\.\d s\)$/);
  });
});

/** Two steps at once, the second of which ends first. */
const TWO = `
import { setTimeout as sleep } from "node:timers/promises";
import { step, TICK } from "${ROOT}/cli/ui/say.ts";
TICK.log = TICK.terminal = 200;
await Promise.all([
  step("engine: building it", () => sleep(900), () => "done", { least: 150, most: 150 }),
  step("image: building it", async (tell) => { tell("3 of 9 steps"); await sleep(500); }),
]);
`;

describe.concurrent("steps that go on at once", () => {
  const program = ["--input-type=module", "-e", TWO];

  it("have a line each at their end in a log, and say how far they are and what is left", async ({
    expect,
  }) => {
    const { stderr } = await execa(process.execPath, program);
    const lines = stderr.split("\n");
    expect(lines).toContainEqual(
      expect.stringMatching(/^engine: building it: \d\.\d s so far, about 3 min left$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^image: building it: \d\.\d s so far, 3 of 9 steps$/),
    );
    expect(lines.filter((line) => line.includes("done"))).toEqual([
      expect.stringMatching(/^image: building it: done \(\d\.\d s\)$/),
      expect.stringMatching(/^engine: building it: done \(\d\.\d s\)$/),
    ]);
  });

  it("share a line of a terminal, and each leaves its own", async ({ expect }) => {
    const line = shellLine([process.execPath, ...program]);
    const { stdout } = await execa("script", ["-qec", `stty cols 80; ${line}`, "/dev/null"], {
      env: { NODE_NO_WARNINGS: "1" },
    });
    const lines = stdout
      .replaceAll("\u001b[K", "")
      .split("\r\n")
      .map((each) => each.split("\r"));
    expect(lines.flat()).toContainEqual(
      expect.stringMatching(/^engine \d\.\d s, about 3 min left · image \d\.\d s, 3 of 9 steps$/),
    );
    expect(lines.map((versions) => versions.at(-1)).filter((each) => each?.includes("done"))).toEqual([
      expect.stringMatching(/^image: building it … done \(\d\.\d s\)$/),
      expect.stringMatching(/^engine: building it … done \(\d\.\d s\)$/),
    ]);
    for (const version of lines.flat()) expect(version.length, version).toBeLessThan(80);
  });
});

describe("what others wrote", () => {
  const stderrOf = async (program: string, env: Record<string, string> = {}) =>
    (await execa(process.execPath, ["--input-type=module", "-e", program], { env })).stderr;

  it("is text in a message, and in the line of a step", async () => {
    const stderr = await stderrOf(`
      import { say, step } from "${ROOT}/cli/ui/say.ts";
      say("kept: \\x1b]52;c;cm0=\\x07\\nand more");
      await step("a\\x1b[2J\\nb", async () => "c\\x9b2J\\n\\nd", (made) => made);
    `);
    expect(stderr).toMatch(/^kept: \?\]52;c;cm0=\?\nand more\na\?\[2J b … c\?2J d \(\d\.\d s\)$/);
  });

  it("is text where a program of a host's script says it", async () => {
    const bin = temporaryPath();
    mkdirSync(bin);
    // A program that prepare.sh starts, and whose words are not the script's.
    const rude = "#!/bin/sh\nprintf 'rude: \\033[2J\\n' >&2\nexit 1\n";
    writeFileSync(join(bin, "mkdir"), rude, { mode: 0o755 });
    for (const stderr of ["inherit", "pipe"]) {
      const said = await stderrOf(`
        import { runHostScript } from "${ROOT}/cli/system/host-scripts.ts";
        const env = { PATH: "${bin}:/usr/bin:/bin", HOME: "${bin}" };
        const options = { stderr: "${stderr}" };
        const { said } = await runHostScript({ env }, "prepare.sh", { ROOT: "${bin}/root" }, options);
        for (const line of said ?? []) console.error(line);
      `);
      expect(said).toContain("rude: ?[2J\n");
      expect(said).toContain("prepare: cannot make");
    }
    removeFolder(bin);
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

it("a step that is interrupted says so, and that the same goes on", async () => {
  const program = `
    import { step } from "${ROOT}/cli/ui/say.ts";
    await step("looking at what has changed", () => new Promise(() => setInterval(() => {}, 1000)));`;
  const running = execa(process.execPath, ["--input-type=module", "-e", program], { reject: false });
  running.stderr.once("data", () => running.kill("SIGINT"));
  const { exitCode, stderr } = await running;
  expect(exitCode).toBe(130);
  expect(stderr).toMatch(
    /^looking at what has changed … stopped \(.*\)\nstopped: the same command again goes on$/,
  );
});
