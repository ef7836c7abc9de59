/** What a person sees of a run while it goes on: in a log, and on a terminal of 80 columns. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ROOT } from "../../../../cli/context.ts";
import { shellLine } from "../../../../text/shell.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A run of some two seconds, whose file comes later than who follows it, and which is killed in the middle of a line. */
const program = () => [
  "--input-type=module-typescript",
  "-e",
  `
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Progress } from "${ROOT}/cli/ui/progress.ts";
import { follow } from "${ROOT}/cli/ui/progress-view.ts";
import { TICK } from "${ROOT}/cli/ui/say.ts";
TICK.log = 700;
const file = "${folder}/events";
const note = (event) => appendFileSync(file, JSON.stringify(event) + "\\n");
const urn = "urn:pulumi:dev::gpubox::docker:index/image:Image::image-build";
const metadata = { op: "create", urn };
const print = (message) => note({ diagnosticEvent: { urn, message, severity: "info" } });
const end = follow(file, new Progress("up", Date.now()));
await sleep(300);
note({ resourcePreEvent: { metadata } });
print("[1/2] RUN " + "a long command ".repeat(10));
print("[2/2] RUN true: \\x1b[2Jdone in 1.5 s");
await sleep(1_500);
note({ diagnosticEvent: { message: "no GPU \\x1b[2J", severity: "warning" } });
note({ resOutputsEvent: { metadata } });
appendFileSync(file, '{"diagnosticEvent": {"message": "cut');
end();
`,
];

it("in a log a line for each thing that takes time, and one now and then while something long goes on", async () => {
  const { stderr, stdout } = await execa(process.execPath, program());
  expect(stdout).toBe("");
  const [going, again, ...rest] = stderr.split("\n");
  expect(going).toMatch(/^image: building: \[.*, \d\.\d s so far$/);
  expect(again).toMatch(/^image: building: .*, \d\.\d s so far$/);
  expect(rest).toEqual(["warning: no GPU ?[2J", expect.stringMatching(/^image: built \(1\.\d s\)$/)]);
});

/** What a terminal is sent. */
async function sentTo(columns: number, TERM = "xterm"): Promise<string> {
  const line = `stty cols ${columns} rows 24; exec ${shellLine([process.execPath, ...program()])}`;
  const env = { NODE_NO_WARNINGS: "1", TERM };
  return (await execa("script", ["-qec", line, "/dev/null"], { env })).stdout;
}

/** The same as lines, each of them as often as it was written over. */
async function shownOn(columns: number): Promise<string[]> {
  const sent = await sentTo(columns);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal obeys
  const plain = sent.replaceAll(/\u001b\[[\d;?]*[A-Za-z]/g, "\r");
  return plain.split(/[\r\n]+/).filter((each) => each !== "");
}

it("on a terminal one area, no line of which is wider, and nothing of it stays", async () => {
  const shown = await shownOn(80);
  expect(shown).toContainEqual(expect.stringMatching(/^finding out what there is to do: 0\.\d s$/));
  const building = shown.filter((each) => each.startsWith("image: building"));
  expect(building.length).toBeGreaterThan(3);
  for (const each of building) {
    expect(each.length, each).toBeLessThan(80);
    expect(each).toMatch(/…?.*, \d\.\d s$/);
  }
  expect(shown.slice(-2)).toEqual(["warning: no GPU ?[2J", expect.stringMatching(/^image: built \(/)]);
});

it("on a narrow one the same, with the beginning and the time", async () => {
  const shown = await shownOn(20);
  const area = shown.filter((each) => each.includes("…"));
  expect(area).toContainEqual(expect.stringMatching(/^image: bu….*, \d\.\d s$/));
  for (const each of area) expect(each.length, each).toBeLessThan(20);
});

it("on one that moves no cursor as in a log", async () => {
  const sent = await sentTo(80, "dumb");
  expect(sent).not.toContain("\u001b");
  expect(sent).toMatch(/ so far\r\n.*warning: no GPU \?\[2J\r\nimage: built \(\d\.\d s\)$/s);
});
